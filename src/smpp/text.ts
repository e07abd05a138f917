/**
 * Text to octets and back, in an alphabet that is given; `plan.ts` chooses it. UCS-2 goes out as UTF-16, as every handset
 * reads it.
 */
import { type Alphabet, alphabetOf } from './data-coding.ts';
import { TextError } from './errors.ts';
import {
  DEFAULT_TABLE,
  NO_SHIFTS,
  readSeptets,
  type SeptetTable,
  type Shifts,
  septetLength,
  tableOf,
  unpack,
  writeSeptets,
} from './gsm7.ts';
import { codePoints } from './transliterate.ts';

/** The alphabets that text can be in. */
export const TEXT_ALPHABETS = ['gsm7', 'latin1', 'ucs2'] as const;
export type TextAlphabet = (typeof TEXT_ALPHABETS)[number];

export interface Encoding extends Shifts {
  readonly alphabet: TextAlphabet;
}

export const GSM7: Encoding = Object.freeze({ alphabet: 'gsm7', ...NO_SHIFTS });
export const LATIN1: Encoding = Object.freeze({ alphabet: 'latin1', ...NO_SHIFTS });
export const UCS2: Encoding = Object.freeze({ alphabet: 'ucs2', ...NO_SHIFTS });

/**
 * A text as octets, septets unpacked.
 * @throws TextError `not-in-alphabet`, `not-well-formed`.
 */
export function encodeText(text: string, encoding: Encoding): Buffer {
  if (lengthIn(text, encoding, tableFor(encoding)) < 0) refuse(text, [encoding]);
  return encodePart(text, encoding, 0, text.length);
}

/** text[start..end) of a text that the encoding is known to carry, behind `header` octets left to write. */
export function encodePart(text: string, encoding: Encoding, start: number, end: number, header = 0): Buffer {
  switch (encoding.alphabet) {
    case 'gsm7': {
      const table = tableOf(encoding);
      const out = Buffer.allocUnsafe(header + septetLength(text, table, start, end));
      writeSeptets(out, header, text, start, end, table);
      return out;
    }
    case 'latin1': {
      const out = Buffer.allocUnsafe(header + end - start);
      out.write(text.slice(start, end), header, 'latin1');
      return out;
    }
    case 'ucs2': {
      const out = Buffer.allocUnsafe(header + (end - start) * 2);
      out.write(text.slice(start, end), header, 'utf16le');
      out.subarray(header).swap16();
      return out;
    }
    default:
      return encoding.alphabet satisfies never;
  }
}

/** Septets or octets that a text takes; below 0 = −1 − the index of the first unit that is not in the alphabet. */
export function lengthIn(text: string, { alphabet }: Encoding, table: SeptetTable): number {
  switch (alphabet) {
    case 'gsm7':
      return septetLength(text, table);
    case 'latin1': {
      for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return -1 - i;
      return text.length;
    }
    case 'ucs2':
      return text.isWellFormed() ? text.length * 2 : -1 - halfPair(text);
    default:
      return alphabet satisfies never;
  }
}

const halfPair = (text: string): number => text.search(/\p{Surrogate}/u);

export const tableFor = (encoding: Encoding): SeptetTable =>
  encoding.alphabet === 'gsm7' ? tableOf(encoding) : DEFAULT_TABLE;

/** @throws TextError that names the character which stopped the alphabet that came furthest. */
export function refuse(text: string, usable: readonly Encoding[]): never {
  if (usable.length === 0) {
    throw new TextError('not-in-alphabet', 'no alphabet of the carrier can be sent with this message class');
  }
  const half = halfPair(text);
  if (half >= 0) throw new TextError('not-well-formed', 'the text holds half a surrogate pair', culprit(text, half));
  // One that carries the text and was not taken (national tables, where the SMSC makes the parts) stopped nowhere.
  const stops = usable.map((encoding) => -1 - lengthIn(text, encoding, tableFor(encoding)));
  const furthest = Math.max(0, ...stops);
  throw new TextError(
    'not-in-alphabet',
    'the text holds a character that no alphabet of the carrier has',
    culprit(text, furthest),
  );
}

function culprit(text: string, index: number): { character: string; codePoint: number; position: number } {
  const codePoint = text.codePointAt(index) ?? 0;
  return { character: String.fromCodePoint(codePoint), codePoint, position: codePoints(text.slice(0, index)) };
}

// what comes in ----------------------------------------------------------------------------------------------------

/** What a received message says of its octets beside data_coding. */
export interface Reading extends Shifts {
  readonly packed: boolean;
  /** Bits before the first packed septet. */
  readonly fill: number;
}

/**
 * Octets to text, for what comes in. Unpaired octets and septets without a character become U+FFFD; binary octets read as
 * Latin-1.
 * @param dataCoding as received; classes and flags of 3GPP TS 23.038 §4 (flash, waiting) are looked through.
 */
export function decodeText(octets: Buffer, dataCoding: number, reading: Partial<Reading> = NO_SHIFTS): string {
  const { locking = null, single = null, packed = false, fill = 0 } = reading;
  const alphabet: Alphabet = alphabetOf(dataCoding);
  switch (alphabet) {
    case 'ucs2': {
      const even = octets.length & ~1;
      const text = Buffer.from(octets.subarray(0, even)).swap16().toString('utf16le');
      return even === octets.length ? text : `${text}\ufffd`;
    }
    case 'latin1':
    case 'binary':
      return octets.toString('latin1');
    case 'gsm7':
      return readSeptets(packed ? unpack(octets, fill) : octets, tableOf({ locking, single }));
    default:
      return alphabet satisfies never;
  }
}
