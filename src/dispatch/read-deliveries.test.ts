import { beforeAll, expect, test } from 'vitest';
import { makeDaysAhead } from '../../db/migrate.ts';
import { testDatabase } from '../../test/support/database.ts';
import { LISTED, RUNS, readDeliveries } from './read-deliveries.ts';

const { database } = await testDatabase();
const pool = database.pools.control;
const day = '2026-11-24';
const alert = '0190b6f0-0000-7000-8000-000000000000';
const COUNT = 20_000;
/** Every tenth is final, and of every hundredth the person was erased. */
const isFinal = (id: number): boolean => id % 10 === 0;

beforeAll(async () => {
  await makeDaysAhead(pool, day);
  // While they fill, nobody has looked at the tables.
  await pool.query('ALTER TABLE recipient SET (autovacuum_enabled = false)');
  for (const table of ['delivery', 'final_state']) {
    await pool.query(`ALTER TABLE ${table}_20261124 SET (autovacuum_enabled = false)`);
  }
  await pool.query(
    `INSERT INTO recipient (id, organisation, msisdn, salt, commitment, entry)
     SELECT i, 1, CASE WHEN i % 100 = 1 THEN NULL ELSE '+4477' || i END, '', '', 1 FROM generate_series(1, $1::bigint) i`,
    [COUNT],
  );
  await pool.query(
    `INSERT INTO delivery (day, id, alert, recipient, organisation, lane, route, chunk, body, expires_at, created_at, entry)
     SELECT $1::date, i, $2::uuid, i, 1, 1, 1, 1 + (i - 1) / 1000 * 1000, 7 + i % 2, 99, 1, 1
     FROM generate_series(1, $3::bigint) i`,
    [day, alert, COUNT],
  );
  await pool.query(
    `INSERT INTO final_state (day, delivery, state, at, entry)
     SELECT $1::date, i, 1, 1, 1 FROM generate_series(10, $2::bigint, 10) i`,
    [day, COUNT],
  );
});

const run = (id: number, claimedTo = 0) => ({
  chunk: { id, size: 1_000, claimedTo },
  deliveryIds: null,
  firstDelivery: id,
});

test('gives the open deliveries from the claimed position on, of runs and of lists, each with its own text and number', async () => {
  const ids = [5, 10, 101, 4_711];
  const list = { chunk: { id: 70_000, size: ids.length, claimedTo: 1 }, deliveryIds: ids, firstDelivery: 0 };
  const rows = await readDeliveries(pool, day, [run(1, 990), run(3_001), list]);
  const wanted = (chunk: number, from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => from + index)
      .filter((id) => !isFinal(id))
      .map((id) => read(chunk, id));
  const read = (chunk: number, id: number) => ({
    ...{ id, chunk, alert, body: 7 + (id % 2), expires_at: 99, route: 1 },
    msisdn: id % 100 === 1 ? null : `+4477${id}`,
  });
  const byPlace = (a: { chunk: number; id: number }, b: { chunk: number; id: number }) =>
    a.chunk - b.chunk || a.id - b.id;
  expect(rows.toSorted(byPlace)).toEqual([
    ...wanted(1, 991, 1_001),
    ...wanted(3_001, 3_001, 4_001),
    read(70_000, 101),
    read(70_000, 4_711),
  ]);
});

test.each([
  ['while nobody has looked at the tables', ''],
  ['when statistics are fresh', 'ANALYZE'],
])('reads no table as a whole: %s', async (_, before) => {
  if (before !== '') await pool.query(before);
  for (const [text, ...params] of [
    [RUNS, '{1,1001,2001}', '{1,1001,2001}', '{1001,2001,3001}'],
    [LISTED, '{1,1}', '{5,6}'],
  ]) {
    const plan = await pool.query<Record<string, string>>(`EXPLAIN (ANALYZE, BUFFERS) ${text}`, [day, ...params]);
    const lines = plan.flatMap((row) => Object.values(row));
    expect(lines.filter((line) => /Seq Scan|Hash Join|Merge Join/.test(line))).toEqual([]);
    expect(lines.filter((line) => /Index/.test(line)).length).toBeGreaterThanOrEqual(3);
    // The pages that it looked at: three or four a delivery, however many are final.
    const buffers = Number(lines.find((line) => line.includes('Buffers'))?.match(/hit=(\d+)/)?.[1]);
    expect(buffers).toBeGreaterThan(0);
    expect(buffers).toBeLessThan(4 * 3_000);
  }
});
