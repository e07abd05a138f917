/**
 * Looks after routes that nobody serves. Work of routes that policy no longer has is routed anew, within seconds; a route
 * of which no bind is able anywhere while work waits is an alarm: in the metric, and in the log once a minute.
 */
import { LANES, type LaneName, type Policies } from '../policy/index.ts';
import type { BindStates } from './bind-state.ts';
import { queueName } from './chunks.ts';
import { type RerouteTools, rerouteStranded } from './reroute.ts';

export interface RouteWatchOptions extends RerouteTools {
  states: Pick<BindStates, 'unableMs'>;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
  onTrouble: (error: unknown) => void;
}

export interface Unread {
  readonly route: string;
  readonly lane: LaneName;
  /** For how long no bind could take what waits. */
  readonly seconds: number;
}

const EACH_MS = 1_000;
const REROUTE_EACH_MS = 2_000;
/** A carrier that is bound again at once is no alarm. */
export const UNREAD_AFTER_MS = 10_000;
const LOGGED_EVERY_MS = 60_000;

export class RouteWatch {
  readonly #o: RouteWatchOptions;
  #policies: Policies;
  #unread: readonly Unread[] = [];
  readonly #loggedAt = new Map<string, number>();
  #rerouteAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: RouteWatchOptions, policies: Policies) {
    this.#o = options;
    this.#policies = policies;
  }

  start(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
  }

  /** Other routes count from now on. */
  use(policies: Policies): void {
    this.#policies = policies;
    this.#rerouteAt = Number.NEGATIVE_INFINITY;
  }

  /** Queues with work that is due and no bind that could take it, for longer than is usual at a reconnect. */
  get unread(): readonly Unread[] {
    return this.#unread;
  }

  #schedule(inMs: number): void {
    this.#timer = setTimeout(() => {
      this.#turn = this.#look()
        .catch(this.#o.onTrouble)
        .finally(() => {
          if (!this.#stopped) this.#schedule(EACH_MS);
        });
    }, inMs);
  }

  async #look(): Promise<void> {
    const now = this.#o.clock.monotonic();
    if (now - this.#rerouteAt >= REROUTE_EACH_MS) {
      this.#rerouteAt = now;
      // Other processes may have brought new routes: what they leave behind is taken over here.
      await this.#o.names.refresh(this.#o.pool);
      const moved = await rerouteStranded(this.#o, this.#policies);
      if (moved > 0) {
        this.#rerouteAt = Number.NEGATIVE_INFINITY;
        this.#o.log.warn({ chunks: moved }, 'work of routes that policy no longer has was routed anew');
      }
    }
    await this.#lookForUnread(now);
  }

  async #lookForUnread(now: number): Promise<void> {
    const unable = this.#policies.routing.routes.flatMap((route) => {
      const ms = this.#o.states.unableMs(route);
      if (ms < UNREAD_AFTER_MS) return [];
      return (route.lanes ?? LANES).map((lane) => ({ route: route.name, lane, ms }));
    });
    const waiting = unable.length === 0 ? new Set<string>() : await this.#withWork(unable);
    const unread = unable.filter(({ route, lane }) => waiting.has(queueName(route, lane)));
    this.#unread = unread.map(({ route, lane, ms }) => ({ route, lane, seconds: ms / 1_000 }));
    for (const { route, lane, seconds } of this.#unread) {
      const queue = queueName(route, lane);
      if (now - (this.#loggedAt.get(queue) ?? Number.NEGATIVE_INFINITY) < LOGGED_EVERY_MS) continue;
      this.#loggedAt.set(queue, now);
      const details = { route, lane, seconds: Math.round(seconds) };
      this.#o.log.error(details, 'work waits on a route of which no bind is able: look at its carriers');
    }
  }

  /** Which of these queues have a job that is due. Leans on pg-boss's index of what waits. */
  async #withWork(of: readonly { route: string; lane: LaneName }[]): Promise<Set<string>> {
    const rows = await this.#o.pool.query<{ name: string }>(
      `SELECT name FROM unnest($1::text[]) AS q(name)
       WHERE EXISTS (SELECT FROM pgboss.job j WHERE j.name = q.name AND j.state < 'active' AND NOT j.blocked
                       AND j.start_after <= now())`,
      [of.map(({ route, lane }) => queueName(route, lane))],
    );
    return new Set(rows.map(({ name }) => name));
  }
}
