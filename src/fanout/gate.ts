/**
 * Fan-out gives way. A page of 5,000 rows keeps a core and the disk busy for a tenth of a second; while an emergency is
 * being accepted or fanned out, or while the journal lags, pages of the other lanes wait here, but not for ever: after
 * `mostMs` one may pass, and should be small.
 */
import type { Clock } from '../platform/index.ts';

export interface GateOptions {
  clock: Clock;
  /** Age in ms of the oldest outcome that waits for the journal. */
  journalLagMs?: () => number;
  /** Above this the journal lags. Default 50. */
  lagLimitMs?: number;
}

const POLL_MS = 10;

export class EmergencyGate {
  readonly #clock: Clock;
  readonly #lagMs: () => number;
  readonly #limit: number;
  #inside = 0;
  #cleared = Promise.withResolvers<void>();

  constructor(options: GateOptions) {
    this.#clock = options.clock;
    this.#lagMs = options.journalLagMs ?? (() => 0);
    this.#limit = options.lagLimitMs ?? 50;
  }

  /** An emergency is under way until the returned function is called (once; more does nothing). */
  enter(): () => void {
    this.#inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (--this.#inside > 0) return;
      this.#cleared.resolve();
      this.#cleared = Promise.withResolvers();
    };
  }

  /** Something more important than fan-out of other lanes runs. */
  get shut(): boolean {
    return this.#inside > 0 || this.#lagMs() > this.#limit;
  }

  /** Resolves with true as soon as the gate is open, or with false after `mostMs`. */
  async pass(mostMs: number): Promise<boolean> {
    const until = this.#clock.monotonic() + mostMs;
    while (this.shut) {
      if (this.#clock.monotonic() >= until) return false;
      let timer: NodeJS.Timeout | undefined;
      const poll = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, POLL_MS);
      });
      await Promise.race([this.#cleared.promise, poll]);
      clearTimeout(timer);
    }
    return true;
  }
}
