/**
 * How much of its contract a bind uses now: the least of what the SMSC says of its congestion (pace.ts) and of what it was
 * seen to take when it threw messages back (allowance.ts). Its throttle is told whenever that changes.
 */
import { readCongestion, type Tlv } from '../smpp/index.ts';
import { type Allowance, advance, afterThrownBack, FULL_ALLOWANCE } from './allowance.ts';
import { afterCongestion, FULL_PACE, type Pace, shareAt } from './pace.ts';
import type { Slot, Throttle, ThrottleOptions } from './throttle.ts';

export class ShareInUse {
  readonly #throttle: Throttle;
  #pace: Pace = FULL_PACE;
  #allowance: Allowance = FULL_ALLOWANCE;

  constructor(throttle: Throttle) {
    this.#throttle = throttle;
  }

  /** Another contract is in force from now on. */
  change(contract: ThrottleOptions, now: number): void {
    // What was learned of the SMSC under another contract says nothing of this one.
    if (contract.tps !== this.#throttle.tps) this.#allowance = FULL_ALLOWANCE;
    this.#throttle.change(contract, now);
    this.#use(now);
  }

  /** An answer may name a congestion_state. */
  hear(tlvs: readonly Tlv[], now: number): void {
    const state = readCongestion(tlvs);
    if (state === null) return;
    this.#pace = afterCongestion(this.#pace, state, now);
    this.#use(now);
  }

  /** The SMSC threw the PDU of this slot back. */
  thrownBack(slot: Slot, now: number): void {
    const throttle = this.#throttle;
    throttle.thrownBack(slot);
    const leftAt = throttle.leftAt(slot);
    // So long ago that nothing is known of it any more.
    if (leftAt === null) return;
    const taken = throttle.takenPerSecond(slot) / throttle.tps;
    const { allowance, restMs } = afterThrownBack(this.#allowance, { leftAt, taken }, now);
    this.#allowance = allowance;
    this.#use(now);
    if (restMs > 0) throttle.pause(now + restMs);
  }

  /** It recovers with time alone, also while nothing is answered: asked every so often. */
  advance(now: number): void {
    this.#allowance = advance(this.#allowance, this.#throttle.tps, now);
    this.#use(now);
  }

  #use(now: number): void {
    this.#throttle.use(Math.min(shareAt(this.#pace, now), this.#allowance.share), now);
  }
}
