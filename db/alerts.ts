import { bigint, boolean, date, integer, primaryKey, smallint, text, uuid } from 'drizzle-orm/pg-core';
import { bytea } from './bytea.ts';
import { tocsin } from './schema.ts';

export const alert = tocsin.table(
  'alert',
  {
    day: date({ mode: 'string' }).notNull(),
    id: uuid().notNull(),
    organisation: bigint({ mode: 'number' }).notNull(),
    producer: bigint({ mode: 'number' }).notNull(),
    lane: smallint().notNull(),
    status: text().notNull(),
    secret: boolean().notNull(),
    sender: text(),
    reference: text(),
    body: bigint({ mode: 'number' }).notNull(),
    commitment: bytea().notNull(),
    lists: bigint({ mode: 'number' }).array().notNull(),
    recipients: integer().notNull(),
    notBefore: bigint('not_before', { mode: 'number' }),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
    acceptedAt: bigint('accepted_at', { mode: 'number' }).notNull(),
    predictedSubmitAt: bigint('predicted_submit_at', { mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.id] })],
);

export const alertText = tocsin.table(
  'alert_text',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    language: text().notNull(),
    body: bigint({ mode: 'number' }).notNull(),
    commitment: bytea().notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.language] })],
);

export const alertChange = tocsin.table(
  'alert_change',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    language: text().notNull(),
    firstAt: integer('first_at').notNull(),
    written: text().notNull(),
    sent: text().notNull(),
    times: integer().notNull(),
    binds: bigint({ mode: 'number' }).array().notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.language, table.firstAt, table.sent] })],
);

export const alertRecipient = tocsin.table(
  'alert_recipient',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    recipient: bigint({ mode: 'number' }).notNull(),
    reference: text(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.recipient] })],
);

export const alertTlv = tocsin.table(
  'alert_tlv',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    name: text().notNull(),
    value: text().notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert, table.name] })],
);

export const alertCancel = tocsin.table(
  'alert_cancel',
  {
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    producer: bigint({ mode: 'number' }).notNull(),
    at: bigint({ mode: 'number' }).notNull(),
    entry: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.day, table.alert] })],
);

export const idempotencyKey = tocsin.table(
  'idempotency_key',
  {
    producer: bigint({ mode: 'number' }).notNull(),
    key: text().notNull(),
    fingerprint: bytea().notNull(),
    fingerprintKey: text('fingerprint_key').notNull(),
    day: date({ mode: 'string' }).notNull(),
    alert: uuid().notNull(),
    expiresAt: bigint('expires_at', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.producer, table.key] })],
);
