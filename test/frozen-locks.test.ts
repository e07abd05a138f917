/** Goal: the locks of a frozen process (a real SIGSTOP) don't outlive its lease, on a Unix socket and over TCP. */
import { type ChildProcess, fork } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../db/migrate.ts';
import { type Database, databaseUrl, openDatabase, startEmbedded } from '../src/platform/index.ts';
import { testDatabase } from './support/database.ts';

/** LEASE_TTL_MS, and what a busy machine adds to a timer. */
const WITHIN_MS = 4_000 + 500;

async function frozenChild(url: string, how: 'hold' | 'wait'): Promise<ChildProcess> {
  const child = fork(new URL('./support/lock-child.ts', import.meta.url), [url, how], {
    stdio: 'inherit',
    execArgv: [],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', reject);
  });
  // Its statement is with the server by then.
  if (how === 'wait') await sleep(200);
  child.kill('SIGSTOP');
  return child;
}

/** How long from the freeze until another gets the lock, in ms. */
async function lockedFor({ pools }: Database): Promise<number> {
  const from = performance.now();
  for (;;) {
    try {
      await pools.reader.query('SELECT 1 FROM bind_lease WHERE bind = 1 FOR UPDATE');
      return performance.now() - from;
    } catch {
      // Too long for one statement.
    }
  }
}

async function measured(database: Database, url: string): Promise<{ held: number; queued: number }> {
  await database.pools.control.query(
    `INSERT INTO bind_lease (bind, fence, process, until) VALUES (1, 1, 1, clock_timestamp())`,
  );
  const holder = await frozenChild(url, 'hold');
  const held = await lockedFor(database);
  holder.kill('SIGKILL');
  // One that waits in line for the lock when it freezes, and would get it a second later.
  let released = false;
  const first = database.pools.intake.run(
    async (tx) => {
      await tx.query('SELECT 1 FROM bind_lease WHERE bind = 1 FOR UPDATE');
      for (; !released; await sleep(50)) await tx.query('SELECT 1');
    },
    { retries: 0 },
  );
  const waiter = await frozenChild(url, 'wait');
  setTimeout(() => {
    released = true;
  }, 1_000);
  const queued = await lockedFor(database);
  await first;
  waiter.kill('SIGKILL');
  return { held, queued };
}

test('a row that a frozen process has locked, or waits for, is free before its lease has run out: Unix socket', async () => {
  const db = await testDatabase();
  const { held, queued } = await measured(db.database, db.url);
  expect(held).toBeGreaterThan(1_500);
  expect(held).toBeLessThan(WITHIN_MS);
  expect(queued).toBeGreaterThan(1_500);
  expect(queued).toBeLessThan(WITHIN_MS);
}, 30_000);

test('… and over TCP', async () => {
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
    const { held, queued } = await measured(database, databaseUrl(server.target));
    await database.close();
    console.log({ held: Math.round(held), queued: Math.round(queued) });
    expect(held).toBeLessThan(WITHIN_MS);
    expect(queued).toBeLessThan(WITHIN_MS);
  } finally {
    await server.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
