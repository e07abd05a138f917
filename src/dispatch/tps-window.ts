/**
 * How many PDUs fit into which stretch of time: what "R per second" means to the carrier that counts it. Of a rate R with
 * n = ⌈R⌉, `sliding` and `second` say n in n ÷ R seconds: for a whole R that is R in a second, 0.5 is one in two seconds,
 * 2.5 three in 1.2 s. `slot` says ⌊R ÷ 10⌋ in a tenth of a second, at least one.
 *
 * - `sliding`: in any such stretch. - `second`: from one mark on the wall clock to the next, marks being a stretch apart;
 * near a mark nothing is sent, because the carrier's clock and the way to it may put it on the other side. - `slot`: in any
 * tenth of a second: where a carrier's tenths begin is not known here, and so it does not matter.
 */
import type { TpsWindow } from '../policy/index.ts';

export interface Span {
  /** PDUs at most, ≥ 1 … */
  readonly most: number;
  /** … in so many milliseconds. */
  readonly ms: number;
  /** How many may leave one after another without a wait between them: what remains of one adds up with later ones. */
  readonly burst: number;
}

const SLOTS_PER_SECOND = 10;
/** How long a stall of the process may be caught up. */
const BURST_SECONDS = 0.1;
/** Too little for two at once, enough for one that left late not to delay all behind it. */
const BURST_MIN = 1.5;
/** Around a mark of the wall clock at least half of the time is left to send in. */
const MARK_GUARD_MAX = 0.25;

export function spanOf(window: TpsWindow, rate: number): Span {
  if (window === 'slot') {
    const most = Math.max(1, Math.floor(rate / SLOTS_PER_SECOND));
    return { most, ms: rate < SLOTS_PER_SECOND ? 1_000 / rate : 1_000 / SLOTS_PER_SECOND, burst: most };
  }
  const most = Math.ceil(rate);
  return {
    most,
    ms: (most / rate) * 1_000,
    burst: window === 'second' ? most : Math.max(most === 1 ? 1 : BURST_MIN, BURST_SECONDS * rate),
  };
}

/** From when on one more may leave, if the one `most` places before it arrived at `arrived` at the latest. */
export function freeAfter(
  window: TpsWindow,
  span: Span,
  arrived: number,
  guardMs: number,
  wallOffsetMs: number,
): number {
  if (window !== 'second') return arrived + span.ms;
  return markAfter(arrived, span, wallOffsetMs) + markGuard(span, guardMs);
}

/** `now`, or when the stretch around a mark of the wall clock in which nothing is sent will be over. */
export function awayFromMark(span: Span, now: number, guardMs: number, wallOffsetMs: number): number {
  const guard = markGuard(span, guardMs);
  const next = markAfter(now, span, wallOffsetMs);
  if (next - now <= guard) return next + guard;
  const since = now - (next - span.ms);
  return since < guard ? now + guard - since : now;
}

function markGuard(span: Span, guardMs: number): number {
  return Math.min(guardMs, span.ms * MARK_GUARD_MAX);
}

function markAfter(time: number, span: Span, wallOffsetMs: number): number {
  if (!Number.isFinite(time)) return time;
  return (Math.floor((time + wallOffsetMs) / span.ms) + 1) * span.ms - wallOffsetMs;
}
