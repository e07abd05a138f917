import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALLOWANCE_MIN, type Allowance, advance, afterThrownBack, FULL_ALLOWANCE, HOLD_MS } from './allowance.ts';
import { Throttle } from './throttle.ts';

/** A strict SMSC that allows `limit` in any second (n in n ÷ limit seconds), and counts what it throws back or does not. */
function smsc(limit: number, countsAll: boolean): (now: number) => boolean {
  const most = Math.ceil(limit);
  const span = (most / limit) * 1_000;
  const taken: number[] = [];
  return (now) => {
    const first = taken.length < most ? Number.NEGATIVE_INFINITY : (taken.at(-most) as number);
    const fits = now - first >= span;
    if (fits || countsAll) taken.push(now);
    return fits;
  };
}

interface Played {
  /** Accepted in the last half, per second. */
  settled: number;
  /** Each second's, from the tenth on. */
  bySecond: number[];
  thrownBack: number;
  shares: number[];
}

function play(tps: number, limits: { from: number; limit: number }[], seconds: number, countsAll = false): Played {
  const throttle = new Throttle({ tps, guardMs: 20 }, 0);
  let allowance: Allowance = FULL_ALLOWANCE;
  let allows = smsc(limits[0]?.limit ?? tps, countsAll);
  const accepted: number[] = [];
  const answers: { at: number; leftAt: number; slot: number; ok: boolean }[] = [];
  const shares: number[] = [];
  let thrownBack = 0;
  let tick = 0;
  const left = limits.slice(1);
  for (let now = 0; now < seconds * 1_000; now += 1) {
    if (left[0] !== undefined && now >= left[0].from)
      allows = smsc((left.shift() as { limit: number }).limit, countsAll);
    while (answers[0] !== undefined && answers[0].at <= now) {
      const { slot, leftAt, ok } = answers.shift() as (typeof answers)[number];
      throttle.answered(slot, now);
      if (ok) continue;
      thrownBack++;
      throttle.thrownBack(slot);
      const said = afterThrownBack(allowance, { leftAt, taken: throttle.takenPerSecond(slot) / tps }, now);
      allowance = said.allowance;
      throttle.use(allowance.share, now);
      if (said.restMs > 0) throttle.pause(now + said.restMs);
    }
    if (now - tick >= 250) {
      tick = now;
      allowance = advance(allowance, tps, now);
      throttle.use(allowance.share, now);
      shares.push(allowance.share);
    }
    for (let slot = throttle.take(now); slot >= 0; slot = throttle.take(now)) {
      const ok = allows(now);
      if (ok) accepted.push(now);
      answers.push({ at: now + 5, leftAt: now, slot, ok });
    }
  }
  const from = (seconds / 2) * 1_000;
  const bySecond: number[] = [];
  for (let second = 10; second < seconds; second++) {
    bySecond.push(accepted.filter((at) => at >= second * 1_000 && at < (second + 1) * 1_000).length);
  }
  return { settled: accepted.filter((at) => at >= from).length / (seconds / 2), bySecond, thrownBack, shares };
}

describe('an SMSC that secretly allows a fifth less than the contract', () => {
  test.each([
    [10, false],
    [100, false],
    [100, true],
    [1_000, false],
    [1_000, true],
  ])('of %i TPS (what it throws back counts: %s): the rate settles within 5 % of its limit', (tps, countsAll) => {
    const { settled, bySecond, thrownBack } = play(tps, [{ from: 0, limit: 0.8 * tps }], 60, countsAll);
    expect(settled / (0.8 * tps)).toBeGreaterThan(0.95);
    expect(settled / (0.8 * tps)).toBeLessThanOrEqual(1.001);
    // It does not swing: of what it sends next to nothing is thrown back, and no second is far from the others.
    expect(thrownBack / (60 * tps)).toBeLessThan(0.02);
    const low = bySecond.filter((count) => count < 0.95 * 0.8 * tps - 1).length;
    expect(low / bySecond.length).toBeLessThan(0.15);
  });

  test('of 1 TPS: one each second and a quarter', () => {
    const { settled } = play(1, [{ from: 0, limit: 0.8 }], 300);
    expect(settled / 0.8).toBeGreaterThan(0.95);
  });
});

test('a limit that was there for a while is left behind within half a minute', () => {
  const { shares } = play(
    200,
    [
      { from: 0, limit: 60 },
      { from: 20_000, limit: 200 },
    ],
    60,
  );
  expect(shares.at(-1)).toBe(1);
  // A quarter of a second each.
  expect(shares.slice(4 * 50).every((share) => share === 1)).toBe(true);
});

test('an SMSC that keeps the contract never slows the bind', () => {
  const { thrownBack, shares } = play(500, [{ from: 0, limit: 500 }], 20);
  expect(thrownBack).toBe(0);
  expect(new Set(shares)).toEqual(new Set([1]));
});

test('the share stays within a tenth and all, falls only on a word about itself, and grows only with time', () => {
  const word = fc.record({
    waitMs: fc.nat(9_000),
    taken: fc.double({ min: 0, max: 1.2, noNaN: true }),
    before: fc.nat(2_000),
  });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), fc.integer({ min: 1, max: 1_000 }), (words, tps) => {
      let allowance = FULL_ALLOWANCE;
      let now = 1_000_000;
      for (const { waitMs, taken, before } of words) {
        now += waitMs;
        const grown = advance(allowance, tps, now);
        expect(grown.share).toBeGreaterThanOrEqual(allowance.share);
        const { allowance: next, restMs } = afterThrownBack(grown, { leftAt: now - before, taken }, now);
        expect(next.share).toBeGreaterThanOrEqual(ALLOWANCE_MIN);
        expect(next.share).toBeLessThanOrEqual(1);
        if (now - before < grown.cutAt) expect([next, restMs]).toEqual([grown, 0]);
        else if (grown.share > ALLOWANCE_MIN) expect(next.share).toBeLessThan(grown.share);
        allowance = next;
      }
      // Told nothing more, it is whole again in bounded time.
      for (let asked = 0; asked < 400; asked++) {
        now += HOLD_MS * 20;
        allowance = advance(allowance, tps, now);
      }
      expect(allowance.share).toBe(1);
    }),
  );
});
