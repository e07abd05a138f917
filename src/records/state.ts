/**
 * What facts add up to.
 *
 * `queued → claimed → submitted →` one final state. The first final state counts; a later receipt that contradicts it
 * is a fact and sets `conflict`. A delivery has one submission per segment and attempt:
 *
 * - any segment refused for good (outcome 2)          → failed
 * - every segment's receipt says DELIVERED            → delivered
 * - any segment's receipt is a final other state      → failed (EXPIRED → expired)
 * - every segment accepted                            → submitted
 *
 * Where a carrier sends one receipt for a whole text, the segment that it names decides alone; where it is not known
 * whether it does, and none of the missing receipts came within the carrier's bound → delivered, cause `partly-confirmed`.
 */

/** Final states by the number stored in `final_state.state`. */
export const FINAL_STATES = {
  1: 'delivered',
  2: 'failed',
  3: 'expired',
  4: 'cancelled',
  5: 'suppressed',
  6: 'unknown',
  7: 'submitted',
} as const;

export type FinalCode = keyof typeof FINAL_STATES;
export type FinalState = (typeof FINAL_STATES)[FinalCode];
export type DeliveryState = 'queued' | 'claimed' | 'submitted' | Exclude<FinalState, 'submitted'>;

export const FINAL = {
  delivered: 1,
  failed: 2,
  expired: 3,
  cancelled: 4,
  suppressed: 5,
  unknown: 6,
  /** `submitted` is final where the carrier gives no receipts. */
  submitted: 7,
} as const satisfies Record<FinalState, FinalCode>;

/** How one submit_sm ended, as stored in `submission.outcome`. */
export const OUTCOME = { accepted: 1, refused: 2, refusedForNow: 3, unanswered: 4 } as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** SMPP 3.4 §5.2.28 message_state. 0 is ours for a receipt whose state can't be read. */
export const MESSAGE_STATE = {
  unreadable: 0,
  enroute: 1,
  delivered: 2,
  expired: 3,
  deleted: 4,
  undeliverable: 5,
  accepted: 6,
  unknown: 7,
  rejected: 8,
  /** SMPP 5.0 §4.7.15: taken, and then not sent. */
  skipped: 9,
} as const;

/** `final_state.cause` of a text that counts as delivered though not every segment's receipt says so. */
export const PARTLY_CONFIRMED = 'partly-confirmed';

/** What one receipt's message_state means for its segment; null while the message is still on its way. */
export function finalOfReceipt(messageState: number): FinalCode | null {
  switch (messageState) {
    case MESSAGE_STATE.delivered:
      return FINAL.delivered;
    case MESSAGE_STATE.expired:
      return FINAL.expired;
    case MESSAGE_STATE.deleted:
    case MESSAGE_STATE.undeliverable:
    case MESSAGE_STATE.rejected:
    case MESSAGE_STATE.skipped:
      return FINAL.failed;
    case MESSAGE_STATE.unknown:
      return FINAL.unknown;
    default:
      return null;
  }
}

/**
 * The final state of a delivery from the final states of its segments' receipts, or null while it is open.
 * @param deciding the segment whose receipt speaks for the whole text, null where each speaks for itself
 */
export function finalOfSegments(
  segments: number,
  bySegment: Pick<ReadonlyMap<number, FinalCode>, 'size' | 'has'> & { values(): Iterable<FinalCode> },
  deciding: number | null = null,
): FinalCode | null {
  let worst: FinalCode | null = null;
  for (const code of bySegment.values()) {
    if (code !== FINAL.delivered && (worst === null || code < worst)) worst = code;
  }
  if (worst !== null) return worst;
  return bySegment.size >= segments || (deciding !== null && bySegment.has(deciding)) ? FINAL.delivered : null;
}

export interface SubmissionFact {
  attempt: number;
  segment: number;
  segments: number;
  outcome: number;
}

/** The state of a delivery from its facts, with no final state among them. */
export function openState(claimed: boolean, submissions: readonly SubmissionFact[]): DeliveryState {
  if (submissions.some((s) => s.outcome === OUTCOME.accepted)) return 'submitted';
  const last = submissions.reduce((most, s) => Math.max(most, s.attempt), 0);
  const latest = submissions.filter((s) => s.attempt === last);
  if (latest.some((s) => s.outcome === OUTCOME.unanswered)) return 'claimed';
  if (latest.some((s) => s.outcome === OUTCOME.refusedForNow)) return 'queued';
  return claimed ? 'claimed' : 'queued';
}
