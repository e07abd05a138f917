/**
 * What a lane has claimed and not yet sent, in the order in which it goes. A delivery whose sender or prefix has no token
 * (side-limits.ts) is parked, so that it holds nobody up; when the limit has one again it takes its turn before those that
 * come after it. What finds the parking full is left to the caller, who sends it back to its queue.
 */
import { inOrder, insertInOrder } from './place.ts';
import type { SideLimit, SideLimits } from './side-limits.ts';
import type { Item } from './types.ts';

/** How far one look goes past deliveries that must wait; the next look goes on from there. */
const LOOK_MAX = 256;

const placeOf = (item: Item) => item.chunk;

export class ReadyQueue {
  #line: Item[] = [];
  readonly #parked = new Map<SideLimit, Item[]>();
  #parkedCount = 0;

  get length(): number {
    return this.#line.length + this.#parkedCount;
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (const items of this.#parked.values()) yield* items;
    yield* this.#line;
  }

  /** Items of one chunk that were claimed, in the order of their positions. */
  add(items: readonly Item[]): void {
    insertInOrder(this.#line, items, placeOf);
  }

  /** Before all others: it was sent and thrown back. */
  putBack(item: Item): void {
    this.#line.unshift(item);
  }

  includes(item: Item): boolean {
    for (const each of this) if (each === item) return true;
    return false;
  }

  remove(item: Item): void {
    if (this.#line[0] === item) {
      this.#line.shift();
      return;
    }
    for (const [limit, items] of this.#parked) {
      if (removeFrom(items, item)) {
        this.#parkedCount--;
        if (items.length === 0) this.#parked.delete(limit);
        return;
      }
    }
    removeFrom(this.#line, item);
  }

  /** How many wait for this limit. */
  parkedFor(limit: SideLimit): number {
    return this.#parked.get(limit)?.length ?? 0;
  }

  /** Takes all that match out. */
  take(matches: (item: Item) => boolean): Item[] {
    const taken: Item[] = [];
    const leave = (items: Item[]): Item[] => {
      const stay: Item[] = [];
      for (const item of items) (matches(item) ? taken : stay).push(item);
      return stay;
    };
    for (const [limit, items] of [...this.#parked]) {
      const stay = leave(items);
      this.#parkedCount -= items.length - stay.length;
      if (stay.length === 0) this.#parked.delete(limit);
      else this.#parked.set(limit, stay);
    }
    const stay = leave(this.#line);
    if (stay.length < this.#line.length) this.#line = stay;
    return taken;
  }

  /** How many go before what is at this place. */
  ahead(place: { priority: number; id: number }): number {
    let ahead = this.#line.length;
    while (ahead > 0 && inOrder((this.#line[ahead - 1] as Item).chunk, place) > 0) ahead--;
    return ahead + this.#parkedCount;
  }

  /**
   * The item that goes next, or null when none may go now. @param tooMany hears of those that find the parking full; they
   * have left the queue.
   */
  head(limits: SideLimits, now: number, tooMany: (item: Item, limit: SideLimit) => void): Item | null {
    if (limits.none && this.#parkedCount === 0) return this.#line[0] ?? null;
    let next = this.#parkedHead(limits, now);
    for (let looks = 0; looks < LOOK_MAX; looks++) {
      const item = this.#line[0];
      if (item === undefined || (next !== null && inOrder(next.chunk, item.chunk) <= 0)) break;
      const limit = limits.holding(item, now);
      if (limit === null) {
        next = item;
        break;
      }
      this.#line.shift();
      if (!this.#park(item, limit, limits.parkedMax)) tooMany(item, limit);
    }
    return next;
  }

  /** After a `head` of null: when a parked item may go, or a look that came to its bound goes on; Infinity for never. */
  nextAt(now: number): number {
    if (this.#line.length > 0) return now;
    let next = Number.POSITIVE_INFINITY;
    for (const { throttle } of this.#parked.keys()) next = Math.min(next, throttle.nextAt(now));
    return next;
  }

  #parkedHead(limits: SideLimits, now: number): Item | null {
    let next: Item | null = null;
    for (const [limit, items] of [...this.#parked]) {
      const item = items[0] as Item;
      const holding = limits.holding(item, now);
      if (holding === null) {
        if (next === null || inOrder(item.chunk, next.chunk) < 0) next = item;
      } else if (holding !== limit && limit.throttle.nextAt(now) <= now) {
        // Its turn here has come, but another limit holds it longer.
        this.remove(item);
        this.#park(item, holding, Number.POSITIVE_INFINITY);
      }
    }
    return next;
  }

  /** @returns false when there is no room, and it has not begun: of one that is partly sent the rest stays. */
  #park(item: Item, limit: SideLimit, inAll: number): boolean {
    const items = this.#parked.get(limit) ?? [];
    const begun = item.inFlight > 0 || item.worst > 0;
    const full = items.length >= limit.parkedMax || this.#parkedCount >= inAll;
    if (full && !begun && inAll !== Number.POSITIVE_INFINITY) return false;
    insertInOrder(items, [item], placeOf);
    this.#parked.set(limit, items);
    this.#parkedCount++;
    return true;
  }
}

function removeFrom(items: Item[], item: Item): boolean {
  const index = items.indexOf(item);
  if (index < 0) return false;
  items.splice(index, 1);
  return true;
}
