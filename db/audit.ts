import { bigint, text } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const chainWriter = tocsin.table('chain_writer', {
  id: bigint({ mode: 'number' }).primaryKey(),
  process: bigint({ mode: 'number' }).notNull(),
  room: text().notNull(),
  openedAt: bigint('opened_at', { mode: 'number' }).notNull(),
  entry: bigint({ mode: 'number' }).notNull(),
});

export const chainEntry = tocsin.table('chain_entry', {
  entry: bigint({ mode: 'number' }).primaryKey(),
  at: bigint({ mode: 'number' }).notNull(),
  previous: bytea().notNull(),
  parts: text().notNull(),
  hash: bytea().notNull(),
});
