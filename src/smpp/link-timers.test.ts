import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LinkTimers } from './link-timers.ts';

const timeout = fc.integer({ min: 1, max: 1_000 });
/** 0 turns a timer off. */
const optional = fc.oneof(fc.constant(0), timeout);
const limits = fc.record({
  responseTimeoutMs: timeout,
  enquireLinkMs: optional,
  idleTimeoutMs: optional,
  inactivityMs: optional,
  receiverTimeoutMs: optional,
});
const ago = fc.integer({ min: 0, max: 2_000 });
const maybeAgo = fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), ago);
const NOW = 10_000;
const times = fc.record({
  received: ago,
  answered: ago,
  requested: ago,
  enquired: maybeAgo,
  sent: maybeAgo,
  came: maybeAgo,
});

test('nothing falls due before the wait is over, and something is due, or could be, when it is', () => {
  fc.assert(
    fc.property(limits, times, (given, { received, answered, requested, enquired, sent, came }) => {
      const timers = new LinkTimers(given, NOW);
      timers.receivedAt = NOW - received;
      timers.answeredAt = NOW - answered;
      timers.requestedAt = NOW - requested;
      if (Number.isFinite(enquired)) timers.enquired(7, NOW - enquired);
      const elsewhere = { oldestSentAt: NOW - sent, oldestReceivedAt: NOW - came };
      const due = (now: number): boolean =>
        timers.isSilent(now) ||
        timers.isInactive(now) ||
        timers.shouldEnquire(now) ||
        now - elsewhere.oldestSentAt >= given.responseTimeoutMs ||
        (given.receiverTimeoutMs > 0 && now - elsewhere.oldestReceivedAt >= given.receiverTimeoutMs);
      const wait = timers.waitMs(elsewhere, NOW);
      if (wait > 0) expect(due(NOW + wait - 0.5)).toBe(false);
      const shortest = Math.min(
        ...Object.entries(given).flatMap(([name, ms]) => (ms > 0 && name !== 'inactivityMs' ? [ms] : [])),
      );
      expect(wait).toBeLessThanOrEqual(shortest);
      // What begins in the meantime is not due before: the shortest timeout is enough of a wait.
      expect(due(NOW + wait) || wait === shortest).toBe(true);
    }),
  );
});

test('an answer to enquire_link, or a nack of it, shows that the peer lives; other octets do not', () => {
  const timers = new LinkTimers(
    { responseTimeoutMs: 10, enquireLinkMs: 30, idleTimeoutMs: 0, inactivityMs: 0, receiverTimeoutMs: 0 },
    0,
  );
  expect([timers.shouldEnquire(29), timers.shouldEnquire(30)]).toEqual([false, true]);
  timers.enquired(4, 30);
  timers.receivedAt = 35;
  expect([timers.shouldEnquire(39), timers.isSilent(39), timers.isSilent(40)]).toEqual([false, false, true]);
  timers.enquireAnswered();
  expect([timers.isSilent(40), timers.shouldEnquire(64), timers.shouldEnquire(65)]).toEqual([false, false, true]);
});
