/**
 * One carrier account: keeps its sessions connected, and sends through the one with most room.
 *
 * Sessions are dialled one after another. While dialling fails, one jittered exponential backoff serves the whole bind,
 * so that a carrier that is down or refuses us sees one attempt per step, however many sessions the contract allows. It
 * starts anew only after a session has stood for a healthy minute: a carrier that accepts and drops is not hammered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeBind } from './cold.ts';
import { BindError } from './errors.ts';
import { LinkCounters } from './limits.ts';
import type { Answer, CloseReason } from './link.ts';
import { encodeSubmitSm, type SubmitSm } from './pdu.ts';
import {
  bindRequest,
  type IncomingDeliver,
  Session,
  type SessionHandlers,
  type SessionOptions,
  type SubmitOptions,
} from './session.ts';

export interface Backoff {
  /** The step after the first failure. */
  firstMs: number;
  factor: number;
  maxMs: number;
  /** A session that stood for this long starts the backoff anew. */
  healthyMs: number;
}

export const BACKOFF: Backoff = { firstMs: 250, factor: 2, maxMs: 15_000, healthyMs: 60_000 };

export interface DialFailure {
  error: BindError;
  /** Failures in a row, 1 and up. */
  failures: number;
  retryInMs: number;
}

export interface CarrierBindHandlers<C> {
  /** Once for every submit_sm that was sent. */
  onAnswer(context: C, answer: Answer): void;
  onDeliver(incoming: IncomingDeliver): void;
  /** There may be room to send again. */
  onRoom?(): void;
  /** The first session is up. */
  onUp?(): void;
  /** The last session is gone. */
  onDown?(): void;
  /** Once per backoff step: the place to log that a carrier refuses the bind or can't be reached. */
  onDialFailed?(failure: DialFailure): void;
  /** A session is gone. Every context of `inFlight` has had its onAnswer. */
  onSessionClosed?(reason: CloseReason, inFlight: C[], detail: string | null): void;
}

export interface CarrierBindOptions<C> extends Omit<SessionOptions<C>, 'handlers' | 'signal' | 'counters'> {
  /** Sessions to keep up, ≥ 1. */
  sessions: number;
  backoff?: Backoff;
  /** Uniform in [0, 1). */
  random: () => number;
  handlers: CarrierBindHandlers<C>;
}

export interface CarrierBindStats {
  sessions: number;
  unanswered: number;
  binds: number;
  dialFailures: number;
  counters: LinkCounters;
}

export class CarrierBind<C> {
  private readonly options: CarrierBindOptions<C>;
  private readonly backoff: Backoff;
  private readonly counters = new LinkCounters();
  private sessions: Session<C>[] = [];
  private failures = 0;
  private binds = 0;
  private dialFailures = 0;
  private nextDialAt = 0;
  private readonly stopping = new AbortController();
  private dialling: Promise<void> | null = null;
  private onMissing: (() => void) | null = null;

  /** @throws FieldError when the account's names can't be carried. */
  constructor(options: CarrierBindOptions<C>) {
    encodeBind(1, bindRequest(options));
    this.options = options;
    this.backoff = options.backoff ?? BACKOFF;
  }

  /** Begins to dial; sessions come up in their time. Call once. */
  start(): void {
    this.dialling ??= this.dial();
  }

  /** Whether any session is up. */
  get up(): boolean {
    return this.sessions.length > 0;
  }

  /** submit_sm that may be sent now over all sessions. */
  freeFor(emergency: boolean): number {
    let free = 0;
    for (let i = 0; i < this.sessions.length; i++) free += (this.sessions[i] as Session<C>).freeFor(emergency);
    return free;
  }

  get free(): number {
    return this.freeFor(false);
  }

  /**
   * Sends a submit_sm; its end comes to `onAnswer(context, …)`.
   * @returns false, with nothing sent, when there is no room or no session.
   * @throws FieldError when a field can't be carried.
   */
  submit(pdu: SubmitSm, context: C, options?: SubmitOptions): boolean {
    return this.submitEncoded(encodeSubmitSm(0, pdu), context, options);
  }

  /** The same for a submit_sm that is encoded already; see `Session.submitEncoded`. */
  submitEncoded(submitSm: Uint8Array, context: C, options?: SubmitOptions): boolean {
    return this.roomiest(options?.emergency === true)?.submitEncoded(submitSm, context, options) ?? false;
  }

  /** Hands what is gathered to the sockets now. */
  flush(): void {
    for (const session of this.sessions) session.flush();
  }

  stats(): CarrierBindStats {
    return {
      sessions: this.sessions.length,
      unanswered: this.sessions.reduce((sum, session) => sum + session.unanswered, 0),
      binds: this.binds,
      dialFailures: this.dialFailures,
      counters: { ...this.counters },
    };
  }

  /** Dials no more, takes no more, waits for what is in flight (responseTimeoutMs at most), unbinds. Never rejects. */
  async unbind(): Promise<void> {
    this.stop();
    await Promise.all(this.sessions.map((session) => session.unbind()));
    await this.dialling;
  }

  /** Closes every session at once; what is in flight is reported in doubt before this returns. */
  close(): void {
    this.stop();
    for (const session of [...this.sessions]) session.close();
  }

  private stop(): void {
    this.stopping.abort();
    this.onMissing?.();
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  private async dial(): Promise<void> {
    while (!this.stopped) {
      if (this.sessions.length >= this.options.sessions) {
        await new Promise<void>((resolve) => {
          this.onMissing = resolve;
        });
        this.onMissing = null;
      } else {
        const wait = this.nextDialAt - performance.now();
        if (wait > 0) await sleep(wait, undefined, { signal: this.stopping.signal }).catch(() => {});
        if (!this.stopped) await this.dialOnce();
      }
    }
  }

  private async dialOnce(): Promise<void> {
    const { handlers, sessions: _sessions, backoff: _backoff, random: _random, ...options } = this.options;
    let session: Session<C> | null = null;
    const sessionHandlers: SessionHandlers<C> = {
      onAnswer: (context, answer) => handlers.onAnswer(context, answer),
      onIncoming: (incoming) => handlers.onDeliver(incoming),
      onRoom: () => handlers.onRoom?.(),
      onClosed: (reason, inFlight, detail) => this.onClosed(session, reason, inFlight, detail),
    };
    try {
      session = await Session.connect({
        ...options,
        handlers: sessionHandlers,
        counters: this.counters,
        signal: this.stopping.signal,
      });
    } catch (error) {
      if (this.stopped) return;
      if (!(error instanceof BindError)) throw error;
      this.dialFailures++;
      handlers.onDialFailed?.({ error, failures: this.failures + 1, retryInMs: this.backOff() });
      return;
    }
    this.binds++;
    // Closed again in the same read: onClosed was told, without a session to take off the list.
    if (session.closed) return;
    if (this.stopped) {
      await session.unbind();
      return;
    }
    this.sessions.push(session);
    if (this.sessions.length === 1) handlers.onUp?.();
    handlers.onRoom?.();
  }

  private onClosed(session: Session<C> | null, reason: CloseReason, inFlight: C[], detail: string | null): void {
    const { handlers } = this.options;
    const listed = session !== null && this.sessions.includes(session);
    if (listed) this.sessions = this.sessions.filter((other) => other !== session);
    if (!this.stopped) {
      if (session !== null && performance.now() - session.boundAt >= this.backoff.healthyMs) {
        this.failures = 0;
        // Not all binds of a house that lost its carrier should come back in the same millisecond.
        this.nextDialAt = performance.now() + this.options.random() * this.backoff.firstMs;
      } else {
        this.backOff();
      }
    }
    this.onMissing?.();
    handlers.onSessionClosed?.(reason, inFlight, detail);
    if (listed && this.sessions.length === 0) handlers.onDown?.();
  }

  /** One more failure: returns how long to wait, half of it by chance. */
  private backOff(): number {
    const { firstMs, factor, maxMs } = this.backoff;
    const step = Math.min(maxMs, firstMs * factor ** this.failures);
    this.failures++;
    const wait = step / 2 + (this.options.random() * step) / 2;
    this.nextDialAt = performance.now() + wait;
    return wait;
  }

  private roomiest(emergency: boolean): Session<C> | null {
    let best: Session<C> | null = null;
    let most = 0;
    for (let i = 0; i < this.sessions.length; i++) {
      const session = this.sessions[i] as Session<C>;
      const free = session.freeFor(emergency);
      if (free > most) {
        most = free;
        best = session;
      }
    }
    return best;
  }
}
