/**
 * Which delivery a receipt belongs to, whichever order things come in.
 *
 * Matched from memory first, then from `submission (bind, message_id)` within the carrier's receipt horizon, newest
 * first because SMSCs reuse ids. A receipt that comes before its submit_sm_resp waits here a moment; what stays
 * unmatched becomes an `unmatched_receipt` and is tried again when a submission with its id lands.
 */
import type { EpochMs, Pool } from '../platform/index.ts';
import { type FinalCode, finalOfReceipt, finalOfSegments } from '../records/index.ts';

/** A delivery that waits for receipts. Segments of one text share it. */
export interface Track {
  day: string;
  delivery: number;
  segments: number;
  alert: string;
  counted: boolean;
  /** A secret body to destroy at the final state, else null. */
  secretBody: number | null;
  /** The journal's key under which its submissions go: in the same shard no receipt is durable before its submission. */
  shard: number;
  finals: Map<number, FinalCode>;
  final: FinalCode | null;
}

export interface Match {
  track: Track;
  attempt: number;
  segment: number;
}

/** Takes the receipt's state into the track; returns the delivery's final state when this receipt brought it. */
export function applyReceipt(
  track: Track,
  segment: number,
  messageState: number,
): { final: FinalCode | null; duplicate: boolean } {
  const code = finalOfReceipt(messageState);
  if (code === null) return { final: null, duplicate: false };
  if (track.finals.has(segment)) return { final: null, duplicate: track.finals.get(segment) === code };
  track.finals.set(segment, code);
  if (track.final !== null) return { final: null, duplicate: false };
  track.final = finalOfSegments(track.segments, track.finals);
  return { final: track.final, duplicate: false };
}

/** Message ids in memory: bounded, oldest out first (they are found in the database then). */
export class ReceiptIndex {
  readonly #entries = new Map<string, Match>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  add(bind: number, messageId: string, match: Match): void {
    const key = `${bind}:${messageId}`;
    this.#entries.delete(key);
    this.#entries.set(key, match);
    if (this.#entries.size > this.#max) {
      const oldest = this.#entries.keys().next();
      if (oldest.done !== true) this.#entries.delete(oldest.value);
    }
  }

  find(bind: number, messageId: string): Match | undefined {
    return this.#entries.get(`${bind}:${messageId}`);
  }

  /** The id is settled: no further receipt is expected. */
  drop(bind: number, messageId: string): void {
    this.#entries.delete(`${bind}:${messageId}`);
  }

  get size(): number {
    return this.#entries.size;
  }
}

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
}

/** Looks ids up in the database; ids without a submission are left out. Leans on submission (bind, message_id). */
export async function findSubmissions(
  pool: Pool,
  bind: number,
  messageIds: readonly string[],
  sinceDay: string,
): Promise<Map<string, Match>> {
  const rows = await pool.query<FoundRow>(
    `SELECT DISTINCT ON (s.message_id) s.message_id, s.day, s.delivery, s.attempt, s.segment, s.segments, d.alert, d.body,
            a.secret, (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted, f.state AS final
     FROM submission s
     JOIN delivery d ON d.day = s.day AND d.id = s.delivery
     JOIN alert a ON a.day = d.day AND a.id = d.alert
     LEFT JOIN final_state f ON f.day = s.day AND f.delivery = s.delivery
     WHERE s.bind = $1 AND s.message_id = ANY($2::text[]) AND s.day >= $3::date
     ORDER BY s.message_id, s.sent_at DESC`,
    [bind, messageIds, sinceDay],
  );
  const found = new Map<string, Match>();
  const tracks = new Map<string, Track>();
  for (const row of rows) {
    const key = `${row.day}/${row.delivery}`;
    let track = tracks.get(key);
    if (track === undefined) {
      track = {
        day: row.day,
        delivery: row.delivery,
        segments: row.segments,
        alert: row.alert,
        counted: row.counted,
        secretBody: row.secret && !row.counted ? row.body : null,
        shard: row.delivery,
        finals: new Map(),
        final: row.final,
      };
      tracks.set(key, track);
    }
    found.set(row.message_id, { track, attempt: row.attempt, segment: row.segment });
  }
  const long = [...tracks.values()].filter((track) => track.segments > 1);
  if (long.length > 0) await readSegmentReceipts(pool, long);
  return found;
}

/** Texts of several segments: what earlier receipts said of the other segments. */
async function readSegmentReceipts(pool: Pool, tracks: Track[]): Promise<void> {
  const byDay = Map.groupBy(tracks, (track) => track.day);
  for (const [day, ofDay] of byDay) {
    const byDelivery = new Map(ofDay.map((track) => [track.delivery, track]));
    const rows = await pool.query<{ delivery: number; segment: number; state: number }>(
      `SELECT delivery, segment, state FROM receipt
       WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND NOT duplicate ORDER BY delivery, id`,
      [day, [...byDelivery.keys()]],
    );
    for (const row of rows) {
      const code = finalOfReceipt(row.state);
      const track = byDelivery.get(row.delivery);
      if (code !== null && track !== undefined && !track.finals.has(row.segment)) track.finals.set(row.segment, code);
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

/** Receipts that matched nothing when they came and nothing since, newest first, within the horizon. */
export async function openUnmatched(
  pool: Pool,
  bind: number,
  sinceDay: string,
  limit: number,
): Promise<OpenUnmatched[]> {
  return await pool.query<OpenUnmatched>(
    `SELECT u.id, u.bind, u.message_id AS "messageId", u.state, u.error, u.received_at AS "receivedAt"
     FROM unmatched_receipt u
     WHERE u.bind = $1 AND u.day >= $2::date
       AND EXISTS (SELECT 1 FROM submission s WHERE s.bind = u.bind AND s.message_id = u.message_id AND s.day >= $2::date)
       AND NOT EXISTS (SELECT 1 FROM submission s JOIN receipt r ON r.day = s.day AND r.delivery = s.delivery AND r.id = u.id
                       WHERE s.bind = u.bind AND s.message_id = u.message_id AND s.day >= $2::date)
     ORDER BY u.day DESC, u.id DESC LIMIT $3`,
    [bind, sinceDay, limit],
  );
}
