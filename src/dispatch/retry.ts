/** When a delivery that an SMSC refused for now is tried again: at its lane's own pace, within its budget and validity. */
import type { EpochMs } from '../platform/index.ts';

export interface RetryPace {
  /** Wait before the second attempt. */
  firstMs: number;
  /** Each later wait is this many times longer. */
  factor: number;
  maxMs: number;
  /** Attempts in all, the first included. */
  budget: number;
}

/** The wait after `attempt` (1 = the first try) has failed, in milliseconds. */
export function retryDelayMs(pace: RetryPace, attempt: number): number {
  return Math.min(pace.maxMs, pace.firstMs * pace.factor ** (attempt - 1));
}

/** When to try again, or null when the budget is used up or less than `minRemainingMs` would be left. */
export function nextRetryAt(
  pace: RetryPace,
  attempt: number,
  now: EpochMs,
  expiresAt: EpochMs,
  minRemainingMs: number,
): EpochMs | null {
  if (attempt >= pace.budget) return null;
  const at = Math.round(now + retryDelayMs(pace, attempt));
  return expiresAt - at < minRemainingMs ? null : at;
}

/** How long a bind rests that was refused as a whole, after so many rests without a message taken in between. */
export function restMs({ firstMs, maxMs }: { firstMs: number; maxMs: number }, before: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(before, 30));
}
