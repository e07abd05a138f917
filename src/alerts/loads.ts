/** How an alert's segments spread over routes: exactly for numbers that were named, by a sample for lists. */
import { LRUCache } from 'lru-cache';
import { routeTps } from '../fanout/index.ts';
import type { Known, Pool } from '../platform/index.ts';
import { type LaneName, type Names, type Policies, routeCase, routeOf, routesOfLane } from '../policy/index.ts';
import type { Backlog, RouteLoad } from './predict.ts';

export interface TargetList {
  readonly id: number;
  readonly members: number;
}

export interface LoadTools {
  readonly pool: Pool;
  readonly policies: Policies;
  readonly names: Names;
  readonly backlog: Backlog;
}

/** What routes look at beside the number. */
export interface Sent {
  readonly lane: LaneName;
  readonly sender: string | null;
}

interface KnownRoutes {
  readonly of: Policies['routing'];
  readonly names: ReadonlySet<string>;
  /** By route, the one to try when a carrier has no way to a number. */
  readonly seconds: ReadonlyMap<string, string>;
}

const NONE: readonly string[] = [];

/** Members of a list that are looked at. Only a prediction leans on them. */
const SAMPLE = 500;
const SAMPLE_KEPT_MS = 60_000;

export class Loads {
  readonly #o: LoadTools;
  /** Route → share of the members, by list, lane and sender. */
  readonly #shares = new LRUCache<string, ReadonlyMap<string, number>>({ max: 1_000, ttl: SAMPLE_KEPT_MS });

  #routes: KnownRoutes | null = null;
  /** The routes that the shares are of. */
  #sampledBy: Policies['routing'] | null = null;

  constructor(tools: LoadTools) {
    this.#o = tools;
  }

  /**
   * How many deliveries each route takes: at once where there are no lists.
   * @param network what stands for the number of an alert to one.
   */
  deliveries(
    { lane, sender }: Sent,
    named: readonly { readonly msisdn: string }[],
    lists: readonly TargetList[],
    network: string | null,
  ): Known<ReadonlyMap<string, number>> {
    const { routing } = this.#o.policies;
    const byRoute = new Map<string, number>();
    for (const { msisdn } of named) addTo(byRoute, routeOf(routing, network ?? msisdn, lane, sender).name, 1);
    return lists.length === 0 ? byRoute : this.#withLists(byRoute, { lane, sender }, lists);
  }

  async #withLists(
    byRoute: Map<string, number>,
    sent: Sent,
    lists: readonly TargetList[],
  ): Promise<ReadonlyMap<string, number>> {
    for (const list of lists) {
      for (const [route, share] of await this.#sharesOf(sent, list)) {
        addTo(byRoute, route, Math.ceil(list.members * share));
      }
    }
    return byRoute;
  }

  /** Every route that a recipient may take, whatever its number. */
  routesOf({ lane, sender }: Sent): ReadonlySet<string> {
    return new Set(routesOfLane(this.#o.policies.routing, lane, sender));
  }

  /** Where deliveries of these routes may go when a carrier has no way to their number. */
  secondRoutes(routes: Iterable<string>): readonly string[] {
    const { seconds } = this.#known();
    if (seconds.size === 0) return NONE;
    const taken = new Set(routes);
    const more = [...taken].flatMap((route) => seconds.get(route) ?? []);
    return [...new Set(more)].filter((route) => !taken.has(route));
  }

  /** What the routes of the policy in force say, looked at once for all alerts. */
  #known(): KnownRoutes {
    const { routing } = this.#o.policies;
    if (this.#routes?.of === routing) return this.#routes;
    const seconds = routing.routes.flatMap(({ name, noRoute }) =>
      noRoute === null ? [] : [[name, noRoute.route] as const],
    );
    this.#routes = { of: routing, names: new Set(routing.routes.map(({ name }) => name)), seconds: new Map(seconds) };
    return this.#routes;
  }

  /** @param segmentsOn of one message on a route. */
  of(lane: LaneName, deliveries: ReadonlyMap<string, number>, segmentsOn: (route: string) => number): RouteLoad[] {
    const { policies, backlog } = this.#o;
    // Routes may have changed since the deliveries were counted.
    const { names } = this.#known();
    const loads: RouteLoad[] = [];
    for (const [route, count] of deliveries) {
      if (!names.has(route)) continue;
      const tps = routeTps(policies, route);
      loads.push({ route, tps, ahead: backlog.ahead(route, lane), segments: count * segmentsOn(route) });
    }
    return loads;
  }

  async #sharesOf({ lane, sender }: Sent, list: TargetList): Promise<ReadonlyMap<string, number>> {
    const { policies, names, pool } = this.#o;
    if (this.#sampledBy !== policies.routing) this.#shares.clear();
    this.#sampledBy = policies.routing;
    const routes = this.routesOf({ lane, sender });
    if (routes.size === 1) return new Map([...routes].map((route) => [route, 1]));
    const key = `${list.id}/${lane}/${sender ?? ''}`;
    const kept = this.#shares.get(key);
    if (kept !== undefined) return kept;
    const route = routeCase(policies.routing, lane, 'r.msisdn', (name) => names.routeId(name), sender);
    const rows = await pool.query<{ route: number; looked: number }>(
      `select ${route} as route, count(*) as looked
       from (select recipient from list_member where list = $1 order by recipient limit $2) as m
       join recipient r on r.id = m.recipient group by 1`,
      [list.id, SAMPLE],
      { retries: 2 },
    );
    const looked = rows.reduce((sum, row) => sum + row.looked, 0);
    const shares = new Map(rows.map((row) => [names.routeName(row.route), row.looked / looked]));
    this.#shares.set(key, shares);
    return shares;
  }
}

function addTo(byRoute: Map<string, number>, route: string, deliveries: number): void {
  byRoute.set(route, (byRoute.get(route) ?? 0) + deliveries);
}
