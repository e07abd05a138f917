/** Goal: the locks of a frozen process (a real SIGSTOP) don't outlive its lease, on a Unix socket and over TCP. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { migrate } from '../db/migrate.ts';
import { databaseUrl, openDatabase, startEmbedded } from '../src/platform/index.ts';
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

test('a row that a frozen process has locked, or waits for, is free before its lease has run out: TCP', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-frozen-'));
  await chmod(folder, 0o711);
  const server = await startEmbedded({
    home: join(folder, 'home'),
    log: { info: () => {}, warn: () => {} },
    transport: 'tcp',
    settings: { fsync: 'off' },
  });
  try {
    await migrate(server.target);
    const database = await openDatabase({ target: server.target });
    const { held, queued } = await frozenLocks(database, databaseUrl(server.target));
    await database.close();
    console.log({ held: Math.round(held), queued: Math.round(queued) });
    expect(held).toBeLessThan(WITHIN_MS);
    expect(queued).toBeLessThan(WITHIN_MS);
  } finally {
    await server.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
