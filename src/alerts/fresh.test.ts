import { expect, test, vi } from 'vitest';
import { ManualClock } from '../platform/index.ts';
import { FRESH_MAX, FRESH_MS, FRESH_UNITS_MAX, Fresh } from './fresh.ts';

test('a text is given once', () => {
  const texts = new Fresh<string>(new ManualClock(), (text) => text.length);
  texts.add(1, 'one');
  expect([texts.take(1), texts.take(1), texts.take(2)]).toEqual(['one', undefined, undefined]);
});

test('a text is not given when it has become old', () => {
  const clock = new ManualClock();
  const texts = new Fresh<string>(clock, (text) => text.length);
  texts.add(1, 'one');
  texts.add(2, 'two');
  clock.advance(FRESH_MS);
  expect(texts.take(1)).toBe('one');
  clock.advance(1);
  expect(texts.take(2)).toBeUndefined();
});

test('old ones are forgotten when another comes', () => {
  const clock = new ManualClock();
  const texts = new Fresh<string>(clock, (text) => text.length);
  texts.add(1, 'one');
  clock.advance(FRESH_MS + 1);
  texts.add(2, 'two');
  expect(texts.size).toBe(1);
});

test('old ones are forgotten when nobody comes', () => {
  vi.useFakeTimers();
  try {
    const clock = new ManualClock();
    const texts = new Fresh<string>(clock, (text) => text.length);
    texts.add(1, 'one');
    clock.advance(FRESH_MS - 1);
    vi.advanceTimersByTime(FRESH_MS);
    expect(texts.size).toBe(1);
    clock.advance(2);
    vi.advanceTimersByTime(FRESH_MS);
    expect(texts.size).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('so many are kept, and so much of them', () => {
  const texts = new Fresh<string>(new ManualClock(), (text) => text.length);
  for (let body = 0; body <= FRESH_MAX; body++) texts.add(body, 'text');
  expect([texts.size, texts.take(0), texts.take(1)]).toEqual([FRESH_MAX, undefined, 'text']);
  texts.add(-1, 'x'.repeat(FRESH_UNITS_MAX));
  expect([texts.size, texts.take(FRESH_MAX)]).toEqual([1, undefined]);
});
