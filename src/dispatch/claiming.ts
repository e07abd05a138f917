/**
 * A bind's claims ahead of the wire: what to claim (claim-plan.ts) becomes wishes, what was granted (claims.ts) goes to
 * whoever sends it. Two hands claim beside each other, so that emergencies wait for no claim of other lanes.
 */
import type { ChainWriter } from '../audit/index.ts';
import type { Clock } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { planClaims } from './claim-plan.ts';
import { type ClaimWish, writeClaims } from './claims.ts';
import type { HeldChunks } from './held-chunks.ts';
import type { Holder } from './hold.ts';
import { LANES_BY_URGENCY, type LaneSchedule, passOf, perLane } from './lanes.ts';
import type { ReadyQueue } from './ready-queue.ts';
import type { HeldChunk, Item } from './types.ts';

/** Emergencies are claimed beside the other lanes, by a chain and a session of their own. */
const CLAIM_HANDS = ['emergency', 'others'] as const;
export type ClaimHand = (typeof CLAIM_HANDS)[number];
const handOf = (lane: LaneName): ClaimHand => (lane === 'emergency' ? 'emergency' : 'others');

export interface ClaimingOptions {
  holder: Holder;
  clock: Clock;
  /** A claim of emergencies waits for none of other lanes. */
  writers: Readonly<Record<ClaimHand, ChainWriter>>;
  /** `claimed_to` of those chunks that are still held here, as the database has it; null when the bind is lost. */
  claimedTo: (hand: ClaimHand, chunks: readonly number[]) => Promise<ReadonlyMap<number, number> | null>;
  /** May this process send on the bind at this instant? (lease) */
  mayOwn: () => boolean;
  chunks: HeldChunks;
  /** Claimed and not yet on the wire. */
  ready: Readonly<Record<LaneName, ReadyQueue>>;
  /** These are claimed from now on, in the order of their positions. */
  onClaimed: (chunk: HeldChunk, items: readonly Item[]) => void;
  /** A claim has ended, whatever was granted of it. */
  onEnd: () => void;
  onTrouble: (error: unknown) => void;
}

/** What is to be claimed of one chunk. */
interface Part {
  chunk: HeldChunk;
  items: Item[];
  wish: ClaimWish;
}

export class Claiming {
  readonly #o: ClaimingOptions;
  readonly #inProgress: Record<ClaimHand, boolean> = { emergency: false, others: false };
  #undecided = 0;

  constructor(options: ClaimingOptions) {
    this.#o = options;
  }

  /** Deliveries claimed, or being claimed, without a durable outcome. */
  get undecided(): number {
    return this.#undecided;
  }

  /** The outcome of one is durable: it no longer counts towards K. */
  decided(): void {
    this.#undecided--;
  }

  /** Whether anything is undecided, or may be in a moment. */
  get busy(): boolean {
    return this.#undecided > 0 || CLAIM_HANDS.some((hand) => this.#inProgress[hand]);
  }

  /** Whether a claim of the lane is in progress: what waits in its chunks may not change meanwhile. */
  inProgress(lane: LaneName): boolean {
    return this.#inProgress[handOf(lane)];
  }

  /** @param limit K; @param expecting an emergency was here lately */
  claim(limit: number, schedule: LaneSchedule, expecting: boolean): void {
    if (CLAIM_HANDS.every((hand) => this.#inProgress[hand]) || !this.#o.mayOwn()) return;
    const { chunks } = this.#o;
    const plan = planClaims(
      limit,
      this.#undecided,
      perLane((lane) => {
        const [first] = chunks.queue(lane);
        const ready = this.#o.ready[lane];
        return {
          weight: schedule.shares[lane].weight,
          pass: passOf(schedule, lane),
          ready: ready.length,
          ahead: first === undefined ? ready.length : ready.ahead(first),
          // With what is being claimed: while emergencies are, the room that they could use is not for other lanes.
          waiting: chunks.waiting(lane),
        };
      }),
      expecting,
    );
    for (const hand of CLAIM_HANDS) if (!this.#inProgress[hand]) this.#claimBy(hand, plan);
  }

  #claimBy(hand: ClaimHand, plan: Readonly<Record<LaneName, number>>): void {
    const parts: Part[] = [];
    for (const lane of LANES_BY_URGENCY) {
      if (handOf(lane) === hand) partsOf(this.#o.chunks.queue(lane), plan[lane], parts);
    }
    if (parts.length === 0) return;
    this.#undecided += parts.reduce((sum, { items }) => sum + items.length, 0);
    this.#inProgress[hand] = true;
    void this.#run(hand, parts).finally(() => {
      this.#inProgress[hand] = false;
      this.#o.onEnd();
    });
  }

  async #run(hand: ClaimHand, parts: readonly Part[]): Promise<void> {
    const { chunks, onClaimed } = this.#o;
    const moved = await this.#write(
      hand,
      parts.map(({ wish }) => wish),
    );
    for (const { wish, items, chunk } of parts) {
      const claimedTo = moved.get(chunk.id);
      if (claimedTo === wish.to) {
        chunks.claimed(chunk, wish.to, items.length);
        onClaimed(chunk, items);
        continue;
      }
      this.#undecided -= items.length;
      // Not claimed, and ours: the next claim takes it.
      if (claimedTo !== wish.from) chunks.forget(chunk);
    }
  }

  /** Up to where each chunk is claimed afterwards; one that is left out is no longer held here. */
  async #write(hand: ClaimHand, wishes: readonly ClaimWish[]): Promise<ReadonlyMap<number, number>> {
    const { writers, holder, clock } = this.#o;
    try {
      const won = await writeClaims(writers[hand], holder, wishes, clock.now());
      const moved = new Map(wishes.filter(({ chunk }) => won.has(chunk)).map(({ chunk, to }) => [chunk, to]));
      const refused = wishes.filter(({ chunk }) => !won.has(chunk)).map(({ chunk }) => chunk);
      if (refused.length === 0) return moved;
      // Its lease may have seemed to be over while a renewal was about to commit: then they are ours still.
      return new Map([...moved, ...((await this.#o.claimedTo(hand, refused)) ?? [])]);
    } catch (error) {
      this.#o.onTrouble(error);
      // It may have committed. What was claimed is sent; what was not is claimed again.
      const asked = wishes.map(({ chunk }) => chunk);
      return (await this.#o.claimedTo(hand, asked)) ?? new Map();
    }
  }
}

/** Adds what makes up `count` deliveries of these chunks, the first in line first. */
function partsOf(chunks: readonly HeldChunk[], count: number, parts: Part[]): void {
  let left = count;
  for (const chunk of chunks) {
    if (left <= 0) return;
    const items = chunk.waiting.slice(0, left);
    const whole = items.length === chunk.waiting.length;
    const to = whole ? chunk.size : (items[items.length - 1] as Item).position + 1;
    parts.push({
      chunk,
      items,
      wish: {
        day: chunk.day,
        chunk: chunk.id,
        from: chunk.claimedTo,
        to,
        attempt: chunk.attempt,
        deliveries: items.map((item) => item.id),
      },
    });
    left -= items.length;
  }
}
