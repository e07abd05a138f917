/**
 * How a text is laid out in parts: the header that a part begins with, what fits beside it, and where to cut.
 *
 * A part holds 140 octets of user data (3GPP TS 23.040 §9.2.3.16). A user data header of H octets leaves 140 − H octets, or
 * as many septets as fit behind the bits that fill its last septet, whether they are packed here or by the SMSC:
 *
 * | header                                | octets | septets | octets left (UCS-2: the even number below) |
 * |---------------------------------------|--------|---------|--------------------------------------------|
 * | none                                  | 0      | 160     | 140                                        |
 * | one national table                    | 4      | 155     | 136                                        |
 * | 8-bit reference                       | 6      | 153     | 134                                        |
 * | 16-bit reference; both national tables | 7     | 152     | 133                                        |
 * | 8-bit reference and one table         | 9      | 149     | 131                                        |
 * | 16-bit reference and one table        | 10     | 148     | 130                                        |
 * | 8-bit reference and both tables       | 12     | 146     | 128                                        |
 * | 16-bit reference and both tables      | 13     | 145     | 127                                        |
 */
import type { Alphabet } from './data-coding.ts';
import { EXTENDED, fillBits, packedSeptets, type SeptetTable, type Shifts } from './gsm7.ts';
import { LANGUAGE_IDS, type NationalLanguage } from './gsm7-tables.ts';

export const PARTS_MAX = 255;
export const USER_DATA_OCTETS = 140;

/** How the parts of a long message say that they belong together. */
export const CONCATENATIONS = ['udh-16', 'udh-8', 'sar', 'payload'] as const;
export type Concatenation = (typeof CONCATENATIONS)[number];

/** Information elements of a user data header (3GPP TS 23.040 §9.2.3.24). */
export const Element = { reference8: 0x00, reference16: 0x08, single: 0x24, locking: 0x25 } as const;

const ELEMENT_LENGTHS: Readonly<Record<Concatenation, number>> = { 'udh-16': 6, 'udh-8': 5, sar: 0, payload: 0 };

/** Octets of the header of a part, its own length included. @param concatenation null for a message in one part. */
export function headerLength({ locking, single }: Shifts, concatenation: Concatenation | null): number {
  const elements =
    (concatenation === null ? 0 : ELEMENT_LENGTHS[concatenation]) +
    (locking === null ? 0 : 3) +
    (single === null ? 0 : 3);
  return elements === 0 ? 0 : elements + 1;
}

/** Writes the header at the start of a part, with the reference left to {@link writeReference}. */
export function writeHeader(
  part: Uint8Array,
  { locking, single }: Shifts,
  concatenation: Concatenation | null,
  total: number,
  number: number,
): void {
  let at = 1;
  if (concatenation === 'udh-16' || concatenation === 'udh-8') {
    const octets = concatenation === 'udh-16' ? 2 : 1;
    part[at++] = octets === 2 ? Element.reference16 : Element.reference8;
    part[at++] = octets + 2;
    at += octets;
    part[at++] = total;
    part[at++] = number;
  }
  if (locking !== null) at = writeLanguage(part, at, Element.locking, locking);
  if (single !== null) at = writeLanguage(part, at, Element.single, single);
  part[0] = at - 1;
}

function writeLanguage(part: Uint8Array, at: number, element: number, language: NationalLanguage): number {
  part[at] = element;
  part[at + 1] = 1;
  part[at + 2] = LANGUAGE_IDS[language];
  return at + 3;
}

/** The reference of a part that begins with a header of {@link writeHeader}, in place. */
export function writeReference(part: Buffer, concatenation: 'udh-16' | 'udh-8', reference: number): void {
  let at = 3;
  if (concatenation === 'udh-16') part[at++] = (reference >>> 8) & 0xff;
  part[at] = reference & 0xff;
}

/** Septets, or octets, that fit beside a header of that length. */
export function capacity(alphabet: Alphabet, header: number, octets = USER_DATA_OCTETS): number {
  const left = octets - header;
  switch (alphabet) {
    case 'gsm7':
      return Math.floor((left * 8 - fillBits(header)) / 7);
    case 'ucs2':
      return left & ~1;
    case 'latin1':
    case 'binary':
      return left;
    default:
      return alphabet satisfies never;
  }
}

const CR = 0x0d;
const LF = 0x0a;

/** Whether a cut before text[at] would part a line's end (CR LF), the one pair that no alphabet keeps from being cut. */
const insideLineEnd = (text: string, at: number): boolean =>
  text.charCodeAt(at) === LF && text.charCodeAt(at - 1) === CR;

/**
 * Where each part of a GSM 7-bit text ends, in UTF-16 units. An escape stays with what it leads to.
 * @param packed so that no part but the last ends in a CR on an octet: a second one would have to follow it.
 */
export function cutSeptets(
  text: string,
  { codes }: SeptetTable,
  limit: number,
  { packed, header }: { packed: boolean; header: number },
): number[] {
  const cuts: number[] = [];
  const fill = fillBits(header);
  let start = 0;
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    const size = (codes[text.charCodeAt(i)] as number) >= EXTENDED ? 2 : 1;
    if (used + size <= limit) {
      used += size;
      continue;
    }
    let end = i;
    if (insideLineEnd(text, end) && end - 1 > start) {
      end--;
      used--;
    }
    // It may have come to end in another CR, before the line's end.
    if (packed && text.charCodeAt(end - 1) === CR && (fill + used * 7) % 8 === 0) end--;
    cuts.push(end);
    start = end;
    used = 0;
    i = end - 1;
  }
  const last = text.charCodeAt(text.length - 1);
  if (packed && packedSeptets(used, last, fill) > limit) cuts.push(text.length - 1);
  cuts.push(text.length);
  return cuts;
}

/** The same where each unit takes one of what fits: Latin-1, and GSM 7-bit without escapes. */
export function cutEvenly(text: string, limit: number): number[] {
  const cuts: number[] = [];
  for (let start = 0; text.length - start > limit; ) {
    const end = start + limit;
    start = insideLineEnd(text, end) ? end - 1 : end;
    cuts.push(start);
  }
  cuts.push(text.length);
  return cuts;
}

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

/**
 * Whether a unit joins neither the one before nor the one after it, but for LF after CR (Unicode Standard Annex 29): true of
 * all below U+0600 that is no mark, and of Han. Of others the segmenter is asked, which takes some 10 µs.
 */
const standsAlone = (unit: number): boolean =>
  unit < 0x300 ||
  (unit >= 0x370 && unit <= 0x482) ||
  (unit >= 0x48a && unit <= 0x590) ||
  (unit >= 0x4e00 && unit <= 0x9fff);

/**
 * The same for UCS-2. What a reader sees as one character (a surrogate pair, a letter with its marks, a family emoji)
 * stays together, unless it is longer than a part: then it is cut, but never inside a surrogate pair.
 * @param limit in octets, even.
 */
export function cutUcs2(text: string, limit: number): number[] {
  const cuts: number[] = [];
  let clusters: Intl.Segments | undefined;
  for (let start = 0; text.length - start > limit / 2; ) {
    let end = start + limit / 2;
    const plain = standsAlone(text.charCodeAt(end)) && standsAlone(text.charCodeAt(end - 1));
    if (!plain || insideLineEnd(text, end)) {
      clusters ??= graphemes.segment(text);
      const first = clusters.containing(end)?.index ?? end;
      if (first > start) end = first;
      else if ((text.charCodeAt(end) & 0xfc00) === 0xdc00) end--;
    }
    cuts.push(end);
    start = end;
  }
  cuts.push(text.length);
  return cuts;
}

/** Octets have no meaning of their own: every part but the last is full. */
export function cutBinary(length: number, limit: number): number[] {
  const cuts: number[] = [];
  for (let end = limit; end < length; end += limit) cuts.push(end);
  cuts.push(length);
  return cuts;
}
