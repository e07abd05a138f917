/**
 * What a claimed item goes through here until its attempt is over, as operations of the journal: each answer to one of its
 * segments, then what comes of the whole (attempt-end.ts), or that it goes back unsent.
 *
 *   claimed ─ sent, segment by segment ─ all have an outcome ─► open, final, again, onwards
 *      └─ not sent after all ─► release fact ─► again in a chunk of its own, or final
 */
import type { Clock, EpochMs } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy } from '../policy/index.ts';
import { type FinalCode, type Journal, type JournalOp, OUTCOME, type ReleaseRow } from '../records/index.ts';
import type { Answer, StatusClass } from '../smpp/index.ts';
import { endOfAttempt } from './attempt-end.ts';
import type { SubmissionCounts } from './counts.ts';
import { finalOp } from './final-op.ts';
import type { HeldChunks } from './held-chunks.ts';
import type { Pauses } from './pauses.ts';
import { rankOf } from './place.ts';
import type { DispatchExtra, Item } from './types.ts';
import type { Sent } from './wire.ts';

export interface AttemptsOptions {
  bind: { id: number; name: string };
  carrier: CarrierPolicy;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  clock: Clock;
  journal: Journal<DispatchExtra>;
  counts: Readonly<Record<LaneName, SubmissionCounts>>;
  chunks: HeldChunks;
  /** The next id for a release or a retry chunk; ids are taken ahead so that this never waits. */
  nextId: () => number;
  /** What is paused at this instant. */
  pauses: { readonly now: Pauses };
  /** The last operation of an item is durable. One for all: a closure each would live as long as they do. */
  onDecided: () => void;
}

type Answered = Extract<Answer, { kind: 'answered' }>;

export class Attempts {
  #o: AttemptsOptions;

  constructor(options: AttemptsOptions) {
    this.#o = options;
  }

  apply(carrier: CarrierPolicy, lanes: Readonly<Record<LaneName, LanePolicy>>): void {
    this.#o = { ...this.#o, carrier, lanes };
  }

  // one submit_sm ----------------------------------------------------------------------------------------------------

  /** @param what its status means for this item */
  answered(sent: Sent, what: StatusClass, { status, messageId }: Answered, now: EpochMs): void {
    const { item, segment } = sent;
    const counts = this.#o.counts[item.chunk.lane];
    switch (what) {
      case 'ok':
        counts.accepted++;
        item.taken = true;
        note(item, 1, null);
        this.#submission(sent, OUTCOME.accepted, status, messageId, now);
        break;
      case 'throttled':
        counts.throttled++;
        this.#journal(item, { release: this.#releaseRow(item, segment, 'throttled', status) });
        // Else another segment was refused for good, or the rest was withdrawn: none is sent any more.
        if (item.worst !== 4) item.toSend.unshift(segment);
        break;
      case 'bind':
        counts.refusedForNow++;
        // Nothing is wrong with it: another bind may send it, or this one later.
        item.toSend.unshift(segment);
        item.returned = { segment, status };
        break;
      case 'temporary':
      case 'unknown':
        counts.refusedForNow++;
        note(item, 2, status);
        this.#submission(sent, OUTCOME.refusedForNow, status, null, now);
        break;
      case 'address':
      case 'message':
        counts.refused++;
        note(item, 4, status);
        this.#submission(sent, OUTCOME.refused, status, null, now);
        // The rest of the text is of no use to anyone.
        item.toSend = [];
        break;
      default:
        what satisfies never;
    }
  }

  /** No answer in time, or the session ended. */
  unanswered(sent: Sent): void {
    const { item } = sent;
    this.#o.counts[item.chunk.lane].unanswered++;
    item.taken = true;
    note(item, 3, null);
    this.#submission(sent, OUTCOME.unanswered, null, null, null);
  }

  // the whole --------------------------------------------------------------------------------------------------------

  /** All segments of this attempt have an outcome. */
  over(item: Item): void {
    const { chunk } = item;
    const { lanes, carrier, clock } = this.#o;
    const now = clock.now();
    const end = endOfAttempt(item, lanes[chunk.lane], carrier, now);
    switch (end.kind) {
      case 'open':
        this.#settled(item, {});
        return;
      case 'final':
        this.#final(item, end.state, end.cause);
        return;
      case 'again':
        this.#again(item, chunk.attempt + 1, end.due, end.possibleDuplicate);
        return;
      case 'onwards': {
        const release = this.#releaseRow(item, 0, 'other-route', item.worstStatus);
        this.#again(item, chunk.attempt + 1, now, false, release, end.route);
        return;
      }
      default:
        end satisfies never;
    }
  }

  /** Of an item whose rest is not sent from here, every segment that was has an outcome. */
  partlySent(item: Item): void {
    // In doubt, refused: what becomes of such an attempt decides. The next one sends whatever was not accepted.
    if (item.worst > 1) this.over(item);
    else this.giveBack(item);
  }

  /** It goes back to its queue, unsent or for its unsent rest: the same attempt again in a chunk of its own. */
  giveBack(item: Item): void {
    const { returned, chunk } = item;
    const held = this.#o.pauses.now.holds(this.#o.bind.name, item);
    const release =
      returned === null
        ? this.#releaseRow(item, 0, held === null ? 'handed-back' : 'paused', null)
        : this.#releaseRow(item, returned.segment, 'bind-refused', returned.status);
    const now = this.#o.clock.now();
    this.#again(item, chunk.attempt, now, chunk.possibleDuplicate, release, chunk.route, held === 'parked');
  }

  /** It goes back to its queue until `due`. */
  giveBackUntil(item: Item, due: EpochMs): void {
    const { attempt, possibleDuplicate } = item.chunk;
    this.#again(item, attempt, due, possibleDuplicate, this.#releaseRow(item, 0, 'handed-back', null));
  }

  /** It is paused. Of one that is partly on the wire the answers decide. */
  holdBack(item: Item): void {
    if (item.inFlight > 0) item.heldBack = true;
    else this.partlySent(item);
  }

  /** It will not be sent (any more): a release fact, and its final state. */
  withdraw(item: Item, state: FinalCode, reason: 'expired' | 'cancelled' | 'not-encodable', detail?: string): void {
    item.toSend = [];
    if (item.inFlight > 0) {
      // Part of it is on the wire: how that ends decides, and it is not sent again.
      note(item, 4, null);
      return;
    }
    const why = reason === 'not-encodable' ? 'cancelled' : reason;
    this.#journal(item, { release: this.#releaseRow(item, 0, why, null) });
    this.#final(item, state, detail === undefined ? reason : `${reason}: ${detail}`);
  }

  // the journal ------------------------------------------------------------------------------------------------------

  /**
   * The item ends here and goes on in a chunk for `attempt`. Why it was not sent here, where that is so, is written down
   * in the same transaction: a release without its chunk would be a delivery that nobody has.
   */
  #again(
    item: Item,
    attempt: number,
    due: EpochMs,
    possibleDuplicate: boolean,
    release?: ReleaseRow,
    route = item.chunk.route,
    parked = false,
  ): void {
    const { chunk } = item;
    this.#settled(item, {
      ...(release === undefined ? {} : { release }),
      extra: {
        kind: 'retry',
        day: chunk.day,
        lane: chunk.lane,
        route,
        rank: rankOf(chunk.priority),
        delivery: item.id,
        alert: item.alert,
        attempt,
        returns: attempt === chunk.attempt ? chunk.returns + 1 : 0,
        possibleDuplicate,
        due,
        expiresAt: item.expiresAt,
        chunkId: this.#o.nextId(),
        parked,
      },
    });
  }

  #final(item: Item, state: FinalCode, cause: string | null): void {
    this.#settled(item, finalOp(item, state, cause, this.#o.clock.now()));
  }

  /** The last operation of a claimed item: when it is durable the item no longer counts towards K. */
  #settled(item: Item, op: JournalOp<DispatchExtra>): void {
    item.chunk.open--;
    op.durable = this.#o.onDecided;
    this.#journal(item, op);
    this.#o.chunks.endIfDone(item.chunk);
  }

  #submission(
    sent: Sent,
    outcome: number,
    status: number | null,
    messageId: string | null,
    answeredAt: EpochMs | null,
  ): void {
    const { item, segment } = sent;
    const { chunk } = item;
    const whole = outcome === OUTCOME.accepted && item.inFlight === 0 && item.toSend.length === 0 && item.worst === 1;
    const submitted = whole && item.counted && !item.submittedBefore;
    this.#journal(item, {
      submission: {
        day: chunk.day,
        delivery: item.id,
        attempt: chunk.attempt,
        segment,
        segments: item.parts.length,
        bind: this.#o.bind.id,
        outcome,
        status,
        messageId,
        possibleDuplicate: chunk.possibleDuplicate,
        sentAt: sent.at,
        answeredAt,
      },
      submitted,
      alert: submitted ? item.alert : undefined,
      day: chunk.day,
    });
  }

  #releaseRow(item: Item, segment: number, reason: ReleaseRow['reason'], status: number | null): ReleaseRow {
    return {
      day: item.chunk.day,
      delivery: item.id,
      id: this.#o.nextId(),
      attempt: item.chunk.attempt,
      segment,
      bind: this.#o.bind.id,
      reason,
      status,
      at: this.#o.clock.now(),
    };
  }

  #journal(item: Item, op: JournalOp<DispatchExtra>): void {
    this.#o.journal.add(item.chunk.id, op);
  }
}

function note(item: Item, worst: Item['worst'], status: number | null): void {
  if (worst <= item.worst) return;
  item.worst = worst;
  item.worstStatus = status;
}
