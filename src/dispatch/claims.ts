/**
 * Claims: the durable note "I am about to submit these", written before the first PDU leaves.
 *
 * One transaction moves `claimed_to` of each chunk by compare-and-set, under the chunk's fence and the bind's lease, and
 * inserts one claim fact per chunk. A chunk that another holder has taken meanwhile is simply not among the winners.
 */
import { type ChainWriter, insertFacts, sendFacts } from '../audit/index.ts';
import { type EpochMs, TransactionFailed, type Tx } from '../platform/index.ts';
import { type ClaimRow, claim } from '../records/index.ts';
import type { Holder } from './hold.ts';

export interface ClaimWish {
  day: string;
  chunk: number;
  from: number;
  to: number;
  attempt: number;
  deliveries: number[];
}

/** One of the wishes was not granted: nothing of that transaction stays. */
class NotAllGranted extends Error {
  override readonly name = 'NotAllGranted';
}

/** Returns the ids of the chunks whose wish was granted. */
export async function writeClaims(
  writer: ChainWriter,
  holder: Holder,
  wishes: readonly ClaimWish[],
  now: EpochMs,
): Promise<Set<number>> {
  const sorted = [...wishes].sort((a, b) => a.chunk - b.chunk);
  try {
    return await writeAll(writer, holder, sorted, now);
  } catch (error) {
    const refused = error instanceof NotAllGranted;
    const repeated = error instanceof TransactionFailed && error.outcome === 'rolled-back' && error.code === '23505';
    if (!refused && !repeated) throw error;
    return await writeGranted(writer, holder, sorted, now);
  }
}

/** Nearly always all wishes are granted: move and facts go out together, which saves an emergency two round trips. */
async function writeAll(
  writer: ChainWriter,
  holder: Holder,
  sorted: readonly ClaimWish[],
  now: EpochMs,
): Promise<Set<number>> {
  return await writer.append(async (tx, entry) => {
    const moved = move(tx, holder, sorted, entry).then((winners) => {
      if (winners.size < sorted.length) throw new NotAllGranted();
    });
    const { parts, sent } = sendFacts(tx, claim, claimRows(holder, sorted, now), entry);
    return { value: new Set(sorted.map((wish) => wish.chunk)), parts, sent: Promise.all([moved, sent]) };
  });
}

async function writeGranted(
  writer: ChainWriter,
  holder: Holder,
  sorted: readonly ClaimWish[],
  now: EpochMs,
): Promise<Set<number>> {
  return await writer.append(async (tx, entry) => {
    const winners = await move(tx, holder, sorted, entry);
    const granted = sorted.filter((wish) => winners.has(wish.chunk));
    const rows = claimRows(holder, granted, now);
    return { value: winners, parts: (await insertFacts(tx, claim, rows, entry, { onConflict: 'ignore' })).parts };
  });
}

/** A repeated run finds its own claims written under this entry: those chunks are won as well. */
async function move(tx: Tx, holder: Holder, sorted: readonly ClaimWish[], entry: number): Promise<Set<number>> {
  const won = await tx.query<{ id: number }>(
    `WITH wish AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::date[]) AS w(id, f, t, day)),
          moved AS (
            UPDATE chunk SET claimed_to = w.t FROM wish w
            WHERE chunk.id = w.id AND chunk.claimed_to = w.f AND NOT chunk.settled
              AND chunk.holder_process = $5 AND chunk.holder_bind = $6 AND chunk.holder_fence = $7
              AND EXISTS (SELECT 1 FROM bind_lease l WHERE l.bind = $6 AND l.fence = $7 AND l.until > clock_timestamp())
            RETURNING chunk.id)
     SELECT id FROM moved
     UNION SELECT c.chunk FROM claim c JOIN wish w ON c.day = w.day AND c.chunk = w.id AND c.from_position = w.f
           WHERE c.entry = $8`,
    [
      sorted.map((wish) => wish.chunk),
      sorted.map((wish) => wish.from),
      sorted.map((wish) => wish.to),
      sorted.map((wish) => wish.day),
      holder.process,
      holder.bind,
      holder.fence,
      entry,
    ],
  );
  return new Set(won.map((row) => row.id));
}

function claimRows(holder: Holder, granted: readonly ClaimWish[], now: EpochMs): ClaimRow[] {
  return granted.map((wish) => ({
    day: wish.day,
    chunk: wish.chunk,
    fromPosition: wish.from,
    toPosition: wish.to,
    attempt: wish.attempt,
    bind: holder.bind,
    fence: holder.fence,
    process: holder.process,
    deliveries: wish.deliveries,
    at: now,
  }));
}
