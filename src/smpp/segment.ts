/**
 * Text to parts, ready to be submit_sm: one when it fits, else several that say how they belong together, by a user data
 * header with an 8- or 16-bit reference (3GPP TS 23.040 §9.2.3.24), by SAR TLVs (SMPP 3.4 §5.3.2.22–24), or one with the
 * whole text in message_payload, which the SMSC takes apart. And the way back, for a part that comes in.
 */
import { dataCodingOf, type Marking } from './data-coding.ts';
import { fillBits, languageOf, NO_SHIFTS, pack, type Shifts } from './gsm7.ts';
import { LOCKING } from './gsm7-tables.ts';
import type { Concatenation } from './layout.ts';
import { capacity, cutBinary, Element, headerLength, PARTS_MAX, writeHeader, writeReference } from './layout.ts';
import { findTlv, type SubmitSm, Tag, type Tlv } from './pdu.ts';
import { planText, TEXT_OPTIONS, type TextOptions, type TextPlan, tooManyParts } from './plan.ts';
import { encodePart } from './text.ts';

export interface Segments {
  readonly dataCoding: number;
  /** 0, or 0x40 when the parts begin with a user data header (SMPP 3.4 §5.2.12). */
  readonly esmClass: number;
  /** 1..255 parts, each the short_message of a submit_sm. */
  readonly parts: readonly Buffer[];
  /** The TLVs of each part; empty when none has any. */
  readonly tlvs: readonly (readonly Tlv[])[];
  /** Null when the message is in one part. */
  readonly concatenation: Concatenation | null;
}

/** esm_class bit 6: short_message begins with a user data header. */
export const UDH_INDICATOR = 0x40;

const NO_TLVS: readonly (readonly Tlv[])[] = Object.freeze([]);
const EMPTY = Buffer.alloc(0);

/**
 * @param reference the same in all parts of one message, 0..65,535 (0..255 with `udh-8`: the low octet counts); see
 * {@link withReference} to give it later.
 * @throws TextError as {@link planText}.
 */
export function segment(text: string, reference: number, options: TextOptions = TEXT_OPTIONS): Segments {
  return segmentPlan(planText(text, options), reference, options.packed);
}

/** The parts of a text that was laid out already. */
export function segmentPlan(plan: TextPlan, reference: number, packed: boolean): Segments {
  const { text, encoding, dataCoding, concatenation, cuts } = plan;
  const header = headerLength(encoding, concatenation);
  const packs = packed && encoding.alphabet === 'gsm7';
  const parts = cuts.map((end, i) => {
    const start = i === 0 ? 0 : (cuts[i - 1] as number);
    if (!packs) return encodePart(text, encoding, start, end, header);
    return behind(header, pack(encodePart(text, encoding, start, end), fillBits(header)));
  });
  return assemble(parts, encoding, dataCoding, concatenation, reference);
}

/**
 * Binary content to parts.
 * @throws RangeError when the marking can't be said of binary content, TextError `too-many-parts`.
 */
export function segmentBinary(
  octets: Buffer,
  reference: number,
  options: Pick<TextOptions, 'concatenation' | 'sarOctets'> & { readonly marking: Marking | null },
): Segments {
  const dataCoding = dataCodingOf('binary', options.marking);
  if (dataCoding === null) throw new RangeError('binary content can not be sent with this marking');
  const fits = octets.length <= capacity('binary', 0);
  const concatenation = fits ? null : options.concatenation;
  const inParts = concatenation === 'payload' ? 'udh-8' : concatenation;
  const room = capacity('binary', headerLength(NO_SHIFTS, inParts), inParts === 'sar' ? options.sarOctets : undefined);
  const cuts = cutBinary(octets.length, room);
  if (cuts.length > PARTS_MAX) throw tooManyParts(cuts.length);
  const header = headerLength(NO_SHIFTS, concatenation);
  const ends = concatenation === 'payload' ? [octets.length] : cuts;
  const parts = ends.map((end, i) => behind(header, octets.subarray(i === 0 ? 0 : (ends[i - 1] as number), end)));
  return assemble(parts, NO_SHIFTS, dataCoding, concatenation, reference);
}

/** A body with room for a header before it. */
function behind(header: number, body: Buffer): Buffer {
  if (header === 0) return body;
  const part = Buffer.allocUnsafe(header + body.length);
  body.copy(part, header);
  return part;
}

/** @param parts each with room for its header. */
function assemble(
  parts: readonly Buffer[],
  shifts: Shifts,
  dataCoding: number,
  concatenation: Concatenation | null,
  reference: number,
): Segments {
  if (concatenation === 'payload') {
    const payload = [{ tag: Tag.messagePayload, value: parts[0] as Buffer }];
    return { dataCoding, esmClass: 0, parts: [EMPTY], tlvs: [payload], concatenation };
  }
  const header = headerLength(shifts, concatenation);
  if (header > 0) {
    for (let i = 0; i < parts.length; i++) writeHeader(parts[i] as Buffer, shifts, concatenation, parts.length, i + 1);
  }
  const segments = { dataCoding, esmClass: header > 0 ? UDH_INDICATOR : 0, parts, tlvs: NO_TLVS, concatenation };
  return concatenation === null ? segments : referTo(segments, reference);
}

/** The same parts under another reference. What needs no reference is given back as it is, the rest is copied. */
export function withReference(segments: Segments, reference: number): Segments {
  const { concatenation, parts } = segments;
  if (concatenation === null || concatenation === 'payload') return segments;
  return referTo(
    concatenation === 'sar' ? segments : { ...segments, parts: parts.map((p) => Buffer.from(p)) },
    reference,
  );
}

/** Writes the reference into the parts, in place, or makes the TLVs that hold it. */
function referTo(segments: Segments, reference: number): Segments {
  const { concatenation, parts } = segments;
  if (concatenation === 'udh-16' || concatenation === 'udh-8') {
    for (const part of parts) writeReference(part, concatenation, reference);
    return segments;
  }
  const number = { tag: Tag.sarMsgRefNum, value: Buffer.from([(reference >>> 8) & 0xff, reference & 0xff]) };
  const total = { tag: Tag.sarTotalSegments, value: Buffer.from([parts.length]) };
  const tlvs = parts.map((_, i) => [number, total, { tag: Tag.sarSegmentSeqnum, value: Buffer.from([i + 1]) }]);
  return { ...segments, tlvs };
}

// what comes in ----------------------------------------------------------------------------------------------------

/** Which part of which message a part is. */
export interface PartOf {
  readonly reference: number;
  /** 1..255. */
  readonly total: number;
  /** 1..total. */
  readonly number: number;
}

export interface UserData extends Shifts {
  /** Null when nothing says that there are other parts: the message is whole. */
  readonly concatenation: PartOf | null;
  /** Octets of the header; 0 when there is none. */
  readonly header: number;
  /** What follows the header. */
  readonly octets: Buffer;
}

/**
 * Takes the user data header off a received short_message. A header that does not fit is left in place; a part number that
 * can't be (0, or beyond the total) says nothing (3GPP TS 23.040 §9.2.3.24.1).
 */
export function readUserData(esmClass: number, shortMessage: Buffer): UserData {
  const whole = { locking: null, single: null, concatenation: null, header: 0, octets: shortMessage };
  if ((esmClass & UDH_INDICATOR) === 0 || shortMessage.length === 0) return whole;
  const end = 1 + (shortMessage[0] as number);
  if (end > shortMessage.length) return whole;
  let { locking, single } = NO_SHIFTS;
  let concatenation: PartOf | null = null;
  for (let at = 1; at + 2 <= end; at += 2 + (shortMessage[at + 1] as number)) {
    const length = shortMessage[at + 1] as number;
    const value = shortMessage.subarray(at + 2, Math.min(at + 2 + length, end));
    const element = shortMessage[at];
    if (element === Element.reference16 && value.length === 4) {
      concatenation = partOf(value.readUInt16BE(0), value[2] as number, value[3] as number) ?? concatenation;
    } else if (element === Element.reference8 && value.length === 3) {
      concatenation = partOf(value[0] as number, value[1] as number, value[2] as number) ?? concatenation;
    } else if (element === Element.single && value.length === 1) {
      single = languageOf(value[0] as number) ?? null;
    } else if (element === Element.locking && value.length === 1) {
      const language = languageOf(value[0] as number);
      locking = language !== undefined && LOCKING[language] !== undefined ? language : null;
    }
  }
  return { locking, single, concatenation, header: end, octets: shortMessage.subarray(end) };
}

/** The same of a whole PDU: short_message or message_payload, header or SAR TLVs. */
export function readPart(pdu: Pick<SubmitSm, 'esmClass' | 'shortMessage' | 'tlvs'>): UserData {
  const userData = readUserData(pdu.esmClass, findTlv(pdu.tlvs, Tag.messagePayload) ?? pdu.shortMessage);
  return userData.concatenation !== null ? userData : { ...userData, concatenation: readSar(pdu.tlvs) };
}

function readSar(tlvs: readonly Tlv[]): PartOf | null {
  const reference = findTlv(tlvs, Tag.sarMsgRefNum);
  const total = findTlv(tlvs, Tag.sarTotalSegments);
  const number = findTlv(tlvs, Tag.sarSegmentSeqnum);
  if (reference?.length !== 2 || total?.length !== 1 || number?.length !== 1) return null;
  return partOf(reference.readUInt16BE(0), total[0] as number, number[0] as number);
}

const partOf = (reference: number, total: number, number: number): PartOf | null =>
  number >= 1 && number <= total ? { reference, total, number } : null;
