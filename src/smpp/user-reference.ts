/**
 * user_message_reference (SMPP 3.4 §5.3.2.17): 16 bits of our own that some carriers repeat in receipts and answers to
 * queries. With the number that the message went to they say which submit_sm it was, also when its submit_sm_resp never
 * came: so they settle doubt without a second copy.
 *
 * The reference follows from delivery, attempt and segment alone. Nothing has to be remembered, and a process that comes
 * up after a crash finds the same one. It is not unique: whoever reads one looks among the submissions that went to that
 * number and are still open, and takes an answer only where exactly one fits.
 */
import type { Correlation } from './correlation.ts';
import { FieldError } from './errors.ts';
import { findTlv, type Tlv } from './pdu.ts';

export const USER_MESSAGE_REFERENCE = 0x0204;

export type Sent = Pick<Correlation, 'delivery' | 'attempt' | 'segment'>;

/** 0 is left out: SMSCs put it where there was none. */
const REFERENCES = 0xffff;
const SEGMENTS = 255;
/** 2^32 ÷ the golden ratio: neighbouring deliveries, which one number may well have, get references far apart. */
const SPREAD = 0x9e3779b1;

/**
 * 1..65,535; of one delivery, no two of its 255 segments in 127 attempts have the same.
 * @throws FieldError when a number is out of range.
 */
export function userReferenceOf({ delivery, attempt, segment }: Sent): number {
  if (!Number.isSafeInteger(delivery) || delivery < 0)
    throw new FieldError('delivery', 'is not an integer of 0..2^53-1');
  if ((attempt & 0x7f) !== attempt) throw new FieldError('attempt', 'is not an integer of 0..127');
  if ((segment & 0xff) !== segment || segment === 0) throw new FieldError('segment', 'is not an integer of 1..255');
  const low = delivery % 2 ** 32;
  const high = Math.floor(delivery / 2 ** 32);
  const spread = Math.imul(low ^ Math.imul(high, SPREAD), SPREAD) >>> 0;
  return 1 + (((spread >>> 16) + attempt * SEGMENTS + (segment - 1)) % REFERENCES);
}

export function userReferenceTlv(sent: Sent): Tlv {
  const reference = userReferenceOf(sent);
  return { tag: USER_MESSAGE_REFERENCE, value: Buffer.from([reference >>> 8, reference & 0xff]) };
}

/** What a receipt or an answer repeats of it; null when there is none, or 0. */
export function readUserReference(tlvs: readonly Tlv[]): number | null {
  const value = findTlv(tlvs, USER_MESSAGE_REFERENCE);
  if (value === undefined || value.length !== 2) return null;
  return value.readUInt16BE(0) || null;
}

/**
 * Which of the open submissions to one number a repeated reference belongs to.
 * @param open those to the number that the receipt names, without an answer or without a receipt.
 * @returns null when none fits, or when several do: then it stays in doubt.
 */
export function matchUserReference<T extends Sent>(reference: number, open: readonly T[]): T | null {
  const fits = open.filter((each) => userReferenceOf(each) === reference);
  return fits.length === 1 ? (fits[0] ?? null) : null;
}
