/**
 * Every metric that the code registers, with its type, labels and help: all are registered on a registry that only writes
 * down what it is given, over one bind that has seen a bit of everything.
 */
import { BindCounts } from '../../src/dispatch/counts.ts';
import {
  type BindDispatcher,
  DispatchWatch,
  meterCarriers,
  meterPauses,
  meterReceipts,
  type ReceiptDeskStats,
  type WatchOptions,
} from '../../src/dispatch/index.ts';
import { type Observed, Refusals, registerMetrics, Traffic } from '../../src/metrics.ts';
import type { Metrics, Sample } from '../../src/platform/index.ts';
import type { CarrierBindStats } from '../../src/smpp/index.ts';

export interface RegisteredMetric {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  labels: string[];
  help: string;
}

const receiptStats = {
  ids: { form: 'exact', matched: { exact: 1 }, ambiguous: 0 },
  perMessage: 'all',
  partial: { waiting: 0, ended: 0 },
} as unknown as ReceiptDeskStats;
const bind = {
  name: 'b',
  counts: new BindCounts(),
  buffered: () => 0,
  heldSince: () => ({}),
  receiptStats,
  recalls: { accepted: 0, refused: 0, unanswered: 0 },
} as unknown as BindDispatcher;
const carrierStats = {
  state: 'up',
  counters: { malformed: 0, unserved: 0, unexpected: 0 },
  roundTripMs: { p50: 1, p90: 1, p99: 1 },
} as unknown as CarrierBindStats;
const refusals = new Refusals();
refusals.add('b', 'address', 'ESME_RINVDSTADR');
const observed = {
  networks: { counts: { cached: 1 } },
  traffic: new Traffic(),
  refusals,
  dispatch: {
    ...{ binds: [bind], journal: { lagMs: () => 0, backlog: 0 }, unread: [] },
    ...{ isPaused: () => false, pausedAlerts: 0 },
  },
  intake: {},
  fanout: {},
  backlog: { waiting: () => 0, waitingSince: () => null, inDoubt: () => 0 },
  pools: { p: { name: 'p', stats: {} } },
  policies: { routing: { routes: [{ name: 'r' }] }, carriers: { b: {} } },
  clock: { now: () => 0, monotonic: () => 0 },
  loop: { read: () => ({ p99: 0, max: 0 }) },
} as unknown as Observed;

/** In the order in which the code registers them. */
export function registeredMetrics(): RegisteredMetric[] {
  const written: RegisteredMetric[] = [];
  const write =
    (type: RegisteredMetric['type']) => (name: string, help: string, read: () => Iterable<Sample<unknown>>) => {
      const labels = new Set([...read()].flatMap(([labels]) => Object.keys(labels)));
      written.push({ name, type, labels: [...labels], help });
    };
  const metrics: Metrics = {
    contentType: '',
    text: async () => '',
    counter: write('counter'),
    gauge: write('gauge'),
    histogram: write('histogram'),
  };
  const wires = new Map([['b', { stats: () => carrierStats }]]);
  registerMetrics(metrics, observed);
  meterCarriers(metrics, wires);
  meterReceipts(metrics, [bind]);
  meterPauses(metrics, observed.dispatch, observed.policies);
  new DispatchWatch({ ...observed, wires, process: 1 } as unknown as WatchOptions).register(metrics);
  return written;
}
