import { beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { ManualClock } from '../platform/index.ts';
import { linesOf } from './facts.ts';
import { ChainWriter, defineFactTable, insertFacts, type Part, partsOf, partsSql, verify } from './index.ts';

interface Submission {
  day: string;
  delivery: number;
  attempt: number;
  segment: number;
  segments: number;
  bind: number;
  outcome: number;
  status: number | null;
  messageId: string | null;
  possibleDuplicate: boolean;
  sentAt: number;
  answeredAt: number | null;
}
const submission = defineFactTable<Submission>({
  table: 'submission',
  columns: {
    day: 'date',
    delivery: 'int',
    attempt: 'int',
    segment: 'int',
    segments: 'int',
    bind: 'int',
    outcome: 'int',
    status: 'int?',
    messageId: 'text?',
    possibleDuplicate: 'bool',
    sentAt: 'int',
    answeredAt: 'int?',
  },
  key: ['day', 'delivery', 'attempt', 'segment'],
  partitioned: true,
});
const finalState = defineFactTable<{ day: string; delivery: number; state: number; cause: string | null; at: number }>({
  table: 'final_state',
  columns: { day: 'date', delivery: 'int', state: 'int', cause: 'text?', at: 'int' },
  key: ['day', 'delivery'],
  partitioned: true,
});
/** Written by PostgreSQL, a part for each 1,000. */
const delivery = defineFactTable<{ day: string; id: number; alert: string; recipient: number; chunk: number }>({
  table: 'wide',
  columns: { day: 'date', id: 'int', alert: 'uuid', recipient: 'int', chunk: 'int' },
  key: ['day', 'id'],
  scope: 'chunk',
});
const tables = [submission, finalState, delivery];

const { database } = await testDatabase();
const pool = database.pools.control;
const clock = new ManualClock();
const day = '2026-11-24';
const batch = 2_000;
const batches = 100;
const perSecond = (facts: number, ms: number) => Math.round((facts / ms) * 1000);

beforeAll(async () => {
  await pool.query(
    'create table wide (day date, id bigint, alert uuid, recipient bigint, chunk bigint, entry bigint, primary key (day, id))',
  );
  await pool.query('select make_day($1::date)', [day]);
});

test('the whole record of 200,000 messages is written and verified fast enough', async () => {
  const writers = await Promise.all([1, 2].map(() => ChainWriter.open(pool, clock, 1, 'journal')));
  const made = Array.from({ length: batches }, (_, b) =>
    Array.from({ length: batch }, (__, i): Submission => {
      const id = b * batch + i;
      const sentAt = clock.now() + id;
      return {
        ...{ day, delivery: id, attempt: 1, segment: 1, segments: 1, bind: 2, outcome: 1, status: 0 },
        ...{ messageId: (id + 2 ** 28).toString(16), possibleDuplicate: false, sentAt, answeredAt: sentAt + 9 },
      };
    }),
  );
  const timed = async (work: () => Promise<unknown> | unknown) => {
    const startedAt = performance.now();
    await work();
    return performance.now() - startedAt;
  };
  const lines = await timed(() => made.forEach((rows) => void linesOf(submission.covered, rows)));
  const parts = await timed(() => made.forEach((rows) => void partsOf(submission, rows)));
  const cpu = process.cpuUsage();
  const written = await timed(async () => {
    let next = 0;
    await Promise.all(
      writers.map(async (writer) => {
        for (let rows = made[next++]; rows !== undefined; rows = made[next++]) {
          const submissions = rows;
          await writer.append(async (tx, entry) => {
            const finals = submissions.map(({ delivery: id, sentAt }) => ({
              day,
              delivery: id,
              state: 1,
              cause: null,
              at: sentAt,
            }));
            const all = [
              ...(await insertFacts(tx, submission, submissions, entry, { onConflict: 'error' })).parts,
              ...(await insertFacts(tx, finalState, finals, entry, { onConflict: 'error' })).parts,
            ];
            return { value: undefined, parts: all };
          });
        }
      }),
    );
  });
  const { user, system } = process.cpuUsage(cpu);
  const fanout = await timed(async () => {
    for (let from = 0; from < batches * batch; from += 5_000) {
      await writers[0]!.append(async (tx, entry) => {
        const all = await tx.query<Part & object>(
          `with written as (insert into wide select $1::date, i, '01900000-0000-7000-8000-000000000000', i * 7, i / 1000, $2::bigint
            from generate_series($3::int, $3::int + 4999) as i returning *) ${partsSql(delivery, 'written')}`,
          [day, entry, from],
        );
        return { value: undefined, parts: all };
      });
    }
  });
  const before = process.memoryUsage().rss;
  const report = await verify(database, tables);
  const facts = batches * batch;
  const us = (ms: number, of = facts) => `${((ms * 1000) / of).toFixed(2)} us`;
  console.log(
    JSON.stringify({
      line: us(lines),
      lineAndDigest: us(parts),
      nodeCpuPerFact: us((user + system) / 1000, 2 * facts),
      journalFactsPerSecond: perSecond(2 * facts, written),
      fanoutFactsPerSecond: perSecond(facts, fanout),
      verifiedPerSecond: Math.round(report.facts / report.seconds),
      verifyRssMb: Math.round((process.memoryUsage().rss - before) / 2 ** 20),
    }),
  );
  expect(report.disagreements).toEqual([]);
  expect(report.facts).toBe(3 * facts + 2);
  expect(report.facts / report.seconds).toBeGreaterThan(200_000);
}, 120_000);

test('a table of single-fact entries, as single alerts make, is verified at no less than 40,000 facts/s', async () => {
  const single = defineFactTable<{ id: number; word: string }>({
    table: 'single',
    columns: { id: 'int', word: 'text' },
    key: ['id'],
  });
  await pool.query('create table single (id bigint primary key, word text not null, entry bigint not null)');
  const writer = await ChainWriter.open(pool, clock, 1, 'single');
  for (let id = 0; id < 30_000; id++) {
    await writer.append(async (tx, entry) => ({
      value: undefined,
      parts: (await insertFacts(tx, single, [{ id, word: 'a' }], entry, { onConflict: 'error' })).parts,
    }));
  }
  const report = await verify(database, [...tables, single]);
  const alone = await verify(database, [single]);
  console.log(
    JSON.stringify({
      singlePerSecond: Math.round(30_000 / alone.seconds),
      all: Math.round(report.facts / report.seconds),
    }),
  );
  expect(report.verified).toBe(true);
  expect(30_000 / alone.seconds).toBeGreaterThan(40_000);
}, 120_000);
