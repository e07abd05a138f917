import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeCorrelation, encodeCorrelation } from './correlation.ts';
import { FieldError } from './errors.ts';

it('writes ten octets: delivery, attempt with the mark of a possible duplicate, segment', () => {
  const value = encodeCorrelation({ delivery: 2 ** 40 + 5, attempt: 2, segment: 3, possibleDuplicate: true });
  expect(value.toString('hex')).toBe('00000100000000058203');
});

it('gives back what it was given', () => {
  fc.assert(
    fc.property(
      fc.record({
        delivery: fc.nat(Number.MAX_SAFE_INTEGER),
        attempt: fc.nat(127),
        segment: fc.integer({ min: 1, max: 255 }),
        possibleDuplicate: fc.boolean(),
      }),
      (correlation) => {
        expect(decodeCorrelation(encodeCorrelation(correlation))).toEqual(correlation);
      },
    ),
  );
});

it('reads only its own, and writes only what fits', () => {
  expect(decodeCorrelation(Buffer.alloc(9))).toBe(null);
  expect(decodeCorrelation(Buffer.alloc(10))).toBe(null);
  expect(decodeCorrelation(Buffer.alloc(10, 0xff))).toBe(null);
  const good = { delivery: 1, attempt: 1, segment: 1, possibleDuplicate: false };
  for (const bad of [{ delivery: -1 }, { delivery: 2 ** 53 }, { attempt: 128 }, { segment: 0 }, { segment: 256 }]) {
    expect(() => encodeCorrelation({ ...good, ...bad })).toThrow(FieldError);
  }
});
