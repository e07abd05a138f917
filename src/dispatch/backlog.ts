/** How much waits ahead, by route and lane: an estimate for predictions, counted each second and kept up in between. */
import type { Pool } from '../platform/index.ts';
import type { LaneName, Names, Policies } from '../policy/index.ts';
import { LANES_BY_URGENCY } from './lanes.ts';

const COUNT_MS = 1_000;

export class Backlog {
  readonly #pool: Pool;
  readonly #names: Names;
  readonly #tps = new Map<string, number>();
  #waiting = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(pool: Pool, names: Names, policies: Pick<Policies, 'routing' | 'carriers'>) {
    this.#pool = pool;
    this.#names = names;
    for (const route of policies.routing.routes) {
      this.#tps.set(
        route.name,
        route.binds.reduce((sum, bind) => sum + (policies.carriers[bind]?.tps ?? 0), 0),
      );
    }
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

  /** submit_sm per second that the route's binds are contracted for. */
  tps(route: string): number {
    return this.#tps.get(route) ?? 1;
  }

  /** Deliveries of a chunk: a quarter of a second of the route's TPS, 1–1,000. */
  chunkSize(route: string): number {
    return Math.max(1, Math.min(1_000, Math.floor(this.tps(route) / 4)));
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
