/**
 * What each process knows of all binds, its own and those that other processes hold: whether a bind takes work, since
 * when, and how well it delivers. The holder writes it down when it changes, with a NOTIFY, and each second; a row that is
 * older than `STATE_AGE_MAX_MS` says nothing any more, like the lease behind it.
 */
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import type { Route } from '../policy/index.ts';
import { weakBinds } from './health.ts';
import { type Pull, pullOf, type Standing } from './tiers.ts';

/** Says that a bind's state has changed. */
export const BIND_STATE_CHANNEL = 'tocsin_bind_state';

/** What keeps a bind from taking work, if anything. */
export type BindCondition = 'able' | 'down' | 'resting' | 'paused' | 'leaving';

/** Longer than a holder may send without renewing its lease (`lease.ts`: TTL less a margin). */
export const STATE_AGE_MAX_MS = 3_000;
const EACH_MS = 1_000;
/** An earlier tier holds a later one back for so long after its last bind was able. */
export const LATELY_MS = 400;
/** At a start nobody is up yet. */
const AT_START_MS = 2_000;

/** A bind of this process, as it is now. */
export interface OwnBind {
  readonly id: number;
  readonly name: string;
  /** Null: another process has it, or none. */
  readonly fence: number | null;
  readonly condition: BindCondition;
  tokens(): number;
  excess(now: EpochMs): number | null;
}

export interface BindStateRow {
  bind: number;
  process: number;
  fence: number;
  state: BindCondition;
  excess: number | null;
  tokens: number;
  since: EpochMs;
  at: EpochMs;
}

export interface BindStatesOptions {
  pool: Pool;
  clock: Clock;
  process: number;
  own: () => readonly OwnBind[];
  /** A bind began or ceased to be able, or to be healthy: who may take work has changed. */
  onChange: () => void;
  onTrouble: (error: unknown) => void;
}

export const readBindStates = (pool: Pick<Pool, 'query'>): Promise<BindStateRow[]> =>
  pool.query<BindStateRow>('SELECT bind, process, fence, state, excess, tokens, since, at FROM bind_state', []);

export const isAble = ({ state, at }: Pick<BindStateRow, 'state' | 'at'>, now: EpochMs): boolean =>
  state === 'able' && now - at <= STATE_AGE_MAX_MS;

export class BindStates {
  readonly #o: BindStatesOptions;
  #routes: readonly Route[];
  /** The last that each holder said, by bind. */
  #rows = new Map<string, BindStateRow>();
  #idOf: ReadonlyMap<number, string>;
  readonly #written = new Map<string, { condition: BindCondition; since: EpochMs }>();
  /** When each bind was last seen able (monotonic). */
  readonly #lastAble = new Map<string, number>();
  readonly #startedAt: number;
  /** By route: the binds that have stepped back behind the others. */
  #weak = new Map<string, ReadonlySet<string>>();
  #able: ReadonlySet<string> = new Set();
  #seen = '';
  #timer: NodeJS.Timeout | null = null;
  #latelyTimer: NodeJS.Timeout | null = null;
  #turn: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(options: BindStatesOptions, routes: readonly Route[], binds: ReadonlyMap<number, string>) {
    this.#o = options;
    this.#routes = routes;
    this.#idOf = binds;
    this.#startedAt = options.clock.monotonic();
  }

  /** Reads what the others say, once before anything is taken. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => void this.refresh(), EACH_MS);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#latelyTimer !== null) clearTimeout(this.#latelyTimer);
    // What the last change says is still written.
    await this.#turn;
    this.#closed = true;
  }

  use(routes: readonly Route[], binds: ReadonlyMap<number, string>): void {
    this.#routes = routes;
    this.#idOf = binds;
    this.#look();
  }

  /** A bind of this process has changed: it counts here at once, and elsewhere as soon as it is written. */
  changed(): void {
    this.#look();
    void this.refresh();
  }

  /** Writes down what is ours and reads the rest; never rejects. Calls that come meanwhile make one more turn. */
  refresh(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#turn !== null) {
      this.#again = true;
      return this.#turn;
    }
    this.#turn = this.#exchange()
      .catch(this.#o.onTrouble)
      .then(() => this.#look())
      .finally(() => {
        this.#turn = null;
        if (this.#again) {
          this.#again = false;
          void this.refresh();
        }
      });
    return this.#turn;
  }

  /** Whether `bind` takes work of the route now. */
  pull(route: string, bind: string): Pull {
    const found = this.#routes.find(({ name }) => name === route);
    return found === undefined ? 'none' : pullOf(found.tiers, bind, (each) => this.#standing(route, each));
  }

  /** Whether another bind of one of these routes could take what this one gives back. */
  othersAble(routes: readonly string[], bind: string): boolean {
    const wanted = new Set(routes);
    return this.#routes.some(
      ({ name, binds }) => wanted.has(name) && binds.some((other) => other !== bind && this.able(other)),
    );
  }

  able(bind: string): boolean {
    const own = this.#o.own().find(({ name }) => name === bind);
    if (own !== undefined && own.fence !== null) return own.condition === 'able';
    const row = this.#rows.get(bind);
    return row !== undefined && isAble(row, this.#o.clock.now());
  }

  /** For how long no bind of the route has been able, anywhere, as far as this process knows; 0 while one is. */
  unableMs({ binds }: Pick<Route, 'binds'>): number {
    const now = this.#o.clock.monotonic();
    if (binds.some((bind) => this.able(bind))) return 0;
    return now - Math.max(this.#startedAt, ...binds.map((bind) => this.#lastAble.get(bind) ?? this.#startedAt));
  }

  #standing(route: string, bind: string): Standing {
    const able = this.able(bind);
    const now = this.#o.clock.monotonic();
    const last = this.#lastAble.get(bind);
    const lately = last === undefined ? now - this.#startedAt < AT_START_MS : now - last < LATELY_MS;
    return { able, lately: able || lately, weak: this.#weak.get(route)?.has(bind) ?? false };
  }

  /** Who is able, and who is weak: tells when that has changed. */
  #look(): void {
    const monotonic = this.#o.clock.monotonic();
    const excesses = this.#excesses();
    const able = new Set<string>();
    const weak = new Map<string, ReadonlySet<string>>();
    for (const { name, binds } of this.#routes) {
      for (const bind of binds) if (this.able(bind)) able.add(bind);
      const known = new Map(binds.filter((bind) => able.has(bind)).map((bind) => [bind, excesses.get(bind) ?? null]));
      weak.set(name, weakBinds(known, this.#weak.get(name) ?? new Set()));
    }
    for (const bind of [...this.#able, ...able]) this.#lastAble.set(bind, monotonic);
    this.#able = able;
    this.#weak = weak;
    const now = JSON.stringify([[...able].sort(), [...weak].map(([route, binds]) => [route, ...[...binds].sort()])]);
    if (now === this.#seen) return;
    this.#seen = now;
    this.#o.onChange();
    // A later tier begins when the earlier one has been without a bind for a moment.
    if (this.#latelyTimer !== null) clearTimeout(this.#latelyTimer);
    this.#latelyTimer = setTimeout(() => this.#o.onChange(), LATELY_MS + 10);
  }

  #excesses(): Map<string, number | null> {
    const now = this.#o.clock.now();
    const excesses = new Map<string, number | null>();
    for (const [bind, row] of this.#rows) if (now - row.at <= STATE_AGE_MAX_MS) excesses.set(bind, row.excess);
    for (const own of this.#o.own()) if (own.fence !== null) excesses.set(own.name, own.excess(now));
    return excesses;
  }

  async #exchange(): Promise<void> {
    const now = this.#o.clock.now();
    const mine = this.#o.own().filter(({ fence }) => fence !== null);
    let changed = false;
    for (const { name, condition } of mine) {
      if (this.#written.get(name)?.condition === condition) continue;
      this.#written.set(name, { condition, since: now });
      changed = true;
    }
    const sorted = mine.toSorted((a, b) => a.id - b.id);
    if (sorted.length > 0) {
      await this.#o.pool.query(
        `INSERT INTO bind_state AS s (bind, process, fence, state, excess, tokens, since, at)
         SELECT bind, $2, fence, state, excess, tokens, since, $3
         FROM unnest($1::smallint[], $4::bigint[], $5::text[], $6::double precision[], $7::integer[], $8::bigint[])
           AS w(bind, fence, state, excess, tokens, since) ORDER BY bind
         ON CONFLICT (bind) DO UPDATE SET process = excluded.process, fence = excluded.fence, state = excluded.state,
           excess = excluded.excess, tokens = excluded.tokens, since = excluded.since, at = excluded.at
         WHERE s.fence <= excluded.fence`,
        [
          sorted.map(({ id }) => id),
          this.#o.process,
          now,
          sorted.map(({ fence }) => fence),
          sorted.map(({ condition }) => condition),
          sorted.map((bind) => bind.excess(now)),
          sorted.map((bind) => Math.floor(bind.tokens())),
          sorted.map(({ name }) => this.#written.get(name)?.since ?? now),
        ],
      );
    }
    if (changed) await this.#o.pool.query('SELECT pg_notify($1, $2)', [BIND_STATE_CHANNEL, String(this.#o.process)]);
    const rows = await readBindStates(this.#o.pool);
    this.#rows = new Map(
      rows.flatMap((row) => {
        const name = this.#idOf.get(row.bind);
        return name === undefined ? [] : [[name, row] as const];
      }),
    );
  }
}
