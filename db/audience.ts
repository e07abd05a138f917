import { bigint, primaryKey, text, unique } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const recipient = tocsin.table(
  'recipient',
  {
    id: bigint({ mode: 'number' }).primaryKey(),
    organisation: bigint({ mode: 'number' }).notNull(),
    msisdn: text(),
    salt: bytea(),
    commitment: bytea().notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [unique().on(table.organisation, table.msisdn)],
);

export const subscriber = tocsin.table('subscriber', {
  recipient: bigint({ mode: 'number' }).primaryKey(),
  language: text(),
});

export const list = tocsin.table(
  'list',
  {
    id: bigint({ mode: 'number' }).primaryKey(),
    organisation: bigint({ mode: 'number' }).notNull(),
    name: text().notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    members: bigint({ mode: 'number' }).notNull().default(0),
  },
  (table) => [unique().on(table.organisation, table.name)],
);

export const listMember = tocsin.table(
  'list_member',
  {
    list: bigint({ mode: 'number' }).notNull(),
    recipient: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.list, table.recipient] })],
);
