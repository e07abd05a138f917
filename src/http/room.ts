/** Places that several streams share; who waits gets one by urgency, then by turn. */

interface Waiter {
  /** 0 goes first. */
  readonly rank: number;
  readonly resolve: () => void;
}

export class Room {
  #free: number;
  readonly #waiters: Waiter[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Takes a place when one is free and nobody waits for it. */
  tryTake(): boolean {
    if (this.#free <= 0 || this.#waiters.length > 0) return false;
    this.#free--;
    return true;
  }

  /** Takes the next place that is free. `leave` gives up the waiting, or the place when it was just given. */
  take(rank: number): { taken: Promise<void>; leave(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = { rank, resolve };
    const after = this.#waiters.findIndex((other) => other.rank > rank);
    this.#waiters.splice(after < 0 ? this.#waiters.length : after, 0, waiter);
    this.#serve();
    return {
      taken: promise,
      leave: () => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        else this.release();
      },
    };
  }

  release(): void {
    this.#free++;
    this.#serve();
  }

  #serve(): void {
    while (this.#free > 0) {
      const next = this.#waiters.shift();
      if (next === undefined) return;
      this.#free--;
      next.resolve();
    }
  }
}
