/** Progress of alerts with more than one recipient: append-only deltas, summed by readers. Derived from facts. */
import type { Tx } from '../platform/index.ts';

export interface ProgressDelta {
  day: string;
  alert: string;
  submitted: number;
  delivered: number;
  failed: number;
  expired: number;
  cancelled: number;
  suppressed: number;
  unknown: number;
}

/** A delta that says nothing yet. */
export function noProgress(day: string, alert: string): ProgressDelta {
  return { day, alert, submitted: 0, delivered: 0, failed: 0, expired: 0, cancelled: 0, suppressed: 0, unknown: 0 };
}

/** Inserts the deltas of one chain entry; the entry in the key makes a repeated transaction count once. */
export async function addProgress(tx: Tx, entry: number, deltas: readonly ProgressDelta[]): Promise<void> {
  await tx.query(
    `INSERT INTO alert_progress (day, alert, entry, submitted, delivered, failed, expired, cancelled, suppressed, unknown)
     SELECT day, alert, $2, submitted, delivered, failed, expired, cancelled, suppressed, unknown
     FROM jsonb_to_recordset($1::text::jsonb) AS d(day date, alert uuid, submitted integer, delivered integer, failed integer,
          expired integer, cancelled integer, suppressed integer, unknown integer)
     ORDER BY day, alert
     ON CONFLICT (day, alert, entry) DO NOTHING`,
    [JSON.stringify(deltas), entry],
  );
}

/** Sums of an alert's deltas. */
export async function readProgress(
  query: <T extends object>(text: string, params?: readonly unknown[]) => Promise<T[]>,
  day: string,
  alert: string,
): Promise<Omit<ProgressDelta, 'day' | 'alert'>> {
  const [row] = await query<Omit<ProgressDelta, 'day' | 'alert'>>(
    `SELECT coalesce(sum(submitted), 0)::bigint AS submitted, coalesce(sum(delivered), 0)::bigint AS delivered,
            coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(expired), 0)::bigint AS expired,
            coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(suppressed), 0)::bigint AS suppressed,
            coalesce(sum(unknown), 0)::bigint AS unknown
     FROM alert_progress WHERE day = $1::date AND alert = $2::uuid`,
    [day, alert],
  );
  if (row === undefined) throw new Error('a sum always has a row');
  return row;
}

/** Folds the deltas of busy alerts into one row each, so that a read stays cheap. Returns how many alerts were folded. */
export async function foldProgress(tx: Tx, atLeast: number, limit: number): Promise<number> {
  const folded = await tx.query(
    `WITH busy AS (SELECT day, alert FROM alert_progress GROUP BY day, alert HAVING count(*) >= $1 ORDER BY day, alert LIMIT $2),
          gone AS (DELETE FROM alert_progress p USING busy b WHERE p.day = b.day AND p.alert = b.alert RETURNING p.*)
     INSERT INTO alert_progress (day, alert, entry, submitted, delivered, failed, expired, cancelled, suppressed, unknown)
     SELECT day, alert, -max(abs(entry)), sum(submitted), sum(delivered), sum(failed), sum(expired), sum(cancelled),
            sum(suppressed), sum(unknown)
     FROM gone GROUP BY day, alert RETURNING alert`,
    [atLeast, limit],
  );
  return folded.length;
}
