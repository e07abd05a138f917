/**
 * A session of an ESME with an SMSC: connects, binds, sends submit_sm through a window, receives deliver_sm.
 * `link.ts` says what happens on an open session.
 */
import { connect as connectSocket, type Socket } from 'node:net';
import { BIND_COMMANDS, type BindMode, type BindRequest, bindAnswerOf, encodeBind } from './cold.ts';
import { RESPONSE_BIT } from './commands.ts';
import { BindError } from './errors.ts';
import type { Incoming } from './incoming.ts';
import { LINK_LIMITS, type LinkCounters, type LinkLimits } from './limits.ts';
import { type CloseReason, Link, type LinkHandlers } from './link.ts';
import { type DeliverSm, decodeDeliverSm, encodeDeliverSmResp, encodeSubmitSm, type SubmitSm } from './pdu.ts';
import { Status, statusName } from './status.ts';

export type IncomingDeliver = Incoming<DeliverSm>;
export type SessionHandlers<C> = LinkHandlers<C, DeliverSm>;

export interface SessionOptions<C> {
  host: string;
  port: number;
  mode: BindMode;
  systemId: string;
  password: string;
  systemType?: string;
  /** 0x34 (SMPP 3.4) unless told otherwise. */
  interfaceVersion?: number;
  addressTon?: number;
  addressNpi?: number;
  addressRange?: string;
  /** 10 s unless told otherwise. */
  connectTimeoutMs?: number;
  /** From connected to bound. 10 s unless told otherwise. */
  bindTimeoutMs?: number;
  /** What is left out is as in `LINK_LIMITS`. */
  limits?: Partial<LinkLimits>;
  counters?: LinkCounters;
  handlers: SessionHandlers<C>;
  /** Gives up the attempt to connect and bind. An open session is closed by its `close`. */
  signal?: AbortSignal;
}

export interface SubmitOptions {
  /** May use the part of the window that is kept for emergency. */
  emergency: boolean;
}

const CONNECT_TIMEOUT_MS = 10_000;
const BIND_TIMEOUT_MS = 10_000;
const VERSION_3_4 = 0x34;

export class Session<C> extends Link<C, DeliverSm> {
  readonly mode: BindMode;
  /** What the SMSC calls itself; '' before bound and where it says nothing. */
  peerSystemId = '';
  /** `performance.now()` when the bind was accepted. */
  boundAt = 0;
  private readonly maySubmit: boolean;
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

  private constructor(socket: Socket, options: SessionOptions<C>) {
    super(socket, 'submit_sm', { ...LINK_LIMITS, ...options.limits }, options.handlers, {
      reserveForEmergency: true,
      ...(options.counters === undefined ? {} : { counters: options.counters }),
    });
    // A session that never was bound is a BindError, not a closed session.
    this.reportsClosed = false;
    this.mode = options.mode;
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
    return encodeDeliverSmResp(sequence, { status, tlvs: [] });
  }

  protected onColdRequest(): boolean {
    return false;
  }

  protected override onEnd(reason: CloseReason, detail: string | null): void {
    this.failure = { reason, detail };
  }

  private async bind(options: SessionOptions<C>): Promise<void> {
    const request = bindRequest(options);
    const responseId = (BIND_COMMANDS[options.mode] | RESPONSE_BIT) >>> 0;
    const abort = () => this.end('closed');
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        this.ask(
          responseId,
          options.bindTimeoutMs ?? BIND_TIMEOUT_MS,
          (sequence) => encodeBind(sequence, request),
          (pdu) => {
            if (pdu === null) {
              this.end('bind-timeout');
              return reject(this.bindError());
            }
            if (pdu.commandId !== responseId || pdu.status !== Status.ok) {
              this.end('bind-refused');
              const name = statusName(pdu.status);
              return reject(new BindError('bind-refused', `the SMSC answered the bind with ${name}`, pdu.status));
            }
            // Here and not after the promise: a deliver_sm may follow in the same read.
            this.peerSystemId = bindAnswerOf(pdu).systemId;
            this.boundAt = performance.now();
            this.reportsClosed = true;
            this.setBound();
            resolve();
          },
        );
      });
    } catch (error) {
      this.end('closed');
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  private bindError(): BindError {
    const { reason, detail } = this.failure ?? { reason: 'closed', detail: null };
    if (reason === 'bind-timeout') return new BindError('bind-timeout', 'the SMSC did not answer the bind in time');
    return new BindError('closed', `the connection ended before the bind was answered: ${detail ?? reason}`);
  }
}

/** What the options say in a bind PDU. */
export function bindRequest(options: Omit<SessionOptions<unknown>, 'handlers'>): BindRequest {
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

function openSocket(options: SessionOptions<unknown>): Promise<Socket> {
  const { host, port, signal, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, noDelay: true });
    const fail = (error: BindError) => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onError = (error: NodeJS.ErrnoException) =>
      fail(new BindError('connect-failed', `can not connect: ${error.code ?? error.name}`));
    const onAbort = () => fail(new BindError('closed', 'the attempt to connect was given up'));
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const timer = setTimeout(() => fail(new BindError('connect-timeout', 'no connection in time')), connectTimeoutMs);
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('connect', onConnect);
    };
    socket.on('error', onError);
    socket.on('connect', onConnect);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}
