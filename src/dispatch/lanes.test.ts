import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LaneName } from '../policy/index.ts';
import { charge, LANES_BY_URGENCY, type LaneSchedule, newSchedule, nextLane } from './lanes.ts';

const shares = (ceiling = 1) => ({
  emergency: { weight: 1, ceiling },
  security: { weight: 6, ceiling: 1 },
  transaction: { weight: 3, ceiling: 1 },
  bulk: { weight: 1, ceiling: 1 },
});
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
});
