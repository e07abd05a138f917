/**
 * Text to parts: one short_message when it fits, else concatenation by a user data header with a 16-bit reference
 * (3GPP TS 23.040 §9.2.3.24.8), in the layout `06 08 04 ref ref total number`.
 *
 * A part holds 140 octets of user data: 160 septets or 140 octets alone, 152 septets or 134 octets beside the header of
 * 7 octets. Parts never split an escape pair or a surrogate pair.
 */
import { TextError } from './errors.ts';
import { type Alphabet, chooseEncoding, type Encoding, ESCAPE, encodeText } from './text.ts';

export interface Segments {
  alphabet: Alphabet;
  dataCoding: 0 | 8;
  /** 0, or 0x40 when the parts begin with a user data header (SMPP 3.4 §5.2.12). */
  esmClass: number;
  /** 1..255 parts, ready to be short_message. */
  parts: Buffer[];
}

export interface Concatenation {
  reference: number;
  total: number;
  /** Counted from 1. */
  number: number;
}

export const PARTS_MAX = 255;
/** esm_class bit 6: short_message begins with a user data header. */
export const UDH_INDICATOR = 0x40;

const HEADER = 7;
const LIMITS: Record<Alphabet, { single: number; part: number }> = {
  gsm7: { single: 160, part: 152 },
  ucs2: { single: 140, part: 134 },
};

/**
 * @param reference 0..65,535, the same in all parts of one message; see `setReference` to give it later.
 * @throws TextError `too-many-parts` beyond 255 parts, `not-well-formed` for half a surrogate pair.
 */
export function segment(text: string, reference: number): Segments {
  const encoding = chooseEncoding(text);
  const octets = encodeText(text, encoding.alphabet);
  const limits = LIMITS[encoding.alphabet];
  if (octets.length <= limits.single) return { ...encoding, esmClass: 0, parts: [octets] };
  const cuts = cutsOf(octets, encoding, limits.part);
  const total = cuts.length;
  if (total > PARTS_MAX)
    throw new TextError('too-many-parts', `the text takes ${total} parts, at most ${PARTS_MAX} can be sent`);
  const parts = cuts.map((end, i) => {
    const start = i === 0 ? 0 : (cuts[i - 1] as number);
    const part = Buffer.allocUnsafe(HEADER + end - start);
    part.set([0x06, 0x08, 0x04, 0, 0, total, i + 1]);
    setReference(part, reference);
    octets.copy(part, HEADER, start, end);
    return part;
  });
  return { ...encoding, esmClass: UDH_INDICATOR, parts };
}

/** How many parts `segment` would make; may be over 255. */
export function countSegments(text: string): number {
  const encoding = chooseEncoding(text);
  const octets = encodeText(text, encoding.alphabet);
  const limits = LIMITS[encoding.alphabet];
  return octets.length <= limits.single ? 1 : cutsOf(octets, encoding, limits.part).length;
}

/** Gives a part made by `segment` (with esmClass 0x40) another reference, in place. */
export function setReference(part: Buffer, reference: number): void {
  part[3] = (reference >>> 8) & 0xff;
  part[4] = reference & 0xff;
}

/** Where each part ends. */
function cutsOf(octets: Buffer, encoding: Encoding, limit: number): number[] {
  const cuts: number[] = [];
  let start = 0;
  while (octets.length - start > limit) {
    let end = start + limit;
    if (encoding.alphabet === 'gsm7') {
      // The escape is a septet of its own and never a follower, so one look back suffices.
      if (octets[end - 1] === ESCAPE) end--;
    } else if (((octets[end - 2] as number) & 0xfc) === 0xd8) {
      end -= 2;
    }
    cuts.push(end);
    start = end;
  }
  cuts.push(octets.length);
  return cuts;
}

export interface UserData {
  /** Null when there is no concatenation header: the message is whole. */
  concatenation: Concatenation | null;
  /** What follows the header. */
  octets: Buffer;
}

/** Takes the user data header off a received short_message. A header that does not fit is left in place. */
export function readUserData(esmClass: number, shortMessage: Buffer): UserData {
  const whole = { concatenation: null, octets: shortMessage };
  if ((esmClass & UDH_INDICATOR) === 0 || shortMessage.length === 0) return whole;
  const end = 1 + (shortMessage[0] as number);
  if (end > shortMessage.length) return whole;
  let concatenation: Concatenation | null = null;
  for (let at = 1; at + 2 <= end; at += 2 + (shortMessage[at + 1] as number)) {
    const length = shortMessage[at + 1] as number;
    const value = shortMessage.subarray(at + 2, Math.min(at + 2 + length, end));
    if (shortMessage[at] === 0x08 && value.length === 4) {
      concatenation = { reference: value.readUInt16BE(0), total: value[2] as number, number: value[3] as number };
    } else if (shortMessage[at] === 0x00 && value.length === 3) {
      concatenation = { reference: value[0] as number, total: value[1] as number, number: value[2] as number };
    }
  }
  return { concatenation, octets: shortMessage.subarray(end) };
}
