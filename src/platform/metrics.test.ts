import { expect, test } from 'vitest';
import { createMetrics, Durations } from './metrics.ts';

test('reads plain numbers when somebody scrapes, not before', async () => {
  const metrics = createMetrics();
  let total = 1;
  metrics.counter('tocsin_things_total', 'Things', () => [[{ lane: 'bulk' }, total]]);
  metrics.gauge('tocsin_level', 'Level', () => [[{}, 0.5]]);
  total = 7;
  const text = await metrics.text();
  expect(text).toContain(
    '# HELP tocsin_things_total Things\n# TYPE tocsin_things_total counter\ntocsin_things_total{lane="bulk"} 7\n',
  );
  expect(text).toContain('# TYPE tocsin_level gauge\ntocsin_level 0.5\n');
  expect(text).toContain('tocsin_nodejs_eventloop_lag_p99_seconds');
});

test('shows durations as a histogram in seconds, its buckets cumulative', async () => {
  const metrics = createMetrics();
  const durations = new Durations();
  for (const ms of [0, 1, 1.5, 40, 999_999]) durations.add(ms);
  metrics.histogram('tocsin_wait_seconds', 'Wait', () => [[{ bind: 'a' }, durations]]);
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('tocsin_wait_seconds'));
  expect(lines.slice(0, 2)).toEqual([
    'tocsin_wait_seconds_bucket{bind="a",le="0.001"} 2',
    'tocsin_wait_seconds_bucket{bind="a",le="0.0025"} 3',
  ]);
  expect(lines).toContain('tocsin_wait_seconds_bucket{bind="a",le="0.05"} 4');
  expect(lines.slice(-4)).toEqual([
    'tocsin_wait_seconds_bucket{bind="a",le="60"} 4',
    'tocsin_wait_seconds_bucket{bind="a",le="+Inf"} 5',
    'tocsin_wait_seconds_sum{bind="a"} 1000.0415',
    'tocsin_wait_seconds_count{bind="a"} 5',
  ]);
});

test('refuses a name that is taken', () => {
  const metrics = createMetrics();
  metrics.gauge('tocsin_level', 'Level', () => []);
  expect(() => metrics.gauge('tocsin_level', 'Level', () => [])).toThrow('already been registered');
});
