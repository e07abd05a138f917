/**
 * One account of the SMSC: its contract (TPS, sessions), its faults, its receipts, its counters, and the decision what
 * becomes of each submit_sm. Sessions bring the bytes (smsc-session.ts), the simulator keeps log and time (simulator.ts).
 */
import {
  Command,
  decodeCorrelation,
  decodeSubmitSm,
  encodeHeader,
  encodeSubmitSmResp,
  findTlv,
  PduError,
  Status,
  type SubmitSm,
} from '../smpp/index.ts';
import { messageHash, pick } from './choices.ts';
import type { Account, Faults, FaultsChange } from './options.ts';
import { type Receipt, type ReceiptSession, ReceiptStore } from './receipts.ts';
import { type AccountStats, zeroFiredStats, zeroReceiptStats } from './stats.ts';
import { RateMeter, StrictWindow } from './window.ts';

/** What an account needs of each of its sessions. */
export interface AccountSession extends ReceiptSession {
  readonly number: number;
  /** Bound as transceiver or receiver. */
  readonly receives: boolean;
  /** Queues a PDU for the next write. */
  write(pdu: Buffer): void;
  /** Queues a PDU that leaves at `dueUs`. */
  writeLater(pdu: Buffer, dueUs: number): void;
  /** Ends the connection as a failing network does. */
  cut(): void;
  /** Asks the peer to go. */
  unbind(): void;
}

/** What an account needs of the SMSC around it. */
export interface AccountHost {
  readonly seed: number;
  readonly correlationTlv: number | null;
  nextMessageId(): string;
  /** Told of every submit_sm, after it was decided: for log, ledger and view. `status` null = left unanswered. */
  record(
    account: SmscAccount,
    session: AccountSession,
    sequence: number,
    pdu: SubmitSm,
    messageId: string | null,
    status: number | null,
    nowMs: number,
    nowUs: number,
  ): void;
}

// One salt per question that a message's hash answers.
const refusalSalt = 0;
const receiptSalt = 1;
/** registered_delivery, bits 1 and 0 (SMPP 3.4 §5.2.17). */
const receiptAsked = { always: 1, onFailure: 2 } as const;
const refusedTriesMax = 100_000;
const noTlvs: readonly never[] = [];

export class SmscAccount {
  readonly options: Account;
  readonly index: number;
  readonly faults: Faults;
  readonly stats: AccountStats;
  readonly receipts: ReceiptStore;
  readonly sessions = new Set<AccountSession>();
  readonly #host: AccountHost;
  readonly #window: StrictWindow | null;
  readonly #meter = new RateMeter();
  /** Tries of each message that is refused for now; the oldest are forgotten beyond 100,000. */
  readonly #refusedTries = new Map<number, number>();

  constructor(options: Account, index: number, host: AccountHost) {
    this.options = options;
    this.index = index;
    this.faults = { ...options.faults };
    this.#host = host;
    this.#window = options.tps === null ? null : new StrictWindow(options.tps, options.throttledCount);
    const receipts = zeroReceiptStats();
    const fired = zeroFiredStats();
    this.receipts = new ReceiptStore(options.receipts, receipts, fired);
    this.stats = {
      systemId: options.systemId,
      binds: 0,
      bindsRefused: 0,
      received: 0,
      receivedByPriority: [0, 0, 0, 0],
      accepted: 0,
      violations: 0,
      throttled: 0,
      refusedPermanent: 0,
      refusedTemporary: 0,
      malformed: 0,
      rateMax: 0,
      heldAnswers: 0,
      heldAnswersUs: 0,
      receipts,
      fired,
      now: { sessions: 0, waiting: 0, held: 0, unanswered: 0 },
    };
    if (this.faults.holdReceipts) this.receipts.hold();
  }

  /** The counters as they stand now; a copy. */
  snapshot(): AccountStats {
    return {
      ...this.stats,
      receivedByPriority: [...this.stats.receivedByPriority],
      rateMax: this.#meter.max,
      receipts: { ...this.stats.receipts },
      fired: { ...this.stats.fired },
      now: {
        sessions: this.sessions.size,
        waiting: this.receipts.waiting,
        held: this.receipts.held,
        unanswered: this.receipts.unanswered,
      },
    };
  }

  setFaults(change: FaultsChange, nowUs: number): void {
    for (const [name, value] of Object.entries(change)) {
      if (value !== undefined) Object.assign(this.faults, { [name]: value });
    }
    if (change.holdReceipts === true) this.receipts.hold();
    if (change.holdReceipts === false) this.receipts.release(nowUs);
    this.receipts.pump(nowUs);
  }

  /** The command_status that a bind gets: 0 when the session may come. */
  bindStatus(password: string): number {
    const { faults, stats } = this;
    let status: number = Status.ok;
    if (faults.refuseBind !== 0) {
      stats.fired.refuseBind += 1;
      status = faults.refuseBind;
    } else if (password !== this.options.password) {
      status = Status.invalidPassword;
    } else if (this.sessions.size >= this.options.sessions) {
      status = Status.bindFailed;
    }
    if (status === Status.ok) stats.binds += 1;
    else stats.bindsRefused += 1;
    return status;
  }

  attach(session: AccountSession, nowUs: number): void {
    this.sessions.add(session);
    if (session.receives) this.receipts.attach(session);
    this.receipts.pump(nowUs);
  }

  detach(session: AccountSession, nowUs: number): void {
    this.sessions.delete(session);
    if (session.receives) this.receipts.detach(session);
    this.receipts.pump(nowUs);
  }

  /** Takes one submit_sm of one of its sessions: counts, decides, answers, plans the receipt, tells the host. */
  submit(
    session: AccountSession,
    buffer: Buffer,
    offset: number,
    length: number,
    sequence: number,
    nowMs: number,
    nowUs: number,
  ): void {
    const { faults, stats } = this;
    stats.received += 1;
    this.#meter.count(nowUs);
    const withinContract = this.#window === null || this.#window.admit(nowUs);
    if (!withinContract) stats.violations += 1;

    let pdu: SubmitSm;
    try {
      pdu = decodeSubmitSm(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      stats.malformed += 1;
      if (faults.silent === 'none') session.write(encodeHeader(Command.submitSmResp, error.status, sequence));
      return;
    }
    stats.receivedByPriority[Math.min(pdu.priorityFlag, 3) as 0 | 1 | 2 | 3] += 1;

    if (faults.cutAfter > 0) {
      faults.cutAfter -= 1;
      if (faults.cutAfter === 0) {
        stats.fired.cut += 1;
        this.#host.record(this, session, sequence, pdu, null, null, nowMs, nowUs);
        session.cut();
        return;
      }
    }

    const hash = this.#choosesByMessage ? this.#hash(pdu) : 0;
    const status = this.#statusFor(hash, withinContract);
    const messageId = status === Status.ok ? this.#host.nextMessageId() : null;
    const receipt = messageId === null ? null : this.#receiptFor(session, pdu, messageId, hash, nowMs, nowUs);
    if (receipt !== null && this.options.receipts.beforeAnswer) this.#addReceipt(receipt, nowUs);
    const silent = faults.silent !== 'none';
    if (silent) {
      stats.fired.silent += 1;
    } else {
      const answer =
        messageId === null
          ? encodeHeader(Command.submitSmResp, status, sequence)
          : encodeSubmitSmResp(sequence, { status, messageId, tlvs: noTlvs });
      if (faults.slowMs > 0) {
        stats.fired.slow += 1;
        session.writeLater(answer, nowUs + faults.slowMs * 1000);
      } else {
        session.write(answer);
      }
    }
    if (receipt !== null && !this.options.receipts.beforeAnswer) this.#addReceipt(receipt, nowUs);
    this.#host.record(this, session, sequence, pdu, messageId, silent ? null : status, nowMs, nowUs);
  }

  get #choosesByMessage(): boolean {
    const { permanent, temporary, failedReceipts } = this.options;
    return permanent.share > 0 || temporary.share > 0 || failedReceipts.share > 0;
  }

  #hash(pdu: SubmitSm): number {
    const { correlationTlv, seed } = this.#host;
    const value = correlationTlv === null ? undefined : findTlv(pdu.tlvs, correlationTlv);
    const correlation = value === undefined ? null : decodeCorrelation(value);
    return messageHash(seed, pdu.destAddr, pdu.shortMessage, correlation?.delivery ?? 0);
  }

  #statusFor(hash: number, withinContract: boolean): number {
    const { faults, options, stats } = this;
    if (faults.throttleNext > 0) {
      faults.throttleNext -= 1;
      stats.fired.throttleNext += 1;
      stats.throttled += 1;
      return Status.throttled;
    }
    if (!withinContract) {
      stats.throttled += 1;
      return Status.throttled;
    }
    const chosen = pick(hash, refusalSalt);
    if (chosen < options.permanent.share) {
      stats.refusedPermanent += 1;
      stats.fired.permanent += 1;
      return options.permanent.status;
    }
    if (chosen < options.permanent.share + options.temporary.share && this.#stillRefused(hash)) {
      stats.refusedTemporary += 1;
      stats.fired.temporary += 1;
      return options.temporary.status;
    }
    stats.accepted += 1;
    return Status.ok;
  }

  #stillRefused(hash: number): boolean {
    const tries = (this.#refusedTries.get(hash) ?? 0) + 1;
    if (tries > this.options.temporary.tries) {
      this.#refusedTries.delete(hash);
      return false;
    }
    this.#refusedTries.set(hash, tries);
    if (this.#refusedTries.size > refusedTriesMax) {
      for (const oldest of this.#refusedTries.keys()) {
        this.#refusedTries.delete(oldest);
        break;
      }
    }
    return true;
  }

  #receiptFor(
    session: AccountSession,
    pdu: SubmitSm,
    messageId: string,
    hash: number,
    nowMs: number,
    nowUs: number,
  ): Receipt | null {
    const { failedReceipts, receipts } = this.options;
    const asked = pdu.registeredDelivery & 0x03;
    if (receipts.send === 'none' || asked === 0) return null;
    const failed = pick(hash, receiptSalt) < failedReceipts.share;
    if (failed) this.stats.fired.failedReceipts += 1;
    if (asked === receiptAsked.onFailure && !failed) return null;
    const { delayMs, beforeAnswer } = receipts;
    // A receipt does not overtake an answer that the fault `slowMs` holds up, unless that is what was asked for.
    const waitMs = beforeAnswer ? delayMs : Math.max(delayMs, this.faults.slowMs);
    return {
      messageId,
      sourceTon: pdu.sourceTon,
      sourceNpi: pdu.sourceNpi,
      sourceAddr: pdu.sourceAddr,
      destTon: pdu.destTon,
      destNpi: pdu.destNpi,
      destAddr: pdu.destAddr,
      submittedAtMs: nowMs,
      stat: failed ? failedReceipts.stat : 'DELIVRD',
      error: failed ? failedReceipts.error : '000',
      origin: session.receives ? session : null,
      dueUs: nowUs + waitMs * 1000,
      sentUs: 0,
      tries: 0,
    };
  }

  #addReceipt(receipt: Receipt, nowUs: number): void {
    this.receipts.add(receipt, nowUs);
    if (!this.faults.receiptsTwice) return;
    this.stats.fired.receiptsTwice += 1;
    this.receipts.add({ ...receipt, sentUs: 0, tries: 0 }, nowUs);
  }
}
