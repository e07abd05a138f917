/**
 * A session of an ESME with an SMSC: connects, binds, sends submit_sm through a window, receives deliver_sm.
 * `link.ts` says what happens on an open session.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type BindCommand, type BindMode, type BindRequest, bindAnswerOf, encodeBind } from './bind-request.ts';
import { SEQUENCE_OFFSET } from './commands.ts';
import { CLIENT_CERTIFICATE, type ConnectOptions, isTlsError, openSocket, tlsReason } from './connect.ts';
import { decodeDataSm } from './data-sm.ts';
import { BindError } from './errors.ts';
import type { CloseReason, LinkHandlers, RequestOptions } from './exchange.ts';
import type { Incoming } from './incoming.ts';
import { LINK_LIMITS, type LinkLimits } from './limits.ts';
import { Link } from './link.ts';
import { writeUint32 } from './octets.ts';
import { type DeliverSm, decodeDeliverSm, encodeDeliverSmResp, encodeSubmitSm, type SubmitSm } from './pdu.ts';
import type { Pdu, PduOf } from './pdus/table.ts';
import { Status, statusName } from './status.ts';

/** The answer to nearly every deliver_sm: only its sequence_number changes. */
const TAKEN = encodeDeliverSmResp(0, { status: Status.ok, tlvs: [] });

export type IncomingDeliver = Incoming<DeliverSm>;
export type SessionHandlers<C> = LinkHandlers<C, DeliverSm>;

/** When optional parameters go with a submit_sm. `by-version`: not to a peer, or in a version, older than 3.4. */
export type OptionalParameters = 'by-version' | 'always' | 'never';

/** What we say of ourselves in the bind, and how the session behaves; not where the SMSC is. */
export interface BindOptions<C> {
  mode: BindMode;
  systemId: string;
  password: string;
  systemType?: string;
  /** 0x34 (SMPP 3.4) unless told otherwise. */
  interfaceVersion?: number;
  addressTon?: number;
  addressNpi?: number;
  addressRange?: string;
  /** `by-version` unless told otherwise. */
  optionalParameters?: OptionalParameters;
  /** From connected to bound. 10 s unless told otherwise. */
  bindTimeoutMs?: number;
  /** What is left out is as in `LINK_LIMITS`. */
  limits?: Partial<LinkLimits>;
  handlers: SessionHandlers<C>;
  /** Gives up the attempt to connect and bind. An open session is closed by its `close`. */
  signal?: AbortSignal;
}

export interface SessionOptions<C> extends BindOptions<C>, ConnectOptions {}

/** How an SMSC that connects to us names itself (SMPP 3.4 §4.1.7.1). */
export interface Outbind {
  systemId: string;
  password: string;
}

export interface OutbindOptions<C> extends BindOptions<C> {
  mode: 'receiver' | 'transceiver';
  /** Whether to bind to an SMSC that names itself so. */
  mayBind(outbind: Outbind): boolean;
}

export interface SubmitOptions {
  /** May use the part of the window that is kept for emergency. */
  emergency: boolean;
}

const BIND_TIMEOUT_MS = 10_000;
export const VERSION_3_4 = 0x34;

export class Session<C> extends Link<C, DeliverSm> {
  readonly mode: BindMode;
  /** What the SMSC calls itself; '' before bound and where it says nothing. */
  peerSystemId = '';
  /** `performance.now()` when the bind was accepted. */
  boundAt = 0;
  /** sc_interface_version, 0x34 = SMPP 3.4; null before bound and where the SMSC says nothing. */
  peerVersion: number | null = null;
  private onOutbind: ((outbind: Outbind | null) => void) | null = null;
  private readonly maySubmit: boolean;
  private readonly overTls: boolean;
  private failure: { reason: CloseReason; detail: string | null } | null = null;

  /**
   * Resolves when bound. The session may have closed again by the time the caller sees it: then `onClosed` was called.
   * @throws BindError when the SMSC can't be reached, refuses, does not answer in time, or does not speak SMPP; then no
   * handler was or will be called.
   */
  static async connect<C>(options: SessionOptions<C>): Promise<Session<C>> {
    const socket = await openSocket(options);
    const session = new Session<C>(socket, options);
    await session.bind(options);
    return session;
  }

  /**
   * Takes over a socket that was just accepted, errors and all: waits for the SMSC's outbind (for bindTimeoutMs), then
   * binds on that connection. Resolves and rejects as `connect`.
   */
  static async acceptOutbind<C>(socket: Socket, options: OutbindOptions<C>): Promise<Session<C>> {
    const session = new Session<C>(socket, options);
    await session.awaitOutbind(options);
    await session.bind(options);
    return session;
  }

  private constructor(socket: Socket, options: BindOptions<C>) {
    super(socket, 'submit_sm', { ...LINK_LIMITS, ...options.limits }, options.handlers, true);
    // A session that never was bound is a BindError, not a closed session.
    this.reportsClosed = false;
    this.mode = options.mode;
    this.overTls = socket instanceof TLSSocket;
    this.maySubmit = options.mode !== 'receiver';
  }

  /**
   * Sends a submit_sm; its end comes to `onAnswer(context, …)`.
   * @returns false, with nothing sent, when there is no room or no bind.
   * @throws FieldError when a field can't be carried.
   */
  submit(pdu: SubmitSm, context: C, options?: SubmitOptions): boolean {
    const emergency = options?.emergency === true;
    return this.freeFor(emergency) > 0 && this.send(encodeSubmitSm(0, pdu), context, emergency);
  }

  /**
   * The same for a submit_sm that is encoded already, with any sequence_number: the session gives it its own, in a copy.
   * The buffer is the caller's again on return.
   */
  submitEncoded(submitSm: Uint8Array, context: C, options?: SubmitOptions): boolean {
    return this.send(submitSm, context, options?.emergency === true);
  }

  /**
   * The same, after those that wait for room already: in the order of asking, emergency before all others. Resolves with
   * true when sent; with false, and nothing sent, when the session ends or the signal aborts before that.
   * @throws FieldError (as a rejection) when a field can't be carried.
   */
  async submitWhenRoom(submitSm: SubmitSm | Uint8Array, context: C, options?: RequestOptions): Promise<boolean> {
    const encoded = submitSm instanceof Uint8Array ? submitSm : encodeSubmitSm(0, submitSm);
    return await this.sendWhenRoom(encoded, context, options);
  }

  protected maySend(): boolean {
    return this.maySubmit;
  }

  protected mayReceive(): boolean {
    return this.mode !== 'transmitter';
  }

  protected decodeHot(buffer: Buffer, offset: number, length: number): DeliverSm {
    return decodeDeliverSm(buffer, offset, length);
  }

  protected encodeHotResponse(sequence: number, status: number): Buffer {
    if (status !== Status.ok) return encodeDeliverSmResp(sequence, { status, tlvs: [] });
    // The writer copies it at once.
    writeUint32(TAKEN, SEQUENCE_OFFSET, sequence);
    return TAKEN;
  }

  protected override takesData(): boolean {
    return true;
  }

  protected override decodeData(buffer: Buffer, offset: number, length: number): DeliverSm {
    return decodeDataSm(buffer, offset, length);
  }

  protected onColdRequest(pdu: Pdu): boolean {
    if (pdu.command !== 'outbind' || this.onOutbind === null) return false;
    this.onOutbind({ systemId: pdu.systemId, password: pdu.password });
    return true;
  }

  protected override onEnd(reason: CloseReason, detail: string | null): void {
    this.failure = { reason, detail };
    this.onOutbind?.(null);
  }

  private async awaitOutbind(options: OutbindOptions<C>): Promise<void> {
    const abort = () => this.end('closed');
    options.signal?.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(() => this.end('bind-timeout'), options.bindTimeoutMs ?? BIND_TIMEOUT_MS);
    const outbind = await new Promise<Outbind | null>((resolve) => {
      this.onOutbind = resolve;
    });
    this.onOutbind = null;
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
    if (outbind === null) {
      const detail = this.failure?.detail ?? this.failure?.reason ?? 'closed';
      throw new BindError('no-outbind', `the connection ended before an outbind came: ${detail}`);
    }
    if (!options.mayBind(outbind)) {
      this.end('closed');
      throw new BindError('no-outbind', 'the outbind names an SMSC, or a password, that is not the one agreed');
    }
  }

  private async bind(options: BindOptions<C>): Promise<void> {
    const request = bindRequest(options);
    const response = `bind_${options.mode}_resp` as const;
    const timeoutMs = options.bindTimeoutMs ?? BIND_TIMEOUT_MS;
    const abort = () => this.end('closed');
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      // While the answer is read and not after the promise: a deliver_sm may follow in the same read.
      const answer = await this.ask(encodeBind(0, request), { response, timeoutMs, slot: 'none' }, (pdu) => {
        if (pdu === null) this.end('bind-timeout');
        else if (pdu.command === 'generic_nack' || pdu.status !== Status.ok) this.end('bind-refused');
        else this.onBindAnswer(pdu, request, options.optionalParameters ?? 'by-version');
      });
      if (answer === null) throw this.bindError();
      if (answer.command === 'generic_nack' || answer.status !== Status.ok) {
        const name = statusName(answer.status);
        throw new BindError('bind-refused', `the SMSC answered the bind with ${name}`, answer.status);
      }
    } catch (error) {
      this.end('closed');
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  private onBindAnswer(
    answer: PduOf<`${BindCommand}_resp`>,
    request: BindRequest,
    parameters: OptionalParameters,
  ): void {
    const { systemId, interfaceVersion } = bindAnswerOf(answer);
    this.peerSystemId = systemId;
    this.peerVersion = interfaceVersion;
    // By the standard an SMSC that says nothing knows no TLVs (§2.11); many that know them say nothing all the same.
    const version = Math.min(request.interfaceVersion, interfaceVersion ?? VERSION_3_4);
    this.omitsTlvs = parameters === 'never' || (parameters === 'by-version' && version < VERSION_3_4);
    this.boundAt = performance.now();
    this.reportsClosed = true;
    this.setBound();
  }

  private bindError(): BindError {
    const { reason, detail } = this.failure ?? { reason: 'closed', detail: null };
    if (reason === 'bind-timeout') return new BindError('bind-timeout', 'the SMSC did not answer the bind in time');
    if (detail !== null && isTlsError({ code: detail }))
      return new BindError('tls-failed', tlsReason({ code: detail }));
    // With TLS 1.3 we count ourselves connected before the SMSC has looked at our certificate.
    const hint = this.overTls ? `; ${CLIENT_CERTIFICATE}` : '';
    return new BindError('closed', `the connection ended before the bind was answered: ${detail ?? reason}${hint}`);
  }
}

/** What the options say in a bind PDU. */
export function bindRequest(options: Omit<BindOptions<unknown>, 'handlers'>): BindRequest {
  return {
    mode: options.mode,
    systemId: options.systemId,
    password: options.password,
    systemType: options.systemType ?? '',
    interfaceVersion: options.interfaceVersion ?? VERSION_3_4,
    addressTon: options.addressTon ?? 0,
    addressNpi: options.addressNpi ?? 0,
    addressRange: options.addressRange ?? '',
  };
}
