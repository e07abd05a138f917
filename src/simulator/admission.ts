/**
 * What becomes of each message that arrives: whether the contract allows it, and the command_status of its answer, by the
 * faults that refuse, the contract, and the shares of an account that are refused by choice (choices.ts).
 */
import { decodeCorrelation, findTlv, Status, type SubmitSm, Tag } from '../smpp/index.ts';
import { messageHash, pick } from './choices.ts';
import type { Faults } from './faults.ts';
import type { Account } from './options.ts';
import type { AccountStats } from './stats.ts';
import { FixedWindow, RateMeter, StrictWindow } from './window.ts';

/** What the choices know of the SMSC around the account. */
export interface ChoiceHost {
  readonly seed: number;
  readonly correlationTlv: number | null;
}

// One salt per question that a message's hash answers.
const refusalSalt = 0;
const receiptSalt = 1;
const refusedTriesMax = 100_000;
const noText = Buffer.alloc(0);

export class Admission {
  readonly #options: Account;
  readonly #faults: Faults;
  readonly #stats: AccountStats;
  readonly #host: ChoiceHost;
  readonly #window: StrictWindow | FixedWindow | null;
  readonly #meter = new RateMeter();
  /** Tries of each message that is refused for now; the oldest are forgotten beyond 100,000. */
  readonly #refusedTries = new Map<number, number>();

  constructor(options: Account, faults: Faults, stats: AccountStats, host: ChoiceHost) {
    this.#options = options;
    this.#faults = faults;
    this.#stats = stats;
    this.#host = host;
    this.#window = windowOf(options);
  }

  /** Highest number of messages in any one second so far. */
  get rateMax(): number {
    return this.#meter.max;
  }

  /** Counts one message that arrived. @returns whether the contract allows it */
  arrives(nowUs: number): boolean {
    this.#stats.received += 1;
    this.#meter.count(nowUs);
    const within = this.#window === null || this.#window.admit(nowUs);
    if (!within) this.#stats.violations += 1;
    return within;
  }

  get #choosesByMessage(): boolean {
    const { permanent, temporary, failedReceipts } = this.#options;
    return permanent.share > 0 || temporary.share > 0 || failedReceipts.share > 0;
  }

  /** What the choices about a message are made from. */
  hashOf(pdu: SubmitSm): number {
    if (!this.#choosesByMessage) return 0;
    const { correlationTlv, seed } = this.#host;
    const value = correlationTlv === null ? undefined : findTlv(pdu.tlvs, correlationTlv);
    const correlation = value === undefined ? null : decodeCorrelation(value);
    const text = pdu.shortMessage.length > 0 ? pdu.shortMessage : (findTlv(pdu.tlvs, Tag.messagePayload) ?? noText);
    return messageHash(seed, pdu.destAddr, text, correlation?.delivery ?? 0);
  }

  statusFor(hash: number, withinContract: boolean): number {
    const options = this.#options;
    const stats = this.#stats;
    const fault = this.#refusingFault();
    if (fault !== Status.ok) return fault;
    if (!withinContract) {
      stats.throttled += 1;
      return Status.throttled;
    }
    const chosen = pick(hash, refusalSalt);
    if (chosen < options.permanent.share) {
      stats.refusedPermanent += 1;
      stats.fired.permanent += 1;
      return options.permanent.status;
    }
    if (chosen < options.permanent.share + options.temporary.share && this.#stillRefused(hash)) {
      stats.refusedTemporary += 1;
      stats.fired.temporary += 1;
      return options.temporary.status;
    }
    stats.accepted += 1;
    return Status.ok;
  }

  #stillRefused(hash: number): boolean {
    const tries = (this.#refusedTries.get(hash) ?? 0) + 1;
    if (tries > this.#options.temporary.tries) {
      this.#refusedTries.delete(hash);
      return false;
    }
    this.#refusedTries.set(hash, tries);
    if (this.#refusedTries.size > refusedTriesMax) {
      for (const oldest of this.#refusedTries.keys()) {
        this.#refusedTries.delete(oldest);
        break;
      }
    }
    return true;
  }

  #refusingFault(): number {
    const faults = this.#faults;
    const stats = this.#stats;
    if (faults.throttleNext > 0 || faults.throttle) {
      if (faults.throttleNext > 0) {
        faults.throttleNext -= 1;
        stats.fired.throttleNext += 1;
      } else {
        stats.fired.throttle += 1;
      }
      stats.throttled += 1;
      return Status.throttled;
    }
    if (faults.refuseNext > 0) {
      faults.refuseNext -= 1;
      stats.fired.refuseNext += 1;
      return faults.refuseStatus;
    }
    // It is counted where the answer is written.
    if (faults.oddAnswerNext > 0 && faults.oddAnswer === 'message-id-in-error') return Status.systemError;
    return Status.ok;
  }

  /** Whether the receipt of this message says that it failed. */
  fails(hash: number): boolean {
    return pick(hash, receiptSalt) < this.#options.failedReceipts.share;
  }
}

function windowOf({ tps, tpsWindow, throttledCount }: Account): StrictWindow | FixedWindow | null {
  if (tps === null) return null;
  switch (tpsWindow) {
    case 'strict':
      return new StrictWindow(tps, throttledCount);
    case 'calendar':
      return FixedWindow.calendar(tps, throttledCount);
    case 'slot':
      return FixedWindow.slots(tps, throttledCount);
    default:
      return tpsWindow satisfies never;
  }
}
