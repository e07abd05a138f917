/**
 * What the holder of a bind does in the database under its lease: takes over what former holders left, gives chunks back,
 * and insists until the database has answered, for as long as the lease is not lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PgBoss } from 'pg-boss';
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, EpochMs, IdAllocator, Pool, Tx } from '../platform/index.ts';
import type { LaneName, LanePolicy } from '../policy/index.ts';
import { notifyDispatch } from './chunks.ts';
import type { Holder, Insist } from './hold.ts';
import type { BindLease } from './lease.ts';
import { returnJob, takeOver } from './takeover.ts';
import type { DispatchLog, HeldChunk } from './types.ts';

export interface HoldingOptions {
  /** The name of the bind. */
  bind: string;
  lease: BindLease;
  pool: Pool;
  /** Of takeovers. */
  writer: ChainWriter;
  boss: PgBoss;
  ids: IdAllocator;
  clock: Clock;
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
  /** In force: they may change. */
  policy: () => { lanes: Readonly<Record<LaneName, LanePolicy>> };
  log: DispatchLog;
  onTrouble: (what: string, error: unknown) => void;
}

/**
 * How often the holder looks again for what former holders left: one that stood still in the middle of a fetch commits it
 * when it wakes up, after it lost the bind.
 */
const TAKE_OVER_EACH_MS = 5_000;

export class Holding {
  readonly #o: HoldingOptions;
  #takingOver = false;
  #lastTakeOver = Number.NEGATIVE_INFINITY;

  constructor(options: HoldingOptions) {
    this.#o = options;
  }

  /** Whether the bind was not lost so far: also while nothing may be sent under its lease (lease.ts). */
  holds({ fence }: Holder): boolean {
    return this.#o.lease.holds(fence);
  }

  /** Tries again, ever slower, as long as the bind is held under this fence. */
  insist(what: string, holder: Holder): Insist {
    return async (work) => {
      for (let waitMs = 20; this.holds(holder); waitMs = Math.min(1_000, waitMs * 2)) {
        try {
          return await work();
        } catch (error) {
          this.#o.onTrouble(what, error);
          await sleep(waitMs);
        }
      }
      return null;
    };
  }

  /** @returns false when the database did not let it come to its end. */
  async takeOver(holder: Holder): Promise<boolean> {
    const { bind, pool, writer, boss, ids, clock, laneName, routeName, log } = this.#o;
    this.#takingOver = true;
    try {
      const { lanes } = this.#o.policy();
      const result = await takeOver({ pool, writer, boss, ids, clock, holder, laneName, routeName, lanes });
      const { fence } = holder;
      if (result.chunks > 0) log.warn({ bind, fence, ...result }, 'took over what a former holder left');
      return true;
    } catch (error) {
      this.#o.onTrouble('takeover', error);
      return false;
    } finally {
      this.#takingOver = false;
      this.#lastTakeOver = clock.monotonic();
    }
  }

  /** Once more, where it is time for that. */
  takeOverAgain(holder: Holder): void {
    const due = this.#o.clock.monotonic() - this.#lastTakeOver > TAKE_OVER_EACH_MS;
    if (due && !this.#takingOver) void this.takeOver(holder);
  }

  /** @param due when a chunk may be taken again; by default at once. */
  async giveBack(
    chunks: readonly HeldChunk[],
    holder: Holder,
    due: ReadonlyMap<HeldChunk, EpochMs> = new Map(),
  ): Promise<void> {
    if (chunks.length === 0) return;
    const { pool, boss } = this.#o;
    await this.insist('hand back', holder)(() => pool.run((tx) => giveBackInside(tx, boss, holder, chunks, due)));
  }
}

async function giveBackInside(
  tx: Tx,
  boss: PgBoss,
  holder: Holder,
  chunks: readonly HeldChunk[],
  due: ReadonlyMap<HeldChunk, EpochMs>,
): Promise<void> {
  for (const chunk of [...chunks].sort((a, b) => a.id - b.id)) {
    const [row] = await tx.query<{
      id: number;
      deliveries: number;
      priority: number;
      job: string;
      claimed_to: number;
    }>(
      `SELECT id, deliveries, priority, job, claimed_to FROM chunk
       WHERE id = $1 AND NOT settled AND holder_bind = $2 AND holder_fence = $3 AND holder_process = $4 FOR UPDATE`,
      [chunk.id, holder.bind, holder.fence, holder.process],
    );
    // Claimed deliveries of it are still on their way to the journal: only a chunk without any goes back here.
    if (row !== undefined && chunk.open === 0) {
      await returnJob(tx, boss, row, row.claimed_to, chunk.lane, chunk.route, due.get(chunk) ?? null);
    }
  }
  await notifyDispatch(tx, chunks);
}
