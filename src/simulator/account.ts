/**
 * One account of the SMSC: its sessions, its faults, its receipts, its counters, and the way of each message through them.
 * Sessions bring the bytes (smsc-session.ts), the simulator keeps log and time (simulator.ts).
 */
import {
  Command,
  type DeliverSm,
  decodeSubmitSm,
  encodeHeader,
  encodeSubmitSmResp,
  PduError,
  Status,
  type SubmitSm,
} from '../smpp/index.ts';
import { Admission } from './admission.ts';
import { AnswerFaults } from './answer-faults.ts';
import type { AccountSession, Arrival } from './arrivals.ts';
import { answersPlainly, type Faults, type FaultsChange, receiptsPlainly, zeroFiredStats } from './faults.ts';
import { writePdu } from './fields.ts';
import { type IdFormName, type IdPair, spellId } from './message-ids.ts';
import { type Message, Messages } from './messages.ts';
import { Operations } from './operations.ts';
import type { Account } from './options.ts';
import { SeededRandom } from './random.ts';
import { planReceipts } from './receipt-faults.ts';
import { type Receipt, type ReceiptContent, ReceiptStore } from './receipts.ts';
import { type AccountStats, zeroOperationStats, zeroReceiptStats } from './stats.ts';

/** What an account needs of the SMSC around it. */
export interface AccountHost {
  readonly seed: number;
  readonly correlationTlv: number | null;
  /** The next message_id in the form `same`. */
  nextMessageId(): string;
  /** The number of the last one, for other forms. */
  messageNumber(): number;
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
  /** `received` of this account has come to `markAt`. */
  onMark(account: SmscAccount): void;
}

/** How a message was decided. */
interface Verdict {
  status: number;
  message: Message | null;
  receipts: readonly Receipt[] | Receipt | null;
}

/** registered_delivery, bits 1 and 0 (SMPP 3.4 §5.2.17). */
const receiptAsked = { always: 1, onFailure: 2 } as const;
const dataSmResp = 0x8000_0103;
const noTlvs: readonly never[] = [];

export class SmscAccount {
  readonly options: Account;
  readonly index: number;
  readonly faults: Faults;
  readonly stats: AccountStats;
  readonly receipts: ReceiptStore;
  readonly messages: Messages;
  readonly operations: Operations;
  readonly sessions = new Set<AccountSession>();
  /** Calls `AccountHost.onMark` after the message with which `received` comes to this. */
  markAt = Number.POSITIVE_INFINITY;
  readonly #host: AccountHost;
  readonly #admission: Admission;
  readonly #answers: AnswerFaults;
  #answersPlainly = true;
  #receiptsPlainly = true;

  constructor(options: Account, index: number, host: AccountHost) {
    this.options = options;
    this.index = index;
    this.faults = { ...options.faults };
    this.#host = host;
    const receipts = zeroReceiptStats();
    const fired = zeroFiredStats();
    this.receipts = new ReceiptStore(options.receipts, receipts, fired);
    this.messages = new Messages(options.messagesKept);
    this.operations = new Operations(this);
    this.#answers = new AnswerFaults(this.faults, fired, new SeededRandom(host.seed + index));
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
      originated: 0,
      heldAnswers: 0,
      heldAnswersUs: 0,
      receipts,
      operations: zeroOperationStats(),
      fired,
      now: { sessions: 0, waiting: 0, held: 0, unanswered: 0 },
    };
    this.#admission = new Admission(options, this.faults, this.stats, host);
    this.#faultsChanged();
    if (this.faults.holdReceipts) this.receipts.hold();
  }

  /** The counters as they stand now; a copy. */
  snapshot(): AccountStats {
    return {
      ...this.stats,
      receivedByPriority: [...this.stats.receivedByPriority],
      rateMax: this.#admission.rateMax,
      receipts: { ...this.stats.receipts },
      operations: { ...this.stats.operations },
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
    this.#faultsChanged();
    if (change.holdReceipts === true) this.receipts.hold();
    if (change.holdReceipts === false) this.receipts.release(nowUs);
    this.receipts.pump(nowUs);
  }

  /** The command_status that a bind gets: 0 when the session may come. */
  bindStatus(password: string): number {
    const { faults, stats } = this;
    const status = this.#bindStatus(password);
    if (status === Status.ok) stats.binds += 1;
    else stats.bindsRefused += 1;
    if (faults.refuseBind !== 0) stats.fired.refuseBind += 1;
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
    const withinContract = this.#admission.arrives(nowUs);
    let pdu: SubmitSm;
    try {
      pdu = decodeSubmitSm(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      this.refuseMalformed(session, Command.submitSmResp, error.status, sequence);
      return;
    }
    this.#take({ session, sequence, nowMs, nowUs }, pdu, Command.submitSmResp, withinContract);
  }

  /** Takes the message of a data_sm, as a submit_sm. */
  data(arrival: Arrival, pdu: SubmitSm): void {
    this.#take(arrival, pdu, dataSmResp, this.#admission.arrives(arrival.nowUs));
  }

  /** Takes one of a submit_multi's destinations. @returns what becomes of it; the caller answers for all */
  submitOne(arrival: Arrival, pdu: SubmitSm, id: IdPair): number {
    const verdict = this.#decide(arrival, pdu, this.#admission.arrives(arrival.nowUs), id);
    this.#addReceipts(verdict.receipts, arrival.nowUs);
    this.#record(arrival, pdu, verdict, verdict.status);
    return verdict.status;
  }

  /** Sends an answer to a message through the faults that are on. @returns false when it will never leave */
  answer(session: AccountSession, answer: Buffer, nowUs: number): boolean {
    if (!this.#answersPlainly) return this.#answers.write(session, answer, nowUs);
    session.write(answer);
    return true;
  }

  refuseMalformed(session: AccountSession, command: number, status: number, sequence: number): void {
    this.stats.malformed += 1;
    if (this.faults.silent === 'none') session.write(encodeHeader(command, status, sequence));
  }

  /** A message from a handset, for whichever session can take it. */
  originate(pdu: DeliverSm, nowUs: number): void {
    this.stats.originated += 1;
    this.receipts.add({ content: pdu, origin: null, dueUs: nowUs, sentUs: 0, tries: 0 }, nowUs);
  }

  /** The next message_id, as its answer and its receipt will spell it. */
  nextId(): IdPair {
    const plain = this.#host.nextMessageId();
    const { idForm } = this.faults;
    if (idForm === 'same') return { answer: plain, receipt: plain };
    this.stats.fired.idForm += 1;
    return spellId(idForm as Exclude<IdFormName, 'same'>, this.#host.messageNumber());
  }

  #bindStatus(password: string): number {
    const { faults, options, stats } = this;
    if (faults.refuseBind !== 0) return faults.refuseBind;
    if (password !== options.password) return Status.invalidPassword;
    const limit = Math.min(options.sessions, faults.sessionLimit ?? options.sessions);
    if (this.sessions.size < limit) return Status.ok;
    stats.fired.sessionLimit += 1;
    return Status.alreadyBound;
  }

  #take(arrival: Arrival, pdu: SubmitSm, command: number, withinContract: boolean): void {
    const { faults, stats } = this;
    const { session, sequence, nowUs } = arrival;
    if (faults.peerVersion.startsWith('3.3') && pdu.tlvs.length > 0) {
      stats.fired.peer33 += 1;
      this.refuseMalformed(session, command, Status.invalidCommandLength, sequence);
      return;
    }
    if (faults.cutAfter > 0) {
      faults.cutAfter -= 1;
      if (faults.cutAfter === 0) {
        stats.fired.cut += 1;
        stats.receivedByPriority[Math.min(pdu.priorityFlag, 3) as 0 | 1 | 2 | 3] += 1;
        this.#record(arrival, pdu, { status: Status.ok, message: null, receipts: null }, null);
        session.cut();
        return;
      }
    }
    const verdict = this.#decide(arrival, pdu, withinContract, null);
    const early = this.options.receipts.beforeAnswer || faults.receiptsEarly;
    if (early) this.#addReceipts(verdict.receipts, nowUs);
    const answer =
      verdict.message === null
        ? encodeHeader(command, verdict.status, sequence)
        : command === Command.submitSmResp
          ? encodeSubmitSmResp(sequence, { status: verdict.status, messageId: verdict.message.id, tlvs: noTlvs })
          : writePdu(command, verdict.status, sequence, [verdict.message.id]);
    const answered = this.answer(session, answer, nowUs);
    if (!early) this.#addReceipts(verdict.receipts, nowUs);
    this.#record(arrival, pdu, verdict, answered ? verdict.status : null);
    if (faults.unbindAfter > 0) {
      faults.unbindAfter -= 1;
      if (faults.unbindAfter === 0) session.unbind();
    }
  }

  #record(arrival: Arrival, pdu: SubmitSm, { message }: Verdict, status: number | null): void {
    const { session, sequence, nowMs, nowUs } = arrival;
    this.#host.record(this, session, sequence, pdu, message?.id ?? null, status, nowMs, nowUs);
    if (this.stats.received >= this.markAt) this.#host.onMark(this);
  }

  /** @param id of the message, where it has one already */
  #decide(arrival: Arrival, pdu: SubmitSm, withinContract: boolean, id: IdPair | null): Verdict {
    this.stats.receivedByPriority[Math.min(pdu.priorityFlag, 3) as 0 | 1 | 2 | 3] += 1;
    const hash = this.#admission.hashOf(pdu);
    const status = this.#admission.statusFor(hash, withinContract);
    if (status !== Status.ok) return { status, message: null, receipts: null };
    const message = this.#messageFor(arrival, pdu, hash, id ?? this.nextId());
    this.messages.add(message);
    return { status, message, receipts: this.#receiptsFor(arrival, pdu, message) };
  }

  #messageFor({ nowMs, nowUs }: Arrival, pdu: SubmitSm, hash: number, id: IdPair): Message {
    const { failedReceipts, receipts } = this.options;
    const failed = this.#admission.fails(hash);
    return {
      id: id.answer,
      receiptId: id.receipt,
      serviceType: pdu.serviceType,
      sourceTon: pdu.sourceTon,
      sourceNpi: pdu.sourceNpi,
      sourceAddr: pdu.sourceAddr,
      destTon: pdu.destTon,
      destNpi: pdu.destNpi,
      destAddr: pdu.destAddr,
      submittedAtMs: nowMs,
      stat: failed ? failedReceipts.stat : 'DELIVRD',
      error: failed ? failedReceipts.error : '000',
      finalUs: nowUs + receipts.delayMs * 1000,
      finalMs: nowMs + receipts.delayMs,
    };
  }

  #receiptsFor({ session, nowUs }: Arrival, pdu: SubmitSm, message: Message): Receipt | Receipt[] | null {
    const { receipts } = this.options;
    const asked = pdu.registeredDelivery & 0x03;
    if (receipts.send === 'none' || asked === 0) return null;
    const failed = message.stat !== 'DELIVRD';
    if (failed) this.stats.fired.failedReceipts += 1;
    if (asked === receiptAsked.onFailure && !failed) return null;
    const { delayMs, beforeAnswer } = receipts;
    // A receipt does not overtake an answer that the fault `slowMs` holds up, unless that is what was asked for.
    const { slowMs, slowJitterMs } = this.faults;
    const waitMs = beforeAnswer ? delayMs : Math.max(delayMs, slowMs + slowJitterMs);
    const content: ReceiptContent = { message, messageId: message.receiptId, stat: null, intermediate: false };
    const origin = session.receives ? session : null;
    const receipt: Receipt = { content, origin, dueUs: nowUs + waitMs * 1000, sentUs: 0, tries: 0 };
    if (this.#receiptsPlainly) return receipt;
    return planReceipts(this.faults, this.stats.fired, receipt, content, pdu, nowUs);
  }

  #addReceipts(receipts: Verdict['receipts'], nowUs: number): void {
    if (receipts === null) return;
    if ('content' in receipts) this.receipts.add(receipts, nowUs);
    else for (const receipt of receipts) this.receipts.add(receipt, nowUs);
  }

  #faultsChanged(): void {
    this.#answersPlainly = answersPlainly(this.faults);
    this.#receiptsPlainly = receiptsPlainly(this.faults);
  }
}
