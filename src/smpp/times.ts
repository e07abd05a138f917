/**
 * The 16 characters of SMPP 3.4 §7.1.1: absolute `YYMMDDhhmmsstnnp` and relative `YYMMDDhhmmss000R`.
 *
 * Rounding always falls on the safe side: a validity never reaches past its end (down), a schedule never comes early
 * (up), and neither is ever rounded to nothing or into the past: then the answer is null and the caller decides.
 */
import { FieldError } from './errors.ts';

/** How a carrier wants validity_period: see policy `validityMode`. */
export type ValidityMode = 'absolute' | 'relative' | 'omitted';
export type ScheduleMode = 'absolute' | 'relative';

const SECOND = 1_000;
const QUARTER = 900 * SECOND;
const DAY_SECONDS = 86_400;
/** A month has no fixed length, so a relative time speaks in days, and DD goes to 31. */
const RELATIVE_SECONDS_MAX = 31 * DAY_SECONDS;

/** How a carrier wants the times of a message. */
export interface TimeForm {
  readonly validity: ValidityMode;
  /** `omitted`: the carrier holds nothing for later, so the message leaves when it is due. */
  readonly schedule: ScheduleMode | 'omitted';
  /** Quarters of an hour by which the carrier's local time is ahead of UTC, −48..48. Absolute times are written in it. */
  readonly utcOffset: number;
  /** No validity is longer than this, counted from when the message may first leave; null: any. */
  readonly longestValidityMs: number | null;
}

/** schedule_delivery_time and validity_period as a submit_sm carries them: '' or 16 characters. */
export interface DeliveryTimes {
  readonly schedule: string;
  readonly validity: string;
}

/**
 * Both times of a message that must be delivered neither before `notBefore` nor after `expiresAt`, as they stand at `now`.
 * All are epoch milliseconds.
 * @returns null when the message has expired: nothing is left that the carrier's form can say.
 * @throws FieldError when the message would be due only after it has expired, when a relative time can't reach so far,
 *   and outside the years 2000 to 2099.
 */
export function deliveryTimes(
  form: TimeForm,
  { notBefore, expiresAt }: { notBefore: number | null; expiresAt: number },
  now: number,
): DeliveryTimes | null {
  const { utcOffset, longestValidityMs } = form;
  const later = form.schedule !== 'omitted' && notBefore !== null && notBefore > now;
  if (later && notBefore >= expiresAt) throw new FieldError('schedule_delivery_time', 'is not before the expiry');
  const first = later ? notBefore : now;
  const end = longestValidityMs === null ? expiresAt : Math.min(expiresAt, first + longestValidityMs);
  const validity = validityPeriod(form.validity, end, now, utcOffset);
  if (validity === null) return null;
  if (!later) return { schedule: '', validity };
  const schedule = scheduleDeliveryTime(form.schedule, notBefore, now, utcOffset);
  if (schedule === null) {
    throw new FieldError('schedule_delivery_time', 'is further ahead than the 31 days that a relative time can say');
  }
  const until = resolveTime(validity, now);
  if (until !== null && (resolveTime(schedule, now) ?? now) >= until) {
    throw new FieldError('schedule_delivery_time', 'leaves no whole second before the validity ends');
  }
  return { schedule, validity };
}

/**
 * The validity_period of a message that must not be delivered after `expiresAt`. Times are epoch milliseconds.
 * Relative periods longer than 31 days are cut to 31 days.
 * @returns '' in mode `omitted`; null when nothing is left that the mode can say: the message has expired.
 * @throws FieldError when `expiresAt` lies outside the years 2000 to 2099 (mode `absolute`).
 */
export function validityPeriod(mode: ValidityMode, expiresAt: number, now: number, utcOffset = 0): string | null {
  switch (mode) {
    case 'omitted':
      return expiresAt > now ? '' : null;
    case 'absolute': {
      const end = Math.floor(expiresAt / SECOND) * SECOND;
      return end > now ? formatAbsolute(end, utcOffset) : null;
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
export function scheduleDeliveryTime(mode: ScheduleMode, at: number, now: number, utcOffset = 0): string | null {
  if (at <= now) return '';
  switch (mode) {
    case 'absolute':
      return formatAbsolute(Math.ceil(at / SECOND) * SECOND, utcOffset);
    case 'relative': {
      const seconds = Math.ceil((at - now) / SECOND);
      return seconds <= RELATIVE_SECONDS_MAX ? formatRelative(seconds) : null;
    }
    default:
      return mode satisfies never;
  }
}

/** The largest offset that two digits of quarters may say (SMPP 3.4 §7.1.1.1): twelve hours. */
export const UTC_OFFSET_MAX = 48;

/**
 * `YYMMDDhhmmsstnnp` to a tenth of a second, rounded down: local time, and by how many quarters of an hour (`nn`) it is
 * ahead (`+`) of UTC or behind (`-`).
 * @param utcOffset whole quarters of an hour, −48..48; 0 is UTC itself, `00+`.
 * @throws FieldError when the offset is none, and outside the local years 2000 to 2099: their two digits could not be read back.
 */
export function formatAbsolute(epochMs: number, utcOffset = 0): string {
  // All messages of an alert end at the same time.
  if (epochMs === last.epochMs && utcOffset === last.utcOffset) return last.text;
  if (!Number.isInteger(utcOffset) || Math.abs(utcOffset) > UTC_OFFSET_MAX) {
    throw new FieldError('time', 'has an offset that is not a whole number of quarters of an hour from -48 to 48');
  }
  const local = new Date(epochMs + utcOffset * QUARTER);
  const year = local.getUTCFullYear();
  if (!(year >= 2000 && year <= 2099)) throw new FieldError('time', 'is outside the years 2000 to 2099');
  const text =
    two(year - 2000) +
    two(local.getUTCMonth() + 1) +
    two(local.getUTCDate()) +
    two(local.getUTCHours()) +
    two(local.getUTCMinutes()) +
    two(local.getUTCSeconds()) +
    Math.floor(local.getUTCMilliseconds() / 100) +
    two(Math.abs(utcOffset)) +
    (utcOffset < 0 ? '-' : '+');
  last = { epochMs, utcOffset, text };
  return text;
}

let last = { epochMs: Number.NaN, utcOffset: 0, text: '' };

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
  if (quarters > UTC_OFFSET_MAX) return null;
  const local = Date.UTC(2000 + year, month - 1, day, hour, minute, second, tenth * 100);
  const date = new Date(local);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  // nn: how many quarters of an hour local time is ahead (+) or behind (-) UTC.
  return { kind: 'absolute', at: local - (match[9] === '+' ? 1 : -1) * quarters * QUARTER };
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
