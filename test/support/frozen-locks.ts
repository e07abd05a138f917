/** How long the locks of a frozen process last: a real child, a real SIGSTOP. */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { Database } from '../../src/platform/index.ts';

/** LEASE_TTL_MS, and what a busy machine adds to a timer. */
export const WITHIN_MS = 4_000 + 500;

async function frozenChild(url: string, how: 'hold' | 'wait'): Promise<ChildProcess> {
  const child = fork(new URL('./lock-child.ts', import.meta.url), [url, how], {
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

/** Of a row that a frozen process has locked, and of one that it waits for: how long after the freeze it is free, in ms. */
export async function frozenLocks(database: Database, url: string): Promise<{ held: number; queued: number }> {
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
