import {
  bigint,
  boolean,
  date,
  doublePrecision,
  integer,
  primaryKey,
  smallint,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import { tocsin } from './schema.ts';

export const chunk = tocsin.table('chunk', {
  id: bigint({ mode: 'number' }).primaryKey(),
  day: date({ mode: 'string' }).notNull(),
  alert: uuid(),
  lane: smallint().notNull(),
  route: smallint().notNull(),
  firstDelivery: bigint('first_delivery', { mode: 'number' }).notNull(),
  deliveries: integer().notNull(),
  deliveryIds: bigint('delivery_ids', { mode: 'number' }).array(),
  attempt: smallint().notNull().default(1),
  possibleDuplicate: boolean('possible_duplicate').notNull().default(false),
  priority: integer().notNull(),
  notBefore: bigint('not_before', { mode: 'number' }),
  expiresMin: bigint('expires_min', { mode: 'number' }).notNull(),
  expiresMax: bigint('expires_max', { mode: 'number' }).notNull(),
  job: uuid().notNull(),
  claimedTo: integer('claimed_to').notNull().default(0),
  holderProcess: bigint('holder_process', { mode: 'number' }),
  holderBind: smallint('holder_bind'),
  holderFence: bigint('holder_fence', { mode: 'number' }),
  settled: boolean().notNull().default(false),
  createdAt: bigint('created_at', { mode: 'number' }).notNull(),
  queued: boolean().notNull().default(true),
  returns: smallint(),
  parked: boolean().notNull().default(false),
});

export const bindLease = tocsin.table('bind_lease', {
  bind: smallint().primaryKey(),
  fence: bigint({ mode: 'number' }).notNull(),
  process: bigint({ mode: 'number' }).notNull(),
  until: timestamp({ withTimezone: true, mode: 'string' }).notNull(),
});

export const bindState = tocsin.table('bind_state', {
  bind: smallint().primaryKey(),
  process: bigint({ mode: 'number' }).notNull(),
  fence: bigint({ mode: 'number' }).notNull(),
  state: text().notNull(),
  excess: doublePrecision(),
  tokens: integer().notNull(),
  since: bigint({ mode: 'number' }).notNull(),
  at: bigint({ mode: 'number' }).notNull(),
});

export const pauseAct = tocsin.table(
  'pause_act',
  {
    scope: text().notNull(),
    name: text().notNull(),
    number: bigint({ mode: 'number' }).notNull(),
    day: date({ mode: 'string' }),
    organisation: bigint({ mode: 'number' }),
    until: bigint({ mode: 'number' }),
    paused: boolean().notNull(),
    why: text(),
    who: text().notNull(),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.scope, table.name, table.number] })],
);
export const processBeat = tocsin.table('process_beat', {
  process: bigint({ mode: 'number' }).primaryKey(),
  node: text().notNull(),
  binds: smallint().array().notNull(),
  seenAt: timestamp('seen_at', { withTimezone: true, mode: 'string' }).notNull(),
});
