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

const DIGITS = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?$/;
const ABSOLUTE = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\d(\d\d)([+-])$/;
const ISO =
  /^(\d\d)?(\d\d)[-/.](\d\d)[-/.](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?\s?(?:(Z|UTC)|([+-])(\d\d):?(\d\d))?$/i;

/**
 * Epoch milliseconds, or null when it is no date.
 * @param offsetMinutes how far the carrier's clock is ahead of UTC where the text names no zone
 */
export function receiptTime(text: string, offsetMinutes: number): number | null {
  const absolute = ABSOLUTE.exec(text);
  if (absolute !== null) {
    const [, year, month, day, hour, minute, second, quarters, sign] = absolute;
    const offset = Number(quarters) * 15 * (sign === '-' ? -1 : 1);
    return Number(quarters) > 48 ? null : instant('20', year, month, day, hour, minute, second, offset);
  }
  const iso = ISO.exec(text);
  if (iso !== null) {
    const [, century, year, month, day, hour, minute, second, utc, sign, hours, minutes] = iso;
    let offset = offsetMinutes;
    if (utc !== undefined) offset = 0;
    else if (sign !== undefined) offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1);
    return instant(century ?? '20', year, month, day, hour, minute, second, offset);
  }
  if (!DIGITS.test(text)) return null;
  // Twelve digits may be either; no two-digit year of a receipt that we may see is 20.
  if (text.length === 14 || (text.length === 12 && text.startsWith('20'))) {
    const long = fields(text.slice(2), text.slice(0, 2), offsetMinutes);
    if (long !== null || text.length === 14) return long;
  }
  return fields(text, '20', offsetMinutes);
}

function fields(text: string, century: string, offsetMinutes: number): number | null {
  const [year, month, day, hour, minute, second] = text.match(/\d\d/g) ?? [];
  return instant(century, year, month, day, hour, minute, second, offsetMinutes);
}

function instant(
  century: string,
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  hour: string | undefined,
  minute: string | undefined,
  second: string | undefined,
  offsetMinutes: number,
): number | null {
  const dayNumber = Number(day);
  const monthNumber = Number(month);
  const fullYear = Number(`${century}${year}`);
  const dayInMonth =
    monthNumber >= 1 && monthNumber <= 12 && dayNumber >= 1 && dayNumber <= daysIn(fullYear, monthNumber);
  if (!dayInMonth || Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 59) return null;
  const utc = Date.UTC(fullYear, monthNumber - 1, dayNumber, Number(hour), Number(minute), Number(second ?? 0));
  return utc - offsetMinutes * 60_000;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
