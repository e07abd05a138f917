/**
 * The value of a carrier's `correlationTlv`: which delivery, attempt and segment a submit_sm is.
 * Ten octets: delivery id (8, big-endian), attempt (1; bit 7 set = possible duplicate), segment (1, counted from 1).
 */
import { FieldError } from './errors.ts';

export interface Correlation {
  /** 0..2^53 − 1. */
  delivery: number;
  /** 0..127. */
  attempt: number;
  /** 1..255. */
  segment: number;
  possibleDuplicate: boolean;
}

const LENGTH = 10;
const POSSIBLE_DUPLICATE = 0x80;

/** @throws FieldError when a number is out of range. */
export function encodeCorrelation(correlation: Correlation): Buffer {
  const { delivery, attempt, segment, possibleDuplicate } = correlation;
  if (!Number.isSafeInteger(delivery) || delivery < 0)
    throw new FieldError('delivery', 'is not an integer of 0..2^53-1');
  if ((attempt & 0x7f) !== attempt) throw new FieldError('attempt', 'is not an integer of 0..127');
  if ((segment & 0xff) !== segment || segment === 0) throw new FieldError('segment', 'is not an integer of 1..255');
  const value = Buffer.allocUnsafe(LENGTH);
  value.writeUInt32BE(Math.floor(delivery / 2 ** 32), 0);
  value.writeUInt32BE(delivery % 2 ** 32, 4);
  value[8] = possibleDuplicate ? attempt | POSSIBLE_DUPLICATE : attempt;
  value[9] = segment;
  return value;
}

/** Null when the value is none of ours. */
export function decodeCorrelation(value: Buffer): Correlation | null {
  if (value.length !== LENGTH) return null;
  const delivery = value.readUInt32BE(0) * 2 ** 32 + value.readUInt32BE(4);
  const attempt = value[8] as number;
  const segment = value[9] as number;
  if (!Number.isSafeInteger(delivery) || segment === 0) return null;
  return { delivery, attempt: attempt & 0x7f, segment, possibleDuplicate: (attempt & POSSIBLE_DUPLICATE) !== 0 };
}
