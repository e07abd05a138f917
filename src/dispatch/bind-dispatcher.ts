/**
 * One bind: its lease, its sessions, and who works for it while both are there: what is fetched (fetching.ts), who sends
 * (senders.ts), what comes in (bind-receipts.ts).
 *
 *   no lease ─won─► dialling, taking over ─► sending ─lost─► no lease
 *                                            └─ handing over ─► no lease
 *
 * Sessions are the holder's alone: dialled when the lease is won, unbound when it is lost or given back. While the lease is
 * held and a session is bound, it fetches.
 */
import type { PgBoss } from 'pg-boss';
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, EpochMs, IdAllocator, Pool } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy, NoRoute } from '../policy/index.ts';
import type { Journal } from '../records/index.ts';
import { statusName } from '../smpp/index.ts';
import { BindReceipts } from './bind-receipts.ts';
import type { BindCondition, OwnBind } from './bind-state.ts';
import type { ClaimHand } from './claiming.ts';
import { BindCounts } from './counts.ts';
import { Encoder } from './encoder.ts';
import type { IdStock } from './extras.ts';
import { type FetchedRoute, Fetching } from './fetching.ts';
import { BindHealth } from './health.ts';
import { type FreshDeliveries, type Holder, heldStill, type TextSource } from './hold.ts';
import { Holding } from './holding.ts';
import { KeptTexts } from './kept-texts.ts';
import { BindLease } from './lease.ts';
import { LEASE_CHANNEL } from './ownership.ts';
import type { Cancelled } from './pause-acts.ts';
import type { Pauses } from './pauses.ts';
import { Recall } from './recall.ts';
import type { ReceiptDeskStats } from './receipt-desk.ts';
import type { ReceiptIndex } from './receipts.ts';
import { RefusalLog } from './refusal-log.ts';
import { Rest } from './rest.ts';
import { type RefusedKind, Sender } from './sender.ts';
import { Senders } from './senders.ts';
import type { Pull } from './tiers.ts';
import type { DispatchExtra, DispatchLog, Item } from './types.ts';
import { reportsOf, verdictOf } from './verdicts.ts';
import type { CarrierWire, Sent, WireHandlers } from './wire.ts';
import { within } from './within.ts';

export interface BindDispatcherOptions {
  bind: { id: number; name: string };
  carrier: CarrierPolicy;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  /** Routes that name this bind, with the lanes they serve. */
  routes: readonly FetchedRoute[];
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
  /** The chains of this bind's claims. */
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

const POLL_MS = 500;
/** Texts in memory: more than all lanes together may hold. */
const TEXTS_MAX = 100_000;
/** A bind that is handed over lets out what is claimed for this long; then that goes back as well. */
const HAND_OVER_MS = 5_000;
/** Receipts that wait for their commit are over by then. */
const LAST_RECEIPTS_MS = 1_500;
/** A bind that is down gives its chunks back at once where another of the route is able, else after this long. */
const HAND_BACK_AFTER_MS = 30_000;

export class BindDispatcher {
  readonly name: string;
  readonly counts = new BindCounts();
  readonly health: BindHealth;
  #o: BindDispatcherOptions;
  readonly #wire: CarrierWire;
  readonly #lease: BindLease;
  readonly #holding: Holding;
  readonly #fetching: Fetching;
  readonly #senders: Senders;
  readonly #receipts: BindReceipts;
  readonly #poll: NodeJS.Timeout;
  readonly #texts = new KeptTexts(TEXTS_MAX);
  /** Where the carrier is asked to give up what it has of cancelled alerts. */
  readonly #recall: Recall | null;
  #encoder: Encoder | null = null;
  #holder: Holder | null = null;
  #downSince: number | null;
  readonly #rest = new Rest();
  readonly #refusals: RefusalLog;
  #stopping = false;
  /** The bind goes to another process. */
  #leaving = false;

  constructor(options: BindDispatcherOptions) {
    this.#o = options;
    this.name = options.bind.name;
    this.health = new BindHealth(reportsOf(options.carrier));
    this.#refusals = new RefusalLog(this.name, options.log);
    this.#downSince = options.clock.monotonic();
    const { pools, clock, bind, process } = options;
    this.#lease = new BindLease(pools.lease, clock, bind.id, process, LEASE_CHANNEL, {
      won: (fence) => void this.#onWon(fence),
      lost: () => this.#onLost(),
      trouble: (error) => this.#trouble('lease', error),
    });
    this.#holding = this.#makeHolding();
    this.#fetching = this.#makeFetching();
    this.#senders = new Senders({
      clock,
      holding: this.#holding,
      answersWithinMs: () => this.#o.carrier.responseTimeoutMs,
      fetching: () => this.#fetching.busy,
      onFree: ({ fence }) => {
        if (this.#lease.holds(fence)) void this.#onWon(fence);
      },
    });
    this.#receipts = this.#makeReceipts();
    this.#wire = options.connect({
      onAnswer: (sent, answer) => {
        if (answer.kind === 'answered' && answer.status === 0) this.#rest.taken();
        const verdict = verdictOf(answer, options.carrier);
        if (verdict !== null) this.health.answered(sent.at, verdict);
        sent.owner.answered(sent, answer);
      },
      onIncoming: (incoming) => this.#receipts.take(incoming),
      onRoom: () => this.#senders.last?.kick(),
      onUp: () => this.#onUp(),
      onDown: (reason) => this.#onDown(reason),
    });
    this.#recall = options.carrier.cancelAccepted === 'request' ? this.#makeRecall() : null;
    this.#poll = setInterval(() => this.#onPoll(), POLL_MS);
  }

  /** Policies have changed: of those in force what concerns this bind, its sessions standing. */
  apply(carrier: CarrierPolicy, lanes: Readonly<Record<LaneName, LanePolicy>>): void {
    this.#o = { ...this.#o, carrier, lanes };
    this.#fetching.apply(carrier);
    this.#senders.now?.apply(carrier, lanes);
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
    return this.#rest.lasts(this.#o.clock.monotonic());
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
  useRoutes(routes: readonly FetchedRoute[]): void {
    this.#fetching.useRoutes(routes);
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
    return this.#senders.now?.tokens ?? 0;
  }

  /** Deliveries claimed without a durable outcome; never more than `claimLimit`. */
  get undecided(): number {
    return this.#senders.now?.undecided ?? 0;
  }

  get claimLimit(): number {
    return this.#senders.now?.claimLimit ?? 0;
  }

  /** What is known of the carrier's receipts, and how many of them fit. */
  get receiptStats(): ReceiptDeskStats {
    return this.#receipts.desk.stats();
  }

  /** Deliveries of a lane in memory that are not yet on the wire. */
  buffered(lane: LaneName): number {
    return this.#senders.now?.buffered(lane) ?? 0;
  }

  /** Since when the oldest work of each lane has been in memory without coming to its end; lanes without any are left out. */
  heldSince(): Partial<Record<LaneName, EpochMs>> {
    return this.#senders.now?.heldSince() ?? {};
  }

  /** Work was inserted: `route.lane` names, or null for all. */
  wake(queues: ReadonlySet<string> | null): void {
    this.#fetching.wake(queues);
  }

  /** Further alerts are among those that were cancelled. */
  cancel(): void {
    this.#senders.last?.cancel();
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
    this.#senders.last?.holdBack();
    this.#o.onCondition();
    this.wake(null);
  }

  /** The alerts, with their days, of which deliveries wait here. */
  alerts(): ReadonlyMap<string, string> {
    return this.#senders.now?.alerts() ?? new Map();
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
    this.#receipts.desk.close();
    await this.#letGo();
    await this.#lease.close().catch((error: unknown) => this.#trouble('lease', error));
  }

  async #letGo(): Promise<void> {
    this.#holder = null;
    this.#senders.forget();
    this.#texts.clear();
    await this.#lease.release().catch((error: unknown) => this.#trouble('lease', error));
  }

  async #empty(timeoutMs: number): Promise<boolean> {
    const written = await this.#senders.end(timeoutMs);
    await this.#wire.close();
    await within(this.#o.clock, LAST_RECEIPTS_MS, () => this.#receipts.desk.open === 0);
    return written;
  }

  async #onWon(fence: number): Promise<void> {
    const holder = { process: this.#o.process, bind: this.#o.bind.id, fence };
    if (this.#stopping || this.#leaving) return;
    this.#downSince = this.up ? null : this.#o.clock.monotonic();
    this.#wire.start();
    if (!(await this.#holding.takeOver(holder))) {
      if (!this.#stopping && this.#lease.holds(fence)) setTimeout(() => void this.#onWon(fence), 250);
      return;
    }
    if (this.#stopping || this.#leaving || !this.#lease.holds(fence)) return;
    this.#holder = holder;
    this.#receipts.desk.recover();
    this.#senders.start(this.#makeSender(holder));
    this.#o.onCondition();
    this.wake(null);
  }

  #onLost(): void {
    this.#o.log.error({ bind: this.name }, 'lost the lease of the bind: nothing more is sent until it is won again');
    this.#senders.lose();
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
    this.#senders.now?.kick();
  }

  #onDown(reason: string): void {
    this.#downSince ??= this.#o.clock.monotonic();
    this.#o.log.warn({ bind: this.name, reason }, 'no session of the bind is up');
    this.#o.onCondition();
    if (this.#othersAble()) this.#handBackIdle();
  }

  #othersAble(): boolean {
    return this.#o.othersAble(this.#fetching.routes);
  }

  #onPoll(): void {
    const downMs = this.#downSince === null ? 0 : this.#o.clock.monotonic() - this.#downSince;
    if (downMs > HAND_BACK_AFTER_MS || (downMs > 0 && this.#othersAble())) this.#handBackIdle();
    if (!this.#leaving && this.#holder !== null) this.#holding.takeOverAgain(this.#holder);
    this.wake(null);
  }

  #onRefused(kind: RefusedKind, status: number): void {
    this.#o.onRefused?.(kind, status);
    if (kind === 'bind') this.#onAccountRefused(status);
    else if (kind === 'message') this.#refusals.add(status, this.#o.clock.monotonic());
  }

  /** The carrier takes nothing from this account: what waits goes back to its routes, and this bind fetches nothing. */
  #onAccountRefused(status: number): void {
    const started = this.#rest.start(this.#o.carrier, this.#o.clock.monotonic());
    if (started === null) return;
    const details = { bind: this.name, status: statusName(status), ...started };
    this.#o.log.error(details, 'the carrier refuses this account: the bind rests, its work goes back to its routes');
    this.#o.onCondition();
    this.#senders.setAside();
  }

  /** The carrier is away: its chunks go back to their queues, where another bind of the route, or the sweeper, finds them. */
  #handBackIdle(): void {
    if ((this.#senders.now?.heldChunks ?? 0) > 0) this.#senders.setAside();
  }

  #makeSender(holder: Holder): Sender {
    const { bind, carrier, lanes, clock, journal, claimWriters, receipts, cancelled, pauses, pools, onSent } = this.#o;
    const encoder = new Encoder(carrier, lanes, (body) => this.#texts.of(body));
    this.#encoder = encoder;
    return new Sender({
      ...{ bind, carrier, lanes, holder, clock, journal, claimWriters, encoder, receipts, cancelled, pauses },
      wire: this.#wire,
      claimedTo: (hand, chunks) => {
        const pool = hand === 'emergency' ? pools.urgent : pools.dispatch;
        return this.#holding.insist('claims', holder)(() => heldStill(pool, holder, chunks));
      },
      counts: this.counts,
      unanswered: this.#receipts.unanswered,
      nextId: () => this.#o.idStock.next(),
      secondRoute: (item) => this.#o.secondRoute(item),
      mayOwn: () => this.#lease.fence() === holder.fence,
      onTrouble: (error) => this.#trouble('claims', error),
      onRoom: (lane) => this.#fetching.fetchLane(lane),
      onTracked: (messageId) => this.#receipts.desk.landed(messageId),
      onRefused: (kind, status) => this.#onRefused(kind, status),
      ...(onSent === undefined ? {} : { onSent }),
    });
  }

  #makeHolding(): Holding {
    const { pools, takeoverWriter, boss, ids, clock, laneName, routeName, log } = this.#o;
    return new Holding({
      ...{ bind: this.name, lease: this.#lease, pool: pools.control, writer: takeoverWriter },
      ...{ boss, ids, clock, laneName, routeName, log },
      policy: () => this.#o,
      onTrouble: (what, error) => this.#trouble(what, error),
    });
  }

  #makeFetching(): Fetching {
    const { carrier, routes, clock, pools, boss, idStock, journal, texts, fresh, cancelled, pauses, log } = this.#o;
    return new Fetching({
      ...{ bind: this.name, carrier, routes, clock, pools, boss, idStock, journal },
      ...{ texts, fresh, cancelled, pauses, log },
      kept: this.#texts,
      pull: (route) => this.#o.pull(route),
      sender: () => this.#senders.now,
      able: () => !this.#stopping && this.up && !this.resting,
      holding: this.#holding,
      onTrouble: (what, error) => this.#trouble(what, error),
    });
  }

  #makeReceipts(): BindReceipts {
    const { bind, clock, pools, journal, idStock, receipts, cancelled, log } = this.#o;
    return new BindReceipts({
      ...{ bind, clock, pool: pools.reader, journal, idStock, receipts, cancelled, log },
      policy: () => this.#o,
      counts: this.counts,
      health: this.health,
      secondRoute: (item) => this.#o.secondRoute(item),
      onTrouble: (error) => this.#trouble('receipts', error),
    });
  }

  #makeRecall(): Recall {
    const { bind, clock, pools, journal, receipts } = this.#o;
    return new Recall({
      carrier: () => this.#o.carrier,
      ...{ bind, clock, pool: pools.reader, journal, receipts },
      sender: () => this.#senders.now,
      // There is an encoder where there is a sender.
      sourceOf: (sender) => (this.#encoder as Encoder).sourceOf(sender),
      request: (fields) => this.#wire.cancel(fields),
      onTrouble: (error) => this.#trouble('recall', error),
    });
  }

  #trouble(what: string, error: unknown): void {
    this.#o.log.error({ bind: this.name, what, err: error }, 'the database did not do what dispatch asked');
  }
}
