/**
 * The chunks that a bind has in memory, from their fetch to their end here, and which of them have deliveries to claim.
 *
 *   added ─► in its lane's queue ─ all claimed, or over ─► out of it ─ no claimed item without an outcome ─► settled
 *     │            ├─ paused: its rest leaves ──────────────────────────── the same ─────────────────────────► returned
 *     │            └─ paused in part: split ─ durable ─► in its lane's queue again
 *     └─ another holder has it ─► forgotten
 */
import { ChurnMap, type Clock, type EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import type { FinalCode, Journal } from '../records/index.ts';
import { finalOp } from './final-op.ts';
import { perLane } from './lanes.ts';
import { type ChunkPlan, type Pauses, planChunk } from './pauses.ts';
import { insertInOrder } from './place.ts';
import type { DispatchExtra, HeldChunk, Item } from './types.ts';

export interface HeldChunksOptions {
  /** Its name. */
  bind: string;
  clock: Clock;
  journal: Journal<DispatchExtra>;
  /** The next id for a chunk that is split off. */
  nextId: () => number;
  onRoom: (lane: LaneName) => void;
  /** A chunk that was split is in its queue again, or over. */
  onSplit: () => void;
}

export class HeldChunks {
  readonly #o: HeldChunksOptions;
  /** Those with unclaimed positions, in the order in which they are to be claimed. */
  readonly #queues: Record<LaneName, HeldChunk[]> = perLane(() => []);
  /** How many deliveries wait in them. */
  readonly #waiting: Record<LaneName, number> = perLane(() => 0);
  /** By id, with the time at which each came into memory. */
  readonly #held = new ChurnMap<number, { readonly chunk: HeldChunk; readonly at: EpochMs }>();
  #closed = false;

  constructor(options: HeldChunksOptions) {
    this.#o = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Those of a lane with unclaimed positions, in the order in which they are to be claimed. */
  queue(lane: LaneName): readonly HeldChunk[] {
    return this.#queues[lane];
  }

  /** How many deliveries of a lane are not claimed yet. */
  waiting(lane: LaneName): number {
    return this.#waiting[lane];
  }

  /** Since when the chunk that has been here longest has been in memory, by lane; it has not come to its end. */
  since(): Partial<Record<LaneName, EpochMs>> {
    const since: Partial<Record<LaneName, EpochMs>> = {};
    for (const { chunk, at } of this.#held.values()) since[chunk.lane] ??= at;
    return since;
  }

  /** Items are in the order of their positions. */
  add(chunk: HeldChunk, items: Item[]): void {
    this.#setWaiting(chunk, items);
    this.#held.set(chunk.id, { chunk, at: this.#o.clock.now() });
    if (items.length > 0) this.#queue(chunk);
    else this.#skipRest(chunk);
  }

  /** The first `count` that wait are claimed, up to this position; each is open until `endIfDone` is told otherwise. */
  claimed(chunk: HeldChunk, to: number, count: number): void {
    chunk.claimedTo = to;
    this.#setWaiting(chunk, chunk.waiting.slice(count));
    chunk.open += count;
    if (chunk.waiting.length === 0) this.#unqueue(chunk);
  }

  /** Looks whether the chunk has come to its end here: nothing of it is open, and nothing is left to claim. */
  endIfDone(chunk: HeldChunk): void {
    if (chunk.done || chunk.open > 0 || (chunk.leaving === null && chunk.claimedTo < chunk.size)) return;
    this.#drop(chunk);
    const { id, queue, job, lane, route, leaving: as } = chunk;
    // Behind the facts of what was claimed of it: until those are durable it may have no other holder.
    this.#o.journal.add(id, {
      extra:
        as === null
          ? { kind: 'settle', chunk: id, queue, job }
          : { kind: 'return', chunk: id, job: job.id, lane, route, as },
    });
    this.#o.onRoom(chunk.lane);
  }

  /** Another holder has this chunk: it is none of ours any more. */
  forget(chunk: HeldChunk): void {
    this.#unqueue(chunk);
    this.#setWaiting(chunk, []);
    this.#drop(chunk);
  }

  /** Ends unclaimed items of a lane that match, without sending them. Not while a claim of the lane is in progress. */
  withdraw(lane: LaneName, matches: (item: Item) => boolean, state: FinalCode, reason: 'expired' | 'cancelled'): void {
    const { clock, journal } = this.#o;
    for (const chunk of [...this.#queues[lane]]) {
      const gone = chunk.waiting.filter(matches);
      if (gone.length === 0) continue;
      this.#setWaiting(
        chunk,
        chunk.waiting.filter((item) => !matches(item)),
      );
      for (const item of gone) journal.add(chunk.id, finalOp(item, state, reason, clock.now()));
      if (chunk.waiting.length === 0) {
        this.#unqueue(chunk);
        this.#skipRest(chunk);
      }
    }
  }

  /** Gives back what is paused of a lane and not claimed. Not while a claim of the lane is in progress. */
  holdBack(lane: LaneName, pauses: Pauses): void {
    for (const chunk of [...this.#queues[lane]]) {
      const plan = planChunk(pauses, this.#o.bind, chunk);
      if (plan.kind === 'keep') continue;
      this.#unqueue(chunk);
      if (plan.kind === 'split') this.#split(chunk, plan);
      else {
        this.#setWaiting(chunk, []);
        chunk.leaving = plan.as;
        this.endIfDone(chunk);
        this.#o.onRoom(chunk.lane);
      }
    }
  }

  /** From here on nothing is claimed of them. Those that still have unclaimed positions are the caller's to give back. */
  close(): HeldChunk[] {
    this.#closed = true;
    const left = this.#held.values().map(({ chunk }) => chunk);
    return left.filter((chunk) => chunk.claimedTo < chunk.size);
  }

  #split(chunk: HeldChunk, plan: Extract<ChunkPlan<Item>, { kind: 'split' }>): void {
    this.#setWaiting(chunk, [...plan.stay]);
    const { id, job, day, lane, route, attempt, possibleDuplicate } = chunk;
    const parked = [...plan.parked].map(([alert, items]) => ({
      chunkId: this.#o.nextId(),
      alert,
      deliveries: items.map((item) => item.id),
      expiresMin: Math.min(...items.map((item) => item.expiresAt)),
      expiresMax: Math.max(...items.map((item) => item.expiresAt)),
    }));
    this.#o.journal.add(id, {
      extra: { kind: 'split', chunk: id, job: job.id, day, lane, route, attempt, possibleDuplicate, parked },
      // A claim beyond them, and then a crash, would lose them.
      durable: () => this.#afterSplit(chunk),
    });
  }

  #afterSplit(chunk: HeldChunk): void {
    if (this.#closed || chunk.done) return;
    if (chunk.waiting.length === 0) this.#skipRest(chunk);
    else this.#queue(chunk);
    this.#o.onSplit();
  }

  /** Nothing of the rest of the chunk needs sending: it is final already. */
  #skipRest(chunk: HeldChunk): void {
    chunk.claimedTo = chunk.size;
    this.endIfDone(chunk);
  }

  #setWaiting(chunk: HeldChunk, items: Item[]): void {
    this.#waiting[chunk.lane] += items.length - chunk.waiting.length;
    chunk.waiting = items;
  }

  #drop(chunk: HeldChunk): void {
    chunk.done = true;
    // Another may have its place by now: this bind has fetched it again.
    if (this.#held.get(chunk.id)?.chunk === chunk) this.#held.delete(chunk.id);
  }

  #queue(chunk: HeldChunk): void {
    insertInOrder(this.#queues[chunk.lane], [chunk], (each) => each);
  }

  #unqueue(chunk: HeldChunk): void {
    const queue = this.#queues[chunk.lane];
    const index = queue.indexOf(chunk);
    if (index >= 0) queue.splice(index, 1);
  }
}
