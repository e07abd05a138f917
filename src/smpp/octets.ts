/**
 * The octets that all codecs of this room share: numbers, C-octet strings, times and TLVs, written with the standard's
 * limits and read without going past the end.
 *
 * Strings are Latin-1 of U+0001..U+00FF.
 */
import { FieldError, PduError } from './errors.ts';

/** An optional parameter (SMPP 3.4 §5.3, 5.0 §4.8): tag 0..0xFFFF, value 0..65,535 octets. */
export interface Tlv {
  tag: number;
  value: Buffer;
}

export const NO_TLVS: readonly Tlv[] = Object.freeze([]);

const ESME_RINVTLVSTREAM = 0xc0;

// write ------------------------------------------------------------------------------------------------------------

/** Writes an unsigned 32-bit number, big-endian. */
export function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function writeHeader(out: Uint8Array, length: number, command: number, status: number, sequence: number): void {
  writeUint32(out, 0, length);
  writeUint32(out, 4, command);
  writeUint32(out, 8, status);
  writeUint32(out, 12, sequence);
}

/** @throws FieldError when it is no octet. */
export function octet(field: string, value: number): number {
  if ((value & 0xff) !== value) throw new FieldError(field, 'is not an integer of 0..255');
  return value;
}

/** @throws FieldError when it is no integer of 0..last, `last` being at most 255. */
export function octetTo(field: string, value: number, last: number): number {
  if ((value & 0xff) !== value || value > last) throw new FieldError(field, `is not an integer of 0..${last}`);
  return value;
}

/**
 * Measured: for strings this short the loop beats write(…, 'latin1'), which crosses into C++.
 * @param longest characters, without the NUL that is added.
 * @returns the place after the NUL.
 * @throws FieldError
 */
export function writeString(out: Uint8Array, at: number, field: string, value: string, longest: number): number {
  const length = value.length;
  if (length > longest) throw new FieldError(field, `is longer than ${longest} characters`);
  for (let i = 0; i < length; i++) {
    const unit = value.charCodeAt(i);
    if (unit === 0 || unit > 0xff) throw new FieldError(field, 'holds a character outside U+0001..U+00FF');
    out[at + i] = unit;
  }
  out[at + length] = 0;
  return at + length + 1;
}

/**
 * '' or the 16 characters of SMPP 3.4 §7.1.1: fifteen digits and `+`, `-` or `R`.
 * @throws FieldError
 */
export function writeTime(out: Uint8Array, at: number, field: string, value: string): number {
  if (value.length === 0) {
    out[at] = 0;
    return at + 1;
  }
  if (value.length !== 16) throw new FieldError(field, 'is neither empty nor 16 characters long');
  for (let i = 0; i < 15; i++) {
    const unit = value.charCodeAt(i);
    if (unit < 0x30 || unit > 0x39) throw new FieldError(field, 'is not fifteen digits and a sign');
    out[at + i] = unit;
  }
  const sign = value.charCodeAt(15);
  if (sign !== 0x2b && sign !== 0x2d && sign !== 0x52) throw new FieldError(field, 'does not end in +, - or R');
  out[at + 15] = sign;
  out[at + 16] = 0;
  return at + 17;
}

export function tlvLength(tlvs: readonly Tlv[]): number {
  let length = 0;
  for (let i = 0; i < tlvs.length; i++) length += 4 + (tlvs[i] as Tlv).value.length;
  return length;
}

/** @throws FieldError */
export function writeTlvs(out: Uint8Array, at: number, tlvs: readonly Tlv[]): void {
  for (let i = 0; i < tlvs.length; i++) {
    const { tag, value } = tlvs[i] as Tlv;
    if ((tag & 0xffff) !== tag) throw new FieldError('tag', 'is not an integer of 0..65,535');
    if (value.length > 0xffff) throw new FieldError(`tag 0x${tag.toString(16)}`, 'is longer than 65,535 octets');
    out[at++] = tag >>> 8;
    out[at++] = tag;
    out[at++] = value.length >>> 8;
    out[at++] = value.length;
    out.set(value, at);
    at += value.length;
  }
}

// read -------------------------------------------------------------------------------------------------------------

/** Reads an unsigned 32-bit number, big-endian. The caller knows that the four octets are there. */
export function readUint32(buffer: Uint8Array, at: number): number {
  return (
    (((buffer[at] as number) << 24) |
      ((buffer[at + 1] as number) << 16) |
      ((buffer[at + 2] as number) << 8) |
      (buffer[at + 3] as number)) >>>
    0
  );
}

/**
 * The TLVs from `at` to `end`; their values are views of the buffer.
 * @param strict a TLV that runs past the end throws; otherwise it and what follows is passed over.
 * @throws PduError
 */
export function readTlvs(buffer: Buffer, at: number, end: number, strict: boolean): readonly Tlv[] {
  if (at >= end) return NO_TLVS;
  const tlvs: Tlv[] = [];
  while (at < end) {
    const start = at + 4;
    const length = start <= end ? ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number) : 0;
    if (start + length > end) {
      if (strict) throw new PduError('tlv-stream', 'tlv', ESME_RINVTLVSTREAM);
      break;
    }
    tlvs.push({
      tag: ((buffer[at] as number) << 8) | (buffer[at + 1] as number),
      value: buffer.subarray(start, start + length),
    });
    at = start + length;
  }
  return tlvs;
}
