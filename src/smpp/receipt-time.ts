/**
 * `submit date` and `done date` of a receipt, in the forms of the field:
 *
 * | digits | form               | seen at                                |
 * |--------|--------------------|----------------------------------------|
 * | 10     | YYMMDDhhmm         | SMPP 3.4 appendix B                    |
 * | 12     | YYYYMMDDhhmm       | jasmin #753; where it begins with 20   |
 * | 12     | YYMMDDhhmmss       | node-smpp #199                         |
 * | 14     | YYYYMMDDhhmmss     | –                                      |
 * | 15 + p | YYMMDDhhmmsstnn+   | smppex #46: the absolute form of §7.1.1|
 *
 * and ISO 8601, with `T` or a space, with or without seconds and zone. What bears no zone is in the carrier's.
 */

/** The receipts of a second share their dates: each is read once. */
const recent = new Map<string, number>();
const RECENT_MAX = 1_000;

const DIGITS = /^(?:\d\d){5,7}$/;
const ABSOLUTE = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\d(\d\d)([+-])$/;
const ISO =
  /^(\d\d)?(\d\d)[-/.](\d\d)[-/.](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?\s?(?:(Z|UTC)|([+-])(\d\d):?(\d\d))?$/i;

/**
 * Epoch milliseconds, or null when it is no date.
 * @param offsetMinutes how far the carrier's clock is ahead of UTC where the text names no zone
 */
export function receiptTime(text: string, offsetMinutes: number): number | null {
  const known = recent.get(text);
  if (known !== undefined) return known - offsetMinutes * 60_000;
  if (DIGITS.test(text)) {
    const utc = digits(text);
    if (utc === null) return null;
    if (recent.size >= RECENT_MAX) recent.clear();
    recent.set(text, utc);
    return utc - offsetMinutes * 60_000;
  }
  const absolute = ABSOLUTE.exec(text);
  if (absolute !== null) {
    const [year, month, day, hour, minute, second, quarters] = absolute.slice(1).map(Number) as number[];
    const offset = (quarters as number) * 15 * (absolute[8] === '-' ? -1 : 1);
    return (quarters as number) > 48
      ? null
      : instant(2000 + (year as number), month, day, hour, minute, second, offset);
  }
  const iso = ISO.exec(text);
  if (iso === null) return null;
  const [, century, year, month, day, hour, minute, second, utc, sign, hours, minutes] = iso;
  let offset = offsetMinutes;
  if (utc !== undefined) offset = 0;
  else if (sign !== undefined) offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1);
  const fullYear = Number(`${century ?? '20'}${year}`);
  return instant(fullYear, Number(month), Number(day), Number(hour), Number(minute), Number(second ?? 0), offset);
}

function digits(text: string): number | null {
  // Twelve digits may be either; no two-digit year of a receipt that we may see is 20.
  if (text.length === 14 || (text.length === 12 && text.startsWith('20'))) {
    const long = fields(text, 4);
    if (long !== null || text.length === 14) return long;
  }
  return fields(text, 2);
}

/** Digits alone, the year in two or four of them. */
function fields(text: string, yearDigits: 2 | 4): number | null {
  const two = (at: number): number => (at < text.length ? Number(text.slice(at, at + 2)) : 0);
  const year = yearDigits === 2 ? 2000 + two(0) : Number(text.slice(0, 4));
  const at = yearDigits;
  return instant(year, two(at), two(at + 2), two(at + 4), two(at + 6), two(at + 8), 0);
}

function instant(
  year: number,
  month: number | undefined = 0,
  day: number | undefined = 0,
  hour: number | undefined = 0,
  minute: number | undefined = 0,
  second: number | undefined = 0,
  offsetMinutes: number,
): number | null {
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
  if (!isDay || hour > 23 || minute > 59 || second > 59) return null;
  return Date.UTC(year, month - 1, day, hour, minute, second) - offsetMinutes * 60_000;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
