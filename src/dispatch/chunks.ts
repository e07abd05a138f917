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

/** The channel that wakes dispatch loops; the payload is a comma-joined list of `route.lane`, or empty for all. */
export const DISPATCH_CHANNEL = 'tocsin_dispatch';

/** The place of handed-back work: before every chunk of the same rank that was never taken. */
const RANK_STEP = 1_000_000;
const RANK_MAX = 1_000;

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
  /** Higher goes first inside the lane: 0–1,000. */
  rank?: number;
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

/** pg-boss priority inside a dispatch queue: rank first, then the order inside the alert (DESIGN §3). */
export function chunkPriority(rank: number, number: number): number {
  return Math.min(rank, RANK_MAX) * RANK_STEP - Math.min(number, RANK_STEP - 1);
}

/** What `chunkPriority` was made of. */
export function placeOf(priority: number): { rank: number; number: number } {
  const rank = Math.ceil(Math.max(0, priority) / RANK_STEP);
  return { rank, number: rank * RANK_STEP - priority };
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

/** Inserts chunk rows and their jobs in the caller's transaction. Does not notify: one NOTIFY per transaction is enough. */
export async function insertChunks(tx: Tx, boss: PgBoss, chunks: readonly NewChunk[], now: EpochMs): Promise<void> {
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
    priority: chunkPriority(chunk.rank ?? 0, chunk.number),
    not_before: chunk.notBefore,
    expires_min: chunk.expiresMin,
    expires_max: chunk.expiresMax,
    job: randomUUID(),
    parked: chunk.parked ?? false,
    created_at: now,
  }));
  const inserted = await tx.query<{ id: number }>(
    `INSERT INTO chunk (id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate,
                        priority, not_before, expires_min, expires_max, job, parked, created_at)
     SELECT id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate,
            priority, not_before, expires_min, expires_max, job, parked, created_at
     FROM jsonb_to_recordset($1::text::jsonb) AS c(id bigint, day date, alert uuid, lane smallint, route smallint,
            first_delivery bigint, deliveries integer, delivery_ids bigint[], attempt smallint, possible_duplicate boolean,
            priority integer, not_before bigint, expires_min bigint, expires_max bigint, job uuid, parked boolean, created_at bigint)
     ON CONFLICT (id) DO NOTHING RETURNING id`,
    [JSON.stringify(rows)],
  );
  const fresh = new Set(inserted.map((row) => row.id));
  const byQueue = new Map<string, { id: string; data: object; priority: number; startAfter?: Date }[]>();
  for (const [index, chunk] of chunks.entries()) {
    const row = rows[index];
    if (row === undefined || row.parked || !fresh.has(chunk.id)) continue;
    const queue = queueName(chunk.route, chunk.lane);
    const jobs = byQueue.get(queue) ?? [];
    byQueue.set(queue, jobs);
    jobs.push({
      id: row.job,
      data: { chunk: chunk.id },
      priority: row.priority,
      ...(chunk.notBefore !== null && chunk.notBefore > now && chunk.schedule !== 'carrier'
        ? { startAfter: new Date(chunk.notBefore) }
        : {}),
    });
  }
  for (const [queue, jobs] of [...byQueue].sort(([a], [b]) => (a < b ? -1 : 1))) {
    await boss.insert(queue, jobs, { db: bossTx(tx) });
  }
}

/** Wakes the fetch loops of these routes and lanes when the transaction commits. */
export async function notifyDispatch(tx: Tx, wake: readonly { route: string; lane: LaneName }[]): Promise<void> {
  if (wake.length === 0) return;
  const payload = [...new Set(wake.map(({ route, lane }) => `${route}.${lane}`))].sort().join(',');
  await tx.query('SELECT pg_notify($1, $2)', [DISPATCH_CHANNEL, payload.length < 7_900 ? payload : '']);
}

/** Whether work for later is handed to the carrier: only where every bind of the route holds it there. */
export function scheduleOf(policies: Pick<Policies, 'routing' | 'carriers'>, route: string): 'hold' | 'carrier' {
  const binds = policies.routing.routes.find((each) => each.name === route)?.binds ?? [];
  return binds.length > 0 && binds.every((bind) => policies.carriers[bind]?.scheduleMode === 'carrier')
    ? 'carrier'
    : 'hold';
}
