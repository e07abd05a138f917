/** A bind rests when the carrier refused the account as a whole: ever longer, until a message is taken again. */
import type { CarrierPolicy } from '../policy/index.ts';
import { restMs } from './retry.ts';

export class Rest {
  /** Nothing is fetched before this (monotonic). */
  #until = Number.NEGATIVE_INFINITY;
  /** Rests since a message was taken. */
  #rests = 0;

  lasts(now: number): boolean {
    return now < this.#until;
  }

  /** @returns for how long, and how many rests that makes; null when it rests already. */
  start({ restFirstMs, restMaxMs }: CarrierPolicy, now: number): { rests: number; restMs: number } | null {
    if (this.lasts(now)) return null;
    const forMs = restMs({ firstMs: restFirstMs, maxMs: restMaxMs }, this.#rests++);
    this.#until = now + forMs;
    return { rests: this.#rests, restMs: forMs };
  }

  /** The carrier took a message. */
  taken(): void {
    this.#rests = 0;
  }
}
