/**
 * Throttle, exact against the window in which the SMSC counts (DESIGN §6; tps-window.ts says which there are). One for each
 * bind, and one more for each sender and prefix that has a limit of its own.
 *
 * With n PDUs allowed in a stretch of time, a PDU may leave only one stretch after the n-th last one **arrived** at the
 * SMSC. When that was we never see: at the earliest when it left, at the latest when the SMSC answered it, or one sent
 * behind it on the same connection, less the shortest round trip seen lately. What lies beyond the guard is waited for, so
 * that a path or an SMSC that was held up for a moment does not see the next second's PDUs too close
 * (docs/decisions/0008).
 *
 * Inside that, PDUs are paced evenly; a process that was held up may catch up with a burst of at most max(1, 0.1 R). Of a
 * rate below the contract (`use`) the same holds: R is then that rate.
 *
 * No clock inside: every call names the monotonic time in milliseconds.
 */
import type { TpsWindow } from '../policy/index.ts';
import { awayFromMark, freeAfter, type Span, spanOf } from './tps-window.ts';

/** How late an arrival is believed to be, at most, when nothing is answered any more. */
const LATE_MAX_MS = 1_000;
/** A shortest round trip that was not seen again for this long to twice as long is forgotten: the path has changed. */
const ROUND_TRIP_KEPT_MS = 30_000;
/** One place in so many is spared, in windows of so many at least. */
const SPARED_PART = 100;
const SPARING_FROM = 20;
/** Before the first PDU there is room for as many as any contract allows in a stretch. */
const FIRST_SLOT = 1_000_000;

export interface ThrottleOptions {
  /** Contracted submit_sm per second, > 0, may be fractional. */
  tps: number;
  /** Milliseconds by which an arrival may be late without being noticed; they are added to the window of each PDU. */
  guardMs: number;
  /** How the SMSC counts. Default: in any second. */
  window?: TpsWindow;
  /** What is added to monotonic time to get wall time; for a window of wall seconds. */
  wallOffsetMs?: number;
}

/** Number of a PDU that left: each is one above the last. */
export type Slot = number;

export class Throttle {
  #tps: number;
  #guardMs: number;
  #window: TpsWindow;
  #wallOffsetMs: number;
  /** What is refilled each second: the contract, or the share of it that is in use. */
  #rate: number;
  #span: Span;
  /** When the last PDUs left, as many as the contract allows in a stretch. */
  #left: Float64Array;
  /** The latest time at which each of them arrived, as far as it is known. */
  #arrived: Float64Array;
  /** 1 for each of them that the SMSC threw back. */
  #thrownBack: Uint8Array;
  /** The slot of the next PDU. */
  #next: Slot;
  /** All slots below are known to have arrived. */
  #answeredTo: Slot;
  #tokens: number;
  #refilledAt: number;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  readonly #roundTrip = { shortest: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY, since: 0 };

  /** The history before `now` is unknown and counts as full: the first PDU may leave one window later. */
  constructor(options: ThrottleOptions, now: number) {
    const { tps, guardMs, window = 'sliding', wallOffsetMs = 0 } = checked(options);
    this.#tps = tps;
    this.#guardMs = guardMs;
    this.#window = window;
    this.#wallOffsetMs = wallOffsetMs;
    this.#rate = tps;
    this.#span = spanOf(window, tps);
    const length = this.#span.most;
    this.#left = new Float64Array(length).fill(now);
    this.#arrived = new Float64Array(length).fill(now);
    this.#thrownBack = new Uint8Array(length);
    this.#next = FIRST_SLOT;
    this.#answeredTo = FIRST_SLOT;
    this.#tokens = 1;
    this.#refilledAt = now;
    this.#roundTrip.since = now;
  }

  /** The contract in force. */
  get tps(): number {
    return this.#tps;
  }

  /**
   * Places of the window that may be spared for what must not wait: a window repeats, second by second, the gaps that it
   * once had, and what comes in a gap of a tenth of a second waits for its end. A hundredth; none where that is too much.
   */
  get sparable(): number {
    const { most } = this.#span;
    return most < SPARING_FROM ? 0 : Math.ceil(most / SPARED_PART);
  }

  /** The share of it in use. */
  get share(): number {
    return this.#rate / this.#tps;
  }

  /** Another contract from now on, in full. What left under the former one still counts. */
  change(options: ThrottleOptions, now: number): void {
    const { tps, guardMs, window = 'sliding', wallOffsetMs = this.#wallOffsetMs } = checked(options);
    const span = spanOf(window, tps);
    const before = { left: this.#left, arrived: this.#arrived, thrownBack: this.#thrownBack };
    const known = Math.min(before.left.length, span.most);
    // What left before those that are known left at least a stretch of the former contract before the last of them.
    const older = span.ms > spanOf(this.#window, this.#tps).ms ? now : Number.NEGATIVE_INFINITY;
    this.#left = new Float64Array(span.most).fill(older);
    this.#arrived = new Float64Array(span.most).fill(older);
    this.#thrownBack = new Uint8Array(span.most);
    for (let slot = this.#next - known; slot < this.#next; slot++) {
      const [from, to] = [slot % before.left.length, slot % span.most];
      this.#left[to] = before.left[from] as number;
      this.#arrived[to] = before.arrived[from] as number;
      this.#thrownBack[to] = before.thrownBack[from] as number;
    }
    this.#answeredTo = Math.max(this.#answeredTo, this.#next - known);
    this.#tokens = Math.min(1, this.#tokensAt(now));
    this.#refilledAt = now;
    this.#tps = tps;
    this.#guardMs = guardMs;
    this.#window = window;
    this.#wallOffsetMs = wallOffsetMs;
    this.#rate = tps;
    this.#span = span;
  }

  /** Wall time has drifted from monotonic time. */
  align(wallOffsetMs: number): void {
    this.#wallOffsetMs = wallOffsetMs;
  }

  /**
   * The earliest time, ≥ now, at which one PDU may leave if nothing is answered before.
   * @param spare places in the window that are to be left behind it.
   */
  nextAt(now: number, spare = 0): number {
    const tokens = this.#tokensAt(now);
    const paced = tokens >= 1 ? now : now + ((1 - tokens) * 1000) / this.#rate;
    return this.#awayFromMark(Math.max(now, paced, this.#freeAt(this.#next + spare), this.#pausedUntil));
  }

  /** Takes a token if one PDU may leave now, and as many more as are to be spared might: its slot, or −1. */
  take(now: number, spare = 0): Slot {
    if (now < this.#pausedUntil || now < this.#freeAt(this.#next + spare) || this.#awayFromMark(now) > now) return -1;
    const tokens = this.#tokensAt(now);
    if (tokens < 1) return -1;
    this.#tokens = tokens - 1;
    this.#refilledAt = now;
    const slot = this.#next++;
    const at = slot % this.#left.length;
    this.#left[at] = now;
    this.#arrived[at] = now;
    this.#thrownBack[at] = 0;
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
    if (now < this.#pausedUntil || this.#awayFromMark(now) > now) return 0;
    const most = Math.min(this.#span.most, Math.floor(this.#tokensAt(now)));
    let free = 0;
    while (free < most && this.#freeAt(this.#next + free) <= now) free++;
    return free;
  }

  /** The SMSC said ESME_RTHROTTLED or ESME_RMSGQFUL: nothing leaves before `until`. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until);
  }

  /** The SMSC threw the PDU of this slot back. */
  thrownBack(slot: Slot): void {
    if (slot >= this.#next - this.#left.length && slot < this.#next) this.#thrownBack[slot % this.#left.length] = 1;
  }

  /** When the PDU of this slot left; null when that is no longer known. */
  leftAt(slot: Slot): number | null {
    const length = this.#left.length;
    return slot < this.#next - length || slot >= this.#next ? null : (this.#left[slot % length] as number);
  }

  /** What the SMSC took in the stretch before the PDU of this slot left, per second; 0 when that is no longer known. */
  takenPerSecond(slot: Slot): number {
    const length = this.#left.length;
    if (slot < this.#next - length || slot >= this.#next) return 0;
    const until = this.#left[slot % length] as number;
    const ms = Math.max(1_000, this.#span.ms);
    let taken = 0;
    for (let each = slot - 1; each >= this.#next - length; each--) {
      if (until - (this.#left[each % length] as number) >= ms) break;
      if (this.#thrownBack[each % length] === 0) taken++;
    }
    return (taken / ms) * 1_000;
  }

  /** From now on this share of the contract leaves, > 0 and ≤ 1, under a window of its own (pace.ts, allowance.ts). */
  use(share: number, now: number): void {
    if (!(share > 0 && share <= 1)) throw new RangeError('a share is > 0 and ≤ 1');
    const rate = share * this.#tps;
    if (rate === this.#rate) return;
    const tokens = this.#tokensAt(now);
    this.#rate = rate;
    this.#span = spanOf(this.#window, rate);
    this.#tokens = Math.min(this.#span.burst, tokens);
    this.#refilledAt = now;
  }

  /** From when on the window has a place for this slot: one stretch after the slot so many places before it arrived. */
  #freeAt(slot: Slot): number {
    const length = this.#left.length;
    const before = slot - this.#span.most;
    const left = this.#left[before % length] as number;
    const { shortest, before: earlier } = this.#roundTrip;
    const roundTrip = Math.min(shortest, earlier);
    // Not answered, nor any behind it, though answers come sooner than a window as a rule: it may be on its way yet.
    const onItsWay = before >= this.#answeredTo && roundTrip < this.#span.ms;
    const late = onItsWay ? left + Math.min(LATE_MAX_MS, this.#span.ms) : Number.NEGATIVE_INFINITY;
    const atMark = this.#window === 'second';
    const arrived = Math.max(atMark ? left : left + this.#guardMs, this.#arrived[before % length] as number, late);
    return freeAfter(this.#window, this.#span, arrived, this.#guardMs, this.#wallOffsetMs);
  }

  #awayFromMark(time: number): number {
    if (this.#window !== 'second') return time;
    return awayFromMark(this.#span, time, this.#guardMs, this.#wallOffsetMs);
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
    return Math.min(this.#span.burst, this.#tokens + (Math.max(0, now - this.#refilledAt) * this.#rate) / 1000);
  }
}

function checked(options: ThrottleOptions): ThrottleOptions {
  if (!(options.tps > 0) || !(options.guardMs >= 0)) throw new RangeError('tps must be > 0 and guardMs ≥ 0');
  return options;
}
