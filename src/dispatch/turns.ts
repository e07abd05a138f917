/** When a sender looks for what it may send: soon, or at a time. It holds no timer per message: one for the next token. */
import type { Clock } from '../platform/index.ts';

export class Turns {
  readonly #clock: Clock;
  readonly #turn: () => void;
  #queued = false;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = 0;
  #stopped = false;

  constructor(clock: Clock, turn: () => void) {
    this.#clock = clock;
    this.#turn = turn;
  }

  /** Looks when this turn of the event loop is over. */
  soon(): void {
    if (this.#queued || this.#stopped) return;
    this.#queued = true;
    setImmediate(() => {
      this.#queued = false;
      if (!this.#stopped) this.#turn();
    });
  }

  /** Looks again after `delayMs`; of several wishes the earliest counts. */
  in(delayMs: number): void {
    const at = this.#clock.monotonic() + delayMs;
    if (this.#timer !== null) {
      if (this.#timerAt <= at) return;
      clearTimeout(this.#timer);
    }
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#turn();
      },
      Math.max(0, delayMs),
    );
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
