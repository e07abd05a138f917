import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CarrierPolicy, LanePolicy } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { endOfAttempt } from './attempt-end.ts';
import type { Item } from './types.ts';

const NOW = 1_800_000_000_000;
const THROTTLED = 0x58;
const QUEUE_FULL = 0x14;

const lane = fc.record({
  minRemainingMs: fc.integer({ min: 0, max: 10_000 }),
  inDoubt: fc.constantFrom('resend', 'hold'),
  retry: fc.record({
    budget: fc.integer({ min: 1, max: 5 }),
    firstMs: fc.integer({ min: 100, max: 5_000 }),
    factor: fc.integer({ min: 1, max: 3 }),
    maxMs: fc.integer({ min: 5_000, max: 60_000 }),
  }),
});
const carrier = fc.record({
  receipts: fc.constantFrom('none', 'final'),
  doubtWaitMs: fc.constantFrom(0, 30_000),
  unknownStatusAttempts: fc.integer({ min: 1, max: 3 }),
  statuses: fc.constant(new Map()),
});
const item = fc.record({
  worst: fc.constantFrom(0, 1, 2, 3, 4),
  worstStatus: fc.constantFrom(null, THROTTLED, QUEUE_FULL, 0x400),
  taken: fc.boolean(),
  onwards: fc.constantFrom(null, 'second'),
  expiresAt: fc.integer({ min: NOW - 10_000, max: NOW + 100_000 }),
  chunk: fc.record({ attempt: fc.integer({ min: 1, max: 6 }), possibleDuplicate: fc.boolean() }),
});

test('an attempt ends in one way, and goes on only within budget and validity', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(item, lane, carrier, (given, policy, by) => {
      const end = endOfAttempt(
        given as unknown as Item,
        policy as unknown as LanePolicy,
        by as unknown as CarrierPolicy,
        NOW,
      );
      kinds.add(`${given.worst} ${end.kind}`);
      const { attempt, possibleDuplicate } = given.chunk;
      if (given.worst <= 1) expect(end.kind).toBe(by.receipts === 'none' ? 'final' : 'open');
      // Nothing that a carrier may have goes out by another, and nothing that was refused for good by the same.
      if (end.kind === 'onwards') {
        expect([given.worst, given.taken, end.route]).toEqual([4, false, given.onwards]);
        expect(attempt).toBeLessThan(policy.retry.budget);
        expect(given.expiresAt - NOW).toBeGreaterThanOrEqual(policy.minRemainingMs);
      }
      if (end.kind === 'again' && given.worst === 2) {
        expect(attempt).toBeLessThan(policy.retry.budget);
        expect(end.due).toBeGreaterThan(NOW);
        expect(given.expiresAt - end.due).toBeGreaterThanOrEqual(policy.minRemainingMs);
        expect(end.possibleDuplicate).toBe(possibleDuplicate);
      }
      // In doubt it is sent again once at most, and then marked.
      if (end.kind === 'again' && given.worst === 3)
        expect([policy.inDoubt, possibleDuplicate, end.possibleDuplicate]).toEqual(['resend', false, true]);
      if (end.kind === 'final' && given.worst === 3) expect(end.state).toBe(FINAL.unknown);
      if (end.kind === 'final' && (given.worst === 2 || given.worst === 4)) {
        expect(end.state).toBe(FINAL.failed);
        expect(end.cause).toMatch(/refused|retries used up|partly-sent/);
      }
    }),
    { numRuns: 2_000 },
  );
  expect([...kinds].sort()).toEqual([
    '0 final',
    '0 open',
    '1 final',
    '1 open',
    '2 again',
    '2 final',
    '3 again',
    '3 final',
    '3 open',
    '4 final',
    '4 onwards',
  ]);
});
