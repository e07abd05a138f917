/** Waiting for a counter to come to a value, without polling: whoever changes counters calls `wake`. */
import type { CounterName } from './stats.ts';

/** What a counter is waited for: exactly one of the two. */
export interface CounterTarget {
  atLeast?: number;
  atMost?: number;
}

export class WaitTimeout extends Error {
  constructor(systemId: string, counter: string, value: number, timeoutMs: number) {
    super(`${counter} of ${systemId} stood at ${value} after ${timeoutMs} ms`);
    this.name = 'WaitTimeout';
  }
}

interface Waiter {
  done(): boolean;
  fail(error: Error): void;
}

export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /**
   * Resolves with the value once it is as wanted.
   * @throws WaitTimeout after `timeoutMs`; what `end` gave
   */
  async wait(
    systemId: string,
    counter: CounterName,
    value: () => number,
    target: CounterTarget,
    timeoutMs: number,
  ): Promise<number> {
    const reached = () => value() >= (target.atLeast ?? -Infinity) && value() <= (target.atMost ?? Infinity);
    if (reached()) return value();
    return await new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        done: () => {
          if (!reached()) return false;
          finish();
          resolve(value());
          return true;
        },
        fail: (error) => {
          finish();
          reject(error);
        },
      };
      const timer = setTimeout(() => waiter.fail(new WaitTimeout(systemId, counter, value(), timeoutMs)), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  wake(): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of [...this.#waiters]) waiter.done();
  }

  end(error: Error): void {
    for (const waiter of [...this.#waiters]) waiter.fail(error);
  }
}
