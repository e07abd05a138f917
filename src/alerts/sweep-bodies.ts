/** Secret texts whose key was shredded: nobody can read them any more, so their rows go. */
import { type EpochMs, lastShredded, type Pool } from '../platform/index.ts';

/** A run that begins with years of rows ends anyway; the next one goes on. */
const LIMITS = { batch: 2_000, batches: 100 };

/**
 * Deletes them, oldest hour first. Gives how many; for a timer, after the keys were shredded. Bodies are no facts: the
 * alert's commitment stays, and verify knows that a secret text is gone after its hour. Leans on body_epoch.
 */
export async function sweepBodies(pool: Pool, now: EpochMs, limits: Partial<typeof LIMITS> = {}): Promise<number> {
  const { batch, batches } = { ...LIMITS, ...limits };
  let deleted = 0;
  for (let i = 0; i < batches; i++) {
    const rows = await pool.query(
      `delete from body where id in
         (select id from body where key_ref like 'epoch:%' and key_ref <= $1 order by key_ref limit $2 for update skip locked)
       returning 1 as gone`,
      [lastShredded(now), batch],
    );
    deleted += rows.length;
    if (rows.length < batch) break;
  }
  return deleted;
}
