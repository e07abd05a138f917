import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FixedWindow, RateMeter, StrictWindow } from './window.ts';

/** Gaps between messages, microseconds: bursts, paces near the limit, and pauses. */
const gaps = fc.array(
  fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400_000 }), fc.integer({ min: 900_000, max: 1_100_000 })),
  {
    maxLength: 200,
  },
);
const rates = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.double({ min: 0.2, max: 9, noNaN: true }));

function timesOf(gapsUs: number[]): number[] {
  let now = 1_000_000;
  return gapsUs.map((gap) => {
    now += gap;
    return now;
  });
}

describe('the strict sliding window', () => {
  test('takes a message exactly when no window of its length then holds more than the limit', () => {
    fc.assert(
      fc.property(rates, fc.boolean(), gaps, (tps, countRefused, gapsUs) => {
        const window = new StrictWindow(tps, countRefused);
        const counted: number[] = [];
        for (const now of timesOf(gapsUs)) {
          const inside = counted.filter((time) => now - time < window.spanUs).length;
          const expected = inside < window.limit;
          expect(window.admit(now)).toBe(expected);
          if (expected || countRefused) counted.push(now);
        }
      }),
    );
  });

  test('refuses the second half of a burst that a bucket or a wall-second counter would let through', () => {
    const window = new StrictWindow(100, false);
    const atEndOfSecond = Array.from({ length: 100 }, () => window.admit(990_000));
    const atStartOfNext = Array.from({ length: 100 }, () => window.admit(1_010_000));
    expect(atEndOfSecond.every(Boolean)).toBe(true);
    expect(atStartOfNext.some(Boolean)).toBe(false);
    expect(window.admit(1_989_999)).toBe(false);
    expect(window.admit(1_990_000)).toBe(true);
  });

  test('holds an even pace at the very limit for whole and fractional rates, and refuses one a thousandth faster', () => {
    for (const tps of [0.2, 0.5, 1, 2.5, 3, 700, 700.5]) {
      const even = new StrictWindow(tps, true);
      const faster = new StrictWindow(tps, true);
      let refused = 0;
      for (let i = 0; i < 3_000; i += 1) {
        expect(even.admit(Math.ceil((i * 1_000_000) / tps))).toBe(true);
        if (!faster.admit(Math.ceil((i * 1_000_000) / (tps * 1.001)))) refused += 1;
      }
      expect(refused).toBeGreaterThan(0);
    }
  });

  test('never lets more than the rate, rounded up, into any one second', () => {
    fc.assert(
      fc.property(rates, gaps, (tps, gapsUs) => {
        const window = new StrictWindow(tps, false);
        const taken = timesOf(gapsUs).filter((now) => window.admit(now));
        for (const start of taken) {
          const inside = taken.filter((time) => time >= start && time - start < 1_000_000).length;
          expect(inside).toBeLessThanOrEqual(Math.ceil(tps));
        }
      }),
    );
  });

  test('has no meaning for a rate that is not positive', () => {
    for (const tps of [0, -1, Number.NaN]) expect(() => new StrictWindow(tps, true)).toThrow(RangeError);
  });
});

describe('a window that is cleared at fixed instants', () => {
  const second = 1_000_000;

  test('calendar: so many from one full second to the next, so twice as many around its turn', () => {
    const window = FixedWindow.calendar(3, true);
    const late = [0.9, 0.95, 0.99, 0.999].map((at) => window.admit(at * second));
    const early = [1, 1.01, 1.02, 1.03].map((at) => window.admit(at * second));
    expect([...late, ...early]).toEqual([true, true, true, false, true, true, true, false]);
  });

  test('slot: a tenth of the limit in each tenth of a second', () => {
    const window = FixedWindow.slots(20, true);
    const admitted = [0, 0.01, 0.02, 0.1, 0.11, 0.199, 0.2].map((at) => window.admit(at * second));
    expect(admitted).toEqual([true, true, false, true, true, false, true]);
  });

  test('slot: a limit below ten is one message in each of its spans', () => {
    const window = FixedWindow.slots(4, true);
    expect([0, 0.2, 0.25, 0.4, 0.5].map((at) => window.admit(at * second))).toEqual([true, false, true, false, true]);
  });

  test('has no meaning for a rate that is not positive', () => {
    for (const tps of [0, -1, Number.NaN]) {
      expect(() => FixedWindow.calendar(tps, true)).toThrow(RangeError);
      expect(() => FixedWindow.slots(tps, true)).toThrow(RangeError);
    }
  });
});

test('the rate meter finds the fullest second, wherever it begins', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 9_000 })), { maxLength: 1_500 }),
      (gapsUs) => {
        const times = timesOf(gapsUs);
        const meter = new RateMeter();
        for (const now of times) meter.count(now);
        let fullest = 0;
        for (let from = 0, to = 0; from < times.length; from += 1) {
          while (to < times.length && times[to]! - times[from]! < 1_000_000) to += 1;
          fullest = Math.max(fullest, to - from);
        }
        expect(meter.max).toBe(fullest);
      },
    ),
    { numRuns: 50 },
  );
});

test('the rate meter stays bounded and never counts too few', () => {
  const meter = new RateMeter();
  for (let i = 0; i < 200_000; i += 1) meter.count(i * 5);
  expect(meter.max).toBe(200_000);
});
