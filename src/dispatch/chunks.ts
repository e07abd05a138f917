/**
 * Chunks: up to 1,000 deliveries of one lane and one route, handed to dispatch as one pg-boss job.
 *
 * A chunk row is work, not a fact: `claimed_to` moves forward as its deliveries are claimed, its holder says which
 * bind of which process has it in memory. The job only says "this chunk may be taken"; the row says what is left.
 */
import { randomUUID } from 'node:crypto';
import type { PgBoss } from 'pg-boss';
import { bossTx, type EpochMs, type Tx } from '../platform/index.ts';
import type { LaneName, Policies } from '../policy/index.ts';
import { placePriority } from './place.ts';

/** The channel that wakes dispatch loops; the payload is a comma-joined list of `route.lane`, or empty for all. */
export const DISPATCH_CHANNEL = 'tocsin_dispatch';

export interface NewChunk {
  /** An allocated id, usually the id of its first delivery. */
  id: number;
  day: string;
  /** The alert that all deliveries belong to, or null when they are of several. */
  alert: string | null;
  lane: LaneName;
  laneId: number;
  route: string;
  routeId: number;
  firstDelivery: number;
  /** Length of the run of ids; with `deliveryIds`, the length of that list. */
  deliveries: number;
  /** Retries name their deliveries one by one. */
  deliveryIds?: number[];
  /** 1 for the first try. */
  attempt?: number;
  possibleDuplicate?: boolean;
  /** How often its deliveries have been given back in this attempt. Default 0. */
  returns?: number;
  /** Of emergency, higher goes first: 0–1,000, the highest for follow-ups. */
  rank?: number;
  /** Its place as it stands, where it has one already: else rank, number and expiry make it. */
  priority?: number;
  /** Order inside the alert, from 0. */
  number: number;
  notBefore: EpochMs | null;
  /** `carrier`: the SMSC holds it until notBefore, so it is handed over at once. Default `hold`. */
  schedule?: 'hold' | 'carrier';
  /** Its alert is paused: it gets its job when that is resumed. */
  parked?: boolean;
  expiresMin: EpochMs;
  expiresMax: EpochMs;
}

/** What the queues of dispatch begin with. */
export const QUEUE_PREFIX = 'dispatch.';

/** The pg-boss queue of one route and lane. */
export function queueName(route: string, lane: LaneName): string {
  return `${QUEUE_PREFIX}${route}.${lane}`;
}

/** How often a job may be taken again: a chunk is never lost to a retry limit. */
export const DISPATCH_QUEUE_OPTIONS = {
  expireInSeconds: 86_399,
  retryLimit: 2_147_483_647,
  retryDelay: 0,
  retentionSeconds: 60 * 86_400,
  deleteAfterSeconds: 600,
} as const;

/** Makes the queues of all routes and lanes; safe to call from several processes at once. */
export async function createDispatchQueues(boss: PgBoss, routes: string[], lanes: LaneName[]): Promise<void> {
  for (const route of routes) {
    for (const lane of lanes) await boss.createQueue(queueName(route, lane), DISPATCH_QUEUE_OPTIONS);
  }
}

/**
 * Inserts chunk rows and their jobs in the caller's transaction; work for later gets its job when it is due (later.ts).
 * Does not notify: one NOTIFY per transaction is enough.
 * @param ids `repeatable`: those that are there already are left out, with their jobs. `new`: none is, and one that were
 *   would fail the transaction; so the jobs wait for no answer.
 */
export async function insertChunks(
  tx: Tx,
  boss: PgBoss,
  chunks: readonly NewChunk[],
  now: EpochMs,
  ids: 'repeatable' | 'new' = 'repeatable',
): Promise<void> {
  if (chunks.length === 0) return;
  const rows = chunks.map((chunk) => ({
    id: chunk.id,
    day: chunk.day,
    alert: chunk.alert,
    lane: chunk.laneId,
    route: chunk.routeId,
    first_delivery: chunk.firstDelivery,
    deliveries: chunk.deliveries,
    delivery_ids: chunk.deliveryIds ?? null,
    attempt: chunk.attempt ?? 1,
    possible_duplicate: chunk.possibleDuplicate ?? false,
    returns: chunk.returns ?? 0,
    priority:
      chunk.priority ??
      placePriority(chunk.lane, {
        rank: chunk.rank ?? 0,
        number: chunk.number,
        expiresMin: chunk.expiresMin,
        again: chunk.deliveryIds !== undefined,
      }),
    not_before: chunk.notBefore,
    expires_min: chunk.expiresMin,
    expires_max: chunk.expiresMax,
    job: randomUUID(),
    parked: chunk.parked ?? false,
    created_at: now,
    queued: chunk.notBefore === null || chunk.notBefore <= now || chunk.schedule === 'carrier',
  }));
  const inserting = tx.query<{ id: number }>(
    `INSERT INTO chunk (id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate,
                        returns, priority, not_before, expires_min, expires_max, job, parked, created_at, queued)
     SELECT id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate,
            returns, priority, not_before, expires_min, expires_max, job, parked, created_at, queued
     FROM jsonb_to_recordset($1::text::jsonb) AS c(id bigint, day date, alert uuid, lane smallint, route smallint,
            first_delivery bigint, deliveries integer, delivery_ids bigint[], attempt smallint, possible_duplicate boolean,
            returns smallint, priority integer, not_before bigint, expires_min bigint, expires_max bigint, job uuid,
            parked boolean, created_at bigint, queued boolean)
     ${ids === 'new' ? '' : 'ON CONFLICT (id) DO NOTHING RETURNING id'}`,
    [JSON.stringify(rows)],
  );
  const fresh = ids === 'new' ? null : new Set((await inserting).map((row) => row.id));
  const jobs = chunks.flatMap(({ id, lane, route }, index) => {
    const row = rows[index];
    const hasJob = row?.queued === true && !row.parked && fresh?.has(id) !== false;
    return hasJob ? [{ lane, route, id, job: row.job, priority: row.priority }] : [];
  });
  await Promise.all([inserting, insertJobs(tx, boss, jobs)]);
}

/** Puts chunks into their queues. */
export async function insertJobs(
  tx: Tx,
  boss: PgBoss,
  jobs: readonly { lane: LaneName; route: string; id: number; job: string; priority: number }[],
): Promise<void> {
  const byQueue = Map.groupBy(jobs, ({ route, lane }) => queueName(route, lane));
  for (const [queue, group] of [...byQueue].sort(([a], [b]) => (a < b ? -1 : 1))) {
    await boss.insert(
      queue,
      group.map(({ id, job, priority }) => ({ id: job, data: { chunk: id }, priority })),
      { db: bossTx(tx) },
    );
  }
}

/** Wakes the fetch loops of these routes and lanes when the transaction commits. On the hot path: news.ts. */
export async function notifyDispatch(tx: Tx, wake: readonly { route: string; lane: LaneName }[]): Promise<void> {
  if (wake.length === 0) return;
  await tx.query('SELECT pg_notify($1, $2)', [DISPATCH_CHANNEL, payloadOf(wake)]);
}

/** The queues, or '' for all where they are too many. */
export function payloadOf(wake: readonly { route: string; lane: LaneName }[]): string {
  const payload = [...new Set(wake.map(({ route, lane }) => `${route}.${lane}`))].sort().join(',');
  return payload.length < 7_900 ? payload : '';
}

/** Whether work for later is handed to the carrier: only where every bind of the route holds it there. */
export function scheduleOf(policies: Pick<Policies, 'routing' | 'carriers'>, route: string): 'hold' | 'carrier' {
  const binds = policies.routing.routes.find((each) => each.name === route)?.binds ?? [];
  return binds.length > 0 && binds.every((bind) => policies.carriers[bind]?.scheduleMode === 'carrier')
    ? 'carrier'
    : 'hold';
}
