import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  entryHash,
  entryOf,
  genesis,
  parseParts,
  partsText,
  sequenceMax,
  sequenceOf,
  writerMax,
  writerOf,
} from './chain.ts';

const sha256 = createHash('sha256').update('').digest('hex');

test('an entry names its writer and sequence, up to the last number that fits', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: writerMax }),
      fc.integer({ min: 0, max: sequenceMax }),
      (writer, sequence) => {
        const entry = entryOf(writer, sequence);
        expect([writerOf(entry), sequenceOf(entry)]).toEqual([writer, sequence]);
      },
    ),
  );
  expect(entryOf(writerMax, sequenceMax)).toBe(Number.MAX_SAFE_INTEGER);
});

test('the hash is what anyone can compute from the description', () => {
  const before = createHash('sha256').update('tocsin chain v1 5').digest();
  expect(genesis(5)).toEqual(before);
  const text = `delivery 12 3 ${sha256}`;
  const expected = createHash('sha256')
    .update(Buffer.concat([before, Buffer.from(`tocsin entry v1\n21474836480 1795536000000\n${text}`)]))
    .digest();
  expect(entryHash(before, entryOf(5, 0), 1_795_536_000_000, text)).toEqual(expected);
});

test('parts are read as they were written', () => {
  const parts = [
    { table: 'delivery', scope: '12', count: 1000, sha256 },
    { table: 'delivery', scope: '13', count: 1, sha256 },
    { table: 'final_state', scope: '-', count: 7, sha256 },
  ];
  expect(parseParts(partsText(parts))).toEqual(parts);
});

test('a table and scope that stands twice in an entry is refused', () => {
  const part = { table: 'claim', scope: '-', count: 1, sha256 };
  expect(() => partsText([part, part])).toThrow('an entry has two parts of claim -');
});

test('a malformed part is neither written nor read', () => {
  for (const change of [
    { table: 'a b' },
    { scope: '' },
    { scope: 'x y' },
    { count: 0 },
    { count: 1.5 },
    { sha256: 'ab' },
  ]) {
    expect(() => partsText([{ table: 'claim', scope: '-', count: 1, sha256, ...change }])).toThrow(TypeError);
  }
  for (const text of ['', 'claim - 1', `claim - 1 ${sha256}\n`, `claim  - 1 ${sha256}`])
    expect(parseParts(text)).toBeNull();
});
