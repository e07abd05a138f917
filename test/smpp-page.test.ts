/** Goal: docs/smpp.md has every field of a carrier, once, with the default that the schema gives it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

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
