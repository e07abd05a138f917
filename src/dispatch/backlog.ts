/** How much waits ahead, by route and lane: an estimate for predictions, counted each second and kept up in between. */
import type { Pool } from '../platform/index.ts';
import type { LaneName, Names } from '../policy/index.ts';
import { LANES_BY_URGENCY } from './lanes.ts';

const COUNT_MS = 1_000;

export class Backlog {
  readonly #pool: Pool;
  readonly #names: Names;
  #waiting = new Map<string, number>();
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

  add(route: string, lane: LaneName, deliveries: number): void {
    const key = `${route}.${lane}`;
    this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + deliveries);
  }

  async #count(): Promise<void> {
    const rows = await this.#pool.query<{ route: number; lane: number; waiting: number }>(
      'SELECT route, lane, sum(deliveries - claimed_to)::bigint AS waiting FROM chunk WHERE NOT settled GROUP BY route, lane',
    );
    this.#waiting = new Map(
      rows.map((row) => [`${this.#names.routeName(row.route)}.${this.#names.laneName(row.lane)}`, row.waiting]),
    );
  }
}
