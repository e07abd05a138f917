import { bigint, boolean, date, integer, primaryKey, smallint, text, unique, uuid } from 'drizzle-orm/pg-core';
import { tocsin } from './schema.ts';

export const delivery = tocsin.table(
  'delivery',
  {
    day: date({ mode: 'string' }).notNull(),
    id: bigint({ mode: 'number' }).notNull(),
    alert: uuid().notNull(),
    recipient: bigint({ mode: 'number' }).notNull(),
    organisation: bigint({ mode: 'number' }).notNull(),
    lane: smallint().notNull(),
    route: smallint().notNull(),
    chunk: bigint({ mode: 'number' }).notNull(),
    body: bigint({ mode: 'number' }).notNull(),
    reference: text(),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.id] }), unique().on(table.day, table.alert, table.recipient)],
);

export const claim = tocsin.table(
  'claim',
  {
    day: date({ mode: 'string' }).notNull(),
    chunk: bigint({ mode: 'number' }).notNull(),
    fromPosition: integer('from_position').notNull(),
    toPosition: integer('to_position').notNull(),
    attempt: smallint().notNull(),
    bind: smallint().notNull(),
    fence: bigint({ mode: 'number' }).notNull(),
    process: bigint({ mode: 'number' }).notNull(),
    deliveries: bigint({ mode: 'number' }).array().notNull(),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.chunk, table.fromPosition] })],
);

export const release = tocsin.table(
  'release',
  {
    day: date({ mode: 'string' }).notNull(),
    delivery: bigint({ mode: 'number' }).notNull(),
    id: bigint({ mode: 'number' }).notNull(),
    attempt: smallint().notNull(),
    segment: smallint().notNull(),
    bind: smallint().notNull(),
    reason: text().notNull(),
    status: bigint({ mode: 'number' }),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.delivery, table.id] })],
);

export const submission = tocsin.table(
  'submission',
  {
    day: date({ mode: 'string' }).notNull(),
    delivery: bigint({ mode: 'number' }).notNull(),
    attempt: smallint().notNull(),
    segment: smallint().notNull(),
    segments: smallint().notNull(),
    bind: smallint().notNull(),
    outcome: smallint().notNull(),
    status: bigint({ mode: 'number' }),
    messageId: text('message_id'),
    possibleDuplicate: boolean('possible_duplicate').notNull(),
    sentAt: bigint('sent_at', { mode: 'number' }).notNull(),
    answeredAt: bigint('answered_at', { mode: 'number' }),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.delivery, table.attempt, table.segment, table.outcome] })],
);

export const receipt = tocsin.table(
  'receipt',
  {
    day: date({ mode: 'string' }).notNull(),
    delivery: bigint({ mode: 'number' }).notNull(),
    id: bigint({ mode: 'number' }).notNull(),
    attempt: smallint().notNull(),
    segment: smallint().notNull(),
    bind: smallint().notNull(),
    state: smallint().notNull(),
    error: text(),
    duplicate: boolean().notNull(),
    receivedAt: bigint('received_at', { mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.delivery, table.id] })],
);

export const unmatchedReceipt = tocsin.table(
  'unmatched_receipt',
  {
    day: date({ mode: 'string' }).notNull(),
    id: bigint({ mode: 'number' }).notNull(),
    bind: smallint().notNull(),
    messageId: text('message_id').notNull(),
    state: smallint().notNull(),
    error: text(),
    receivedAt: bigint('received_at', { mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.id] })],
);

export const finalState = tocsin.table(
  'final_state',
  {
    day: date({ mode: 'string' }).notNull(),
    delivery: bigint({ mode: 'number' }).notNull(),
    state: smallint().notNull(),
    cause: text(),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
    receipt: bigint({ mode: 'number' }),
    bind: smallint(),
    attempt: smallint(),
    said: smallint(),
  },
  (table) => [primaryKey({ columns: [table.day, table.delivery] })],
);

export const alertProgress = tocsin.table(
  'alert_progress',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
    submitted: integer().notNull(),
    delivered: integer().notNull(),
    failed: integer().notNull(),
    expired: integer().notNull(),
    cancelled: integer().notNull(),
    suppressed: integer().notNull(),
    unknown: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.entry] })],
);

export const cancellation = tocsin.table(
  'cancellation',
  {
    day: date({ mode: 'string' }).notNull(),
    delivery: bigint({ mode: 'number' }).notNull(),
    attempt: smallint().notNull(),
    segment: smallint().notNull(),
    number: smallint().notNull(),
    bind: smallint().notNull(),
    outcome: smallint().notNull(),
    status: bigint({ mode: 'number' }),
    sentAt: bigint('sent_at', { mode: 'number' }).notNull(),
    answeredAt: bigint('answered_at', { mode: 'number' }),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.delivery, table.attempt, table.segment, table.number] })],
);
