/**
 * Work in queues that no route of today's policy has: each delivery is routed anew, by its number, lane and sender. A chunk
 * whose deliveries still go one way moves as it is; else it is split, and its parts keep attempt, place and times.
 */
import { randomUUID } from 'node:crypto';
import type { PgBoss } from 'pg-boss';
import { bossTx, type Clock, type IdAllocator, type Pool, type Tx } from '../platform/index.ts';
import { LANES, type LaneName, type Names, type Policies, routeOf } from '../policy/index.ts';
import { insertChunks, type NewChunk, notifyDispatch, QUEUE_PREFIX, queueName, scheduleOf } from './chunks.ts';
import { RETURNS_UNKNOWN } from './hold.ts';
import { placeOf } from './place.ts';

export interface RerouteTools {
  pool: Pool;
  boss: PgBoss;
  ids: IdAllocator;
  clock: Clock;
  names: Names;
}

interface StrandedJob {
  queue: string;
  job: string;
  chunk: number;
}

interface StrandedChunk {
  id: number;
  day: string;
  alert: string | null;
  lane: number;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  attempt: number;
  possible_duplicate: boolean;
  returns: number | null;
  priority: number;
  not_before: number | null;
  claimed_to: number;
  job: string;
}

interface RoutedDelivery {
  id: number;
  alert: string;
  expires_at: number;
  msisdn: string | null;
  sender: string | null;
}

/** Chunks in one turn. */
const CHUNKS_MAX = 200;

/** The queues that binds read under this policy. */
export function servedQueues({ routing }: Pick<Policies, 'routing'>): Set<string> {
  return new Set(routing.routes.flatMap(({ name, lanes }) => (lanes ?? LANES).map((lane) => queueName(name, lane))));
}

/**
 * Moves up to 200 chunks; several processes may do it at once.
 * @returns how many moved: as many as that, and there are more.
 */
export async function rerouteStranded(tools: RerouteTools, policies: Policies): Promise<number> {
  const { pool } = tools;
  const served = servedQueues(policies);
  const queues = await pool.query<{ name: string }>('SELECT name FROM pgboss.queue WHERE starts_with(name, $1)', [
    QUEUE_PREFIX,
  ]);
  const stranded = queues.map(({ name }) => name).filter((name) => !served.has(name));
  if (stranded.length === 0) return 0;
  // Leans on pg-boss's index of what waits, by queue.
  const jobs = await pool.query<StrandedJob>(
    `SELECT name AS queue, id AS job, (data->>'chunk')::bigint AS chunk FROM pgboss.job
     WHERE name = ANY($1::text[]) AND state < 'active' AND NOT blocked ORDER BY priority DESC LIMIT $2`,
    [stranded, CHUNKS_MAX],
  );
  if (jobs.length === 0 || !(await isLatest(pool, policies))) return 0;
  let moved = 0;
  let failure: unknown = null;
  for (const job of jobs) {
    try {
      const firstId = await tools.ids.take(policies.routing.routes.length);
      await pool.run((tx) => reroute(tx, tools, policies, job, firstId));
      moved++;
    } catch (error) {
      // One that can't be moved must not stand in the way of the others.
      failure = error;
    }
  }
  if (moved === 0 && failure !== null) throw failure;
  return moved;
}

/**
 * Whether these routes are those that were last put in force, by any process. While a new policy is rolled out the old one
 * knows nothing of the new routes, and must not take their work for stranded.
 */
async function isLatest(pool: Pool, { files }: Policies): Promise<boolean> {
  const [last] = await pool.query<{ digest: Buffer }>(
    `SELECT digest FROM policy_load WHERE file = 'routing.yaml' ORDER BY id DESC LIMIT 1`,
  );
  const ours = files.find(({ name }) => name === 'routing.yaml');
  return last === undefined || ours?.digest.equals(last.digest) === true;
}

async function reroute(
  tx: Tx,
  { boss, clock, names }: RerouteTools,
  policies: Policies,
  { queue, job, chunk: id }: StrandedJob,
  firstId: number,
): Promise<void> {
  const db = bossTx(tx);
  const [chunk] = await tx.query<StrandedChunk>(
    `SELECT id, day, alert, lane, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate, returns, priority,
            not_before, claimed_to, job
     FROM chunk WHERE id = $1 AND NOT settled AND holder_bind IS NULL AND job = $2::uuid FOR UPDATE`,
    [id, job],
  );
  await boss.complete(queue, job, {}, { includeQueued: true, db });
  // A job that no longer speaks for its chunk is void: another process has the chunk, or had it.
  if (chunk === undefined) return;
  const lane = names.laneName(chunk.lane);
  const deliveries = await unclaimed(tx, chunk);
  const ways = Map.groupBy(
    deliveries,
    // Without a number nothing is sent; it ends where it is read.
    ({ msisdn, sender }) => routeOf(policies.routing, msisdn ?? '+', lane, sender).name,
  );
  const now = clock.now();
  const [only] = ways.keys();
  if (ways.size <= 1) {
    const route = only ?? routeOf(policies.routing, '+', lane).name;
    await moveWhole(tx, boss, policies, names.routeId(route), chunk, { route, lane }, now);
    return;
  }
  const parts = [...ways].map(
    ([route, members], index): NewChunk => ({
      id: firstId + index,
      day: chunk.day,
      alert: chunk.alert,
      lane,
      laneId: chunk.lane,
      route,
      routeId: names.routeId(route),
      firstDelivery: 0,
      deliveries: members.length,
      deliveryIds: members.map((member) => member.id),
      attempt: chunk.attempt,
      possibleDuplicate: chunk.possible_duplicate,
      returns: chunk.returns ?? RETURNS_UNKNOWN,
      ...placeOf(chunk.priority),
      notBefore: chunk.not_before,
      schedule: scheduleOf(policies, route),
      expiresMin: Math.min(...members.map((member) => member.expires_at)),
      expiresMax: Math.max(...members.map((member) => member.expires_at)),
    }),
  );
  await insertChunks(tx, boss, parts, now);
  await tx.query('UPDATE chunk SET settled = true WHERE id = $1', [chunk.id]);
  await notifyDispatch(tx, parts);
}

/** The row keeps its id, which its claims name. */
async function moveWhole(
  tx: Tx,
  boss: PgBoss,
  policies: Policies,
  routeId: number,
  chunk: StrandedChunk,
  way: { route: string; lane: LaneName },
  now: number,
): Promise<void> {
  const job = randomUUID();
  const { not_before: notBefore } = chunk;
  const held = notBefore !== null && notBefore > now && scheduleOf(policies, way.route) === 'hold';
  await boss.insert(
    queueName(way.route, way.lane),
    [
      {
        id: job,
        data: { chunk: chunk.id },
        priority: chunk.priority,
        ...(held ? { startAfter: new Date(notBefore) } : {}),
      },
    ],
    { db: bossTx(tx) },
  );
  await tx.query('UPDATE chunk SET route = $2, job = $3 WHERE id = $1', [chunk.id, routeId, job]);
  await notifyDispatch(tx, [way]);
}

/** What of a chunk is neither claimed nor final. Leans on the keys of delivery, final_state, alert and recipient. */
async function unclaimed(tx: Tx, chunk: StrandedChunk): Promise<RoutedDelivery[]> {
  const ids = chunk.delivery_ids?.slice(chunk.claimed_to) ?? null;
  return await tx.query<RoutedDelivery>(
    `SELECT d.id, d.alert, d.expires_at, r.msisdn, a.sender
     FROM delivery d JOIN alert a ON a.day = d.day AND a.id = d.alert LEFT JOIN recipient r ON r.id = d.recipient
     WHERE d.day = $1::date AND ${ids === null ? 'd.id >= $2 AND d.id < $3' : 'd.id = ANY($2::bigint[])'}
       AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = d.day AND f.delivery = d.id)
     ORDER BY d.id`,
    ids === null
      ? [chunk.day, chunk.first_delivery + chunk.claimed_to, chunk.first_delivery + chunk.deliveries]
      : [chunk.day, ids],
  );
}
