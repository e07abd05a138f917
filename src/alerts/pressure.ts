/** How much there is to do, read at each request: what `shed.ts` decides by. */
import type { Clock } from '../platform/index.ts';
import type { Intake } from './intake.ts';
import type { Load } from './shed.ts';

export interface PressureOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly intake: Pick<Intake, 'load'>;
  /** Age in ms of the oldest outcome that waits for the journal. */
  readonly journalLagMs: () => number;
}

const TICK_MS = 25;
/** A late turn of the event loop is half forgotten after so many ticks on time. */
const HALF_LIFE_TICKS = 8;
const KEPT = 0.5 ** (1 / HALF_LIFE_TICKS);

export class Pressure {
  readonly #o: PressureOptions;
  readonly #timer: NodeJS.Timeout;
  #tickedAt: number;
  #loopLagMs = 0;

  constructor(options: PressureOptions) {
    this.#o = options;
    this.#tickedAt = options.clock.monotonic();
    this.#timer = setInterval(() => {
      const now = options.clock.monotonic();
      this.#loopLagMs = Math.max(now - this.#tickedAt - TICK_MS, this.#loopLagMs * KEPT);
      this.#tickedAt = now;
    }, TICK_MS);
    this.#timer.unref();
  }

  read(): Load {
    return { ...this.#o.intake.load(), journalLagMs: this.#o.journalLagMs(), loopLagMs: this.#loopLagMs };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
