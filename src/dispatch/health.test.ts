import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BindHealth, SAMPLES_MIN, weakBinds } from './health.ts';

const START = 1_764_000_000_000;
const MINUTE_MS = 60_000;

interface Rate {
  perSecond: number;
  /** Of a hundred, how many fail, and of how many no receipt comes. */
  failed?: number;
  silent?: number;
  delayMs?: number;
}

/** Sends at this rate for so long, from `from` on; receipts come in the order of their time. @returns when it ended. */
function send(health: BindHealth, from: number, forMs: number, rate: Rate): number {
  const { perSecond, failed = 0, silent = 0, delayMs = 2_000 } = rate;
  const waiting: { sentAt: number; ok: boolean; at: number }[] = [];
  let n = 0;
  for (let at = from; at < from + forMs; at += 1_000) {
    for (let i = 0; i < perSecond; i++) {
      health.answered(at, 'taken');
      const lot = (n++ * 37) % 100;
      if (lot >= silent) waiting.push({ sentAt: at, ok: lot >= silent + failed, at: at + delayMs });
    }
    while (waiting[0] !== undefined && waiting[0].at <= at) {
      const { sentAt, ok, at: receivedAt } = waiting.shift() as (typeof waiting)[number];
      health.receipt(sentAt, ok, receivedAt);
    }
    health.excess(at);
  }
  for (const { sentAt, ok, at } of waiting) health.receipt(sentAt, ok, at);
  return from + forMs;
}

const weakOf = (healths: readonly BindHealth[], now: number, before: readonly number[] = []): number[] => {
  const excesses = new Map(healths.map((health, index) => [String(index), health.excess(now)]));
  return [...weakBinds(excesses, new Set(before.map(String)))].map(Number);
};

describe('a bind steps back', () => {
  test('when more of it fails than is usual for it, within two minutes, and returns when it is well again', () => {
    const [a, b] = [new BindHealth('all'), new BindHealth('all')];
    let now = START;
    for (const health of [a, b]) send(health, now, 10 * MINUTE_MS, { perSecond: 10, failed: 5 });
    now += 10 * MINUTE_MS;
    expect(weakOf([a, b], now)).toEqual([]);
    send(a, now, 2 * MINUTE_MS, { perSecond: 10, failed: 60 });
    now = send(b, now, 2 * MINUTE_MS, { perSecond: 10, failed: 5 });
    expect(weakOf([a, b], now)).toEqual([0]);
    send(a, now, 5 * MINUTE_MS, { perSecond: 10, failed: 5 });
    now = send(b, now, 5 * MINUTE_MS, { perSecond: 10, failed: 5 });
    expect(weakOf([a, b], now, [0])).toEqual([]);
  });

  test('when receipts no longer come, though every answer says that all is well', () => {
    const [a, b] = [new BindHealth('all'), new BindHealth('all')];
    for (const health of [a, b]) send(health, START, 10 * MINUTE_MS, { perSecond: 10 });
    send(a, START + 10 * MINUTE_MS, 2 * MINUTE_MS, { perSecond: 10, silent: 100 });
    const now = send(b, START + 10 * MINUTE_MS, 2 * MINUTE_MS, { perSecond: 10 });
    expect(weakOf([a, b], now)).toEqual([0]);
  });

  test('when answers refuse for now, at a carrier without receipts', () => {
    const [a, b] = [new BindHealth('none'), new BindHealth('none')];
    const run = (health: BindHealth, from: number, bad: number): void => {
      for (let n = 0; n < 3_000; n++) health.answered(from + n * 40, n % 10 < bad ? 'failed' : 'taken');
    };
    for (const health of [a, b]) run(health, START, 0);
    const later = START + 120_000;
    expect(weakOf([a, b], later)).toEqual([]);
    run(a, later, 8);
    run(b, later, 0);
    expect(weakOf([a, b], later + 130_000)).toEqual([0]);
  });
});

describe('a bind does not step back', () => {
  test('for what it always was like', () => {
    const [a, b] = [new BindHealth('all'), new BindHealth('all')];
    send(a, START, 20 * MINUTE_MS, { perSecond: 10, failed: 40, silent: 20 });
    const now = send(b, START, 20 * MINUTE_MS, { perSecond: 10 });
    expect(weakOf([a, b], now)).toEqual([]);
  });

  test('for some bad seconds in a good minute', () => {
    const [a, b] = [new BindHealth('all'), new BindHealth('all')];
    for (const health of [a, b]) send(health, START, 5 * MINUTE_MS, { perSecond: 20 });
    let now = START + 5 * MINUTE_MS;
    send(a, now, 5_000, { perSecond: 20, failed: 100 });
    send(b, now, 5_000, { perSecond: 20 });
    now += 5_000;
    for (const health of [a, b]) send(health, now, 30_000, { perSecond: 20 });
    expect(weakOf([a, b], now + 30_000)).toEqual([]);
  });

  test('on few samples, however bad', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: SAMPLES_MIN.recent - 1 }), (samples) => {
        const [a, b] = [new BindHealth('all'), new BindHealth('all')];
        for (let n = 0; n < samples; n++) a.answered(START + n, 'failed');
        expect(weakOf([a, b], START + 5 * MINUTE_MS)).toEqual([]);
      }),
    );
  });

  test('when all are alike, whatever happens to them', () => {
    const phase = fc.record({
      perSecond: fc.integer({ min: 1, max: 20 }),
      failed: fc.integer({ min: 0, max: 100 }),
      delayMs: fc.integer({ min: 0, max: 20_000 }),
    });
    fc.assert(
      fc.property(fc.array(phase, { minLength: 1, maxLength: 6 }), fc.integer({ min: 2, max: 4 }), (phases, count) => {
        const healths = Array.from({ length: count }, () => new BindHealth('all'));
        let now = START;
        let before: number[] = [];
        for (const rate of phases) {
          for (const health of healths) send(health, now, MINUTE_MS, rate);
          now += MINUTE_MS;
          before = weakOf(healths, now, before);
          expect(before).toEqual([]);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('as the last of its route', () => {
    const excess = fc.option(fc.double({ min: -1, max: 1, noNaN: true }));
    fc.assert(
      fc.property(fc.array(fc.tuple(excess, fc.boolean()), { minLength: 1, maxLength: 6 }), (binds) => {
        const excesses = new Map(binds.map(([value], index) => [String(index), value]));
        const before = new Set(binds.flatMap(([, was], index) => (was ? [String(index)] : [])));
        expect(weakBinds(excesses, before).size).toBeLessThan(binds.length);
      }),
    );
  });
});
