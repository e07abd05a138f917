/**
 * One SMPP connection, whichever side we are: the part that `Session` (ESME) and `ServerSession` (SMSC) share.
 *
 * States: `opening` → `bound` → `draining` (unbind asked for: takes no more requests, waits for the window to empty,
 * then unbinds) → `closed`. Any state goes to `closed` at once when the peer ends, errs, falls silent, or sends bytes
 * that are not SMPP.
 *
 * Each side has one kind of hot request that it sends through a window (submit_sm or deliver_sm) and one that it
 * receives. There is one timer per connection, not per PDU: answers are due in the order of sending, so it looks at the
 * oldest only. It is never armed further ahead than the shortest timeout: nothing sent after that can be due before it.
 */
import type { Socket } from 'node:net';
import { type ColdPdu, commandName, decodeCold, responseIdOf } from './cold.ts';
import { Command, nextSequence, RESPONSE_BIT } from './commands.ts';
import { FrameError, PduError } from './errors.ts';
import { Framer } from './framing.ts';
import { GatheredWriter } from './gathered.ts';
import { Incoming, type Responder } from './incoming.ts';
import { LinkCounters, type LinkLimits } from './limits.ts';
import { decodeSubmitSmResp, encodeHeader, type Tlv } from './pdu.ts';
import { Status } from './status.ts';

/** How a request ended. A request that was sent is answered exactly once. */
export type Answer =
  | { kind: 'answered'; status: number; messageId: string | null; tlvs: readonly Tlv[] }
  /** In doubt: the peer may or may not have taken it. */
  | { kind: 'unanswered'; reason: 'timeout' | 'closed' };

export type CloseReason =
  /** We closed it, with or without unbind. */
  | 'closed'
  | 'unbound'
  | 'peer-unbound'
  /** The peer ended the connection, be it only its half. */
  | 'peer-ended'
  /** enquire_link was not answered in time, or nothing came for the idle timeout. */
  | 'peer-silent'
  /** Bytes that are not SMPP. */
  | 'foreign-bytes'
  | 'socket-error'
  /** The peer leaves megabytes unread. */
  | 'write-stalled'
  | 'bind-refused'
  | 'bind-timeout';

/** All handlers are called synchronously; what they throw is a bug and is not caught. */
export interface LinkHandlers<C, P> {
  /** Once for every request that was sent. `context` is what the sender gave. */
  onAnswer(context: C, answer: Answer): void;
  /** A hot request came in. */
  onIncoming(incoming: Incoming<P>): void;
  /** There may be room to send again: at most once per read, and when the socket drains. */
  onRoom?(): void;
  /** Once. Every context of `inFlight` has had its onAnswer with reason `closed` before. */
  onClosed(reason: CloseReason, inFlight: C[], detail: string | null): void;
}

type LinkState = 'opening' | 'bound' | 'draining' | 'closed';

interface InFlight<C> {
  context: C;
  sentAt: number;
  emergency: boolean;
}

interface Asked {
  responseId: number;
  settle(answer: ColdPdu | null): void;
}

const TIMED_OUT: Answer = Object.freeze({ kind: 'unanswered', reason: 'timeout' });
const CLOSED: Answer = Object.freeze({ kind: 'unanswered', reason: 'closed' });
/** How many settled arrivals may stand before the array is moved up. */
const ARRIVALS_TRIM = 1_024;
/** A peer that does not take our last octets within this time is cut off. */
const LINGER_MS = 1_000;
/** Reasons after which what is still gathered is worth sending. */
const ORDERLY: ReadonlySet<CloseReason> = new Set(['closed', 'unbound', 'peer-unbound', 'bind-refused']);

export abstract class Link<C, P> implements Responder {
  readonly counters: LinkCounters;
  protected readonly limits: LinkLimits;
  protected readonly writer: GatheredWriter;
  protected state: LinkState = 'opening';
  /** Whether `onClosed` is to be called. */
  protected reportsClosed = true;
  private readonly socket: Socket;
  private readonly handlers: LinkHandlers<C, P>;
  private readonly framer: Framer;
  private readonly reserved: number;
  private readonly hotResponseId: number;
  private readonly hotRequestId: number;

  private sequence = 0;
  // In the order of sending: the oldest is the first.
  private readonly inFlight = new Map<number, InFlight<C>>();
  private emergencyInFlight = 0;
  private readonly asked = new Map<number, Asked>();
  private enquireSequence = 0;
  private enquireSentAt = 0;
  // Received requests in their order, from `arrivalsHead` on: the first is not settled. Only with a receiver timeout.
  private readonly arrivals: (Incoming<P> | undefined)[] = [];
  private arrivalsHead = 0;
  private waiting = 0;
  private lastReceivedAt: number;
  private lastAnswerAt: number;
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
    options: { reserveForEmergency: boolean; counters?: LinkCounters },
  ) {
    this.socket = socket;
    this.limits = limits;
    this.handlers = handlers;
    this.counters = options.counters ?? new LinkCounters();
    this.reserved = options.reserveForEmergency && limits.window > 1 ? Math.max(1, Math.floor(limits.window / 10)) : 0;
    this.hotResponseId = sends === 'submit_sm' ? Command.submitSmResp : Command.deliverSmResp;
    this.hotRequestId = sends === 'submit_sm' ? Command.deliverSm : Command.submitSm;
    this.lastReceivedAt = performance.now();
    this.lastAnswerAt = this.lastReceivedAt;
    this.framer = new Framer(
      (buffer, offset, length, commandId, status, sequence) =>
        this.onPdu(buffer, offset, length, commandId, status, sequence),
      limits.pduLengthMax,
    );
    this.writer = new GatheredWriter(socket, {
      onDrain: () => this.handlers.onRoom?.(),
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

  /** Unanswered requests. */
  get unanswered(): number {
    return this.inFlight.size;
  }

  /** Requests that may be sent now; 0 when not bound or while the socket is congested. */
  freeFor(emergency: boolean): number {
    if (this.state !== 'bound' || this.writer.congested || !this.maySend()) return 0;
    const total = this.limits.window - this.inFlight.size;
    if (emergency) return total;
    return Math.max(
      0,
      Math.min(total, this.limits.window - this.reserved - (this.inFlight.size - this.emergencyInFlight)),
    );
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
   * Stops taking requests, waits for those in flight (each ends within responseTimeoutMs), unbinds, closes. Resolves
   * when closed, however that came; never rejects.
   */
  unbind(): Promise<void> {
    this.unbinding ??= this.drainAndUnbind();
    return this.unbinding;
  }

  private async drainAndUnbind(): Promise<void> {
    if (this.state === 'bound') {
      this.state = 'draining';
      if (this.inFlight.size > 0) {
        await new Promise<void>((resolve) => {
          this.onWindowEmpty = resolve;
        });
      }
      if (this.isClosed()) return;
      await new Promise<void>((resolve) => {
        const encode = (sequence: number) => encodeHeader(Command.unbind, Status.ok, sequence);
        this.ask(Command.unbindResp, this.limits.responseTimeoutMs, encode, () => resolve());
      });
    }
    this.end('unbound');
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
  /** A request that is neither hot nor common to both sides; false = not served here. */
  protected abstract onColdRequest(pdu: ColdPdu): boolean;
  /** The link has just closed; the handlers were not told yet. */
  protected onEnd(_reason: CloseReason, _detail: string | null): void {}

  protected setBound(): void {
    this.state = 'bound';
  }

  protected takeSequence(): number {
    do this.sequence = nextSequence(this.sequence);
    while (this.inFlight.has(this.sequence));
    return this.sequence;
  }

  /** Sends a hot request through the window. Its buffer is free again on return. */
  protected send(encoded: Uint8Array, context: C, emergency: boolean): boolean {
    if (this.freeFor(emergency) <= 0) return false;
    const sequence = this.takeSequence();
    this.inFlight.set(sequence, { context, sentAt: performance.now(), emergency });
    if (emergency) this.emergencyInFlight++;
    this.counters.sent++;
    this.writer.putWithSequence(encoded, sequence);
    return true;
  }

  /**
   * Sends a cold request, outside the window. `onAnswer` gets the answer, be it a generic_nack, while it is read; null
   * when it did not come in time or the link closed.
   */
  protected ask(
    responseId: number,
    timeoutMs: number,
    encode: (sequence: number) => Buffer,
    onAnswer: (answer: ColdPdu | null) => void,
  ): void {
    const sequence = this.takeSequence();
    this.writer.put(encode(sequence));
    const settle = (answer: ColdPdu | null) => {
      clearTimeout(timer);
      this.asked.delete(sequence);
      onAnswer(answer);
    };
    const timer = setTimeout(settle, timeoutMs, null);
    this.asked.set(sequence, { responseId, settle });
  }

  /** Answers a hot request. For `Incoming`. */
  respondTo(sequence: number, status: number, messageId: string | null): void {
    this.waiting--;
    if (this.limits.receiverTimeoutMs > 0) this.dropSettledArrivals();
    this.writer.put(this.encodeHotResponse(sequence, status, messageId));
  }

  /**
   * Answers a cold request with an error: by its own response, or generic_nack where the command is unknown.
   * alert_notification and outbind have no response: there is nothing to say.
   */
  protected refuse(pdu: ColdPdu, status: number): void {
    const responseId = responseIdOf(pdu.commandId);
    if (responseId !== null) this.putHeader(responseId, status, pdu.sequence);
    else if (pdu.command === 'unknown') this.putHeader(Command.genericNack, Status.invalidCommandId, pdu.sequence);
  }

  protected putHeader(commandId: number, status: number, sequence: number): void {
    this.writer.put(encodeHeader(commandId, status, sequence));
  }

  // in ---------------------------------------------------------------------------------------------------------------

  private onData(chunk: Buffer): void {
    this.lastReceivedAt = performance.now();
    try {
      this.framer.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.end('foreign-bytes', error.message);
    }
    if (!this.freed) return;
    this.freed = false;
    if (this.state === 'bound') this.handlers.onRoom?.();
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
      this.lastAnswerAt = this.lastReceivedAt;
      const entry = this.inFlight.get(sequence);
      if (entry === undefined) {
        this.counters.unexpected++;
        return;
      }
      const { messageId, tlvs } = decodeSubmitSmResp(buffer, offset, length);
      this.settle(sequence, entry, { kind: 'answered', status, messageId, tlvs });
    } else if (commandId === this.hotRequestId) {
      this.onHotRequest(buffer, offset, length, sequence);
    } else if (commandId === Command.enquireLink) {
      this.putHeader(Command.enquireLinkResp, Status.ok, sequence);
    } else if (commandId === Command.enquireLinkResp && sequence === this.enquireSequence) {
      this.enquireSequence = 0;
      this.lastAnswerAt = this.lastReceivedAt;
    } else if (commandId === Command.unbind) {
      this.putHeader(Command.unbindResp, Status.ok, sequence);
      this.end('peer-unbound');
    } else {
      this.onCold(buffer, offset, length, commandId, status, sequence);
    }
  }

  private onHotRequest(buffer: Buffer, offset: number, length: number, sequence: number): void {
    this.counters.received++;
    if ((this.state !== 'bound' && this.state !== 'draining') || !this.mayReceive()) {
      this.writer.put(this.encodeHotResponse(sequence, Status.invalidBindStatus, null));
      return;
    }
    if (this.waiting >= this.limits.receiverWindow) {
      this.counters.answeredBusy++;
      this.writer.put(this.encodeHotResponse(sequence, this.limits.receiverBusyStatus, null));
      return;
    }
    let pdu: P;
    try {
      pdu = this.decodeHot(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      this.counters.malformed++;
      this.writer.put(this.encodeHotResponse(sequence, error.status, null));
      return;
    }
    const incoming = new Incoming<P>(this, pdu, sequence, this.lastReceivedAt);
    this.waiting++;
    if (this.limits.receiverTimeoutMs > 0) this.arrivals.push(incoming);
    this.handlers.onIncoming(incoming);
  }

  private onCold(
    buffer: Buffer,
    offset: number,
    length: number,
    commandId: number,
    status: number,
    sequence: number,
  ): void {
    let pdu: ColdPdu;
    try {
      pdu = decodeCold(buffer, offset, length);
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      this.counters.malformed++;
      // An answer with an odd body is still an answer: its header says what there is to know.
      if ((commandId & RESPONSE_BIT) === 0) {
        this.putHeader(responseIdOf(commandId) ?? Command.genericNack, error.status, sequence);
        return;
      }
      pdu = { command: commandName(commandId), commandId, status, sequence, fields: {} };
    }
    if ((commandId & RESPONSE_BIT) !== 0) {
      this.onColdResponse(pdu);
      return;
    }
    if (this.onColdRequest(pdu)) return;
    this.counters.unserved++;
    this.refuse(pdu, Status.invalidCommandId);
  }

  private onColdResponse(pdu: ColdPdu): void {
    const nack = pdu.commandId === Command.genericNack;
    const asked = this.asked.get(pdu.sequence);
    if (asked !== undefined && (nack || pdu.commandId === asked.responseId)) {
      this.lastAnswerAt = this.lastReceivedAt;
      asked.settle(pdu);
      return;
    }
    const entry = nack ? this.inFlight.get(pdu.sequence) : undefined;
    if (entry !== undefined) {
      // A nack without an error would read as success.
      const status = pdu.status === Status.ok ? Status.systemError : pdu.status;
      this.lastAnswerAt = this.lastReceivedAt;
      this.settle(pdu.sequence, entry, { kind: 'answered', status, messageId: null, tlvs: [] });
      return;
    }
    if (nack && pdu.sequence === this.enquireSequence) {
      // It does not know enquire_link, but it lives.
      this.enquireSequence = 0;
      this.lastAnswerAt = this.lastReceivedAt;
      return;
    }
    this.counters.unexpected++;
  }

  private settle(sequence: number, entry: InFlight<C>, answer: Answer): void {
    this.inFlight.delete(sequence);
    if (entry.emergency) this.emergencyInFlight--;
    this.freed = true;
    if (answer.kind === 'answered') this.counters.answered++;
    else this.counters.timedOut++;
    this.handlers.onAnswer(entry.context, answer);
    if (this.onWindowEmpty !== null && this.inFlight.size === 0) this.onWindowEmpty();
  }

  // time -------------------------------------------------------------------------------------------------------------

  private arm(): void {
    const { responseTimeoutMs, enquireLinkMs, idleTimeoutMs, receiverTimeoutMs } = this.limits;
    const now = performance.now();
    let wait = responseTimeoutMs;
    if (enquireLinkMs > 0) wait = Math.min(wait, enquireLinkMs);
    if (idleTimeoutMs > 0) wait = Math.min(wait, idleTimeoutMs, this.lastReceivedAt + idleTimeoutMs - now);
    if (receiverTimeoutMs > 0) wait = Math.min(wait, receiverTimeoutMs);
    for (const { sentAt } of this.inFlight.values()) {
      wait = Math.min(wait, sentAt + responseTimeoutMs - now);
      break;
    }
    const oldest = this.arrivals[this.arrivalsHead];
    if (receiverTimeoutMs > 0 && oldest !== undefined) {
      wait = Math.min(wait, oldest.receivedAt + receiverTimeoutMs - now);
    }
    if (this.enquireSequence !== 0) wait = Math.min(wait, this.enquireSentAt + responseTimeoutMs - now);
    else if (enquireLinkMs > 0) wait = Math.min(wait, this.lastAnswerAt + enquireLinkMs - now);
    // Through setImmediate: answers that came while this process stood still are read before they are called late.
    this.timer = setTimeout(() => setImmediate(() => this.sweep()), Math.max(1, Math.ceil(wait)));
  }

  private sweep(): void {
    if (this.isClosed()) return;
    const now = performance.now();
    const { responseTimeoutMs, enquireLinkMs, idleTimeoutMs, receiverTimeoutMs } = this.limits;
    if (
      (this.enquireSequence !== 0 && now - this.enquireSentAt >= responseTimeoutMs) ||
      (idleTimeoutMs > 0 && now - this.lastReceivedAt >= idleTimeoutMs)
    ) {
      this.end('peer-silent');
      return;
    }
    for (const [sequence, entry] of this.inFlight) {
      if (now - entry.sentAt < responseTimeoutMs) break;
      this.settle(sequence, entry, TIMED_OUT);
    }
    if (receiverTimeoutMs > 0) this.answerOverdue(now - receiverTimeoutMs);
    if (this.isClosed()) return;
    if (
      this.state !== 'opening' &&
      enquireLinkMs > 0 &&
      this.enquireSequence === 0 &&
      now - this.lastAnswerAt >= enquireLinkMs
    ) {
      this.enquireSequence = this.takeSequence();
      this.enquireSentAt = now;
      this.putHeader(Command.enquireLink, Status.ok, this.enquireSequence);
    }
    if (this.freed) {
      this.freed = false;
      if (this.state === 'bound') this.handlers.onRoom?.();
    }
    if (!this.isClosed()) this.arm();
  }

  /** Answers busy what came before `horizon` and has had no response. */
  private answerOverdue(horizon: number): void {
    let oldest = this.arrivals[this.arrivalsHead];
    while (oldest !== undefined && oldest.receivedAt <= horizon) {
      this.counters.answeredBusy++;
      oldest.respond(this.limits.receiverBusyStatus);
      oldest = this.arrivals[this.arrivalsHead];
    }
  }

  /** Forgets settled requests at once, as each holds on to the memory of the read that it came with. */
  private dropSettledArrivals(): void {
    const { arrivals } = this;
    let head = this.arrivalsHead;
    for (let oldest = arrivals[head]; oldest?.settled; oldest = arrivals[head]) arrivals[head++] = undefined;
    if (head === arrivals.length || head >= ARRIVALS_TRIM) {
      arrivals.splice(0, head);
      head = 0;
    }
    this.arrivalsHead = head;
  }

  // end --------------------------------------------------------------------------------------------------------------

  protected end(reason: CloseReason, detail: string | null = null): void {
    if (this.isClosed()) return;
    this.state = 'closed';
    clearTimeout(this.timer);
    this.framer.stop();
    if (ORDERLY.has(reason)) {
      this.writer.flush();
      this.socket.destroySoon();
      setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    } else {
      this.socket.destroy();
    }
    this.writer.close();
    this.onEnd(reason, detail);
    for (const asked of [...this.asked.values()]) asked.settle(null);
    this.arrivals.length = 0;
    this.arrivalsHead = 0;
    const inFlight = [...this.inFlight.values()].map((entry) => entry.context);
    this.inFlight.clear();
    this.emergencyInFlight = 0;
    for (const context of inFlight) this.handlers.onAnswer(context, CLOSED);
    this.onWindowEmpty?.();
    if (this.reportsClosed) this.handlers.onClosed(reason, inFlight, detail);
  }

  // A method, so that the compiler does not hold the state for unchanged across handler calls.
  private isClosed(): boolean {
    return this.state === 'closed';
  }
}
