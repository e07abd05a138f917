/**
 * The receipts of one account, from the moment a message is accepted until the ESME has answered their deliver_sm.
 *
 * | place        | meaning                                                | leaves for                                  |
 * |--------------|--------------------------------------------------------|---------------------------------------------|
 * | `waiting`    | its delay runs, or its pause after a temporary refusal | `ready`, when due                           |
 * | `held`       | due, while receipts are held back                      | `ready`, on release                         |
 * | `ready`      | due                                                    | a session with room                         |
 * | a session    | deliver_sm sent, no answer yet                         | gone (answered, refused for good);          |
 * |              |                                                        | `waiting` (temporarily refused);            |
 * |              |                                                        | `ready` (no answer in time, session lost)   |
 *
 * Time comes in as an argument; nothing here has a timer or a socket.
 */
import { classify, type DeliverSm } from '../smpp/index.ts';
import type { MessageStat } from './dialects.ts';
import { DueQueue } from './due-queue.ts';
import type { FiredStats } from './faults.ts';
import { Fifo } from './fifo.ts';
import type { Message } from './messages.ts';
import type { Account } from './options.ts';
import type { ReceiptStats } from './stats.ts';

/** One deliver_sm to bring to the ESME: mostly a receipt, now and then a message from a handset. */
export interface Receipt {
  readonly content: ReceiptContent | DeliverSm;
  /** The session that brought the message: its receipt goes back there while it can. */
  origin: ReceiptSession | null;
  dueUs: number;
  sentUs: number;
  /** deliver_sm sent so far. */
  tries: number;
}

export interface ReceiptContent {
  readonly message: Message;
  /** That of the message, or one that nobody was given. */
  readonly messageId: string;
  /** Null = the fate of the message when the receipt leaves: it may be cancelled until then. */
  readonly stat: MessageStat | null;
  /** An intermediate notification (SMPP 3.4 §5.2.12). */
  readonly intermediate: boolean;
}

/** What the store needs of a session. */
export interface ReceiptSession {
  /** deliver_sm without an answer, by sequence_number, in the order of sending. */
  readonly unanswered: Map<number, Receipt>;
  /** Whether another deliver_sm may be written now: bound to receive, open, not backed up. */
  readonly deliverable: boolean;
  /** Writes it as a deliver_sm and returns its sequence_number. */
  deliver(receipt: Receipt): number;
}

export class ReceiptStore {
  readonly #options: Account['receipts'];
  readonly #stats: ReceiptStats;
  readonly #fired: FiredStats;
  readonly #sessions: ReceiptSession[] = [];
  #nextSession = 0;
  readonly #ready = new Fifo<Receipt>();
  readonly #delayed = new DueQueue<Receipt>();
  readonly #refused = new DueQueue<Receipt>();
  readonly #held = new Fifo<Receipt>();
  #holding = false;
  #unanswered = 0;
  #nextSweepUs = Number.POSITIVE_INFINITY;

  constructor(options: Account['receipts'], stats: ReceiptStats, fired: FiredStats) {
    this.#options = options;
    this.#stats = stats;
    this.#fired = fired;
  }

  get waiting(): number {
    return this.#ready.length + this.#delayed.length + this.#refused.length;
  }

  get held(): number {
    return this.#held.length;
  }

  get unanswered(): number {
    return this.#unanswered;
  }

  /** When `pump` has something to do next, on the monotonic clock; infinite when only an event can bring work. */
  get nextUs(): number {
    const delayed = this.#delayed.peek()?.dueUs ?? Number.POSITIVE_INFINITY;
    const refused = this.#refused.peek()?.dueUs ?? Number.POSITIVE_INFINITY;
    return Math.min(delayed, refused, this.#nextSweepUs);
  }

  attach(session: ReceiptSession): void {
    this.#sessions.push(session);
  }

  /** The session is gone: what it left unanswered is due again at once. */
  detach(session: ReceiptSession): void {
    const at = this.#sessions.indexOf(session);
    if (at >= 0) this.#sessions.splice(at, 1);
    this.#unanswered -= session.unanswered.size;
    for (const receipt of session.unanswered.values()) {
      receipt.origin = null;
      this.#again(receipt);
    }
    session.unanswered.clear();
  }

  /** Takes a new receipt, due at `receipt.dueUs`; sends it right away when it may go now. */
  add(receipt: Receipt, nowUs: number): void {
    this.#stats.created += 1;
    if (this.waiting + this.#held.length + this.#unanswered >= this.#options.store) {
      this.#stats.dropped += 1;
      return;
    }
    if (receipt.dueUs > nowUs) {
      this.#delayed.push(receipt);
      return;
    }
    this.#makeReady(receipt);
    if (this.#ready.length > 0) this.#sendReady(nowUs);
  }

  /** Moves what has become due and sends what there is room for. */
  pump(nowUs: number): void {
    this.#moveDue(this.#delayed, nowUs);
    this.#moveDue(this.#refused, nowUs);
    if (nowUs >= this.#nextSweepUs) this.#sweep(nowUs);
    this.#sendReady(nowUs);
  }

  /** The ESME answered one deliver_sm. */
  answered(session: ReceiptSession, sequence: number, status: number, nowUs: number): void {
    const receipt = session.unanswered.get(sequence);
    if (receipt === undefined) {
      this.#stats.strayAnswers += 1;
      return;
    }
    session.unanswered.delete(sequence);
    this.#unanswered -= 1;
    const meaning = classify(status);
    switch (meaning) {
      case 'ok':
        this.#stats.answered += 1;
        break;
      case 'address':
      case 'message':
        this.#stats.refusedPermanent += 1;
        break;
      // The receiver's own trouble says nothing of the receipt.
      case 'bind':
      case 'temporary':
      case 'throttled':
      case 'unknown':
        this.#stats.refusedTemporary += 1;
        if (this.#spent(receipt)) break;
        receipt.dueUs = nowUs + this.#options.redeliverAfterMs * 1000;
        this.#refused.push(receipt);
        break;
      default:
        meaning satisfies never;
    }
    if (this.#ready.length > 0) this.#sendReady(nowUs);
  }

  /** From now on what is not sent yet is kept back as soon as it is due. */
  hold(): void {
    this.#holding = true;
    for (let receipt = this.#ready.shift(); receipt !== undefined; receipt = this.#ready.shift()) {
      this.#makeReady(receipt);
    }
  }

  /** Ends the holding back; returns how many receipts that sets free. */
  release(nowUs: number): number {
    this.#holding = false;
    const count = this.#held.length;
    for (let receipt = this.#held.shift(); receipt !== undefined; receipt = this.#held.shift()) {
      this.#ready.push(receipt);
    }
    this.#sendReady(nowUs);
    return count;
  }

  #moveDue(queue: DueQueue<Receipt>, nowUs: number): void {
    for (let head = queue.peek(); head !== undefined && head.dueUs <= nowUs; head = queue.peek()) {
      queue.shift();
      this.#makeReady(head);
    }
  }

  #makeReady(receipt: Receipt): void {
    if (this.#holding) {
      this.#fired.holdReceipts += 1;
      this.#held.push(receipt);
    } else {
      this.#ready.push(receipt);
    }
  }

  /** After a try that came to nothing. */
  #again(receipt: Receipt): void {
    if (!this.#spent(receipt)) this.#makeReady(receipt);
  }

  #spent(receipt: Receipt): boolean {
    if (receipt.tries <= this.#options.redeliveries) return false;
    this.#stats.givenUp += 1;
    return true;
  }

  #sendReady(nowUs: number): void {
    for (let receipt = this.#ready.peek(); receipt !== undefined; receipt = this.#ready.peek()) {
      const session = this.#sessionFor(receipt);
      if (session === null) return;
      this.#ready.shift();
      const sequence = session.deliver(receipt);
      receipt.sentUs = nowUs;
      receipt.tries += 1;
      session.unanswered.set(sequence, receipt);
      this.#unanswered += 1;
      this.#stats.sent += 1;
      if (receipt.tries > 1) this.#stats.redelivered += 1;
      if (this.#nextSweepUs === Number.POSITIVE_INFINITY) this.#nextSweepUs = nowUs + this.#sweepUs;
    }
  }

  #sessionFor(receipt: Receipt): ReceiptSession | null {
    if (receipt.origin !== null && this.#hasRoom(receipt.origin)) return receipt.origin;
    for (let i = 0; i < this.#sessions.length; i += 1) {
      this.#nextSession = (this.#nextSession + 1) % this.#sessions.length;
      const session = this.#sessions[this.#nextSession]!;
      if (this.#hasRoom(session)) return session;
    }
    return null;
  }

  #hasRoom(session: ReceiptSession): boolean {
    return session.deliverable && session.unanswered.size < this.#options.window;
  }

  /** Unanswered ones are looked at a few times per timeout, not on a timer each. */
  get #sweepUs(): number {
    return Math.max(1_000, (this.#options.redeliverAfterMs * 1000) / 8);
  }

  #sweep(nowUs: number): void {
    const sentBefore = nowUs - this.#options.redeliverAfterMs * 1000;
    for (const session of this.#sessions) {
      for (const [sequence, receipt] of session.unanswered) {
        if (receipt.sentUs > sentBefore) break;
        session.unanswered.delete(sequence);
        this.#unanswered -= 1;
        this.#again(receipt);
      }
    }
    this.#nextSweepUs = this.#unanswered > 0 ? nowUs + this.#sweepUs : Number.POSITIVE_INFINITY;
  }
}
