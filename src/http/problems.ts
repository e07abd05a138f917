/**
 * RFC 9457 problem details: the closed registry of everything this API can refuse, and the error that carries one.
 *
 * A problem never repeats what the client sent: bodies hold texts (an OTP), numbers and card numbers. At most it names one
 * character of a text that is not secret, where no carrier can send it. `field` names where, `rule` names what, `message` says it for a programmer.
 */
import { ALERT_PROBLEM_CODES, type AlertProblem, type AlertProblemCode } from '../alerts/index.ts';

export const HTTP_PROBLEM_CODES = [
  'malformed-request',
  'malformed-json',
  'invalid-request',
  'unknown-field',
  'unauthenticated',
  'scope-missing',
  'not-found',
  'method-not-allowed',
  'request-timeout',
  'already-final',
  'body-too-large',
  'line-too-long',
  'unsupported-media-type',
  'csv-header',
  'csv-empty',
  'headers-too-large',
  'lane-shed',
  'imports-busy',
  'internal',
  'storage-unavailable',
] as const;
export type ProblemCode = (typeof HTTP_PROBLEM_CODES)[number] | AlertProblemCode;
export const PROBLEM_CODES: readonly ProblemCode[] = [...HTTP_PROBLEM_CODES, ...ALERT_PROBLEM_CODES];

export type ProblemStatus = 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 429 | 431 | 500 | 503;

interface ProblemType {
  readonly status: ProblemStatus;
  readonly title: string;
}

export const PROBLEM_TYPES: Readonly<Record<ProblemCode, ProblemType>> = {
  'malformed-request': { status: 400, title: 'The bytes are not an HTTP request' },
  'malformed-json': { status: 400, title: 'The body is not JSON in UTF-8' },
  'invalid-request': { status: 400, title: 'The request breaks the schema' },
  'unknown-field': { status: 400, title: 'The request has a field that does not exist' },
  unauthenticated: { status: 401, title: 'No valid API key' },
  'scope-missing': { status: 403, title: 'The API key lacks the scope' },
  'not-found': { status: 404, title: 'There is nothing here' },
  'method-not-allowed': { status: 405, title: 'This resource does not know the method' },
  'request-timeout': { status: 408, title: 'The body did not come in time' },
  'already-final': { status: 409, title: 'Nothing is left to cancel or pause' },
  'body-too-large': { status: 413, title: 'The body is over the limit' },
  'line-too-long': { status: 413, title: 'The line is over the limit' },
  'unsupported-media-type': { status: 415, title: 'The body has another media type' },
  'csv-header': { status: 422, title: 'The CSV file has no usable header' },
  'csv-empty': { status: 422, title: 'The CSV file has no usable row' },
  'lane-shed': { status: 429, title: 'More urgent lanes go first just now' },
  'headers-too-large': { status: 431, title: 'The request headers are over the limit' },
  'imports-busy': { status: 503, title: 'Too many imports at once' },
  internal: { status: 500, title: 'A fault of the server' },
  'storage-unavailable': { status: 503, title: 'The database can not commit now' },
  'lane-not-allowed': { status: 403, title: 'The API key may not use this lane' },
  'lane-not-served': { status: 422, title: 'No route serves this lane for the target' },
  'sender-not-allowed': { status: 403, title: 'The organisation may not send under this name' },
  'status-not-sendable': { status: 422, title: 'Only alerts of status Actual are taken' },
  'expires-in-past': { status: 422, title: 'The alert would be expired at once' },
  'not-before-after-expiry': { status: 422, title: 'notBefore is not before the expiry' },
  'not-before-too-far': { status: 422, title: 'notBefore is too far ahead' },
  'validity-too-long': { status: 422, title: 'The validity is longer than the lane allows' },
  'text-too-long': { status: 422, title: 'The text is longer than 255 segments' },
  'text-not-in-alphabet': { status: 422, title: 'No alphabet of the carrier carries the text' },
  'text-has-card-number': { status: 422, title: 'The text shows a card number' },
  'tlv-unknown': { status: 422, title: 'No carrier takes an optional parameter of this name' },
  'tlv-value': { status: 422, title: 'The value does not fit the optional parameter' },
  'msisdn-not-possible': { status: 422, title: 'Not a possible E.164 number' },
  'list-unknown': { status: 422, title: 'There is no such list' },
  'list-empty': { status: 422, title: 'The list has no members' },
  'empty-target': { status: 422, title: 'The target names nobody' },
  'idempotency-mismatch': { status: 422, title: 'The idempotency key was used with another body' },
  'idempotency-running': { status: 409, title: 'The first request with this key is still under way' },
  'cannot-meet-expiry': { status: 503, title: 'The alert would expire before it could be handed over' },
  overloaded: { status: 503, title: 'The server is taking all it can' },
};

/** One thing that is wrong. `field` is a path with dots (`target.recipients.3.msisdn`), null for the whole. */
export interface FieldError {
  readonly field: string | null;
  readonly rule: string;
  readonly message: string;
}

export interface ProblemOptions {
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  readonly retryAfterSeconds?: number | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown by routes and middleware; becomes the answer. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly code: ProblemCode;
  readonly options: ProblemOptions;

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(code);
    this.code = code;
    this.options = options;
  }

  /** A refusal by a room, which says what and where. */
  static of(problem: AlertProblem): ProblemError {
    return new ProblemError(problem.code, {
      detail: problem.message,
      errors: [{ field: problem.field, rule: problem.code, message: problem.message }],
      retryAfterSeconds: problem.retryAfterSeconds,
    });
  }
}

/** A relative reference, so that it is right behind any host; it resolves to the registry's entry on this server. */
export const problemUri = (code: ProblemCode): string => `/problems/${code}`;

/** The document of RFC 9457 §3. */
export function problemDocument(code: ProblemCode, options: ProblemOptions, requestId: string | undefined) {
  const { status, title } = PROBLEM_TYPES[code];
  return {
    type: problemUri(code),
    title,
    status,
    detail: options.detail ?? `${title}.`,
    ...(requestId === undefined ? {} : { requestId }),
    errors: options.errors ?? [],
  };
}

/** Names in lower case. */
export function problemHeaders(options: ProblemOptions, requestId: string | undefined): Record<string, string> {
  return {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
    ...(options.retryAfterSeconds == null ? {} : { 'retry-after': String(Math.max(1, options.retryAfterSeconds)) }),
    ...options.headers,
  };
}

/** The whole answer, for Hono's error path. */
export function problemResponse(code: ProblemCode, options: ProblemOptions = {}, requestId?: string): Response {
  return new Response(JSON.stringify(problemDocument(code, options, requestId)), {
    status: PROBLEM_TYPES[code].status,
    headers: problemHeaders(options, requestId),
  });
}
