import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lines } from './lines.ts';

/** What comes out for pieces: numbers and texts, null for a line that is too long. */
function read(pieces: readonly Buffer[], bytesMax: number): [number, string | null][] {
  const lines = new Lines(bytesMax);
  const all = pieces.flatMap((piece) => [...lines.push(piece)]);
  const last = lines.end();
  return [...all, ...(last === null ? [] : [last])].map(({ number, bytes }) => [number, bytes?.toString() ?? null]);
}

test('lines are the same however their bytes are cut', () => {
  const text = fc
    .array(fc.constantFrom('a', 'é', '\n', '\r\n', ' ', '{}'), { maxLength: 60 })
    .map((all) => all.join(''));
  fc.assert(
    fc.property(
      text,
      fc.array(fc.nat(80), { maxLength: 10 }),
      fc.integer({ min: 1, max: 12 }),
      (all, cuts, bytesMax) => {
        const bytes = Buffer.from(all);
        const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const wanted = all.split('\n');
        if (wanted.at(-1) === '') wanted.pop();
        expect(read(pieces, bytesMax)).toEqual(
          wanted.map((line, index) => [index + 1, Buffer.byteLength(line) > bytesMax ? null : line.replace(/\r$/, '')]),
        );
      },
    ),
  );
});

test('a line without end takes no memory beyond the limit', () => {
  const lines = new Lines(1_000);
  const piece = Buffer.alloc(65_536, 'a');
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 8_000; i++) expect([...lines.push(Buffer.from(piece))]).toEqual([]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(250e6);
  expect([...lines.push(Buffer.from('\n{}\n'))]).toEqual([
    { number: 1, bytes: null },
    { number: 2, bytes: Buffer.from('{}') },
  ]);
});
