import { bigint, integer, text, unique } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const process = tocsin.table('process', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  host: text().notNull(),
  pid: integer().notNull(),
  startedAt: bigint('started_at', { mode: 'number' }).notNull(),
});

export const dataKey = tocsin.table(
  'data_key',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    organisation: bigint({ mode: 'number' }).notNull(),
    class: text().notNull(),
    period: text().notNull(),
    wrapped: bytea().notNull(),
  },
  (table) => [unique().on(table.organisation, table.class, table.period)],
);

export const body = tocsin.table('body', {
  id: bigint({ mode: 'number' }).primaryKey(),
  organisation: bigint({ mode: 'number' }).notNull(),
  keyRef: text('key_ref').notNull(),
  sealed: bytea().notNull(),
});

export const sweep = tocsin.table('sweep', {
  name: text().primaryKey(),
  upto: bigint({ mode: 'number' }).notNull(),
});

/** Which migrations this database has; written by `db/migrate.ts`. */
export const migration = tocsin.table('migration', {
  idx: integer().primaryKey(),
  tag: text().notNull(),
  sha256: text().notNull(),
  appliedAt: bigint('applied_at', { mode: 'number' }).notNull(),
});
