/** How a pause parts a chunk from its holder, in the journal's transaction: behind the facts of what was claimed of it. */
import type { PgBoss } from 'pg-boss';
import type { EpochMs, Tx } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { insertChunks, queueName } from './chunks.ts';
import { RETURNS_UNKNOWN } from './hold.ts';
import { parkFetched } from './parking.ts';
import { returnJob } from './takeover.ts';
import type { DispatchExtra } from './types.ts';

type Return = Extract<DispatchExtra, { kind: 'return' }>;
type Split = Extract<DispatchExtra, { kind: 'split' }>;

interface HeldRow {
  id: number;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  priority: number;
  returns: number | null;
  claimed_to: number;
  job: string;
}

/** The chunk as this holder has it; none when another has it by now, whose job is another one. */
async function lockHeld(tx: Tx, { chunk, job }: { chunk: number; job: string }): Promise<HeldRow | undefined> {
  const [row] = await tx.query<HeldRow>(
    `SELECT id, first_delivery, deliveries, delivery_ids, priority, returns, claimed_to, job FROM chunk
     WHERE id = $1 AND NOT settled AND NOT parked AND job = $2::uuid FOR UPDATE`,
    [chunk, job],
  );
  return row;
}

/** Gives the unclaimed rest of a chunk back, to its queue or parked. @returns whether its queue has work now. */
export async function applyReturn(tx: Tx, boss: PgBoss, extra: Return): Promise<boolean> {
  const row = await lockHeld(tx, extra);
  if (row === undefined) return false;
  if (extra.as === 'parked' && row.claimed_to < row.deliveries) {
    await parkFetched(tx, boss, queueName(extra.route, extra.lane), [row]);
    return false;
  }
  await returnJob(tx, boss, row, row.claimed_to, extra.lane, extra.route);
  return row.claimed_to < row.deliveries;
}

/** Where a delivery stood that has a chunk of its own since: no delivery has this id. */
const MOVED = 0;

/** Moves deliveries of paused alerts out of a chunk, into parked chunks of their own. Positions stay as they are. */
export async function applySplit(
  tx: Tx,
  boss: PgBoss,
  extra: Split,
  ids: { laneId: (lane: LaneName) => number; routeId: (route: string) => number },
  now: EpochMs,
): Promise<void> {
  const row = await lockHeld(tx, extra);
  if (row === undefined) return;
  const gone = new Set(extra.parked.flatMap(({ deliveries }) => deliveries));
  const list = row.delivery_ids ?? Array.from({ length: row.deliveries }, (_, index) => row.first_delivery + index);
  await tx.query('UPDATE chunk SET delivery_ids = $2::bigint[] WHERE id = $1', [
    row.id,
    list.map((id) => (gone.has(id) ? MOVED : id)),
  ]);
  await insertChunks(
    tx,
    boss,
    extra.parked.map(({ chunkId, alert, deliveries, expiresMin, expiresMax }) => ({
      id: chunkId,
      day: extra.day,
      alert,
      lane: extra.lane,
      laneId: ids.laneId(extra.lane),
      route: extra.route,
      routeId: ids.routeId(extra.route),
      firstDelivery: 0,
      deliveries: deliveries.length,
      deliveryIds: deliveries,
      attempt: extra.attempt,
      possibleDuplicate: extra.possibleDuplicate,
      returns: row.returns ?? RETURNS_UNKNOWN,
      priority: row.priority,
      number: 0,
      notBefore: null,
      parked: true,
      expiresMin,
      expiresMax,
    })),
    now,
  );
}
