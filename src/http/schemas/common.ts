/**
 * The fields that many schemas share: each parses its text once into the value that the rooms use.
 *
 * Every refusal carries a rule (`params.rule`); rules that are also problem codes become the problem's type.
 */
import { z } from '@hono/zod-openapi';
import { DateTime, Duration, Settings } from 'luxon';
import { type Msisdn, parseMsisdn } from '../../audience/index.ts';
import type { EpochMs } from '../../platform/index.ts';
import { LANES, type LaneName } from '../../policy/index.ts';

declare module 'luxon' {
  interface TSSettings {
    throwOnInvalid: true;
  }
}
/** An invalid luxon value would otherwise print as "Invalid DateTime". */
Settings.throwOnInvalid = true;

/** A refusal by name: `.refine(test, rule('blank', 'must hold more than spaces'))`. */
export const rule = (name: string, message: string) => ({ params: { rule: name }, error: message, abort: true });

/** Adds a refusal from within a transform; the transform then returns `z.NEVER`. */
export function refuse(
  context: z.core.$RefinementCtx,
  name: string,
  message: string,
  path: readonly (string | number)[] = [],
): void {
  context.addIssue({ code: 'custom', params: { rule: name }, message, path: [...path] });
}

/** A string of one form. (zod's own `regex` check can carry no rule.) */
export function matching(pattern: RegExp, name: string, message: string) {
  return z
    .string()
    .refine((text) => pattern.test(text), rule(name, message))
    .openapi({ pattern: pattern.source });
}

/** No control characters (PostgreSQL can hold no NUL, and the rest is never meant), no halves of surrogate pairs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
export const isPlain = (text: string): boolean => text.isWellFormed() && !CONTROL.test(text);

export const laneName = z
  .enum(LANES as readonly [LaneName, ...LaneName[]])
  .openapi({ description: 'A priority class.' });

export const msisdn = z
  .string()
  .max(20)
  .transform((text, context): Msisdn => {
    const parsed = parseMsisdn(text);
    if (parsed !== null) return parsed;
    refuse(
      context,
      'msisdn-not-possible',
      'must be a possible number in E.164 form: + and 7 to 15 digits, no separators',
    );
    return z.NEVER;
  })
  .openapi({ type: 'string', pattern: '^\\+[1-9]\\d{6,14}$', example: '+447700900123' });

/** A producer's own id. */
export const reference = z
  .string()
  .min(1)
  .max(128)
  .refine(isPlain, rule('characters', 'must hold no control characters'))
  .openapi({ example: 'txn-20261124-000017' });

export const listName = matching(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  'list-name',
  'must be 1 to 64 letters, digits, dots, dashes, underscores',
).openapi({ example: 'city-centre' });

export const languageTag = matching(
  /^[a-z]{2,3}$/,
  'language',
  'must be a lower-case BCP 47 primary language tag',
).openapi({ example: 'en' });

/** Time of day and an offset are demanded: a bare date or local time would mean another instant on another machine. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;

export function parseInstant(text: string): EpochMs | null {
  if (!INSTANT.test(text)) return null;
  try {
    const ms = DateTime.fromISO(text, { zone: 'utc' }).toMillis();
    return ms >= 0 ? ms : null;
  } catch {
    return null;
  }
}

export const instantIn = z
  .string()
  .max(40)
  .transform((text, context): EpochMs => {
    const ms = parseInstant(text);
    if (ms !== null) return ms;
    refuse(context, 'instant', 'must be an ISO 8601 date and time with an offset, such as 2026-11-24T12:00:00Z');
    return z.NEVER;
  })
  .openapi({ type: 'string', format: 'date-time', example: '2026-11-24T12:00:00Z' });

export const instantOut = z.string().openapi({ format: 'date-time', example: '2026-11-24T12:00:00.000Z' });

/** Milliseconds since the epoch as ISO 8601 in UTC. */
export const toInstant = (ms: EpochMs): string => new Date(ms).toISOString();
export const toInstantOrNull = (ms: EpochMs | null): string | null => (ms === null ? null : toInstant(ms));

const VALIDITY_MAX_MS = 366 * 86_400_000;

/** Weeks to seconds. Months and years have no fixed length, so they are refused. */
export const validity = z
  .string()
  .max(40)
  .transform((text, context): number => {
    const ms = parseValidity(text);
    if (ms !== null && ms > 0 && ms <= VALIDITY_MAX_MS) return ms;
    refuse(context, 'duration', 'must be an ISO 8601 duration in weeks, days, hours, minutes, seconds, such as PT2M');
    return z.NEVER;
  })
  .openapi({ type: 'string', format: 'duration', example: 'PT5M' });

function parseValidity(text: string): number | null {
  if (!/^P(?=[\dT])(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d{1,3})?S)?)?$/.test(text)) return null;
  const ms = Math.round(Duration.fromISO(text).toMillis());
  return Number.isSafeInteger(ms) ? ms : null;
}

/** Lower case; null when it is no UUID. */
export function parseUuid(text: string): string | null {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? text.toLowerCase() : null;
}
