/**
 * How much waits ahead, by route and lane, in all processes: an estimate for predictions and for who watches, counted
 * each second and kept up in between.
 */
import type { EpochMs, Pool } from '../platform/index.ts';
import type { LaneName, Names } from '../policy/index.ts';
import { LANES_BY_URGENCY } from './lanes.ts';

const COUNT_MS = 1_000;

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

  start(): void {
    this.#timer = setTimeout(() => {
      void this.#count()
        .catch(() => undefined)
        .finally(() => {
          if (!this.#closed) this.start();
        });
    }, COUNT_MS);
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

  async #count(): Promise<void> {
    const rows = await this.#pool.query<{
      route: number;
      lane: number;
      waiting: number;
      in_doubt: number | null;
      oldest: number | null;
    }>(
      `SELECT route, lane, sum(deliveries - claimed_to)::bigint AS waiting,
              sum(deliveries - claimed_to) FILTER (WHERE possible_duplicate)::bigint AS in_doubt,
              min(greatest(created_at, not_before)) FILTER (WHERE claimed_to < deliveries) AS oldest
       FROM chunk WHERE NOT settled AND NOT parked GROUP BY route, lane`,
    );
    const keyed = rows.map((row) => ({
      ...row,
      key: `${this.#names.routeName(row.route)}.${this.#names.laneName(row.lane)}`,
    }));
    this.#waiting = new Map(keyed.map(({ key, waiting }) => [key, waiting]));
    this.#inDoubt = new Map(keyed.map(({ key, in_doubt }) => [key, in_doubt ?? 0]));
    this.#oldest = new Map(keyed.flatMap(({ key, oldest }) => (oldest === null ? [] : [[key, oldest]])));
  }
}
