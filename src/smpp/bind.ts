/**
 * One carrier account: keeps its sessions connected (`dialer.ts` says how), and sends through the one with most room.
 *
 * An account's sessions are transceivers, or as many transmitters as receivers; an SMSC that comes to us by outbind adds
 * receivers. The bind is `up` while any session may send: without a receiver, receipts wait at the carrier.
 *
 * | state        | meaning                                                       |
 * |--------------|---------------------------------------------------------------|
 * | `connecting` | no session that may send is up                                |
 * | `degraded`   | some that may send are up, and some of those wanted are not   |
 * | `up`         | all that are wanted are up                                    |
 * | `draining`   | takes nothing more, waits for what is in flight, unbinds      |
 * | `closed`     | all is over                                                   |
 */
import { timingSafeEqual } from 'node:crypto';
import { type BindMode, encodeBind } from './bind-request.ts';
import { BACKOFF, type Backoff, Dialer, type DialFailure } from './dialer.ts';
import type { BindError } from './errors.ts';
import type { Answer, CloseReason, RequestOptions, RequestOutcome } from './exchange.ts';
import { type Host, HostList } from './hosts.ts';
import type { IncomingRequest } from './incoming.ts';
import { LINK_LIMITS } from './limits.ts';
import { OutbindListener } from './outbind.ts';
import { encodeSubmitSm, type SubmitSm } from './pdu.ts';
import type { PduFields, RequestCommand } from './requests.ts';
import {
  bindRequest,
  type IncomingDeliver,
  type Outbind,
  type OutbindOptions,
  type Session,
  type SessionHandlers,
  type SessionOptions,
  type SubmitOptions,
} from './session.ts';
import { LinkCounters, type LinkStats, type RoundTripMs, RoundTrips } from './stats.ts';
import { statusName } from './status.ts';
import { WaitingLine } from './waiting-line.ts';

export { BACKOFF, type Backoff, type DialFailure } from './dialer.ts';
export type { Host } from './hosts.ts';

export type BindState = 'connecting' | 'degraded' | 'up' | 'draining' | 'closed';

export interface CarrierBindHandlers<C> {
  /** Once for every submit_sm that was sent. */
  onAnswer(context: C, answer: Answer): void;
  /** A deliver_sm, or a data_sm in its shape. */
  onDeliver(incoming: IncomingDeliver): void;
  /** A request of another kind. Without this handler it is answered ESME_RINVCMDID. */
  onRequest?(incoming: IncomingRequest): void;
  /** There may be room to send again. */
  onRoom?(): void;
  /** The first session that may send is up. */
  onUp?(): void;
  /** The last session that may send is gone. */
  onDown?(): void;
  /** Once per failed dial: the place to log that a carrier refuses the bind or can't be reached. */
  onDialFailed?(failure: DialFailure): void;
  /** An SMSC connected to us, and no session came of it. */
  onOutbindRefused?(error: BindError): void;
  /** It can't be listened for an SMSC that connects to us. Nothing else is touched by it. */
  onOutbindTrouble?(error: Error): void;
  /** A session is gone. Every context of `inFlight` has had its onAnswer. */
  onSessionClosed?(reason: CloseReason, inFlight: C[], detail: string | null): void;
  /** On each change of state, and every `statsMs`. */
  onStats?(stats: CarrierBindStats): void;
}

export interface CarrierBindOptions<C>
  extends Omit<SessionOptions<C>, 'handlers' | 'signal' | 'host' | 'port' | 'mode'> {
  /** In the order of preference, ≥ 1. */
  hosts: readonly Host[];
  /** A pair is a transmitter and a receiver. */
  mode: 'transceiver' | 'transmitter' | 'receiver' | 'pair';
  /** Sessions, or pairs of them, to keep up, ≥ 1. */
  sessions: number;
  /** For how long the first host is left alone after it failed. 5 min unless told otherwise. */
  returnAfterMs?: number;
  backoff?: Partial<Backoff>;
  /** Where to listen for the carrier's outbind, and how it must name itself. */
  outbind?: Outbind & { listen: Host };
  /** How often `onStats` is called without a change; 0, unless told otherwise, is never. */
  statsMs?: number;
  /** Uniform in [0, 1). */
  random: () => number;
  handlers: CarrierBindHandlers<C>;
}

export interface SessionStats extends LinkStats {
  mode: BindMode;
  /** Null when the SMSC connected to us. */
  host: Host | null;
  boundForMs: number;
  /** What the SMSC says of itself. */
  peerSystemId: string;
  peerVersion: number | null;
}

export interface CarrierBindStats {
  state: BindState;
  /** Sessions that are up. */
  sessions: number;
  unanswered: number;
  /** Senders that wait for room. */
  waiting: number;
  /** Successful binds, and failed dials, since the start. */
  binds: number;
  dialFailures: number;
  /** Since the start, over all sessions, those that are gone included. */
  counters: LinkCounters;
  /** Over the sessions that are up, of the last one to two minutes. */
  roundTripMs: RoundTripMs | null;
  lastError: string | null;
  bySession: SessionStats[];
}

const RETURN_AFTER_MS = 300_000;
/** Connections that an outbind listener takes beside the sessions it may hold. */
const OUTBIND_SPARE = 4;

export class CarrierBind<C> {
  private readonly options: CarrierBindOptions<C>;
  /** Those whose sessions may send; null for an account that only receives. */
  private readonly sending: Dialer<C> | null;
  private readonly dialers: Dialer<C>[];
  /** Senders that wait for room in any session. */
  private readonly line: WaitingLine;
  /** Sessions that the SMSC asked for. */
  private readonly outbound = new Set<Session<C>>();
  private listener: OutbindListener<C> | null = null;
  private readonly past = new LinkCounters();
  private outbinds = 0;
  private lastError: string | null = null;
  private state: BindState = 'connecting';
  private ending: 'draining' | 'closed' | null = null;
  private timer: NodeJS.Timeout | undefined;
  /** Gathers what was in flight while `close` runs. */
  private lost: C[] | null = null;

  /** @throws FieldError when the account's names can't be carried. */
  constructor(options: CarrierBindOptions<C>) {
    const modes: BindMode[] = options.mode === 'pair' ? ['transmitter', 'receiver'] : [options.mode];
    encodeBind(1, bindRequest({ ...options, mode: modes[0] as BindMode }));
    this.options = options;
    this.line = new WaitingLine(options.limits?.waitingMax ?? LINK_LIMITS.waitingMax);
    const hosts = new HostList(options.hosts, options.returnAfterMs ?? RETURN_AFTER_MS);
    this.dialers = modes.map((mode) => this.dialerOf(mode, hosts));
    this.sending = this.dialers.find((dialer) => dialer.mode !== 'receiver') ?? null;
  }

  /** Begins to dial; sessions come up in their time. Call once. */
  start(): void {
    for (const dialer of this.dialers) dialer.start();
    if (this.options.outbind !== undefined) void this.listen(this.options.outbind);
    const { statsMs = 0, handlers } = this.options;
    if (statsMs > 0 && handlers.onStats !== undefined) {
      this.timer = setInterval(() => handlers.onStats?.(this.stats()), statsMs);
      this.timer.unref();
    }
  }

  /** Whether any session that may send is up. */
  get up(): boolean {
    return this.sendingSessions > 0;
  }

  /** Sessions that are up and may send. */
  get sendingSessions(): number {
    return this.sending?.sessions.length ?? 0;
  }

  /** submit_sm on the wire without an answer, over all sessions. */
  get unanswered(): number {
    return this.live().reduce((sum, { session }) => sum + session.unanswered, 0);
  }

  /** submit_sm that may be sent now over all sessions; 0 while others wait that this one may not overtake. */
  freeFor(emergency: boolean): number {
    return this.line.isBefore(emergency) ? 0 : this.roomFor(emergency);
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
    const emergency = options?.emergency === true;
    if (this.line.isBefore(emergency)) return false;
    return this.roomiest(emergency)?.submitEncoded(submitSm, context, options) ?? false;
  }

  /**
   * The same, after those that wait for room already: over all sessions in the order of asking, emergency before all
   * others. Resolves with false, and nothing sent, when no session is up (any more) or the signal aborts before that.
   * @throws FieldError (as a rejection) when a field can't be carried.
   */
  async submitWhenRoom(submitSm: SubmitSm | Uint8Array, context: C, options: RequestOptions = {}): Promise<boolean> {
    const encoded = submitSm instanceof Uint8Array ? submitSm : encodeSubmitSm(0, submitSm);
    const { emergency = false } = options;
    return (await this.whenRoom(options, (session) => session.submitEncoded(encoded, context, { emergency }))) ?? false;
  }

  /** A request of another kind, after those that wait already; see `Session.request`. */
  async request<C extends RequestCommand>(
    command: C,
    fields?: PduFields<C>,
    options: RequestOptions = {},
  ): Promise<RequestOutcome<C>> {
    // In an object: a bare promise would be awaited by the line.
    const sent = await this.whenRoom(options, (session) => ({ outcome: session.request(command, fields, options) }));
    return sent === null ? { kind: 'not-sent' } : await sent.outcome;
  }

  /** Hands what is gathered to the sockets now. */
  flush(): void {
    for (const session of this.sending?.sessions ?? []) session.flush();
  }

  stats(): CarrierBindStats {
    const live = this.live();
    const counters = new LinkCounters().add(this.past);
    for (const { session } of live) counters.add(session.counters);
    return {
      state: this.state,
      sessions: this.upCount(),
      unanswered: this.unanswered,
      waiting: this.line.length,
      binds: this.dialers.reduce((sum, { binds }) => sum + binds, this.outbinds),
      dialFailures: this.dialers.reduce((sum, { failed }) => sum + failed, 0),
      counters,
      roundTripMs: RoundTrips.percentiles(live.map(({ session }) => session.roundTrips)),
      lastError: this.lastError,
      bySession: live.map(({ session, host }) => ({
        ...session.stats(),
        mode: session.mode,
        host,
        boundForMs: performance.now() - session.boundAt,
        peerSystemId: session.peerSystemId,
        peerVersion: session.peerVersion,
      })),
    };
  }

  /** Dials no more, takes no more, waits for what is in flight (responseTimeoutMs at most), unbinds. Never rejects. */
  async unbind(): Promise<void> {
    this.stop('draining');
    await Promise.all([
      ...this.dialers.map((dialer) => dialer.unbind()),
      ...[...this.outbound].map((session) => session.unbind()),
    ]);
    this.stop('closed');
  }

  /** Closes every session at once. @returns what was in flight; each was reported in doubt before. */
  close(): C[] {
    const lost: C[] = [];
    this.lost = lost;
    this.ending = 'closed';
    for (const dialer of this.dialers) dialer.close();
    for (const session of [...this.outbound]) session.close();
    this.lost = null;
    this.stop('closed');
    return lost;
  }

  private stop(ending: 'draining' | 'closed'): void {
    this.ending = ending;
    clearInterval(this.timer);
    this.line.end();
    this.listener?.close();
    this.onChange();
  }

  private dialerOf(mode: BindMode, hosts: HostList): Dialer<C> {
    const { handlers, backoff, random, sessions, ...options } = this.options;
    return new Dialer<C>({
      count: sessions,
      session: { ...options, mode },
      hosts,
      backoff: { ...BACKOFF, ...backoff },
      random,
      handlers: {
        session: this.sessionHandlers(),
        onUp: () => this.onUp(mode),
        onClosed: (session, listed, reason, inFlight, detail) => {
          if (session !== null) this.past.add(session.counters);
          this.onClosed(mode, listed, reason, inFlight, detail);
        },
        onFailed: (failure) => {
          this.lastError = failure.error.message;
          handlers.onDialFailed?.(failure);
        },
      },
    });
  }

  private sessionHandlers(): Omit<SessionHandlers<C>, 'onClosed'> {
    const { handlers } = this.options;
    return {
      onAnswer: (context, answer) => {
        if (answer.kind === 'answered' && answer.status !== 0) this.lastError = statusName(answer.status);
        handlers.onAnswer(context, answer);
      },
      onIncoming: (incoming) => handlers.onDeliver(incoming),
      ...(handlers.onRequest === undefined
        ? {}
        : { onRequest: (incoming: IncomingRequest) => handlers.onRequest?.(incoming) }),
      onRoom: () => this.announceRoom(),
    };
  }

  /** Those that make the bind up: the ones that may send, if any may. */
  private get main(): Dialer<C> {
    return this.sending ?? (this.dialers[0] as Dialer<C>);
  }

  private onUp(mode: BindMode): void {
    const { handlers } = this.options;
    this.onChange();
    if (mode !== this.main.mode) return;
    if (this.main.sessions.length === 1) handlers.onUp?.();
    this.announceRoom();
  }

  private onClosed(mode: BindMode, listed: boolean, reason: CloseReason, inFlight: C[], detail: string | null): void {
    const { handlers } = this.options;
    if (reason !== 'unbound') this.lastError = detail === null ? reason : `${reason}: ${detail}`;
    this.lost?.push(...inFlight);
    handlers.onSessionClosed?.(reason, inFlight, detail);
    this.onChange();
    if (!listed || mode !== this.main.mode || this.main.sessions.length > 0) return;
    this.line.end();
    handlers.onDown?.();
  }

  private onChange(): void {
    const wanted = this.dialers.reduce((sum, { count }) => sum + count, 0);
    const up = this.dialers.reduce((sum, { sessions, count }) => sum + Math.min(count, sessions.length), 0);
    const sends = this.sending === null ? up > 0 : this.up;
    const before = this.state;
    this.state = this.ending ?? (up === wanted ? 'up' : sends ? 'degraded' : 'connecting');
    if (this.state !== before) this.options.handlers.onStats?.(this.stats());
  }

  private upCount(): number {
    return this.dialers.reduce((sum, { sessions }) => sum + sessions.length, this.outbound.size);
  }

  private live(): { session: Session<C>; host: Host | null }[] {
    const dialled = this.dialers.flatMap((dialer) =>
      [...dialer.sessions, ...dialer.retiring].map((session) => ({ session, host: dialer.hostOf(session) })),
    );
    return [...dialled, ...[...this.outbound].map((session) => ({ session, host: null }))];
  }

  private roomFor(emergency: boolean): number {
    if (this.sending === null) return 0;
    const { sessions } = this.sending;
    let free = 0;
    for (let i = 0; i < sessions.length; i++) free += (sessions[i] as Session<C>).freeFor(emergency);
    return free;
  }

  private async whenRoom<T>(options: RequestOptions, send: (session: Session<C>) => T): Promise<T | null> {
    const { emergency = false, signal } = options;
    if (!this.up || this.ending !== null || signal?.aborted === true) return null;
    const free = this.line.isBefore(emergency) ? null : this.roomiest(emergency);
    if (free !== null) return send(free);
    return await this.line.wait(emergency, signal, () => send(this.roomiest(emergency) as Session<C>));
  }

  /** Those in the line first, then whoever listens. */
  private announceRoom(): void {
    if (this.line.length > 0) this.line.serve((emergency) => this.roomFor(emergency));
    this.options.handlers.onRoom?.();
  }

  private roomiest(emergency: boolean): Session<C> | null {
    if (this.sending === null) return null;
    const { sessions } = this.sending;
    let best: Session<C> | null = null;
    let most = 0;
    for (let i = 0; i < sessions.length; i++) {
      const session = sessions[i] as Session<C>;
      const free = session.freeFor(emergency);
      if (free > most) {
        most = free;
        best = session;
      }
    }
    return best;
  }

  // outbind ----------------------------------------------------------------------------------------------------------

  private async listen(outbind: Outbind & { listen: Host }): Promise<void> {
    const { handlers } = this.options;
    try {
      this.listener = await OutbindListener.listen<C>({
        ...outbind.listen,
        connectionsMax: this.options.sessions + OUTBIND_SPARE,
        session: () => this.outbindOptions(outbind),
        onSession: (session) => this.onOutbound(session),
        onRefused: (error) => {
          this.lastError = error.message;
          handlers.onOutbindRefused?.(error);
        },
      });
      if (this.ending !== null) this.listener.close();
    } catch (error) {
      this.lastError = 'can not listen for an outbind';
      handlers.onOutbindTrouble?.(error as Error);
    }
  }

  private outbindOptions(agreed: Outbind): OutbindOptions<C> {
    const { handlers: _handlers, ...options } = this.options;
    const own: OutbindOptions<C> = {
      ...options,
      mode: 'receiver',
      mayBind: (outbind) =>
        this.outbound.size < this.options.sessions &&
        outbind.systemId === agreed.systemId &&
        sameText(outbind.password, agreed.password),
      handlers: {
        ...this.sessionHandlers(),
        onClosed: (reason, inFlight, detail) => {
          const session = [...this.outbound].find((candidate) => candidate.closed);
          if (session !== undefined) {
            this.outbound.delete(session);
            this.past.add(session.counters);
          }
          this.onClosed('receiver', session !== undefined, reason, inFlight, detail);
        },
      },
    };
    return own;
  }

  private onOutbound(session: Session<C>): void {
    this.outbinds++;
    if (session.closed) return;
    if (this.ending !== null) void session.unbind();
    else this.outbound.add(session);
  }
}

/** Compared without telling by its time how much of it was right. */
function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
