/**
 * Names ↔ numbers of lanes, routes and binds. Facts refer to them by a smallint that is never given to another name, so
 * the tables also hold the names of routes and binds that today's policies no longer know.
 */
import type { Pool } from '../platform/index.ts';
import { isLaneName, LANES, type LaneName } from './lanes.ts';
import type { Policies } from './load.ts';

type Kind = 'lane' | 'route' | 'bind';

export class Names {
  readonly #lanes = new Numbering('lane');
  readonly #routes = new Numbering('route');
  readonly #binds = new Numbering('bind');

  /** Gives every lane, route and carrier of `policies` a number and knows all that were ever given. Idempotent. */
  static async register(pool: Pick<Pool, 'run'>, policies: Pick<Policies, 'carriers' | 'routing'>): Promise<Names> {
    const names = new Names();
    await names.add(pool, policies);
    return names;
  }

  /** The same for policies that are loaded later. */
  async add(pool: Pick<Pool, 'run'>, policies: Pick<Policies, 'carriers' | 'routing'>): Promise<void> {
    await this.#load(pool, {
      lane: [...LANES],
      // Sorted: two processes that start together take the rows in one order, and never wait for each other in a circle.
      route: policies.routing.routes.map((route) => route.name).sort(),
      bind: Object.keys(policies.carriers).sort(),
    });
  }

  /** Reads names that other processes have registered since. */
  async refresh(pool: Pick<Pool, 'run'>): Promise<void> {
    await this.#load(pool, { lane: [], route: [], bind: [] });
  }

  /** These throw RangeError for a name or number that is not registered. */
  laneId(name: LaneName): number {
    return this.#lanes.idOf(name);
  }
  routeId(name: string): number {
    return this.#routes.idOf(name);
  }
  bindId(name: string): number {
    return this.#binds.idOf(name);
  }
  laneName(id: number): LaneName {
    const name = this.#lanes.nameOf(id);
    if (!isLaneName(name)) throw new RangeError(`lane ${id} is not one of today's lanes`);
    return name;
  }
  routeName(id: number): string {
    return this.#routes.nameOf(id);
  }
  bindName(id: number): string {
    return this.#binds.nameOf(id);
  }

  async #load(pool: Pick<Pool, 'run'>, wanted: Record<Kind, string[]>): Promise<void> {
    const rows = await pool.run(async (tx) => {
      const all: { kind: Kind; id: number; name: string }[] = [];
      for (const kind of ['lane', 'route', 'bind'] as const) {
        // A conflict would use up a number of the identity sequence at every start, and a smallint has few: known names
        // are left out first. ON CONFLICT is for two processes that start together.
        if (wanted[kind].length > 0) {
          await tx.query(
            `INSERT INTO ${kind} (name)
             SELECT w.name FROM unnest($1::text[]) WITH ORDINALITY AS w(name, place)
             WHERE NOT EXISTS (SELECT FROM ${kind} k WHERE k.name = w.name) ORDER BY w.place
             ON CONFLICT (name) DO NOTHING`,
            [wanted[kind]],
          );
        }
        all.push(
          ...(await tx.query<{ kind: Kind; id: number; name: string }>(
            `SELECT '${kind}' AS kind, id, name FROM ${kind}`,
          )),
        );
      }
      return all;
    });
    for (const { kind, id, name } of rows) this.#numbering(kind).set(id, name);
  }

  #numbering(kind: Kind): Numbering {
    switch (kind) {
      case 'lane':
        return this.#lanes;
      case 'route':
        return this.#routes;
      case 'bind':
        return this.#binds;
    }
  }
}

class Numbering {
  readonly #kind: Kind;
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  set(id: number, name: string): void {
    this.#ids.set(name, id);
    this.#names.set(id, name);
  }

  idOf(name: string): number {
    const id = this.#ids.get(name);
    if (id === undefined) throw new RangeError(`${this.#kind} '${name}' is not registered`);
    return id;
  }

  nameOf(id: number): string {
    const name = this.#names.get(id);
    if (name === undefined) throw new RangeError(`${this.#kind} ${id} is not registered`);
    return name;
  }
}
