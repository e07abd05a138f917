/**
 * Which share of its contract a bind uses by what the SMSC says of itself: less as soon as it is filling up, all of it again
 * when it has said so no more for a while. (What an SMSC that throws messages back allows is learned in allowance.ts.) Cut multiplicatively, recovered additively, so that the binds of several
 * customers of one SMSC come to rest beside each other.
 *
 * | what is heard | what is kept of the share |
 * |---|---|
 * | congestion_state 0–89 (idle to optimum load) | all |
 * | 90–99 (nearing congestion) | 95 % to 75 % |
 * | 100 (congested) | 50 % |
 *
 * Answers that come within a fifth of a second tell of the same moment: they cut once. Pure: every call names the
 * monotonic time in milliseconds.
 */
import { CONGESTED, NEARING_CONGESTION } from '../smpp/index.ts';

export interface Pace {
  /** The share as it was at `from`, 0.1..1. */
  readonly share: number;
  /** From here on it recovers. */
  readonly from: number;
  readonly cutAt: number;
}

export const FULL_PACE: Pace = { share: 1, from: 0, cutAt: Number.NEGATIVE_INFINITY };

/** A bind never stands still for a word that may be wrong: an emergency has this much of the contract. */
export const SHARE_MIN = 0.1;
const CUT_EVERY_MS = 200;
/** For so long after the last word of congestion the share stays as it is. */
export const HOLD_MS = 1_000;
/** Of the contract, each second. */
export const RECOVERY_PER_SECOND = 0.1;
const KEPT_NEARING = { first: 0.95, last: 0.75 };
const KEPT_CONGESTED = 0.5;

export function shareAt({ share, from }: Pace, now: number): number {
  return Math.min(1, share + (Math.max(0, now - from) / 1_000) * RECOVERY_PER_SECOND);
}

/** After an answer that named a congestion_state of 0..100. */
export function afterCongestion(pace: Pace, state: number, now: number): Pace {
  return state < NEARING_CONGESTION ? pace : cut(pace, keptOf(state), now);
}

function keptOf(state: number): number {
  if (state >= CONGESTED) return KEPT_CONGESTED;
  const { first, last } = KEPT_NEARING;
  return first - ((first - last) * (state - NEARING_CONGESTION)) / (CONGESTED - 1 - NEARING_CONGESTION);
}

function cut(pace: Pace, kept: number, now: number): Pace {
  const due = now - pace.cutAt >= CUT_EVERY_MS;
  const share = shareAt(pace, now);
  return {
    share: due ? Math.max(SHARE_MIN, share * kept) : share,
    from: now + HOLD_MS,
    cutAt: due ? now : pace.cutAt,
  };
}
