/**
 * Fan-out gives way. A page of 5,000 rows keeps a core and the disk busy for a tenth of a second; while an emergency is
 * being accepted or fanned out, from then until it goes to the wire (for some milliseconds at least, and not for long: the
 * bind may be down), or while the journal lags, pages of the other lanes wait here, but not for ever: after `mostMs` one
 * may pass, and should be small. As long as emergencies keep coming they should all be: the next one finds a page under
 * way.
 */
import type { Clock } from '../platform/index.ts';

export interface GateOptions {
  clock: Clock;
  /** Age in ms of the oldest outcome that waits for the journal. */
  journalLagMs?: () => number;
  /** Above this the journal lags. Default 50. */
  lagLimitMs?: number;
  /** Whether emergencies go to the wire from this process (`sent`): of another's nothing is heard. Default yes. */
  sendsHere?: () => boolean;
}

const POLL_MS = 10;
/** From the end of an emergency's acceptance to its submit_sm: about, and when the machine is busy. */
const LINGER_MS = { least: 20, most: 100 };
/** For so long after an emergency the next is expected. */
const EXPECTED_MS = 10_000;

export class EmergencyGate {
  readonly #clock: Clock;
  readonly #lagMs: () => number;
  readonly #limit: number;
  readonly #sendsHere: () => boolean;
  #inside = 0;
  /** When the last emergency left. */
  #leftAt = Number.NEGATIVE_INFINITY;
  /** None has gone to the wire since then. */
  #unsent = false;
  #cleared = Promise.withResolvers<void>();

  constructor(options: GateOptions) {
    this.#clock = options.clock;
    this.#lagMs = options.journalLagMs ?? (() => 0);
    this.#limit = options.lagLimitMs ?? 50;
    this.#sendsHere = options.sendsHere ?? (() => true);
  }

  /**
   * An emergency is under way until the returned function is called (once; more does nothing), with true when a submit_sm
   * will follow at once.
   */
  enter(): (goesOut?: boolean) => void {
    this.#inside++;
    let left = false;
    return (goesOut = false) => {
      if (left) return;
      left = true;
      this.#leftAt = this.#clock.monotonic();
      if (goesOut) this.#unsent = true;
      if (--this.#inside > 0) return;
      this.#cleared.resolve();
      this.#cleared = Promise.withResolvers();
    };
  }

  /** Something more important than fan-out of other lanes runs. */
  get shut(): boolean {
    const lingerMs = this.#unsent && this.#sendsHere() ? LINGER_MS.most : LINGER_MS.least;
    return this.#inside > 0 || this.#sinceLast < lingerMs || this.#lagMs() > this.#limit;
  }

  /** A submit_sm of an emergency was written. */
  sent(): void {
    this.#unsent = false;
  }

  /** An emergency is under way, or one was a short while ago: another may come at any moment. */
  get expecting(): boolean {
    return this.#inside > 0 || this.#sinceLast < EXPECTED_MS;
  }

  get #sinceLast(): number {
    return this.#clock.monotonic() - this.#leftAt;
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
