/**
 * What a bind fetches and loads: each lane of each of its routes when it has room, woken by a NOTIFY in the inserting
 * transaction, by room that opened here, and by a poll (deferred and retried jobs send no NOTIFY).
 *
 *   woken ─► room? ─► jobs and their holder, one transaction ─► deliveries and texts read ─► the sender's
 *                                                                         └─ it stopped, or has enough ─► given back
 */
import type { PgBoss } from 'pg-boss';
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import { alertTlvs, type CarrierPolicy, type LaneName } from '../policy/index.ts';
import { FINAL, type FinalCode, type Journal } from '../records/index.ts';
import { queueName } from './chunks.ts';
import type { IdStock } from './extras.ts';
import { finalOp } from './final-op.ts';
import { type FreshDeliveries, hydrate, type Taken, type TextSource, takeChunks } from './hold.ts';
import type { Holding } from './holding.ts';
import type { KeptTexts } from './kept-texts.ts';
import { LANES_BY_URGENCY } from './lanes.ts';
import type { Pauses } from './pauses.ts';
import type { Sender } from './sender.ts';
import type { Pull } from './tiers.ts';
import type { DispatchExtra, DispatchLog, HeldChunk, Item } from './types.ts';

/** A route that names the bind, with the lanes it serves. */
export interface FetchedRoute {
  name: string;
  lanes: readonly LaneName[];
}

export interface FetchingOptions {
  /** Its name. */
  bind: string;
  carrier: CarrierPolicy;
  routes: readonly FetchedRoute[];
  clock: Clock;
  /** Emergencies have a session of their own: they may not wait behind the fetches of other lanes. */
  pools: { urgent: Pool; dispatch: Pool };
  boss: PgBoss;
  idStock: IdStock;
  journal: Journal<DispatchExtra>;
  texts: TextSource;
  fresh: FreshDeliveries | null;
  /** Where the texts of what is loaded are kept. */
  kept: KeptTexts;
  /** Alerts that were cancelled lately. */
  cancelled: ReadonlySet<string>;
  /** What is paused at this instant. */
  pauses: { readonly now: Pauses };
  /** Whether the bind takes work of the route now: others may come first. */
  pull: (route: string) => Pull;
  /** Who sends what is fetched; null while the bind does not. */
  sender: () => Sender | null;
  /** Whether the bind can send just now. */
  able: () => boolean;
  holding: Holding;
  log: DispatchLog;
  onTrouble: (what: string, error: unknown) => void;
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

/** Deliveries in memory per lane: about one second of the bind's TPS, within these bounds. */
const PREFETCH = { min: 1, max: 12_000 };
/** In one fetch. */
const JOBS_MOST = 128;
/** A chunk may go so far beyond the room, as a share of the prefetch, before it is cut: that of a route with one bind. */
const SLACK = 0.25;
/** Deliveries that are read at once, about: more would keep the event loop for too long. */
const READ_AT_ONCE = 4_000;
/** An unhealthy bind takes a chunk this often, to learn whether it is well again; never of an emergency. */
const PROBE_EACH_MS = 5_000;

export class Fetching {
  readonly #o: FetchingOptions;
  readonly #withTlvs: boolean;
  #tps: number;
  #prefetch: number;
  #feeds: Feed[];
  #probedAt = Number.NEGATIVE_INFINITY;

  constructor(options: FetchingOptions) {
    const { bind, carrier, routes } = options;
    this.#o = options;
    this.#withTlvs = alertTlvs({ [bind]: carrier }).size > 0;
    this.#tps = carrier.tps;
    this.#prefetch = prefetchOf(carrier);
    this.#feeds = this.#feedsOf(routes);
  }

  /** Policies have changed. */
  apply(carrier: CarrierPolicy): void {
    this.#tps = carrier.tps;
    this.#prefetch = prefetchOf(carrier);
  }

  /** Other routes name the bind now: what it has in memory of those that no longer do is still sent. */
  useRoutes(routes: readonly FetchedRoute[]): void {
    const before = new Map(this.#feeds.map((feed) => [feed.queue, feed]));
    this.#feeds = this.#feedsOf(routes).map((feed) => before.get(feed.queue) ?? feed);
  }

  /** Those of which it fetches, once for each lane. */
  get routes(): string[] {
    return this.#feeds.map(({ route }) => route);
  }

  /** Whether a fetch is under way. */
  get busy(): boolean {
    return this.#feeds.some(({ fetching }) => fetching > 0);
  }

  /** Work was inserted: `route.lane` names, or null for all. */
  wake(queues: ReadonlySet<string> | null): void {
    for (const feed of this.#feeds) {
      if (queues !== null && !queues.has(`${feed.route}.${feed.lane}`)) continue;
      feed.dry = false;
      feed.news = true;
      if (queues !== null) feed.urgent = feed.lane === 'emergency';
    }
    for (const lane of LANES_BY_URGENCY) this.fetchLane(lane);
  }

  /** Fetches what there is room for. */
  fetchLane(lane: LaneName): void {
    const sender = this.#o.sender();
    if (sender === null || !this.#o.able()) return;
    const ofLane = this.#feeds.filter((feed) => feed.lane === lane);
    for (const feed of ofLane) {
      if (feed.dry || feed.fetching > 0) continue;
      if (this.#o.pauses.now.holdsFeed(this.#o.bind, feed.route, lane)) continue;
      const asked = ofLane.reduce((sum, each) => sum + each.fetching, 0);
      const free = this.#prefetch - sender.buffered(lane) - asked;
      // A new alert is not left outside while another fills the memory: the first chunk in line is taken all the same.
      const urgent = feed.urgent && free > -this.#prefetch;
      feed.urgent = false;
      if (free < Math.max(1, this.#prefetch / 2) && !urgent) continue;
      const room = Math.min(Math.max(1, free), this.#mayTake(feed));
      if (room === 0) continue;
      feed.fetching = room;
      feed.news = false;
      void this.#fetch(feed, room, sender)
        .catch((error: unknown) => {
          feed.dry = true;
          this.#o.onTrouble('fetch', error);
        })
        .finally(() => {
          feed.fetching = 0;
          this.fetchLane(feed.lane);
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

  #feedsOf(routes: readonly FetchedRoute[]): Feed[] {
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
          jobSize: Math.max(1, this.#tps / 4),
        })),
    );
  }

  async #fetch(feed: Feed, room: number, sender: Sender): Promise<void> {
    const jobs = stepOf(Math.min(JOBS_MOST, room / feed.jobSize));
    const { boss, idStock, pauses } = this.#o;
    const { queue, route, lane } = feed;
    const cut = { slack: this.#prefetch * SLACK, nextId: () => idStock.next() };
    const taken = await takeChunks(
      this.#poolOf(lane),
      boss,
      sender.holder,
      { queue, route, lane, jobs, room, cut, parks: (alert) => pauses.now.has('alert', alert) },
      this.#o.holding.insist('fetch', sender.holder),
    );
    if (taken.length < jobs && !feed.news) feed.dry = true;
    if (taken.length === 0) return;
    if (this.#o.pull(route) === 'probe') this.#probedAt = this.#o.clock.monotonic();
    for (const one of taken) feed.jobSize = Math.max(1, one.chunk.size, feed.jobSize * 0.9);
    for (const some of inReads(taken)) await this.#load(some, sender);
  }

  #poolOf(lane: LaneName): Pool {
    return lane === 'emergency' ? this.#o.pools.urgent : this.#o.pools.dispatch;
  }

  async #load(taken: readonly Taken[], sender: Sender): Promise<void> {
    const [first] = taken;
    if (first === undefined) return;
    const pool = this.#poolOf(first.chunk.lane);
    const { holder } = sender;
    // They are ours already: nobody else would read them.
    const { texts, fresh, cancelled, kept, holding } = this.#o;
    const sources = { texts, fresh, cancelled, withTlvs: this.#withTlvs };
    const read = await holding.insist('load', holder)(() => hydrate(pool, sources, taken));
    // The lease may have gone meanwhile: whoever has it takes the chunks over.
    if (read === null || !holding.holds(holder)) return;
    if (this.#o.sender() !== sender) {
      // The bind has stopped sending under the same lease: nobody else would give them back.
      await holding.giveBack(
        taken.map(({ chunk }) => chunk),
        holder,
      );
      return;
    }
    for (const [body, text] of read.text) kept.keep(body, text);
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
    await holding.giveBack([...later.keys()], holder, later);
    if (unopenedCount > 0)
      this.#o.log.error(
        { bind: this.#o.bind, deliveries: unopenedCount },
        'texts cannot be opened, so their deliveries end as failed: look at TOCSIN_KEYRING, and type: tocsin audit verify',
      );
  }

  #endUnsent(chunk: HeldChunk, items: readonly Item[], state: FinalCode, cause: string): void {
    const at = this.#o.clock.now();
    for (const item of items) this.#o.journal.add(chunk.id, finalOp(item, state, cause, at));
  }
}

/**
 * The largest power of two that is not above `jobs`, at least 1. pg-boss writes the number into the text of its statement,
 * and each text is parsed and planned anew in each session: so there are eight of them.
 */
const stepOf = (jobs: number): number => 2 ** Math.floor(Math.log2(Math.max(1, jobs)));

const prefetchOf = ({ tps }: CarrierPolicy): number => Math.max(PREFETCH.min, Math.min(PREFETCH.max, Math.ceil(tps)));

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
