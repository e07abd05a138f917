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
  readonly #channel: string;
  readonly #events: LeaseEvents;
  #fence: number | null = null;
  #deadline = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #turn: Promise<void> = Promise.resolve();
  #busy = false;

  /** @param channel told the bind's id when the lease is given back */
  constructor(pool: Pool, clock: Clock, bind: number, process: number, channel: string, events: LeaseEvents) {
    this.#pool = pool;
    this.#clock = clock;
    this.#bind = bind;
    this.#process = process;
    this.#channel = channel;
    this.#events = events;
  }

  /** Tries once to get the lease when it is not held here; renews it from then on until it is lost or released. */
  tryWin(): Promise<void> {
    if (this.#fence === null && !this.#closed && !this.#busy) this.#step();
    return this.#turn;
  }

  /** The fence under which this process may send right now, or null. */
  fence(): number | null {
    return this.#fence !== null && this.#clock.monotonic() < this.#deadline ? this.#fence : null;
  }

  /** Won and not lost so far, renewed in time or not. */
  get held(): boolean {
    return this.#fence !== null;
  }

  /**
   * Whether this fence was not lost so far: also while its renewal is late and nothing may be sent under it. What is held
   * under it stays ours until `lost` is called, and nobody else would look after it.
   */
  holds(fence: number): boolean {
    return this.#fence === fence;
  }

  /** Gives the lease back so that another process need not wait out the TTL. It may be won again. */
  async release(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // A renewal under way ends first: it would undo this.
    while (this.#busy) await this.#turn;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const fence = this.#fence;
    this.#fence = null;
    this.#deadline = Number.NEGATIVE_INFINITY;
    if (fence === null) return;
    await this.#pool.query(
      `WITH free AS (UPDATE bind_lease SET until = clock_timestamp() WHERE bind = $1 AND fence = $2 RETURNING bind)
       SELECT pg_notify($3, bind::text) FROM free`,
      [this.#bind, fence, this.#channel],
    );
  }

  /** Releases it for good. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.release();
  }

  #step(): void {
    this.#busy = true;
    this.#turn = this.#work().finally(() => {
      this.#busy = false;
      if (this.#fence !== null) this.#timer = setTimeout(() => this.#step(), RENEW_MS);
    });
  }

  async #work(): Promise<void> {
    const startedAt = this.#clock.monotonic();
    try {
      if (this.#fence === null) await this.#acquire(startedAt);
      else await this.#renew(startedAt, this.#fence);
    } catch (error) {
      this.#events.trouble(error);
      if (this.#fence !== null && this.#clock.monotonic() >= this.#deadline) this.#lose();
    }
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
    // Closed meanwhile: `release` waits for this, and gives it back.
    if (row === undefined) return;
    this.#fence = row.fence;
    if (this.#closed) return;
    this.#deadline = startedAt + LEASE_TTL_MS - MARGIN_MS;
    this.#events.won(row.fence);
  }

  /** Not when it has run out, though nobody else has had the bind since: claims were refused meanwhile, and their chunks forgotten. */
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
