/** zod's issues → what the client is told: a path, a rule, a sentence; never a value. */
import type { z } from '@hono/zod-openapi';
import { type FieldError, PROBLEM_CODES, type ProblemCode, ProblemError } from './problems.ts';

/** More than this many errors help nobody. */
const ERRORS_MAX = 20;

type Issue = z.core.$ZodIssue;

/** `where`: prefix of paths that aren't in the body, such as `query`. */
export function problemOfIssues(issues: readonly Issue[], input: unknown, where: string | null): ProblemError {
  const errors = issues.flatMap((issue) => errorsOf(issue, input, where)).slice(0, ERRORS_MAX);
  const rules = new Set(errors.map((error) => error.rule));
  const [first] = rules;
  const code =
    rules.size === 1 && (PROBLEM_CODES as readonly (string | undefined)[]).includes(first)
      ? (first as ProblemCode)
      : 'invalid-request';
  return new ProblemError(code, { errors });
}

function errorsOf(issue: Issue, input: unknown, where: string | null): FieldError[] {
  const at = (path: readonly PropertyKey[]): string | null =>
    [...(where === null ? [] : [where]), ...path.map(pathPart)].join('.') || null;
  const one = (rule: string, message: string): FieldError[] => [{ field: at(issue.path), rule, message }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        field: at([...issue.path, key]),
        rule: 'unknown-field',
        message: 'does not exist',
      }));
    case 'invalid_type':
      return valueAt(input, issue.path) === undefined
        ? one('required', 'is required')
        : one('type', `must be of type ${issue.expected}`);
    case 'invalid_value':
      return valueAt(input, issue.path) === undefined
        ? one('required', 'is required')
        : one('not-one-of', `must be one of ${issue.values.map(String).join(', ')}`);
    case 'too_small':
      return one(issue.origin === 'array' ? 'too-few' : 'too-small', `must be at least ${issue.minimum}${unit(issue)}`);
    case 'too_big':
      return one(issue.origin === 'array' ? 'too-many' : 'too-big', `must be at most ${issue.maximum}${unit(issue)}`);
    case 'invalid_format':
      return one('format', `must be a ${issue.format}`);
    case 'invalid_key':
      return issue.issues.flatMap((inner) => errorsOf({ ...inner, path: issue.path }, input, where));
    case 'custom':
      return one(typeof issue.params?.rule === 'string' ? issue.params.rule : 'invalid', issue.message);
    default:
      return one('invalid', 'is not valid');
  }
}

const unit = (issue: { readonly origin: string }): string =>
  issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' items' : '';

/** A key is the client's own word: repeated only where it can't be anything but a field's name. */
function pathPart(part: PropertyKey): string {
  const text = String(part);
  return /^[A-Za-z_][A-Za-z0-9_-]{0,39}$|^\d{1,6}$/.test(text) ? text : '?';
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}
