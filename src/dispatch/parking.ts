/**
 * Chunks of paused alerts: parked, which is without a job, so that nothing fetches them; made work again when their alert
 * is resumed, in the place where they stood. Each step is a short transaction that may be repeated. A chunk that is parked
 * expires and is cancelled like any that no bind holds.
 */
import { randomUUID } from 'node:crypto';
import type { PgBoss } from 'pg-boss';
import { bossTx, type EpochMs, type Pool, type Tx } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { notifyDispatch, queueName } from './chunks.ts';
import { alertPausedSql } from './pause-acts.ts';
import { insertInPlace } from './split.ts';

const CHUNKS_PER_STEP = 200;
const ALERTS_PER_LOOK = 1_000;

export interface ParkingTools {
  pool: Pool;
  boss: PgBoss;
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
}

interface QueuedChunk {
  id: number;
  lane: number;
  route: number;
  job: string;
}

interface ParkedChunk extends Omit<QueuedChunk, 'job'> {
  priority: number;
  created_at: EpochMs;
  not_before: EpochMs | null;
  queued: boolean;
}

/**
 * Parks the chunks of a paused alert that no bind holds, so that none is fetched in vain. Those in memory are parked by
 * their binds, those that come later when they are fetched.
 */
export async function parkAlert(tools: ParkingTools, alert: string, still: () => boolean): Promise<number> {
  const { pool, boss } = tools;
  let parked = 0;
  for (let full = true; full && still(); ) {
    const rows = await pool.run(async (tx) => {
      const moved = await tx.query<QueuedChunk>(
        `UPDATE chunk SET parked = true FROM (
           SELECT c.id FROM chunk c WHERE c.alert = $1::uuid AND NOT c.settled AND NOT c.parked AND c.holder_bind IS NULL
             AND ${alertPausedSql('c.day', 'c.alert')}
           ORDER BY c.id LIMIT $2 FOR UPDATE OF c SKIP LOCKED) w
         WHERE chunk.id = w.id RETURNING chunk.id, lane, route, job`,
        [alert, CHUNKS_PER_STEP],
      );
      await eachQueue(tools, moved, async (queue, chunks) => {
        const jobs = chunks.map(({ job }) => job);
        await boss.complete(queue, jobs, {}, { includeQueued: true, db: bossTx(tx) });
      });
      return moved;
    });
    parked += rows.length;
    full = rows.length === CHUNKS_PER_STEP;
  }
  return parked;
}

/**
 * Makes parked chunks of an alert work again, which is not paused any more or was cancelled.
 * @param holdsHere whether work for later waits in its queue on this route, and not at the carrier.
 */
export async function unpark(
  tools: ParkingTools & { holdsHere: (route: string) => boolean },
  now: EpochMs,
  alert: string,
): Promise<number> {
  const { pool, boss, holdsHere, routeName, laneName } = tools;
  let unparked = 0;
  for (let full = true; full; ) {
    const count = await pool.run(async (tx) => {
      const rows = await tx.query<ParkedChunk>(
        `SELECT c.id, c.lane, c.route, c.priority, c.created_at, c.not_before, c.queued FROM chunk c
         WHERE c.parked AND NOT c.settled AND c.alert = $2::uuid
           AND NOT ${alertPausedSql('c.day', 'c.alert')}
         ORDER BY c.priority DESC, c.id LIMIT $1 FOR UPDATE OF c SKIP LOCKED`,
        [CHUNKS_PER_STEP, alert],
      );
      if (rows.length === 0) return 0;
      // Work for later gets its job when it is due (later.ts), unless it had one already: then the carrier holds it.
      const waits = ({ route, queued, not_before }: ParkedChunk): boolean =>
        (not_before ?? now) > now && (!queued || holdsHere(routeName(route)));
      const jobs = new Map(rows.map(({ id }) => [id, randomUUID() as string]));
      await tx.query(
        `UPDATE chunk SET parked = false, job = w.job, queued = w.queued
         FROM unnest($1::bigint[], $2::uuid[], $3::boolean[]) AS w(id, job, queued) WHERE chunk.id = w.id`,
        [[...jobs.keys()], [...jobs.values()], rows.map((row) => !waits(row))],
      );
      const due = rows.filter((row) => !waits(row));
      await eachQueue(tools, due, async (queue, chunks) => {
        const inPlace = chunks.map(({ id, priority, created_at, not_before }) => ({
          ...{ chunk: id, job: jobs.get(id) as string, priority },
          createdOn: new Date(Math.max(created_at, not_before ?? 0)),
        }));
        await insertInPlace(tx, boss, queue, inPlace);
      });
      await notifyDispatch(
        tx,
        due.map(({ lane, route }) => ({ lane: laneName(lane), route: routeName(route) })),
      );
      return rows.length;
    });
    unparked += count;
    full = count === CHUNKS_PER_STEP;
  }
  return unparked;
}

/**
 * Makes work again of whatever is parked without a pause: an act came between parking and its end, or a process died there.
 * Goes from alert to alert along chunk_parked, however many chunks each has.
 */
export async function unparkLeft(tools: Parameters<typeof unpark>[0], now: EpochMs): Promise<number> {
  const rows = await tools.pool.query<{ alert: string }>(
    `WITH RECURSIVE parked AS (
       (SELECT alert, day FROM chunk WHERE parked AND NOT settled ORDER BY alert LIMIT 1)
       UNION ALL
       SELECT n.alert, n.day FROM parked p CROSS JOIN LATERAL (
         SELECT alert, day FROM chunk WHERE parked AND NOT settled AND alert > p.alert ORDER BY alert LIMIT 1) n)
     SELECT k.alert FROM parked k WHERE NOT ${alertPausedSql('k.day', 'k.alert')} LIMIT $1`,
    [ALERTS_PER_LOOK],
  );
  let unparked = 0;
  for (const { alert } of rows) unparked += await unpark(tools, now, alert);
  return unparked;
}

/** Parks chunks whose jobs this transaction has fetched. */
export async function parkFetched(
  tx: Tx,
  boss: PgBoss,
  queue: string,
  rows: readonly { id: number; job: string }[],
): Promise<void> {
  if (rows.length === 0) return;
  const jobs = rows.map(({ job }) => job);
  await boss.complete(queue, jobs, {}, { includeQueued: true, db: bossTx(tx) });
  await tx.query(
    `UPDATE chunk SET parked = true, holder_process = NULL, holder_bind = NULL, holder_fence = NULL WHERE id = ANY($1::bigint[])`,
    [rows.map(({ id }) => id)],
  );
}

async function eachQueue<Row extends { lane: number; route: number }>(
  { laneName, routeName }: Pick<ParkingTools, 'laneName' | 'routeName'>,
  rows: readonly Row[],
  work: (queue: string, chunks: Row[]) => Promise<void>,
): Promise<void> {
  const byQueue = Map.groupBy(rows, ({ lane, route }) => queueName(routeName(route), laneName(lane)));
  for (const [queue, chunks] of [...byQueue].sort(([a], [b]) => (a < b ? -1 : 1))) await work(queue, chunks);
}
