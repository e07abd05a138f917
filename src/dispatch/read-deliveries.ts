/**
 * What a chunk's deliveries need, read in one statement for all chunks of a fetch.
 *
 * Each look-up is a sub-select by key, so that no statistics, however stale (those of a day's partition are, while it
 * fills), make a plan that reads a table as a whole: joins did, and cost more the more there was. Deliveries that share
 * alert and text come back as one row of arrays: a list's chunk is one or two rows.
 */
import type { EpochMs, Pool } from '../platform/index.ts';

/** A chunk that was fetched: a run of ids, or a list of them. */
interface Fetched {
  readonly chunk: { readonly id: number; readonly size: number; readonly claimedTo: number };
  readonly deliveryIds: readonly number[] | null;
  readonly firstDelivery: number;
}

export interface DeliveryRead {
  id: number;
  chunk: number;
  alert: string;
  body: number;
  expires_at: EpochMs;
  /** The number of the route that it had when it was made. */
  route: number;
  /** Null when the person was erased. */
  msisdn: string | null;
}

interface GroupRead extends Omit<DeliveryRead, 'id' | 'msisdn'> {
  ids: number[];
  msisdns: (string | null)[];
  /** Of the chunk's deliveries those that are final already. */
  ended: number[] | null;
}

const GROUPED = `d.alert, d.body, d.expires_at, d.route, array_agg(d.id) AS ids,
    array_agg((SELECT r.msisdn FROM recipient r WHERE r.id = d.recipient)) AS msisdns`;

/** By the chunk's run of ids. What is final of it is read once a chunk: hence the CTE, which is not merged into the rest. */
export const RUNS = `WITH w AS MATERIALIZED (
    SELECT chunk, lo, hi, array(SELECT f.delivery FROM final_state f
                                WHERE f.day = $1::date AND f.delivery >= lo AND f.delivery < hi) AS ended
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS given (chunk, lo, hi))
  SELECT w.chunk, g.*, w.ended FROM w CROSS JOIN LATERAL (
    SELECT ${GROUPED}
    FROM (SELECT id, alert, body, expires_at, route, recipient FROM delivery
          WHERE day = $1::date AND id >= w.lo AND id < w.hi ORDER BY id LIMIT w.hi - w.lo) d
    GROUP BY d.alert, d.body, d.expires_at, d.route) g`;

/** By a list of ids. */
export const LISTED = `SELECT w.chunk, ${GROUPED}, NULL::bigint[] AS ended
  FROM unnest($2::bigint[], $3::bigint[]) AS w(chunk, id)
  CROSS JOIN LATERAL (SELECT id, alert, body, expires_at, route, recipient FROM delivery
                      WHERE day = $1::date AND id = w.id LIMIT 1) d
  WHERE (SELECT f.delivery FROM final_state f WHERE f.day = $1::date AND f.delivery = w.id) IS NULL
  GROUP BY w.chunk, d.alert, d.body, d.expires_at, d.route`;

/** The unclaimed deliveries of these chunks, all of one day, that are not final. Leans on the keys of the three tables. */
export async function readDeliveries(pool: Pool, day: string, taken: readonly Fetched[]): Promise<DeliveryRead[]> {
  const runs = taken.filter(({ deliveryIds }) => deliveryIds === null);
  const lists = taken.flatMap(({ chunk, deliveryIds }) =>
    (deliveryIds ?? []).slice(chunk.claimedTo).map((id) => ({ chunk: chunk.id, id })),
  );
  const rows: DeliveryRead[] = [];
  if (runs.length > 0) {
    spread(
      rows,
      await pool.query<GroupRead>(RUNS, [
        day,
        runs.map(({ chunk }) => chunk.id),
        runs.map(({ chunk, firstDelivery }) => firstDelivery + chunk.claimedTo),
        runs.map(({ chunk, firstDelivery }) => firstDelivery + chunk.size),
      ]),
    );
  }
  if (lists.length > 0) {
    const params = [day, lists.map(({ chunk }) => chunk), lists.map(({ id }) => id)];
    spread(rows, await pool.query<GroupRead>(LISTED, params));
  }
  return rows;
}

function spread(rows: DeliveryRead[], groups: readonly GroupRead[]): void {
  for (const { chunk, alert, body, expires_at, route, ids, msisdns, ended } of groups) {
    const gone = ended === null || ended.length === 0 ? null : new Set(ended);
    for (const [index, id] of ids.entries()) {
      if (gone?.has(id) === true) continue;
      rows.push({ id, chunk, alert, body, expires_at, route, msisdn: msisdns[index] ?? null });
    }
  }
}
