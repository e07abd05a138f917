/**
 * What a producer says and what it hears back: the values every door (HTTP today; CAP, SMPP and mail later) hands to
 * this room once it has parsed its own bytes, and the closed sets of answers.
 *
 * A value of these types is already well-formed: numbers are possible E.164, times are epoch milliseconds, names are
 * within their lengths. What needs policy, the clock or the database is decided here, in alerts.
 */
import type { Principal } from '../access/index.ts';
import type { Msisdn } from '../audience/index.ts';
import type { EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';

/** CAP 1.2's `status`. Only `Actual` reaches the public. */
export const ALERT_STATUSES = ['Actual', 'Exercise', 'Test', 'System', 'Draft'] as const;
export type AlertStatus = (typeof ALERT_STATUSES)[number];

/** One text of an alert; `language` is a lower-case BCP 47 primary tag, or null when the producer gave a bare text. */
export interface AlertText {
  readonly language: string | null;
  readonly text: string;
}

/** A number that the producer named, with the producer's own id for this one delivery. */
export interface TargetRecipient {
  readonly msisdn: Msisdn;
  readonly reference: string | null;
}

/** Never both empty: the door refuses that as `empty-target`. At most 5,000 recipients and 100 lists. */
export interface AlertTarget {
  /** No number stands twice. */
  readonly recipients: readonly TargetRecipient[];
  /** Names of lists of the organisation, each once. */
  readonly lists: readonly string[];
}

/**
 * An alert as submitted, after parsing. Plain JSON (null for what was left out), so that its canonical JSON is a
 * faithful fingerprint for idempotency: two bodies with the same meaning give the same value. (What came later is left
 * out when it is not given, so that the fingerprints of older requests stay as they were.)
 */
export interface AlertRequest {
  readonly lane: LaneName;
  readonly status: AlertStatus;
  /** 1 to 16 texts as the producer ordered them, or one bare text. The first is the text for everyone else. */
  readonly texts: readonly AlertText[];
  /** The text may be read by nobody after its final state (an OTP). */
  readonly secret: boolean;
  readonly sender: string | null;
  readonly target: AlertTarget;
  /** The producer's own id of the alert. */
  readonly reference: string | null;
  readonly notBefore: EpochMs | null;
  /** At most one of `expiresAt` and `validForMs` is set; with neither, the lane's default validity counts. */
  readonly expiresAt: EpochMs | null;
  /** Milliseconds > 0, counted from `notBefore` when that is set, else from acceptance. */
  readonly validForMs: number | null;
  /** Values for carriers' optional parameters, by the names of the policies. Left out when there is none. */
  readonly tlvs?: AlertTlvs;
}

/** Whole numbers where the carrier wants a number, else texts. */
export type AlertTlvs = Readonly<Record<string, string | number>>;

/**
 * Where an alert stands. `accepted`: stored, nothing handed over yet; `scheduled`: stored, `notBefore` is ahead;
 * `sending`: deliveries are being made or handed over; `complete`: every delivery has its final state;
 * `cancelled`: cancelled by its producer (deliveries already handed over still come to their own end).
 */
export const ALERT_STATES = ['accepted', 'scheduled', 'sending', 'complete', 'cancelled'] as const;
export type AlertState = (typeof ALERT_STATES)[number];

/** A character that the policy of carriers replaces in a text, because GSM 7-bit lacks it. Secret texts have none. */
export interface WordingChange {
  readonly language: string | null;
  /** As the producer wrote it: one character to a reader, maybe several code points. */
  readonly character: string;
  /** What these carriers get instead; '' where it is left out. */
  readonly replacement: string;
  readonly count: number;
  /** Where it stands first: how many code points are before it. */
  readonly position: number;
  /** Names of the carriers, sorted. */
  readonly carriers: readonly string[];
}

/** What the first 202 said; a replay says the same again. */
export interface AcceptedAlert {
  /** UUIDv7, lower case. */
  readonly id: string;
  /** As it was at acceptance: `accepted`, or `scheduled` when `notBefore` was ahead. */
  readonly state: AlertState;
  readonly lane: LaneName;
  /** Recipients the alert was accepted for: named ones, plus the members of its lists (a number in both counts twice). */
  readonly recipients: number;
  readonly expiresAt: EpochMs;
  /** When the last segment is predicted to be handed to a carrier (queue ahead of it ÷ TPS). */
  readonly predictedSubmitAt: EpochMs;
  /** By language, then by position; empty when every character goes out as written. */
  readonly changes: readonly WordingChange[];
}

/**
 * Why an alert was not accepted. Nothing was stored.
 *
 * | code | HTTP | meaning |
 * |---|---|---|
 * | `lane-not-allowed` | 403 | the key may not use this lane |
 * | `lane-not-served` | 422 | no policy or no route serves this lane for a number of the target |
 * | `sender-not-allowed` | 403 | the organisation may not send under this name |
 * | `status-not-sendable` | 422 | a status other than Actual (see rules.ts) |
 * | `expires-in-past` | 422 | `expiresAt` is not ahead, or less than the lane's `minRemaining` is left |
 * | `not-before-after-expiry` | 422 | `notBefore` is not before `expiresAt` |
 * | `not-before-too-far` | 422 | `notBefore` is more than 30 days ahead |
 * | `validity-too-long` | 422 | longer than the lane's longest validity |
 * | `text-too-long` | 422 | over 255 segments |
 * | `text-not-in-alphabet` | 422 | a carrier of a route takes no alphabet that has each character of the text |
 * | `text-has-card-number` | 422 | 13–19 Luhn-valid digits beyond first six and last four |
 * | `tlv-unknown` | 422 | no carrier's policy lets alerts give an optional parameter of this name |
 * | `tlv-value` | 422 | the value does not fit the carrier's optional parameter |
 * | `msisdn-not-possible` | 422 | not a possible E.164 number |
 * | `list-unknown` | 422 | no such list in this organisation |
 * | `list-empty` | 422 | a list without members |
 * | `empty-target` | 422 | neither recipients nor lists |
 * | `idempotency-mismatch` | 422 | the key was used with another body |
 * | `idempotency-running` | 409 | the first request with this key is still under way; Retry-After |
 * | `cannot-meet-expiry` | 503 | predicted to be handed over after it expires, and the lane refuses that; Retry-After |
 * | `overloaded` | 503 | intake's queue is full or the database can't commit; Retry-After |
 */
export const ALERT_PROBLEM_CODES = [
  'lane-not-allowed',
  'lane-not-served',
  'sender-not-allowed',
  'status-not-sendable',
  'expires-in-past',
  'not-before-after-expiry',
  'not-before-too-far',
  'validity-too-long',
  'text-too-long',
  'text-not-in-alphabet',
  'text-has-card-number',
  'tlv-unknown',
  'tlv-value',
  'msisdn-not-possible',
  'list-unknown',
  'list-empty',
  'empty-target',
  'idempotency-mismatch',
  'idempotency-running',
  'cannot-meet-expiry',
  'overloaded',
] as const;
export type AlertProblemCode = (typeof ALERT_PROBLEM_CODES)[number];

export interface AlertProblem {
  readonly code: AlertProblemCode;
  /** Path in the request as the producer wrote it, e.g. `content.texts.fr` or `target.lists.0`; null when it is about the whole. */
  readonly field: string | null;
  /**
   * One sentence for the producer's programmer. Never holds a text, a number or any other rejected value; of a text that
   * is not secret at most the code point of one character.
   */
  readonly message: string;
  /** Whole seconds ≥ 1 for Retry-After; null when trying again won't help. */
  readonly retryAfterSeconds: number | null;
}

export type SubmitResult =
  | { readonly kind: 'accepted'; readonly alert: AcceptedAlert; readonly replay: boolean }
  | { readonly kind: 'problem'; readonly problem: AlertProblem };

/** How far an alert has come, in deliveries. `deliveries` = `open` + the six final states (`submitted` counts both). */
export interface AlertProgress {
  /** Deliveries made so far; equals the audience once `fannedOut`. */
  readonly deliveries: number;
  readonly fannedOut: boolean;
  /** Handed to a carrier and accepted by it, final since or not. */
  readonly submitted: number;
  readonly delivered: number;
  readonly failed: number;
  readonly expired: number;
  readonly cancelled: number;
  readonly suppressed: number;
  readonly unknown: number;
  /** Without a final state yet. */
  readonly open: number;
}

export interface AlertView extends AcceptedAlert {
  readonly status: AlertStatus;
  readonly secret: boolean;
  readonly sender: string | null;
  readonly reference: string | null;
  readonly acceptedAt: EpochMs;
  readonly notBefore: EpochMs | null;
  readonly cancelledAt: EpochMs | null;
  /** Its producer holds back what was not handed over. Never true of a cancelled one. */
  readonly paused: boolean;
  readonly progress: AlertProgress;
}

/** Cancelling twice gives `cancelled` again with the first `cancelledAt`. */
export type CancelResult =
  | { readonly kind: 'cancelled'; readonly alert: AlertView }
  /** Every delivery already has its final state, or the alert has expired: nothing is left to cancel. */
  | { readonly kind: 'already-final'; readonly alert: AlertView }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'problem'; readonly problem: AlertProblem };

/** Pausing what is paused, and resuming what is not, changes nothing and gives `done`. */
export type PauseResult =
  | { readonly kind: 'done'; readonly alert: AlertView }
  /** Nothing is left to hold back: every delivery has its final state, or the alert has expired or was cancelled. */
  | { readonly kind: 'already-final'; readonly alert: AlertView }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'problem'; readonly problem: AlertProblem };

/** What a door asks of this room. Never throws for anything the producer did; what it throws is a bug or a lost database. */
export interface AlertService {
  /** Resolves after the commit. `idempotencyKey`: 1–255 printable ASCII characters, or null. */
  submit(principal: Principal, request: AlertRequest, idempotencyKey: string | null): Promise<SubmitResult>;
  /** Null when the organisation has no such alert. `id`: a lower-case UUID, of any version. */
  get(organisation: number, id: string): Promise<AlertView | null>;
  cancel(principal: Principal, id: string): Promise<CancelResult>;
  pause(principal: Principal, id: string): Promise<PauseResult>;
  resume(principal: Principal, id: string): Promise<PauseResult>;
}
