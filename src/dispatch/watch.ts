/**
 * What dispatch is doing right now, for people and machines that watch: GET /v1/dispatch/status, `tocsin top`, and the
 * metrics that need more than a counter. Numbers only: no number of a phone, no text, no id of a delivery.
 *
 * Binds and rates are those of this process; a bind sends in the one process that holds it. What waits is that of all.
 */
import type { Clock, EpochMs, Metrics, Sample } from '../platform/index.ts';
import { LANES, type LaneName, type Policies } from '../policy/index.ts';
import type { BindState, CarrierBindStats, RoundTripMs } from '../smpp/index.ts';
import type { Backlog } from './backlog.ts';
import type { BindDispatcher } from './bind-dispatcher.ts';
import type { MeteredWire } from './carrier-wire.ts';
import { Rates } from './rates.ts';

export interface DispatchStatus {
  readonly at: EpochMs;
  /** The process that tells. */
  readonly process: number;
  readonly journal: {
    /** Age of the oldest outcome that waits to be written. */
    readonly lagMs: number;
    /** Outcomes that wait to be written. */
    readonly waiting: number;
  };
  readonly binds: readonly BindStatus[];
  readonly lanes: readonly LaneStatus[];
}

/** How many a second left, over the last second and the last ten. */
export interface RateStatus {
  readonly over1s: number;
  readonly over10s: number;
}

export interface BindStatus {
  readonly bind: string;
  readonly state: BindState;
  /** Whether this process sends on it. */
  readonly held: boolean;
  readonly sessions: number;
  readonly tps: RateStatus & { readonly contract: number };
  /** submit_sm that may be, and are, unanswered at once. */
  readonly window: { readonly size: number; readonly used: number };
  /** From submit_sm to its answer, of the last one to two minutes; null when nothing was answered in them. */
  readonly roundTripMs: RoundTripMs | null;
  /** Answers ESME_RTHROTTLED and ESME_RMSGQFUL, since the start and of the last ten seconds. */
  readonly throttled: { readonly total: number; readonly last10s: number };
  /** submit_sm that ended without an answer, likewise. */
  readonly unanswered: { readonly total: number; readonly last10s: number };
  /** Deliveries claimed without a durable outcome, and the most that may be (K). */
  readonly inDoubt: { readonly claimed: number; readonly limit: number };
  readonly lanes: readonly {
    readonly lane: LaneName;
    /** Deliveries in memory that are not sent. */
    readonly buffered: number;
    /** For how long the oldest work of the lane has been in memory without coming to its end. */
    readonly oldestMs: number;
  }[];
}

/** One lane of one route. */
export interface LaneStatus {
  readonly route: string;
  readonly lane: LaneName;
  /** Deliveries that no bind has claimed, work for later included. */
  readonly waiting: number;
  /** For how long the oldest of them has been due. */
  readonly oldestMs: number;
  /** Of those that wait: sent before, and never answered. */
  readonly inDoubt: number;
  /** submit_sm that left for it. */
  readonly rate: RateStatus;
}

export interface WatchOptions {
  readonly dispatch: {
    readonly binds: readonly BindDispatcher[];
    readonly journal: { lagMs(): number; readonly backlog: number };
  };
  readonly backlog: Pick<Backlog, 'waiting' | 'waitingSince' | 'inDoubt'>;
  readonly policies: Pick<Policies, 'carriers' | 'routing'>;
  /** By the name of the bind. */
  readonly wires: ReadonlyMap<string, Pick<MeteredWire, 'stats'>>;
  readonly process: number;
  readonly clock: Clock;
}

const SPANS = { over1s: 1_000, over10s: 10_000 } as const;

export class DispatchWatch {
  readonly #o: WatchOptions;
  readonly #rates: Rates;

  constructor(options: WatchOptions) {
    this.#o = options;
    this.#rates = new Rates(
      () => counters(options),
      () => options.clock.monotonic(),
    );
  }

  start(): void {
    this.#rates.start();
  }

  stop(): void {
    this.#rates.stop();
  }

  read(): DispatchStatus {
    const { dispatch, policies, process, clock } = this.#o;
    const now = clock.now();
    const rateOf = this.#rateReader();
    const { grown } = this.#rates.since(SPANS.over10s);
    return {
      at: now,
      process,
      journal: { lagMs: Math.round(dispatch.journal.lagMs()), waiting: dispatch.journal.backlog },
      binds: dispatch.binds.map((bind) => this.#bind(bind, now, rateOf, grown)),
      lanes: policies.routing.routes.flatMap(({ name: route, lanes }) =>
        (lanes ?? LANES).map((lane) => this.#lane(route, lane, now, rateOf)),
      ),
    };
  }

  register({ gauge }: Metrics): void {
    const { dispatch, backlog, policies, clock } = this.#o;
    const { binds } = dispatch;
    const routes = policies.routing.routes.map(({ name }) => name);
    gauge('tocsin_bind_submit_rate', 'submit_sm per second that left, over the last second and the last ten', () => {
      const rateOf = this.#rateReader();
      return binds.flatMap(({ name: bind }): Sample[] => {
        const { over1s, over10s } = rateOf(bindKey(bind, 'sent'));
        return [
          [{ bind, over: '1s' }, over1s],
          [{ bind, over: '10s' }, over10s],
        ];
      });
    });
    gauge('tocsin_lane_submit_rate', 'The same by route and lane', () => {
      const rateOf = this.#rateReader();
      return routes.flatMap((route) =>
        LANES.flatMap((lane): Sample[] => {
          const { over1s, over10s } = rateOf(laneKey(route, lane));
          return [
            [{ route, lane, over: '1s' }, over1s],
            [{ route, lane, over: '10s' }, over10s],
          ];
        }),
      );
    });
    gauge(
      'tocsin_bind_round_trip_seconds',
      'From submit_sm to submit_sm_resp, of the last one to two minutes; none when nothing was answered',
      () =>
        binds.flatMap(({ name: bind }): Sample[] => {
          const trip = this.#stats(bind)?.roundTripMs ?? null;
          if (trip === null) return [];
          return [
            [{ bind, quantile: '0.5' }, trip.p50 / 1_000],
            [{ bind, quantile: '0.9' }, trip.p90 / 1_000],
            [{ bind, quantile: '0.99' }, trip.p99 / 1_000],
          ];
        }),
    );
    gauge(
      'tocsin_bind_held_oldest_seconds',
      'For how long the oldest work in memory has been there without coming to its end, claimed or not',
      () =>
        binds.flatMap((bind) => {
          const since = bind.heldSince();
          return LANES.map((lane): Sample => [{ bind: bind.name, lane }, ageMs(since[lane], clock.now()) / 1_000]);
        }),
    );
    gauge(
      'tocsin_backlog_in_doubt_deliveries',
      'Of the backlog: sent before and never answered, to be sent again as possible duplicates',
      () => routes.flatMap((route) => LANES.map((lane): Sample => [{ route, lane }, backlog.inDoubt(route, lane)])),
    );
  }

  #bind(
    bind: BindDispatcher,
    now: EpochMs,
    rateOf: (name: string) => RateStatus,
    grown: (name: string) => number,
  ): BindStatus {
    const { name, held, sessions, counts } = bind;
    const contract = this.#o.policies.carriers[name] as Policies['carriers'][string];
    const stats = this.#stats(name);
    const since = bind.heldSince();
    const both = (what: 'throttled' | 'unanswered') => ({
      total: LANES.reduce((sum, lane) => sum + counts.submissions[lane][what], 0),
      last10s: grown(bindKey(name, what)),
    });
    return {
      bind: name,
      state: stats?.state ?? 'connecting',
      held,
      sessions,
      tps: { contract: contract.tps, ...rateOf(bindKey(name, 'sent')) },
      window: { size: contract.window * sessions, used: bind.unanswered },
      roundTripMs: stats?.roundTripMs ?? null,
      throttled: both('throttled'),
      unanswered: both('unanswered'),
      inDoubt: { claimed: bind.undecided, limit: bind.claimLimit },
      lanes: LANES.map((lane) => ({ lane, buffered: bind.buffered(lane), oldestMs: ageMs(since[lane], now) })),
    };
  }

  #lane(route: string, lane: LaneName, now: EpochMs, rateOf: (name: string) => RateStatus): LaneStatus {
    const { backlog } = this.#o;
    return {
      route,
      lane,
      waiting: backlog.waiting(route, lane),
      oldestMs: ageMs(backlog.waitingSince(route, lane), now),
      inDoubt: backlog.inDoubt(route, lane),
      rate: rateOf(laneKey(route, lane)),
    };
  }

  #stats(bind: string): CarrierBindStats | undefined {
    return this.#o.wires.get(bind)?.stats();
  }

  #rateReader(): (name: string) => RateStatus {
    const second = this.#rates.since(SPANS.over1s);
    const ten = this.#rates.since(SPANS.over10s);
    return (name) => ({ over1s: second.perSecond(name), over10s: ten.perSecond(name) });
  }
}

const bindKey = (bind: string, what: 'sent' | 'throttled' | 'unanswered'): string => `bind ${bind} ${what}`;
const laneKey = (route: string, lane: LaneName): string => `lane ${route} ${lane}`;

function counters({ dispatch: { binds }, policies }: WatchOptions): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (name: string, value: number): void => void counts.set(name, (counts.get(name) ?? 0) + value);
  for (const { name, counts: of } of binds) {
    add(bindKey(name, 'sent'), of.sent.total);
    for (const lane of LANES) {
      add(bindKey(name, 'throttled'), of.submissions[lane].throttled);
      add(bindKey(name, 'unanswered'), of.submissions[lane].unanswered);
      for (const { name: route } of policies.routing.routes) add(laneKey(route, lane), of.sent.of(route, lane));
    }
  }
  return counts;
}

const ageMs = (since: EpochMs | null | undefined, now: EpochMs): number => Math.max(0, now - (since ?? now));
