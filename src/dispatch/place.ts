/**
 * The order inside a lane, the same in the database (pg-boss priority, higher first), in memory and for claims. What has the
 * same priority goes by age; ids rise.
 *
 * - `emergency`: rank × 1,000,000 − number of the chunk in its alert. Follow-ups have the highest rank; a new alert of equal
 *   rank begins before the rest of a national one. What comes again goes first in its rank.
 * - Other lanes: what comes again (handed back, or tried again) first, then what expires first.
 */
import type { EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';

export interface Place {
  readonly priority: number;
  readonly id: number;
}

const RANK_STEP = 1_000_000;
/** Of follow-ups: corrections and all-clears. */
export const RANK_MAX = 1_000;
/** Above every priority that an expiry gives. pg-boss keeps 32 bits. */
const AGAIN = 1_000_000_000;
/** 2025-01-01: in seconds from here, an expiry fits beside AGAIN until 2056. */
const EXPIRY_ZERO_S = 1_735_689_600;

/** pg-boss priority inside a queue of emergency: rank first, then the order inside the alert (DESIGN §3). */
export function chunkPriority(rank: number, number: number): number {
  return Math.min(rank, RANK_MAX) * RANK_STEP - Math.min(number, RANK_STEP - 1);
}

/** What `chunkPriority` was made of. */
export function placeOf(priority: number): { rank: number; number: number } {
  const rank = rankOf(priority);
  return { rank, number: rank * RANK_STEP - priority };
}

/** The rank of a chunk of emergency. */
export function rankOf(priority: number): number {
  return Math.min(RANK_MAX, Math.max(0, Math.ceil(priority / RANK_STEP)));
}

/** Priority of a chunk and its first job. `again`: its deliveries were tried, or claimed, before. */
export function placePriority(
  lane: LaneName,
  chunk: { rank: number; number: number; expiresMin: EpochMs; again: boolean },
): number {
  if (lane === 'emergency') return chunkPriority(chunk.rank, chunk.number);
  const byExpiry = Math.min(AGAIN / 2, Math.max(-AGAIN, EXPIRY_ZERO_S - Math.floor(chunk.expiresMin / 1_000)));
  return chunk.again ? byExpiry + AGAIN : byExpiry;
}

/** Priority of the job under which the rest of a chunk goes back to its queue. */
export function returnedPriority(lane: LaneName, priority: number): number {
  if (lane === 'emergency') return Math.max(priority, chunkPriority(rankOf(priority), 0));
  return priority > AGAIN / 2 - 1 ? priority : priority + AGAIN;
}

/** Below 0 when `a` goes first. */
export function inOrder(a: Place, b: Place): number {
  return b.priority - a.priority || a.id - b.id;
}

/** Puts `added`, which is in order itself, into `list` behind everything that does not go after it. */
export function insertInOrder<T>(list: T[], added: readonly T[], placeOf: (item: T) => Place): void {
  const first = added[0];
  if (first === undefined) return;
  let at = list.length;
  while (at > 0 && inOrder(placeOf(list[at - 1] as T), placeOf(first)) > 0) at--;
  if (at === list.length) list.push(...added);
  else list.splice(at, 0, ...added);
}
