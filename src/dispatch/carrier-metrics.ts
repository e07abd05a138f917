/** What the sessions with carriers do, for Prometheus: read when it asks, counted nowhere else. */
import { Counter, Gauge, type Metrics } from '../platform/index.ts';
import { type CarrierBindStats, statusName } from '../smpp/index.ts';
import type { MeteredWire } from './carrier-wire.ts';

const STATES: readonly CarrierBindStats['state'][] = ['connecting', 'degraded', 'up', 'draining', 'closed'];

/** @param wires by the name of the bind; those that come later are seen too. */
export function meterCarriers(metrics: Metrics, wires: ReadonlyMap<string, Pick<MeteredWire, 'stats'>>): void {
  const { registry } = metrics;
  const each = (look: (bind: string, stats: CarrierBindStats) => void): void => {
    for (const [bind, wire] of wires) look(bind, wire.stats());
  };
  const gauge = (
    name: string,
    help: string,
    labels: readonly string[],
    look: (set: (labels: Record<string, string>, value: number) => void, bind: string, stats: CarrierBindStats) => void,
  ): void => {
    new Gauge({
      name: `tocsin_smpp_${name}`,
      help,
      labelNames: ['bind', ...labels],
      registers: [registry],
      collect() {
        this.reset();
        each((bind, stats) => look((labels, value) => this.set({ bind, ...labels }, value), bind, stats));
      },
    });
  };
  const counter = (
    name: string,
    help: string,
    labels: readonly string[],
    look: (add: (labels: Record<string, string>, value: number) => void, stats: CarrierBindStats) => void,
  ): void => {
    new Counter({
      name: `tocsin_smpp_${name}_total`,
      help,
      labelNames: ['bind', ...labels],
      registers: [registry],
      collect() {
        this.reset();
        each((bind, stats) => look((labels, value) => this.inc({ bind, ...labels }, value), stats));
      },
    });
  };
  gauge('bind_state', 'One for the state that the bind is in.', ['state'], (set, _bind, stats) => {
    for (const state of STATES) set({ state }, stats.state === state ? 1 : 0);
  });
  gauge('sessions', 'Sessions that are up.', ['mode'], (set, _bind, { bySession }) => {
    for (const mode of new Set(bySession.map((session) => session.mode))) {
      set({ mode }, bySession.filter((session) => session.mode === mode).length);
    }
  });
  gauge('window_used', 'Unanswered requests in the windows.', [], (set, _bind, { unanswered }) => set({}, unanswered));
  gauge('window_size', 'Requests that the windows hold.', [], (set, _bind, { bySession }) =>
    set(
      {},
      bySession.reduce((sum, { window }) => sum + window, 0),
    ),
  );
  gauge(
    'round_trip_seconds',
    'From submit_sm to its answer, over the last one to two minutes.',
    ['quantile'],
    (set, _bind, { roundTripMs }) => {
      if (roundTripMs === null) return;
      set({ quantile: '0.5' }, roundTripMs.p50 / 1_000);
      set({ quantile: '0.9' }, roundTripMs.p90 / 1_000);
      set({ quantile: '0.99' }, roundTripMs.p99 / 1_000);
    },
  );
  counter('submits', 'submit_sm that left.', [], (add, { counters }) => add({}, counters.sent));
  counter('answers', 'Answers to submit_sm, by command_status.', ['status'], (add, { counters }) => {
    const refused = [...counters.refusals].reduce((sum, [, count]) => sum + count, 0);
    add({ status: statusName(0) }, counters.answered - refused);
    for (const [status, count] of counters.refusals) add({ status: statusName(status) }, count);
  });
  counter('unanswered', 'submit_sm that were not answered in time.', [], (add, { counters }) =>
    add({}, counters.timedOut),
  );
  counter('received', 'Requests that carriers sent.', [], (add, { counters }) => add({}, counters.received));
  counter('odd', 'PDUs that were malformed, not served here, or answers to nothing.', ['kind'], (add, { counters }) => {
    add({ kind: 'malformed' }, counters.malformed);
    add({ kind: 'unserved' }, counters.unserved);
    add({ kind: 'unexpected' }, counters.unexpected);
  });
  counter('binds', 'Successful binds.', [], (add, { binds }) => add({}, binds));
  counter('dial_failures', 'Attempts to bind that failed.', [], (add, { dialFailures }) => add({}, dialFailures));
}
