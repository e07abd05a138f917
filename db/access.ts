import { bigint, text, unique } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const organisation = tocsin.table('organisation', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: text().notNull().unique(),
  createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  entry: bigint({ mode: 'number' }).notNull(),
});

export const producer = tocsin.table(
  'producer',
  {
    id: bigint({ mode: 'number' }).primaryKey(),
    organisation: bigint({ mode: 'number' }).notNull(),
    name: text().notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [unique().on(table.organisation, table.name)],
);

export const apiKey = tocsin.table('api_key', {
  id: bigint({ mode: 'number' }).primaryKey(),
  producer: bigint({ mode: 'number' }).notNull(),
  organisation: bigint({ mode: 'number' }).notNull(),
  prefix: text().notNull().unique(),
  hash: bytea().notNull(),
  lanes: text().array().notNull(),
  scopes: text().array().notNull(),
  createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  entry: bigint({ mode: 'number' }).notNull(),
});

export const apiKeyRevocation = tocsin.table('api_key_revocation', {
  apiKey: bigint('api_key', { mode: 'number' }).primaryKey(),
  at: bigint({ mode: 'number' }).notNull(),
  entry: bigint({ mode: 'number' }).notNull(),
});
