/**
 * Who sends on a bind, one after the other. One that stops is set aside until what it has on the wire has come to its end,
 * and into the database; only then do its chunks go back, and the next one may begin.
 *
 *   start ─► sends ─┬─ set aside ─ all is written ─► chunks go back ─► free for the next
 *                   ├─ ended, bounded in time ─────► chunks go back, if all is written
 *                   └─ lost: the next holder of the bind finds what it had
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../platform/index.ts';
import type { Holder } from './hold.ts';
import type { Holding } from './holding.ts';
import type { Sender } from './sender.ts';
import { within } from './within.ts';

export interface SendersOptions {
  clock: Clock;
  holding: Holding;
  /** Answers to what is on the wire have come by then. */
  answersWithinMs: () => number;
  /** Whether a fetch is under way: what it brings for a sender that has stopped it gives back. */
  fetching: () => boolean;
  /** One that was set aside has come to its end, or lost the bind. */
  onFree: (holder: Holder) => void;
}

/** What a sender gives back when it stops is in the database by then, unless that is in trouble. */
const WRITTEN_WITHIN_MS = 1_000;
/** Fetches under way are over by then. */
const LAST_FETCHES_MS = 1_500;

export class Senders {
  readonly #o: SendersOptions;
  #now: Sender | null = null;
  /** The one that is coming to its end meanwhile. */
  #aside: Sender | null = null;
  #settingAside: Promise<void> | null = null;

  constructor(options: SendersOptions) {
    this.#o = options;
  }

  /** Takes work; null while none does. */
  get now(): Sender | null {
    return this.#now;
  }

  /** Has something on the wire, or may have. */
  get last(): Sender | null {
    return this.#now ?? this.#aside;
  }

  start(sender: Sender): void {
    this.#now = sender;
  }

  /** It stops, and its chunks go back to their queues when they may. */
  setAside(): void {
    const sender = this.#now;
    if (sender === null) return;
    const { holder } = sender;
    this.#now = null;
    const chunks = sender.stop();
    this.#aside = sender;
    this.#settingAside = this.#afterTheWire(sender)
      .then((ended) => (ended ? this.#o.holding.giveBack(chunks, holder) : undefined))
      .finally(() => {
        this.#settingAside = null;
        this.#aside = null;
        this.#o.onFree(holder);
      });
  }

  /**
   * What is claimed goes out, the rest goes back: bounded by `timeoutMs` and some seconds. @returns whether all that was
   * sent is written down.
   */
  async end(timeoutMs: number): Promise<boolean> {
    if (this.#settingAside !== null)
      await Promise.race([this.#settingAside, sleep(timeoutMs, undefined, { ref: false })]);
    const sender = this.#now;
    if (sender === null) return this.#aside === null;
    // What is fetched from here on goes back.
    this.#now = null;
    this.#aside = sender;
    await sender.drain(timeoutMs);
    const chunks = sender.stop();
    // Else whoever takes the bind over finds them.
    const written = await sender.drain(WRITTEN_WITHIN_MS);
    if (written) await this.#o.holding.giveBack(chunks, sender.holder);
    await within(this.#o.clock, LAST_FETCHES_MS, () => !this.#o.fetching());
    return written;
  }

  /** The lease is gone. */
  lose(): void {
    this.#now?.lose();
    this.#aside?.lose();
    this.#now = null;
  }

  /** The bind is given back: of one that was to come to its end no more is heard. */
  forget(): void {
    this.#aside = null;
  }

  /**
   * What is on the wire comes to its end, and into the database, before a chunk goes back. Answers are bounded in time;
   * for the database it waits as long as the bind is held. @returns false when the bind was lost before.
   */
  async #afterTheWire(sender: Sender): Promise<boolean> {
    while (this.#o.holding.holds(sender.holder)) if (await sender.drain(this.#o.answersWithinMs())) return true;
    return false;
  }
}
