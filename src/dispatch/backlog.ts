/**
 * How much waits ahead, by route and lane, in all processes: an estimate for predictions and for who watches, counted
 * each second, or more seldom when that takes long, and kept up in between.
 */
import type { EpochMs, Pool } from '../platform/index.ts';
import type { LaneName, Names } from '../policy/index.ts';
import { LANES_BY_URGENCY } from './lanes.ts';

/** After a count, in ms; and at least so many times what the count took. */
const REST = { least: 1_000, times: 10 };
/** Chunks of one statement: a few ms. */
const PAGE = 10_000;

interface Counted {
  route: number;
  lane: number;
  waiting: number;
  inDoubt: number;
  oldest: EpochMs | null;
  last: number;
  chunks: number;
}

export class Backlog {
  readonly #pool: Pool;
  readonly #names: Names;
  #waiting = new Map<string, number>();
  #oldest = new Map<string, EpochMs>();
  #inDoubt = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(pool: Pool, names: Names) {
    this.#pool = pool;
    this.#names = names;
  }

  start(inMs = REST.least): void {
    this.#timer = setTimeout(() => {
      const started = performance.now();
      void this.#count()
        .catch(() => undefined)
        .finally(() => {
          if (!this.#closed) this.start(Math.max(REST.least, REST.times * (performance.now() - started)));
        });
    }, inMs);
  }

  stop(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Deliveries that are handed over before new ones of this lane: for emergency its own, for others all. */
  ahead(route: string, lane: LaneName): number {
    const lanes: readonly LaneName[] = lane === 'emergency' ? ['emergency'] : LANES_BY_URGENCY;
    return lanes.reduce((sum, each) => sum + (this.#waiting.get(`${route}.${each}`) ?? 0), 0);
  }

  waiting(route: string, lane: LaneName): number {
    return this.#waiting.get(`${route}.${lane}`) ?? 0;
  }

  /** Since when the oldest of them has been due; null when there is none. */
  waitingSince(route: string, lane: LaneName): EpochMs | null {
    return this.#oldest.get(`${route}.${lane}`) ?? null;
  }

  /** Of those that wait: sent before, and never answered. They go again, marked as possible duplicates. */
  inDoubt(route: string, lane: LaneName): number {
    return this.#inDoubt.get(`${route}.${lane}`) ?? 0;
  }

  add(route: string, lane: LaneName, deliveries: number): void {
    const key = `${route}.${lane}`;
    this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + deliveries);
  }

  /**
   * Leans on chunk_open. Page by page: a million chunks of single alerts in one statement would keep a session, and its
   * snapshot, for a third of a second.
   */
  async #count(): Promise<void> {
    const waiting = new Map<string, number>();
    const inDoubt = new Map<string, number>();
    const oldest = new Map<string, EpochMs>();
    for (let after = 0, more = true; more && !this.#closed; ) {
      const rows = await this.#pool.query<Counted>(
        `WITH page AS MATERIALIZED (
           SELECT id, route, lane, possible_duplicate, CASE WHEN parked THEN 0 ELSE deliveries - claimed_to END AS open,
                  greatest(created_at, not_before) AS due
           FROM chunk WHERE NOT settled AND id > $1 ORDER BY id LIMIT $2)
         SELECT route, lane, sum(open)::bigint AS waiting, min(due) FILTER (WHERE open > 0) AS oldest,
                coalesce(sum(open) FILTER (WHERE possible_duplicate), 0)::bigint AS "inDoubt",
                max(id) AS last, count(*) AS chunks
         FROM page GROUP BY route, lane`,
        [after, PAGE],
      );
      for (const row of rows) {
        const key = `${this.#names.routeName(row.route)}.${this.#names.laneName(row.lane)}`;
        waiting.set(key, (waiting.get(key) ?? 0) + row.waiting);
        inDoubt.set(key, (inDoubt.get(key) ?? 0) + row.inDoubt);
        if (row.oldest !== null) oldest.set(key, Math.min(row.oldest, oldest.get(key) ?? row.oldest));
        after = Math.max(after, row.last);
      }
      more = rows.reduce((sum, { chunks }) => sum + chunks, 0) === PAGE;
    }
    this.#waiting = waiting;
    this.#inDoubt = inDoubt;
    this.#oldest = oldest;
  }
}
