/** What fan-out reads of an alert. The tables are those of the alerts room; they are never written here. */
import type { EpochMs, Pool, Tx } from '../platform/index.ts';

export interface AlertToFanOut {
  readonly day: string;
  readonly id: string;
  readonly organisation: number;
  /** Number of the lane. */
  readonly lane: number;
  readonly sender: string | null;
  readonly body: number;
  readonly lists: readonly number[];
  /** Recipients were named one by one. */
  readonly named: boolean;
  /** There are texts in further languages. */
  readonly languages: boolean;
  readonly notBefore: EpochMs | null;
  readonly expiresAt: EpochMs;
}

interface Row {
  organisation: number;
  lane: number;
  sender: string | null;
  body: number;
  lists: number[];
  named: boolean;
  languages: boolean;
  not_before: number | null;
  expires_at: number;
}

/** Null when there is no such alert. */
export async function readAlert(pool: Pool, day: string, id: string): Promise<AlertToFanOut | null> {
  const [row] = await pool.query<Row>(
    `select organisation, lane, sender, body, lists, not_before, expires_at,
        exists (select from alert_recipient r where r.day = a.day and r.alert = a.id) as named,
        exists (select from alert_text t where t.day = a.day and t.alert = a.id) as languages
      from alert a where a.day = $1::date and a.id = $2::uuid`,
    [day, id],
    { retries: 3 },
  );
  if (row === undefined) return null;
  const { not_before: notBefore, expires_at: expiresAt, ...rest } = row;
  return { day, id, ...rest, notBefore, expiresAt };
}

/** How far the fan-out of an alert has come, as its pages say. */
export interface Position {
  /** Number of the next page, from 0. */
  readonly page: number;
  /** Where the last page ended; null before the first. */
  readonly last: { readonly list: number; readonly recipient: number } | null;
  /** Deliveries of all pages. */
  readonly deliveries: number;
  readonly finished: boolean;
  readonly cancelled: boolean;
}

interface PositionRow {
  page: number | null;
  list: number;
  after_recipient: number;
  finished: boolean;
  deliveries: number;
  cancelled: boolean;
}

/** Read in the transaction of the next page, under `lockAlert`: nothing of it changes until the commit. */
export async function readPosition(tx: Tx, day: string, id: string): Promise<Position> {
  const [row] = await tx.query<PositionRow>(
    `select p.page, p.list, p.after_recipient, coalesce(p.last, false) as finished,
        (select coalesce(sum(deliveries), 0)::bigint from fanout_page where day = $1::date and alert = $2::uuid) as deliveries,
        exists (select from alert_cancel c where c.day = $1::date and c.alert = $2::uuid) as cancelled
      from (select) as one left join lateral (
        select page, list, after_recipient, last from fanout_page
          where day = $1::date and alert = $2::uuid order by page desc limit 1
      ) as p on true`,
    [day, id],
  );
  if (row === undefined) throw new TypeError('one row left-joined gave none');
  const { page, list, after_recipient: recipient, deliveries, finished, cancelled } = row;
  return {
    page: page === null ? 0 : page + 1,
    last: page === null ? null : { list, recipient },
    deliveries,
    finished,
    cancelled,
  };
}
