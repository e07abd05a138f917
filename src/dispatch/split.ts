/**
 * What a bind does not keep of what it fetched. A bind of 0.5 TPS beside one of 500 takes one delivery of a chunk of 125:
 * the chunk is cut, and the rest is a chunk of its own, at the same place in the queue, for whoever has room.
 */
import { randomUUID } from 'node:crypto';
import type { PgBoss } from 'pg-boss';
import { bossTx, type Tx } from '../platform/index.ts';

/**
 * Which of these, in the order of their queue, fit into `room` deliveries: those that fit whole, `slack` included, then a
 * part of the next one; the rest stays for others.
 */
export function shareOut<T extends { unclaimed: number }>(
  found: readonly T[],
  room: number,
  slack: number,
): { whole: T[]; part: { of: T; keep: number } | null; rest: T[] } {
  const whole: T[] = [];
  let left = room;
  for (const [index, one] of found.entries()) {
    if (left <= 0) return { whole, part: null, rest: found.slice(index) };
    if (one.unclaimed > left + slack)
      return { whole, part: { of: one, keep: Math.ceil(left) }, rest: found.slice(index + 1) };
    whole.push(one);
    left -= one.unclaimed;
  }
  return { whole, part: null, rest: [] };
}

/** A chunk that is fetched and its job, as far as its place in the queue goes. */
export interface Fetched {
  job: { createdOn: Date | string };
  row: { id: number; priority: number; job: string; claimed_to: number };
}

/** Cuts what is beyond `keep` unclaimed deliveries off, as chunk `id`, with a job of its own. */
export async function split(
  tx: Tx,
  boss: PgBoss,
  queue: string,
  { row, job, keep, id }: Fetched & { keep: number; id: number },
): Promise<void> {
  const rest = { job: randomUUID(), chunk: id, priority: row.priority, createdOn: job.createdOn };
  const cut = row.claimed_to + keep;
  await tx.query(
    `WITH kept AS (
       UPDATE chunk SET deliveries = $2::integer, delivery_ids = delivery_ids[1:$2::integer] WHERE id = $1)
     INSERT INTO chunk (id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate,
                        returns, priority, not_before, expires_min, expires_max, job, created_at)
     SELECT $3, day, alert, lane, route, first_delivery + $2::integer, deliveries - $2::integer,
            delivery_ids[$2::integer + 1:], attempt, possible_duplicate, returns, priority, not_before, expires_min,
            expires_max, $4, created_at
     FROM chunk WHERE id = $1`,
    [row.id, cut, rest.chunk, rest.job],
  );
  await insertInPlace(tx, boss, queue, [rest]);
}

/** Chunks that are not kept at all: new jobs in the places of the old. */
export async function leave(tx: Tx, boss: PgBoss, queue: string, left: readonly Fetched[]): Promise<void> {
  await boss.complete(
    queue,
    left.map(({ row }) => row.job),
    {},
    { includeQueued: true, db: bossTx(tx) },
  );
  const jobs = left.map(({ row, job }) => ({
    job: randomUUID(),
    chunk: row.id,
    priority: row.priority,
    createdOn: job.createdOn,
  }));
  await insertInPlace(tx, boss, queue, jobs);
  await tx.query(
    `UPDATE chunk SET job = w.job, holder_process = NULL, holder_bind = NULL, holder_fence = NULL
     FROM unnest($1::bigint[], $2::uuid[]) AS w(id, job) WHERE chunk.id = w.id`,
    [jobs.map(({ chunk }) => chunk), jobs.map(({ job }) => job)],
  );
}

/** Jobs of one priority go by age: theirs is that of the jobs whose places they take, which pg-boss does not let us say. */
export async function insertInPlace(
  tx: Tx,
  boss: PgBoss,
  queue: string,
  jobs: readonly { job: string; chunk: number; priority: number; createdOn: Date | string }[],
): Promise<void> {
  await boss.insert(
    queue,
    jobs.map(({ job: id, chunk, priority }) => ({ id, data: { chunk }, priority })),
    { db: bossTx(tx) },
  );
  await tx.query(
    `UPDATE pgboss.job j SET created_on = w.at FROM unnest($2::uuid[], $3::text[]::timestamptz[]) AS w(id, at)
     WHERE j.name = $1 AND j.id = w.id`,
    [queue, jobs.map(({ job }) => job), jobs.map(({ createdOn }) => isoOf(createdOn))],
  );
}

/** Through our own transactions timestamps arrive as text, whatever pg-boss's types say: to the microsecond. */
const isoOf = (at: Date | string): string => (typeof at === 'string' ? at : at.toISOString());
