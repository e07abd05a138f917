import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Status } from '../smpp/index.ts';
import { zeroFiredStats } from './faults.ts';
import { accountSchema } from './options.ts';
import { type Receipt, type ReceiptSession, ReceiptStore } from './receipts.ts';
import { zeroReceiptStats } from './stats.ts';

class FakeSession implements ReceiptSession {
  readonly unanswered = new Map<number, Receipt>();
  readonly delivered: string[] = [];
  deliverable = true;
  #sequence = 0;

  deliver(receipt: Receipt): number {
    if ('message' in receipt.content) this.delivered.push(receipt.content.messageId);
    this.#sequence += 1;
    return this.#sequence;
  }
}

function storeOf(options: Partial<ReturnType<typeof accountSchema.parse>['receipts']> = {}) {
  const stats = zeroReceiptStats();
  const fired = zeroFiredStats();
  const { receipts } = accountSchema.parse({ systemId: 'bank', receipts: options });
  return { store: new ReceiptStore(receipts, stats, fired), stats, fired };
}

function receiptOf(messageId: string, dueUs: number, origin: ReceiptSession | null = null): Receipt {
  const message = {
    id: messageId,
    receiptId: messageId,
    serviceType: '',
    sourceTon: 5,
    sourceNpi: 0,
    sourceAddr: 'BANK',
    destTon: 1,
    destNpi: 1,
    destAddr: '447700900123',
    submittedAtMs: 0,
    stat: 'DELIVRD' as const,
    error: '000',
    finalUs: dueUs,
    finalMs: 0,
  };
  return {
    content: { message, messageId, stat: null, intermediate: false },
    origin,
    dueUs,
    sentUs: 0,
    tries: 0,
  };
}

const ms = 1_000;

describe('receipts', () => {
  test('leave when their delay is over, not before', () => {
    const { store } = storeOf({ delayMs: 100 });
    const session = new FakeSession();
    store.attach(session);
    store.add(receiptOf('a', 100 * ms), 0);
    store.pump(99 * ms);
    expect(session.delivered).toEqual([]);
    expect(store.nextUs).toBe(100 * ms);
    store.pump(100 * ms);
    expect(session.delivered).toEqual(['a']);
  });

  test('go back over the session that brought the message, or any other that can receive', () => {
    const { store } = storeOf();
    const [first, second] = [new FakeSession(), new FakeSession()];
    store.attach(first);
    store.attach(second);
    for (let i = 0; i < 4; i += 1) store.add(receiptOf(`s${i}`, 0, second), 0);
    expect(second.delivered).toHaveLength(4);
    second.deliverable = false;
    store.add(receiptOf('other', 0, second), 0);
    expect(first.delivered).toEqual(['other']);
  });

  test('wait for a free place in the window of unanswered deliver_sm', () => {
    const { store } = storeOf({ window: 2 });
    const session = new FakeSession();
    store.attach(session);
    for (const id of ['a', 'b', 'c']) store.add(receiptOf(id, 0), 0);
    expect(session.delivered).toEqual(['a', 'b']);
    store.answered(session, 1, Status.ok, 1);
    expect(session.delivered).toEqual(['a', 'b', 'c']);
  });

  test('are delivered again when no answer came in time, and an answer that comes later is a stray', () => {
    const { store, stats } = storeOf({ redeliverAfterMs: 80 });
    const session = new FakeSession();
    store.attach(session);
    store.add(receiptOf('a', 0), 0);
    for (let now = 0; now <= 100 * ms; now += 10 * ms) store.pump(now);
    expect(session.delivered).toEqual(['a', 'a']);
    store.answered(session, 1, Status.ok, 101 * ms);
    expect(stats).toMatchObject({ sent: 2, redelivered: 1, strayAnswers: 1, answered: 0 });
    store.answered(session, 2, Status.ok, 102 * ms);
    expect(stats.answered).toBe(1);
    expect(store.unanswered).toBe(0);
  });

  test('are delivered again after a pause when refused for now, and not at all when refused for good', () => {
    const { store, stats } = storeOf({ redeliverAfterMs: 80 });
    const session = new FakeSession();
    store.attach(session);
    store.add(receiptOf('now', 0), 0);
    store.add(receiptOf('good', 0), 0);
    store.answered(session, 1, Status.receiverTemporary, 0);
    store.answered(session, 2, Status.receiverPermanent, 0);
    store.pump(79 * ms);
    expect(session.delivered).toEqual(['now', 'good']);
    store.pump(80 * ms);
    expect(session.delivered).toEqual(['now', 'good', 'now']);
    expect(stats).toMatchObject({ refusedTemporary: 1, refusedPermanent: 1, redelivered: 1 });
  });

  test('left unanswered by a lost session go out again on the next one', () => {
    const { store, stats } = storeOf();
    const lost = new FakeSession();
    store.attach(lost);
    store.add(receiptOf('a', 0, lost), 0);
    lost.deliverable = false;
    store.detach(lost);
    expect(store.waiting).toBe(1);
    const next = new FakeSession();
    store.attach(next);
    store.pump(1);
    expect(next.delivered).toEqual(['a']);
    expect(stats.redelivered).toBe(1);
  });

  test('held back leave on release, redeliveries of lost sessions among them', () => {
    const { store, fired } = storeOf();
    const session = new FakeSession();
    store.attach(session);
    store.add(receiptOf('sent', 0), 0);
    store.hold();
    store.add(receiptOf('a', 0), 0);
    store.detach(session);
    const next = new FakeSession();
    store.attach(next);
    store.pump(1);
    expect(next.delivered).toEqual([]);
    expect(store.held).toBe(2);
    expect(store.release(2)).toBe(2);
    expect(next.delivered).toEqual(['a', 'sent']);
    expect(fired.holdReceipts).toBe(2);
  });

  test('are given up after their last redelivery', () => {
    const { store, stats } = storeOf({ redeliveries: 2, redeliverAfterMs: 8 });
    const session = new FakeSession();
    store.attach(session);
    store.add(receiptOf('a', 0), 0);
    for (let now = 0; now <= 200 * ms; now += ms) store.pump(now);
    expect(session.delivered).toHaveLength(3);
    expect(stats.givenUp).toBe(1);
    expect(store.unanswered + store.waiting).toBe(0);
    expect(store.nextUs).toBe(Number.POSITIVE_INFINITY);
  });

  test('beyond the store are dropped and counted', () => {
    const { store, stats } = storeOf({ store: 3 });
    for (let i = 0; i < 5; i += 1) store.add(receiptOf(`${i}`, 0), 0);
    expect(store.waiting).toBe(3);
    expect(stats).toMatchObject({ created: 5, dropped: 2 });
  });

  test('are never lost nor answered twice, whatever happens to sessions', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), delayMs: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ kind: fc.constant('answer' as const), status: fc.constantFrom(0, 0x64, 0x58) }),
      fc.record({ kind: fc.constantFrom('lose' as const, 'bind' as const, 'hold' as const, 'release' as const) }),
      fc.record({ kind: fc.constant('wait' as const), forMs: fc.integer({ min: 1, max: 40 }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        const { store, stats } = storeOf({ redeliverAfterMs: 50, redeliveries: 1_000, window: 3 });
        const sessions: FakeSession[] = [];
        let now = 0;
        let added = 0;
        for (const step of events) {
          switch (step.kind) {
            case 'add':
              added += 1;
              store.add(receiptOf(`${added}`, now + step.delayMs * ms, sessions[0] ?? null), now);
              break;
            case 'answer':
              for (const session of sessions.slice(0, 1)) {
                for (const sequence of [...session.unanswered.keys()].slice(0, 1)) {
                  store.answered(session, sequence, step.status, now);
                }
              }
              break;
            case 'lose': {
              const session = sessions.shift();
              if (session === undefined) break;
              session.deliverable = false;
              store.detach(session);
              break;
            }
            case 'bind': {
              const session = new FakeSession();
              sessions.push(session);
              store.attach(session);
              break;
            }
            case 'hold':
              store.hold();
              break;
            case 'release':
              store.release(now);
              break;
            case 'wait':
              now += step.forMs * ms;
              store.pump(now);
              break;
            default:
              step satisfies never;
          }
          expect(store.waiting + store.held + store.unanswered + stats.answered).toBe(added);
          expect(store.unanswered).toBe(sessions.reduce((sum, session) => sum + session.unanswered.size, 0));
          for (const session of sessions) expect(session.unanswered.size).toBeLessThanOrEqual(3);
        }
        // With a session that answers everything, all of them arrive in the end.
        const last = new FakeSession();
        store.attach(last);
        store.release(now);
        for (let turn = 0; turn < 2_000 && stats.answered < added; turn += 1) {
          now += 10 * ms;
          store.pump(now);
          for (const session of [last, ...sessions]) {
            for (const sequence of [...session.unanswered.keys()]) store.answered(session, sequence, Status.ok, now);
          }
        }
        expect(stats.answered).toBe(added);
      }),
      { numRuns: 300 },
    );
  });
});
