import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withTables } from '../scripts/receipt-tables.ts';
import { DIALECTS, ID_PAIRS } from '../src/smpp/receipt-dialects.ts';

test('the tables of docs/receipts.md are those of the code', () => {
  const page = readFileSync('docs/receipts.md', 'utf8');
  expect(withTables(page)).toBe(page);
  for (const { name } of [...DIALECTS, ...ID_PAIRS]) expect(page).toContain(`| ${name} |`);
});
