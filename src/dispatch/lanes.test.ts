import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LaneName } from '../policy/index.ts';
import { charge, LANES_BY_URGENCY, LAPSE_PDUS, type LaneSchedule, newSchedule, nextLane } from './lanes.ts';

const shares = (ceiling = 1, floor = 0, [security, transaction, bulk] = [6, 3, 1] as [number, number, number]) => ({
  emergency: { weight: 0, ceiling, floor: 0 },
  security: { weight: security, ceiling: 1, floor },
  transaction: { weight: transaction, ceiling: 1, floor: 0 },
  bulk: { weight: bulk, ceiling: 1, floor: 0 },
});
const shared = ['security', 'transaction', 'bulk'] as const;
const weights = fc.tuple(...shared.map(() => fc.integer({ min: 1, max: 20 }))) as fc.Arbitrary<
  [number, number, number]
>;
const readiness = (...lanes: LaneName[]): Record<LaneName, boolean> => ({
  emergency: lanes.includes('emergency'),
  security: lanes.includes('security'),
  transaction: lanes.includes('transaction'),
  bulk: lanes.includes('bulk'),
});
function take(schedule: LaneSchedule, ready: Record<LaneName, boolean>, n: number): Record<LaneName, number> {
  const counts = { emergency: 0, security: 0, transaction: 0, bulk: 0 };
  for (let i = 0; i < n; i++) {
    const lane = nextLane(schedule, ready);
    if (lane === null) break;
    counts[lane]++;
    charge(schedule, lane, ready);
  }
  return counts;
}

describe('lane scheduler', () => {
  test('no other lane gets a PDU while emergency has one ready, whatever went before', () => {
    fc.assert(
      fc.property(fc.array(fc.subarray([...LANES_BY_URGENCY]), { maxLength: 200 }), (history) => {
        const schedule = newSchedule(shares());
        for (const lanes of history) take(schedule, readiness(...lanes), 1);
        expect(take(schedule, readiness(...LANES_BY_URGENCY), 50)).toEqual({
          emergency: 50,
          security: 0,
          transaction: 0,
          bulk: 0,
        });
      }),
    );
  });

  test('the other lanes share by weight to within one PDU each', () => {
    const counts = take(newSchedule(shares()), readiness('security', 'transaction', 'bulk'), 1_000);
    expect(counts.security).toBeCloseTo(600, -1);
    expect(counts.transaction).toBeCloseTo(300, -1);
    expect(counts.bulk).toBeCloseTo(100, -1);
  });

  test('no ready lane starves: each gets a PDU within the sum of weights over its own', () => {
    fc.assert(
      fc.property(
        fc.array(fc.subarray(['security', 'transaction', 'bulk'] as LaneName[]), { maxLength: 100 }),
        (history) => {
          const schedule = newSchedule(shares());
          for (const lanes of history) take(schedule, readiness(...lanes), 3);
          const counts = take(schedule, readiness('security', 'transaction', 'bulk'), 22);
          expect(Math.min(counts.security, counts.transaction, counts.bulk)).toBeGreaterThanOrEqual(1);
        },
      ),
    );
  });

  test('a lane that was idle gets its share from now on, not arrears', () => {
    const schedule = newSchedule(shares());
    take(schedule, readiness('bulk'), 10_000);
    const counts = take(schedule, readiness('security', 'bulk'), 70);
    expect(counts.bulk).toBeGreaterThanOrEqual(9);
  });

  test('a ceiling holds emergency to its share while others wait, and not otherwise', () => {
    const counts = take(newSchedule(shares(0.8)), readiness('emergency', 'bulk'), 1_000);
    expect(counts.emergency).toBeGreaterThan(780);
    expect(counts.emergency).toBeLessThan(820);
    expect(take(newSchedule(shares(0.8)), readiness('emergency'), 100).emergency).toBe(100);
  });

  test('shares come to the weights, whatever these are and whatever went before', () => {
    const past = fc.array(fc.subarray([...LANES_BY_URGENCY]), { maxLength: 60 });
    fc.assert(
      fc.property(weights, past, (three, history) => {
        const schedule = newSchedule(shares(1, 0, three));
        for (const lanes of history) take(schedule, readiness(...lanes), 5);
        const counts = take(schedule, readiness(...shared), 5_000);
        const sum = three[0] + three[1] + three[2];
        for (const [index, lane] of shared.entries()) {
          expect(Math.abs(counts[lane] / 5_000 - (three[index] as number) / sum)).toBeLessThan(0.02);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a lane whose claims are late now and then keeps its share, while it has work', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 20, maxLength: 60 }), (lapses) => {
        const schedule = newSchedule(shares());
        const busy = readiness(...shared);
        const counts = { emergency: 0, security: 0, transaction: 0, bulk: 0 };
        const run = (ready: Record<LaneName, boolean>, n: number) => {
          for (let i = 0; i < n; i++) {
            const lane = nextLane(schedule, ready) as LaneName;
            charge(schedule, lane, ready, busy);
            counts[lane]++;
          }
        };
        for (const lapse of lapses) {
          run(readiness('transaction', 'bulk'), lapse);
          run(busy, 100);
        }
        const sum = counts.security + counts.transaction + counts.bulk;
        expect(Math.abs(counts.security / sum - 0.6)).toBeLessThan(0.02);
      }),
      { numRuns: 40 },
    );
  });

  test('but no lapse, however long, gives a lane the bind for more than its part of the lapse that is kept', () => {
    const schedule = newSchedule(shares());
    const busy = readiness(...shared);
    take(schedule, busy, 100);
    const without = readiness('transaction', 'bulk');
    for (let i = 0; i < 10_000; i++) charge(schedule, nextLane(schedule, without) as LaneName, without, busy);
    let alone = 0;
    while (nextLane(schedule, busy) === 'security') {
      charge(schedule, 'security', busy);
      alone++;
    }
    expect(alone).toBeLessThanOrEqual(0.6 * LAPSE_PDUS + 4);
  });

  test('the floor keeps security alive at a busy emergency: its part, no more, and none for the others', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 0.5, noNaN: true }), (floor) => {
        const counts = take(newSchedule(shares(1, floor)), readiness(...LANES_BY_URGENCY), 2_000);
        expect(Math.abs(counts.security - 2_000 * floor)).toBeLessThanOrEqual(2);
        expect(counts.transaction + counts.bulk).toBe(0);
      }),
    );
  });

  test('ceiling and floor hold together, whatever lanes come and go', () => {
    const ceilings = fc.double({ min: 0.1, max: 0.99, noNaN: true });
    const floors = fc.double({ min: 0, max: 0.5, noNaN: true });
    const past = fc.array(fc.subarray([...LANES_BY_URGENCY]), { maxLength: 30 });
    fc.assert(
      fc.property(ceilings, floors, past, (ceiling, floor, history) => {
        const schedule = newSchedule(shares(ceiling, floor));
        for (const lanes of history) take(schedule, readiness(...lanes), 7);
        const counts = take(schedule, readiness(...LANES_BY_URGENCY), 2_000);
        expect(counts.emergency / 2_000).toBeLessThanOrEqual(ceiling + 0.01);
        expect(counts.emergency / 2_000).toBeGreaterThanOrEqual(Math.min(ceiling, 1 - floor) - 0.02);
        expect(counts.security / 2_000).toBeGreaterThanOrEqual(floor - 0.02);
        if (1 - ceiling - floor > 0.02) expect(Math.min(counts.transaction, counts.bulk)).toBeGreaterThan(0);
      }),
    );
  });

  test('an emergency that comes between two PDUs goes next, and the lane that it went before loses nothing', () => {
    const schedule = newSchedule(shares());
    const bulk = readiness('bulk', 'security');
    take(schedule, bulk, 33);
    const before = structuredClone(schedule);
    const all = readiness('emergency', 'bulk', 'security');
    expect(nextLane(schedule, all)).toBe('emergency');
    charge(schedule, 'emergency', all);
    expect(nextLane(schedule, bulk)).toBe(nextLane(before, bulk));
    expect(take(schedule, bulk, 700)).toEqual(take(before, bulk, 700));
  });

  test('a ceiling owes nothing for the time when nobody else had work', () => {
    const schedule = newSchedule(shares(0.2));
    take(schedule, readiness('emergency', 'bulk'), 3);
    take(schedule, readiness('emergency'), 500);
    expect(nextLane(schedule, readiness('emergency', 'bulk'))).toBe('emergency');
  });
});
