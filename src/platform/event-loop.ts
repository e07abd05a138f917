/**
 * How late the event loop comes to what is due: no task may keep it for more than 20 ms. Timed over windows, so that an
 * old hiccup does not show for ever; what is told is the worse of the last full window and the one that runs.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 2;
const WINDOW_MS = 10_000;

export interface LoopDelay {
  /** In ms: 99 % of the timers of the window were at most this late. */
  readonly p99: number;
  readonly max: number;
}

export class LoopDelayMonitor {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;
  #last: LoopDelay = { p99: 0, max: 0 };

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      this.#last = this.#current();
      this.#histogram.reset();
    }, WINDOW_MS);
    this.#timer.unref();
  }

  read(): LoopDelay {
    const current = this.#current();
    return { p99: Math.max(current.p99, this.#last.p99), max: Math.max(current.max, this.#last.max) };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  #current(): LoopDelay {
    // The histogram holds the time from timer to timer: what is beyond the timer's own time is delay.
    const late = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
    if (this.#histogram.count === 0) return { p99: 0, max: 0 };
    return { p99: late(this.#histogram.percentile(99)), max: late(this.#histogram.max) };
  }
}
