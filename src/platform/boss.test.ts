import { randomUUID } from 'node:crypto';
import type { Db, PgBoss } from 'pg-boss';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { bossTx, openBoss } from './boss.ts';
import type { Tx } from './pool.ts';
import { Session } from './session.ts';

const { database, target } = await testDatabase();
const errors: Error[] = [];
const boss: PgBoss = await openBoss({ target, onError: (error) => errors.push(error) });
afterAll(() => boss.stop({ graceful: false }));
await boss.createQueue('q', { retryLimit: 3 });
const pool = database.pools.dispatch;

test('a job lives and dies with the transaction that inserted it', async () => {
  await pool.run((tx) =>
    boss.insert(
      'q',
      [
        { data: { kept: true }, priority: 5 },
        { data: { kept: 2 }, priority: 9 },
      ],
      { db: bossTx(tx) },
    ),
  );
  await expect(
    pool.run(async (tx) => {
      await boss.insert('q', [{ data: { lost: true } }], { db: bossTx(tx) });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  const jobs = await boss.fetch('q', { batchSize: 10 });
  // A batch is chosen by priority and returned in any order.
  expect(jobs.map((job) => job.data)).toHaveLength(2);
  expect(jobs.map((job) => job.data)).toEqual(expect.arrayContaining([{ kept: 2 }, { kept: true }]));
  await boss.complete('q', jobs);
});

test('fetching and completing inside our transactions are undone with them', async () => {
  await pool.run((tx) => boss.insert('q', [{ data: { n: 1 }, singletonKey: 'a' }], { db: bossTx(tx) }));
  await expect(
    pool.run(async (tx) => {
      expect(await boss.fetch('q', { db: bossTx(tx) })).toHaveLength(1);
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  const jobs = await pool.run((tx) => boss.fetch('q', { db: bossTx(tx), includeMetadata: true }));
  expect(jobs).toHaveLength(1);
  await expect(
    pool.run(async (tx) => {
      await boss.complete('q', jobs, null, { db: bossTx(tx) });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  const done = await pool.run((tx) => boss.complete('q', jobs, null, { db: bossTx(tx) }));
  expect(done).toMatchObject({ affected: 1 });
  const again = await pool.run((tx) => boss.complete('q', jobs, null, { db: bossTx(tx) }));
  expect(again).toMatchObject({ affected: 0 });
  expect(errors).toEqual([]);
});

test('fetching and completing touch a job by its key, whatever statistics say of its queue', async () => {
  const jobs = Array.from({ length: 2_000 }, (_, n) => ({ data: { n } }));
  // From when all jobs were of another queue.
  await boss.createQueue('busy');
  await pool.run((tx) => boss.insert('busy', jobs, { db: bossTx(tx) }));
  await database.pools.control.query('ANALYZE pgboss.job_common');
  await boss.createQueue('stale');
  await pool.run((tx) => boss.insert('stale', jobs, { db: bossTx(tx) }));
  for (let taken = 0; taken < 1_900; ) {
    const some = await boss.fetch('stale', { batchSize: 500 });
    taken += some.length;
    await boss.complete('stale', some);
  }
  const pages: number[] = [];
  const explained = (tx: Tx): Db => ({
    executeSql: async (text, values) => {
      pages.push(await pagesOf((...statement) => tx.query(...statement), text, values));
      return { rows: [] };
    },
  });
  await pool.run(async (tx) => {
    await boss.insert('stale', [{ data: { last: true } }], { db: bossTx(tx) });
    await boss.fetch('stale', { db: explained(tx) });
    await boss.complete('stale', [randomUUID()], null, { db: explained(tx) }).catch(() => {});
  });
  expect(pages.length).toBe(2);
  expect(Math.max(...pages)).toBeLessThan(200);
});

test('a plan that was made while there was no job touches a job by its key too', async () => {
  await boss.createQueue('grown');
  await database.pools.control.query('TRUNCATE pgboss.job_common');
  const session = await Session.open(target, { applicationName: 'test', statementTimeoutMs: 10_000 });
  onTestFinished(() => session.close());
  // Without parameters a session has no other plan of it than the first.
  await boss.fetch('grown', {
    db: {
      executeSql: async (text) => {
        await session.exec(`PREPARE kept AS ${text}`);
        await session.exec('EXECUTE kept');
        return { rows: [] };
      },
    },
  });
  await boss.insert(
    'grown',
    Array.from({ length: 2_000 }, (_, n) => ({ data: { n } })),
  );
  for (let taken = 0; taken < 2_000; ) {
    const some = await boss.fetch('grown', { batchSize: 500 });
    taken += some.length;
    await boss.complete('grown', some);
  }
  await boss.insert('grown', [{ data: { last: true } }]);
  const query: Query = async (text) => (await session.query(text)).rows;
  // What is dead of the queue's index is passed over once.
  expect(await pagesOf(query, 'EXECUTE kept')).toBeLessThan(400);
  expect(await boss.findJobs('grown', { data: { last: true } })).toMatchObject([{ state: 'active' }]);
});

test('a small queue beside a large one is fetched from by few pages', async () => {
  await boss.createQueue('large');
  await boss.createQueue('small');
  for (let n = 0; n < 10; n++) {
    await boss.insert(
      'large',
      Array.from({ length: 2_000 }, () => ({ data: {} })),
    );
  }
  await boss.insert('small', [{ data: {} }]);
  await database.pools.control.query('ANALYZE pgboss.job_common');
  const pages: number[] = [];
  await pool.run(async (tx) => {
    const query: Query = (...statement) => tx.query(...statement);
    await boss.fetch('small', {
      db: {
        executeSql: async (text, values) => {
          pages.push(await pagesOf(query, text, values));
          return { rows: [] };
        },
      },
    });
    for (const name of ['small', 'large', 'none']) {
      pages.push(
        await pagesOf(
          query,
          `SELECT name FROM unnest($1::text[]) AS q(name)
           WHERE EXISTS (SELECT FROM pgboss.job j WHERE j.name = q.name AND j.state < 'active' AND NOT j.blocked
                           AND j.start_after <= now())`,
          [[name]],
        ),
      );
    }
  });
  expect(Math.max(...pages)).toBeLessThan(200);
});

type Query = (text: string, values?: readonly unknown[]) => Promise<object[]>;

/** How many pages a statement touches. */
async function pagesOf(query: Query, text: string, values: readonly unknown[] = []): Promise<number> {
  const [row] = await query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values);
  const { Plan } = (row as { 'QUERY PLAN': [{ Plan: Record<string, number> }] })['QUERY PLAN'][0];
  return (Plan['Shared Hit Blocks'] ?? 0) + (Plan['Shared Read Blocks'] ?? 0);
}
