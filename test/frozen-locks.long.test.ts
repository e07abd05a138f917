/** Goal: over TCP, too, the locks of a frozen process don't outlive its lease. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { migrate } from '../db/migrate.ts';
import { databaseUrl, openDatabase, startEmbedded } from '../src/platform/index.ts';
import { frozenLocks, WITHIN_MS } from './support/frozen-locks.ts';

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
