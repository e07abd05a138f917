/** The kinds of fields that several policy files share. */
import { z } from 'zod';
import { DURATION_PATTERN, formatDuration, parseDuration } from './duration.ts';

/** Names of carriers and routes stand in queue names and notifications beside a lane: no dots, no upper case. */
export const name = z
  .string({ error: 'expected a name' })
  .regex(/^[a-z][a-z0-9-]{0,39}$/, "a name is 1–40 characters of a–z, 0–9 and '-', beginning with a letter");

/** An ISO 8601 duration of `min`–`max` milliseconds, as milliseconds. */
export function duration(min: number, max: number) {
  const example = 'expected an ISO 8601 duration in quotes or plain, such as PT2S, PT12H or P1D';
  return z
    .string({ error: example })
    .regex(DURATION_PATTERN, example)
    .transform((text) => parseDuration(text) as number)
    .refine((ms) => ms >= min && ms <= max, `must be between ${formatDuration(min)} and ${formatDuration(max)}`);
}

/** Printable ASCII that goes into a C-octet string of at most `max` octets, the closing NUL not counted. */
export function ascii(max: number) {
  return z
    .string({ error: 'expected a string (put numbers in quotes)' })
    .max(max, `must be at most ${max} characters (SMPP 3.4)`)
    .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII');
}

const variable = z
  .string({ error: 'expected the name of an environment variable' })
  .regex(/^[A-Z][A-Z0-9_]{0,99}$/, 'the name of an environment variable is A–Z, 0–9 and _');

export const host = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$|^::1?$/);
export const port = z.int().min(1).max(65_535);

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a value comes from: written down, or from the environment, with what counts when the variable is not set. */
export interface EnvironmentRef<T> {
  env: string;
  default?: T | undefined;
}

/** A value, or `{ env: NAME, default: value }`. */
export function fromEnvironment<T extends z.ZodType>(value: T, expected: string) {
  return z.union([value, z.strictObject({ env: variable, default: value.optional() })], {
    error: `expected ${expected}, or { env: NAME, default: ${expected} }`,
  });
}

/** `{ env: NAME }` alone: a secret has no place in a file, nor has a default for it. */
export const secretFromEnvironment = z.strictObject(
  { env: variable },
  {
    error: (issue) =>
      issue.code === 'invalid_type' ? 'expected { env: NAME }: a secret stands in no file' : undefined,
  },
);

/** The literal, the variable's value, or the default. After a mistake the result is a stand-in that nobody sees. */
export function resolveFromEnvironment<T extends string | number>(
  value: T | EnvironmentRef<T>,
  env: Environment,
  parse: (text: string) => T | null,
  expected: string,
  mistake: (reason: string) => void,
): T {
  if (typeof value !== 'object') return value;
  const text = env[value.env];
  if (text === undefined || text === '') {
    if (value.default !== undefined) return value.default;
    mistake(`the environment variable ${value.env} is not set; set it to ${expected}`);
    return '' as T;
  }
  const parsed = parse(text);
  if (parsed !== null) return parsed;
  mistake(`the environment variable ${value.env} does not hold ${expected}`);
  return '' as T;
}

export function parseHost(text: string): string | null {
  return host.safeParse(text).success ? text : null;
}

export function parsePort(text: string): number | null {
  return /^\d{1,5}$/.test(text) && port.safeParse(Number(text)).success ? Number(text) : null;
}
