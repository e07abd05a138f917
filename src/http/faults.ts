/** What became of a request that ended in an error. */
import { HTTPException } from 'hono/http-exception';
import { ChainBusy } from '../audit/index.ts';
import { TransactionFailed } from '../platform/index.ts';
import { ProblemError } from './problems.ts';

/** What the client is told; `internal` is the one that must be logged. */
export function problemOf(error: Error): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof TransactionFailed) {
    const detail =
      error.outcome === 'uncertain'
        ? 'The database did not say whether it committed. Repeat the request with the same Idempotency-Key.'
        : 'The database could not commit. Nothing was stored; try again.';
    return new ProblemError('storage-unavailable', { detail, retryAfterSeconds: 1 });
  }
  if (error instanceof ChainBusy) return new ProblemError('overloaded', { retryAfterSeconds: 1 });
  if (error instanceof HTTPException) {
    if (error.status === 400) return new ProblemError('malformed-json');
    if (error.status === 415) return new ProblemError('unsupported-media-type');
  }
  return new ProblemError('internal', { detail: 'The fault is on our side and has been logged.' });
}
