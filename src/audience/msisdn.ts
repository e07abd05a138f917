/**
 * MSISDNs. A number is taken when it is written as E.164 (`+`, 7 to 15 digits, no separators) and is *possible*: its
 * calling code exists and its length is one that this numbering plan uses. Not "valid": ranges reserved for fiction,
 * new ranges and private ranges are possible numbers that no validity table knows.
 *
 * The number must also be its own canonical form: `+4407700900123` (with the trunk zero) is a second spelling of
 * `+447700900123`, and one person must not be two recipients.
 */
import parsePhoneNumber from 'libphonenumber-js/min';
import { LRUCache } from 'lru-cache';

/** `+` and 7 to 15 digits: a possible E.164 number. Made only by `parseMsisdn`. */
export type Msisdn = string & { readonly __brand: 'Msisdn' };

export const E164 = /^\+[1-9]\d{6,14}$/;

/** The library takes about 19 µs a number: verdicts are kept for the numbers seen last (about 25 MB when full). */
const VERDICTS_MAX = 100_000;
const verdicts = new LRUCache<string, boolean>({ max: VERDICTS_MAX });

/** The number as a branded value, or null when it is not a possible E.164 number in its canonical form. */
export function parseMsisdn(text: string): Msisdn | null {
  if (!E164.test(text)) return null;
  let possible = verdicts.get(text);
  if (possible === undefined) {
    possible = isPossible(text);
    verdicts.set(text, possible);
  }
  return possible ? (text as Msisdn) : null;
}

function isPossible(text: string): boolean {
  const parsed = parsePhoneNumber(text, { extract: false });
  return parsed !== undefined && parsed.isPossible() && parsed.number === text;
}
