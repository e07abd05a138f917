import { randomBytes } from 'node:crypto';
import { afterAll, expect, inject, test } from 'vitest';
import { addDays } from '../src/platform/clock.ts';
import { Session } from '../src/platform/session.ts';
import { parseDatabaseUrl } from '../src/platform/target.ts';
import { testDatabase } from '../test/support/database.ts';
import { makeDaysAhead, migrate } from './migrate.ts';

const { database, asSuperuser, target } = await testDatabase();
const admin = parseDatabaseUrl(inject('postgresUrl'));
const onServer = async (text: string): Promise<void> => {
  const session = await Session.open(admin, { applicationName: 'test', statementTimeoutMs: 30_000 });
  await session.exec(text);
  await session.close();
};
const empty = `tocsin_empty_${randomBytes(6).toString('hex')}`;
await onServer(`create database ${empty}`);
afterAll(() => onServer(`drop database ${empty} with (force)`));

const partitions = async (table: string): Promise<string[]> =>
  (
    await database.pools.control.query<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass order by 1`,
      [table],
    )
  ).map(({ name }) => name);

test('several nodes that start at once migrate an empty database once', async () => {
  const fresh = { ...admin, database: empty };
  await Promise.all([migrate(fresh), migrate(fresh), migrate(fresh)]);
  await migrate(fresh);
  const session = await Session.open(fresh, { applicationName: 'test', statementTimeoutMs: 30_000 });
  const { rows } = await session.query(
    `select (select count(*) from migration where idx = 0) as first,
            (select count(*) from pg_inherits where inhparent = 'delivery'::regclass) as days,
            (select count(*) from pg_namespace where nspname = 'pgboss') as boss,
            (select count(*) from pg_locks l join pg_database d on d.oid = l.database
             where l.locktype = 'advisory' and d.datname = current_database()) as locks`,
  );
  await session.close();
  expect(rows).toEqual([{ first: 1, days: 5, boss: 1, locks: 0 }]);
});

test('partitions of yesterday to three days ahead are there, and further days are made on demand', async () => {
  const [row] = await database.pools.control.query<{ today: string }>(
    `select (clock_timestamp() at time zone 'UTC')::date as today`,
  );
  const today = row?.today ?? '';
  const named = (days: number): string => `delivery_${addDays(today, days).replaceAll('-', '')}`;
  expect(await partitions('delivery')).toEqual([-1, 0, 1, 2, 3].map(named));
  expect(await makeDaysAhead(database.pools.control, today, 5)).toBe(addDays(today, 5));
  expect(await partitions('delivery')).toEqual([-1, 0, 1, 2, 3, 4, 5].map(named));
  expect(await partitions('final_state')).toHaveLength(7);
});

test('a day that can not be locked is left for the next call', async () => {
  const far = '2031-05-05';
  await asSuperuser(async (session) => {
    await session.exec('begin; lock table tocsin.receipt in row exclusive mode');
    expect(await makeDaysAhead(database.pools.control, far, 0)).toBe('2031-05-04');
    await session.exec('rollback');
  });
  expect(await makeDaysAhead(database.pools.control, far, 0)).toBe(far);
});

test('a migration that was edited after it ran, or that this version does not know, stops the start', async () => {
  const control = database.pools.control;
  await control.query(`update migration set sha256 = 'x' where idx = 0`);
  await expect(migrate(target)).rejects.toThrow('0000_init.sql was changed');
  await control.query(`update migration set tag = '0000_other' where idx = 0`);
  await expect(migrate(target)).rejects.toThrow('start the newer version');
});
