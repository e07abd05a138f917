/** Goal: the locks of a frozen process (a real SIGSTOP) don't outlive its lease. */
import { expect, test } from 'vitest';
import { testDatabase } from './support/database.ts';
import { frozenLocks, WITHIN_MS } from './support/frozen-locks.ts';

test('a row that a frozen process has locked, or waits for, is free before its lease has run out: Unix socket', async () => {
  const db = await testDatabase();
  const { held, queued } = await frozenLocks(db.database, db.url);
  expect(held).toBeGreaterThan(1_500);
  expect(held).toBeLessThan(WITHIN_MS);
  expect(queued).toBeGreaterThan(1_500);
  expect(queued).toBeLessThan(WITHIN_MS);
}, 30_000);
