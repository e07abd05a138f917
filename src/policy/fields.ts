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
