/**
 * Rates, counted exactly. Two counters over the times at which submit_sm arrived: `StrictWindow` decides what exceeds an
 * account's TPS limit, `RateMeter` remembers the highest rate that any one second saw.
 */

const secondUs = 1_000_000;

/**
 * A strict sliding window. With R TPS, n = ⌈R⌉ and W = n ÷ R seconds: no half-open interval of length W holds more than
 * n. For a whole R that reads "at most R in any one second"; 0.5 TPS is one in any 2 s; 2.5 TPS is three in any 1.2 s
 * (so at most three in any one second, and 2.5 a second on average). A bucket, or a counter cleared each wall second,
 * lets up to twice as many through.
 */
export class StrictWindow {
  /** Greatest number within `spanUs`. */
  readonly limit: number;
  /** Length of the window in microseconds. */
  readonly spanUs: number;
  readonly #countRefused: boolean;
  readonly #times: Float64Array;
  #next = 0;
  #full = false;

  /**
   * @param tps messages a second, > 0, fractions allowed
   * @param countRefused whether what exceeds the limit also fills the window: the strictest carriers do that
   */
  constructor(tps: number, countRefused: boolean) {
    if (!(tps > 0) || tps > 1_000_000) throw new RangeError('a TPS limit lies above 0 and at or below 1,000,000');
    this.limit = Math.ceil(tps);
    // Times are cut to whole microseconds, so of two messages exactly W apart the times may be as little as ⌊W⌋ apart.
    this.spanUs = Math.floor((this.limit / tps) * secondUs);
    this.#countRefused = countRefused;
    this.#times = new Float64Array(this.limit);
  }

  /** Takes one message that arrived at `nowUs` (never earlier than the one before); false when it exceeds the limit. */
  admit(nowUs: number): boolean {
    // The slot to be overwritten holds the time of the n-th last message.
    const within = !this.#full || nowUs - this.#times[this.#next]! >= this.spanUs;
    if (within || this.#countRefused) {
      this.#times[this.#next] = nowUs;
      this.#next += 1;
      if (this.#next === this.limit) {
        this.#next = 0;
        this.#full = true;
      }
    }
    return within;
  }
}

/**
 * A counter that is cleared at fixed instants, as cheaper SMSCs have it: at most `limit` from one clearing to the next, so
 * up to twice as many within any stretch of that length.
 */
export class FixedWindow {
  readonly limit: number;
  readonly spanUs: number;
  readonly #countRefused: boolean;
  #current = -1;
  #count = 0;

  private constructor(limit: number, tps: number, countRefused: boolean) {
    if (!(tps > 0) || tps > 1_000_000) throw new RangeError('a TPS limit lies above 0 and at or below 1,000,000');
    this.limit = limit;
    this.spanUs = Math.floor((limit / tps) * secondUs);
    this.#countRefused = countRefused;
  }

  /** Cleared each second of the SMSC's clock (each n ÷ R seconds where R is no whole number). */
  static calendar(tps: number, countRefused: boolean): FixedWindow {
    return new FixedWindow(Math.ceil(tps), tps, countRefused);
  }

  /** Cleared ten times a second: a tenth of the limit in each slot, at least one message. */
  static slots(tps: number, countRefused: boolean): FixedWindow {
    return new FixedWindow(Math.max(1, Math.floor(tps / 10)), tps, countRefused);
  }

  /** Takes one message that arrived at `nowUs`; false when it exceeds the limit. */
  admit(nowUs: number): boolean {
    const window = Math.floor(nowUs / this.spanUs);
    if (window !== this.#current) {
      this.#current = window;
      this.#count = 0;
    }
    const within = this.#count < this.limit;
    if (within || this.#countRefused) this.#count += 1;
    return within;
  }
}

const slotsMax = 65_536;

/**
 * The highest number of messages within any half-open second. Messages of one read share a time, so a ring of
 * (time, count) pairs holds a second even at full speed; past 65,536 different times in one second, later ones are
 * counted at the last slot's time, which can only raise the result.
 */
export class RateMeter {
  #times = new Float64Array(256);
  #counts = new Float64Array(256);
  #head = 0;
  #size = 0;
  #inside = 0;
  #max = 0;

  /** Highest count within any second so far. */
  get max(): number {
    return this.#max;
  }

  /** Counts one message that arrived at `nowUs` (never earlier than the one before). */
  count(nowUs: number): void {
    let mask = this.#times.length - 1;
    while (this.#size > 0 && nowUs - this.#times[this.#head]! >= secondUs) {
      this.#inside -= this.#counts[this.#head]!;
      this.#head = (this.#head + 1) & mask;
      this.#size -= 1;
    }
    const last = (this.#head + this.#size - 1) & mask;
    if (this.#size > 0 && (this.#times[last] === nowUs || this.#size === slotsMax)) {
      this.#counts[last]! += 1;
    } else {
      if (this.#size === this.#times.length) {
        this.#grow();
        mask = this.#times.length - 1;
      }
      const slot = (this.#head + this.#size) & mask;
      this.#times[slot] = nowUs;
      this.#counts[slot] = 1;
      this.#size += 1;
    }
    this.#inside += 1;
    if (this.#inside > this.#max) this.#max = this.#inside;
  }

  #grow(): void {
    const length = this.#times.length;
    const times = new Float64Array(length * 2);
    const counts = new Float64Array(length * 2);
    for (let i = 0; i < this.#size; i += 1) {
      times[i] = this.#times[(this.#head + i) & (length - 1)]!;
      counts[i] = this.#counts[(this.#head + i) & (length - 1)]!;
    }
    this.#times = times;
    this.#counts = counts;
    this.#head = 0;
  }
}
