/**
 * Per-bind throttle, exact against a strict sliding window (DESIGN §6).
 *
 * With R = contracted TPS, a PDU may leave only 1 s after the R-th last one **arrived** at the SMSC. When that was we
 * never see: at the earliest when it left, at the latest when the SMSC answered it, or one sent behind it on the same
 * connection, less the shortest round trip seen lately. What lies beyond the guard is waited for, so that a path or an
 * SMSC that was held up for a moment does not see the next second's PDUs too close (docs/decisions/0004).
 *
 * Inside that, PDUs are paced evenly; a process that was held up may catch up with a burst of at most max(1, 0.1 R).
 * Below 1 TPS the window is 1 ÷ R seconds for one PDU; between whole numbers the whole part counts, because "2.5 in any
 * second" is broken by a third PDU.
 *
 * No clock inside: every call names the monotonic time in milliseconds.
 */
/** How long a stall of the process may be caught up. */
const BURST_SECONDS = 0.1;
/** How late an arrival is believed to be, at most, when nothing is answered any more. */
const LATE_MAX_MS = 1_000;
/** A shortest round trip that was not seen again for this long to twice as long is forgotten: the path has changed. */
const ROUND_TRIP_KEPT_MS = 30_000;

export interface ThrottleOptions {
  /** Contracted submit_sm per second, > 0, may be fractional. */
  tps: number;
  /** Milliseconds by which an arrival may be late without being noticed; they are added to the window of each PDU. */
  guardMs: number;
}

/** Number of a PDU that left: each is one above the last. */
export type Slot = number;

export class Throttle {
  readonly tps: number;
  readonly #windowMs: number;
  readonly #guardMs: number;
  /** What is refilled each second: the contract, or the share of it that is in use. */
  #rate: number;
  #burst: number;
  /** When the last R PDUs left. */
  readonly #left: Float64Array;
  /** The latest time at which each of them arrived, as far as it is known. */
  readonly #arrived: Float64Array;
  /** The slot of the next PDU. */
  #next: Slot = 0;
  /** All slots below are known to have arrived. */
  #answeredTo: Slot = 0;
  #tokens: number;
  #refilledAt: number;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  readonly #roundTrip = { shortest: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY, since: 0 };

  /** The history before `now` is unknown and counts as full: the first PDU may leave one window later. */
  constructor({ tps, guardMs }: ThrottleOptions, now: number) {
    if (!(tps > 0) || !(guardMs >= 0)) throw new RangeError('tps must be > 0 and guardMs ≥ 0');
    this.tps = tps;
    this.#windowMs = tps >= 1 ? 1000 : 1000 / tps;
    this.#guardMs = guardMs;
    this.#rate = tps;
    this.#burst = Math.max(1, BURST_SECONDS * tps);
    const length = Math.max(1, Math.floor(tps));
    this.#left = new Float64Array(length).fill(now);
    this.#arrived = new Float64Array(length).fill(now);
    this.#next = length;
    this.#answeredTo = length;
    this.#tokens = 1;
    this.#refilledAt = now;
    this.#roundTrip.since = now;
  }

  /** The earliest time, ≥ now, at which one PDU may leave if nothing is answered before. */
  nextAt(now: number): number {
    const tokens = this.#tokensAt(now);
    const paced = tokens >= 1 ? now : now + ((1 - tokens) * 1000) / this.#rate;
    return Math.max(now, paced, this.#freeAt(this.#next), this.#pausedUntil);
  }

  /** Takes a token if one PDU may leave now: its slot, or −1. */
  take(now: number): Slot {
    if (now < this.#pausedUntil || now < this.#freeAt(this.#next)) return -1;
    const tokens = this.#tokensAt(now);
    if (tokens < 1) return -1;
    this.#tokens = tokens - 1;
    this.#refilledAt = now;
    const slot = this.#next++;
    const at = slot % this.#left.length;
    this.#left[at] = now;
    this.#arrived[at] = now;
    // A ring of unanswered PDUs has come round: what is known of the oldest no longer matters.
    this.#answeredTo = Math.max(this.#answeredTo, this.#next - this.#left.length);
    return slot;
  }

  /**
   * The PDU of this slot was answered at `now`: it and all before it have arrived by then. Sessions beside one another
   * keep no order between them; what that hides is no longer than their paths differ, and the guard is there for it.
   */
  answered(slot: Slot, now: number): void {
    const length = this.#left.length;
    if (slot < this.#answeredTo || slot >= this.#next) return;
    const shortest = this.#noteRoundTrip(now - (this.#left[slot % length] as number), now);
    const by = now - shortest;
    for (let each = this.#answeredTo; each <= slot; each++) {
      const at = each % length;
      if (by > (this.#arrived[at] as number)) this.#arrived[at] = by;
    }
    this.#answeredTo = slot + 1;
  }

  /** How many PDUs may leave at once, for who watches: 0 while paused or while the window is full. */
  tokens(now: number): number {
    if (now < this.#pausedUntil) return 0;
    const most = Math.min(this.#left.length, Math.floor(this.#tokensAt(now)));
    let free = 0;
    while (free < most && this.#freeAt(this.#next + free) <= now) free++;
    return free;
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

  /** From when on the window has a place for this slot: one window after the slot R places before it arrived. */
  #freeAt(slot: Slot): number {
    const length = this.#left.length;
    const before = slot - length;
    const left = this.#left[before % length] as number;
    const { shortest, before: earlier } = this.#roundTrip;
    const roundTrip = Math.min(shortest, earlier);
    // Not answered, nor any behind it, though answers come sooner than a window as a rule: it may be on its way yet.
    const late = before >= this.#answeredTo && roundTrip < this.#windowMs ? left + LATE_MAX_MS : 0;
    return Math.max(left + this.#guardMs, this.#arrived[before % length] as number, late) + this.#windowMs;
  }

  #noteRoundTrip(ms: number, now: number): number {
    const trip = this.#roundTrip;
    if (now - trip.since > ROUND_TRIP_KEPT_MS) {
      trip.before = trip.shortest;
      trip.shortest = Number.POSITIVE_INFINITY;
      trip.since = now;
    }
    trip.shortest = Math.min(trip.shortest, ms);
    return Math.min(trip.shortest, trip.before);
  }

  #tokensAt(now: number): number {
    return Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#refilledAt) * this.#rate) / 1000);
  }
}
