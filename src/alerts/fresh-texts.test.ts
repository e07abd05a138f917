import { expect, test } from 'vitest';
import { ManualClock } from '../platform/index.ts';
import { FRESH_MS, FRESH_TEXTS_MAX, FRESH_UNITS_MAX, FreshTexts } from './fresh-texts.ts';

test('a text is given once', () => {
  const texts = new FreshTexts(new ManualClock());
  texts.add(1, 'one');
  expect([texts.take(1), texts.take(1), texts.take(2)]).toEqual(['one', undefined, undefined]);
});

test('a text is not given when it has become old', () => {
  const clock = new ManualClock();
  const texts = new FreshTexts(clock);
  texts.add(1, 'one');
  texts.add(2, 'two');
  clock.advance(FRESH_MS);
  expect(texts.take(1)).toBe('one');
  clock.advance(1);
  expect(texts.take(2)).toBeUndefined();
});

test('old ones are forgotten when another comes', () => {
  const clock = new ManualClock();
  const texts = new FreshTexts(clock);
  texts.add(1, 'one');
  clock.advance(FRESH_MS + 1);
  texts.add(2, 'two');
  expect(texts.size).toBe(1);
});

test('so many are kept, and so much of them', () => {
  const texts = new FreshTexts(new ManualClock());
  for (let body = 0; body <= FRESH_TEXTS_MAX; body++) texts.add(body, 'text');
  expect([texts.size, texts.take(0), texts.take(1)]).toEqual([FRESH_TEXTS_MAX, undefined, 'text']);
  texts.add(-1, 'x'.repeat(FRESH_UNITS_MAX));
  expect([texts.size, texts.take(FRESH_TEXTS_MAX)]).toEqual([1, undefined]);
});
