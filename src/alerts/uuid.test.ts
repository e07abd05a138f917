import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timeOf, UuidSource } from './uuid.ts';

const times = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe('the id of an alert', () => {
  it('is a UUIDv7 whose time is the one that was given', () => {
    const source = new UuidSource();
    fc.assert(
      fc.property(times, (ms) => {
        const id = source.at(ms);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(timeOf(id)).toBe(ms);
      }),
    );
  });

  it('rises within a millisecond, and no id comes twice', () => {
    const source = new UuidSource();
    const ids = Array.from({ length: 50_000 }, () => source.at(1_795_000_000_000));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('keeps the given time when the clock steps back', () => {
    const source = new UuidSource();
    source.at(2_000);
    expect(timeOf(source.at(1_000))).toBe(1_000);
  });

  it.each(['', '019aad8e-1f00-4abc-8def-0123456789ab', '019AAD8E-1F00-7ABC-8DEF-0123456789AB', "'; drop table alert"])(
    'has no time when it is no UUIDv7 in lower case: %s',
    (id) => {
      expect(timeOf(id)).toBeNull();
    },
  );

  it.each([-1, 0.5, 2 ** 48, Number.NaN])('is not made for the time %d', (ms) => {
    expect(() => new UuidSource().at(ms)).toThrow(RangeError);
  });
});
