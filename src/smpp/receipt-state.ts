/** What a message's state is called on the wire: numbers, the words of appendix B, and the words of the field. */

/** message_state (SMPP 3.4 §5.2.28; SCHEDULED and SKIPPED from 5.0 §4.7.15). */
export const MessageState = {
  scheduled: 0,
  enroute: 1,
  delivered: 2,
  expired: 3,
  deleted: 4,
  undeliverable: 5,
  accepted: 6,
  unknown: 7,
  rejected: 8,
  skipped: 9,
} as const;

/**
 * The words of `stat:`, upper case, letters and digits alone. Only a word that says it outright is `delivered`: a
 * "delivered to the operator" is not, and falls to `unknown`. ACKED and the three spellings of buffered: Kannel counts
 * them as on their way. FAILED: vumi #897.
 */
export const RECEIPT_WORDS: Readonly<Record<string, number>> = {
  SCHEDULED: MessageState.scheduled,
  SCHEDULD: MessageState.scheduled,
  ENROUTE: MessageState.enroute,
  BUFFERED: MessageState.enroute,
  BUFFERD: MessageState.enroute,
  BUFFRED: MessageState.enroute,
  QUEUED: MessageState.enroute,
  PENDING: MessageState.enroute,
  RETRY: MessageState.enroute,
  DELIVRD: MessageState.delivered,
  DELIVERED: MessageState.delivered,
  DELIVERD: MessageState.delivered,
  DELIVRED: MessageState.delivered,
  DELIVEREDTOHANDSET: MessageState.delivered,
  EXPIRED: MessageState.expired,
  EXPIRD: MessageState.expired,
  DELETED: MessageState.deleted,
  DELETD: MessageState.deleted,
  CANCELED: MessageState.deleted,
  CANCELLED: MessageState.deleted,
  UNDELIV: MessageState.undeliverable,
  UNDELIVRD: MessageState.undeliverable,
  UNDELIVERED: MessageState.undeliverable,
  UNDELIVERABLE: MessageState.undeliverable,
  NOTDELIVERED: MessageState.undeliverable,
  FAILED: MessageState.undeliverable,
  FAIL: MessageState.undeliverable,
  ACCEPTD: MessageState.accepted,
  ACCEPTED: MessageState.accepted,
  ACKED: MessageState.accepted,
  UNKNOWN: MessageState.unknown,
  REJECTD: MessageState.rejected,
  REJECTED: MessageState.rejected,
  SKIPPED: MessageState.skipped,
};

const WORDS: ReadonlyMap<string, number> = new Map(Object.entries(RECEIPT_WORDS));
const STATE_MAX = MessageState.skipped;

/** The state that a word or a number says, or null when nobody knows it. */
export function receiptState(word: string): number | null {
  const known = WORDS.get(word);
  if (known !== undefined) return known;
  if (/^0*\d$/.test(word)) {
    const state = Number(word);
    return state <= STATE_MAX ? state : null;
  }
  const plain = word.toUpperCase().replace(/[^A-Z0-9]/g, '');
  return WORDS.get(plain) ?? null;
}
