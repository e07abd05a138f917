import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('every decision has its row in the table of docs/decisions', () => {
  const rows = readFileSync('docs/decisions/README.md', 'utf8').matchAll(/^\| \[(\d{4})\]\((\1-[\w-]+\.md)\) \| \S/gm);
  const files = readdirSync('docs/decisions').filter((name) => name !== 'README.md');
  expect([...rows].map((row) => row[2])).toEqual(files.sort());
});
