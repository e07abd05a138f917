import { bigint, boolean, date, integer, primaryKey, uuid } from 'drizzle-orm/pg-core';
import { tocsin } from './schema.ts';

export const fanoutPage = tocsin.table(
  'fanout_page',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    page: integer().notNull(),
    list: bigint({ mode: 'number' }).notNull(),
    afterRecipient: bigint('after_recipient', { mode: 'number' }).notNull(),
    deliveries: integer().notNull(),
    last: boolean().notNull(),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.page] })],
);
