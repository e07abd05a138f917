/**
 * Work that is held by binds which policy no longer names: a process that still had them was killed, and nobody will ever
 * win their leases again. It is taken over as from a former holder, and goes back to its routes, where other binds find it.
 */
import type { Pool } from '../platform/index.ts';
import { LEASE_TTL_MS } from './lease.ts';
import { type TakeoverOptions, takeOver } from './takeover.ts';

/** @param known binds that have a dispatcher, which looks after what is theirs. @returns how many chunks were put right. */
export async function takeOverOrphans(
  options: Omit<TakeoverOptions, 'holder'>,
  process: number,
  known: readonly number[],
): Promise<number> {
  const { pool } = options;
  const binds = await pool.query<{ bind: number }>(
    `SELECT DISTINCT holder_bind AS bind FROM chunk
     WHERE NOT settled AND holder_bind IS NOT NULL AND holder_bind <> ALL($1::smallint[]) ORDER BY 1`,
    [known],
  );
  let chunks = 0;
  for (const { bind } of binds) {
    const fence = await acquire(pool, bind, process);
    if (fence !== null) chunks += (await takeOver({ ...options, holder: { process, bind, fence } })).chunks;
  }
  return chunks;
}

/** Null while a process that knows the bind has it. */
async function acquire(pool: Pool, bind: number, process: number): Promise<number | null> {
  const [row] = await pool.query<{ fence: number }>(
    `UPDATE bind_lease SET fence = fence + 1, process = $2, until = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE bind = $1 AND until < clock_timestamp() RETURNING fence`,
    [bind, process, LEASE_TTL_MS],
  );
  return row?.fence ?? null;
}
