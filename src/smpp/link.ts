/**
 * One SMPP connection, whichever side we are: the part that `Session` (ESME) and `ServerSession` (SMSC) share.
 *
 * States: `opening` → `bound` → `draining` (unbind asked for: takes no more requests, waits for the window to empty,
 * then unbinds) → `closed`. Any state goes to `closed` at once when the peer ends, errs, falls silent, or sends bytes
 * that are not SMPP.
 *
 * Each side has one kind of hot request that it sends (submit_sm or deliver_sm) and one that it receives. There is one
 * timer per connection, not per hot PDU: answers are due in the order of sending, so it looks at the oldest only. It is
 * never armed further ahead than the shortest timeout: nothing sent after that can be due before it. All other kinds go
 * through `request`, and share the window.
 *
 * What a peer sends amiss (SMPP 3.4 §4.3, §5.1.3):
 *
 * | the peer sends                                  | we                                                          |
 * |-------------------------------------------------|-------------------------------------------------------------|
 * | a command_length that can't be                  | generic_nack ESME_RINVCMDLEN, sequence 0, and end the link  |
 * | a request of an unknown command_id              | generic_nack ESME_RINVCMDID                                 |
 * | a request that this side does not serve         | its own response, ESME_RINVCMDID                            |
 * | a request before the bind, or against its mode  | its own response, ESME_RINVBNDSTS                           |
 * | a request with a malformed body                 | its own response, with the status that the decoder names    |
 * | a response with an odd body                     | take what can be read of it for the answer                  |
 * | a response to nothing we wait for               | count it                                                    |
 * | a generic_nack that names a request of ours     | take it for the answer, never for success                   |
 */
import type { Socket } from 'node:net';
import { type AnswerTo, AskedRequests, type Question } from './asked.ts';
import { Command, nextSequence, RESPONSE_BIT } from './commands.ts';
import { FrameError, PduError } from './errors.ts';
import type { Answer, CloseReason, LinkHandlers, RequestOptions, RequestOutcome } from './exchange.ts';
import { Framer } from './framing.ts';
import { GatheredWriter } from './gathered.ts';
import { Incoming, IncomingData, type IncomingRequest, IncomingRequestOf, type Responder } from './incoming.ts';
import type { LinkLimits } from './limits.ts';
import { LinkTimers } from './link-timers.ts';
import { decodeSubmitSmResp, encodeHeader } from './pdu.ts';
import { decodePdu, encodePdu, pduOf } from './pdus/codec.ts';
import { commandOf, PDUS, type Pdu, type PduCommand, responseIdOf } from './pdus/table.ts';
import { isHandedOn, type NoticeCommand, type PduFields, type RequestCommand } from './requests.ts';
import { type InFlight, SendWindow } from './send-window.ts';
import { LinkCounters, type LinkState, type LinkStats, RoundTrips } from './stats.ts';
import { Status, statusName } from './status.ts';
import { Unresponded } from './unresponded.ts';
import { WaitingLine } from './waiting-line.ts';
import { withoutTlvs } from './without-tlvs.ts';

const TIMED_OUT: Answer = Object.freeze({ kind: 'unanswered', reason: 'timeout' });
const CLOSED: Answer = Object.freeze({ kind: 'unanswered', reason: 'closed' });
/** Longer than this nobody waits for an unbind_resp: it changes nothing. */
const UNBIND_TIMEOUT_MS = 5_000;
/** A peer that does not take our last octets within this time is cut off. */
const LINGER_MS = 1_000;
/** Reasons after which what is still gathered is worth sending. */
const ORDERLY: ReadonlySet<CloseReason> = new Set(['closed', 'unbound', 'inactive', 'peer-unbound', 'bind-refused']);
/** A generation of round-trip times. */
const ROUND_TRIPS_TURN_MS = 60_000;

export abstract class Link<C, P> implements Responder {
  readonly counters = new LinkCounters();
  readonly roundTrips = new RoundTrips();
  protected readonly limits: LinkLimits;
  protected readonly writer: GatheredWriter;
  protected state: LinkState = 'opening';
  /** Whether `onClosed` is to be called. */
  protected reportsClosed = true;
  /** The peer does not know optional parameters: hot requests go without theirs. */
  protected omitsTlvs = false;
  private readonly socket: Socket;
  private readonly handlers: LinkHandlers<C, P>;
  private readonly framer: Framer;
  private readonly hotResponseId: number;
  private readonly hotRequestId: number;

  private sequence = 0;
  private readonly asked = new AskedRequests((late) => {
    this.freed = true;
    this.onSlotFree();
    if (late) this.announceRoom();
  });
  private readonly window: SendWindow<C>;
  private readonly line: WaitingLine;
  private readonly timers: LinkTimers;
  private readonly unresponded: Unresponded;
  private roundTripsSince: number;
  private lastError: string | null = null;
  private freed = false;
  private timer: NodeJS.Timeout | undefined;
  private onWindowEmpty: (() => void) | null = null;
  private unbinding: Promise<void> | null = null;

  /**
   * @param sends `submit_sm` on the ESME's side, `deliver_sm` on the SMSC's.
   * @param reserveForEmergency keeps max(1, 10 %) of a window > 1 for emergency alone.
   */
  constructor(
    socket: Socket,
    sends: 'submit_sm' | 'deliver_sm',
    limits: LinkLimits,
    handlers: LinkHandlers<C, P>,
    reserveForEmergency: boolean,
  ) {
    this.socket = socket;
    this.limits = limits;
    this.handlers = handlers;
    this.line = new WaitingLine(limits.waitingMax);
    this.window = new SendWindow(limits.window, reserveForEmergency, this.asked);
    this.hotResponseId = sends === 'submit_sm' ? Command.submitSmResp : Command.deliverSmResp;
    this.hotRequestId = sends === 'submit_sm' ? Command.deliverSm : Command.submitSm;
    this.unresponded = new Unresponded(limits);
    this.timers = new LinkTimers(limits, performance.now());
    this.roundTripsSince = this.timers.receivedAt;
    this.framer = new Framer(
      (buffer, offset, length, commandId, status, sequence) =>
        this.onPdu(buffer, offset, length, commandId, status, sequence),
      limits.pduLengthMax,
    );
    this.writer = new GatheredWriter(socket, {
      onDrain: () => {
        this.freed = true;
        this.announceRoom();
      },
      onStalled: () => this.end('write-stalled'),
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('end', () => this.end('peer-ended'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.end('socket-error', error.code ?? error.name));
    socket.on('close', () => this.end('peer-ended'));
    this.arm();
  }

  /** Whether requests may be sent. */
  get bound(): boolean {
    return this.state === 'bound';
  }

  get closed(): boolean {
    return this.state === 'closed';
  }

  /** Unanswered requests in the window. */
  get unanswered(): number {
    return this.window.unanswered;
  }

  /** Senders that wait for room. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Requests that may be sent now; 0 when not bound, while the socket is congested, or while others wait in the line
   * that this one may not overtake.
   */
  freeFor(emergency: boolean): number {
    return this.line.isBefore(emergency) ? 0 : this.roomFor(emergency);
  }

  stats(): LinkStats {
    return {
      state: this.state,
      window: this.limits.window,
      unanswered: this.unanswered,
      waiting: this.waiting,
      counters: new LinkCounters().add(this.counters),
      roundTripMs: RoundTrips.percentiles([this.roundTrips]),
      omitsTlvs: this.omitsTlvs,
      lastError: this.lastError,
    };
  }

  /**
   * Sends a request of any kind but the hot one (query_sm, cancel_sm, replace_sm, data_sm, submit_multi, broadcast_sm …)
   * through the window, after those that wait already, and resolves with its answer.
   * @example await session.request('query_sm', { messageId: 'a1', sourceAddr: 'BANK' })
   * @throws FieldError (as a rejection), before any byte leaves, when a field can't be carried.
   */
  async request<C extends RequestCommand>(
    command: C,
    fields: PduFields<C> = {},
    options: RequestOptions = {},
  ): Promise<RequestOutcome<C>> {
    const encoded = encodePdu(pduOf<PduCommand>(command, fields));
    const response: `${C}_resp` = `${command}_resp`;
    const { emergency = false, timeoutMs = this.limits.responseTimeoutMs, signal } = options;
    const sent = await this.whenRoom(emergency, signal, () => {
      const slot = emergency ? 'emergency' : 'normal';
      // In an object: a bare promise would be awaited by the line.
      return { answer: this.ask(encoded, { response, timeoutMs, slot }) };
    });
    if (sent === null) return { kind: 'not-sent' };
    const pdu = await sent.answer;
    if (pdu !== null) return { kind: 'answered', pdu };
    return { kind: 'unanswered', reason: this.isClosed() ? 'closed' : 'timeout' };
  }

  /**
   * Sends a request that has no response. @returns false when there is no bind.
   * @throws FieldError when a field can't be carried.
   */
  notify<C extends NoticeCommand>(command: C, fields: PduFields<C> = {}): boolean {
    const encoded = encodePdu(pduOf<PduCommand>(command, fields));
    if (this.state !== 'bound') return false;
    this.counters.asked++;
    this.writer.putWithSequence(encoded, this.takeSequence());
    return true;
  }

  /** Hands what is gathered to the socket now instead of at the end of the turn: for who measures when a PDU left. */
  flush(): void {
    this.writer.flush();
  }

  /** Room for anything but emergency. */
  get free(): number {
    return this.freeFor(false);
  }

  /**
   * Stops taking requests, waits for those in flight (each ends within its timeout), unbinds, closes. Resolves when
   * closed, however that came; never rejects.
   */
  unbind(): Promise<void> {
    this.unbinding ??= this.drainAndUnbind('unbound');
    return this.unbinding;
  }

  private async drainAndUnbind(reason: CloseReason): Promise<void> {
    if (this.state === 'bound') {
      this.state = 'draining';
      this.line.end();
      if (this.unanswered > 0) {
        await new Promise<void>((resolve) => {
          this.onWindowEmpty = resolve;
        });
      }
      if (this.isClosed()) return;
      const unbind = encodeHeader(Command.unbind, Status.ok, 0);
      await this.ask(unbind, {
        response: 'unbind_resp',
        timeoutMs: Math.min(this.limits.responseTimeoutMs, UNBIND_TIMEOUT_MS),
        slot: 'none',
      });
    }
    this.end(reason);
  }

  /** Closes at once. What is in flight is in doubt and is reported as such before this returns. */
  close(): void {
    this.end('closed');
  }

  // for the two sides ------------------------------------------------------------------------------------------------

  /** Whether the bind's mode lets us send hot requests. */
  protected abstract maySend(): boolean;
  /** Whether the bind's mode lets the peer send hot requests. */
  protected abstract mayReceive(): boolean;
  /** @throws PduError */
  protected abstract decodeHot(buffer: Buffer, offset: number, length: number): P;
  protected abstract encodeHotResponse(sequence: number, status: number, messageId: string | null): Buffer;
  /** Whether a data_sm comes in as the message that it carries; else it is a request like others. */
  protected takesData(): boolean {
    return false;
  }
  /** Only asked of a side that takes them. @throws PduError */
  protected decodeData(buffer: Buffer, offset: number, length: number): P {
    return this.decodeHot(buffer, offset, length);
  }
  /** A request that is neither hot nor common to both sides; false = not served here. */
  protected abstract onColdRequest(pdu: Pdu): boolean;
  /** The link has just closed; the handlers were not told yet. */
  protected onEnd(_reason: CloseReason, _detail: string | null): void {}

  protected setBound(): void {
    this.state = 'bound';
    this.timers.requestedAt = performance.now();
  }

  /** Sends a hot request through the window. Its buffer is free again on return. */
  protected send(encoded: Uint8Array, context: C, emergency: boolean): boolean {
    if (this.freeFor(emergency) <= 0) return false;
    this.putHot(encoded, context, emergency);
    return true;
  }

  /** The same, after those that wait already. Resolves with false, and nothing sent, when the link ends before that. */
  protected async sendWhenRoom(encoded: Uint8Array, context: C, options: RequestOptions = {}): Promise<boolean> {
    const emergency = options.emergency === true;
    const send = () => {
      this.putHot(encoded, context, emergency);
      return true;
    };
    return (await this.whenRoom(emergency, options.signal, send)) !== null;
  }

  /**
   * Sends a request that is no hot one. `onAnswer` gets the answer while it is read, before the promise that does.
   * @returns the answer, be it a generic_nack; null when it did not come in time or the link closed.
   */
  protected ask<R extends PduCommand>(
    encoded: Uint8Array,
    question: Question<R>,
    onAnswer?: (answer: AnswerTo<R> | null) => void,
  ): Promise<AnswerTo<R> | null> {
    const sequence = this.takeSequence();
    this.timers.requestedAt = performance.now();
    this.counters.asked++;
    this.writer.putWithSequence(encoded, sequence);
    return new Promise((resolve) => {
      this.asked.add(sequence, question, (answer) => {
        onAnswer?.(answer);
        resolve(answer);
      });
    });
  }

  // The standard lets a number be used again once its request is settled (SMPP 3.4 §5.1.4).
  private takeSequence(): number {
    do this.sequence = nextSequence(this.sequence);
    while (this.window.has(this.sequence) || this.sequence === this.timers.enquireSequence);
    return this.sequence;
  }

  private putHot(encoded: Uint8Array, context: C, emergency: boolean): void {
    const sequence = this.takeSequence();
    const sentAt = performance.now();
    this.timers.requestedAt = sentAt;
    this.window.add(sequence, { context, sentAt, emergency });
    this.counters.sent++;
    this.writer.putWithSequence(this.omitsTlvs ? withoutTlvs(encoded) : encoded, sequence);
  }

  private roomFor(emergency: boolean): number {
    if (this.state !== 'bound' || this.writer.congested || !this.maySend()) return 0;
    return this.window.room(emergency);
  }

  private async whenRoom<T>(emergency: boolean, signal: AbortSignal | undefined, send: () => T): Promise<T | null> {
    if (this.state !== 'bound' || !this.maySend() || signal?.aborted === true) return null;
    return this.freeFor(emergency) > 0 ? send() : await this.line.wait(emergency, signal, send);
  }

  /** After the window has got room, or the socket: those in the line first, then whoever listens. */
  private announceRoom(): void {
    if (!this.freed) return;
    this.freed = false;
    if (this.state !== 'bound') return;
    if (this.line.length > 0) this.line.serve((emergency) => this.roomFor(emergency));
    this.handlers.onRoom?.();
  }

  private onSlotFree(): void {
    if (this.onWindowEmpty !== null && this.unanswered === 0) this.onWindowEmpty();
  }

  // for `Incoming` ---------------------------------------------------------------------------------------------------

  respondTo(sequence: number, status: number, messageId: string | null): void {
    this.unresponded.responded();
    this.writer.put(this.encodeHotResponse(sequence, status, messageId));
  }

  respondToData(sequence: number, status: number, messageId: string | null): void {
    this.unresponded.responded();
    this.writer.put(encodePdu(pduOf('data_sm_resp', { sequence, status, messageId })));
  }

  respondToRequest(response: Pdu): void {
    const encoded = encodePdu(response);
    this.unresponded.responded();
    this.writer.put(encoded);
  }

  /**
   * Answers a cold request with an error: by its own response, or generic_nack where the command is unknown.
   * alert_notification and outbind have no response: there is nothing to say.
   */
  protected refuse(pdu: Pdu, status: number): void {
    if (pdu.command === 'unknown') {
      this.putHeader(Command.genericNack, Status.invalidCommandId, pdu.sequence);
      return;
    }
    const responseId = responseIdOf(PDUS[pdu.command].id);
    if (responseId !== null) this.putHeader(responseId, status, pdu.sequence);
  }

  protected putHeader(commandId: number, status: number, sequence: number): void {
    this.writer.put(encodeHeader(commandId, status, sequence));
  }

  // in ---------------------------------------------------------------------------------------------------------------

  private onData(chunk: Buffer): void {
    this.timers.receivedAt = performance.now();
    try {
      this.framer.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      // The sequence_number can't be known: NULL, as the standard says for a PDU that can't be read (§4.3.1).
      this.putHeader(Command.genericNack, Status.invalidCommandLength, 0);
      this.end('foreign-bytes', error.message);
    }
    this.announceRoom();
  }

  private onPdu(
    buffer: Buffer,
    offset: number,
    length: number,
    commandId: number,
    status: number,
    sequence: number,
  ): void {
    if (commandId === this.hotResponseId) {
      this.timers.answeredAt = this.timers.receivedAt;
      const entry = this.window.get(sequence);
      if (entry === undefined) {
        this.unexpected(commandId, sequence);
        return;
      }
      const { messageId, tlvs } = decodeSubmitSmResp(buffer, offset, length);
      this.settle(sequence, entry, { kind: 'answered', status, messageId, tlvs });
    } else if (commandId === this.hotRequestId) {
      this.onHotRequest(buffer, offset, length, sequence, false);
    } else if (commandId === Command.enquireLink) {
      this.putHeader(Command.enquireLinkResp, Status.ok, sequence);
    } else if (commandId === Command.enquireLinkResp) {
      // With an odd sequence_number it still is the answer of a peer that lives.
      if (sequence !== this.timers.enquireSequence) this.unexpected(commandId, sequence);
      this.timers.enquireAnswered();
    } else if (commandId === Command.dataSm && this.takesData()) {
      this.onHotRequest(buffer, offset, length, sequence, true);
    } else if (commandId === Command.unbind) {
      this.putHeader(Command.unbindResp, Status.ok, sequence);
      this.end('peer-unbound');
    } else {
      this.onCold(buffer, offset, length, commandId, sequence);
    }
  }

  private onHotRequest(buffer: Buffer, offset: number, length: number, sequence: number, data: boolean): void {
    this.counters.received++;
    this.timers.requestedAt = this.timers.receivedAt;
    if ((this.state !== 'bound' && this.state !== 'draining') || !this.mayReceive()) {
      this.refuseHot(sequence, Status.invalidBindStatus, data);
      return;
    }
    if (this.unresponded.isFull) {
      this.counters.answeredBusy++;
      this.refuseHot(sequence, this.limits.receiverBusyStatus, data);
      return;
    }
    let pdu: P;
    try {
      pdu = data ? this.decodeData(buffer, offset, length) : this.decodeHot(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      this.malformed(error);
      this.refuseHot(sequence, error.status, data);
      return;
    }
    const incoming = data
      ? new IncomingData<P>(this, pdu, sequence, this.timers.receivedAt)
      : new Incoming<P>(this, pdu, sequence, this.timers.receivedAt);
    this.unresponded.add(incoming);
    this.handlers.onIncoming(incoming);
  }

  private refuseHot(sequence: number, status: number, data: boolean): void {
    if (data) this.putHeader(Command.dataSmResp, status, sequence);
    else this.writer.put(this.encodeHotResponse(sequence, status, null));
  }

  private onCold(buffer: Buffer, offset: number, length: number, commandId: number, sequence: number): void {
    let pdu: Pdu;
    try {
      pdu = decodePdu(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      // A request: answers are read leniently, and never end up here.
      this.malformed(error);
      this.putHeader(responseIdOf(commandId) ?? Command.genericNack, error.status, sequence);
      return;
    }
    if ((commandId & RESPONSE_BIT) !== 0) {
      this.onColdResponse(pdu, commandId);
      return;
    }
    if (!this.onColdRequest(pdu) && !this.handOn(pdu)) {
      this.counters.unserved++;
      this.refuse(pdu, Status.invalidCommandId);
    }
  }

  /** Hands a request of a known kind to the owner, when it takes any. */
  private handOn(pdu: Pdu): boolean {
    const { onRequest } = this.handlers;
    const open = this.state === 'bound' || this.state === 'draining';
    if (onRequest === undefined || !open || !isHandedOn(pdu)) return false;
    this.counters.received++;
    this.timers.requestedAt = this.timers.receivedAt;
    if (pdu.command === 'alert_notification') {
      this.handlers.onRequest?.(new IncomingRequestOf(null, pdu, this.timers.receivedAt));
      return true;
    }
    if (this.unresponded.isFull) {
      this.counters.answeredBusy++;
      this.refuse(pdu, this.limits.receiverBusyStatus);
      return true;
    }
    const incoming = new IncomingRequestOf(this, pdu, this.timers.receivedAt) as IncomingRequest;
    this.unresponded.add(incoming);
    this.handlers.onRequest?.(incoming);
    return true;
  }

  private onColdResponse(pdu: Pdu, commandId: number): void {
    const nack = pdu.command === 'generic_nack';
    if (nack) this.lastError = `the peer answered generic_nack ${statusName(pdu.status)}`;
    if (this.asked.answer(pdu)) {
      this.timers.answeredAt = this.timers.receivedAt;
      return;
    }
    const entry = nack ? this.window.get(pdu.sequence) : undefined;
    if (entry !== undefined) {
      // A nack without an error would read as success.
      const status = pdu.status === Status.ok ? Status.systemError : pdu.status;
      this.timers.answeredAt = this.timers.receivedAt;
      this.settle(pdu.sequence, entry, { kind: 'answered', status, messageId: null, tlvs: [] });
      return;
    }
    if (nack && this.timers.enquireSequence !== 0 && pdu.sequence === this.timers.enquireSequence) {
      // It does not know enquire_link, but it lives.
      this.timers.enquireAnswered();
      return;
    }
    this.unexpected(commandId, pdu.sequence);
  }

  private settle(sequence: number, entry: InFlight<C>, answer: Answer): void {
    this.window.remove(sequence, entry);
    this.freed = true;
    if (answer.kind === 'answered') {
      this.counters.answered++;
      this.roundTrips.record(this.timers.receivedAt - entry.sentAt);
      if (answer.status !== Status.ok) this.counters.refused(answer.status);
    } else {
      this.counters.timedOut++;
      this.lastError = 'a request was not answered in time';
    }
    this.handlers.onAnswer(entry.context, answer);
    this.onSlotFree();
  }

  private unexpected(commandId: number, sequence: number): void {
    this.counters.unexpected++;
    this.lastError = `${commandOf(commandId) ?? 'unknown'} with sequence_number ${sequence} answers nothing that waits`;
  }

  private malformed(error: PduError): void {
    this.counters.malformed++;
    this.lastError = `the peer sent a malformed PDU: ${error.message}`;
  }

  // time -------------------------------------------------------------------------------------------------------------

  private arm(): void {
    const now = performance.now();
    const { oldestSentAt } = this.window;
    const { oldestReceivedAt } = this.unresponded;
    const wait = this.timers.waitMs({ oldestSentAt, oldestReceivedAt }, now);
    // Through setImmediate: answers that came while this process stood still are read before they are called late.
    this.timer = setTimeout(() => setImmediate(() => this.sweep()), Math.max(1, Math.ceil(wait)));
  }

  private sweep(): void {
    if (this.isClosed()) return;
    const now = performance.now();
    if (now - this.roundTripsSince >= ROUND_TRIPS_TURN_MS) {
      this.roundTripsSince = now;
      this.roundTrips.turn();
    }
    if (this.timers.isSilent(now)) {
      this.end('peer-silent');
      return;
    }
    for (let { oldest } = this.window; oldest !== undefined; oldest = this.window.oldest) {
      const [sequence, entry] = oldest;
      if (now - entry.sentAt < this.limits.responseTimeoutMs) break;
      this.settle(sequence, entry, TIMED_OUT);
    }
    this.counters.answeredBusy += this.unresponded.answerOverdue(now);
    if (this.isClosed()) return;
    if (this.state === 'bound' && this.timers.isInactive(now)) this.unbinding ??= this.drainAndUnbind('inactive');
    if (this.state !== 'opening' && this.timers.shouldEnquire(now)) {
      const sequence = this.takeSequence();
      this.timers.enquired(sequence, now);
      this.putHeader(Command.enquireLink, Status.ok, sequence);
    }
    this.announceRoom();
    if (!this.isClosed()) this.arm();
  }

  // end --------------------------------------------------------------------------------------------------------------

  protected end(reason: CloseReason, detail: string | null = null): void {
    if (this.isClosed()) return;
    this.state = 'closed';
    clearTimeout(this.timer);
    this.framer.stop();
    if (reason !== 'unbound') this.lastError = detail === null ? reason : `${reason}: ${detail}`;
    if (ORDERLY.has(reason) || reason === 'foreign-bytes') {
      this.writer.flush();
      // Foreign bytes may go on and on: closing while they lie unread would be a reset, and our last word would be lost.
      if (reason === 'foreign-bytes') this.socket.end();
      else this.socket.destroySoon();
      setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    } else {
      this.socket.destroy();
    }
    this.writer.close();
    this.onEnd(reason, detail);
    this.line.end();
    this.asked.end();
    this.unresponded.clear();
    const inFlight = this.window.clear();
    for (const context of inFlight) this.handlers.onAnswer(context, CLOSED);
    this.onWindowEmpty?.();
    if (this.reportsClosed) this.handlers.onClosed(reason, inFlight, detail);
  }

  // A method, so that the compiler does not hold the state for unchanged across handler calls.
  private isClosed(): boolean {
    return this.state === 'closed';
  }
}
