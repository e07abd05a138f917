/**
 * How a text will be sent: in the cheapest of the alphabets that a carrier takes and that carries the whole text. No
 * character is ever replaced unless the carrier's policy says how (see `transliterate.ts`), and then the plan says which.
 *
 * Fewest parts win; then the GSM 7-bit default alphabet, which every phone reads; then fewest octets; then the order in
 * which the carrier names its alphabets. National language tables, Latin-1 and UCS-2 thus stand in only where they carry
 * what the default alphabet can't, or save a part.
 */
import { dataCodingOf, type Marking } from './data-coding.ts';
import { TextError } from './errors.ts';
import { DEFAULT_TABLE, fillBits, packedSeptets, type SeptetTable, septetLength, shiftsOf, tableOf } from './gsm7.ts';
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
import { type Encoding, GSM7, LATIN1, lengthIn, refuse, type TextAlphabet, tableFor, UCS2 } from './text.ts';
import { type TextChange, type Transliterated, type Transliteration, transliterate } from './transliterate.ts';

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
