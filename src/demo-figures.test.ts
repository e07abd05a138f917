import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Handover, held, interleaved } from './demo-figures.ts';

const TPS = 100;
const rates = fc.integer({ min: 20, max: 900 });

/** PDUs created at once at `createdAt`, of which one is sent every 1/rate seconds from `from` on. */
function burst(createdAt: number, from: number, rate: number, count: number): Handover[] {
  return Array.from({ length: count }, (_, index) => ({ createdAt, sentAt: from + (index * 1_000) / rate }));
}

describe('PDUs per second while there was backlog', () => {
  test('are the rate of who sends at a constant rate from a backlog', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 3, max: 20 }), (rate, seconds) => {
        const { tps, seconds: measured } = held(burst(0, 0, rate, rate * seconds + TPS), TPS);
        expect(tps).toBeCloseTo(rate, -1);
        expect(Math.abs(tps - rate)).toBeLessThanOrEqual(1);
        expect(measured).toBeCloseTo(seconds, 0);
      }),
    );
  });

  test('do not depend on the order in which the PDUs are given', () => {
    const handover = fc.record({
      createdAt: fc.integer({ min: 0, max: 9_000 }),
      wait: fc.integer({ min: 0, max: 9_000 }),
    });
    fc.assert(
      fc.property(
        fc.array(handover, { minLength: 2, maxLength: 300 }),
        fc.integer({ min: 1, max: 50 }),
        (list, tps) => {
          const all = list.map(({ createdAt, wait }) => ({ createdAt, sentAt: createdAt + wait }));
          expect(held(all.toReversed(), tps)).toEqual(held(all, tps));
        },
      ),
    );
  });

  test('never count a PDU twice, nor time outside the first creation and the last PDU', () => {
    const handover = fc.record({
      createdAt: fc.integer({ min: 0, max: 9_000 }),
      wait: fc.integer({ min: 0, max: 9_000 }),
    });
    fc.assert(
      fc.property(fc.array(handover, { maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (list, tps) => {
        const result = held(
          list.map(({ createdAt, wait }) => ({ createdAt, sentAt: createdAt + wait })),
          tps,
        );
        expect(result.tps * result.seconds).toBeLessThanOrEqual(list.length + 0.1 * result.seconds);
        expect(result.seconds).toBeLessThanOrEqual(18);
      }),
    );
  });

  test('leave out the time in which nothing waited', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 600 }), (rate, idleSeconds) => {
        const count = rate * 4 + TPS;
        const second = (count * 1_000) / rate + idleSeconds * 1_000;
        const both = held([...burst(0, 0, rate, count), ...burst(second, second, rate, count)], TPS);
        expect(Math.abs(both.tps - rate)).toBeLessThanOrEqual(1);
        expect(both.seconds).toBeCloseTo(8, 0);
      }),
    );
  });

  test('leave out a trickle that is sent as it comes', () => {
    const trickle = Array.from({ length: 1_000 }, (_, index) => ({ createdAt: index * 50, sentAt: index * 50 + 5 }));
    expect(held(trickle, TPS)).toEqual({ tps: 0, seconds: 0 });
    const busy = burst(60_000, 60_000, TPS, TPS * 6);
    expect(held([...trickle, ...busy], TPS).tps).toBeCloseTo(TPS, 0);
  });

  test('count a stall against the bind while PDUs waited', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 100, max: 5_000 }), (rate, stallMs) => {
        const before = burst(0, 0, rate, rate * 5);
        const after = burst(0, 5_000 + stallMs, rate, rate * 5 + TPS);
        const { tps, seconds } = held([...before, ...after], TPS);
        expect(seconds).toBeCloseTo(10 + stallMs / 1_000, 0);
        expect(Math.abs(tps - (rate * 10) / (10 + stallMs / 1_000))).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('count a late start against the bind', () => {
    expect(held(burst(0, 2_000, TPS, TPS * 11), TPS).tps).toBeCloseTo((TPS * 10) / 12, 0);
  });

  test('are not bettered by a backlog that comes and goes around the threshold', () => {
    // A PDU is created halfway between two sends, so the backlog is TPS for half of the time only.
    const around = Array.from({ length: TPS * 20 }, (_, index) => ({
      createdAt: Math.max(0, (index - TPS + 1) * 10 - 5),
      sentAt: index * 10,
    }));
    expect(held(around, TPS).tps).toBeLessThanOrEqual(TPS + 1);
  });

  test('are nothing where nothing was sent', () => {
    expect(held([], TPS)).toEqual({ tps: 0, seconds: 0 });
  });
});

test('PDUs of other lanes between the first and the last emergency are interleaved', () => {
  const submits = [1, 3, 1, 3, 3, 1].map((priorityFlag, time) => ({
    time,
    account: 'a',
    delivery: time,
    segment: 1,
    messageId: 'x',
    priorityFlag,
  }));
  expect(interleaved(submits)).toBe(1);
  expect(interleaved(submits.filter(({ priorityFlag }) => priorityFlag === 1))).toBe(0);
});
