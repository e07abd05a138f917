import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { certificateKinds } from './certificates.ts';
import { dialectNames } from './dialects.ts';
import { faultsSchema, firedNames, oddAnswers, oddDelivers, wrongLengths } from './faults.ts';
import { foreignProtocols } from './foreign.ts';
import { idFormNames } from './message-ids.ts';

const page = readFileSync(new URL('../../docs/simulator.md', import.meta.url), 'utf8');
const sections = new Map(page.split(/^#+ /m).map((section) => [section.split('\n')[0]!, section]));

/** What a section shows as code, `name: value` as both. */
function namesIn(...titles: string[]): Set<string> {
  const text = titles.map((title) => sections.get(title)!).join('\n');
  return new Set([...text.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => [code!, ...code!.split(': ')]));
}

const faultSections = ['Answers', 'The byte stream', 'The link', 'Receipts'];

test.each([
  ['every fault', Object.keys(faultsSchema.shape), faultSections],
  ['every counter', firedNames, faultSections],
  ['every odd answer', oddAnswers, ['Answers']],
  ['every odd deliver_sm', oddDelivers, ['Receipts']],
  ['every wrong length', wrongLengths, ['The byte stream']],
  ['every foreign protocol', foreignProtocols, ['The byte stream']],
  ['every dialect', dialectNames, ['Dialects']],
  ['every id form', idFormNames, ['Id forms']],
  ['every certificate', certificateKinds, ['Certificates']],
])('docs/simulator.md names %s', (_, names, titles) => {
  const named = namesIn(...titles);
  expect(names.filter((name) => !named.has(name))).toEqual([]);
});

test('the dialects and id forms of docs/simulator.md are all there', () => {
  const known = new Set<string>([...dialectNames, ...idFormNames]);
  const rows = [...sections.get('Dialects')!.split('\n'), ...sections.get('Id forms')!.split('\n')]
    .map((line) => line.split('|')[1] ?? '')
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
  expect(rows.filter((name) => !known.has(name))).toEqual([]);
});
