/** What the sessions with carriers know and dispatch does not, for Prometheus: read when it asks, counted nowhere else. */
import type { Metrics, Sample } from '../platform/index.ts';
import type { CarrierBindStats } from '../smpp/index.ts';
import type { MeteredWire } from './carrier-wire.ts';

const STATES: readonly CarrierBindStats['state'][] = ['connecting', 'degraded', 'up', 'draining', 'closed'];

/** @param wires by the name of the bind; those that come later are seen too. */
export function meterCarriers(
  { counter, gauge }: Metrics,
  wires: ReadonlyMap<string, Pick<MeteredWire, 'stats'>>,
): void {
  const each = (read: (stats: CarrierBindStats) => Iterable<Sample>) => (): Sample[] =>
    [...wires].flatMap(([bind, wire]) =>
      Array.from(read(wire.stats()), ([labels, value]): Sample => [{ bind, ...labels }, value]),
    );
  gauge(
    'tocsin_bind_state',
    'One for the state that the bind is in',
    each((stats) => STATES.map((state): Sample => [{ state }, Number(stats.state === state)])),
  );
  counter(
    'tocsin_bind_odd_pdus_total',
    'PDUs that were malformed, not served here, or answers to nothing',
    each(({ counters: { malformed, unserved, unexpected } }) =>
      Object.entries({ malformed, unserved, unexpected }).map(([kind, value]): Sample => [{ kind }, value]),
    ),
  );
  counter(
    'tocsin_bind_binds_total',
    'Successful binds',
    each(({ binds }) => [[{}, binds]]),
  );
  counter(
    'tocsin_bind_dial_failures_total',
    'Attempts to bind that failed',
    each(({ dialFailures }) => [[{}, dialFailures]]),
  );
}
