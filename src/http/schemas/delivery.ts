/** Deliveries on the wire: search, page, timeline. */
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { DeliverySearchQuery, DeliveryState, DeliveryView } from '../../records/index.ts';
import type { DeliveryDetail, DeliveryKey, DeliveryPage } from '../services.ts';
import {
  instantIn,
  instantOut,
  laneName,
  msisdn,
  reference,
  refuse,
  rule,
  toInstant,
  toInstantOrNull,
} from './common.ts';

export const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;

const STATES = [
  'queued',
  'claimed',
  'submitted',
  'delivered',
  'failed',
  'expired',
  'cancelled',
  'suppressed',
  'unknown',
] as const satisfies readonly DeliveryState[];

const ID = /^(\d{4})(\d\d)(\d\d)-([1-9]\d{0,15})$/;

/** `20261124-4711`: the day its alert was accepted, and its number. */
export const deliveryId = (key: DeliveryKey): string => `${key.day.replaceAll('-', '')}-${key.id}`;

/** Null when no delivery can have this id. */
export function parseDeliveryId(text: string): DeliveryKey | null {
  const [, year, month, date, number] = ID.exec(text) ?? [];
  if (year === undefined) return null;
  const day = `${year}-${month}-${date}`;
  const id = Number(number);
  return isDay(day) && Number.isSafeInteger(id) ? { day, id } : null;
}

function isDay(day: string): boolean {
  const ms = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day);
}

export const deliveryQuery = z
  .strictObject({
    alert: z.string().max(64).toLowerCase().pipe(z.uuid()).optional().openapi({ format: 'uuid' }),
    /** `+` in a query string that wasn't escaped arrives as a space. */
    msisdn: z.preprocess((text) => (typeof text === 'string' ? text.replace(/^ /, '+') : text), msisdn).optional(),
    reference: reference.optional(),
    messageId: z.string().min(1).max(64).optional().openapi({ description: 'As the carrier gave it.' }),
    state: z.enum(STATES).optional(),
    lane: laneName.optional(),
    from: instantIn.optional().openapi({ description: 'Made at or after.' }),
    to: instantIn.optional().openapi({ description: 'Made before.' }),
    limit: z
      .string()
      .refine(
        (text) => /^[1-9]\d{0,3}$/.test(text) && Number(text) <= PAGE_MAX,
        rule('limit', `must be 1 to ${PAGE_MAX}`),
      )
      .transform(Number)
      .default(PAGE_DEFAULT)
      .openapi({ type: 'integer', minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT }),
    cursor: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .openapi({ description: '`next` of the page before, with the same conditions.' }),
  })
  .transform((query, context): Omit<DeliverySearchQuery, 'organisation'> => {
    const conditions = {
      alert: query.alert ?? null,
      msisdn: query.msisdn ?? null,
      reference: query.reference ?? null,
      messageId: query.messageId ?? null,
      state: query.state ?? null,
      lane: query.lane ?? null,
      from: query.from ?? null,
      to: query.to ?? null,
    };
    const after = query.cursor === undefined ? null : parseCursor(query.cursor, conditions);
    if (query.cursor !== undefined && after === null) {
      refuse(context, 'cursor', 'must be the `next` of a page with the same conditions', ['cursor']);
    }
    return { ...conditions, after, limit: query.limit };
  });

type Conditions = Omit<DeliverySearchQuery, 'organisation' | 'after' | 'limit'>;

/** Opaque to clients; bound to the conditions, so that a cursor never goes on in another search. */
export function cursorOf(key: DeliveryKey, conditions: Conditions): string {
  return Buffer.from(`1.${key.day}.${key.id}.${digestOf(conditions)}`).toString('base64url');
}

function parseCursor(text: string, conditions: Conditions): DeliveryKey | null {
  const [version, day = '', id = '', digest] = Buffer.from(text, 'base64url').toString('latin1').split('.');
  if (version !== '1' || digest !== digestOf(conditions)) return null;
  return parseDeliveryId(`${day.replaceAll('-', '')}-${id}`);
}

function digestOf(conditions: Conditions): string {
  const { alert, msisdn: number, reference: own, messageId, state, lane, from, to } = conditions;
  const text = JSON.stringify([alert, number, own, messageId, state, lane, from, to]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 8);
}

const summary = {
  id: z.string().openapi({ example: '20261124-4711' }),
  alert: z.uuid(),
  msisdn: z.string().nullable().openapi({ description: 'Null when the person was erased.' }),
  reference: z.string().nullable(),
  lane: laneName,
  route: z.string(),
  state: z.enum(STATES),
  conflict: z.boolean().openapi({ description: 'A later receipt contradicts the first final state.' }),
  createdAt: instantOut,
  expiresAt: instantOut,
  finalAt: instantOut.nullable(),
};

export const deliverySummary = z.strictObject(summary).openapi('DeliverySummary');
export const deliveryPage = z
  .strictObject({
    deliveries: z.array(deliverySummary).openapi({ description: 'Newest first.' }),
    next: z.string().nullable().openapi({ description: 'Cursor of the next page; null on the last.' }),
  })
  .openapi('DeliveryPage');

const timelineEvent = z
  .strictObject({
    at: instantOut,
    kind: z.enum(['created', 'claimed', 'released', 'submission', 'cancellation', 'receipt', 'final']),
    bind: z.string().optional(),
    attempt: z.int().optional(),
    segment: z.int().optional(),
    segments: z.int().optional(),
    outcome: z.enum(['accepted', 'refused', 'refused-for-now', 'unanswered']).optional(),
    status: z.int().optional().openapi({ description: 'SMPP command_status.' }),
    messageId: z.string().optional(),
    possibleDuplicate: z.boolean().optional(),
    answeredAt: instantOut.optional(),
    state: z.string().optional(),
    error: z.string().optional(),
    duplicate: z.boolean().optional(),
    cause: z.string().optional(),
    entry: z.string().openapi({ description: 'The chain entry that covers this fact.' }),
  })
  .openapi('TimelineEvent');

export const deliveryDetail = z
  .strictObject({ ...summary, attempts: z.int(), timeline: z.array(timelineEvent) })
  .openapi('Delivery');

export function showDelivery(delivery: DeliveryView): z.infer<typeof deliverySummary> {
  return {
    id: deliveryId(delivery),
    alert: delivery.alert,
    msisdn: delivery.msisdn,
    reference: delivery.reference,
    lane: delivery.lane,
    route: delivery.route,
    state: delivery.state,
    conflict: delivery.conflict,
    createdAt: toInstant(delivery.createdAt),
    expiresAt: toInstant(delivery.expiresAt),
    finalAt: toInstantOrNull(delivery.finalAt),
  };
}

export function showPage(page: DeliveryPage, conditions: Conditions): z.infer<typeof deliveryPage> {
  return {
    deliveries: page.deliveries.map(showDelivery),
    next: page.next === null ? null : cursorOf(page.next, conditions),
  };
}

export function showDetail(delivery: DeliveryDetail): z.infer<typeof deliveryDetail> {
  return {
    ...showDelivery(delivery),
    attempts: delivery.attempts,
    timeline: delivery.timeline.map(({ at, answeredAt, entry, ...event }) => ({
      ...event,
      at: toInstant(at),
      ...(answeredAt === undefined ? {} : { answeredAt: toInstant(answeredAt) }),
      entry: String(entry),
    })),
  };
}
