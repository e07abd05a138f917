/**
 * Texts of several segments of which some receipts have come and the others not: they end when the carrier's bound is over.
 *
 *   first "delivered" of a segment ─► waiting ─ all here, or one says otherwise ─► gone (the receipt's own final state)
 *                                            ├─ one decides, by now, for all ─► read again ─► delivered
 *                                            └─ bound over ─► read again ─► delivered, cause `partly-confirmed`
 *
 * A text of which the carrier has not yet taken every segment goes on waiting. Before it ends one, the database is asked: another process may have had the missing receipts. What a former process
 * left waiting is found by a walk through the receipts within the horizon, in small steps, when the bind is won.
 */
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import { FINAL, type Journal, PARTLY_CONFIRMED } from '../records/index.ts';
import { type DayStep, DayWalk } from './day-walk.ts';
import { type PartialCursor, readPartial, readTracks } from './receipt-lookups.ts';
import { endOf, partlyConfirmed, type Track } from './receipts.ts';
import type { ReceiptsPerMessage } from './receipts-per-message.ts';
import type { DispatchExtra } from './types.ts';

export interface PartialTextsOptions {
  bind: number;
  boundMs: number;
  horizonDays: number;
  clock: Clock;
  pool: Pool;
  journal: Journal<DispatchExtra>;
  perMessage: ReceiptsPerMessage;
}

const BATCH_MAX = 500;
/** Texts in memory; beyond it they are left to the next walk. */
const WAITING_MAX = 100_000;
const START: PartialCursor = { delivery: 0, id: 0 };

export class PartialTexts {
  readonly #o: PartialTextsOptions;
  readonly #waiting = new Map<string, { track: Track; due: EpochMs }>();
  readonly #walk = new DayWalk(START);
  #overflowed = false;
  /** Texts that ended partly confirmed. */
  ended = 0;

  constructor(options: PartialTextsOptions) {
    this.#o = options;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A receipt was taken into the track at `receivedAt`. */
  touched(track: Track, receivedAt: EpochMs): void {
    if (track.segments === 1) return;
    const key = keyOf(track);
    if (!partlyConfirmed(track)) this.#waiting.delete(key);
    else if (!this.#waiting.has(key)) this.#add(key, track, receivedAt);
  }

  /** Looks for what a former process left waiting. */
  recover(): void {
    this.#walk.startAt(this.#o.clock.now(), this.#o.horizonDays);
  }

  /** One step of the walk, and the end of what is due. Called now and then. */
  async step(): Promise<void> {
    if (this.#walk.step !== null) await this.#walkOn(this.#walk.step);
    const now = this.#o.clock.now();
    const due: Track[] = [];
    // By now one receipt may decide: the last segment was taken meanwhile, or the carrier's habit is known.
    const oneDecides = this.#o.perMessage.deciding(2) !== null;
    for (const { track, due: at } of this.#waiting.values()) {
      if (at <= now || (oneDecides && endOf(track, this.#o.perMessage).final !== null)) due.push(track);
      if (due.length >= BATCH_MAX) break;
    }
    for (const [day, tracks] of Map.groupBy(due, (track) => track.day)) {
      const known = await readTracks(
        this.#o.pool,
        day,
        tracks.map((track) => track.delivery),
      );
      for (const track of tracks) this.#end(track, known.get(track.delivery) ?? track, now);
    }
    if (this.#overflowed && this.#waiting.size < WAITING_MAX / 2) {
      this.#overflowed = false;
      this.recover();
    }
  }

  #add(key: string, track: Track, since: EpochMs): void {
    if (this.#waiting.size >= WAITING_MAX) this.#overflowed = true;
    else this.#waiting.set(key, { track, due: since + this.#o.boundMs });
  }

  async #walkOn(step: DayStep<PartialCursor>): Promise<void> {
    const { pool, bind } = this.#o;
    const { open, next } = await readPartial(pool, bind, step.day, step.cursor);
    const since = new Map(open.map((one) => [one.delivery, one.since]));
    const tracks = since.size === 0 ? [] : (await readTracks(pool, step.day, [...since.keys()])).values();
    for (const track of tracks) {
      const key = keyOf(track);
      if (partlyConfirmed(track) && !this.#waiting.has(key)) this.#add(key, track, since.get(track.delivery) ?? 0);
    }
    this.#walk.advance(step, next);
  }

  /** @param known the delivery as the database has it */
  #end(track: Track, known: Track, now: EpochMs): void {
    const key = keyOf(track);
    const entry = this.#waiting.get(key);
    this.#waiting.delete(key);
    // Something came while the database was asked, or another process ended it.
    track.final ??= known.final;
    if (track.final !== null || entry === undefined) return;
    for (const segment of known.accepted) track.accepted.add(segment);
    for (const [segment, code] of known.finals) if (!track.finals.has(segment)) track.finals.set(segment, code);
    if (entry.due <= now && track.accepted.size < track.segments) {
      this.#waiting.set(key, { track, due: now + this.#o.boundMs });
      return;
    }
    if (entry.due <= now) this.#o.perMessage.observe(track.segments, new Set(track.finals.keys()));
    const { final, cause } = endOf(track, this.#o.perMessage);
    track.final = final ?? FINAL.delivered;
    if (final === null) this.ended++;
    this.#o.journal.add(track.delivery, {
      final: {
        day: track.day,
        delivery: track.delivery,
        state: track.final,
        cause: final === null ? PARTLY_CONFIRMED : cause,
        at: now,
      },
      day: track.day,
      ...(track.counted ? { alert: track.alert } : {}),
      ...(track.secretBody === null ? {} : { secretBody: track.secretBody }),
    });
  }
}

const keyOf = (track: Track): string => `${track.day}/${track.delivery}`;
