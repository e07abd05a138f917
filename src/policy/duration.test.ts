import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

describe('durations', () => {
  test.each([
    ['PT2S', 2_000],
    ['PT0.02S', 20],
    ['PT90M', 5_400_000],
    ['P1D', 86_400_000],
    ['P1DT12H', 129_600_000],
    ['P2W', 1_209_600_000],
    ['PT1H0M5.250S', 3_605_250],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    '',
    'P',
    'PT',
    'P1DT',
    '2s',
    '20ms',
    'P1M',
    'P1Y',
    'PT-2S',
    '-PT2S',
    'PT2',
    'P1W2D',
    'pt2s',
    'PT2S ',
    'PT0.0001S',
  ])('%j is refused', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  test('what is formatted is read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 * 86_400_000 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});
