/**
 * Goal: docs/metrics.md names every metric with its labels, and none that does not exist. Method: all are registered on a
 * registry that only writes down what it is given, over one bind that has seen a bit of everything.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BindCounts } from '../src/dispatch/counts.ts';
import { type BindDispatcher, meterCarriers, meterReceipts, type ReceiptDeskStats } from '../src/dispatch/index.ts';
import { type Observed, Refusals, registerMetrics, Traffic } from '../src/metrics.ts';
import type { Metrics, Sample } from '../src/platform/index.ts';
import type { CarrierBindStats } from '../src/smpp/index.ts';

const receiptStats = {
  ids: { form: 'exact', matched: { exact: 1 }, ambiguous: 0 },
  perMessage: 'all',
  partial: { waiting: 0, ended: 0 },
} as unknown as ReceiptDeskStats;
const bind = { name: 'b', counts: new BindCounts(), buffered: () => 0, receiptStats } as unknown as BindDispatcher;
const carrierStats = {
  state: 'up',
  counters: { answered: 1, refusals: new Map(), malformed: 0, unserved: 0, unexpected: 0 },
} as unknown as CarrierBindStats;
const refusals = new Refusals();
refusals.add('b', 'address', 'ESME_RINVDSTADR');
const observed = {
  traffic: new Traffic(),
  refusals,
  dispatch: { binds: [bind], journal: { lagMs: () => 0, backlog: 0 } },
  intake: {},
  fanout: {},
  backlog: { waiting: () => 0, waitingSince: () => null },
  pools: { p: { name: 'p', stats: {} } },
  policies: { routing: { routes: [{ name: 'r' }] }, carriers: { b: {} } },
  clock: { now: () => 0 },
  loop: { read: () => ({ p99: 0, max: 0 }) },
} as unknown as Observed;

/** The rows of the page's tables, in the order in which the code registers them. */
function rows(): string[] {
  const written: string[] = [];
  const write = (type: string) => (name: string, help: string, read: () => Iterable<Sample<unknown>>) => {
    const labels = new Set([...read()].flatMap(([labels]) => Object.keys(labels)));
    written.push(`| \`${name}\` | ${type} | ${[...labels].join(', ') || '–'} | ${help} |`);
  };
  const metrics: Metrics = {
    contentType: '',
    text: async () => '',
    counter: write('counter'),
    gauge: write('gauge'),
    histogram: write('histogram'),
  };
  registerMetrics(metrics, observed);
  meterCarriers(metrics, new Map([['b', { stats: () => carrierStats }]]));
  meterReceipts(metrics, [bind]);
  return written;
}

test('docs/metrics.md has a row for each metric, as the code registers it', () => {
  const page = readFileSync('docs/metrics.md', 'utf8').match(/^\| `tocsin_\w+` \|.*$/gm) ?? [];
  expect(page.toSorted()).toEqual(rows().toSorted());
});
