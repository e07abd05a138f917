/**
 * What an alert must keep beyond its form: lane, status, times, texts. Pure: the clock's time and the lane's policy are
 * given. What needs the database (lists, repeats) or the routes (whether a carrier can send the texts: `wording.ts`) is
 * looked at elsewhere.
 *
 * **Status.** Only `Actual` is taken. A `Draft` or `System` alert is not meant for anyone's phone. An `Exercise` or `Test`
 * may go to nobody but recipients who were set apart for it, and nothing can say yet who they are nor let a second
 * person confirm it; sending a drill as real can't be forgiven, and storing it unsent would look like a delivery that
 * never came. So all of them are refused at the door, with nothing stored.
 *
 * **Times.** `expiresAt`, or `validFor` counted from `notBefore` (else from now), or the lane's default validity. The
 * validity, counted from when the alert may first leave, is at most the lane's longest; at least the lane's
 * `minRemaining` is left when it may first leave, for less counts as expired. `notBefore` is at most 30 days ahead:
 * with the longest validity that policy allows (30 days), work is never older than the 60 days after which a queue
 * would drop it.
 */
import type { EpochMs } from '../platform/index.ts';
import type { LaneName, LanePolicy, TlvPolicy } from '../policy/index.ts';
import { FieldError, submitTlv } from '../smpp/index.ts';
import { hasCardNumber } from './card-number.ts';
import type { AlertProblem, AlertProblemCode, AlertRequest, AlertText, AlertTlvs } from './types.ts';

export const NOT_BEFORE_MAX_MS = 30 * 86_400_000;

export interface RuleContext {
  readonly now: EpochMs;
  readonly lane: LanePolicy;
  /** Lanes that the producer's key may use. */
  readonly allowedLanes: ReadonlySet<LaneName>;
}

/** A request that keeps the rules, with what followed from them. */
export interface CheckedRequest {
  readonly request: AlertRequest;
  readonly acceptedAt: EpochMs;
  readonly expiresAt: EpochMs;
  /** Null when it may leave at once, also when the producer's `notBefore` has passed. */
  readonly holdUntil: EpochMs | null;
}

export type Checked =
  | { readonly kind: 'checked'; readonly checked: CheckedRequest }
  | { readonly kind: 'problem'; readonly problem: AlertProblem };

/** The first rule that the request breaks, in the order of the producer's own fields; or what follows from it. */
export function checkRequest(request: AlertRequest, context: RuleContext): Checked {
  const { now } = context;
  if (!context.allowedLanes.has(request.lane)) {
    return refused('lane-not-allowed', 'lane', 'The API key may not use this lane.');
  }
  if (request.status !== 'Actual') {
    return refused('status-not-sendable', 'status', 'Only alerts of status Actual are taken; nothing was stored.');
  }
  const shown = checkTexts(request.texts);
  if (shown !== null) return shown;
  const { recipients, lists } = request.target;
  if (recipients.length === 0 && lists.length === 0) {
    return refused('empty-target', 'target', 'An alert names at least one recipient or list.');
  }
  const times = checkTimes(request, context);
  if (times.kind === 'problem') return times;
  const holdUntil = request.notBefore !== null && request.notBefore > now ? request.notBefore : null;
  const checked = { request, acceptedAt: now, expiresAt: times.expiresAt, holdUntil };
  return { kind: 'checked', checked };
}

export type Refusal = Extract<Checked, { kind: 'problem' }>;

function checkTexts(texts: readonly AlertText[]): Refusal | null {
  for (const { language, text } of texts) {
    const field = language === null ? 'content.text' : `content.texts.${language}`;
    if (hasCardNumber(text)) {
      const message = 'The text shows a card number; show at most its first six and last four digits.';
      return refused('text-has-card-number', field, message);
    }
  }
  return null;
}

function checkTimes(
  { notBefore, expiresAt, validForMs }: AlertRequest,
  { now, lane }: RuleContext,
): { kind: 'times'; expiresAt: EpochMs } | Refusal {
  const named = expiresAt !== null ? 'expiresAt' : validForMs !== null ? 'validFor' : null;
  const end = expiresAt ?? (notBefore ?? now) + (validForMs ?? lane.defaultValidityMs);
  if (notBefore !== null && notBefore - now > NOT_BEFORE_MAX_MS) {
    return refused('not-before-too-far', 'notBefore', 'notBefore is more than 30 days ahead.');
  }
  if (notBefore !== null && notBefore > now && end - notBefore < Math.max(lane.minRemainingMs, 1)) {
    return refused('not-before-after-expiry', 'notBefore', notLongEnough('after notBefore', lane));
  }
  if (end - now < Math.max(lane.minRemainingMs, 1)) {
    return refused('expires-in-past', named ?? 'notBefore', notLongEnough('from now', lane));
  }
  if (end - Math.max(notBefore ?? now, now) > lane.longestValidityMs) {
    const seconds = lane.longestValidityMs / 1_000;
    return refused('validity-too-long', named, `The lane allows a validity of at most ${seconds} seconds.`);
  }
  return { kind: 'times', expiresAt: end };
}

/**
 * The first value for a carrier's optional parameter that no carrier asks for, or that does not fit what one of them makes
 * of it: an alert may take any of them. Null when there is none.
 * @param known what each name is written as, over all carriers.
 */
export function checkTlvs(
  tlvs: AlertTlvs,
  known: ReadonlyMap<string, readonly Pick<TlvPolicy, 'tag' | 'type'>[]>,
): AlertProblem | null {
  for (const [name, value] of Object.entries(tlvs)) {
    const uses = known.get(name);
    if (uses === undefined) {
      return refused('tlv-unknown', `tlvs.${name}`, 'No carrier takes an optional parameter of this name.').problem;
    }
    for (const { tag, type } of uses) {
      try {
        submitTlv(tag, type, value);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        return refused('tlv-value', `tlvs.${name}`, `The value ${error.rule}.`).problem;
      }
    }
  }
  return null;
}

const notLongEnough = (since: string, lane: LanePolicy): string =>
  `The alert must stay valid for at least ${Math.max(lane.minRemainingMs, 1)} ms ${since}.`;

/** A refusal: nothing was stored. `retryAfterSeconds` only where trying again may help. */
export function refused(
  code: AlertProblemCode,
  field: string | null,
  message: string,
  retryAfterSeconds: number | null = null,
): Refusal {
  return { kind: 'problem', problem: { code, field, message, retryAfterSeconds } };
}
