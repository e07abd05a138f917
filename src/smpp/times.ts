/**
 * The 16 characters of SMPP 3.4 §7.1.1: absolute `YYMMDDhhmmsstnn+` and relative `YYMMDDhhmmss000R`.
 *
 * Rounding always falls on the safe side: a validity never reaches past its end (down), a schedule never comes early
 * (up), and neither is ever rounded to nothing or into the past: then the answer is null and the caller decides.
 */
import { FieldError } from './errors.ts';

/** How a carrier wants validity_period: see policy `validityMode`. */
export type ValidityMode = 'absolute' | 'relative' | 'omitted';
export type ScheduleMode = 'absolute' | 'relative';

const SECOND = 1_000;
const DAY_SECONDS = 86_400;
/** A month has no fixed length, so a relative time speaks in days, and DD goes to 31. */
const RELATIVE_SECONDS_MAX = 31 * DAY_SECONDS;

/**
 * The validity_period of a message that must not be delivered after `expiresAt`. Times are epoch milliseconds.
 * Relative periods longer than 31 days are cut to 31 days.
 * @returns '' in mode `omitted`; null when nothing is left that the mode can say: the message has expired.
 * @throws FieldError when `expiresAt` lies outside the years 2000 to 2099 (mode `absolute`).
 */
export function validityPeriod(mode: ValidityMode, expiresAt: number, now: number): string | null {
  switch (mode) {
    case 'omitted':
      return expiresAt > now ? '' : null;
    case 'absolute': {
      const end = Math.floor(expiresAt / SECOND) * SECOND;
      return end > now ? formatAbsolute(end) : null;
    }
    case 'relative': {
      const seconds = Math.floor((expiresAt - now) / SECOND);
      return seconds >= 1 ? formatRelative(Math.min(seconds, RELATIVE_SECONDS_MAX)) : null;
    }
    default:
      return mode satisfies never;
  }
}

/**
 * The schedule_delivery_time of a message that must not be delivered before `at`. Times are epoch milliseconds.
 * @returns '' when `at` is not in the future; null when a relative time can't say it (over 31 days): hold it instead.
 * @throws FieldError when `at` lies outside the years 2000 to 2099 (mode `absolute`).
 */
export function scheduleDeliveryTime(mode: ScheduleMode, at: number, now: number): string | null {
  if (at <= now) return '';
  switch (mode) {
    case 'absolute':
      return formatAbsolute(Math.ceil(at / SECOND) * SECOND);
    case 'relative': {
      const seconds = Math.ceil((at - now) / SECOND);
      return seconds <= RELATIVE_SECONDS_MAX ? formatRelative(seconds) : null;
    }
    default:
      return mode satisfies never;
  }
}

/**
 * `YYMMDDhhmmsstnn+` in UTC (offset `00+`), to a tenth of a second, rounded down.
 * @throws FieldError outside the years 2000 to 2099: the two digits of the year could not be read back.
 */
export function formatAbsolute(epochMs: number): string {
  const date = new Date(epochMs);
  const year = date.getUTCFullYear();
  if (!(year >= 2000 && year <= 2099)) throw new FieldError('time', 'is outside the years 2000 to 2099');
  return (
    two(year - 2000) +
    two(date.getUTCMonth() + 1) +
    two(date.getUTCDate()) +
    two(date.getUTCHours()) +
    two(date.getUTCMinutes()) +
    two(date.getUTCSeconds()) +
    Math.floor(date.getUTCMilliseconds() / 100) +
    '00+'
  );
}

/**
 * `0000DDhhmmss000R`.
 * @param seconds whole seconds, 1 to 31 days.
 * @throws FieldError when out of range.
 */
export function formatRelative(seconds: number): string {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > RELATIVE_SECONDS_MAX) {
    throw new FieldError('time', 'is not a whole number of seconds from 1 to 31 days');
  }
  const days = Math.floor(seconds / DAY_SECONDS);
  const rest = seconds % DAY_SECONDS;
  return `0000${two(days)}${two(Math.floor(rest / 3_600))}${two(Math.floor(rest / 60) % 60)}${two(rest % 60)}000R`;
}

export type SmppTime =
  | { kind: 'absolute'; at: number }
  | { kind: 'relative'; years: number; months: number; milliseconds: number };

const PATTERN = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])$/;

/** Null for '' (no time given) and for anything that SMPP 3.4 §7.1.1 does not allow. */
export function parseTime(text: string): SmppTime | null {
  const match = PATTERN.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second, tenth, quarters] = match.slice(1, 9).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59) return null;
  if (match[9] === 'R') {
    const milliseconds = ((day * 24 + hour) * 60 + minute) * 60_000 + second * SECOND + tenth * 100;
    return { kind: 'relative', years: year, months: month, milliseconds };
  }
  if (quarters > 48) return null;
  const local = Date.UTC(2000 + year, month - 1, day, hour, minute, second, tenth * 100);
  const date = new Date(local);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  // nn: how many quarters of an hour local time is ahead (+) or behind (-) UTC.
  return { kind: 'absolute', at: local - (match[9] === '+' ? 1 : -1) * quarters * 15 * 60_000 };
}

/** The instant that a validity_period or schedule_delivery_time means when it is received at `now`; null if none. */
export function resolveTime(text: string, now: number): number | null {
  const time = parseTime(text);
  if (time === null) return null;
  if (time.kind === 'absolute') return time.at;
  const date = new Date(now + time.milliseconds);
  date.setUTCFullYear(date.getUTCFullYear() + time.years, date.getUTCMonth() + time.months);
  return date.getTime();
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
