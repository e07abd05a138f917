/**
 * Which binds this process holds, among all that share the database.
 *
 * Each process writes its beat each second and looks four times a second at all beats and leases. A bind that nobody
 * holds is taken by whoever should have it (share.ts), at once; when that one does not take it, by any that may. A bind
 * that another should have is handed over: no more claims, what is claimed goes out, the rest goes back, and the lease
 * is free. One at a time, and only when the others have stood still for a while, so that nothing moves to and fro.
 */
import type { Clock, Pool } from '../platform/index.ts';
import { LEASE_TTL_MS } from './lease.ts';
import { type Candidate, shareOut } from './share.ts';

/** A lease became free; the payload is the bind's id. */
export const LEASE_CHANNEL = 'tocsin_lease';

/** What ownership needs of a bind. */
export interface OwnedBind {
  readonly id: number;
  /** Its lease is this process's, whether it sends or hands it over. */
  readonly leased: boolean;
  /** Tries once to get the lease. */
  tryWin(): Promise<void>;
  handOver(): Promise<void>;
}

export interface OwnershipOptions {
  /** The leases' own pool: what is written each second may not wait behind chores. */
  pool: Pool;
  clock: Clock;
  process: number;
  node: string;
  /** Binds of the policy that this node may hold. */
  binds: readonly OwnedBind[];
  onTrouble: (error: unknown) => void;
}

const LOOK_MS = 250;
const BEAT_MS = 1_000;
/** A process that wrote no beat for so long is gone. */
export const BEAT_TTL_MS = LEASE_TTL_MS;
/** Whoever should take a free bind has this long before any other takes it. */
const FIRST_CALL_MS = 400;
/** For so long a bind must have been another's by right before it is handed over. */
const MOVE_AFTER_MS = 3_000;
const TROUBLE_EACH_MS = 5_000;
/** Beats of processes that were killed are removed after a minute. */
const FORGET_EACH = 60;

interface Beat extends Candidate {
  node: string;
}

export class Ownership {
  readonly #o: OwnershipOptions;
  #holders = new Map<number, number>();
  #beats: readonly Beat[] = [];
  /** Since when (monotonic) a bind has been free, or another's by right. */
  readonly #freeSince = new Map<number, number>();
  readonly #anothersSince = new Map<number, number>();
  #lastBeat = Number.NEGATIVE_INFINITY;
  #beatCount = 0;
  #lastTrouble = Number.NEGATIVE_INFINITY;
  #moving = false;
  #stopped = false;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #turn: Promise<void> | null = null;

  constructor(options: OwnershipOptions) {
    this.#o = options;
  }

  start(): void {
    this.look();
  }

  /** Another process holds this bind: it is looked after. */
  elsewhere(bind: number): boolean {
    const holder = this.#holders.get(bind);
    return holder !== undefined && holder !== this.#o.process;
  }

  /** Binds that some living process may hold, as far as is known here. */
  get wanted(): number[] {
    const all = [...this.#o.binds.map(({ id }) => id), ...this.#beats.flatMap(({ binds }) => binds)];
    return [...new Set(all)].sort((a, b) => a - b);
  }

  /** Something changed: looks now, or once more after the look under way. */
  look(): void {
    if (this.#stopped) return;
    if (this.#turn !== null) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#turn = this.#look().finally(() => {
      this.#turn = null;
      if (this.#stopped) return;
      if (this.#again) {
        this.#again = false;
        this.look();
      } else this.#timer = setTimeout(() => this.look(), LOOK_MS);
    });
  }

  /** Takes nothing more, and says that this process leaves: the others plan without it. Its leases are not touched. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
    await this.#o.pool
      .query('DELETE FROM process_beat WHERE process = $1', [this.#o.process])
      .catch((error: unknown) => this.#trouble(error));
  }

  async #look(): Promise<void> {
    try {
      if (this.#o.clock.monotonic() - this.#lastBeat >= BEAT_MS) await this.#beat();
      const { pool } = this.#o;
      this.#beats = await pool.query<Beat>(
        `SELECT process, node, binds FROM process_beat WHERE seen_at > clock_timestamp() - $1 * interval '1 millisecond'`,
        [BEAT_TTL_MS],
      );
      const leases = await pool.query<{ bind: number; process: number }>(
        'SELECT bind, process FROM bind_lease WHERE until > clock_timestamp()',
      );
      this.#holders = new Map(leases.map(({ bind, process }) => [bind, process]));
      await this.#act();
    } catch (error) {
      this.#trouble(error);
    }
  }

  async #beat(): Promise<void> {
    const { pool, process, node, binds, clock } = this.#o;
    const at = clock.monotonic();
    await pool.query(
      `INSERT INTO process_beat (process, node, binds, seen_at) VALUES ($1, $2, $3::smallint[], clock_timestamp())
       ON CONFLICT (process) DO UPDATE SET node = excluded.node, binds = excluded.binds, seen_at = excluded.seen_at`,
      [process, node, binds.map(({ id }) => id)],
    );
    this.#lastBeat = at;
    if (this.#beatCount++ % FORGET_EACH === 0)
      await pool.query(`DELETE FROM process_beat WHERE seen_at < clock_timestamp() - interval '1 minute'`);
  }

  async #act(): Promise<void> {
    const { binds, process, clock } = this.#o;
    const now = clock.monotonic();
    const target = shareOut(this.#beats, this.#holders);
    for (const bind of binds) {
      const free = !bind.leased && !this.#holders.has(bind.id);
      const since = mark(this.#freeSince, bind.id, free, now);
      if (this.#stopped || since === null) continue;
      if (target.get(bind.id) === process || now - since >= FIRST_CALL_MS) await bind.tryWin();
    }
    for (const bind of binds) {
      const anothers = bind.leased && (target.get(bind.id) ?? process) !== process;
      const since = mark(this.#anothersSince, bind.id, anothers, now);
      if (since === null || now - since < MOVE_AFTER_MS || this.#moving || this.#stopped) continue;
      this.#moving = true;
      void bind.handOver().finally(() => {
        this.#moving = false;
        this.#anothersSince.delete(bind.id);
        // The one it is for has the first call.
        this.#freeSince.set(bind.id, clock.monotonic());
      });
    }
  }

  #trouble(error: unknown): void {
    const now = this.#o.clock.monotonic();
    if (now - this.#lastTrouble < TROUBLE_EACH_MS) return;
    this.#lastTrouble = now;
    this.#o.onTrouble(error);
  }
}

/** Keeps since when something has been so. */
function mark(since: Map<number, number>, bind: number, so: boolean, now: number): number | null {
  if (!so) {
    since.delete(bind);
    return null;
  }
  const from = since.get(bind) ?? now;
  since.set(bind, from);
  return from;
}
