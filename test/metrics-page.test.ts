/** Goal: docs/metrics.md names every metric with its labels, and none that does not exist. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { registeredMetrics } from './support/metrics.ts';

test('docs/metrics.md has a row for each metric, as the code registers it', () => {
  const page = readFileSync('docs/metrics.md', 'utf8').match(/^\| `tocsin_\w+` \|.*$/gm) ?? [];
  const rows = registeredMetrics().map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(', ') || '–'} | ${help} |`,
  );
  expect(page.toSorted()).toEqual(rows.toSorted());
});
