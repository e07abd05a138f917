/**
 * Taking chunks into memory: fetch the jobs and write down who holds them, in one transaction, then read what the
 * deliveries need. A job is thus never `active` without a holder that a restart can find.
 */
import type { PgBoss } from 'pg-boss';
import { bossTx, type Pool } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import type { HeldChunk, Item } from './types.ts';

export interface Holder {
  process: number;
  bind: number;
  fence: number;
}

interface ChunkRow {
  id: number;
  day: string;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  attempt: number;
  possible_duplicate: boolean;
  claimed_to: number;
  settled: boolean;
  not_before: number | null;
  job: string;
}

export interface Taken {
  chunk: HeldChunk;
  deliveryIds: number[] | null;
  firstDelivery: number;
}

/** Takes up to `jobs` chunks of a queue, highest priority first. A chunk that is settled already only has its job completed. */
export async function takeChunks(
  pool: Pool,
  boss: PgBoss,
  holder: Holder,
  queue: string,
  route: string,
  lane: LaneName,
  jobs: number,
): Promise<Taken[]> {
  return await pool.run(async (tx) => {
    const db = bossTx(tx);
    const fetched = await boss.fetch<{ chunk: number }>(queue, { batchSize: jobs, includeMetadata: true, db });
    if (fetched.length === 0) return [];
    const byChunk = new Map(fetched.map((job) => [job.data.chunk, job]));
    const rows = await tx.query<ChunkRow>(
      `UPDATE chunk SET holder_process = $2, holder_bind = $3, holder_fence = $4, job = j.job
       FROM unnest($1::bigint[], $5::uuid[]) AS j(id, job)
       WHERE chunk.id = j.id AND NOT chunk.settled
       RETURNING chunk.id, day, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate, claimed_to, settled, not_before, chunk.job`,
      [[...byChunk.keys()], holder.process, holder.bind, holder.fence, [...byChunk.values()].map((job) => job.id)],
    );
    const rowOf = new Map(rows.map((row) => [row.id, row]));
    const settled = fetched.filter((job) => !rowOf.has(job.data.chunk));
    if (settled.length > 0) {
      await boss.complete(
        queue,
        settled.map((job) => ({ id: job.id, retryCount: job.retryCount })),
        {},
        { db },
      );
    }
    const taken: Taken[] = [];
    for (const job of fetched) {
      const row = rowOf.get(job.data.chunk);
      if (row === undefined) continue;
      taken.push({
        firstDelivery: row.first_delivery,
        deliveryIds: row.delivery_ids,
        chunk: {
          id: row.id,
          day: row.day,
          lane,
          route,
          queue,
          job: { id: job.id, retryCount: job.retryCount },
          attempt: row.attempt,
          possibleDuplicate: row.possible_duplicate,
          notBefore: row.not_before,
          size: row.deliveries,
          claimedTo: row.claimed_to,
          waiting: [],
          open: 0,
          done: false,
        },
      });
    }
    return taken;
  });
}

interface DeliveryRead {
  id: number;
  alert: string;
  body: number;
  expires_at: number;
  msisdn: string | null;
}

interface AlertRead {
  id: string;
  sender: string | null;
  secret: boolean;
  counted: boolean;
  cancelled: boolean;
}

export interface TextSource {
  /** The texts of these bodies; a body that is gone is left out. */
  texts(bodies: readonly number[]): Promise<Map<number, string>>;
}

export interface Hydrated {
  items: Item[];
  /** Deliveries whose alert was cancelled before they were claimed. */
  cancelled: Item[];
  /** Deliveries whose text or number is gone: nothing can be sent. */
  unsendable: Item[];
  text: Map<number, string>;
}

/** Reads what the unclaimed deliveries of a chunk need, leaving out those that are final already. */
export async function hydrate(pool: Pool, texts: TextSource, taken: Taken): Promise<Hydrated> {
  const { chunk, deliveryIds, firstDelivery } = taken;
  const from = chunk.claimedTo;
  const [where, params] =
    deliveryIds === null
      ? ['d.id >= $2 AND d.id < $3', [chunk.day, firstDelivery + from, firstDelivery + chunk.size]]
      : ['d.id = ANY($2::bigint[])', [chunk.day, deliveryIds.slice(from)]];
  // Leans on the primary keys of delivery, recipient and final_state.
  const rows = await pool.query<DeliveryRead>(
    `SELECT d.id, d.alert, d.body, d.expires_at, r.msisdn
     FROM delivery d LEFT JOIN recipient r ON r.id = d.recipient
     WHERE d.day = $1::date AND ${where}
       AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = d.day AND f.delivery = d.id)
     ORDER BY d.id`,
    params,
  );
  const alerts = await pool.query<AlertRead>(
    `SELECT a.id, a.sender, a.secret, (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted,
            EXISTS (SELECT 1 FROM alert_cancel c WHERE c.day = a.day AND c.alert = a.id) AS cancelled
     FROM alert a WHERE a.day = $1::date AND a.id = ANY($2::uuid[])`,
    [chunk.day, [...new Set(rows.map((row) => row.alert))]],
  );
  const alertOf = new Map(alerts.map((alert) => [alert.id, alert]));
  const text = await texts.texts([...new Set(rows.map((row) => row.body))]);
  const accepted =
    chunk.attempt > 1 || chunk.claimedTo > 0
      ? await acceptedSegments(
          pool,
          chunk.day,
          rows.map((row) => row.id),
        )
      : null;
  const positionOf = deliveryIds === null ? null : new Map(deliveryIds.map((id, index) => [id, index]));
  const result: Hydrated = { items: [], cancelled: [], unsendable: [], text };
  for (const row of rows) {
    const alert = alertOf.get(row.alert);
    const item: Item = {
      chunk,
      position: positionOf === null ? row.id - firstDelivery : (positionOf.get(row.id) ?? chunk.size),
      id: row.id,
      alert: row.alert,
      counted: alert?.counted ?? false,
      msisdn: row.msisdn ?? '',
      sender: alert?.sender ?? null,
      body: row.body,
      secret: alert?.secret ?? false,
      expiresAt: row.expires_at,
      parts: [],
      dataCoding: 0,
      esmClass: 0,
      toSend: accepted?.get(row.id) ?? [],
      inFlight: 0,
      worst: 0,
      worstStatus: null,
    };
    if (alert?.cancelled === true) result.cancelled.push(item);
    else if (alert === undefined || row.msisdn === null || !text.has(row.body)) result.unsendable.push(item);
    else result.items.push(item);
  }
  result.items.sort((a, b) => a.position - b.position);
  return result;
}

/** Segments that an SMSC accepted in an earlier attempt: they are not sent again. Kept in `toSend` until encoding. */
async function acceptedSegments(pool: Pool, day: string, ids: number[]): Promise<Map<number, number[]>> {
  const rows = await pool.query<{ delivery: number; segment: number }>(
    'SELECT delivery, segment FROM submission WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND outcome = 1',
    [day, ids],
  );
  const accepted = new Map<number, number[]>();
  for (const row of rows) {
    const segments = accepted.get(row.delivery) ?? [];
    accepted.set(row.delivery, segments);
    segments.push(row.segment);
  }
  return accepted;
}
