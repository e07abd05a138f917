/** Too much to take: who is asked to come back later, before a byte of the body is read. */
import { type Load, letIn, type Verdict } from '../alerts/index.ts';
import type { LaneName } from '../policy/index.ts';
import { ProblemError } from './problems.ts';

/** A body of this many bytes is cheaper to read away than a new connection; of a larger one, or one without length, nothing is read. */
const DRAINED_MAX = 65_536;

/**
 * @param lanes that the work may be of; the most urgent one counts.
 * @param unread bytes of the body that follow; null when that is not known.
 * @throws ProblemError `lane-shed` (429) where more urgent lanes are still taken, `overloaded` (503) where none is.
 */
export function mustBeLetIn(load: Load, lanes: ReadonlySet<LaneName>, unread: number | null): void {
  const verdict = letIn(load, lanes);
  if (verdict.kind !== 'in') throw refusal(verdict, unread);
}

function refusal({ kind, retryAfterSeconds }: Exclude<Verdict, { kind: 'in' }>, unread: number | null): ProblemError {
  const headers = unread !== null && unread <= DRAINED_MAX ? {} : { connection: 'close' };
  return kind === 'lane'
    ? new ProblemError('lane-shed', {
        detail: 'The server is busy and takes more urgent lanes first; nothing was stored.',
        retryAfterSeconds,
        headers,
      })
    : new ProblemError('overloaded', {
        detail: 'The server is taking all it can; nothing was stored.',
        retryAfterSeconds,
        headers,
      });
}
