import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Throttle } from './throttle.ts';

/** The most sends that a strict sliding window of `windowMs` ever holds. */
function most(sends: number[], windowMs: number): number {
  let best = 0;
  let from = 0;
  for (let to = 0; to < sends.length; to++) {
    while ((sends[to] as number) - (sends[from] as number) >= windowMs) from++;
    best = Math.max(best, to - from + 1);
  }
  return best;
}

function run(throttle: Throttle, seconds: number, stalls: { at: number; ms: number }[]): number[] {
  const sends: number[] = [];
  let now = 0;
  const queue = [...stalls].sort((a, b) => a.at - b.at);
  while (now < seconds * 1000) {
    const stall = queue[0];
    if (stall !== undefined && now >= stall.at) {
      queue.shift();
      now += stall.ms;
    }
    if (throttle.take(now) >= 0) sends.push(now);
    else now = Math.max(now + 0.01, throttle.nextAt(now));
  }
  return sends;
}

interface Frozen {
  from: number;
  ms: number;
}

/**
 * An SMSC behind a path of `oneWayMs` that reads nothing while it is frozen, and answers each PDU `workMs(n)` after it
 * arrived. Returns the times of arrival.
 */
function behindPath(
  throttle: Throttle,
  seconds: number,
  { oneWayMs, frozen, workMs }: { oneWayMs: number; frozen: Frozen[]; workMs: (n: number) => number },
): number[] {
  const arrivals: number[] = [];
  const answers: { at: number; slot: number }[] = [];
  for (let now = 0; now < seconds * 1000; ) {
    answers.sort((a, b) => a.at - b.at);
    while (answers[0] !== undefined && answers[0].at <= now) {
      const { slot, at } = answers.shift() as { at: number; slot: number };
      throttle.answered(slot, at);
    }
    const slot = throttle.take(now);
    if (slot < 0) {
      now = Math.max(now + 0.01, Math.min(throttle.nextAt(now), answers[0]?.at ?? Number.POSITIVE_INFINITY));
      continue;
    }
    let arrival = Math.max(now + oneWayMs, arrivals.at(-1) ?? 0);
    for (const { from, ms } of frozen) if (arrival >= from && arrival < from + ms) arrival = from + ms;
    answers.push({ slot, at: arrival + oneWayMs + workMs(arrivals.length) });
    arrivals.push(arrival);
  }
  return arrivals;
}

describe('throttle', () => {
  test('keeps to the contract as the SMSC counts it, though the path or the SMSC freezes for longer than the guard', () => {
    const freeze = fc.record({ from: fc.integer({ min: 1_500, max: 8_000 }), ms: fc.integer({ min: 1, max: 400 }) });
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 600 }),
        fc.integer({ min: 0, max: 80 }),
        fc.array(freeze, { maxLength: 6 }),
        (tps, oneWayMs, drawn) => {
          // In order, for the SMSC to thaw once.
          const frozen = drawn.toSorted((a, b) => a.from - b.from);
          const arrivals = behindPath(new Throttle({ tps, guardMs: 5 }, 0), 9, { oneWayMs, frozen, workMs: () => 1 });
          expect(most(arrivals, 1_000 - 1e-6)).toBeLessThanOrEqual(tps);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('uses the contract all the same when answers take long, come out of order or never', () => {
    const works: ((n: number) => number)[] = [
      (n) => (n * 7919) % 300,
      () => 2_500,
      (n) => (n % 50 === 0 ? 1e9 : 20),
      (n) => (n % 10 === 0 ? 3_000 : 1),
    ];
    for (const workMs of works) {
      const arrivals = behindPath(new Throttle({ tps: 200, guardMs: 10 }, 0), 14, { oneWayMs: 10, frozen: [], workMs });
      const held = arrivals.filter((at) => at >= 2_000 && at < 12_000).length / 10;
      expect(held / 200).toBeGreaterThan(0.96);
    }
  });

  test('never lets more than the contract through any sliding window, whatever stalls the process', () => {
    const stall = fc.record({ at: fc.integer({ min: 0, max: 8_000 }), ms: fc.integer({ min: 1, max: 2_000 }) });
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 1, max: 900 }), fc.double({ min: 0.2, max: 30, noNaN: true })),
        fc.array(stall, { maxLength: 12 }),
        (tps, stalls) => {
          const sends = run(new Throttle({ tps, guardMs: 20 }, 0), 8, stalls);
          expect(most(sends, (Math.ceil(tps) / tps) * 1_000)).toBeLessThanOrEqual(Math.ceil(tps));
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([0.5, 1, 1.5, 2.5, 10, 100, 700, 5_000])(
    'uses at least 97 % of a contract of %d while work waits',
    (tps) => {
      const sends = run(new Throttle({ tps, guardMs: 20 }, 0), 60, []);
      const first = sends[0] as number;
      const held = (sends.length - 1) / (((sends.at(-1) as number) - first) / 1_000);
      expect(held / tps).toBeGreaterThan(0.97);
    },
  );

  test.each([
    [10, 1],
    [95, 9],
    [700, 70],
    [4, 1],
  ])(
    'by tenths of a second, %i TPS are at most %i in any of them, wherever the carrier begins to count',
    (tps, most10) => {
      fc.assert(
        fc.property(fc.array(fc.record({ at: fc.nat(8_000), ms: fc.nat(2_000) }), { maxLength: 8 }), (stalls) => {
          const sends = run(new Throttle({ tps, guardMs: 5, window: 'slot' }, 0), 8, stalls);
          expect(most(sends, tps < 10 ? 1_000 / tps : 100)).toBeLessThanOrEqual(most10);
          if (stalls.length === 0) expect(sends.length / 8).toBeGreaterThan(0.8 * Math.min(tps, most10 * 10));
        }),
        { numRuns: 20 },
      );
    },
  );

  test('by wall seconds, all of a second may leave at once, none more, and none near the turn of the second', () => {
    const draws = fc.record({
      tps: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.double({ min: 0.3, max: 20, noNaN: true })),
      offset: fc.integer({ min: -5_000, max: 5_000 }),
      // The carrier's clock differs from ours by less than the guard.
      skew: fc.integer({ min: -18, max: 18 }),
      stalls: fc.array(fc.record({ at: fc.nat(8_000), ms: fc.nat(2_000) }), { maxLength: 8 }),
    });
    fc.assert(
      fc.property(draws, ({ tps, offset, skew, stalls }) => {
        const throttle = new Throttle({ tps, guardMs: 20, window: 'second', wallOffsetMs: offset }, 0);
        const sends = run(throttle, 8, stalls);
        const stretch = (Math.ceil(tps) / tps) * 1_000;
        const counts = Map.groupBy(sends, (at) => Math.floor((at + offset + skew) / stretch));
        for (const inOne of counts.values()) expect(inOne.length).toBeLessThanOrEqual(Math.ceil(tps));
        if (stalls.length === 0 && tps >= 1)
          expect(sends.length / tps).toBeGreaterThan(8 - 2 * (stretch / 1_000) - 0.2);
      }),
      { numRuns: 60 },
    );
    const idle = new Throttle({ tps: 50, guardMs: 20, window: 'second' }, 0);
    let burst = 0;
    while (idle.take(10_500) >= 0) burst++;
    expect(burst).toBe(50);
  });

  test('a change of contract holds from the next PDU on, and forgets nothing of what left before', () => {
    const contract = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.double({ min: 0.3, max: 5, noNaN: true }));
    fc.assert(
      fc.property(contract, contract, fc.integer({ min: 0, max: 3_000 }), (before, after, ms) => {
        const throttle = new Throttle({ tps: before, guardMs: 20 }, 0);
        const sends: number[] = [];
        const until = (end: number, from: number) => {
          for (let now = from; now < end; ) {
            if (throttle.take(now) >= 0) sends.push(now);
            else now = Math.min(end, Math.max(now + 0.01, throttle.nextAt(now)));
          }
        };
        const at = 3_000 + ms;
        until(at, 0);
        throttle.change({ tps: after, guardMs: 20 }, at);
        until(at + 4_000, at);
        const larger = Math.max(before, after);
        // No stretch across the change holds more than the larger contract allows …
        if (before >= 1 && after >= 1) expect(most(sends, 1_000)).toBeLessThanOrEqual(Math.ceil(larger));
        // … and from one stretch later on the new one is kept, and used.
        const stretch = (Math.ceil(after) / after) * 1_000;
        const later = sends.filter((each) => each >= at);
        expect(most(later, stretch)).toBeLessThanOrEqual(Math.ceil(after));
        expect(later.length).toBeGreaterThanOrEqual(
          Math.floor(0.9 * after * (4 - 1.1 * Math.max(stretch / 1_000, 1 / before))),
        );
      }),
      { numRuns: 100 },
    );
  });

  test('says what the SMSC took in the second before a PDU that it threw back', () => {
    const throttle = new Throttle({ tps: 100, guardMs: 0 }, 0);
    const slots: { slot: number; at: number }[] = [];
    for (let now = 2_000; now < 5_000; ) {
      const slot = throttle.take(now);
      if (slot >= 0) slots.push({ slot, at: now });
      else now = throttle.nextAt(now);
      // Of each five it takes four.
      if (slot >= 0 && slot % 5 === 0) throttle.thrownBack(slot);
    }
    const last = slots.at(-1)?.slot ?? 0;
    expect(throttle.takenPerSecond(last)).toBeGreaterThan(77);
    expect(throttle.takenPerSecond(last)).toBeLessThan(82);
  });

  test('sends nothing in the first window, because what was sent before is unknown', () => {
    expect(run(new Throttle({ tps: 100, guardMs: 20 }, 0), 3, [])[0]).toBeGreaterThanOrEqual(1_020);
  });

  test('a process that is late for each PDU by less than half of their distance loses nothing by it', () => {
    const throttle = new Throttle({ tps: 10, guardMs: 0 }, 0);
    let sent = 0;
    for (let now = 1_000; now < 31_000; ) {
      const at = throttle.nextAt(now);
      // Timers that come late by 1 to 40 ms.
      now = at + 1 + ((sent * 17) % 40);
      if (throttle.take(now) >= 0) sent++;
      expect(throttle.take(now)).toBe(-1);
    }
    expect(sent / 300).toBeGreaterThan(0.97);
  });

  test('a burst after a pause is at most a tenth of a second of the contract', () => {
    const throttle = new Throttle({ tps: 1_000, guardMs: 20 }, 0);
    let burst = 0;
    while (throttle.take(10_000) >= 0) burst++;
    expect(burst).toBe(100);
  });

  test('a share of the contract is used evenly, and the whole contract still holds in any second', () => {
    const shares = fc.array(
      fc.record({ ms: fc.integer({ min: 1, max: 3_000 }), share: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 400 }), shares, (tps, parts) => {
        const throttle = new Throttle({ tps, guardMs: 20 }, 0);
        const sends: number[] = [];
        let now = 1_100;
        for (const { ms, share } of parts) {
          throttle.use(share, now);
          const end = now + ms;
          let count = 0;
          while (now < end) {
            if (throttle.take(now) >= 0) {
              sends.push(now);
              count++;
            } else now = Math.min(end, Math.max(now + 0.01, throttle.nextAt(now)));
          }
          expect(count).toBeLessThanOrEqual((ms / 1_000) * share * tps + Math.max(1, 0.1 * share * tps) + 1);
        }
        expect(most(sends, 1_000)).toBeLessThanOrEqual(tps);
      }),
      { numRuns: 60 },
    );
    for (const share of [0, -1, 1.1, Number.NaN])
      expect(() => new Throttle({ tps: 1, guardMs: 0 }, 0).use(share, 0)).toThrow(RangeError);
  });

  test('what is spared may leave at any instant, though the others use all that they may and stall as they like', () => {
    const stalls = fc.array(fc.record({ at: fc.nat({ max: 3_000 }), ms: fc.integer({ min: 1, max: 150 }) }), {
      maxLength: 6,
    });
    const urgent = fc.array(fc.nat({ max: 2_800 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.constantFrom(20, 100, 500, 2_000), stalls, urgent, (tps, some, times) => {
        const throttle = new Throttle({ tps, guardMs: 20 }, 0);
        const queue = [...some].sort((a, b) => a.at - b.at);
        // At most one in the time in which the places come back.
        const due = times.map((at) => at + 1_200).sort((a, b) => a - b);
        const sends: number[] = [];
        let left = 0;
        for (let now = 0; now < 4_000; ) {
          const stall = queue[0];
          if (stall !== undefined && now >= stall.at) {
            queue.shift();
            now += stall.ms;
          }
          while (due[0] !== undefined && due[0] <= now) {
            const at = due.shift() as number;
            if (at - left < 1_100) continue;
            left = at;
            // A token of the pacing may be on its way: no more than one PDU's time.
            const next = throttle.nextAt(now);
            expect(next - now).toBeLessThanOrEqual(1_000 / tps + 0.01);
            // A token may be short of one by a rounding.
            if (throttle.take(now) < 0) {
              now = next + 0.01;
              expect(throttle.take(now)).toBeGreaterThanOrEqual(0);
            }
            sends.push(now);
          }
          const spare = throttle.sparable;
          if (throttle.take(now, spare) >= 0) sends.push(now);
          else now = Math.min(Math.max(now + 0.01, throttle.nextAt(now, spare)), due[0] ?? Number.POSITIVE_INFINITY);
        }
        expect(most(sends, 1_000)).toBeLessThanOrEqual(tps);
        // It costs a hundredth.
        const stalled = some.reduce((sum, { ms }) => sum + ms, 0);
        expect(sends.length).toBeGreaterThan((tps * (3_000 - 2 * stalled)) / 1_000 / 1.1);
      }),
      { numRuns: 200 },
    );
  });

  test('a window of few places spares none', () => {
    for (const [tps, spared] of [
      [0.5, 0],
      [19, 0],
      [20, 1],
      [500, 5],
      [5_000, 50],
    ] as const)
      expect(new Throttle({ tps, guardMs: 20 }, 0).sparable).toBe(spared);
  });

  test('a pause holds everything back until it ends', () => {
    const throttle = new Throttle({ tps: 10, guardMs: 0 }, 0);
    throttle.pause(5_000);
    expect(throttle.take(4_999)).toBe(-1);
    expect(throttle.nextAt(2_000)).toBe(5_000);
    expect(throttle.take(5_000)).toBeGreaterThanOrEqual(0);
  });

  test('says how many may leave at once: as many as it then lets out, and none while paused', () => {
    const waits = fc.array(fc.integer({ min: 0, max: 1_500 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 300, noNaN: true }), waits, (tps, steps) => {
        const throttle = new Throttle({ tps, guardMs: 20 }, 0);
        let now = 0;
        for (const step of steps) {
          now += step;
          const said = throttle.tokens(now);
          let left = 0;
          while (throttle.take(now) >= 0) left++;
          expect(said).toBe(left);
        }
        throttle.pause(now + 10_000);
        expect(throttle.tokens(now + 9_999)).toBe(0);
      }),
    );
  });
});
