/**
 * One bind: its lease, its sessions, its fetch loops, its sender and its receipts.
 *
 *   no lease ─won─► taking over ─► sending ─lost─► no lease
 *
 * While the lease is held and a session is bound, each lane of each route fetches when it has room: woken by a NOTIFY in
 * the inserting transaction, by room that opened here, and by a poll (deferred and retried jobs send no NOTIFY).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PgBoss } from 'pg-boss';
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, IdAllocator, Pool } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy } from '../policy/index.ts';
import { FINAL, type FinalCode, type Journal } from '../records/index.ts';
import type { Answer, IncomingDeliver } from '../smpp/index.ts';
import { parseReceipt } from '../smpp/index.ts';
import { queueName } from './chunks.ts';
import { Encoder } from './encoder.ts';
import type { IdStock } from './extras.ts';
import { type Holder, heldStill, hydrate, type Insist, type Taken, type TextSource, takeChunks } from './hold.ts';
import { LANES_BY_URGENCY } from './lanes.ts';
import { BindLease } from './lease.ts';
import { ReceiptDesk, type ReceiptDeskStats } from './receipt-desk.ts';
import type { ReceiptIndex } from './receipts.ts';
import { Sender, type Sent, type Wire } from './sender.ts';
import { returnJob, takeOver } from './takeover.ts';
import type { DispatchExtra, HeldChunk, Item } from './types.ts';

/** What the bind's sessions call back. */
export interface WireHandlers {
  onAnswer(sent: Sent, answer: Answer): void;
  onIncoming(incoming: IncomingDeliver): void;
  onRoom(): void;
  onUp(): void;
  onDown(reason: string): void;
}

export interface CarrierWire extends Wire {
  /** Sessions that are bound. */
  readonly boundSessions: number;
  start(): void;
  /** Unbinds gracefully, bounded in time. */
  close(): Promise<void>;
}

export interface DispatchLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface BindDispatcherOptions {
  bind: { id: number; name: string };
  carrier: CarrierPolicy;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  /** Routes that name this bind, with the lanes they serve. */
  routes: readonly { name: string; lanes: readonly LaneName[] }[];
  process: number;
  clock: Clock;
  pools: { dispatch: Pool; control: Pool; reader: Pool };
  boss: PgBoss;
  ids: IdAllocator;
  idStock: IdStock;
  journal: Journal<DispatchExtra>;
  /** Opens a chain for this bind's claims. */
  claimWriter: ChainWriter;
  takeoverWriter: ChainWriter;
  texts: TextSource;
  receipts: ReceiptIndex;
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
  connect: (handlers: WireHandlers) => CarrierWire;
  log: DispatchLog;
  onSent?: (lane: LaneName, sent: Sent) => void;
}

interface Feed {
  route: string;
  lane: LaneName;
  queue: string;
  /** The queue had nothing: look again when woken or at the next poll. */
  dry: boolean;
  fetching: boolean;
  /** Deliveries of a job, the largest seen lately: guesses how many jobs fill the room. */
  jobSize: number;
}

const POLL_MS = 500;
/** Deliveries in memory per lane: about one second of the bind's TPS, within these bounds. */
const PREFETCH = { min: 1, max: 12_000 };
/** Texts in memory: more than all lanes together may hold. */
const TEXTS_MAX = 100_000;
const JOBS_PER_FETCH = 200;
/** A bind that is down this long gives its chunks back to the others of the route. */
const HAND_BACK_AFTER_MS = 30_000;

export class BindDispatcher {
  readonly name: string;
  readonly #o: BindDispatcherOptions;
  readonly #feeds: Feed[];
  readonly #prefetch: number;
  readonly #wire: CarrierWire;
  readonly #lease: BindLease;
  readonly #desk: ReceiptDesk;
  readonly #poll: NodeJS.Timeout;
  readonly #texts = new Map<number, string>();
  #sender: Sender | null = null;
  #holder: Holder | null = null;
  #downSince: number | null;
  #stopping = false;

  constructor(options: BindDispatcherOptions) {
    this.#o = options;
    this.name = options.bind.name;
    this.#feeds = LANES_BY_URGENCY.flatMap((lane) =>
      options.routes
        .filter((route) => route.lanes.includes(lane))
        .map((route) => ({
          route: route.name,
          lane,
          queue: queueName(route.name, lane),
          dry: false,
          fetching: false,
          jobSize: Math.max(1, options.carrier.tps / 4),
        })),
    );
    this.#prefetch = Math.max(PREFETCH.min, Math.min(PREFETCH.max, Math.ceil(options.carrier.tps)));
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
      onTrouble: (error) => this.#trouble('receipts', error),
      onLearned: (learned) =>
        options.log.info({ bind: this.name, ...learned }, 'what the receipts of the carrier are like'),
    });
    this.#wire = options.connect({
      onAnswer: (sent, answer) => sent.owner.answered(sent, answer),
      onIncoming: (incoming) => this.#onIncoming(incoming),
      onRoom: () => this.#sender?.kick(),
      onUp: () => this.#onUp(),
      onDown: (reason) => this.#onDown(reason),
    });
    this.#lease = new BindLease(options.pools.control, options.clock, options.bind.id, options.process, {
      won: (fence) => void this.#onWon(fence),
      lost: () => this.#onLost(),
      trouble: (error) => this.#trouble('lease', error),
    });
    this.#poll = setInterval(() => this.#onPoll(), POLL_MS);
  }

  start(): void {
    this.#wire.start();
    this.#lease.start();
  }

  /** Sessions bound right now. */
  get up(): boolean {
    return this.#wire.boundSessions > 0;
  }

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

  buffered(lane: LaneName): number {
    return this.#sender?.buffered(lane) ?? 0;
  }

  /** Work was inserted: `route.lane` names, or null for all. */
  wake(queues: ReadonlySet<string> | null): void {
    for (const feed of this.#feeds) {
      if (queues === null || queues.has(`${feed.route}.${feed.lane}`)) feed.dry = false;
    }
    this.#fetchAll();
  }

  cancel(alerts: ReadonlySet<string>): void {
    this.#sender?.cancel(alerts);
  }

  /** Stops taking work, lets what is claimed go out, gives the rest back, unbinds. Bounded by `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#poll);
    const sender = this.#sender;
    await sender?.drain(timeoutMs);
    if (sender !== null && sender !== undefined) await this.#giveBack(sender.stop());
    await this.#wire.close();
  }

  /** After the journal has drained: the lease may go to another process. */
  async release(): Promise<void> {
    this.#desk.close();
    await this.#lease.release().catch((error: unknown) => this.#trouble('lease', error));
  }

  async #onWon(fence: number): Promise<void> {
    const holder = { process: this.#o.process, bind: this.#o.bind.id, fence };
    const { log } = this.#o;
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
      if (result.chunks > 0) log.warn({ bind: this.name, fence, ...result }, 'took over what a former holder left');
    } catch (error) {
      this.#trouble('takeover', error);
      if (!this.#stopping && this.#lease.fence() === fence) setTimeout(() => void this.#onWon(fence), 250);
      return;
    }
    if (this.#stopping || this.#lease.fence() !== fence) return;
    this.#holder = holder;
    this.#desk.recover();
    this.#sender = new Sender({
      bind: this.#o.bind,
      carrier: this.#o.carrier,
      lanes: this.#o.lanes,
      holder,
      clock: this.#o.clock,
      wire: this.#wire,
      journal: this.#o.journal,
      claimWriter: this.#o.claimWriter,
      claimedTo: (chunks) => this.#insist('claims', holder)(() => heldStill(this.#o.pools.dispatch, holder, chunks)),
      encoder: new Encoder(this.#o.carrier, this.#o.lanes, (body) => this.#texts.get(body)),
      receipts: this.#o.receipts,
      nextId: () => this.#o.idStock.next(),
      mayOwn: () => this.#lease.fence() === fence,
      onTrouble: (error) => this.#trouble('claims', error),
      onRoom: (lane) => this.#fetchLane(lane),
      onTracked: (messageId) => this.#desk.landed(messageId),
      ...(this.#o.onSent === undefined ? {} : { onSent: this.#o.onSent }),
    });
    this.wake(null);
  }

  #onLost(): void {
    this.#o.log.error({ bind: this.name }, 'lost the lease of the bind: nothing more is sent until it is won again');
    this.#sender?.lose();
    this.#sender = null;
    this.#holder = null;
    this.#texts.clear();
  }

  #onUp(): void {
    this.#downSince = null;
    this.wake(null);
    this.#sender?.kick();
  }

  #onDown(reason: string): void {
    this.#downSince ??= this.#o.clock.monotonic();
    this.#o.log.warn({ bind: this.name, reason }, 'no session of the bind is up');
  }

  #onPoll(): void {
    if (this.#downSince !== null && this.#o.clock.monotonic() - this.#downSince > HAND_BACK_AFTER_MS)
      this.#handBackIdle();
    this.wake(null);
  }

  /** The carrier is away: its chunks go back to their queues, where another bind of the route, or the sweeper, finds them. */
  #handBackIdle(): void {
    const sender = this.#sender;
    if (sender === null || sender.heldChunks === 0 || this.#holder === null) return;
    const { fence } = this.#holder;
    this.#sender = null;
    void this.#giveBack(sender.stop()).finally(() => {
      if (this.#lease.fence() === fence) void this.#onWon(fence);
    });
  }

  async #giveBack(chunks: readonly HeldChunk[]): Promise<void> {
    const holder = this.#holder;
    if (holder === null || chunks.length === 0) return;
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
            await returnJob(tx, this.#o.boss, row, row.claimed_to, chunk.lane, chunk.route);
          }
        }
      }),
    );
  }

  /** Tries again, ever slower, as long as the bind is held under this fence. */
  #insist(what: string, holder: Holder): Insist {
    return async (work) => {
      for (let waitMs = 20; this.#lease.fence() === holder.fence; waitMs = Math.min(1_000, waitMs * 2)) {
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
    this.#desk.take(receipt, (status) => incoming.respond(status));
  }

  #fetchAll(): void {
    for (const lane of LANES_BY_URGENCY) this.#fetchLane(lane);
  }

  #fetchLane(lane: LaneName): void {
    if (this.#stopping || this.#sender === null || this.#holder === null || !this.up) return;
    for (const feed of this.#feeds) {
      if (feed.lane !== lane || feed.dry || feed.fetching) continue;
      const room = this.#prefetch - this.#sender.buffered(lane);
      if (room < Math.max(1, this.#prefetch / 2)) continue;
      feed.fetching = true;
      void this.#fetch(feed, room, this.#sender, this.#holder)
        .catch((error: unknown) => {
          feed.dry = true;
          this.#trouble('fetch', error);
        })
        .finally(() => {
          feed.fetching = false;
          if (!feed.dry) this.#fetchLane(feed.lane);
        });
    }
  }

  async #fetch(feed: Feed, room: number, sender: Sender, holder: Holder): Promise<void> {
    const jobs = Math.max(1, Math.min(JOBS_PER_FETCH, Math.floor(room / feed.jobSize)));
    const { pools, boss } = this.#o;
    const { queue, route, lane } = feed;
    const taken = await takeChunks(
      pools.dispatch,
      boss,
      holder,
      { queue, route, lane, jobs, room },
      this.#insist('fetch', holder),
    );
    if (taken.length < jobs) feed.dry = true;
    if (taken.length === 0) return;
    for (const one of taken) feed.jobSize = Math.max(1, one.chunk.size, feed.jobSize * 0.9);
    await this.#load(taken, sender, holder);
  }

  async #load(taken: readonly Taken[], sender: Sender, holder: Holder): Promise<void> {
    // They are ours already: nobody else would read them.
    const read = await this.#insist('load', holder)(() => hydrate(this.#o.pools.dispatch, this.#o.texts, taken));
    // The lease may have gone meanwhile: whoever has it takes the chunks over.
    if (read === null || this.#sender !== sender || this.#holder !== holder) return;
    for (const [body, text] of read.text) this.#keepText(body, text);
    for (const { chunk, items, cancelled, unsendable } of read.chunks) {
      this.#endUnsent(chunk, cancelled, FINAL.cancelled, 'cancelled');
      this.#endUnsent(chunk, unsendable, FINAL.failed, 'text or number is gone');
      sender.add(chunk, items);
    }
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
