/**
 * GSM 7-bit: text to septets and back, under the default alphabet or national language tables; septets to octets, one
 * each (unpacked) or eight in seven (packed, 3GPP TS 23.038 §6.1.2).
 */
import {
  DEFAULT_BASIC,
  DEFAULT_EXTENSION,
  ESCAPE,
  LANGUAGE_IDS,
  LOCKING,
  NATIONAL_LANGUAGES,
  type NationalLanguage,
  SINGLE,
} from './gsm7-tables.ts';

/** Which tables are in force; null = the default alphabet, the default extension. */
export interface Shifts {
  readonly locking: NationalLanguage | null;
  readonly single: NationalLanguage | null;
}

/** A pair of tables, ready for use. */
export interface SeptetTable extends Shifts {
  /** UTF-16 unit → septet, or EXTENDED | septet, or NONE. */
  readonly codes: Uint16Array;
  readonly basic: string;
  readonly extension: ReadonlyMap<number, string>;
}

export const NONE = 0xffff;
/** A code of this and up takes two septets: the escape, then its low seven bits. */
export const EXTENDED = 0x100;

const CR = 0x0d;

export const NO_SHIFTS: Shifts = Object.freeze({ locking: null, single: null });
export const DEFAULT_TABLE = makeTable(NO_SHIFTS);

const tables = new Map<string, SeptetTable>();

/** A table is made when it is first asked for (its codes take 128 KB), and kept. @throws RangeError for Spanish locking. */
export function tableOf({ locking, single }: Shifts): SeptetTable {
  if (locking === null && single === null) return DEFAULT_TABLE;
  const name = `${locking}/${single}`;
  let table = tables.get(name);
  if (table === undefined) {
    table = makeTable({ locking, single });
    tables.set(name, table);
  }
  return table;
}

function makeTable({ locking, single }: Shifts): SeptetTable {
  const basic = locking === null ? DEFAULT_BASIC : LOCKING[locking];
  if (basic === undefined) throw new RangeError(`${locking} has no locking shift table`);
  const extension = single === null ? DEFAULT_EXTENSION : SINGLE[single];
  const codes = new Uint16Array(0x10000).fill(NONE);
  for (const [septet, character] of extension) codes[character.charCodeAt(0)] = EXTENDED | septet;
  // After the extension: a character in both costs one septet.
  for (let septet = 0; septet < basic.length; septet++) {
    if (septet !== ESCAPE) codes[basic.charCodeAt(septet)] = septet;
  }
  return { locking, single, codes, basic, extension: new Map(extension) };
}

/**
 * The pairs of tables that these languages allow, the default pair first. Left out is a single shift table whose letters
 * the locking one holds already: it would only cost octets.
 */
export function shiftsOf(languages: readonly NationalLanguage[]): Shifts[] {
  const lockings = [null, ...languages.filter((language) => LOCKING[language] !== undefined)];
  return lockings.flatMap((locking) =>
    [null, ...languages].flatMap((single) => (adds(locking, single) ? [{ locking, single }] : [])),
  );
}

function adds(locking: NationalLanguage | null, single: NationalLanguage | null): boolean {
  if (single === null) return true;
  const basic = (locking === null ? undefined : LOCKING[locking]) ?? DEFAULT_BASIC;
  const extension = DEFAULT_EXTENSION.map(([, character]) => character);
  return SINGLE[single].some(([, character]) => !basic.includes(character) && !extension.includes(character));
}

/** The language with this identifier; undefined when it is none of ours. */
export const languageOf = (id: number): NationalLanguage | undefined =>
  NATIONAL_LANGUAGES.find((language) => LANGUAGE_IDS[language] === id);

/**
 * How many septets text[start..end) takes, escapes included; −1 − the index of the first unit that the tables don't hold.
 */
export function septetLength(text: string, { codes }: SeptetTable, start = 0, end = text.length): number {
  let septets = 0;
  for (let i = start; i < end; i++) {
    const code = codes[text.charCodeAt(i)] as number;
    if (code === NONE) return -1 - i;
    septets += code >= EXTENDED ? 2 : 1;
  }
  return septets;
}

/** Writes text[start..end), which the tables hold, as one septet an octet from out[at] on. */
export function writeSeptets(
  out: Uint8Array,
  at: number,
  text: string,
  start: number,
  end: number,
  { codes }: SeptetTable,
): void {
  for (let i = start; i < end; i++) {
    const code = codes[text.charCodeAt(i)] as number;
    if (code >= EXTENDED) out[at++] = ESCAPE;
    out[at++] = code & 0x7f;
  }
}

/** Never throws: an octet that is no septet, or has no character, becomes U+FFFD. */
export function readSeptets(septets: Uint8Array, { basic, extension }: SeptetTable): string {
  let text = '';
  for (let i = 0; i < septets.length; i++) {
    let septet = septets[i] as number;
    if (septet === ESCAPE && i + 1 < septets.length) {
      septet = septets[++i] as number;
      const character = extension.get(septet);
      if (character !== undefined) {
        text += character;
        continue;
      }
      // 3GPP TS 23.038 §6.2.1.1: an unknown extension shows the character of the basic table.
    }
    text += septet === ESCAPE || septet > 0x7f ? '\ufffd' : basic.charAt(septet);
  }
  return text;
}

// packing ----------------------------------------------------------------------------------------------------------

/** Bits left empty after a user data header, so that septets begin at a septet boundary (3GPP TS 23.040 §9.2.3.24). */
export const fillBits = (headerLength: number): number => (7 - ((headerLength * 8) % 7)) % 7;

/**
 * How many septets are packed for `septets` of which the last is `last`. SMPP tells a receiver octets, not septets, so
 * seven spare bits would read as an `@`: they are filled with a CR, and where a CR of the text itself ends on an octet, a
 * second one follows (3GPP TS 23.038 §6.1.2.3.1).
 */
export function packedSeptets(septets: number, last: number, fill: number): number {
  if (septets === 0) return 0;
  const over = (fill + septets * 7) % 8;
  return over === 1 || (over === 0 && last === CR) ? septets + 1 : septets;
}

/** Septets (one an octet) packed after `fill` zero bits. */
export function pack(septets: Uint8Array, fill: number): Buffer {
  const total = packedSeptets(septets.length, septets[septets.length - 1] ?? 0, fill);
  const out = Buffer.alloc(total === 0 ? 0 : Math.ceil((fill + total * 7) / 8));
  for (let i = 0, bit = fill; i < total; i++, bit += 7) {
    const septet = i < septets.length ? (septets[i] as number) : CR;
    const at = bit >> 3;
    const shifted = septet << (bit & 7);
    out[at] = (out[at] as number) | (shifted & 0xff);
    if (shifted > 0xff) out[at + 1] = shifted >> 8;
  }
  return out;
}

/** The septets behind `fill` bits, one an octet, without the CR that fills the last octet. */
export function unpack(octets: Uint8Array, fill: number): Buffer {
  const bits = Math.max(0, octets.length * 8 - fill);
  const out = Buffer.alloc(Math.floor(bits / 7));
  for (let i = 0, bit = fill; i < out.length; i++, bit += 7) {
    const at = bit >> 3;
    out[i] = ((((octets[at + 1] ?? 0) << 8) | (octets[at] as number)) >> (bit & 7)) & 0x7f;
  }
  return out.length > 0 && bits % 7 === 0 && out[out.length - 1] === CR ? out.subarray(0, -1) : out;
}
