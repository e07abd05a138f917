/**
 * Receipts as they come in from the binds: matched, written, and only then answered with status 0.
 *
 * If the commit takes longer than a second the SMSC gets the carrier's busy status and delivers again later; the second
 * copy is recorded as a duplicate.
 */
import { type Clock, type EpochMs, type Pool, utcDay } from '../platform/index.ts';
import type { Journal } from '../records/index.ts';
import type { BindCounts } from './counts.ts';
import type { IdStock } from './extras.ts';
import { applyReceipt, findSubmissions, type Match, openUnmatched, type ReceiptIndex } from './receipts.ts';
import type { DispatchExtra } from './types.ts';

export interface Receipt {
  messageId: string;
  /** SMPP message_state, 0 when unreadable. */
  state: number;
  error: string | null;
}

export interface ReceiptDeskOptions {
  bind: number;
  horizonDays: number;
  busyStatus: number;
  clock: Clock;
  pool: Pool;
  journal: Journal<DispatchExtra>;
  index: ReceiptIndex;
  ids: IdStock;
  counts: BindCounts;
  onTrouble: (error: unknown) => void;
}

interface Waiting {
  id: number;
  receipt: Receipt;
  receivedAt: EpochMs;
  arrived: number;
  respond: ((status: number) => void) | null;
}

/** How long a receipt waits for its submit_sm_resp before the database is asked. */
const EARLY_MS = 200;
const ANSWER_WITHIN_MS = 1_000;
const LOOKUP_MAX = 1_000;
const DAY_MS = 86_400_000;

export class ReceiptDesk {
  readonly #o: ReceiptDeskOptions;
  readonly #early = new Map<string, Waiting[]>();
  readonly #unanswered = new Set<Waiting>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #lastUnmatched = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ReceiptDeskOptions) {
    this.#o = options;
    this.#timer = setInterval(() => this.#tick(), 50);
  }

  /** A receipt has come; `respond` is called exactly once, bounded in time. */
  take(receipt: Receipt, respond: (status: number) => void): void {
    if (this.#closed || this.#o.ids.left < 1_000) {
      this.#o.counts.receiptsBusy++;
      respond(this.#o.busyStatus);
      return;
    }
    this.#o.counts.receipt(receipt.state);
    const waiting: Waiting = {
      id: this.#o.ids.next(),
      receipt,
      receivedAt: this.#o.clock.now(),
      arrived: this.#o.clock.monotonic(),
      respond,
    };
    this.#unanswered.add(waiting);
    const match = this.#o.index.find(this.#o.bind, receipt.messageId);
    if (match !== undefined) this.#write(waiting, match);
    else {
      const list = this.#early.get(receipt.messageId);
      if (list === undefined) this.#early.set(receipt.messageId, [waiting]);
      else list.push(waiting);
    }
  }

  /** A submission with this message id has landed in the index. */
  landed(messageId: string): void {
    const list = this.#early.get(messageId);
    if (list === undefined) return;
    const match = this.#o.index.find(this.#o.bind, messageId);
    if (match === undefined) return;
    this.#early.delete(messageId);
    for (const waiting of list) this.#write(waiting, match);
  }

  /** Receipts not yet answered. */
  get open(): number {
    return this.#unanswered.size;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const waiting of this.#unanswered) this.#answer(waiting, this.#o.busyStatus);
  }

  #write(waiting: Waiting, match: Match): void {
    const { track, attempt, segment } = match;
    const { receipt } = waiting;
    const { final, duplicate } = applyReceipt(track, segment, receipt.state);
    if (track.final !== null && track.finals.size >= track.segments)
      this.#o.index.drop(this.#o.bind, receipt.messageId);
    this.#o.journal.add(track.shard, {
      receipt: {
        day: track.day,
        delivery: track.delivery,
        id: waiting.id,
        attempt,
        segment,
        bind: this.#o.bind,
        state: receipt.state,
        error: receipt.error,
        duplicate,
        receivedAt: waiting.receivedAt,
      },
      ...(final === null
        ? {}
        : {
            final: {
              day: track.day,
              delivery: track.delivery,
              state: final,
              cause: receipt.error,
              at: waiting.receivedAt,
            },
            day: track.day,
            ...(track.counted ? { alert: track.alert } : {}),
            ...(track.secretBody === null ? {} : { secretBody: track.secretBody }),
          }),
      durable: () => this.#answer(waiting, 0),
    });
  }

  #answer(waiting: Waiting, status: number): void {
    this.#unanswered.delete(waiting);
    const respond = waiting.respond;
    waiting.respond = null;
    respond?.(status);
  }

  #tick(): void {
    const now = this.#o.clock.monotonic();
    // In order of arrival: the first that is young ends the look.
    for (const waiting of this.#unanswered) {
      if (now - waiting.arrived < ANSWER_WITHIN_MS) break;
      this.#o.counts.receiptsBusy++;
      this.#answer(waiting, this.#o.busyStatus);
    }
    if (this.#looking) return;
    this.#looking = true;
    void this.#lookUp(now)
      .catch(this.#o.onTrouble)
      .finally(() => {
        this.#looking = false;
      });
  }

  async #lookUp(now: number): Promise<void> {
    const due: string[] = [];
    for (const [messageId, [first]] of this.#early) {
      if (first === undefined || now - first.arrived < EARLY_MS || due.length >= LOOKUP_MAX) break;
      due.push(messageId);
    }
    if (due.length > 0) {
      const found = await findSubmissions(this.#o.pool, this.#o.bind, due, this.#sinceDay());
      for (const messageId of due) {
        const list = this.#early.get(messageId) ?? [];
        this.#early.delete(messageId);
        const match = this.#o.index.find(this.#o.bind, messageId) ?? found.get(messageId);
        for (const waiting of list) {
          if (match !== undefined) this.#write(waiting, match);
          else this.#writeUnmatched(waiting);
        }
      }
    }
    if (now - this.#lastUnmatched > 2_000) {
      this.#lastUnmatched = now;
      await this.#retryUnmatched();
    }
  }

  #writeUnmatched(waiting: Waiting): void {
    const { receipt } = waiting;
    this.#o.counts.receiptsUnmatched++;
    this.#o.journal.add(waiting.id, {
      unmatched: {
        day: utcDay(waiting.receivedAt),
        id: waiting.id,
        bind: this.#o.bind,
        messageId: receipt.messageId,
        state: receipt.state,
        error: receipt.error,
        receivedAt: waiting.receivedAt,
      },
      durable: () => this.#answer(waiting, 0),
    });
  }

  /** Receipts of which the submission has landed since. */
  async #retryUnmatched(): Promise<void> {
    const open = await openUnmatched(this.#o.pool, this.#o.bind, this.#sinceDay(), LOOKUP_MAX);
    if (open.length === 0) return;
    const found = await findSubmissions(
      this.#o.pool,
      this.#o.bind,
      open.map((row) => row.messageId),
      this.#sinceDay(),
    );
    for (const row of open) {
      const match = found.get(row.messageId);
      if (match === undefined) continue;
      const receipt = { messageId: row.messageId, state: row.state, error: row.error };
      this.#write({ id: row.id, receipt, receivedAt: row.receivedAt, arrived: 0, respond: null }, match);
    }
  }

  #sinceDay(): string {
    return utcDay(this.#o.clock.now() - this.#o.horizonDays * DAY_MS);
  }
}
