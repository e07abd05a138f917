/**
 * What receipts are matched to: deliveries that wait for them, in memory and in the database.
 *
 * A receipt's id is looked up as the few ids that its submit_sm_resp may have had (`smpp/receipt-id.ts`), first in memory,
 * then in `submission (bind, message_id)` within the carrier's receipt horizon, newest first because SMSCs reuse ids.
 */
import { BoundedMap, type EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { FINAL, type FinalCode, finalOfReceipt, finalOfSegments, MESSAGE_STATE } from '../records/index.ts';
import type { BySegment, SegmentSet } from './by-segment.ts';
import type { ReceiptsPerMessage } from './receipts-per-message.ts';

/** A delivery that waits for receipts. Segments of one text share it. */
export interface Track {
  day: string;
  delivery: number;
  segments: number;
  alert: string;
  counted: boolean;
  /** A secret body to destroy at the final state, else null. */
  secretBody: number | null;
  /** Segments that the carrier has taken. */
  accepted: SegmentSet;
  /** What the receipts of each segment said in the end. */
  finals: BySegment<FinalCode>;
  final: FinalCode | null;
  /** Where it goes on a receipt that says there is no way to the number; null: nowhere, or no longer known. */
  elsewhere: Elsewhere | null;
  /** It went there: what this carrier says from now on is not the end. */
  moved: boolean;
}

/** What a receipt needs to know to send a delivery by its second route: a part of its track. */
export interface Elsewhere {
  readonly route: string;
  /** Values of `err:` in the receipt of a failure that lead there. */
  readonly errors: ReadonlySet<string>;
  readonly lane: LaneName;
  /** Of emergency. */
  readonly rank: number;
  readonly expiresAt: EpochMs;
}

export interface Match {
  track: Track;
  attempt: number;
  segment: number;
  sentAt: EpochMs;
  /** The journal's key of the submission: in the same shard no receipt is durable before it. */
  shard: number;
  /** As the submit_sm_resp had it. */
  messageId: string;
}

export function sameMessage(a: Match, b: Match): boolean {
  return (
    a.track.delivery === b.track.delivery &&
    a.segment === b.segment &&
    a.attempt === b.attempt &&
    a.track.day === b.track.day
  );
}

/**
 * Takes the receipt's state into the track; returns the delivery's final state when this receipt brought it, and what it
 * rests on where that is not plain from the receipts.
 */
export function applyReceipt(
  track: Track,
  segment: number,
  messageState: number,
  perMessage: ReceiptsPerMessage,
  /** Its alert was cancelled, and the carrier asked to give it up. */
  recalled = false,
): { final: FinalCode | null; cause: string | null; duplicate: boolean } {
  const code = recalled && messageState === MESSAGE_STATE.deleted ? FINAL.cancelled : finalOfReceipt(messageState);
  if (code === null) return { final: null, cause: null, duplicate: false };
  if (track.finals.has(segment)) return { final: null, cause: null, duplicate: track.finals.get(segment) === code };
  track.finals.set(segment, code);
  if (track.segments > 1 && track.finals.size === track.segments)
    perMessage.observe(track.segments, new Set(track.finals.keys()));
  if (track.final !== null) return { final: null, cause: null, duplicate: false };
  // Nearly every text has one segment, whose receipt is the end.
  if (track.segments === 1) {
    track.final = code;
    return { final: code, cause: null, duplicate: false };
  }
  const { final, cause } = endOf(track, perMessage);
  track.final = final;
  return { final, cause, duplicate: false };
}

/**
 * The final state that the receipts so far make, and what it rests on where that is not plain from them. One segment's
 * receipt speaks for a text that the carrier has taken as a whole, and for no other.
 */
export function endOf(track: Track, perMessage: ReceiptsPerMessage): { final: FinalCode | null; cause: string | null } {
  const taken = track.accepted.size >= track.segments;
  const deciding = taken && track.segments > 1 ? perMessage.deciding(track.segments) : null;
  const final = finalOfSegments(track.segments, track.finals, deciding);
  const plain = final !== FINAL.delivered || track.finals.size >= track.segments;
  return { final, cause: plain ? null : `confirmed-by-${perMessage.mode}` };
}

/** Some segments of a text are confirmed, none failed, and the others' receipts are still out. */
export function partlyConfirmed(track: Track): boolean {
  return track.final === null && track.finals.size > 0 && track.finals.size < track.segments;
}

/** Message ids in memory: bounded, the oldest of the same bind out first (they are found in the database then). */
export class ReceiptIndex {
  /** By bind, then by id. */
  readonly #entries = new Map<number, BoundedMap<string, Match>>();
  #size = 0;
  readonly #long: BoundedMap<number, Track>;
  readonly #max: number;

  /** @param max ids, of all binds together; and as many texts of several segments. */
  constructor(max: number) {
    this.#max = max;
    this.#long = new BoundedMap(max);
  }

  add(bind: number, match: Match): void {
    const { messageId } = match;
    let ofBind = this.#entries.get(bind);
    if (ofBind === undefined) {
      ofBind = new BoundedMap(this.#max);
      this.#entries.set(bind, ofBind);
    }
    match.track.accepted.add(match.segment);
    const before = ofBind.size;
    ofBind.set(messageId, match);
    this.#size += ofBind.size - before;
    if (this.#size > this.#max && ofBind.dropOldest()) this.#size--;
  }

  find(bind: number, messageId: string): Match | undefined {
    return this.#entries.get(bind)?.get(messageId);
  }

  /** The delivery of this message came to its end without a receipt. */
  end(bind: number, messageId: string, final: FinalCode): void {
    const track = this.#entries.get(bind)?.get(messageId)?.track;
    if (track !== undefined) track.final ??= final;
  }

  /** The id is settled: no further receipt is expected. */
  drop(bind: number, { messageId, track }: Pick<Match, 'messageId' | 'track'>): void {
    if (this.#entries.get(bind)?.delete(messageId) === true) this.#size--;
    if (track.segments > 1 && track.finals.size >= track.segments) this.#long.delete(track.delivery);
  }

  /**
   * The one track of a text of several segments, with what the database knew of it when `track` was read. Receipts of its
   * segments that are looked up one after the other would else each see the others' only once they are durable.
   */
  joined(track: Track): Track {
    // Another route has it: what is known of that is not this carrier's.
    if (track.segments === 1 || track.moved) return track;
    const one = this.longText(track.delivery, () => track);
    if (one === track) return one;
    for (const segment of track.accepted) one.accepted.add(segment);
    for (const [segment, code] of track.finals) if (!one.finals.has(segment)) one.finals.set(segment, code);
    one.final ??= track.final;
    return one;
  }

  /**
   * What is known of a text of several segments, whichever attempt, bind or chunk sent each: some may be accepted in one
   * and the rest in another, and only together do their receipts make the end.
   */
  longText(delivery: number, make: () => Track): Track {
    const track = this.#long.get(delivery) ?? make();
    this.#long.set(delivery, track);
    return track;
  }

  get size(): number {
    return this.#size;
  }
}
