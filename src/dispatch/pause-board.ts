/**
 * What is paused and what was cancelled, as this process knows it. A NOTIFY says that something changed; the tables say
 * what, and they are read twice a second anyway: an act is in force here within a second also when its NOTIFY is lost.
 */
import { type Clock, type Database, type EpochMs, Pool } from '../platform/index.ts';
import { type Cancelled, PAUSE_CHANNEL, readCancelled, readPaused } from './pause-acts.ts';
import { type Paused, Pauses } from './pauses.ts';
import type { DispatchLog } from './types.ts';

export interface PauseBoardOptions {
  database: Database;
  clock: Clock;
  log: DispatchLog;
  /** Called after `now` has changed. */
  onChange(change: { paused: Paused[]; resumed: Paused[] }): void;
  /** Alerts of which this process had not heard that they were cancelled. */
  onCancelled(alerts: Cancelled[]): void;
}

const READ_EVERY_MS = 400;
/** Longest wait for the session, and for one statement. */
const DATABASE_MS = 2_000;
/** How far before the last look a cancel may be dated that was committed after it. */
const COMMIT_WITHIN_MS = 60_000;
/** At the start, cancels of this long are read: receipts and carriers may still be waiting for them. */
const CANCELS_KEPT_MS = 6 * 3_600_000;
const CANCELS_MAX = 20_000;
const WARN_EVERY_MS = 60_000;

export class PauseBoard {
  now = Pauses.NONE;
  /** What is known is no older than this; monotonic. */
  readAt: EpochMs = Number.NEGATIVE_INFINITY;
  readonly #o: PauseBoardOptions;
  /** A session of its own: no chore may stand between an operator and a stop. */
  readonly #pool: Pool;
  readonly #heard = new Map<string, EpochMs>();
  #cancelsTo: EpochMs;
  #reading: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #listener: { close(): Promise<void> } | null = null;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #failing = false;
  #closed = false;

  private constructor(options: PauseBoardOptions) {
    this.#o = options;
    this.#cancelsTo = options.clock.now() - CANCELS_KEPT_MS;
    this.#pool = new Pool({
      name: 'pauses',
      size: 1,
      target: options.database.target,
      applicationName: 'tocsin',
      statementTimeoutMs: DATABASE_MS,
      acquireTimeoutMs: DATABASE_MS,
    });
  }

  /**
   * Knows what is paused before anything is sent.
   * @throws TransactionFailed when the database can't be read or listened to.
   */
  static async open(options: PauseBoardOptions): Promise<PauseBoard> {
    const board = new PauseBoard(options);
    try {
      await board.#read();
      board.#listener = await options.database.listen(PAUSE_CHANNEL, () => board.refresh());
    } catch (error) {
      await board.close();
      throw error;
    }
    board.#schedule();
    return board;
  }

  /** Reads anew, at once or after the look that is under way. */
  refresh(): void {
    if (this.#closed) return;
    if (this.#reading !== null) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#reading = this.#read()
      .then(() => {
        this.#failing = false;
      })
      .catch((error: unknown) => this.#trouble(error))
      .finally(() => {
        this.#reading = null;
        const again = this.#again;
        this.#again = false;
        if (again) this.refresh();
        else this.#schedule();
      });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#listener?.close();
    await this.#reading;
    await this.#pool.close();
  }

  #schedule(): void {
    if (this.#closed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), READ_EVERY_MS);
  }

  async #read(): Promise<void> {
    const { clock } = this.#o;
    const at = clock.now();
    const from = clock.monotonic();
    const next = new Pauses(await readPaused(this.#pool, at));
    const change = next.since(this.now);
    if (change.paused.length + change.resumed.length > 0) {
      this.now = next;
      this.#o.onChange(change);
    }
    this.#warn();
    const cancelled = await readCancelled(this.#pool, this.#cancelsTo, CANCELS_MAX);
    this.#cancelsTo = Math.max(this.#cancelsTo, at - COMMIT_WITHIN_MS);
    for (const [alert, when] of this.#heard) if (when <= this.#cancelsTo) this.#heard.delete(alert);
    const fresh = cancelled.filter(({ alert }) => !this.#heard.has(alert));
    for (const each of fresh) this.#heard.set(each.alert, each.at);
    if (fresh.length > 0) this.#o.onCancelled(fresh);
    this.readAt = from;
  }

  /** Nobody may forget that warnings are held back. */
  #warn(): void {
    const monotonic = this.#o.clock.monotonic();
    if (!this.now.has('lane', 'emergency') || monotonic - this.#warnedAt < WARN_EVERY_MS) return;
    this.#warnedAt = monotonic;
    this.#o.log.warn({ lane: 'emergency' }, 'the emergency lane is paused: no warning goes out until it is resumed');
  }

  #trouble(error: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#o.log.error({ what: 'pauses', err: error }, 'the database did not do what dispatch asked');
  }
}
