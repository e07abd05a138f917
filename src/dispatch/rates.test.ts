import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rates, SPAN_MAX_MS } from './rates.ts';

/** Counters and a clock by hand; `at` moves both. */
function hand() {
  let now = 0;
  const counts = new Map<string, number>();
  const rates = new Rates(
    () => new Map(counts),
    () => now,
  );
  const at = (ms: number, count: number): void => {
    now = ms;
    counts.set('a', count);
  };
  return { rates, at };
}

test('a rate is the growth over the time that really passed', () => {
  const { rates, at } = hand();
  for (let ms = 0; ms <= 20_000; ms += 250) {
    at(ms, ms < 19_000 ? ms / 10 : 1_900 + (ms - 19_000) / 2);
    rates.look();
  }
  // Nothing since the last look: the span is 1.1 s long, of which the look 1 s before the last is the nearest that is old enough.
  at(20_100, 2_400);
  expect(rates.since(1_000).perSecond('a')).toBeCloseTo(500 / 1.1);
  expect(rates.since(10_000).grown('a')).toBe(2_400 - 1_000);
});

test('before the first look, and of a counter that nobody knows, it is 0', () => {
  const { rates, at } = hand();
  expect(rates.since(1_000).perSecond('a')).toBe(0);
  at(5, 3);
  rates.look();
  expect(rates.since(1_000).perSecond('a')).toBe(0);
  at(505, 8);
  expect(rates.since(1_000).perSecond('a')).toBe(10);
  expect(rates.since(1_000).perSecond('b')).toBe(0);
});

test('however the looks fall, a steady counter has its own rate over every span', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 2, maxLength: 80 }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 1, max: SPAN_MAX_MS }),
      (gaps, perSecond, span) => {
        const { rates, at } = hand();
        let ms = 0;
        for (const gap of gaps) {
          ms += gap;
          at(ms, (ms * perSecond) / 1_000);
          rates.look();
        }
        ms += 10;
        at(ms, (ms * perSecond) / 1_000);
        expect(rates.since(span).perSecond('a')).toBeCloseTo(perSecond, 6);
      },
    ),
  );
});
