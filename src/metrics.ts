/**
 * What this process shows at /metrics. Rooms keep plain numbers of their own; here they get names, labels and a line of
 * help. Labels are lanes, binds, routes and pools, and closed sets of the code: policies bound how many there can be.
 */
import type { AlertService, HttpPortability, Intake } from './alerts/index.ts';
import type { Backlog, BindDispatcher, Dispatch, SubmissionCounts } from './dispatch/index.ts';
import type { Fanout } from './fanout/index.ts';
import { type ObservedRequest, PROBLEM_CODES, type ProblemCode } from './http/index.ts';
import {
  type Clock,
  type Database,
  Durations,
  type LoopDelayMonitor,
  type Metrics,
  type Sample,
} from './platform/index.ts';
import { LANES, type LaneName, type Policies } from './policy/index.ts';
import { MESSAGE_STATE } from './records/index.ts';

type PerLane = Record<LaneName, number>;
const noneOfAnyLane = (): PerLane => ({ emergency: 0, security: 0, transaction: 0, bulk: 0 });

/** What comes in, counted as it passes. */
export class Traffic {
  readonly accepted = noneOfAnyLane();
  readonly replayed = noneOfAnyLane();
  readonly refused = new Map<ProblemCode, number>(PROBLEM_CODES.map((code) => [code, 0]));
  /** From POST to 202. */
  readonly accepting = new Durations();
  readonly pages = noneOfAnyLane();
  readonly deliveries = noneOfAnyLane();

  request({ method, route, status, ms, problem }: ObservedRequest): void {
    if (method !== 'POST' || !/^\/v1\/alerts(?:\/batch)?$/.test(route)) return;
    if (status === 202) this.accepting.add(ms);
    else if (problem !== null) this.refuse(problem);
  }

  /** A line of a batch. */
  line(problem: ProblemCode | null): void {
    if (problem !== null) this.refuse(problem);
  }

  refuse(problem: ProblemCode): void {
    this.refused.set(problem, (this.refused.get(problem) ?? 0) + 1);
  }

  page({ lane, deliveries }: { lane: LaneName; deliveries: number }): void {
    this.pages[lane]++;
    this.deliveries[lane] += deliveries;
  }

  /** The same service, its answers counted by lane. */
  counting(alerts: AlertService): AlertService {
    return {
      get: (organisation, id) => alerts.get(organisation, id),
      cancel: (principal, id) => alerts.cancel(principal, id),
      pause: (principal, id) => alerts.pause(principal, id),
      resume: (principal, id) => alerts.resume(principal, id),
      submit: (principal, request, key) =>
        alerts.submit(principal, request, key).then((result) => {
          if (result.kind === 'accepted') (result.replay ? this.replayed : this.accepted)[request.lane]++;
          return result;
        }),
    };
  }
}

/** submit_sm that carriers refused, by what follows from it. */
export class Refusals {
  readonly #counts = new Map<string, { labels: Record<string, string>; count: number }>();

  add(bind: string, kind: string, status: string): void {
    const key = `${bind} ${kind} ${status}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { labels: { bind, class: kind, status }, count: 1 });
    else known.count++;
  }

  *read(): Iterable<Sample> {
    for (const { labels, count } of this.#counts.values()) yield [labels, count];
  }
}

export interface Observed {
  networks: Pick<HttpPortability, 'counts'>;
  traffic: Traffic;
  refusals: Refusals;
  dispatch: Dispatch;
  intake: Intake;
  fanout: Fanout;
  backlog: Backlog;
  pools: Database['pools'];
  policies: Policies;
  clock: Clock;
  loop: LoopDelayMonitor;
}

export function registerMetrics(metrics: Metrics, observed: Observed): void {
  intakeMetrics(metrics, observed);
  backlogMetrics(metrics, observed);
  bindMetrics(metrics, observed);
  databaseMetrics(metrics, observed);
  metrics.gauge('tocsin_event_loop_delay_seconds', 'How late the event loop came to its timers, lately', () => {
    const { p99, max } = observed.loop.read();
    return [
      [{ quantile: '0.99' }, p99 / 1_000],
      [{ quantile: '1' }, max / 1_000],
    ];
  });
}

function intakeMetrics(metrics: Metrics, { networks, traffic, intake, fanout }: Observed): void {
  const { counter, gauge, histogram } = metrics;
  counter('tocsin_alerts_accepted_total', 'Alerts accepted: durable, and answered 202', () =>
    lanes((lane) => traffic.accepted[lane]),
  );
  counter(
    'tocsin_alerts_replayed_total',
    'Requests answered 202 for an alert that the same Idempotency-Key had stored before',
    () => lanes((lane) => traffic.replayed[lane]),
  );
  counter(
    'tocsin_alerts_refused_total',
    'POST /v1/alerts, or lines of a batch, refused, by the type of the problem',
    () => [...traffic.refused].map(([problem, value]) => [{ problem }, value]),
  );
  histogram('tocsin_alert_accept_seconds', 'From POST /v1/alerts to its 202', () => [[{}, traffic.accepting]]);
  counter(
    'tocsin_portability_lookups_total',
    'Lookups of the network of a number, by how they ended; the number decides after all but `cached` and `found`',
    () => Object.entries(networks.counts).map(([outcome, value]): Sample => [{ outcome }, value]),
  );
  gauge('tocsin_intake_waiting_alerts', 'Alerts that wait to be stored', () => [[{}, intake.waiting]]);
  counter('tocsin_fanout_pages_total', 'Pages of broadcasts fanned out', () => lanes((lane) => traffic.pages[lane]));
  counter('tocsin_fanout_deliveries_total', 'Deliveries made by fan-out', () =>
    lanes((lane) => traffic.deliveries[lane]),
  );
  gauge('tocsin_fanout_running', 'Broadcasts being fanned out by this process', () => [[{}, fanout.running]]);
}

function backlogMetrics({ gauge }: Metrics, { backlog, dispatch, policies, clock }: Observed): void {
  const each = (read: (route: string, lane: LaneName) => number): Sample[] =>
    policies.routing.routes.flatMap(({ name: route }) =>
      LANES.map((lane): Sample => [{ route, lane }, read(route, lane)]),
    );
  gauge(
    'tocsin_backlog_deliveries',
    'Deliveries of a route that are not claimed by any bind yet, work for later included; of all processes, counted each second',
    () => each((route, lane) => backlog.waiting(route, lane)),
  );
  gauge('tocsin_backlog_oldest_seconds', 'For how long the oldest of them has been due', () =>
    each((route, lane) => Math.max(0, clock.now() - (backlog.waitingSince(route, lane) ?? clock.now())) / 1_000),
  );
  gauge(
    'tocsin_route_unread_seconds',
    'For how long work has been due of which no bind of the route is able, in any process; 0 where one is',
    () => each((route, lane) => unreadSeconds(dispatch, route, lane)),
  );
}

/** 0 but for those that are unread. */
const unreadSeconds = (dispatch: Dispatch, route: string, lane: LaneName): number =>
  dispatch.unread.find((each) => each.route === route && each.lane === lane)?.seconds ?? 0;

const OUTCOMES: Readonly<Record<keyof SubmissionCounts, string>> = {
  accepted: 'accepted',
  throttled: 'throttled',
  refusedForNow: 'refused_for_now',
  refused: 'refused',
  unanswered: 'unanswered',
};

function bindMetrics(metrics: Metrics, { dispatch, policies, refusals }: Observed): void {
  const { counter, gauge, histogram } = metrics;
  counter(
    'tocsin_submit_refused_total',
    'submit_sm that a carrier refused, by class and command_status (docs/command-status.md)',
    () => refusals.read(),
  );
  const binds = <V>(read: (bind: BindDispatcher) => V): Sample<V>[] =>
    dispatch.binds.map((bind) => [{ bind: bind.name }, read(bind)]);
  const contract = ({ name }: BindDispatcher) => policies.carriers[name] as Policies['carriers'][string];
  counter('tocsin_bind_submissions_total', 'submit_sm (segments) by how they ended; unanswered ones are in doubt', () =>
    dispatch.binds.flatMap(({ name: bind, counts }) =>
      LANES.flatMap((lane) =>
        Object.entries(OUTCOMES).map(([key, outcome]): Sample => {
          const value = counts.submissions[lane][key as keyof SubmissionCounts];
          return [{ bind, lane, outcome }, value];
        }),
      ),
    ),
  );
  histogram('tocsin_bind_response_seconds', 'From submit_sm to submit_sm_resp', () =>
    binds(({ counts }) => counts.responses),
  );
  gauge('tocsin_bind_buffered_deliveries', 'Deliveries that a bind holds in memory and has not sent', () =>
    dispatch.binds.flatMap((bind) => LANES.map((lane): Sample => [{ bind: bind.name, lane }, bind.buffered(lane)])),
  );
  gauge('tocsin_bind_up', '1 while a session with the carrier is bound; left out where another process holds it', () =>
    dispatch.binds.filter((bind) => !bind.elsewhere).map((bind): Sample => [{ bind: bind.name }, Number(bind.up)]),
  );
  gauge('tocsin_bind_sessions', 'Sessions bound', () => binds(({ sessions }) => sessions));
  gauge('tocsin_bind_lease_held', '1 while this process is the one that sends on the bind', () =>
    binds(({ held }) => Number(held)),
  );
  gauge('tocsin_bind_window_used', 'submit_sm on the wire without an answer', () => binds((bind) => bind.unanswered));
  gauge('tocsin_bind_window_size', 'submit_sm that may be unanswered at once, over the sessions that are bound', () =>
    binds((bind) => contract(bind).window * bind.sessions),
  );
  gauge('tocsin_bind_tps_contract', 'submit_sm per second that the contract allows', () =>
    binds((bind) => contract(bind).tps),
  );
  gauge('tocsin_bind_tokens', 'submit_sm that the throttle would let out at once', () => binds((bind) => bind.tokens));
  gauge('tocsin_bind_claimed_deliveries', 'Deliveries claimed without a durable outcome: in doubt after a crash', () =>
    binds((bind) => bind.undecided),
  );
  gauge('tocsin_bind_claim_limit', 'The most that may be claimed without a durable outcome (K)', () =>
    binds((bind) => bind.claimLimit),
  );
  counter('tocsin_receipts_total', 'Receipts taken, by message_state; repeated ones included', () =>
    dispatch.binds.flatMap(({ name: bind, counts }) =>
      Object.entries(MESSAGE_STATE).map(([state, code]): Sample => [{ bind, state }, counts.receipts[code] ?? 0]),
    ),
  );
  counter('tocsin_receipts_busy_total', 'deliver_sm answered busy, which the carrier sends again', () =>
    binds(({ counts }) => counts.receiptsBusy),
  );
  counter('tocsin_receipts_unmatched_total', 'Receipts of which no submission was known when they came', () =>
    binds(({ counts }) => counts.receiptsUnmatched),
  );
}

function databaseMetrics({ gauge }: Metrics, { dispatch: { journal }, pools }: Observed): void {
  const perPool = (read: (stats: Database['pools']['intake']['stats']) => number): Sample[] =>
    Object.values(pools).map((pool) => [{ pool: pool.name }, read(pool.stats)]);
  gauge('tocsin_journal_lag_seconds', 'Age of the oldest outcome that waits to be written', () => [
    [{}, journal.lagMs() / 1_000],
  ]);
  gauge('tocsin_journal_waiting_operations', 'Outcomes that wait to be written', () => [[{}, journal.backlog]]);
  gauge('tocsin_database_sessions', 'Sessions open', () => perPool(({ sessions }) => sessions));
  gauge('tocsin_database_sessions_in_use', 'Sessions that run a transaction', () => perPool(({ busy }) => busy));
  gauge('tocsin_database_sessions_waiting', 'Transactions that wait for a session', () =>
    perPool(({ waiting }) => waiting),
  );
}

function lanes(read: (lane: LaneName) => number): Sample[] {
  return LANES.map((lane) => [{ lane }, read(lane)]);
}
