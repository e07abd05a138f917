/**
 * A session of an SMSC with an ESME that has connected: answers its bind, receives submit_sm, sends deliver_sm through a
 * window. `link.ts` says what happens on an open session.
 */
import type { Socket } from 'node:net';
import { type BindCommand, type BindMode, type BindRequest, bindRequestOf, isBind } from './bind-request.ts';
import type { LinkHandlers } from './exchange.ts';
import type { Incoming } from './incoming.ts';
import { LINK_LIMITS, type LinkLimits } from './limits.ts';
import { Link } from './link.ts';
import { type DeliverSm, decodeSubmitSm, encodeDeliverSm, encodeSubmitSmResp, type SubmitSm } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';
import type { Pdu, PduOf } from './pdus/table.ts';
import { tlv } from './pdus/tlvs.ts';
import { VERSION_3_4 } from './session.ts';
import { Status } from './status.ts';

export type IncomingSubmit = Incoming<SubmitSm>;

export interface ServerSessionHandlers<C> extends LinkHandlers<C, SubmitSm> {
  /** May this ESME bind? Answers 0 or the command_status of the refusal, which also ends the connection. */
  onBind(request: BindRequest, session: ServerSession<C>): number | Promise<number>;
  /** The bind was answered with 0 and the session takes deliver_sm, where its mode allows. */
  onBound?(session: ServerSession<C>): void;
}

export interface ServerSessionOptions<C> {
  /** The SMSC's name for itself, at most 15 characters. */
  systemId: string;
  /** A peer that has not bound after this long is cut off. 10 s unless told otherwise. */
  bindTimeoutMs?: number;
  /**
   * What is left out is as in `LINK_LIMITS`, but for the receiver's side: no receiver timeout, and a submit_sm beyond the
   * receiver window is answered ESME_RMSGQFUL.
   */
  limits?: Partial<LinkLimits>;
  handlers: ServerSessionHandlers<C>;
}

const BIND_TIMEOUT_MS = 10_000;
const SERVER_LIMITS: LinkLimits = {
  ...LINK_LIMITS,
  receiverTimeoutMs: 0,
  receiverBusyStatus: Status.messageQueueFull,
};

export class ServerSession<C> extends Link<C, SubmitSm> {
  /** What the ESME bound as; null before. */
  esme: BindRequest | null = null;
  private readonly systemId: string;
  private readonly server: ServerSessionHandlers<C>;
  private readonly bindTimer: NodeJS.Timeout;

  /** Takes over a socket that was just accepted, errors and all. */
  constructor(socket: Socket, options: ServerSessionOptions<C>) {
    super(socket, 'deliver_sm', { ...SERVER_LIMITS, ...options.limits }, options.handlers, false);
    this.systemId = options.systemId;
    this.server = options.handlers;
    this.bindTimer = setTimeout(() => this.end('bind-timeout'), options.bindTimeoutMs ?? BIND_TIMEOUT_MS);
  }

  get mode(): BindMode | null {
    return this.esme?.mode ?? null;
  }

  /**
   * Sends a deliver_sm; its end comes to `onAnswer(context, …)`.
   * @returns false, with nothing sent, when there is no room or the mode does not allow it.
   * @throws FieldError when a field can't be carried.
   */
  deliver(pdu: DeliverSm, context: C): boolean {
    return this.freeFor(false) > 0 && this.send(encodeDeliverSm(0, pdu), context, false);
  }

  /** The same for a deliver_sm that is encoded already; the session gives it a sequence_number in a copy. */
  deliverEncoded(deliverSm: Uint8Array, context: C): boolean {
    return this.send(deliverSm, context, false);
  }

  /** Writes octets as they are, whatever they are: for faults on demand. */
  write(octets: Uint8Array): void {
    this.writer.put(octets);
  }

  protected maySend(): boolean {
    return this.mode !== 'transmitter';
  }

  protected mayReceive(): boolean {
    return this.mode !== 'receiver';
  }

  protected decodeHot(buffer: Buffer, offset: number, length: number): SubmitSm {
    return decodeSubmitSm(buffer, offset, length);
  }

  protected encodeHotResponse(sequence: number, status: number, messageId: string | null): Buffer {
    return encodeSubmitSmResp(sequence, { status, messageId, tlvs: [] });
  }

  protected onColdRequest(pdu: Pdu): boolean {
    if (!isBind(pdu)) {
      if (this.state === 'bound' || this.state === 'draining') return false;
      this.refuse(pdu, Status.invalidBindStatus);
      return true;
    }
    if (this.esme !== null) {
      this.refuse(pdu, Status.alreadyBound);
      return true;
    }
    this.esme = bindRequestOf(pdu);
    const verdict = this.server.onBind(this.esme, this);
    if (typeof verdict === 'number') this.answerBind(pdu, verdict);
    else {
      verdict.then(
        (status) => this.answerBind(pdu, status),
        () => this.answerBind(pdu, Status.systemError),
      );
    }
    return true;
  }

  protected override onEnd(): void {
    clearTimeout(this.bindTimer);
  }

  private answerBind(pdu: PduOf<BindCommand>, status: number): void {
    if (this.closed) return;
    clearTimeout(this.bindTimer);
    if (status !== Status.ok) {
      this.refuse(pdu, status);
      this.end('bind-refused');
      return;
    }
    this.omitsTlvs = this.esme !== null && this.esme.interfaceVersion < VERSION_3_4;
    const tlvs = this.omitsTlvs ? [] : [tlv('sc_interface_version', VERSION_3_4)];
    const { sequence } = pdu;
    this.writer.put(encodePdu(pduOf(`${pdu.command}_resp`, { sequence, systemId: this.systemId, tlvs })));
    this.setBound();
    this.server.onBound?.(this);
  }
}
