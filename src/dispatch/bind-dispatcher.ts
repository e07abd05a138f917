/**
 * One bind: its lease, its sessions, its fetch loops, its sender and its receipts.
 *
 *   no lease ─won─► dialling, taking over ─► sending ─lost─► no lease
 *                                            └─ handing over ─► no lease
 *
 * Sessions are the holder's alone: dialled when the lease is won, unbound when it is lost or given back.
 *
 * While the lease is held and a session is bound, each lane of each route fetches when it has room: woken by a NOTIFY in
 * the inserting transaction, by room that opened here, and by a poll (deferred and retried jobs send no NOTIFY).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PgBoss } from 'pg-boss';
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, EpochMs, IdAllocator, Pool } from '../platform/index.ts';
import { alertTlvs, type CarrierPolicy, type LaneName, type LanePolicy, type NoRoute } from '../policy/index.ts';
import { FINAL, type FinalCode, type Journal } from '../records/index.ts';
import type { Answer, IncomingDeliver } from '../smpp/index.ts';
import { classify, type DeliverSm, parseReceipt, readUserReference, statusName } from '../smpp/index.ts';
import type { BindCondition, OwnBind } from './bind-state.ts';
import { notifyDispatch, queueName } from './chunks.ts';
import type { ClaimHand } from './claiming.ts';
import { BindCounts } from './counts.ts';
import { Encoder } from './encoder.ts';
import type { IdStock } from './extras.ts';
import { BindHealth, type Reports, type Verdict } from './health.ts';
import {
  type FreshDeliveries,
  type Holder,
  heldStill,
  hydrate,
  type Insist,
  type Taken,
  type TextSource,
  takeChunks,
} from './hold.ts';
import { LANES_BY_URGENCY } from './lanes.ts';
import { BindLease } from './lease.ts';
import { LEASE_CHANNEL } from './ownership.ts';
import type { Cancelled } from './pause-acts.ts';
import type { Pauses } from './pauses.ts';
import { Recall } from './recall.ts';
import { ReceiptDesk, type ReceiptDeskStats } from './receipt-desk.ts';
import type { ReceiptIndex } from './receipts.ts';
import { restMs } from './retry.ts';
import { moveOn } from './second-route.ts';
import { type RefusedKind, Sender } from './sender.ts';
import { returnJob, takeOver } from './takeover.ts';
import type { Pull } from './tiers.ts';
import { matchOf } from './tracking.ts';
import type { DispatchExtra, DispatchLog, HeldChunk, Item } from './types.ts';
import { Unanswered } from './unanswered.ts';
import type { CarrierWire, Sent, WireHandlers } from './wire.ts';
import { within } from './within.ts';

export interface BindDispatcherOptions {
  bind: { id: number; name: string };
  carrier: CarrierPolicy;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  /** Routes that name this bind, with the lanes they serve. */
  routes: readonly { name: string; lanes: readonly LaneName[] }[];
  process: number;
  clock: Clock;
  /**
   * Leases have a session of their own: what is renewed each second may not wait behind chores. So have emergencies
   * (`urgent`): they may not wait behind the fetches of other lanes.
   */
  pools: { urgent: Pool; dispatch: Pool; control: Pool; reader: Pool; lease: Pool };
  boss: PgBoss;
  ids: IdAllocator;
  idStock: IdStock;
  journal: Journal<DispatchExtra>;
  /** Opens a chain for this bind's claims. */
  claimWriters: Readonly<Record<ClaimHand, ChainWriter>>;
  takeoverWriter: ChainWriter;
  texts: TextSource;
  fresh: FreshDeliveries | null;
  receipts: ReceiptIndex;
  /** Alerts that were cancelled lately. */
  cancelled: ReadonlySet<string>;
  /** What is paused at this instant. */
  pauses: { readonly now: Pauses };
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
  connect: (handlers: WireHandlers) => CarrierWire;
  /** Whether another process has the lease, as far as is known here. */
  elsewhere: () => boolean;
  log: DispatchLog;
  /** Whether this bind takes work of the route now: others may come first. */
  pull: (route: string) => Pull;
  /** Whether another bind could take what this one gives back. */
  othersAble: (routes: readonly string[]) => boolean;
  /** Where an item may go once when the carrier has no way to its number. */
  secondRoute: (item: Item) => NoRoute | null;
  /** It began or ceased to take work. */
  onCondition: () => void;
  onSent?: (lane: LaneName, sent: Sent) => void;
  /** For counters and alarms. */
  onRefused?: (kind: RefusedKind, status: number) => void;
}

interface Feed {
  route: string;
  lane: LaneName;
  queue: string;
  /** The queue had nothing: look again when woken or at the next poll. */
  dry: boolean;
  /** Deliveries that the fetch under way may bring; 0 when none is. */
  fetching: number;
  /** Woken while a fetch was under way: it may have looked before the commit. */
  news: boolean;
  /** Something came that may go before all that is in memory. */
  urgent: boolean;
  /** Deliveries of a job, the largest seen lately: guesses how many jobs fill the room. */
  jobSize: number;
}

const POLL_MS = 500;
/**
 * How often the holder looks again for what former holders left: one that stood still in the middle of a fetch commits it
 * when it wakes up, after it lost the bind.
 */
const TAKE_OVER_EACH_MS = 5_000;
/** Deliveries in memory per lane: about one second of the bind's TPS, within these bounds. */
const PREFETCH = { min: 1, max: 12_000 };
/** Texts in memory: more than all lanes together may hold. */
const TEXTS_MAX = 100_000;
const JOBS_PER_FETCH = 200;
/** A chunk may go so far beyond the room, as a share of the prefetch, before it is cut: that of a route with one bind. */
const SLACK = 0.25;
/** Deliveries that are read at once, about: more would keep the event loop for too long. */
const READ_AT_ONCE = 4_000;
/** Submissions without an answer that are kept for receipts which repeat our reference. */
const UNANSWERED_MAX = 50_000;
/** One of many refusals of a kind is logged this often. */
const REFUSALS_LOGGED_EVERY_MS = 60_000;
/** What a sender gives back when it stops is in the database by then, unless that is in trouble. */
const WRITTEN_WITHIN_MS = 1_000;
/** A bind that is handed over lets out what is claimed for this long; then that goes back as well. */
const HAND_OVER_MS = 5_000;
/** Fetches under way, and receipts that wait for their commit, are over by then. */
const LAST_WRITES_MS = 1_500;
/** A bind that is down gives its chunks back at once where another of the route is able, else after this long. */
const HAND_BACK_AFTER_MS = 30_000;
/** An unhealthy bind takes a chunk this often, to learn whether it is well again; never of an emergency. */
const PROBE_EACH_MS = 5_000;

const prefetchOf = ({ tps }: CarrierPolicy): number => Math.max(PREFETCH.min, Math.min(PREFETCH.max, Math.ceil(tps)));

const openOf = ({ item, segment }: Sent) => ({
  delivery: item.id,
  attempt: item.chunk.attempt,
  segment,
  msisdn: item.msisdn,
});

/** Chunks in the order given, so many together as are read at once: small ones are many, and each read has its cost. */
function* inReads(taken: readonly Taken[]): Iterable<Taken[]> {
  let some: Taken[] = [];
  let deliveries = 0;
  for (const one of taken) {
    some.push(one);
    deliveries += one.chunk.size - one.chunk.claimedTo;
    if (deliveries < READ_AT_ONCE) continue;
    yield some;
    some = [];
    deliveries = 0;
  }
  if (some.length > 0) yield some;
}

const reportsOf = ({ receipts, receiptsOn }: CarrierPolicy): Reports =>
  receipts === 'none' ? 'none' : receiptsOn === 'failure' ? 'failure' : 'all';

/** What an answer says of the carrier's health; null: nothing. */
function verdictOf(answer: Answer, { statuses }: CarrierPolicy): Verdict | null {
  if (answer.kind === 'unanswered') return 'failed';
  if (answer.status === 0) return 'taken';
  const kind = classify(answer.status, statuses);
  return kind === 'temporary' || kind === 'unknown' ? 'failed' : null;
}

export class BindDispatcher {
  readonly name: string;
  readonly counts = new BindCounts();
  readonly health: BindHealth;
  #o: BindDispatcherOptions;
  #feeds: Feed[];
  #prefetch: number;
  readonly #wire: CarrierWire;
  readonly #lease: BindLease;
  readonly #desk: ReceiptDesk;
  readonly #poll: NodeJS.Timeout;
  readonly #texts = new Map<number, string>();
  readonly #withTlvs: boolean;
  readonly #unanswered: Unanswered<Sent> | null;
  /** Where the carrier is asked to give up what it has of cancelled alerts. */
  readonly #recall: Recall | null;
  #encoder: Encoder | null = null;
  #sender: Sender | null = null;
  #holder: Holder | null = null;
  #downSince: number | null;
  /** The carrier refused the account as a whole: nothing is fetched before this (monotonic). */
  #restsUntil = Number.NEGATIVE_INFINITY;
  /** Rests since a message was taken. */
  #rests = 0;
  #settingAside: Promise<void> | null = null;
  /** The sender that is coming to its end meanwhile. */
  #aside: Sender | null = null;
  #takingOver = false;
  #lastTakeOver = Number.NEGATIVE_INFINITY;
  /** By status: when it was last logged, and how many came since. */
  readonly #refusals = new Map<number, { at: number; since: number }>();
  #stopping = false;
  #probedAt = Number.NEGATIVE_INFINITY;
  /** The bind goes to another process. */
  #leaving = false;

  constructor(options: BindDispatcherOptions) {
    this.#o = options;
    this.name = options.bind.name;
    this.#feeds = this.#feedsOf(options.routes);
    this.health = new BindHealth(reportsOf(options.carrier));
    this.#unanswered = options.carrier.userMessageReference ? new Unanswered(openOf, UNANSWERED_MAX) : null;
    this.#withTlvs = alertTlvs({ [this.name]: options.carrier }).size > 0;
    this.#prefetch = prefetchOf(options.carrier);
    this.#downSince = options.clock.monotonic();
    this.#desk = new ReceiptDesk({
      bind: options.bind.id,
      horizonDays: options.carrier.receiptHorizonDays,
      busyStatus: options.carrier.receiptBusyStatus,
      rules: options.carrier.receiptRules,
      clock: options.clock,
      pool: options.pools.reader,
      journal: options.journal,
      index: options.receipts,
      ids: options.idStock,
      counts: this.counts,
      recalled: (alert) => options.carrier.cancelAccepted === 'request' && options.cancelled.has(alert),
      onTrouble: (error) => this.#trouble('receipts', error),
      moved: (track, attempt, error) => {
        const { bind, clock, lanes, cancelled, idStock } = this.#o;
        return cancelled.has(track.alert)
          ? null
          : moveOn(track, attempt, error, { bind: bind.id, now: clock.now(), lanes, nextId: () => idStock.next() });
      },
      onEnd: (sentAt, delivered, receivedAt) => this.health.receipt(sentAt, delivered, receivedAt),
      onLearned: (learned) =>
        options.log.info({ bind: this.name, ...learned }, 'what the receipts of the carrier are like'),
    });
    this.#wire = options.connect({
      onAnswer: (sent, answer) => {
        if (this.#rests > 0 && answer.kind === 'answered' && answer.status === 0) this.#rests = 0;
        const verdict = verdictOf(answer, options.carrier);
        if (verdict !== null) this.health.answered(sent.at, verdict);
        sent.owner.answered(sent, answer);
      },
      onIncoming: (incoming) => this.#onIncoming(incoming),
      onRoom: () => (this.#sender ?? this.#aside)?.kick(),
      onUp: () => this.#onUp(),
      onDown: (reason) => this.#onDown(reason),
    });
    this.#recall = options.carrier.cancelAccepted === 'request' ? this.#makeRecall() : null;
    const { pools, clock, bind, process } = options;
    this.#lease = new BindLease(pools.lease, clock, bind.id, process, LEASE_CHANNEL, {
      won: (fence) => void this.#onWon(fence),
      lost: () => this.#onLost(),
      trouble: (error) => this.#trouble('lease', error),
    });
    this.#poll = setInterval(() => this.#onPoll(), POLL_MS);
  }

  /** Policies have changed: of those in force what concerns this bind, its sessions standing. */
  apply(carrier: CarrierPolicy, lanes: Readonly<Record<LaneName, LanePolicy>>): void {
    this.#o = { ...this.#o, carrier, lanes };
    this.#prefetch = prefetchOf(carrier);
    this.#sender?.apply(carrier, lanes);
    this.wake(null);
  }

  /** Another process has the lease, as far as is known here. */
  get elsewhere(): boolean {
    return this.#o.elsewhere();
  }

  get id(): number {
    return this.#o.bind.id;
  }

  /** The lease is this process's: it sends, takes over, or hands over. */
  get leased(): boolean {
    return this.#lease.held || this.#leaving;
  }

  async tryWin(): Promise<void> {
    if (!this.#stopping && !this.#leaving) await this.#lease.tryWin();
  }

  /** Gives the bind to whichever process takes it: what is claimed goes out, the rest goes back. Bounded in time. */
  async handOver(): Promise<void> {
    if (this.#leaving || this.#stopping) return;
    this.#leaving = true;
    try {
      this.#o.log.info({ bind: this.name }, 'the bind goes to another process');
      await this.#empty(HAND_OVER_MS);
      await this.#letGo();
    } finally {
      this.#leaving = false;
    }
  }

  /** The policy in force. */
  get carrier(): CarrierPolicy {
    return this.#o.carrier;
  }

  /** Sessions bound right now. */
  get up(): boolean {
    return this.#wire.boundSessions > 0;
  }

  /** Whether it waits because the carrier refused the account as a whole. */
  get resting(): boolean {
    return this.#o.clock.monotonic() < this.#restsUntil;
  }

  /** For all processes to know. */
  get ownState(): OwnBind {
    // Counting tokens takes as long as there are many, and few who ask what it is able to want them.
    const tokens = (): number => this.tokens;
    return {
      id: this.#o.bind.id,
      name: this.name,
      fence: this.#holder?.fence ?? null,
      condition: this.condition,
      tokens,
      excess: (now) => this.health.excess(now),
    };
  }

  /** What keeps it from taking work, if anything. */
  get condition(): BindCondition {
    if (this.#stopping) return 'leaving';
    if (!this.up) return 'down';
    if (this.paused) return 'paused';
    return this.resting ? 'resting' : 'able';
  }

  /** Other routes name the bind now: what it has in memory of those that no longer do is still sent. */
  useRoutes(routes: BindDispatcherOptions['routes']): void {
    const before = new Map(this.#feeds.map((feed) => [feed.queue, feed]));
    this.#feeds = this.#feedsOf(routes).map((feed) => before.get(feed.queue) ?? feed);
    this.wake(null);
  }

  get sessions(): number {
    return this.#wire.boundSessions;
  }

  /** This process may send on the bind. */
  get held(): boolean {
    return this.#holder !== null;
  }

  /** submit_sm on the wire without an answer. */
  get unanswered(): number {
    return this.#wire.unanswered;
  }

  /** submit_sm that the throttle would let out at once. */
  get tokens(): number {
    return this.#sender?.tokens ?? 0;
  }

  /** Deliveries claimed without a durable outcome; never more than `claimLimit`. */
  get undecided(): number {
    return this.#sender?.undecided ?? 0;
  }

  get claimLimit(): number {
    return this.#sender?.claimLimit ?? 0;
  }

  /** What is known of the carrier's receipts, and how many of them fit. */
  get receiptStats(): ReceiptDeskStats {
    return this.#desk.stats();
  }

  /** Deliveries of a lane in memory that are not yet on the wire. */
  buffered(lane: LaneName): number {
    return this.#sender?.buffered(lane) ?? 0;
  }

  /** Since when the oldest work of each lane has been in memory without coming to its end; lanes without any are left out. */
  heldSince(): Partial<Record<LaneName, EpochMs>> {
    return this.#sender?.heldSince() ?? {};
  }

  /** Work was inserted: `route.lane` names, or null for all. */
  wake(queues: ReadonlySet<string> | null): void {
    for (const feed of this.#feeds) {
      if (queues !== null && !queues.has(`${feed.route}.${feed.lane}`)) continue;
      feed.dry = false;
      feed.news = true;
      if (queues !== null) feed.urgent = feed.lane === 'emergency';
    }
    this.#fetchAll();
  }

  /** Further alerts are among those that were cancelled. */
  cancel(): void {
    (this.#sender ?? this.#aside)?.cancel();
  }

  /** What the carrier has of these is asked back, where policy says so. */
  recall(alerts: readonly Cancelled[]): void {
    this.#recall?.add(alerts);
  }

  /** cancel_sm so far, by how they ended; null where the carrier is never asked. */
  get recalls(): Recall['counts'] | null {
    return this.#recall?.counts ?? null;
  }

  /** Nothing goes out through this bind until it is resumed. */
  get paused(): boolean {
    return this.#o.pauses.now.has('bind', this.name);
  }

  /** Something was paused or resumed: what is paused goes back, what is not is fetched. */
  onPauses(): void {
    (this.#sender ?? this.#aside)?.holdBack();
    this.#o.onCondition();
    this.wake(null);
  }

  /** The alerts, with their days, of which deliveries wait here. */
  alerts(): ReadonlyMap<string, string> {
    return this.#sender?.alerts() ?? new Map();
  }

  /**
   * Stops taking work, lets what is claimed go out, gives the rest back, unbinds. Bounded by `timeoutMs` and some seconds.
   * @returns whether all that was sent is written down: then the lease may go at once.
   */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#stopping = true;
    this.#o.onCondition();
    clearInterval(this.#poll);
    this.#recall?.close();
    return await this.#empty(timeoutMs);
  }

  /** The end: the lease may go to another process. */
  async release(): Promise<void> {
    this.#desk.close();
    await this.#letGo();
    await this.#lease.close().catch((error: unknown) => this.#trouble('lease', error));
  }

  async #letGo(): Promise<void> {
    this.#holder = null;
    this.#aside = null;
    this.#texts.clear();
    await this.#lease.release().catch((error: unknown) => this.#trouble('lease', error));
  }

  async #empty(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#o;
    if (this.#settingAside !== null)
      await Promise.race([this.#settingAside, sleep(timeoutMs, undefined, { ref: false })]);
    const sender = this.#sender;
    const holder = this.#holder;
    let written = sender === null && this.#aside === null;
    if (sender !== null) {
      // What is fetched from here on goes back.
      this.#sender = null;
      this.#aside = sender;
      await sender.drain(timeoutMs);
      const chunks = sender.stop();
      // Else whoever takes the bind over finds them.
      written = await sender.drain(WRITTEN_WITHIN_MS);
      if (holder !== null && written) await this.#giveBack(chunks, holder);
      await within(clock, LAST_WRITES_MS, () => !this.#feeds.some(({ fetching }) => fetching));
    }
    await this.#wire.close();
    await within(clock, LAST_WRITES_MS, () => this.#desk.open === 0);
    return written;
  }

  async #onWon(fence: number): Promise<void> {
    const holder = { process: this.#o.process, bind: this.#o.bind.id, fence };
    if (this.#stopping || this.#leaving) return;
    this.#downSince = this.up ? null : this.#o.clock.monotonic();
    this.#wire.start();
    if (!(await this.#takeOver(holder))) {
      if (!this.#stopping && this.#lease.holds(fence)) setTimeout(() => void this.#onWon(fence), 250);
      return;
    }
    if (this.#stopping || this.#leaving || !this.#lease.holds(fence)) return;
    this.#holder = holder;
    this.#desk.recover();
    const encoder = new Encoder(this.#o.carrier, this.#o.lanes, (body) => this.#texts.get(body));
    this.#encoder = encoder;
    this.#sender = new Sender({
      bind: this.#o.bind,
      carrier: this.#o.carrier,
      lanes: this.#o.lanes,
      holder,
      clock: this.#o.clock,
      wire: this.#wire,
      journal: this.#o.journal,
      claimWriters: this.#o.claimWriters,
      claimedTo: (chunks) => this.#insist('claims', holder)(() => heldStill(this.#o.pools.dispatch, holder, chunks)),
      encoder,
      receipts: this.#o.receipts,
      counts: this.counts,
      unanswered: this.#unanswered,
      nextId: () => this.#o.idStock.next(),
      secondRoute: (item) => this.#o.secondRoute(item),
      mayOwn: () => this.#lease.fence() === fence,
      cancelled: this.#o.cancelled,
      pauses: this.#o.pauses,
      onTrouble: (error) => this.#trouble('claims', error),
      onRoom: (lane) => this.#fetchLane(lane),
      onTracked: (messageId) => this.#desk.landed(messageId),
      onRefused: (kind, status) => this.#onRefused(kind, status),
      ...(this.#o.onSent === undefined ? {} : { onSent: this.#o.onSent }),
    });
    this.#o.onCondition();
    this.wake(null);
  }

  /** @returns false when the database did not let it come to its end. */
  async #takeOver(holder: Holder): Promise<boolean> {
    this.#takingOver = true;
    try {
      const result = await takeOver({
        pool: this.#o.pools.control,
        writer: this.#o.takeoverWriter,
        boss: this.#o.boss,
        ids: this.#o.ids,
        clock: this.#o.clock,
        holder,
        laneName: this.#o.laneName,
        routeName: this.#o.routeName,
        lanes: this.#o.lanes,
      });
      const { fence } = holder;
      if (result.chunks > 0)
        this.#o.log.warn({ bind: this.name, fence, ...result }, 'took over what a former holder left');
      return true;
    } catch (error) {
      this.#trouble('takeover', error);
      return false;
    } finally {
      this.#takingOver = false;
      this.#lastTakeOver = this.#o.clock.monotonic();
    }
  }

  #onLost(): void {
    this.#o.log.error({ bind: this.name }, 'lost the lease of the bind: nothing more is sent until it is won again');
    this.#sender?.lose();
    this.#aside?.lose();
    this.#sender = null;
    this.#holder = null;
    this.#texts.clear();
    this.#o.onCondition();
    // Answers that still come are written down, because they are true.
    void this.#wire.close();
  }

  #onUp(): void {
    this.#downSince = null;
    this.#o.onCondition();
    this.wake(null);
    this.#sender?.kick();
  }

  #onDown(reason: string): void {
    this.#downSince ??= this.#o.clock.monotonic();
    this.#o.log.warn({ bind: this.name, reason }, 'no session of the bind is up');
    this.#o.onCondition();
    if (this.#othersAble()) this.#handBackIdle();
  }

  #othersAble(): boolean {
    return this.#o.othersAble(this.#feeds.map(({ route }) => route));
  }

  #onPoll(): void {
    const downMs = this.#downSince === null ? 0 : this.#o.clock.monotonic() - this.#downSince;
    if (downMs > HAND_BACK_AFTER_MS || (downMs > 0 && this.#othersAble())) this.#handBackIdle();
    const due = this.#o.clock.monotonic() - this.#lastTakeOver > TAKE_OVER_EACH_MS;
    if (due && !this.#takingOver && !this.#leaving && this.#holder !== null) void this.#takeOver(this.#holder);
    this.wake(null);
  }

  #onRefused(kind: RefusedKind, status: number): void {
    this.#o.onRefused?.(kind, status);
    if (kind === 'bind') this.#rest(status);
    else if (kind === 'message') this.#alarm(status);
  }

  /** Whoever else was to get the message will be refused the same way: somebody must look at text, sender or policy. */
  #alarm(status: number): void {
    const now = this.#o.clock.monotonic();
    const seen = this.#refusals.get(status) ?? { at: Number.NEGATIVE_INFINITY, since: 0 };
    seen.since++;
    if (now - seen.at >= REFUSALS_LOGGED_EVERY_MS) {
      const details = { bind: this.name, status: statusName(status), refused: seen.since };
      this.#o.log.error(details, 'the carrier refuses messages for what they are, whoever they go to');
      seen.at = now;
      seen.since = 0;
    }
    this.#refusals.set(status, seen);
  }

  /** The carrier takes nothing from this account: what waits goes back to its routes, and this bind fetches nothing. */
  #rest(status: number): void {
    const now = this.#o.clock.monotonic();
    if (now < this.#restsUntil) return;
    const { restFirstMs, restMaxMs } = this.#o.carrier;
    const forMs = restMs({ firstMs: restFirstMs, maxMs: restMaxMs }, this.#rests++);
    this.#restsUntil = now + forMs;
    const details = { bind: this.name, status: statusName(status), rests: this.#rests, restMs: forMs };
    this.#o.log.error(details, 'the carrier refuses this account: the bind rests, its work goes back to its routes');
    this.#o.onCondition();
    this.#handBack();
  }

  /** The carrier is away: its chunks go back to their queues, where another bind of the route, or the sweeper, finds them. */
  #handBackIdle(): void {
    if ((this.#sender?.heldChunks ?? 0) > 0) this.#handBack();
  }

  #handBack(): void {
    const sender = this.#sender;
    const holder = this.#holder;
    if (sender === null || holder === null) return;
    const { fence } = holder;
    this.#sender = null;
    const chunks = sender.stop();
    this.#aside = sender;
    this.#settingAside = this.#afterTheWire(sender, holder)
      .then((ended) => (ended ? this.#giveBack(chunks, holder) : undefined))
      .finally(() => {
        this.#settingAside = null;
        this.#aside = null;
        if (this.#lease.holds(fence)) void this.#onWon(fence);
      });
  }

  /**
   * What is on the wire comes to its end, and into the database, before a chunk goes back. Answers are bounded in time;
   * for the database it waits as long as the bind is held. @returns false when the bind was lost before.
   */
  async #afterTheWire(sender: Sender, { fence }: Holder): Promise<boolean> {
    while (this.#lease.holds(fence)) if (await sender.drain(this.#o.carrier.responseTimeoutMs)) return true;
    return false;
  }

  /** @param due when a chunk may be taken again; by default at once. */
  async #giveBack(
    chunks: readonly HeldChunk[],
    holder: Holder,
    due: ReadonlyMap<HeldChunk, EpochMs> = new Map(),
  ): Promise<void> {
    if (chunks.length === 0) return;
    await this.#insist(
      'hand back',
      holder,
    )(() =>
      this.#o.pools.control.run(async (tx) => {
        for (const chunk of [...chunks].sort((a, b) => a.id - b.id)) {
          const [row] = await tx.query<{
            id: number;
            deliveries: number;
            priority: number;
            job: string;
            claimed_to: number;
          }>(
            `SELECT id, deliveries, priority, job, claimed_to FROM chunk
             WHERE id = $1 AND NOT settled AND holder_bind = $2 AND holder_fence = $3 AND holder_process = $4 FOR UPDATE`,
            [chunk.id, holder.bind, holder.fence, holder.process],
          );
          // Claimed deliveries of it are still on their way to the journal: only a chunk without any goes back here.
          if (row !== undefined && chunk.open === 0) {
            await returnJob(tx, this.#o.boss, row, row.claimed_to, chunk.lane, chunk.route, due.get(chunk) ?? null);
          }
        }
        await notifyDispatch(tx, chunks);
      }),
    );
  }

  /** Tries again, ever slower, as long as the bind is held under this fence. */
  #insist(what: string, holder: Holder): Insist {
    return async (work) => {
      for (let waitMs = 20; this.#lease.holds(holder.fence); waitMs = Math.min(1_000, waitMs * 2)) {
        try {
          return await work();
        } catch (error) {
          this.#trouble(what, error);
          await sleep(waitMs);
        }
      }
      return null;
    };
  }

  #onIncoming(incoming: IncomingDeliver): void {
    const receipt = parseReceipt(incoming.pdu, this.#o.carrier.receiptRules);
    if (receipt === null) {
      // Messages from phones have no room here yet: the SMSC keeps them.
      incoming.respond(this.#o.carrier.receiptBusyStatus);
      return;
    }
    this.#settleDoubt(incoming.pdu, receipt.messageId);
    this.#desk.take(receipt, (status) => incoming.respond(status));
  }

  /** A receipt of a message whose submit_sm_resp never came: the reference in it says which, and names its message_id. */
  #settleDoubt({ tlvs, sourceAddr }: DeliverSm, messageId: string): void {
    if (this.#unanswered === null || messageId === '') return;
    const reference = readUserReference(tlvs);
    const { receipts, bind } = this.#o;
    if (reference === null || receipts.find(bind.id, messageId) !== undefined) return;
    const sent = this.#unanswered.find(sourceAddr, reference);
    if (sent !== null) receipts.add(bind.id, messageId, matchOf(sent, receipts, this.#o.secondRoute));
  }

  #fetchAll(): void {
    for (const lane of LANES_BY_URGENCY) this.#fetchLane(lane);
  }

  #fetchLane(lane: LaneName): void {
    if (this.#stopping || this.#sender === null || this.#holder === null || !this.up || this.resting) return;
    const ofLane = this.#feeds.filter((feed) => feed.lane === lane);
    for (const feed of ofLane) {
      if (feed.dry || feed.fetching > 0) continue;
      if (this.#o.pauses.now.holdsFeed(this.name, feed.route, lane)) continue;
      const asked = ofLane.reduce((sum, each) => sum + each.fetching, 0);
      const free = this.#prefetch - this.#sender.buffered(lane) - asked;
      // A new alert is not left outside while another fills the memory: the first chunk in line is taken all the same.
      const urgent = feed.urgent && free > -this.#prefetch;
      feed.urgent = false;
      if (free < Math.max(1, this.#prefetch / 2) && !urgent) continue;
      const room = Math.min(Math.max(1, free), this.#mayTake(feed));
      if (room === 0) continue;
      feed.fetching = room;
      feed.news = false;
      void this.#fetch(feed, room, this.#sender, this.#holder)
        .catch((error: unknown) => {
          feed.dry = true;
          this.#trouble('fetch', error);
        })
        .finally(() => {
          feed.fetching = 0;
          this.#fetchLane(feed.lane);
        });
    }
  }

  /** Deliveries at most: one chunk where the bind only shows whether it is well again. */
  #mayTake({ route, lane }: Feed): number {
    const pull = this.#o.pull(route);
    if (pull === 'all') return Number.POSITIVE_INFINITY;
    if (pull === 'none' || lane === 'emergency') return 0;
    return this.#o.clock.monotonic() - this.#probedAt < PROBE_EACH_MS ? 0 : 1;
  }

  #feedsOf(routes: BindDispatcherOptions['routes']): Feed[] {
    return LANES_BY_URGENCY.flatMap((lane) =>
      routes
        .filter((route) => route.lanes.includes(lane))
        .map((route) => ({
          route: route.name,
          lane,
          queue: queueName(route.name, lane),
          dry: false,
          fetching: 0,
          news: false,
          urgent: false,
          jobSize: Math.max(1, this.#o.carrier.tps / 4),
        })),
    );
  }

  async #fetch(feed: Feed, room: number, sender: Sender, holder: Holder): Promise<void> {
    const jobs = Math.max(1, Math.min(JOBS_PER_FETCH, Math.floor(room / feed.jobSize)));
    const { boss, idStock } = this.#o;
    const { queue, route, lane } = feed;
    const cut = { slack: this.#prefetch * SLACK, nextId: () => idStock.next() };
    const taken = await takeChunks(
      this.#poolOf(lane),
      boss,
      holder,
      { queue, route, lane, jobs, room, cut, parks: (alert) => this.#o.pauses.now.has('alert', alert) },
      this.#insist('fetch', holder),
    );
    if (taken.length < jobs && !feed.news) feed.dry = true;
    if (taken.length === 0) return;
    if (this.#o.pull(route) === 'probe') this.#probedAt = this.#o.clock.monotonic();
    for (const one of taken) feed.jobSize = Math.max(1, one.chunk.size, feed.jobSize * 0.9);
    for (const some of inReads(taken)) await this.#load(some, sender, holder);
  }

  #poolOf(lane: LaneName): Pool {
    return lane === 'emergency' ? this.#o.pools.urgent : this.#o.pools.dispatch;
  }

  async #load(taken: readonly Taken[], sender: Sender, holder: Holder): Promise<void> {
    const [first] = taken;
    if (first === undefined) return;
    const pool = this.#poolOf(first.chunk.lane);
    // They are ours already: nobody else would read them.
    const { texts, fresh, cancelled } = this.#o;
    const sources = { texts, fresh, cancelled, withTlvs: this.#withTlvs };
    const read = await this.#insist('load', holder)(() => hydrate(pool, sources, taken));
    // The lease may have gone meanwhile: whoever has it takes the chunks over.
    if (read === null || !this.#lease.holds(holder.fence)) return;
    if (this.#sender !== sender) {
      // The bind has stopped sending under the same lease: nobody else would give them back.
      await this.#giveBack(
        taken.map(({ chunk }) => chunk),
        holder,
      );
      return;
    }
    for (const [body, text] of read.text) this.#keepText(body, text);
    const later = new Map<HeldChunk, EpochMs>();
    let unopenedCount = 0;
    for (const { chunk, items, cancelled, unsendable, unopened } of read.chunks) {
      this.#endUnsent(chunk, cancelled, FINAL.cancelled, 'cancelled');
      this.#endUnsent(chunk, unsendable, FINAL.failed, 'text or number is gone');
      this.#endUnsent(chunk, unopened, FINAL.failed, 'text cannot be opened');
      unopenedCount += unopened.length;
      const due = sender.comesAgainAt(chunk, items);
      if (due === null) sender.add(chunk, items);
      else later.set(chunk, due);
    }
    await this.#giveBack([...later.keys()], holder, later);
    if (unopenedCount > 0)
      this.#o.log.error(
        { bind: this.name, deliveries: unopenedCount },
        'texts cannot be opened, so their deliveries end as failed: look at TOCSIN_KEYRING, and type: tocsin audit verify',
      );
  }

  #makeRecall(): Recall {
    const { bind, clock, pools, journal, receipts } = this.#o;
    return new Recall({
      carrier: () => this.#o.carrier,
      ...{ bind, clock, pool: pools.reader, journal, receipts },
      sender: () => this.#sender,
      // There is an encoder where there is a sender.
      sourceOf: (sender) => (this.#encoder as Encoder).sourceOf(sender),
      request: (fields) => this.#wire.cancel(fields),
      onTrouble: (error) => this.#trouble('recall', error),
    });
  }

  #endUnsent(chunk: HeldChunk, items: readonly Item[], state: FinalCode, cause: string): void {
    const at = this.#o.clock.now();
    for (const item of items) {
      this.#o.journal.add(chunk.id, {
        final: { day: chunk.day, delivery: item.id, state, cause, at },
        day: chunk.day,
        ...(item.counted ? { alert: item.alert } : {}),
        ...(item.secret && !item.counted ? { secretBody: item.body } : {}),
      });
    }
  }

  #keepText(body: number, text: string): void {
    this.#texts.delete(body);
    this.#texts.set(body, text);
    if (this.#texts.size > TEXTS_MAX) {
      const oldest = this.#texts.keys().next();
      if (oldest.done !== true) this.#texts.delete(oldest.value);
    }
  }

  #trouble(what: string, error: unknown): void {
    this.#o.log.error({ bind: this.name, what, err: error }, 'the database did not do what dispatch asked');
  }
}
