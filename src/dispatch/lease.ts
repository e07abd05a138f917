/**
 * Who may send on a bind: one process at a time, by a lease with a fencing number (DESIGN §6).
 *
 * The holder sends only while its monotonic clock is before (start of the last confirmed renewal + TTL − 1 s); a new
 * holder waits out the TTL by database time. So a frozen holder that wakes knows at once that it may not send.
 */
import type { Clock, Pool } from '../platform/index.ts';

export const LEASE_TTL_MS = 4_000;
const MARGIN_MS = 1_000;
const RENEW_MS = 1_000;
const TRY_MS = 250;

export interface LeaseEvents {
  /** The lease was won with this fence: take over what the former holder left, then send. */
  won(fence: number): void;
  /** The lease ran out or another process has it: stop sending. */
  lost(): void;
  trouble(error: unknown): void;
}

export class BindLease {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #bind: number;
  readonly #process: number;
  readonly #events: LeaseEvents;
  #fence: number | null = null;
  #deadline = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(pool: Pool, clock: Clock, bind: number, process: number, events: LeaseEvents) {
    this.#pool = pool;
    this.#clock = clock;
    this.#bind = bind;
    this.#process = process;
    this.#events = events;
  }

  start(): void {
    this.#turn = this.#step();
  }

  /** The fence under which this process may send right now, or null. */
  fence(): number | null {
    return this.#fence !== null && this.#clock.monotonic() < this.#deadline ? this.#fence : null;
  }

  /**
   * Whether this fence was not lost so far: also while its renewal is late and nothing may be sent under it. What is held
   * under it stays ours until `lost` is called, and nobody else would look after it.
   */
  holds(fence: number): boolean {
    return this.#fence === fence;
  }

  /** Gives the lease back so that another process need not wait out the TTL. */
  async release(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
    const fence = this.#fence;
    this.#fence = null;
    if (fence === null) return;
    await this.#pool.query('UPDATE bind_lease SET until = clock_timestamp() WHERE bind = $1 AND fence = $2', [
      this.#bind,
      fence,
    ]);
  }

  async #step(): Promise<void> {
    const startedAt = this.#clock.monotonic();
    try {
      if (this.#fence === null) await this.#acquire(startedAt);
      else await this.#renew(startedAt, this.#fence);
    } catch (error) {
      this.#events.trouble(error);
      if (this.#fence !== null && this.#clock.monotonic() >= this.#deadline) this.#lose();
    }
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.start(), this.#fence === null ? TRY_MS : RENEW_MS);
  }

  async #acquire(startedAt: number): Promise<void> {
    const [row] = await this.#pool.query<{ fence: number }>(
      `INSERT INTO bind_lease AS l (bind, fence, process, until)
       VALUES ($1, 1, $2, clock_timestamp() + $3 * interval '1 millisecond')
       ON CONFLICT (bind) DO UPDATE SET fence = l.fence + 1, process = excluded.process, until = excluded.until
         WHERE l.until < clock_timestamp()
       RETURNING fence`,
      [this.#bind, this.#process, LEASE_TTL_MS],
    );
    if (row === undefined || this.#closed) return;
    this.#fence = row.fence;
    this.#deadline = startedAt + LEASE_TTL_MS - MARGIN_MS;
    this.#events.won(row.fence);
  }

  async #renew(startedAt: number, fence: number): Promise<void> {
    const [row] = await this.#pool.query<{ fence: number }>(
      `UPDATE bind_lease SET until = clock_timestamp() + $3 * interval '1 millisecond'
       WHERE bind = $1 AND fence = $2 AND until > clock_timestamp() RETURNING fence`,
      [this.#bind, fence, LEASE_TTL_MS],
    );
    if (row === undefined) this.#lose();
    else this.#deadline = startedAt + LEASE_TTL_MS - MARGIN_MS;
  }

  #lose(): void {
    this.#fence = null;
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#events.lost();
  }
}
