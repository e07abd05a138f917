/**
 * Taking a bind over: what its former holder left is put right at once, before anything new is sent.
 *
 * Each chunk that the former holder had in memory is settled in one transaction of its own: claimed deliveries without
 * an outcome become `unanswered` facts (in doubt), which the lane's policy sends once more, marked possible duplicate,
 * or holds as `unknown`; the unclaimed tail goes back to its queue at the head of its place.
 */
import type { PgBoss } from 'pg-boss';
import { type ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import { bossTx, type Clock, type EpochMs, type IdAllocator, type Pool } from '../platform/index.ts';
import type { LaneName, LanePolicy } from '../policy/index.ts';
import {
  addProgress,
  FINAL,
  type FinalStateRow,
  finalState,
  noProgress,
  OUTCOME,
  type SubmissionRow,
  submission,
} from '../records/index.ts';
import { insertChunks, notifyDispatch, queueName } from './chunks.ts';
import { type Holder, RETURNS_UNKNOWN } from './hold.ts';
import { rankOf, returnedPriority } from './place.ts';
import { MOVED } from './receipt-lookups.ts';

export interface TakeoverOptions {
  pool: Pool;
  writer: ChainWriter;
  boss: PgBoss;
  ids: IdAllocator;
  clock: Clock;
  holder: Holder;
  laneName: (id: number) => LaneName;
  routeName: (id: number) => string;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
}

interface LeftChunk {
  id: number;
  day: string;
  alert: string | null;
  lane: number;
  route: number;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  attempt: number;
  possible_duplicate: boolean;
  returns: number | null;
  priority: number;
  expires_max: number;
  claimed_to: number;
  job: string;
}

interface Doubt {
  delivery: number;
  alert: string;
  counted: boolean;
  expires_at: number;
  sent_at: number;
  bind: number;
  /** Segments that were answered in this attempt, or accepted before it. */
  answered: number[] | null;
  segments: number | null;
  /** It has its final state already: how its submission ended is still to be written down. */
  final: boolean;
}

export interface TakeoverResult {
  chunks: number;
  inDoubt: number;
}

/** Settles everything that holders of this bind with an older fence left behind. */
export async function takeOver(options: TakeoverOptions): Promise<TakeoverResult> {
  const result = { chunks: 0, inDoubt: 0 };
  const { holder, pool } = options;
  const left = await pool.query<LeftChunk>(
    `SELECT id, day, alert, lane, route, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate, returns, priority,
            expires_max, claimed_to, job
     FROM chunk WHERE NOT settled AND holder_bind = $1 AND holder_fence < $2
     ORDER BY priority DESC, id`,
    [holder.bind, holder.fence],
  );
  for (const chunk of left.sort((a, b) => a.lane - b.lane)) {
    result.inDoubt += await settleChunk(options, chunk);
    result.chunks++;
  }
  return result;
}

async function settleChunk(options: TakeoverOptions, chunk: LeftChunk): Promise<number> {
  const { holder, ids, clock } = options;
  const lane = options.laneName(chunk.lane);
  const route = options.routeName(chunk.route);
  const policy = options.lanes[lane];
  const resendId = await ids.take(1);
  return await options.writer.append(async (tx, entry) => {
    const parts: Part[] = [];
    const now = clock.now();
    const [mine] = await tx.query<{ claimed_to: number }>(
      `SELECT claimed_to FROM chunk WHERE id = $1 AND NOT settled AND holder_bind = $2 AND holder_fence < $3 FOR UPDATE`,
      [chunk.id, holder.bind, holder.fence],
    );
    if (mine === undefined) return { value: 0, parts };
    const claimed = await tx.query<Doubt>(
      `SELECT d.id AS delivery, d.alert, d.expires_at, c.at AS sent_at, c.bind,
              (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted, s.answered, s.segments,
              f.state IS NOT NULL AS final
       FROM claim c
       CROSS JOIN LATERAL unnest(c.deliveries) AS u(id)
       JOIN delivery d ON d.day = c.day AND d.id = u.id
       JOIN alert a ON a.day = d.day AND a.id = d.alert
       -- What was accepted in an earlier attempt is not sent in this one.
       LEFT JOIN LATERAL (SELECT array_agg(DISTINCT segment) AS answered, max(segments) AS segments,
                                 bool_or(outcome = 2) AS refused FROM submission s
                          WHERE s.day = c.day AND s.delivery = u.id
                            AND (s.attempt = c.attempt OR s.attempt < c.attempt AND s.outcome = 1 AND NOT ${MOVED})) s ON true
       LEFT JOIN final_state f ON f.day = c.day AND f.delivery = u.id
       WHERE c.day = $1::date AND c.chunk = $2
         -- Refused for good: its other segments were not sent any more.
         AND NOT (f.state IS NOT NULL AND s.refused IS TRUE)
         AND (s.segments IS NULL OR cardinality(s.answered) < s.segments)
         -- Given back from this chunk: once more than before it was made. No clock is asked, so none can be wrong.
         AND (SELECT count(*) FROM release r WHERE r.day = c.day AND r.delivery = u.id AND r.attempt = c.attempt
                AND r.reason <> 'throttled') <= $3
       ORDER BY d.id`,
      [chunk.day, chunk.id, chunk.returns ?? RETURNS_UNKNOWN],
    );
    const unanswered: SubmissionRow[] = [];
    for (const doubt of claimed) {
      for (const segment of openSegments(doubt)) {
        unanswered.push({
          day: chunk.day,
          delivery: doubt.delivery,
          attempt: chunk.attempt,
          segment,
          segments: doubt.segments ?? 0,
          bind: doubt.bind,
          outcome: OUTCOME.unanswered,
          status: null,
          messageId: null,
          possibleDuplicate: chunk.possible_duplicate,
          sentAt: doubt.sent_at,
          answeredAt: null,
        });
      }
    }
    if (unanswered.length > 0) {
      parts.push(...(await insertFacts(tx, submission, unanswered, entry, { onConflict: 'ignore' })).parts);
    }
    const doubts = claimed.filter(({ final }) => !final);
    const resend = policy.inDoubt === 'resend' && !chunk.possible_duplicate;
    if (doubts.length > 0 && !resend) {
      const finals: FinalStateRow[] = doubts.map((doubt) => ({
        day: chunk.day,
        delivery: doubt.delivery,
        state: FINAL.unknown,
        cause: 'in-doubt',
        at: now,
      }));
      const { inserted, parts: finalParts } = await insertFacts(tx, finalState, finals, entry, {
        onConflict: 'ignore',
      });
      parts.push(...finalParts);
      const fresh = new Set(inserted.map((row) => row.delivery));
      await countUnknown(
        tx,
        entry,
        chunk.day,
        doubts.filter((doubt) => doubt.counted && fresh.has(doubt.delivery)),
      );
    }
    if (doubts.length > 0 && resend) {
      await insertChunks(
        tx,
        options.boss,
        [
          {
            id: resendId,
            day: chunk.day,
            alert: chunk.alert,
            lane,
            laneId: chunk.lane,
            route,
            routeId: chunk.route,
            firstDelivery: 0,
            deliveries: doubts.length,
            deliveryIds: doubts.map((doubt) => doubt.delivery),
            attempt: chunk.attempt + 1,
            possibleDuplicate: true,
            rank: rankOf(chunk.priority),
            number: 0,
            notBefore: null,
            expiresMin: Math.min(...doubts.map((doubt) => doubt.expires_at)),
            expiresMax: Math.max(...doubts.map((doubt) => doubt.expires_at)),
          },
        ],
        now,
      );
    }
    await returnJob(tx, options.boss, chunk, mine.claimed_to, lane, route);
    await notifyDispatch(tx, [{ route, lane }]);
    return { value: doubts.length, parts };
  });
}

/** Segments of an attempt in doubt: those without an answer, or 0 where nothing of the text is known. */
function openSegments(doubt: Doubt): number[] {
  if (doubt.segments === null || doubt.segments === 0) return [0];
  const answered = new Set(doubt.answered ?? []);
  return Array.from({ length: doubt.segments }, (_, index) => index + 1).filter((segment) => !answered.has(segment));
}

async function countUnknown(
  tx: Parameters<typeof addProgress>[0],
  entry: number,
  day: string,
  doubts: readonly Doubt[],
): Promise<void> {
  const byAlert = Map.groupBy(doubts, (doubt) => doubt.alert);
  if (byAlert.size === 0) return;
  await addProgress(
    tx,
    entry,
    [...byAlert].map(([alert, { length }]) => ({ ...noProgress(day, alert), unknown: length })),
  );
}

/**
 * Completes the job under which a chunk was held and, when positions are left, puts it back at the head of its place.
 * The row keeps which job speaks for it, so that an old one is recognised as void.
 */
export async function returnJob(
  tx: Parameters<typeof addProgress>[0],
  boss: PgBoss,
  chunk: { id: number; deliveries: number; priority: number; job: string },
  claimedTo: number,
  lane: LaneName,
  route: string,
  /** When it may be taken again; null: at once. */
  due: EpochMs | null = null,
): Promise<void> {
  const db = bossTx(tx);
  const queue = queueName(route, lane);
  await boss.complete(queue, chunk.job, {}, { includeQueued: true, db });
  if (claimedTo >= chunk.deliveries) {
    await tx.query('UPDATE chunk SET settled = true, holder_bind = NULL WHERE id = $1', [chunk.id]);
    return;
  }
  const job = crypto.randomUUID();
  const priority = returnedPriority(lane, chunk.priority);
  await boss.insert(
    queue,
    [{ id: job, data: { chunk: chunk.id }, priority, ...(due === null ? {} : { startAfter: new Date(due) }) }],
    { db },
  );
  await tx.query(
    'UPDATE chunk SET job = $2, holder_process = NULL, holder_bind = NULL, holder_fence = NULL WHERE id = $1',
    [chunk.id, job],
  );
}
