/** Goal: what is written about carriers is so: docs/smpp.md, and the examples of policies/carriers.yaml. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadPolicies } from '../src/policy/index.ts';
import { PROTOCOL } from '../src/smpp/index.ts';

interface CarrierSchema {
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, { readonly default?: unknown }>>;
}

function shown(value: unknown, needed: boolean): string {
  if (value === undefined) return needed ? 'needed' : '–';
  if (value === '') return 'empty';
  // An empty list or object.
  if (typeof value === 'object') return 'none';
  return `\`${value}\``;
}

test('docs/smpp.md has every field of carriers.yaml with its default', () => {
  const schema = JSON.parse(readFileSync('policies/schemas/carriers.json', 'utf8'));
  const { required, properties }: CarrierSchema = schema.properties.carriers.additionalProperties;
  const rows = readFileSync('docs/smpp.md', 'utf8').matchAll(/^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|/gm);
  const page = Array.from(rows, ([, names = '', value = '']) =>
    Array.from(names.matchAll(/\w+/g), ([name]) => [name, value]),
  ).flat();
  const fields = Object.entries(properties).map(([name, field]) => [
    name,
    shown(field.default, required.includes(name)),
  ]);
  expect(page.toSorted()).toEqual(fields.toSorted());
});

test('the examples of policies/carriers.yaml are good ones', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-examples-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync('policies', folder, { recursive: true });
  const yaml = readFileSync('policies/carriers.yaml', 'utf8');
  const examples = yaml.indexOf('    # utcOffset:');
  writeFileSync(
    join(folder, 'carriers.yaml'),
    yaml.slice(0, examples) + yaml.slice(examples).replaceAll(/^ {4}# /gm, '    '),
  );
  const { carriers } = loadPolicies(folder, { TOCSIN_DEMO_A_PASSWORD: 'demo' }, PROTOCOL);
  expect(carriers['demo-a']).toMatchObject({
    utcOffset: 22,
    doubtWaitMs: 20_000,
    receiptRules: { perMessage: 'last' },
  });
});
