/**
 * Prometheus metrics of this process. Rooms keep plain numbers and know nothing of metrics; each is read when somebody
 * scrapes, so that a PDU costs an addition and no look-up of labels.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

/** One value with its labels. Labels come from closed sets and policies, never from what a producer or a carrier sent. */
export type Sample<Value = number> = readonly [labels: Readonly<Record<string, string>>, value: Value];

export interface Metrics {
  readonly contentType: string;
  /** All metrics in Prometheus' text format, as they are now. */
  text(): Promise<string>;
  /** `name` ends in `_total`; what `read` gives only grows. */
  counter(name: string, help: string, read: () => Iterable<Sample>): void;
  gauge(name: string, help: string, read: () => Iterable<Sample>): void;
  /** `name` ends in `_seconds`. */
  histogram(name: string, help: string, read: () => Iterable<Sample<Durations>>): void;
}

/** Upper bounds of the buckets of every histogram, in seconds: from a commit to a long wait. */
const BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];
const BOUNDS_MS = BOUNDS_S.map((bound) => bound * 1_000);

/** A histogram of durations. */
export class Durations {
  /** By bucket, not cumulative; the last one holds what is over all bounds. */
  readonly #counts = new Float64Array(BOUNDS_MS.length + 1);
  #sumMs = 0;

  add(ms: number): void {
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && ms > (BOUNDS_MS[bucket] as number)) bucket++;
    (this.#counts[bucket] as number)++;
    this.#sumMs += ms;
  }

  /** What Prometheus calls `le` with how many were at most that, then the sum in seconds and the count. */
  read(): { buckets: (readonly [le: string, count: number])[]; sum: number; count: number } {
    let count = 0;
    const buckets = Array.from(this.#counts, (each, index) => {
      count += each;
      return [String(BOUNDS_S[index] ?? '+Inf'), count] as const;
    });
    return { buckets, sum: this.#sumMs / 1_000, count };
  }
}

interface Line {
  metricName?: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Process, memory, garbage collection, and the delay of the event loop.
  collectDefaultMetrics({ register: registry, prefix: 'tocsin_' });
  /** prom-client's own metrics keep values of their own; the registry asks nothing of a metric but this. */
  const add = (type: string, name: string, help: string, read: () => Line[]): void =>
    registry.registerMetric({
      name,
      get: async () => ({ name, help, type, aggregator: 'sum', values: read() }),
    } as unknown as Metric);
  const plain = (read: () => Iterable<Sample>) => () => Array.from(read(), ([labels, value]) => ({ labels, value }));
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    counter: (name, help, read) => add('counter', name, help, plain(read)),
    gauge: (name, help, read) => add('gauge', name, help, plain(read)),
    histogram: (name, help, read) =>
      add('histogram', name, help, () => Array.from(read(), (sample) => linesOf(name, sample)).flat()),
  };
}

function linesOf(name: string, [labels, durations]: Sample<Durations>): Line[] {
  const { buckets, sum, count } = durations.read();
  return [
    ...buckets.map(([le, value]) => ({ metricName: `${name}_bucket`, labels: { ...labels, le }, value })),
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
