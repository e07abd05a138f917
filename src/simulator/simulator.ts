/**
 * The SMSC itself: it listens, holds accounts and sessions together, keeps time, log and ledger. One process may run
 * several. Beyond the calls here nothing of it is random: what it does follows from its options and what it is sent.
 */
import { connect, type Socket } from 'node:net';
import { decodeCorrelation, findTlv, type SubmitSm } from '../smpp/index.ts';
import { type AccountHost, SmscAccount } from './account.ts';
import type { AccountSession } from './arrivals.ts';
import type { CertificateKind } from './certificates.ts';
import type { Faults, FaultsChange } from './faults.ts';
import { writePdu } from './fields.ts';
import { type HandsetMessageInput, handsetMessageSchema, handsetPdus } from './handset.ts';
import { Ledger, type LedgerRecord } from './ledger.ts';
import { Listener } from './listener.ts';
import { SubmitLog } from './log.ts';
import { MessageIds } from './message-ids.ts';
import {
  parseFaultsChange,
  parseSimulatorOptions,
  type SimulatorInput,
  type SimulatorOptions,
  SimulatorOptionsError,
} from './options.ts';
import { parseScript, parseScriptText, type ScriptHost, type ScriptInput, ScriptRun } from './script.ts';
import { type EndReason, type SessionHost, SmscSession } from './smsc-session.ts';
import { type CounterName, counterOf, type SimulatorStats } from './stats.ts';
import { machineClock, type SmscClock } from './time.ts';
import { type ArrivedMessage, MessageView } from './view.ts';
import { type CounterTarget, Waiters } from './waiters.ts';

export interface SimulatorHooks {
  /** Shown each message that arrives, whole: its parts put together and decoded. Must not throw. */
  onMessage?: (message: ArrivedMessage) => void;
  /** Told once when log or ledger can't be written any more; the simulator has then ended its sessions. */
  onFailure?: (error: Error) => void;
  clock?: SmscClock;
}

export class UnknownAccount extends Error {
  constructor(systemId: string) {
    super(`no account ${systemId}`);
    this.name = 'UnknownAccount';
  }
}

/**
 * Starts an SMSC.
 * @throws SimulatorOptionsError when the options are wrong; a Node.js system error when it can't listen or open its files
 */
export async function startSimulator(input: SimulatorInput, hooks: SimulatorHooks = {}): Promise<Simulator> {
  const simulator = new Simulator(parseSimulatorOptions(input), hooks);
  try {
    await simulator.open();
  } catch (error) {
    await simulator.stop();
    throw error;
  }
  return simulator;
}

const alertNotification = 0x0000_0102;
/** The longest that Node's timers reach. */
const timerMaxMs = 2_147_483_647;

export class Simulator {
  /** The system_ids, in the order of the options: the ledger's `account` is an index into it. */
  readonly accounts: readonly string[];
  readonly #options: SimulatorOptions;
  readonly #hooks: SimulatorHooks;
  readonly #clock: SmscClock;
  readonly #ids: MessageIds;
  readonly #listener: Listener;
  readonly #accounts: SmscAccount[];
  readonly #byId = new Map<string, SmscAccount>();
  readonly #sessions = new Set<SmscSession>();
  readonly #waiters = new Waiters();
  readonly #view: MessageView | null;
  readonly #sessionHost: SessionHost;
  #script: ScriptRun | null = null;
  #reference = 0;
  #log: SubmitLog | null = null;
  #ledger: Ledger | null = null;
  #supervision: NodeJS.Timeout | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerDueUs = Number.POSITIVE_INFINITY;
  #sessionCount = 0;
  #foreign = 0;
  #unknownBinds = 0;
  #failure: Error | null = null;
  #stopped: Promise<void> | null = null;

  /** For `startSimulator`, which checks the options and opens it. */
  constructor(options: SimulatorOptions, hooks: SimulatorHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#clock = hooks.clock ?? machineClock();
    this.#ids = new MessageIds(this.#clock.epochMs());
    this.#view = hooks.onMessage === undefined ? null : new MessageView(hooks.onMessage);
    const accountHost: AccountHost = {
      seed: options.seed,
      correlationTlv: options.correlationTlv,
      nextMessageId: () => this.#ids.next(),
      messageNumber: () => this.#ids.number,
      record: (account, session, sequence, pdu, messageId, status, nowMs, nowUs) =>
        this.#record(account, session, sequence, pdu, messageId, status, nowMs, nowUs),
      onMark: (account) => this.#script?.onReceived(account.options.systemId, this.#clock.monotonicUs()),
    };
    this.#accounts = options.accounts.map((account, index) => new SmscAccount(account, index, accountHost));
    for (const account of this.#accounts) this.#byId.set(account.options.systemId, account);
    this.accounts = options.accounts.map((account) => account.systemId);
    this.#sessionHost = this.#hostForSessions();
    this.#listener = new Listener(options, this.#clock.epochMs(), (socket) => this.#onConnection(socket));
  }

  async open(): Promise<void> {
    const { log, ledger, host, port, bindTimeoutMs, enquireLinkMs } = this.#options;
    const onDrain = () => this.#resumeAll();
    const onError = (error: Error) => this.#fail(error);
    if (log !== null) this.#log = await SubmitLog.open(log, onDrain, onError);
    if (ledger !== null) {
      this.#ledger = await Ledger.open(ledger, this.#clock.epochMs(), this.#clock.monotonicUs(), onDrain, onError);
    }
    await this.#listener.open(host, port);
    const everyMs = Math.min(1_000, Math.max(5, Math.min(bindTimeoutMs, enquireLinkMs) / 4));
    this.#supervision = setInterval(() => {
      for (const session of this.#sessions) session.supervise(this.#clock.monotonicUs());
    }, everyMs);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** The certificate (PEM) that a client must trust; null without TLS, or where key and certificate were given. */
  get authority(): string | null {
    return this.#listener.authority;
  }

  /** All counters as they stand now; a copy. */
  stats(): SimulatorStats {
    return {
      foreignConnections: this.#foreign,
      unknownBinds: this.#unknownBinds,
      ...this.#listener.stats,
      script: this.#script?.progress ?? null,
      connections: this.#sessions.size,
      accounts: this.#accounts.map((account) => account.snapshot()),
    };
  }

  /** Changes some faults of one account. @throws UnknownAccount, SimulatorOptionsError */
  setFaults(systemId: string, change: FaultsChange): void {
    this.#account(systemId).setFaults(parseFaultsChange(change), this.#clock.monotonicUs());
    this.#afterCommand();
  }

  /** The faults of one account as they stand now; a copy. @throws UnknownAccount */
  faultsOf(systemId: string): Faults {
    return { ...this.#account(systemId).faults };
  }

  /** Shows connections from now on such a certificate. @throws NoCertificate without TLS, or where a key was given */
  setCertificate(kind: CertificateKind): void {
    this.#listener.setCertificate(kind);
  }

  /**
   * Runs a script (as text: YAML or JSON) from now on, in place of the one before it, whose changes that were to end are ended.
   * @throws SimulatorOptionsError when it is wrong; then nothing has changed
   */
  runScript(input: ScriptInput | string): void {
    const script = typeof input === 'string' ? parseScriptText(input) : parseScript(input);
    const run = new ScriptRun(script, this.#scriptHost());
    this.#script?.stop();
    this.#script = run;
    run.start(this.#clock.monotonicUs());
    this.#afterCommand();
  }

  /**
   * Brings the ESME a message from a handset, in as many deliver_sm as it takes. It waits for a session as receipts do.
   * @returns how many deliver_sm. @throws UnknownAccount, SimulatorOptionsError
   */
  originate(systemId: string, input: HandsetMessageInput): number {
    const account = this.#account(systemId);
    const parsed = handsetMessageSchema.safeParse(input);
    if (!parsed.success) throw new SimulatorOptionsError(parsed.error.issues);
    this.#reference = (this.#reference + 1) & 0xff;
    const pdus = handsetPdus(parsed.data, this.#reference);
    for (const pdu of pdus) account.originate(pdu, this.#clock.monotonicUs());
    this.#afterCommand();
    return pdus.length;
  }

  /**
   * Tells every receiving session of an account that a handset is there again (alert_notification, SMPP 3.4 §4.12).
   * @returns how many sessions. @throws UnknownAccount
   */
  alertNotification(systemId: string, handset: string, esme: string): number {
    const sessions = [...this.#account(systemId).sessions].filter((session) => session.receives);
    for (const session of sessions) session.write(writePdu(alertNotification, 0, 1, [1, 1, handset, 0, 1, esme]));
    return sessions.length;
  }

  /**
   * Dials an ESME and asks it to bind (SMPP 3.4 §4.1.7); the connection is then like any other.
   * @throws a Node.js system error when it can't be reached
   */
  async outbind(host: string, port: number, systemId: string, password: string): Promise<void> {
    const socket = connect({ host, port });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    this.#onConnection(socket)?.outbind(systemId, password);
  }

  /** Sends the receipts that were held back and holds no more; returns how many there were. @throws UnknownAccount */
  release(systemId?: string): number {
    let count = 0;
    for (const account of this.#chosen(systemId)) {
      account.faults.holdReceipts = false;
      count += account.receipts.release(this.#clock.monotonicUs());
    }
    this.#afterCommand();
    return count;
  }

  /** Cuts all sessions of one account, or of all, with a TCP reset; returns how many. @throws UnknownAccount */
  disconnect(systemId?: string): number {
    return this.#endSessions(systemId, (session) => session.cut());
  }

  /** Asks all sessions of one account, or of all, to unbind; returns how many. @throws UnknownAccount */
  unbind(systemId?: string): number {
    return this.#endSessions(systemId, (session) => session.unbind());
  }

  /**
   * Resolves with the counter's value once it is as wanted.
   * @throws WaitTimeout after `timeoutMs`, UnknownAccount, RangeError for a counter that does not exist
   */
  async waitFor(systemId: string, counter: CounterName, target: CounterTarget, timeoutMs: number): Promise<number> {
    const account = this.#account(systemId);
    return await this.#waiters.wait(systemId, counter, () => counterOf(account.snapshot(), counter), target, timeoutMs);
  }

  /** Resolves when every submit_sm so far can be read from log and ledger. @throws what a write threw */
  async flush(): Promise<void> {
    await this.#log?.flush();
    await this.#ledger?.flush();
  }

  /** Ends all sessions, stops listening, writes log and ledger out. @throws what a write threw */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#supervision !== null) clearInterval(this.#supervision);
    const closed = this.#listener.close();
    for (const session of [...this.#sessions]) session.end('stopped');
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#waiters.end(new Error('the simulator has stopped'));
    await closed;
    try {
      await this.#log?.close();
    } finally {
      await this.#ledger?.close();
    }
  }

  #hostForSessions(): SessionHost {
    const simulator = this;
    return {
      clock: this.#clock,
      bindTimeoutMs: this.#options.bindTimeoutMs,
      enquireLinkMs: this.#options.enquireLinkMs,
      get congested() {
        return simulator.#congested;
      },
      account: (systemId) => {
        const account = this.#byId.get(systemId);
        if (account === undefined) this.#unknownBinds += 1;
        return account;
      },
      settled: (session) => this.#settled(session),
      ended: (session, reason) => this.#ended(session, reason),
    };
  }

  #onConnection(socket: Socket): SmscSession | null {
    if (this.#stopped !== null || this.#failure !== null) {
      socket.destroy();
      return null;
    }
    this.#sessionCount += 1;
    const session = new SmscSession(this.#sessionCount, socket, this.#sessionHost);
    this.#sessions.add(session);
    return session;
  }

  #scriptHost(): ScriptHost {
    const listener = this.#listener;
    return {
      accounts: this.accounts,
      faultsOf: (account) => this.faultsOf(account),
      setFaults: (account, change) => this.setFaults(account, change),
      get certificate() {
        return listener.certificate;
      },
      setCertificate: (kind) => this.setCertificate(kind),
      disconnect: (account) => void this.disconnect(account),
      unbind: (account) => void this.unbind(account),
      release: (account) => void this.release(account),
      originate: (account, message) => void this.originate(account, message),
      received: (account) => this.#account(account).stats.received,
      markAt: (account, received) => {
        this.#account(account).markAt = received;
      },
    };
  }

  #ended(session: SmscSession, reason: EndReason): void {
    this.#sessions.delete(session);
    if (reason === 'foreign' || reason === 'no-bind') this.#foreign += 1;
    if (this.#stopped === null) this.#afterCommand();
  }

  #settled(session: SmscSession): void {
    this.#ledger?.settle();
    if (this.#congested) {
      for (const each of this.#sessions) each.pause();
    }
    const scriptUs = this.#script?.nextUs ?? Number.POSITIVE_INFINITY;
    this.#arm(Math.min(scriptUs, session.nextUs, session.account?.receipts.nextUs ?? Number.POSITIVE_INFINITY));
    this.#waiters.wake();
  }

  #record(
    account: SmscAccount,
    session: AccountSession,
    sequence: number,
    pdu: SubmitSm,
    messageId: string | null,
    status: number | null,
    nowMs: number,
    nowUs: number,
  ): void {
    const { systemId } = account.options;
    this.#log?.append(nowMs, nowUs, systemId, session.number, sequence, pdu, messageId, status);
    this.#ledger?.append(this.#ledgerRecord(account, session, pdu, messageId, status, nowUs));
    this.#view?.take(systemId, pdu, messageId, status, nowMs);
  }

  #ledgerRecord(
    account: SmscAccount,
    session: AccountSession,
    pdu: SubmitSm,
    messageId: string | null,
    status: number | null,
    nowUs: number,
  ): Omit<LedgerRecord, 'timeMs'> {
    const { correlationTlv } = this.#options;
    const value = correlationTlv === null ? undefined : findTlv(pdu.tlvs, correlationTlv);
    const correlation = value === undefined ? null : decodeCorrelation(value);
    return {
      monotonicUs: nowUs,
      delivery: correlation?.delivery ?? null,
      attempt: correlation?.attempt ?? 0,
      possibleDuplicate: correlation?.possibleDuplicate ?? false,
      segment: correlation?.segment ?? 0,
      account: account.index,
      session: session.number,
      priorityFlag: pdu.priorityFlag,
      esmClass: pdu.esmClass,
      status,
      messageNumber: messageId === null ? null : this.#ids.count,
    };
  }

  /** Sees to it that the timer fires at or before `atUs`. */
  #arm(atUs: number): void {
    if (atUs >= this.#timerDueUs || this.#stopped !== null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDueUs = atUs;
    const inMs = Math.max(0, Math.ceil((atUs - this.#clock.monotonicUs()) / 1000));
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(inMs, timerMaxMs));
  }

  #onTimer(): void {
    this.#timer = null;
    this.#timerDueUs = Number.POSITIVE_INFINITY;
    const nowUs = this.#clock.monotonicUs();
    // Answers first: a receipt that is due in the same instant comes after them.
    for (const session of this.#sessions) session.tick(nowUs);
    for (const account of this.#accounts) account.receipts.pump(nowUs);
    this.#script?.tick(nowUs);
    this.#afterCommand();
  }

  /** After anything that was not a read of one session: look at everyone's next due time. */
  #afterCommand(): void {
    let nextUs = this.#script?.nextUs ?? Number.POSITIVE_INFINITY;
    for (const session of this.#sessions) nextUs = Math.min(nextUs, session.nextUs);
    for (const account of this.#accounts) nextUs = Math.min(nextUs, account.receipts.nextUs);
    this.#arm(nextUs);
    this.#waiters.wake();
  }

  get #congested(): boolean {
    return this.#log?.full === true || this.#ledger?.full === true;
  }

  #resumeAll(): void {
    for (const session of this.#sessions) session.resume();
  }

  /** A log with a gap would be a lie: take nothing more. */
  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const session of [...this.#sessions]) session.end('stopped');
    this.#hooks.onFailure?.(error);
  }

  #endSessions(systemId: string | undefined, end: (session: AccountSession) => void): number {
    let count = 0;
    for (const account of this.#chosen(systemId)) {
      for (const session of [...account.sessions]) {
        end(session);
        count += 1;
      }
    }
    this.#afterCommand();
    return count;
  }

  #chosen(systemId: string | undefined): readonly SmscAccount[] {
    return systemId === undefined ? this.#accounts : [this.#account(systemId)];
  }

  #account(systemId: string): SmscAccount {
    const account = this.#byId.get(systemId);
    if (account === undefined) throw new UnknownAccount(systemId);
    return account;
  }
}
