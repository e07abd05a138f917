import type { Pool } from './pool.ts';

/** Ids in one block: the increment of the sequence `id_block`. */
export const idBlockSize = 5_000;

/**
 * Gives out ids of deliveries, chunks, bodies, recipients and receipts from blocks of 5,000 of the sequence `id_block`,
 * shared by all processes. The next block is fetched before it is needed. What is left of a block that is too short for
 * a request is skipped: ids rise, with gaps.
 */
export class IdAllocator {
  readonly #pool: Pool;
  #next = 0;
  #end = 0;
  #ahead: Promise<number> | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * The first of `n` ids in a row, 1 ≤ n ≤ 5,000.
   * @throws RangeError for another n, TransactionFailed when no block can be had.
   */
  take(n: number): Promise<number> {
    if (!Number.isInteger(n) || n < 1 || n > idBlockSize)
      return Promise.reject(new RangeError(`1 to ${idBlockSize} ids at a time`));
    const first = this.#tail.then(() => this.#take(n));
    this.#tail = first.catch(() => undefined);
    return first;
  }

  async #take(n: number): Promise<number> {
    if (this.#end - this.#next < n) {
      const start = await this.#fetch();
      // A block that follows the last one at once continues it.
      if (start !== this.#end) this.#next = start;
      this.#end = start + idBlockSize;
    }
    const first = this.#next;
    this.#next += n;
    if (this.#end - this.#next < idBlockSize / 2) this.#prefetch();
    return first;
  }

  #fetch(): Promise<number> {
    const block = this.#ahead ?? this.#query();
    this.#ahead = undefined;
    return block;
  }

  #prefetch(): void {
    if (this.#ahead !== undefined) return;
    const ahead = this.#query();
    this.#ahead = ahead;
    ahead.catch(() => {
      // The next caller asks again and gets the error itself, if there still is one.
      if (this.#ahead === ahead) this.#ahead = undefined;
    });
  }

  async #query(): Promise<number> {
    // A block asked for twice because an answer was lost is only a gap.
    const [row] = await this.#pool.query<{ block: number }>(`select nextval('tocsin.id_block') as block`, [], {
      retries: 3,
    });
    if (row === undefined) throw new TypeError('the sequence gave no block');
    return row.block;
  }
}
