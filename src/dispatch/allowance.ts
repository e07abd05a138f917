/**
 * How much of its contract a bind may use at an SMSC that throws messages back (ESME_RTHROTTLED, ESME_RMSGQFUL): it may
 * secretly allow less than the contract says, or less for a while. The bind learns how much that is from what the SMSC took
 * in the second before it threw one back, keeps to it, and now and then tries a little more.
 *
 *   thrown back ─► what it took ─held─► a step more ─held─► two ─► four … ─► the contract
 *                       ▲                    │ thrown back
 *                       └────────────────────┘ and the next try waits twice as long
 *
 * Cut multiplicatively, recovered additively, in steps of a hundredth of the contract next to what was thrown back: so the
 * rate does not swing, and a limit that is gone is left behind within half a minute. Pure: every call names the monotonic
 * time in milliseconds.
 */
export interface Allowance {
  /** Share of the contract in use, 0.1..1. */
  readonly share: number;
  /** Since when. */
  readonly since: number;
  /** The share that stood before this one was tried. */
  readonly proven: number;
  /** The least share above `proven` that was thrown back; Infinity when none was. */
  readonly refused: number;
  /** The next try is so much more … */
  readonly step: number;
  /** … when the share has stood for so long. */
  readonly holdMs: number;
  /** How long the first try after the next failure waits. */
  readonly patienceMs: number;
  /** What left before this was sent under a larger share: that it is thrown back says nothing new. */
  readonly cutAt: number;
}

/** A bind never stands still for a word that may be wrong: an emergency has this much of the contract. */
export const ALLOWANCE_MIN = 0.1;
export const HOLD_MS = 3_000;
const PATIENCE_MAX_MS = 60_000;
const TRY_MS = 2_000;
/** A try has sent at least so many. */
const TRY_PDUS = 4;
export const STEP = 0.01;
/** One word cuts by no more, whatever it seems that the SMSC took: the bind may have been idle. */
const KEPT_MIN = 0.7;
const KEPT_MAX = 0.99;
/** After the share was cut the bind rests until the SMSC's second is over; after a try, for a moment. */
const REST_MS = 1_000;
const REST_AFTER_TRY_MS = 250;

export const FULL_ALLOWANCE: Allowance = {
  share: 1,
  since: 0,
  proven: 1,
  refused: Number.POSITIVE_INFINITY,
  step: STEP,
  holdMs: HOLD_MS,
  patienceMs: HOLD_MS,
  cutAt: Number.NEGATIVE_INFINITY,
};

/** As time goes by. Asked every so often: takes one step at a time. */
export function advance(allowance: Allowance, tps: number, now: number): Allowance {
  const { share, since, holdMs, step, refused } = allowance;
  if (share >= 1 || now - since < holdMs) return allowance;
  const passed = share >= refused;
  const near = !passed && share + step > refused - STEP;
  const most = near && share < refused - STEP ? refused - STEP : share + (near ? STEP : step);
  const next = Math.min(1, most);
  return {
    ...allowance,
    proven: share,
    refused: passed ? Number.POSITIVE_INFINITY : refused,
    share: next,
    since: now,
    step: near ? STEP : 2 * step,
    holdMs: Math.max(TRY_MS, (TRY_PDUS * 1_000) / (next * tps)),
    // What has stood at a higher share than before is no failure any more.
    patienceMs: passed ? HOLD_MS : allowance.patienceMs,
  };
}

/** A message was thrown back that left at `leftAt`; `taken` is the share of the contract that the SMSC took before it. */
export function afterThrownBack(
  allowance: Allowance,
  { leftAt, taken }: { leftAt: number; taken: number },
  now: number,
): { allowance: Allowance; restMs: number } {
  const { share, proven, patienceMs, cutAt } = allowance;
  if (leftAt < cutAt) return { allowance, restMs: 0 };
  const cut = { refused: share, step: STEP, since: now, cutAt: now };
  if (share > proven) {
    const longer = Math.min(PATIENCE_MAX_MS, 2 * patienceMs);
    const next = { ...allowance, ...cut, share: proven, holdMs: patienceMs, patienceMs: longer };
    return { allowance: next, restMs: REST_AFTER_TRY_MS };
  }
  const kept = Math.max(ALLOWANCE_MIN, Math.min(share * KEPT_MAX, Math.max(taken, share * KEPT_MIN)));
  return {
    allowance: { ...allowance, ...cut, share: kept, proven: kept, holdMs: HOLD_MS, patienceMs: HOLD_MS },
    restMs: REST_MS,
  };
}
