/**
 * MSISDNs. A number is taken when it is written as E.164 (`+`, 7 to 15 digits, no separators) and is *possible*: its
 * calling code exists and its length is one that this numbering plan uses. Not "valid": ranges reserved for fiction,
 * new ranges and private ranges are possible numbers that no validity table knows.
 *
 * The number must also be its own canonical form: `+4407700900123` (with the trunk zero) is a second spelling of
 * `+447700900123`, and one person must not be two recipients.
 */
import parsePhoneNumber, { type CountryCode, Metadata } from 'libphonenumber-js/core';
import metadata from 'libphonenumber-js/metadata.min';
import { LRUCache } from 'lru-cache';

/** `+` and 7 to 15 digits: a possible E.164 number. Made only by `parseMsisdn`. */
export type Msisdn = string & { readonly __brand: 'Msisdn' };

export const E164 = /^\+[1-9]\d{6,14}$/;

/** Verdicts of the library, at 19 µs each, for the numbers that `plainLengths` can't decide. About 2.5 MB when full. */
const verdicts = new LRUCache<string, boolean>({ max: 10_000 });

/** The number as a branded value, or null when it is not a possible E.164 number in its canonical form. */
export function parseMsisdn(text: string): Msisdn | null {
  if (!E164.test(text)) return null;
  if (isPlainlyPossible(text)) return text as Msisdn;
  let possible = verdicts.get(text);
  if (possible === undefined) {
    possible = isPossible(text);
    verdicts.set(text, possible);
  }
  return possible ? (text as Msisdn) : null;
}

/** The library's verdict. A test holds `parseMsisdn` to it. */
export function isPossible(text: string): boolean {
  const parsed = parsePhoneNumber(text, { extract: false }, metadata);
  return parsed?.isPossible() === true && parsed.number === text;
}

/**
 * What the library asks of most numbers, taken from its own tables: the length is possible under every numbering plan
 * of the calling code, and no plan's trunk prefix could be read at the start. 0.2 µs instead of 19: an import of a
 * million numbers, or an alert to 5,000, may not hold up everything else. A number that fails here is not refused:
 * the library decides.
 */
function isPlainlyPossible(text: string): boolean {
  for (let digits = 1; digits <= 3; digits++) {
    const plan = plans.get(text.slice(1, 1 + digits));
    if (plan === undefined) continue;
    const national = text.slice(1 + digits);
    return plan.lengths.has(national.length) && !plan.prefixes.some((prefix) => prefix.test(national));
  }
  return false;
}

interface Plan {
  readonly lengths: ReadonlySet<number>;
  readonly prefixes: readonly RegExp[];
}

const plans: ReadonlyMap<string, Plan> = new Map(
  [
    ...Object.entries(metadata.country_calling_codes),
    ...Object.keys(metadata.nonGeographic).map((code): [string, string[]] => [code, []]),
  ].map(([code, countries]) => [code, planOf([code, ...(countries ?? [])])]),
);

/** Lengths that all of these plans (of a calling code and its countries) have, and the trunk prefixes of any. */
function planOf(names: readonly string[]): Plan {
  let lengths: Set<number> | undefined;
  const prefixes = new Set<string>();
  for (const name of names) {
    const table = new Metadata(metadata);
    table.selectNumberingPlan(name as CountryCode);
    const plan = table.numberingPlan as unknown as {
      possibleLengths(): number[];
      nationalPrefixForParsing(): string | undefined;
    };
    const own = new Set(plan.possibleLengths());
    lengths = lengths === undefined ? own : lengths.intersection(own);
    const prefix = plan.nationalPrefixForParsing();
    if (prefix) prefixes.add(prefix);
  }
  return { lengths: lengths ?? new Set(), prefixes: [...prefixes].map((prefix) => new RegExp(`^(?:${prefix})`)) };
}
