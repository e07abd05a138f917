import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { afterCongestion, FULL_PACE, HOLD_MS, type Pace, RECOVERY_PER_SECOND, SHARE_MIN, shareAt } from './pace.ts';
import { Throttle } from './throttle.ts';

type Word = { waitMs: number; state: number };
const words = fc.array(
  fc.record({
    waitMs: fc.integer({ min: 0, max: 3_000 }),
    state: fc.integer({ min: 0, max: 100 }),
  }),
  { maxLength: 60 },
);

function hearAll(all: readonly Word[]): { pace: Pace; now: number; shares: number[] } {
  let pace = FULL_PACE;
  let now = 1_000_000;
  const shares: number[] = [];
  for (const { waitMs, state } of all) {
    now += waitMs;
    pace = afterCongestion(pace, state, now);
    shares.push(shareAt(pace, now));
  }
  return { pace, now, shares };
}

describe('the share of the contract', () => {
  it('is always between a tenth and all of it', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: 100_000 }), (all, later) => {
        const { pace, now, shares } = hearAll(all);
        for (const share of [...shares, shareAt(pace, now + later)]) {
          expect(share).toBeGreaterThanOrEqual(SHARE_MIN);
          expect(share).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it('is never larger after worse news', () => {
    const state = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(words, state, state, fc.integer({ min: 0, max: 20_000 }), (all, a, b, later) => {
        const { pace, now } = hearAll(all);
        const [good, bad] = [Math.min(a, b), Math.max(a, b)];
        const shareIf = (heard: number) => shareAt(afterCongestion(pace, heard, now + 500), now + 500 + later);
        expect(shareIf(bad)).toBeLessThanOrEqual(shareIf(good));
      }),
    );
  });

  it('is not touched by anything below "nearing congestion"', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: 89 }), (all, state) => {
        const { pace, now } = hearAll(all);
        expect(afterCongestion(pace, state, now)).toBe(pace);
      }),
    );
  });

  it('is cut by everything from there on, once for all that is heard within a fifth of a second', () => {
    const heard = fc.integer({ min: 90, max: 100 });
    fc.assert(
      fc.property(words, heard, fc.integer({ min: 2, max: 50 }), (all, state, times) => {
        const { pace, now } = hearAll(all);
        const at = now + 300;
        const before = shareAt(pace, at);
        const once = afterCongestion(pace, state, at);
        expect(shareAt(once, at)).toBeLessThan(before === SHARE_MIN ? SHARE_MIN + 1e-9 : before);
        let often = once;
        for (let i = 1; i < times; i++) often = afterCongestion(often, state, at + i);
        expect(shareAt(often, at + times)).toBe(shareAt(once, at + times));
      }),
    );
  });

  it('grows while nothing more is heard, and is whole again in bounded time', () => {
    fc.assert(
      fc.property(words, fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 10 }), (all, steps) => {
        const { pace, now } = hearAll(all);
        let at = now;
        let last = shareAt(pace, at);
        for (const step of steps) {
          at += step;
          expect(shareAt(pace, at)).toBeGreaterThanOrEqual(last);
          last = shareAt(pace, at);
        }
        expect(shareAt(pace, now + HOLD_MS + ((1 - SHARE_MIN) / RECOVERY_PER_SECOND) * 1_000 + 1)).toBe(1);
      }),
    );
  });

  test.each([
    [89, 1],
    [90, 0.95],
    [99, 0.75],
    [100, 0.5],
  ])('after congestion_state %i is %d', (state, share) => {
    expect(shareAt(afterCongestion(FULL_PACE, state, 10), 10)).toBeCloseTo(share, 10);
  });
});

/** An SMSC that passes on `capacity` a second, queues `depth`, says how full that is, and throttles when it is full. */
function play(capacity: number, listens: boolean): { throttled: number; passedPerSecond: number } {
  const depth = 200;
  const seconds = 60;
  const throttle = new Throttle({ tps: 100, guardMs: 0 }, 0);
  let [pace, queue, throttled, passed] = [FULL_PACE, 0, 0, 0];
  for (let now = 1_000; now < 1_000 + seconds * 1_000; now += 5) {
    const out = Math.min(queue, (capacity * 5) / 1_000);
    queue -= out;
    if (now > 11_000) passed += out;
    if (listens) throttle.use(shareAt(pace, now), now);
    while (throttle.take(now) >= 0) {
      if (queue + 1 > depth) throttled++;
      else queue++;
      if (listens) pace = afterCongestion(pace, Math.min(100, Math.floor((queue / depth) * 100)), now);
    }
  }
  return { throttled, passedPerSecond: passed / (seconds - 10) };
}

describe('an SMSC that takes less than the contract says', () => {
  test.each([
    [20, 0.01],
    [40, 0.01],
    [60, 0],
    [90, 0],
  ])('%i of 100 a second: the bind slows down before it is throttled', (capacity, share) => {
    const unheard = play(capacity, false);
    expect(unheard.throttled).toBeGreaterThan(100);
    const { throttled, passedPerSecond } = play(capacity, true);
    expect(throttled).toBeLessThanOrEqual(share * unheard.throttled);
    // And it keeps the SMSC busy.
    expect(passedPerSecond).toBeGreaterThan(0.97 * capacity);
  });

  test('one that keeps up is not slowed at all', () => {
    expect(play(120, true).passedPerSecond).toBeGreaterThan(98);
  });
});
