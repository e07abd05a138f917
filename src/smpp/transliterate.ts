/**
 * Characters that an alphabet lacks, replaced by ones that it has. Only where a carrier's policy says so, never silently:
 * what was changed is counted and given back.
 *
 * - `punctuation`: typographic quotes, dashes, ellipses, spaces and invisible marks.
 * - `gsm7`: these, and letters: accents go (`ā` → `a`), letters that are one by themselves become their usual spelling
 *   (`ł` → `l`, `œ` → `oe`), currency signs their ISO 4217 code.
 *
 * Nothing that counts is ever touched: no digit, superscript or fraction has a replacement. A letter and its combining
 * marks are one character here, as they are to a reader.
 */

export const TRANSLITERATIONS = ['none', 'punctuation', 'gsm7'] as const;
export type Transliteration = (typeof TRANSLITERATIONS)[number];

export interface TextChange {
  /** As the producer wrote it: one character to a reader, maybe several code points. */
  readonly character: string;
  /** '' where it was left out. */
  readonly replacement: string;
  readonly count: number;
  /** Where it stands first: how many code points are before it. */
  readonly position: number;
}

export interface Transliterated {
  readonly text: string;
  /** In the order of their first positions. */
  readonly changes: readonly TextChange[];
}

const PUNCTUATION = new Map<string, string>([
  ...each("'", '\u2018\u2019\u201a\u201b\u2032\u02b9\u02bc\u02c8\u00b4\u0060\u2039\u203a'),
  ...each('"', '\u201c\u201d\u201e\u201f\u2033\u02ba\u00ab\u00bb'),
  ...each('-', '\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043'),
  ...each('*', '\u2022\u2023\u00b7\u2219\u25cf\u25aa'),
  ...each('/', '\u2044\u2215'),
  ...each('...', '\u2026'),
  // Spaces of every width, and the tab.
  ...each(' ', '\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000'),
  ...each('\n', '\u000b\u0085\u2028\u2029'),
  // Invisible: soft hyphen, zero-width space and joiners, marks of direction, byte order mark.
  ...each('', '\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff'),
]);

const LETTERS = new Map<string, string>([
  ...pairs('ł l Ł L đ d Đ D ð d Ð D þ th Þ Th ħ h Ħ H ı i ŋ n Ŋ N ŧ t Ŧ T ĸ k ſ s ə e Ə E ƒ f ẞ SS ø o Ø O æ ae Æ AE'),
  ...pairs('œ oe Œ OE ĳ ij Ĳ IJ ŉ \u0027n ﬀ ff ﬁ fi ﬂ fl ﬃ ffi ﬄ ffl å a Å A'),
  ...pairs('© (c) ® (R) ™ (TM) № No × x ÷ / ¦ | ≤ <= ≥ >= ≠ <> ≈ ~ → -> ← <-'),
  ...pairs('₹ INR ₺ TRY ₽ RUB ₴ UAH ₪ ILS ₫ VND ₩ KRW ₦ NGN ₱ PHP ₸ KZT ₾ GEL ₡ CRC ₲ PYG ₼ AZN ฿ THB'),
]);

/** Different characters that a text may have replaced; one with more is left as it is. What is reported has an end. */
const CHANGES_MAX = 200;

const MARKS = /\p{M}+/gu;
// Marks are only taken off letters: `≮` is not `<`, and a digit struck through is no digit.
const LETTER = /^\p{L}/u;
const ENDS_IN_LETTER = /\p{L}$/u;
const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

/**
 * The text in characters for which `carries` holds.
 * @returns null when a character has no replacement under this policy that would do, or too many would be needed.
 */
export function transliterate(
  text: string,
  policy: Transliteration,
  carries: (text: string) => boolean,
): Transliterated | null {
  const changes = new Map<string, { replacement: string; count: number; position: number }>();
  let result = '';
  let position = 0;
  for (const { segment: character } of graphemes.segment(text)) {
    if (carries(character)) {
      result += character;
    } else {
      const replacement = policy === 'none' ? null : replacementOf(character, policy, carries);
      if (replacement === null) return null;
      result += replacement;
      const change = changes.get(character);
      if (change === undefined && changes.size === CHANGES_MAX) return null;
      if (change === undefined) changes.set(character, { replacement, count: 1, position });
      else change.count++;
    }
    position += codePoints(character);
  }
  return { text: result, changes: [...changes].map(([character, change]) => ({ character, ...change })) };
}

/** How many code points a text has. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function replacementOf(
  character: string,
  policy: Exclude<Transliteration, 'none'>,
  carries: (text: string) => boolean,
): string | null {
  // The same character in its composed form is no loss.
  const composed = character.normalize('NFC');
  if (carries(composed)) return composed;
  let result = '';
  for (const one of composed) {
    const candidate = carries(one) ? one : candidateFor(one, policy, ENDS_IN_LETTER.test(result));
    if (candidate === null || !carries(candidate)) return null;
    result += candidate;
  }
  return result;
}

function candidateFor(one: string, policy: 'punctuation' | 'gsm7', afterLetter: boolean): string | null {
  const punctuation = PUNCTUATION.get(one);
  if (punctuation !== undefined || policy === 'punctuation') return punctuation ?? null;
  const letter = LETTERS.get(one);
  if (letter !== undefined) return letter;
  const bare = one.normalize('NFD').replace(MARKS, '');
  // A mark that has no composed form with the letter before it.
  if (bare === '') return afterLetter ? '' : null;
  return LETTER.test(one) && bare !== one ? (LETTERS.get(bare) ?? bare) : null;
}

function each(replacement: string, characters: string): [string, string][] {
  return [...characters].map((character) => [character, replacement]);
}

/** `a b c d` → a becomes b, c becomes d. */
function pairs(list: string): [string, string][] {
  const words = list.split(' ');
  return words.flatMap((word, i): [string, string][] => (i % 2 === 0 ? [[word, words[i + 1] ?? '']] : []));
}
