/**
 * Card numbers in texts. PCI DSS 4.0 §3.4.1 lets at most the first six and last four digits of a card number be shown;
 * a text goes out over networks that anyone on the way can read, so a whole one is refused at the door.
 *
 * A card number here: 13 to 19 digits (ISO/IEC 7812-1) whose last is a right Luhn check digit, written in one group or in
 * several with spaces or dashes between. Such a number may stand next to other groups ("4111 1111 1111 1111 123"), so
 * every run of neighbouring groups is looked at. A masked number ("411111******1111") has no such run. An unbroken run of
 * more than 19 digits is no card number, and is not cut up: some window of it would nearly always pass for one.
 */

const DIGITS_MIN = 13;
const DIGITS_MAX = 19;
/** Spaces and dashes of Unicode, up to three between two groups: "4111 - 1111" is one number to a reader. */
const SEPARATORS = '[ \\t\\u00a0\\u2000-\\u200b\\u202f\\u2060\\u3000\\u00ad\\u2010-\\u2015\\u2212-]{1,3}';
const RUN = new RegExp(`\\d+(?:${SEPARATORS}\\d+)*`, 'gu');
const SPLIT = new RegExp(SEPARATORS, 'u');
const OTHER_DIGITS = /[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff10-\uff19]/gu;
/** Most texts have no 13 digits at all; this is all that they cost. */
const MAYBE = /\d(?:[^\d]{0,3}\d){12}/u;

export function hasCardNumber(text: string): boolean {
  const plain = text.replace(OTHER_DIGITS, asciiDigit);
  if (!MAYBE.test(plain)) return false;
  for (const [run] of plain.matchAll(RUN)) {
    if (run.length >= DIGITS_MIN && hasCardAmong(run.split(SPLIT))) return true;
  }
  return false;
}

function hasCardAmong(groups: readonly string[]): boolean {
  for (let from = 0; from < groups.length; from++) {
    let digits = '';
    for (let to = from; to < groups.length; to++) {
      digits += groups[to];
      if (digits.length > DIGITS_MAX) break;
      if (digits.length >= DIGITS_MIN && isLuhnValid(digits)) return true;
    }
  }
  return false;
}

/** ISO/IEC 7812-1 Annex B. */
export function isLuhnValid(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    const weighed = i % 2 === 1 ? digit * 2 : digit;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
}

/** The digits of each script stand in order, ten in a row. */
function asciiDigit(character: string): string {
  const code = character.charCodeAt(0);
  const zero = [0x0660, 0x06f0, 0x0966, 0xff10].find((start) => code >= start && code < start + 10) ?? code;
  return String(code - zero);
}
