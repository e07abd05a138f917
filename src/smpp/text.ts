/**
 * Text to octets: the cheapest of the alphabets that a carrier takes and that carries the whole text. No character is ever
 * replaced unless the carrier's policy says how (see `transliterate.ts`), and then the plan says which.
 *
 * Fewest parts win; then the GSM 7-bit default alphabet, which every phone reads; then fewest octets; then the order in
 * which the carrier names its alphabets. National language tables, Latin-1 and UCS-2 thus stand in only where they carry
 * what the default alphabet can't, or save a part.
 *
 * UCS-2 goes out as UTF-16, as every handset reads it.
 */
import { type Alphabet, alphabetOf, dataCodingOf, type Marking } from './data-coding.ts';
import { TextError } from './errors.ts';
import {
  DEFAULT_TABLE,
  fillBits,
  NO_SHIFTS,
  packedSeptets,
  readSeptets,
  type SeptetTable,
  type Shifts,
  septetLength,
  shiftsOf,
  tableOf,
  unpack,
  writeSeptets,
} from './gsm7.ts';
import type { NationalLanguage } from './gsm7-tables.ts';
import {
  type Concatenation,
  capacity,
  cutEvenly,
  cutSeptets,
  cutUcs2,
  headerLength,
  PARTS_MAX,
  USER_DATA_OCTETS,
} from './layout.ts';
import {
  codePoints,
  type TextChange,
  type Transliterated,
  type Transliteration,
  transliterate,
} from './transliterate.ts';

/** The alphabets that text can be in. */
export const TEXT_ALPHABETS = ['gsm7', 'latin1', 'ucs2'] as const;
export type TextAlphabet = (typeof TEXT_ALPHABETS)[number];

/** What a carrier takes, and how it wants it. */
export interface TextOptions {
  /** At least one. Of two that cost the same, the first. */
  readonly alphabets: readonly TextAlphabet[];
  /** National language tables that may be used with `gsm7`. */
  readonly languages: readonly NationalLanguage[];
  /** Septets packed by us; else one an octet, packed by the SMSC. */
  readonly packed: boolean;
  readonly concatenation: Concatenation;
  /** User data that a part with SAR TLVs may hold: 140, or less where the SMSC puts a header into the same 140 octets. */
  readonly sarOctets: number;
  readonly transliterate: Transliteration;
  /** Message class or waiting indication. An alphabet that can't be sent with it is not used. */
  readonly marking: Marking | null;
}

export const TEXT_OPTIONS: TextOptions = Object.freeze({
  alphabets: ['gsm7', 'ucs2'],
  languages: [],
  packed: false,
  concatenation: 'udh-16',
  sarOctets: USER_DATA_OCTETS,
  transliterate: 'none',
  marking: null,
} as const);

export interface Encoding extends Shifts {
  readonly alphabet: TextAlphabet;
}

/** How a text will be sent. */
export interface TextPlan {
  /** What is sent: the text as given, or as transliterated. */
  readonly text: string;
  readonly changes: readonly TextChange[];
  readonly encoding: Encoding;
  readonly dataCoding: number;
  /** Null for a text in one part. */
  readonly concatenation: Concatenation | null;
  /** Where each part ends in `text`, in UTF-16 units: one for each submit_sm. */
  readonly cuts: readonly number[];
}

const GSM7: Encoding = Object.freeze({ alphabet: 'gsm7', ...NO_SHIFTS });
const LATIN1: Encoding = Object.freeze({ alphabet: 'latin1', ...NO_SHIFTS });
const UCS2: Encoding = Object.freeze({ alphabet: 'ucs2', ...NO_SHIFTS });
const NO_CHANGES: readonly TextChange[] = Object.freeze([]);

/**
 * Chooses the alphabet and lays the text out.
 * @throws TextError `not-in-alphabet` when no alphabet of the carrier's carries the text, `not-well-formed` for half a
 * surrogate pair, `too-many-parts` beyond 255.
 */
export function planText(text: string, options: TextOptions): TextPlan {
  const plan = planPlain(text, options) ?? planAny(text, options);
  if (plan.cuts.length > PARTS_MAX) throw tooManyParts(plan.cuts.length);
  return plan;
}

export const tooManyParts = (parts: number): TextError =>
  new TextError('too-many-parts', `the text takes ${parts} parts, at most ${PARTS_MAX} can be sent`);

/**
 * The plan of most texts, found in one pass: the default alphabet carries the text, and nothing can be cheaper because it
 * is in one part, or holds no escape that another table could save. Null when that can't be said so quickly.
 */
function planPlain(text: string, options: TextOptions): TextPlan | null {
  if (!options.alphabets.includes('gsm7')) return null;
  const dataCoding = dataCodingOf('gsm7', options.marking);
  if (dataCoding === null) return null;
  const septets = septetLength(text, DEFAULT_TABLE);
  if (septets < 0) return null;
  if (isOnePart(text, septets, GSM7, options)) {
    return { text, changes: NO_CHANGES, encoding: GSM7, dataCoding, concatenation: null, cuts: [text.length] };
  }
  if (septets !== text.length && (options.languages.length > 0 || options.alphabets.includes('latin1'))) return null;
  return {
    text,
    changes: NO_CHANGES,
    encoding: GSM7,
    dataCoding,
    ...layOut(text, septets, GSM7, DEFAULT_TABLE, options),
  };
}

function planAny(text: string, options: TextOptions): TextPlan {
  const usable = encodingsOf(options);
  const best = cheapest(text, NO_CHANGES, usable, options);
  if (best !== null && best.encoding.alphabet !== 'ucs2') return best;
  return transliterated(text, usable, options) ?? best ?? refuse(text, usable);
}

const encodings = new WeakMap<TextOptions, readonly Encoding[]>();

/**
 * Every alphabet, and every pair of tables, that may be used: the default alphabet before national tables. Kept for each
 * policy, for policies are few and texts many.
 */
function encodingsOf(options: TextOptions): readonly Encoding[] {
  let known = encodings.get(options);
  if (known === undefined) {
    known = listEncodings(options).filter(({ alphabet }) => dataCodingOf(alphabet, options.marking) !== null);
    encodings.set(options, known);
  }
  return known;
}

function listEncodings({ alphabets, languages }: TextOptions): Encoding[] {
  return alphabets.flatMap((alphabet): Encoding[] => {
    switch (alphabet) {
      case 'gsm7':
        return shiftsOf(languages).map((shifts) => ({ alphabet, ...shifts }));
      case 'latin1':
        return [LATIN1];
      case 'ucs2':
        return [UCS2];
      default:
        return alphabet satisfies never;
    }
  });
}

/** Null when none carries the text. */
function cheapest(
  text: string,
  changes: readonly TextChange[],
  usable: readonly Encoding[],
  options: TextOptions,
): TextPlan | null {
  const carrying = usable.flatMap((encoding) => {
    const units = lengthIn(text, encoding, tableFor(encoding));
    return units < 0 || cantBeParted(text, units, encoding, options) ? [] : [{ encoding, units }];
  });
  const best = carrying.length <= 1 ? carrying[0] : least(carrying, (each) => costOf(text, each, options));
  if (best === undefined) return null;
  const { encoding, units } = best;
  const dataCoding = dataCodingOf(encoding.alphabet, options.marking) as number;
  return { text, changes, encoding, dataCoding, ...layOut(text, units, encoding, tableFor(encoding), options) };
}

/** An SMSC that makes the parts itself knows nothing of national tables. */
const cantBeParted = (text: string, units: number, encoding: Encoding, options: TextOptions): boolean =>
  options.concatenation === 'payload' && isNational(encoding) && !isOnePart(text, units, encoding, options);

const isNational = ({ locking, single }: Encoding): boolean => locking !== null || single !== null;

/** Parts, then whether it is anything but the default alphabet, then octets on the air. */
function costOf(
  text: string,
  { encoding, units }: { encoding: Encoding; units: number },
  options: TextOptions,
): readonly number[] {
  // Of an SMSC that makes the parts itself: with an 8-bit reference, as most do.
  const inParts = options.concatenation === 'payload' ? { ...options, concatenation: 'udh-8' as const } : options;
  const { cuts, concatenation } = layOut(text, units, encoding, tableFor(encoding), inParts);
  const plain = encoding.alphabet === 'gsm7' && !isNational(encoding);
  const octets = encoding.alphabet === 'gsm7' ? Math.ceil((units * 7) / 8) : units;
  return [cuts.length, plain ? 0 : 1, octets + cuts.length * headerLength(encoding, concatenation)];
}

/** The one that costs least; of two that cost the same, the first. */
function least<T>(values: readonly T[], costOfOne: (value: T) => readonly number[]): T | undefined {
  let best: { value: T; cost: readonly number[] } | undefined;
  for (const value of values) {
    const cost = costOfOne(value);
    if (best === undefined || isLess(cost, best.cost)) best = { value, cost };
  }
  return best?.value;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}

/** Septets or octets; below 0 = −1 − the index of the first unit that is not in the alphabet. */
function lengthIn(text: string, { alphabet }: Encoding, table: SeptetTable): number {
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

const tableFor = (encoding: Encoding): SeptetTable =>
  encoding.alphabet === 'gsm7' ? tableOf(encoding) : DEFAULT_TABLE;

function layOut(
  text: string,
  units: number,
  encoding: Encoding,
  table: SeptetTable,
  options: TextOptions,
): Pick<TextPlan, 'concatenation' | 'cuts'> {
  if (isOnePart(text, units, encoding, options)) return { concatenation: null, cuts: [text.length] };
  const { concatenation } = options;
  if (concatenation !== 'payload') {
    return { concatenation, cuts: cutsOf(text, units, encoding, table, options, concatenation) };
  }
  // One submit_sm; but what the SMSC makes of it has as many parts as any other text may have.
  const made = cutsOf(text, units, encoding, table, options, 'udh-8').length;
  if (made > PARTS_MAX) throw tooManyParts(made);
  return { concatenation, cuts: [text.length] };
}

function isOnePart(text: string, units: number, encoding: Encoding, { packed }: TextOptions): boolean {
  const header = headerLength(encoding, null);
  const needed =
    packed && encoding.alphabet === 'gsm7'
      ? packedSeptets(units, text.charCodeAt(text.length - 1), fillBits(header))
      : units;
  return needed <= capacity(encoding.alphabet, header);
}

function cutsOf(
  text: string,
  units: number,
  encoding: Encoding,
  table: SeptetTable,
  { packed, sarOctets }: TextOptions,
  concatenation: Concatenation,
): number[] {
  const header = headerLength(encoding, concatenation);
  const limit = capacity(encoding.alphabet, header, concatenation === 'sar' ? sarOctets : USER_DATA_OCTETS);
  switch (encoding.alphabet) {
    case 'gsm7':
      return units === text.length && !packed
        ? cutEvenly(text, limit)
        : cutSeptets(text, table, limit, { packed, header });
    case 'latin1':
      return cutEvenly(text, limit);
    case 'ucs2':
      return cutUcs2(text, limit);
    default:
      return encoding.alphabet satisfies never;
  }
}

/** The text as policy lets it be changed so that GSM 7-bit carries it: by the tables that need the fewest changes. */
function transliterated(text: string, usable: readonly Encoding[], options: TextOptions): TextPlan | null {
  const septets = usable.filter(({ alphabet }) => alphabet === 'gsm7');
  const under = (tables: readonly SeptetTable[]): Transliterated | null =>
    transliterate(text, options.transliterate, (part) => tables.some((table) => septetLength(part, table) >= 0));
  const tables = septets.map(tableOf);
  // What all tables together don't hold, none does: most texts of another script end here.
  if (options.transliterate === 'none' || under(tables) === null) return null;
  const results = tables.flatMap((table) => under([table]) ?? []);
  const best = least(results, ({ changes }) => [changes.reduce((sum, change) => sum + change.count, 0)]);
  return best === undefined ? null : cheapest(best.text, best.changes, septets, options);
}

/** Names the character that stopped the alphabet which came furthest. */
function refuse(text: string, usable: readonly Encoding[]): never {
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

/**
 * One part of a text as octets, septets unpacked.
 * @throws TextError `not-in-alphabet`, `not-well-formed`.
 */
export function encodeText(text: string, encoding: Encoding, start = 0, end = text.length): Buffer {
  const units = lengthIn(text, encoding, tableFor(encoding));
  if (units < 0) refuse(text, [encoding]);
  return encodePart(text, encoding, start, end);
}

/** The same for text[start..end) of a text that the encoding is known to carry, behind `header` octets left to write. */
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

/** What a received message says of its octets beside data_coding. */
export interface Reading extends Shifts {
  readonly packed: boolean;
  /** Bits before the first packed septet. */
  readonly fill: number;
}

const UNPACKED: Reading = Object.freeze({ ...NO_SHIFTS, packed: false, fill: 0 });

/**
 * Octets to text, for what comes in. Unpaired octets and septets without a character become U+FFFD; binary octets read as
 * Latin-1.
 * @param dataCoding as received; classes and flags of 3GPP TS 23.038 §4 (flash, waiting) are looked through.
 */
export function decodeText(octets: Buffer, dataCoding: number, reading: Partial<Reading> = UNPACKED): string {
  const { locking, single, packed, fill } = { ...UNPACKED, ...reading };
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
