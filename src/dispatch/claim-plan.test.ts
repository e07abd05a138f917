import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LaneName } from '../policy/index.ts';
import { type ClaimState, planClaims } from './claim-plan.ts';
import { LANES_BY_URGENCY, perLane } from './lanes.ts';

const WEIGHTS = { emergency: 0, security: 6, transaction: 3, bulk: 1 };
const state = (lanes: Partial<Record<LaneName, Partial<ClaimState>>>): Record<LaneName, ClaimState> =>
  perLane((lane) => ({ weight: WEIGHTS[lane], pass: 0, ready: 0, ahead: 0, waiting: 0, ...lanes[lane] }));
const sum = (plan: Record<LaneName, number>) => LANES_BY_URGENCY.reduce((all, lane) => all + plan[lane], 0);

const lane = fc.record({
  ready: fc.integer({ min: 0, max: 500 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  waiting: fc.integer({ min: 0, max: 5_000 }),
});
const lanes = fc.record({ emergency: lane, security: lane, transaction: lane, bulk: lane });

describe('what is claimed', () => {
  test('never exceeds K, leaves a tenth of it to emergency, and is never more than waits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000 }), fc.nat(5_000), lanes, (limit, undecided, drawn) => {
        const states = perLane((name) => {
          const { ready, share, waiting } = drawn[name];
          return { weight: WEIGHTS[name], pass: 0, ready, ahead: Math.floor(ready * share), waiting };
        });
        const plan = planClaims(limit, undecided, states);
        expect(sum(plan)).toBeLessThanOrEqual(Math.max(0, limit - undecided));
        const others = sum(plan) - plan.emergency;
        const reserve = limit > 1 ? Math.max(1, Math.floor(limit / 10)) : 0;
        if (others > 0) expect(undecided + sum(plan)).toBeLessThanOrEqual(limit - reserve);
        for (const name of LANES_BY_URGENCY) {
          expect(plan[name]).toBeGreaterThanOrEqual(0);
          expect(plan[name]).toBeLessThanOrEqual(states[name].waiting);
        }
      }),
    );
  });

  test('leaves half of K to emergency for some time after one, with what that has', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4_000 }), lanes, fc.nat(4_000), (limit, drawn, more) => {
        const states = perLane((name) => {
          const { ready, share, waiting } = drawn[name];
          return { weight: WEIGHTS[name], pass: 0, ready, ahead: Math.floor(ready * share), waiting };
        });
        const { ready } = states.emergency;
        const undecided = ready + more;
        const plan = planClaims(limit, undecided, states, true);
        const others = sum(plan) - plan.emergency;
        // What is on its way of emergency counts for nobody here: others have less, never more.
        if (others > 0) expect(more + others).toBeLessThanOrEqual(Math.max(limit / 2, limit - ready - plan.emergency));
        expect(plan.emergency).toBe(planClaims(limit, undecided, states).emergency);
      }),
    );
    const all = state({ emergency: { waiting: 0 }, bulk: { waiting: 999 } });
    expect(planClaims(200, 0, all, true).bulk).toBe(100);
    expect(planClaims(200, 100, all, true).bulk).toBe(0);
    expect(planClaims(200, 60, all, true).bulk).toBe(40);
  });

  test('is something whenever something waits and nothing is claimed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4_000 }),
        fc.subarray([...LANES_BY_URGENCY], { minLength: 1 }),
        (limit, some) => {
          const states = state(Object.fromEntries(some.map((name) => [name, { waiting: 9 }])));
          expect(sum(planClaims(limit, 0, states))).toBeGreaterThan(0);
          expect(sum(planClaims(limit, 0, states, true))).toBeGreaterThan(0);
        },
      ),
    );
  });

  test('follows the weights, so that a lane has claimed for as long as the others', () => {
    const plan = planClaims(
      500,
      0,
      state({ security: { waiting: 999 }, transaction: { waiting: 999 }, bulk: { waiting: 999 } }),
    );
    expect(plan).toEqual({ emergency: 0, security: 250, transaction: 135, bulk: 45 });
  });

  test('is shared by the lanes in proportion when K leaves too little, and the last one goes to whose turn it is', () => {
    const waiting = (passes: [number, number, number]) =>
      state({
        security: { waiting: 999, pass: passes[0] },
        transaction: { waiting: 999, pass: passes[1] },
        bulk: { waiting: 999, pass: passes[2] },
      });
    const plan = planClaims(500, 407, waiting([0, 0, 0]));
    expect(plan).toEqual({ emergency: 0, security: 26, transaction: 13, bulk: 4 });
    // K of a bind at one a second: no lane starves.
    expect(planClaims(1, 0, waiting([5, 3, 4]))).toEqual({ emergency: 0, security: 0, transaction: 1, bulk: 0 });
    expect(planClaims(1, 0, waiting([5, 6, 4]))).toEqual({ emergency: 0, security: 0, transaction: 0, bulk: 1 });
  });

  test('waits until half of the part is used, but not for what goes before all that is claimed', () => {
    const behind = state({ emergency: { ready: 200, ahead: 200, waiting: 999 } });
    expect(planClaims(500, 200, behind).emergency).toBe(0);
    const before = state({ emergency: { ready: 200, ahead: 0, waiting: 100 } });
    expect(planClaims(500, 200, before).emergency).toBe(100);
  });
});
