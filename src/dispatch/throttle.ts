/**
 * Per-bind throttle, exact against a strict sliding window (DESIGN §6).
 *
 * With R = contracted TPS, a PDU may leave only when the R-th last one left at least 1 s + guard ago. Inside that, PDUs
 * are paced evenly; a process that was held up may catch up with a burst of at most max(1, 0.1 R)
 * (docs/decisions/0004). Below 1 TPS the
 * window is 1 ÷ R seconds for one PDU; between whole numbers the whole part counts, because "2.5 in any second" is
 * broken by a third PDU.
 *
 * No clock inside: every call names the monotonic time in milliseconds.
 */
/** How long a stall of the process may be caught up. */
const BURST_SECONDS = 0.1;

export interface ThrottleOptions {
  /** Contracted submit_sm per second, > 0, may be fractional. */
  tps: number;
  /** Extra milliseconds added to the window, against jitter between our socket and the SMSC's clock. */
  guardMs: number;
}

export class Throttle {
  readonly tps: number;
  readonly #windowMs: number;
  /** What is refilled each second: the contract, or the share of it that is in use. */
  #rate: number;
  #burst: number;
  readonly #ring: Float64Array;
  #oldest = 0;
  #tokens: number;
  #refilledAt: number;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  /** The history before `now` is unknown and counts as full: the first PDU may leave one window later. */
  constructor({ tps, guardMs }: ThrottleOptions, now: number) {
    if (!(tps > 0) || !(guardMs >= 0)) throw new RangeError('tps must be > 0 and guardMs ≥ 0');
    this.tps = tps;
    this.#windowMs = (tps >= 1 ? 1000 : 1000 / tps) + guardMs;
    this.#rate = tps;
    this.#burst = Math.max(1, BURST_SECONDS * tps);
    this.#ring = new Float64Array(Math.max(1, Math.floor(tps))).fill(now);
    this.#tokens = 1;
    this.#refilledAt = now;
  }

  /** The earliest time, ≥ now, at which one PDU may leave. */
  nextAt(now: number): number {
    const tokens = this.#tokensAt(now);
    const paced = tokens >= 1 ? now : now + ((1 - tokens) * 1000) / this.#rate;
    return Math.max(now, paced, (this.#ring[this.#oldest] as number) + this.#windowMs, this.#pausedUntil);
  }

  /** Takes a token if one PDU may leave now. */
  take(now: number): boolean {
    if (now < this.#pausedUntil || now < (this.#ring[this.#oldest] as number) + this.#windowMs) return false;
    const tokens = this.#tokensAt(now);
    if (tokens < 1) return false;
    this.#tokens = tokens - 1;
    this.#refilledAt = now;
    this.#ring[this.#oldest] = now;
    this.#oldest = this.#oldest + 1 === this.#ring.length ? 0 : this.#oldest + 1;
    return true;
  }

  /** The SMSC said ESME_RTHROTTLED or ESME_RMSGQFUL: nothing leaves before `until`. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until);
  }

  /** From now on this share of the contract leaves, > 0 and ≤ 1, evenly paced as before (pace.ts). */
  use(share: number, now: number): void {
    if (!(share > 0 && share <= 1)) throw new RangeError('a share is > 0 and ≤ 1');
    const rate = share * this.tps;
    if (rate === this.#rate) return;
    const tokens = this.#tokensAt(now);
    this.#rate = rate;
    this.#burst = Math.max(1, BURST_SECONDS * rate);
    this.#tokens = Math.min(this.#burst, tokens);
    this.#refilledAt = now;
  }

  #tokensAt(now: number): number {
    return Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#refilledAt) * this.#rate) / 1000);
  }
}
