import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CarrierPolicy, loadPolicies } from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { ReadyQueue } from './ready-queue.ts';
import { comesAgainAt, type SideLimit, SideLimits } from './side-limits.ts';
import { Throttle } from './throttle.ts';
import type { HeldChunk, Item } from './types.ts';

const demo = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL).carriers['demo-a'] as CarrierPolicy;

function limitsOf(senders: [string, number][], prefixes: [string, number][], claimLimit = 800): SideLimits {
  const carrier = { ...demo, senderLimits: new Map(senders), prefixLimits: new Map(prefixes) };
  return new SideLimits(carrier, { tps: 1_000, guardMs: 20 }, claimLimit, 0);
}

let ids = 0;
function items(priority: number, count: number, sender: string | null = null, msisdn = '+12015550100'): Item[] {
  const chunk = { id: ++ids, priority } as HeldChunk;
  return Array.from(
    { length: count },
    (_, position) => ({ chunk, position, sender, msisdn, inFlight: 0, worst: 0, toSend: [1] }) as unknown as Item,
  );
}
const nobody = (): void => {
  throw new Error('nothing was to leave the queue');
};

/** Sends what the queue gives until `ms`, a millisecond apart; what finds the parking full comes back by itself. */
function drive(
  queue: ReadyQueue,
  limits: SideLimits,
  ms: number,
  gone: (item: Item, limit: SideLimit) => void = nobody,
) {
  const sent: { item: Item; at: number }[] = [];
  for (let now = 2_000; now < 2_000 + ms; now++) {
    const item = queue.head(limits, now, gone);
    if (item === null) continue;
    limits.take(item, now);
    queue.remove(item);
    sent.push({ item, at: now });
  }
  return sent;
}

describe('what is claimed and not yet sent', () => {
  test('leaves in the order of places, whatever order it was claimed in', () => {
    const chunks = fc.array(
      fc.record({ priority: fc.integer({ min: 0, max: 5 }), count: fc.integer({ min: 1, max: 4 }) }),
    );
    fc.assert(
      fc.property(chunks, (drawn) => {
        const queue = new ReadyQueue();
        const all = drawn.map(({ priority, count }) => items(priority, count));
        for (const of of all) queue.add(of);
        const expected = all
          .flat()
          .toSorted(
            (a, b) => b.chunk.priority - a.chunk.priority || a.chunk.id - b.chunk.id || a.position - b.position,
          );
        const left = drive(queue, limitsOf([], []), expected.length);
        expect(left.map(({ item }) => item)).toEqual(expected);
        expect(queue.length).toBe(0);
      }),
    );
  });

  test('what was thrown back goes before all others', () => {
    const queue = new ReadyQueue();
    const [back] = items(1, 1) as [Item];
    queue.add(items(9, 3));
    queue.putBack(back);
    expect(queue.head(limitsOf([], []), 0, nobody)).toBe(back);
  });

  test('a sender without a token holds up nobody else, and takes its turn when it has one', () => {
    const limits = limitsOf([['12345', 10]], []);
    const queue = new ReadyQueue();
    const slow = items(9, 30, '12345');
    const fast = items(1, 500);
    queue.add(slow);
    queue.add(fast);
    const sent = drive(queue, limits, 1_000);
    const bySender = Map.groupBy(sent, ({ item }) => item.sender);
    expect(bySender.get(null)).toHaveLength(500);
    // In the first 600 ms each millisecond is used, the slow ones' tokens included.
    expect(sent.filter(({ at }) => at < 2_500).length).toBe(500);
    const times = (bySender.get('12345') ?? []).map(({ at }) => at);
    expect(times.length).toBeGreaterThanOrEqual(9);
    expect(times.length).toBeLessThanOrEqual(11);
    expect(sent.filter(({ item }) => item.sender !== null).map(({ item }) => item.position)).toEqual(
      times.map((_, n) => n),
    );
  });

  test('sender and all prefixes of a number count, each in every second', () => {
    const limits = limitsOf(
      [['A', 40]],
      [
        ['+44', 20],
        ['+4477', 5],
      ],
    );
    const queue = new ReadyQueue();
    const kinds: [string | null, string][] = [
      ['A', '+447700900001'],
      [null, '+447700900001'],
      ['A', '+442079460000'],
      [null, '+12015550100'],
    ];
    for (let n = 0; n < 20; n++) for (const [sender, msisdn] of kinds) queue.add(items(0, 1, sender, msisdn));
    const sent = drive(queue, limits, 4_000);
    const most = (matches: (item: Item) => boolean): number => {
      const times = sent.filter(({ item }) => matches(item)).map(({ at }) => at);
      return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
    };
    expect(most((item) => item.msisdn.startsWith('+4477'))).toBe(5);
    expect(most((item) => item.msisdn.startsWith('+44'))).toBeLessThanOrEqual(20);
    expect(most((item) => item.sender === 'A')).toBeLessThanOrEqual(40);
    expect(sent.filter(({ item }) => item.msisdn.startsWith('+1'))).toHaveLength(20);
    expect(sent.filter(({ item }) => item.msisdn.startsWith('+4420'))).toHaveLength(20);
  });

  test('what finds the parking full leaves, but not a text that is partly sent; nothing is lost, and memory has a bound', () => {
    const limits = limitsOf([['12345', 1]], [], 80);
    const queue = new ReadyQueue();
    const slow = items(5, 100, '12345');
    const begun = items(4, 1, '12345')[0] as Item;
    begun.worst = 1;
    queue.add(slow);
    queue.add([begun]);
    const gone: Item[] = [];
    const sent = drive(queue, limits, 5, (item) => gone.push(item));
    expect(sent).toHaveLength(1);
    // A tenth of K at most, and the one that has begun.
    expect(queue.length).toBe(11);
    expect([...queue]).toContain(begun);
    expect(new Set([...gone, ...queue, ...sent.map(({ item }) => item)]).size).toBe(101);
    expect(queue.nextAt(2_005)).toBeGreaterThan(2_900);
    expect(queue.take((item) => item === begun)).toEqual([begun]);
    expect(queue.length).toBe(10);
  });
});

test('what comes again is spread as the limit lets it through', () => {
  const limit: SideLimit = {
    throttle: new Throttle({ tps: 5, guardMs: 0 }, 0),
    parkedMax: 10,
    again: { at: 0, inBatch: 0 },
  };
  const times = Array.from({ length: 100 }, () => comesAgainAt(limit, 1_000));
  expect(times[0]).toBeGreaterThanOrEqual(1_000);
  for (const [n, at] of times.entries()) expect(at - (times[0] as number)).toBeCloseTo(Math.floor(n / 10) * 2_000, 6);
});
