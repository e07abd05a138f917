/**
 * How well a bind delivers, against its own past: of what it was given, the share that failed, or whose receipt was late.
 *
 *   answers and receipts ─► seconds, by when the submit_sm left ─ old enough to judge ─► two fading sums: a minute, an hour
 *
 * A carrier whose numbers are often switched off is no worse today than it always was: what counts is the excess of the
 * last minutes over the bind's own mean. And when a network beyond the carriers is down, all binds of a route are worse
 * together: what counts is the excess over that of the others. Pure: every call names its time in milliseconds.
 */

/** What comes of a submit_sm, as far as health goes. A refusal of the message or the number says nothing of the carrier. */
export type Verdict = 'taken' | 'failed';

/** Which of what a carrier takes it reports on. */
export type Reports = 'all' | 'failure' | 'none';

const SECOND_MS = 1_000;
/** A receipt is late after so many times the mean wait of this bind, within bounds. */
const LATE_FACTOR = 4;
const LATE_MS = { min: 10_000, max: 300_000, unknown: 60_000 };
const DELAY_WEIGHT = 0.02;
const SECONDS_MAX = 600;
const HALF_LIFE_MS = { recent: 60_000, usual: 3_600_000 };
/** Fewer judged submit_sm than these, and nothing is said. */
export const SAMPLES_MIN = { recent: 50, usual: 100 };
/** A bind steps back when its excess is above that of the others by this share, and returns below the second. */
export const WEAK = { from: 0.2, until: 0.1 };

interface Second {
  sent: number;
  ended: number;
  bad: number;
}

interface Fading {
  sent: number;
  bad: number;
  at: number;
}

export class BindHealth {
  readonly #reports: Reports;
  /** By the second in which they left, oldest first. */
  readonly #seconds = new Map<number, Second>();
  #meanDelayMs: number | null = null;
  readonly #recent: Fading = { sent: 0, bad: 0, at: 0 };
  readonly #usual: Fading = { sent: 0, bad: 0, at: 0 };

  constructor(reports: Reports) {
    this.#reports = reports;
  }

  answered(sentAt: number, verdict: Verdict): void {
    const second = this.#second(sentAt);
    second.sent++;
    if (verdict === 'failed') second.bad++;
    if (verdict === 'failed' || this.#reports === 'none') second.ended++;
  }

  /** A receipt that says how it ended. */
  receipt(sentAt: number, delivered: boolean, receivedAt: number): void {
    if (delivered) {
      const delay = Math.min(LATE_MS.max, Math.max(0, receivedAt - sentAt));
      this.#meanDelayMs ??= delay;
      this.#meanDelayMs += (delay - this.#meanDelayMs) * DELAY_WEIGHT;
    }
    const second = this.#seconds.get(Math.floor(sentAt / SECOND_MS));
    if (second === undefined) return;
    second.ended++;
    if (!delivered) second.bad++;
  }

  /** How much more fails or is late than usual, -1..1; null while too little is known. */
  excess(now: number): number | null {
    this.#judge(now);
    const recent = fadedTo(this.#recent, now, HALF_LIFE_MS.recent);
    const usual = fadedTo(this.#usual, now, HALF_LIFE_MS.usual);
    if (recent.sent < SAMPLES_MIN.recent || usual.sent < SAMPLES_MIN.usual) return null;
    return recent.bad / recent.sent - usual.bad / usual.sent;
  }

  #second(at: number): Second {
    const key = Math.floor(at / SECOND_MS);
    let second = this.#seconds.get(key);
    if (second === undefined) {
      second = { sent: 0, ended: 0, bad: 0 };
      this.#seconds.set(key, second);
      const oldest = this.#seconds.keys().next();
      if (this.#seconds.size > SECONDS_MAX && oldest.done !== true) this.#seconds.delete(oldest.value);
    }
    return second;
  }

  #judge(now: number): void {
    const mean = this.#meanDelayMs;
    const waitMs = mean === null ? LATE_MS.unknown : Math.min(LATE_MS.max, Math.max(LATE_MS.min, mean * LATE_FACTOR));
    for (const [key, { sent, ended, bad }] of this.#seconds) {
      const due = (key + 1) * SECOND_MS + waitMs;
      if (now < due) continue;
      this.#seconds.delete(key);
      const late = this.#reports === 'all' ? Math.max(0, sent - ended) : 0;
      // A text may have a receipt for each part, or repeat one: never more than was sent.
      const worse = Math.min(sent, bad + late);
      for (const [sum, halfLifeMs] of [
        [this.#recent, HALF_LIFE_MS.recent],
        [this.#usual, HALF_LIFE_MS.usual],
      ] as const) {
        Object.assign(sum, fadedTo(sum, due, halfLifeMs));
        sum.sent += sent;
        sum.bad += worse;
      }
    }
  }
}

/**
 * The binds of a route that step back behind the others: never all of them.
 *
 * @param excesses of the binds of the route that are able, by name; one of which nothing is known counts as usual.
 * @param before those that have stepped back so far.
 */
export function weakBinds(
  excesses: ReadonlyMap<string, number | null>,
  before: ReadonlySet<string>,
): ReadonlySet<string> {
  const weak = new Set<string>();
  for (const [bind, excess] of excesses) {
    if (excess === null || excesses.size < 2) continue;
    const others = [...excesses].filter(([other]) => other !== bind).map(([, value]) => value ?? 0);
    if (excess - median(others) >= (before.has(bind) ? WEAK.until : WEAK.from)) weak.add(bind);
  }
  return weak;
}

function fadedTo({ sent, bad, at }: Fading, now: number, halfLifeMs: number): Fading {
  const kept = at === 0 ? 1 : 0.5 ** (Math.max(0, now - at) / halfLifeMs);
  return { sent: sent * kept, bad: bad * kept, at: Math.max(at, now) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
