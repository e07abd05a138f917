/**
 * Work for later: its chunks wait outside the queues, where a million of them cost a fetch nothing, and get their jobs
 * when they are due. Each process looks four times a second, and just when the next one that it knows of is due; several
 * share the work. What is parked (parking.ts) stays out until its alert is resumed.
 */
import type { PgBoss } from 'pg-boss';
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { insertJobs, notifyDispatch } from './chunks.ts';
import { LANES_BY_URGENCY } from './lanes.ts';

export interface LaterOptions {
  pool: Pool;
  boss: PgBoss;
  clock: Clock;
  laneId: (lane: LaneName) => number;
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
  onTrouble: (error: unknown) => void;
}

const LOOK_MS = { least: 5, most: 250 };
/** Chunks in one transaction: some 20 ms. */
const BATCH = 200;

interface Held {
  id: number;
  lane: number;
  route: number;
  priority: number;
  job: string;
}

export class Later {
  readonly #o: LaterOptions;
  #timer: NodeJS.Timeout | null = null;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: LaterOptions) {
    this.#o = options;
  }

  start(inMs = 0): void {
    this.#timer = setTimeout(() => {
      this.#turn = this.release()
        .catch((error: unknown) => {
          this.#o.onTrouble(error);
          return null;
        })
        .then((next) => {
          if (!this.#stopped)
            this.start(Math.max(LOOK_MS.least, Math.min(LOOK_MS.most, (next ?? Infinity) - this.#o.clock.now())));
        });
    }, inMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
  }

  /** Puts into its queue what is due, the most urgent lane first. @returns when the next is due; null when none waits. */
  async release(): Promise<EpochMs | null> {
    let next: EpochMs | null = null;
    // Once more after each lane's batch: an emergency that came due meanwhile does not wait for a million of bulk.
    for (let more = true; more && !this.#stopped; ) {
      more = false;
      next = null;
      for (const { lane, due } of await this.#nextDue()) {
        if (due === null) continue;
        next = Math.min(due, next ?? due);
        if (due > this.#o.clock.now()) continue;
        more = (await this.#queue(lane)) > 0;
        if (more) break;
      }
    }
    return next;
  }

  /** Leans on chunk_later: four look-ups, however much waits. */
  async #nextDue(): Promise<{ lane: number; due: EpochMs | null }[]> {
    return await this.#o.pool.query(
      `SELECT l.lane, (SELECT c.not_before FROM chunk c WHERE c.lane = l.lane AND NOT c.queued AND NOT c.settled AND NOT c.parked
                       ORDER BY c.not_before LIMIT 1) AS due
       FROM unnest($1::smallint[]) WITH ORDINALITY AS l(lane, place) ORDER BY l.place`,
      [LANES_BY_URGENCY.map((lane) => this.#o.laneId(lane))],
      { retries: 2 },
    );
  }

  async #queue(lane: number): Promise<number> {
    const { pool, boss, clock, laneName, routeName } = this.#o;
    return await pool.run(async (tx) => {
      const held = await tx.query<Held>(
        `SELECT id, lane, route, priority, job FROM chunk
         WHERE lane = $1 AND NOT queued AND NOT settled AND NOT parked AND not_before <= $2
         ORDER BY not_before LIMIT $3 FOR UPDATE SKIP LOCKED`,
        [lane, clock.now(), BATCH],
      );
      if (held.length === 0) return 0;
      const jobs = held.map((row) => ({ ...row, lane: laneName(row.lane), route: routeName(row.route) }));
      await tx.query('UPDATE chunk SET queued = true WHERE id = ANY($1::bigint[])', [held.map(({ id }) => id)]);
      await insertJobs(tx, boss, jobs);
      await notifyDispatch(tx, jobs);
      return held.length;
    });
  }
}
