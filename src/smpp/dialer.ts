/**
 * Keeps a number of sessions of one mode connected to a carrier.
 *
 * Sessions are dialled one after another. While dialling fails, one jittered exponential backoff serves them all, so that
 * a carrier that is down or refuses us sees one attempt per step, however many sessions the contract allows. It starts
 * anew only after a session has stood for a healthy minute: a carrier that accepts and drops is not hammered.
 *
 * | a dial ends with            | next dial                                                                           |
 * |-----------------------------|-------------------------------------------------------------------------------------|
 * | bound                       | at once, while sessions are missing                                                 |
 * | ESME_RALYBND                | the same host after `alreadyBoundMs`: our former session is about to time out there |
 * | another refusal of us       | the same host after the backoff: other hosts would refuse the account as well       |
 * | anything else               | the next host at once; after the backoff when all have failed in a row              |
 *
 * While sessions stand on another host than the first, the first is tried again every `returnAfterMs`, with a session more
 * than we want: when it takes that, one elsewhere goes, after what it has in flight was answered, and the next follows.
 * When it does not, for whatever reason, everything stays as it is: a session that works is not given up for one that may.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BindError } from './errors.ts';
import type { CloseReason } from './exchange.ts';
import type { Host, HostList } from './hosts.ts';
import { Session, type SessionHandlers, type SessionOptions } from './session.ts';
import { Status } from './status.ts';

export interface Backoff {
  /** The step after the first failure. */
  firstMs: number;
  factor: number;
  maxMs: number;
  /** A session that stood for this long starts the backoff anew. */
  healthyMs: number;
  /** Between attempts that are answered ESME_RALYBND. */
  alreadyBoundMs: number;
}

export const BACKOFF: Backoff = {
  firstMs: 250,
  factor: 2,
  maxMs: 15_000,
  healthyMs: 60_000,
  alreadyBoundMs: 1_000,
};

export interface DialFailure {
  error: BindError;
  mode: SessionOptions<unknown>['mode'];
  host: Host;
  /** Failures in a row, 1 and up. */
  failures: number;
  retryInMs: number;
}

export interface DialerHandlers<C> {
  session: Omit<SessionHandlers<C>, 'onClosed'>;
  onUp(session: Session<C>): void;
  /** `listed`: it was one of `sessions` until now. */
  onClosed(
    session: Session<C> | null,
    listed: boolean,
    reason: CloseReason,
    inFlight: C[],
    detail: string | null,
  ): void;
  onFailed(failure: DialFailure): void;
}

export interface DialerOptions<C> {
  /** Sessions to keep up, ≥ 1. */
  count: number;
  session: Omit<SessionOptions<C>, 'handlers' | 'signal' | 'host' | 'port'>;
  hosts: HostList;
  backoff: Backoff;
  /** Uniform in [0, 1). */
  random: () => number;
  handlers: DialerHandlers<C>;
}

/** The most that a timer of Node.js takes. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

export class Dialer<C> {
  /** Those that are up. */
  sessions: Session<C>[] = [];
  /** Successful binds. */
  binds = 0;
  /** Failed dials. */
  failed = 0;
  /** Up, but on the way out: they take nothing more. */
  readonly retiring = new Set<Session<C>>();
  private readonly options: DialerOptions<C>;
  private readonly at = new WeakMap<Session<C>, Host>();
  private failedInRow = 0;
  /** Steps of the backoff so far. */
  private steps = 0;
  private nextDialAt = 0;
  private readonly stopping = new AbortController();
  private dialling: Promise<void> | null = null;
  private wake = new AbortController();

  constructor(options: DialerOptions<C>) {
    this.options = options;
  }

  get mode(): SessionOptions<C>['mode'] {
    return this.options.session.mode;
  }

  get count(): number {
    return this.options.count;
  }

  hostOf(session: Session<C>): Host {
    return this.at.get(session) ?? this.options.hosts.first;
  }

  start(): void {
    this.dialling ??= this.dial();
  }

  /** Dials no more, lets every session drain and unbind. Never rejects. */
  async unbind(): Promise<void> {
    this.stop();
    await Promise.all([...this.sessions, ...this.retiring].map((session) => session.unbind()));
    await this.dialling;
  }

  /** Closes every session at once. */
  close(): void {
    this.stop();
    for (const session of [...this.sessions, ...this.retiring]) session.close();
  }

  private stop(): void {
    this.stopping.abort();
    this.wake.abort();
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  private async dial(): Promise<void> {
    const { hosts, count } = this.options;
    while (!this.stopped) {
      const astray = this.sessions.some((session) => this.hostOf(session) !== hosts.first);
      const missing = this.sessions.length < count;
      const now = performance.now();
      const dueAt = missing ? this.nextDialAt : astray ? Math.max(this.nextDialAt, hosts.returnsAt) : Infinity;
      if (dueAt > now) await this.sleepUntil(dueAt);
      else if (missing) await this.dialOnce(hosts.pick(now));
      else await this.returnOne();
    }
  }

  /** Until then, or until something has changed. */
  private async sleepUntil(at: number): Promise<void> {
    this.wake = new AbortController();
    if (this.stopped) return;
    const wait = Math.max(0, Math.min(LONGEST_SLEEP_MS, at - performance.now()));
    await sleep(wait, undefined, { signal: this.wake.signal }).catch(() => {});
  }

  private async returnOne(): Promise<void> {
    const { hosts } = this.options;
    const error = await this.dialOnce(hosts.first);
    if (error !== null) {
      hosts.postpone(performance.now());
      return;
    }
    const leaving = this.sessions.find((session) => this.hostOf(session) !== hosts.first);
    if (this.stopped || leaving === undefined || this.sessions.length <= this.options.count) return;
    this.sessions = this.sessions.filter((session) => session !== leaving);
    this.retiring.add(leaving);
    void leaving.unbind();
  }

  private async dialOnce(host: Host): Promise<BindError | null> {
    const { handlers, hosts, session: options } = this.options;
    let session: Session<C> | null = null;
    try {
      session = await Session.connect<C>({
        ...options,
        ...host,
        handlers: {
          ...handlers.session,
          onClosed: (reason, inFlight, detail) => this.onClosed(session, reason, inFlight, detail),
        },
        signal: this.stopping.signal,
      });
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      if (!this.stopped) this.onFailed(error, host);
      return error;
    }
    this.binds++;
    this.at.set(session, host);
    hosts.bound(host);
    this.failedInRow = 0;
    // Closed again in the same read: onClosed was told, without a session to take off the list.
    if (session.closed) return null;
    if (this.stopped) {
      await session.unbind();
      return null;
    }
    this.sessions.push(session);
    handlers.onUp(session);
    return null;
  }

  private onFailed(error: BindError, host: Host): void {
    const { hosts, backoff, handlers, session } = this.options;
    const now = performance.now();
    this.failed++;
    this.failedInRow++;
    let retryInMs: number;
    if (error.status === Status.alreadyBound) {
      retryInMs = backoff.alreadyBoundMs;
      this.nextDialAt = now + retryInMs;
    } else if (refusesUs(error) || hosts.failed(host, now)) {
      retryInMs = this.backOff();
    } else {
      retryInMs = 0;
      this.nextDialAt = now;
    }
    handlers.onFailed({ error, mode: session.mode, host, failures: this.failedInRow, retryInMs });
  }

  private onClosed(session: Session<C> | null, reason: CloseReason, inFlight: C[], detail: string | null): void {
    const { backoff, random, handlers } = this.options;
    const retired = session !== null && this.retiring.delete(session);
    const listed = session !== null && this.sessions.includes(session);
    if (listed) this.sessions = this.sessions.filter((other) => other !== session);
    if (!this.stopped && !retired) {
      if (session !== null && performance.now() - session.boundAt >= backoff.healthyMs) {
        this.steps = 0;
        // Not all binds of a house that lost its carrier should come back in the same millisecond.
        this.nextDialAt = performance.now() + random() * backoff.firstMs;
      } else {
        this.backOff();
      }
    }
    this.wake.abort();
    handlers.onClosed(session, listed, reason, inFlight, detail);
  }

  /** One more failure: returns how long to wait, half of it by chance. */
  private backOff(): number {
    const { backoff, random } = this.options;
    const step = Math.min(backoff.maxMs, backoff.firstMs * backoff.factor ** this.steps);
    this.steps++;
    const wait = step / 2 + (random() * step) / 2;
    this.nextDialAt = performance.now() + wait;
    return wait;
  }
}

/** Refused for what we are, not for the state that the SMSC is in. */
function refusesUs({ code, status }: BindError): boolean {
  return code === 'bind-refused' && status !== Status.systemError && status !== Status.bindFailed;
}
