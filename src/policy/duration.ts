/**
 * ISO 8601 durations whose length does not depend on the calendar: weeks alone (`P2W`), or days, hours, minutes and
 * seconds (`P1DT12H`, `PT90S`, `PT0.02S`). Years and months are refused: a validity has one length on every day.
 */
export const DURATION_PATTERN =
  /^P(?:(?<weeks>\d{1,4})W|(?=[\dT])(?:(?<days>\d{1,5})D)?(?:T(?=\d)(?:(?<hours>\d{1,6})H)?(?:(?<minutes>\d{1,8})M)?(?:(?<seconds>\d{1,9}(?:\.\d{1,3})?)S)?)?)$/;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY_MS = 24 * HOUR;

/** The duration in whole milliseconds, or null when `text` is no such duration. */
export function parseDuration(text: string): number | null {
  const parts = DURATION_PATTERN.exec(text)?.groups;
  if (parts === undefined) return null;
  const { weeks, days, hours, minutes, seconds } = parts;
  const length =
    Number(weeks ?? 0) * 7 * DAY_MS +
    Number(days ?? 0) * DAY_MS +
    Number(hours ?? 0) * HOUR +
    Number(minutes ?? 0) * MINUTE +
    Number(seconds ?? 0) * SECOND;
  return Math.round(length);
}

/** The shortest form that parseDuration reads back: 5400000 → `PT1H30M`. `ms` is a whole number ≥ 0. */
export function formatDuration(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  const hours = Math.floor((ms % DAY_MS) / HOUR);
  const minutes = Math.floor((ms % HOUR) / MINUTE);
  const seconds = (ms % MINUTE) / SECOND;
  const time = `${hours ? `${hours}H` : ''}${minutes ? `${minutes}M` : ''}${seconds ? `${seconds}S` : ''}`;
  if (days === 0 && time === '') return 'PT0S';
  return `P${days ? `${days}D` : ''}${time ? `T${time}` : ''}`;
}
