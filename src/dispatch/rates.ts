/**
 * How fast counters grow: a look at each of them four times a second, so that the hot path only counts. What is told is
 * exact over the time that really passed, which is the span that was asked for and at most a quarter of a second more.
 */
const LOOK_MS = 250;
/** The longest span that can be asked for. */
export const SPAN_MAX_MS = 10_000;

interface Look {
  readonly at: number;
  readonly counts: ReadonlyMap<string, number>;
}

export class Rates {
  readonly #read: () => ReadonlyMap<string, number>;
  readonly #monotonic: () => number;
  /** Oldest first; one of them is at least SPAN_MAX_MS old as soon as there can be one. */
  readonly #looks: Look[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** @param read counters that only grow, by name; a name that is new counts from 0. */
  constructor(read: () => ReadonlyMap<string, number>, monotonic: () => number) {
    this.#read = read;
    this.#monotonic = monotonic;
  }

  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  look(): void {
    const at = this.#monotonic();
    this.#looks.push({ at, counts: this.#read() });
    while ((this.#looks[1]?.at ?? at) <= at - SPAN_MAX_MS) this.#looks.shift();
  }

  /** The growth over the last `spanMs`, or over less when the first look is younger. */
  since(spanMs: number): Growth {
    const now = this.#monotonic();
    const counts = this.#read();
    const from = this.#looks.findLast(({ at }) => at <= now - spanMs) ?? this.#looks[0];
    const seconds = from === undefined ? 0 : (now - from.at) / 1_000;
    const grown = (name: string): number => (counts.get(name) ?? 0) - (from?.counts.get(name) ?? 0);
    return { grown, perSecond: (name) => (seconds > 0 ? grown(name) / seconds : 0) };
  }
}

export interface Growth {
  grown(name: string): number;
  perSecond(name: string): number;
}
