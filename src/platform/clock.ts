import { performance } from 'node:perf_hooks';

/** Milliseconds since 1970-01-01 UTC, an integer. */
export type EpochMs = number;

/** Time as the decisions of this house see it. Injected everywhere, so that tests can hold it. */
export interface Clock {
  /** Database time. Never runs backwards by a step of the machine's wall clock. */
  now(): EpochMs;
  /** Milliseconds since some fixed instant of this process; only differences mean anything. */
  monotonic(): number;
}

/** How a {@link DatabaseClock} asks the database for its time: milliseconds since 1970, fractions allowed. */
export type ReadDatabaseTime = () => Promise<number>;

const measureEveryMs = 10_000;

/**
 * Database time, carried by the monotonic clock of the process: an offset is measured at start and every 10 s.
 *
 * A measurement bounds the offset to half its round trip on either side. The offset moves only as far as that bound
 * demands, so that a slow round trip on a busy machine does not shake it.
 */
export class DatabaseClock implements Clock {
  readonly #read: ReadDatabaseTime;
  #offset: number;
  #timer: NodeJS.Timeout | undefined;
  #measuring: Promise<void> | undefined;

  private constructor(read: ReadDatabaseTime, offset: number) {
    this.#read = read;
    this.#offset = offset;
  }

  /** Measures three times, keeps the tightest, and goes on measuring every 10 s until `close`. */
  static async open(read: ReadDatabaseTime): Promise<DatabaseClock> {
    let best = await measure(read);
    for (let i = 0; i < 2; i++) {
      const next = await measure(read);
      if (next.slack < best.slack) best = next;
    }
    const clock = new DatabaseClock(read, best.offset);
    clock.#timer = setInterval(() => void clock.measure(), measureEveryMs);
    clock.#timer.unref();
    return clock;
  }

  now(): EpochMs {
    return Math.floor(performance.now() + this.#offset);
  }

  monotonic(): number {
    return performance.now();
  }

  /** Measures once more. A database that does not answer leaves the offset as it is. */
  measure(): Promise<void> {
    this.#measuring ??= measure(this.#read)
      .then(
        ({ offset, slack }) => {
          this.#offset = Math.min(Math.max(this.#offset, offset - slack), offset + slack);
        },
        () => undefined,
      )
      .finally(() => {
        this.#measuring = undefined;
      });
    return this.#measuring;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

async function measure(read: ReadDatabaseTime): Promise<{ offset: number; slack: number }> {
  const sent = performance.now();
  const databaseTime = await read();
  const received = performance.now();
  return { offset: databaseTime - (sent + received) / 2, slack: (received - sent) / 2 };
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #now: EpochMs;
  #monotonic = 0;

  constructor(now: EpochMs = Date.UTC(2026, 10, 24, 12)) {
    this.#now = now;
  }

  now(): EpochMs {
    return Math.floor(this.#now);
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** Moves both clocks forward by `ms`. */
  advance(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }
}

const dayMs = 86_400_000;
let lastDay = Number.NaN;
let lastDayText = '';

/** The UTC day of an instant, `YYYY-MM-DD`. The last answer is kept: hot paths ask for the same day over and over. */
export function utcDay(ms: EpochMs): string {
  const day = Math.floor(ms / dayMs);
  if (day !== lastDay) {
    lastDayText = new Date(day * dayMs).toISOString().slice(0, 10);
    lastDay = day;
  }
  return lastDayText;
}

/** The day `days` after `day` (negative: before), both `YYYY-MM-DD`. */
export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);
}
