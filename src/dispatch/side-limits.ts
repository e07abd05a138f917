/**
 * Limits inside a bind: what the carrier caps for single senders and for the numbers of a prefix. Each is a throttle of its
 * own, counted per submit_sm like the bind's. A delivery needs a token of each that it falls under.
 */
import type { CarrierPolicy } from '../policy/index.ts';
import { type Slot, Throttle, type ThrottleOptions } from './throttle.ts';
import type { Item } from './types.ts';

/** Deliveries that wait for a limit are kept at hand for about this long; those behind them go back to their queue. */
const PARKED_SECONDS = 10;
/** Of K, in a lane: what waits for limits never takes the place of the rest. */
const PARKED_PART = 8;

export interface SideLimit {
  readonly throttle: Throttle;
  /** How many of a lane may wait at hand for it, ≥ 0. */
  parkedMax: number;
  /** Those that went back to the queue come again from here on, `inBatch` of them at the same time. */
  again: { at: number; inBatch: number };
}

/** What one submit_sm took of a limit. */
export interface SideSlot {
  readonly throttle: Throttle;
  readonly slot: Slot;
}

const NONE: readonly SideLimit[] = [];

export class SideLimits {
  readonly #senders = new Map<string, SideLimit>();
  readonly #prefixes = new Map<string, SideLimit>();
  #lengths: readonly number[] = [];
  #defaultSender = '';
  #parkedMax = 0;

  constructor(carrier: CarrierPolicy, contract: ThrottleOptions, claimLimit: number, now: number) {
    this.apply(carrier, contract, claimLimit, now);
  }

  /** How many of a lane may wait at hand for limits. */
  get parkedMax(): number {
    return this.#parkedMax;
  }

  get none(): boolean {
    return this.#senders.size === 0 && this.#prefixes.size === 0;
  }

  /** Policies have changed: limits that stay keep their history. */
  apply(carrier: CarrierPolicy, contract: ThrottleOptions, claimLimit: number, now: number): void {
    this.#defaultSender = carrier.defaultSender;
    this.#parkedMax = Math.floor(claimLimit / PARKED_PART);
    const put = (limits: Map<string, SideLimit>, wanted: ReadonlyMap<string, number>): void => {
      for (const key of limits.keys()) if (!wanted.has(key)) limits.delete(key);
      for (const [key, tps] of wanted) {
        const parkedMax = Math.min(Math.ceil(PARKED_SECONDS * tps), this.#parkedMax);
        const known = limits.get(key);
        if (known === undefined) {
          const throttle = new Throttle({ ...contract, tps }, now);
          limits.set(key, { throttle, parkedMax, again: { at: now, inBatch: 0 } });
        } else {
          known.parkedMax = parkedMax;
          known.throttle.change({ ...contract, tps }, now);
        }
      }
    };
    put(this.#senders, carrier.senderLimits);
    put(this.#prefixes, carrier.prefixLimits);
    this.#lengths = [...new Set([...this.#prefixes.keys()].map((prefix) => prefix.length))];
  }

  of({ sender, msisdn }: Pick<Item, 'sender' | 'msisdn'>): readonly SideLimit[] {
    if (this.none) return NONE;
    const limits: SideLimit[] = [];
    const bySender = this.#senders.get(sender ?? this.#defaultSender);
    if (bySender !== undefined) limits.push(bySender);
    for (const length of this.#lengths) {
      const byPrefix = this.#prefixes.get(msisdn.slice(0, length));
      if (byPrefix !== undefined) limits.push(byPrefix);
    }
    return limits;
  }

  /** The limit under which each of these falls as a sender's; null when they are of several, or of none. */
  ofAll(items: readonly Pick<Item, 'sender'>[]): SideLimit | null {
    const first = items[0];
    if (first === undefined || this.#senders.size === 0) return null;
    const limit = this.#senders.get(first.sender ?? this.#defaultSender);
    return limit !== undefined && items.every(({ sender }) => sender === first.sender) ? limit : null;
  }

  /** The limit without a token now for which the item waits longest, or null when it may go. */
  holding(item: Pick<Item, 'sender' | 'msisdn'>, now: number): SideLimit | null {
    let holding: SideLimit | null = null;
    let longest = now;
    for (const limit of this.of(item)) {
      const at = limit.throttle.nextAt(now);
      if (at > longest) {
        holding = limit;
        longest = at;
      }
    }
    return holding;
  }

  /** Takes a token of each limit that the item falls under; all of them have one (`holding`). */
  take(item: Pick<Item, 'sender' | 'msisdn'>, now: number): SideSlot[] {
    return this.of(item).map(({ throttle }) => ({ throttle, slot: throttle.take(now) }));
  }
}

/** A whole chunk that went back is looked at again after this: another bind of the route may have no such limit. */
const CHUNK_AGAIN_MS = 60_000;

/** When a chunk of `count` is to be taken again whose deliveries all fall under this limit. */
export function chunkComesAgainAt(limit: SideLimit, count: number, now: number): number {
  const at = comesAgainAt(limit, now);
  limit.again.at = Math.min(now + CHUNK_AGAIN_MS, at + (count * 1_000) / limit.throttle.tps);
  limit.again.inBatch = 0;
  return Math.min(now + CHUNK_AGAIN_MS, at);
}

/** When a delivery that goes back to its queue is to come again: spread as the limit will let them through. */
export function comesAgainAt({ throttle, parkedMax, again }: SideLimit, now: number): number {
  const batch = Math.max(1, parkedMax);
  const first = throttle.nextAt(now) + ((batch - 1) * 1_000) / throttle.tps;
  if (again.at < first) {
    again.at = first;
    again.inBatch = 0;
  }
  if (again.inBatch === batch) {
    again.at += (batch * 1_000) / throttle.tps;
    again.inBatch = 0;
  }
  again.inBatch++;
  return again.at;
}
