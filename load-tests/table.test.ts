import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SCENARIOS } from './scenarios.ts';
import { RESULTS, readResults, resultsTable, withTable } from './table.ts';

const readme = readFileSync('load-tests/README.md', 'utf8');

test('the table in README.md is the one that results/*.json make', async () => {
  const made = withTable(readme, resultsTable(await readResults(RESULTS)));
  expect(made, 'a scenario was run since the table was made: type npm run load -- table').toBe(readme);
});

test('README.md explains every scenario that can be run', () => {
  const loaders = [...readFileSync('load-tests/run.ts', 'utf8').matchAll(/^ {2}(\w+): async \(\) => \(await import/gm)];
  expect(loaders.length).toBeGreaterThan(0);
  for (const [, name = ''] of loaders) {
    expect(SCENARIOS, name).toHaveProperty([name]);
    expect(readme, name).toMatch(new RegExp(`^### ${name}$`, 'm'));
  }
});

test('a row has the figures that a result has, and says when it was not right, or not over', () => {
  const common = { seconds: 12.345, rssMbMax: 310, eventLoopDelayMs: { p99: 3.25, max: 20 } };
  const run = { at: '2026-11-25T16:40:32.000Z', node: 'v24.21.0', cores: 2, commit: 'abc1234', options: {} };
  const results = new Map<string, object>([
    ['wire', { scenario: 'wire', correct: true, messagesPerSecond: 250_000.4, ...common, ...run }],
    [
      'kannel',
      {
        scenario: 'kannel',
        correct: false,
        single: { tocsin: 5_000, kannel: 2_000, ratio: 2.5 },
        ...common,
        ...run,
        options: { single: '500', quick: '' },
      },
    ],
    [
      'throughput',
      { scenario: 'throughput', correct: false, stopped: 'did not end within 420 s', ...run, commit: null },
    ],
    ['unheard-of', { scenario: 'unheard-of', correct: true, ...common }],
  ]) as Parameters<typeof resultsTable>[0];
  expect(resultsTable(results).split('\n').slice(2)).toEqual([
    '| `throughput` | **no** | did not end within 420 s | – | – | –, – | 2026-11-25, 2 cores |',
    '| `wire` | yes | 250,000.4 messages/s | 12.345 | 310 | 3.25, 20 | 2026-11-25, 2 cores, abc1234 |',
    '| `kannel` | **no** | single 5,000/s; Kannel 2,000/s; 2.5 × | 12.345 | 310 | 3.25, 20 | 2026-11-25, 2 cores, abc1234, `--single 500`, `--quick` |',
  ]);
});

test('a page without a place for the table is refused', () => {
  expect(() => withTable('# nothing', 'x')).toThrow(/README.md needs the lines/);
});
