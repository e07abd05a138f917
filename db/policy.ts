import { bigint, smallint, text } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const policyLoad = tocsin.table('policy_load', {
  id: bigint({ mode: 'number' }).primaryKey(),
  process: bigint({ mode: 'number' }).notNull(),
  at: bigint({ mode: 'number' }).notNull(),
  digest: bytea().notNull(),
  entry: bigint({ mode: 'number' }).notNull(),
  file: text().notNull(),
});

const named = () => ({
  id: smallint().primaryKey().generatedAlwaysAsIdentity(),
  name: text().notNull().unique(),
});

export const lane = tocsin.table('lane', named());
export const route = tocsin.table('route', named());
export const bind = tocsin.table('bind', named());
