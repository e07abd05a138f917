/**
 * What becomes of a delivery when all segments of an attempt have an outcome, by the worst of them. Pure: every call names
 * the time.
 *
 * | worst | what comes of it |
 * |---|---|
 * | nothing, accepted | its receipts say how it ends; `submitted` where the carrier sends none |
 * | refused for now | another attempt, within the lane's budget and the validity; else `failed` |
 * | in doubt | another attempt, marked possible duplicate, where the lane says so; else open for a grace, or `unknown` |
 * | refused | on by its second route, if nothing of it is with a carrier; else `failed` |
 */
import type { EpochMs } from '../platform/index.ts';
import type { CarrierPolicy, LanePolicy } from '../policy/index.ts';
import { FINAL, type FinalCode } from '../records/index.ts';
import { classify, statusName } from '../smpp/index.ts';
import { nextRetryAt, type RetryPace } from './retry.ts';
import type { Item } from './types.ts';

export type AttemptEnd =
  /** It has no final state yet: what the carrier took of it has receipts to come. */
  | { readonly kind: 'open' }
  | { readonly kind: 'final'; readonly state: FinalCode; readonly cause: string | null }
  | { readonly kind: 'again'; readonly due: EpochMs; readonly possibleDuplicate: boolean }
  | { readonly kind: 'onwards'; readonly route: string };

// What nearly all end in: no object for each.
const OPEN: AttemptEnd = { kind: 'open' };
const SUBMITTED: AttemptEnd = { kind: 'final', state: FINAL.submitted, cause: null };
const IN_DOUBT: AttemptEnd = { kind: 'final', state: FINAL.unknown, cause: 'in-doubt' };

export function endOfAttempt(item: Item, policy: LanePolicy, carrier: CarrierPolicy, now: EpochMs): AttemptEnd {
  const { chunk, worst, worstStatus } = item;
  switch (worst) {
    case 0:
    case 1:
      return carrier.receipts === 'none' ? SUBMITTED : OPEN;
    case 4:
      if (item.onwards !== null && mayGoOnwards(item, policy, now)) return { kind: 'onwards', route: item.onwards };
      // Without a status: it expired or was cancelled when some of its segments were on the wire.
      return failed(worstStatus === null ? 'partly-sent' : `refused: ${statusName(worstStatus)}`);
    case 2: {
      const status = worstStatus ?? 0;
      const pace = retryPace(policy, carrier, status);
      const due = nextRetryAt(pace, chunk.attempt, now, item.expiresAt, policy.minRemainingMs);
      if (due === null) return failed(`retries used up, last refusal: ${statusName(status)}`);
      return { kind: 'again', due, possibleDuplicate: chunk.possibleDuplicate };
    }
    case 3:
      // A receipt that comes meanwhile ends the delivery, and then nothing is sent again.
      if (policy.inDoubt === 'resend' && !chunk.possibleDuplicate)
        return { kind: 'again', due: now + carrier.doubtWaitMs, possibleDuplicate: true };
      // Where one may still come, it stays open until its grace is over.
      return carrier.doubtWaitMs > 0 ? OPEN : IN_DOUBT;
    default:
      return worst satisfies never;
  }
}

const failed = (cause: string): AttemptEnd => ({ kind: 'final', state: FINAL.failed, cause });

/** The carrier has no way to the number: another route may, if nothing of the text is with a carrier. */
function mayGoOnwards({ taken, chunk, expiresAt }: Item, { retry, minRemainingMs }: LanePolicy, now: EpochMs): boolean {
  return !taken && chunk.attempt < retry.budget && expiresAt - now >= minRemainingMs;
}

/** The lane's own, but with fewer attempts after a status that nobody knows: it may well be for ever. */
function retryPace({ retry }: LanePolicy, carrier: CarrierPolicy, status: number): RetryPace {
  if (classify(status, carrier.statuses) !== 'unknown') return retry;
  return { ...retry, budget: Math.min(retry.budget, carrier.unknownStatusAttempts) };
}
