import { statusName } from '../smpp/index.ts';
import type { DispatchLog } from './types.ts';

/** One of many refusals of a kind is logged this often. */
const LOGGED_EVERY_MS = 60_000;

/**
 * What a carrier refuses for what it is: whoever else was to get the message will be refused the same way, and somebody
 * must look at text, sender or policy.
 */
export class RefusalLog {
  readonly #bind: string;
  readonly #log: DispatchLog;
  /** By status: when it was last logged, and how many came since. */
  readonly #seen = new Map<number, { at: number; since: number }>();

  constructor(bind: string, log: DispatchLog) {
    this.#bind = bind;
    this.#log = log;
  }

  add(status: number, now: number): void {
    const seen = this.#seen.get(status) ?? { at: Number.NEGATIVE_INFINITY, since: 0 };
    seen.since++;
    if (now - seen.at >= LOGGED_EVERY_MS) {
      const details = { bind: this.#bind, status: statusName(status), refused: seen.since };
      this.#log.error(details, 'the carrier refuses messages for what they are, whoever they go to');
      seen.at = now;
      seen.since = 0;
    }
    this.#seen.set(status, seen);
  }
}
