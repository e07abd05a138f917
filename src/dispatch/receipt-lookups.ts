/** What matching receipts asks of the database. Each statement leans on an index and is bounded. */
import type { EpochMs, Pool } from '../platform/index.ts';
import { FINAL, type FinalCode, finalOfReceipt, MESSAGE_STATE, OUTCOME } from '../records/index.ts';
import { BySegment, SegmentSet } from './by-segment.ts';
import type { Match, Track } from './receipts.ts';

interface FoundRow {
  message_id: string;
  day: string;
  delivery: number;
  attempt: number;
  segment: number;
  segments: number;
  alert: string;
  body: number;
  secret: boolean;
  counted: boolean;
  final: FinalCode | null;
  moved: boolean;
  sent_at: EpochMs;
}

/** Of a submission `s`: its attempt ended because the carrier had no way to the number, and another route has it now. */
export const MOVED = `EXISTS (SELECT FROM release e WHERE e.day = s.day AND e.delivery = s.delivery
    AND e.attempt = s.attempt AND e.reason = 'other-route')`;

/** A submission `s` with what a track needs of its delivery. */
const FOUND = `
  s.message_id, s.day, s.delivery, s.attempt, s.segment, s.segments, s.sent_at, d.alert, d.body, a.secret,
  (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted, f.state AS final, ${MOVED} AS moved
  FROM submission s
  JOIN delivery d ON d.day = s.day AND d.id = s.delivery
  JOIN alert a ON a.day = d.day AND a.id = d.alert
  LEFT JOIN final_state f ON f.day = s.day AND f.delivery = s.delivery`;

/** Where to look: alerts accepted on these days, and submissions since then. */
export interface Within {
  from: string;
  /** Exclusive; null for no end. */
  before: string | null;
  sentSince: EpochMs;
}

/**
 * Looks ids up in the database; ids without a submission are left out. Leans on submission (bind, message_id): 1,653 ids
 * among a million submissions take 12–19 ms.
 */
export async function findSubmissions(
  pool: Pool,
  bind: number,
  messageIds: readonly string[],
  { from, before, sentSince }: Within,
): Promise<Map<string, Match>> {
  const rows = await pool.query<FoundRow>(
    `SELECT DISTINCT ON (s.message_id) ${FOUND}
     WHERE s.bind = $1 AND s.message_id = ANY($2::text[]) AND s.day >= $3::date AND s.day < $4::date AND s.sent_at >= $5
     ORDER BY s.message_id, s.sent_at DESC`,
    [bind, messageIds, from, before ?? 'infinity', sentSince],
  );
  const tracks = await tracksOf(pool, rows);
  return new Map(
    rows.map((row) => [
      row.message_id,
      {
        track: tracks.get(keyOf(row)) as Track,
        attempt: row.attempt,
        segment: row.segment,
        sentAt: row.sent_at,
        shard: row.delivery,
        messageId: row.message_id,
      },
    ]),
  );
}

/** Deliveries of one day as the database has them now, by id. Leans on the keys of submission and final_state. */
export async function readTracks(
  pool: Pool,
  day: string,
  deliveries: readonly number[],
): Promise<ReadonlyMap<number, Track>> {
  const rows = await pool.query<FoundRow>(
    `SELECT DISTINCT ON (s.delivery) ${FOUND}
     WHERE s.day = $1::date AND s.delivery = ANY($2::bigint[]) AND s.message_id IS NOT NULL
     ORDER BY s.delivery, s.segments DESC`,
    [day, deliveries],
  );
  const tracks = await tracksOf(pool, rows);
  return new Map([...tracks.values()].map((track) => [track.delivery, track]));
}

async function tracksOf(pool: Pool, rows: readonly FoundRow[]): Promise<Map<string, Track>> {
  const tracks = new Map<string, Track>();
  for (const row of rows) {
    if (tracks.has(keyOf(row))) continue;
    tracks.set(keyOf(row), {
      day: row.day,
      delivery: row.delivery,
      segments: row.segments,
      alert: row.alert,
      counted: row.counted,
      secretBody: row.secret && !row.counted ? row.body : null,
      accepted: new SegmentSet([row.segment]),
      finals: new BySegment(),
      // What the first carrier says once more is not the end: another has it.
      final: row.moved ? FINAL.failed : row.final,
      elsewhere: null,
      moved: row.moved,
    });
  }
  const long = [...tracks.values()].filter((track) => track.segments > 1);
  if (long.length > 0) await readSegments(pool, long);
  return tracks;
}

const keyOf = (row: { day: string; delivery: number }): string => `${row.day}/${row.delivery}`;

/** Texts of several segments: which were taken, and what earlier receipts said of each. */
async function readSegments(pool: Pool, tracks: Track[]): Promise<void> {
  for (const [day, ofDay] of Map.groupBy(tracks, (track) => track.day)) {
    const byDelivery = new Map(ofDay.map((track) => [track.delivery, track]));
    const params = [day, [...byDelivery.keys()]];
    const taken = await pool.query<{ delivery: number; segment: number }>(
      `SELECT delivery, segment FROM submission
       WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND outcome = $3`,
      [...params, OUTCOME.accepted],
    );
    for (const { delivery, segment } of taken) byDelivery.get(delivery)?.accepted.add(segment);
    const receipts = await pool.query<{ delivery: number; segment: number; state: number }>(
      `SELECT delivery, segment, state FROM receipt
       WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND NOT duplicate ORDER BY delivery, id`,
      params,
    );
    for (const { delivery, segment, state } of receipts) {
      const code = finalOfReceipt(state);
      const finals = byDelivery.get(delivery)?.finals;
      if (code !== null && finals !== undefined && !finals.has(segment)) finals.set(segment, code);
    }
  }
}

export interface OpenUnmatched {
  id: number;
  bind: number;
  messageId: string;
  state: number;
  error: string | null;
  receivedAt: EpochMs;
}

/**
 * Receipts of one day that matched nothing when they came, newest first, from before the receipt `before` on. Those matched
 * since are among them: see `alreadyMatched`. Leans on the key of unmatched_receipt.
 */
export async function readUnmatched(
  pool: Pool,
  bind: number,
  day: string,
  before: number,
  limit: number,
): Promise<{ open: OpenUnmatched[]; next: number | null }> {
  const rows = await pool.query<OpenUnmatched>(
    `SELECT id, bind, message_id AS "messageId", state, error, received_at AS "receivedAt"
     FROM unmatched_receipt WHERE day = $1::date AND id < $2 ORDER BY id DESC LIMIT $3`,
    [day, before, limit],
  );
  return {
    open: rows.filter((row) => row.bind === bind),
    next: rows.length < limit ? null : (rows.at(-1)?.id ?? null),
  };
}

/** Which of these receipts have been written as receipts of these deliveries, by receipt id. */
export async function alreadyMatched(
  pool: Pool,
  pairs: readonly { day: string; delivery: number; id: number }[],
): Promise<ReadonlySet<number>> {
  if (pairs.length === 0) return new Set();
  const rows = await pool.query<{ id: number }>(
    `SELECT p.id FROM unnest($1::date[], $2::bigint[], $3::bigint[]) AS p(day, delivery, id)
     WHERE (SELECT r.id FROM receipt r WHERE r.day = p.day AND r.delivery = p.delivery AND r.id = p.id) IS NOT NULL
        OR (SELECT f.receipt FROM final_state f WHERE f.day = p.day AND f.delivery = p.delivery) = p.id`,
    [pairs.map((pair) => pair.day), pairs.map((pair) => pair.delivery), pairs.map((pair) => pair.id)],
  );
  return new Set(rows.map((row) => row.id));
}

/** Receipts read in one step of the walk that finds texts left partly confirmed. */
const PARTIAL_STEP = 10_000;

export interface PartialCursor {
  delivery: number;
  id: number;
}

/**
 * Deliveries of one day of which a receipt through this bind says delivered and that have no final state, with the time of
 * their first such receipt; in steps that cost the same however many there are: 40–130 ms among a million. Leans on the
 * keys of receipt, submission and final_state.
 */
export async function readPartial(
  pool: Pool,
  bind: number,
  day: string,
  after: PartialCursor,
): Promise<{ open: { delivery: number; since: EpochMs }[]; next: PartialCursor | null }> {
  const [row] = await pool.query<{ deliveries: number[] | null; since: number[] | null; rows: number } & PartialCursor>(
    `WITH step AS MATERIALIZED (
       SELECT delivery, id, attempt, segment, bind, state, received_at FROM receipt
       WHERE day = $2::date AND (delivery, id) > ($3::bigint, $4::bigint) ORDER BY delivery, id LIMIT $5),
     open AS (
       SELECT r.delivery, min(r.received_at) AS since FROM step r
       JOIN submission s ON s.day = $2::date AND s.delivery = r.delivery AND s.attempt = r.attempt AND s.segment = r.segment
       WHERE r.bind = $1 AND r.state = $6 AND s.segments > 1
         AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = $2::date AND f.delivery = r.delivery)
       GROUP BY r.delivery)
     SELECT (SELECT array_agg(delivery ORDER BY delivery) FROM open) AS deliveries,
            (SELECT array_agg(since ORDER BY delivery) FROM open) AS since,
            (SELECT count(*) FROM step) AS rows, l.delivery, l.id
     FROM (SELECT delivery, id FROM step ORDER BY delivery DESC, id DESC LIMIT 1) l`,
    [bind, day, after.delivery, after.id, PARTIAL_STEP, MESSAGE_STATE.delivered],
  );
  if (row === undefined) return { open: [], next: null };
  const open = (row.deliveries ?? []).map((delivery, at) => ({ delivery, since: row.since?.[at] ?? 0 }));
  return { open, next: row.rows < PARTIAL_STEP ? null : { delivery: row.delivery, id: row.id } };
}
