/**
 * How many deliveries of each lane to claim now. At no instant are more than K claimed without a durable outcome; of what
 * K leaves, a tenth is for emergency alone, and the other lanes have parts by their weights. For some time after an emergency
 * it is half: what other lanes have claimed stands still while a broadcast has the bind, and what it can have on its way to
 * the journal is what they left.
 *
 * A claim costs a commit, so that small ones wait until half of the lane's part is used: unless nothing is ready that goes
 * before what would be claimed. So an alert that outranks all that is claimed is claimed at once.
 */
import type { CarrierPolicy, LaneName } from '../policy/index.ts';
import { LANES_BY_URGENCY, perLane } from './lanes.ts';

export interface ClaimState {
  weight: number;
  /** Whose is lowest goes first when K leaves too little for all (lanes.ts). */
  pass: number;
  /** Claimed and not yet on the wire. */
  ready: number;
  /** Of these, as many as go before what would be claimed next. */
  ahead: number;
  /** Not yet claimed. */
  waiting: number;
}

/** K (DESIGN §6): on a slow bind at most what a second of its TPS takes. */
export function claimLimitOf({ tps, window, sessions, claimLimit }: CarrierPolicy): number {
  const windows = Math.max(1, 2 * window * sessions);
  const slow = tps < windows ? Math.max(1, Math.floor(tps)) : Number.POSITIVE_INFINITY;
  return Math.min(claimLimit, windows, slow);
}

/**
 * @param limit K
 * @param undecided how much of it is used
 * @param expecting an emergency was here lately, and another may come
 */
export function planClaims(
  limit: number,
  undecided: number,
  lanes: Readonly<Record<LaneName, ClaimState>>,
  expecting = false,
): Record<LaneName, number> {
  const plan = perLane(() => 0);
  const room = Math.max(0, limit - undecided);
  const half = Math.ceil(limit / 2);
  const reserve = limit > 1 ? Math.max(1, Math.floor(limit / 10)) : 0;
  const busy = LANES_BY_URGENCY.filter((lane) => lane !== 'emergency' && lanes[lane].ready + lanes[lane].waiting > 0);
  const weights = busy.reduce((sum, lane) => sum + lanes[lane].weight, 0);
  for (const lane of LANES_BY_URGENCY) {
    const { weight, ready, ahead, waiting } = lanes[lane];
    const own = lane === 'emergency';
    const part = own ? half : Math.min(half, Math.ceil(((limit - reserve) * weight) / Math.max(weight, weights)));
    const left = Math.min(part - ahead, 2 * part - ready, waiting);
    if (left > 0 && (ahead === 0 || part - ahead >= Math.ceil(part / 2))) plan[lane] = left;
  }
  plan.emergency = Math.min(plan.emergency, room);
  // Of half of K what it has already is not kept back once more.
  const wanted = expecting && limit > 1 ? half - lanes.emergency.ready - plan.emergency : 0;
  const keptBack = Math.max(reserve, wanted);
  cutTo(
    plan,
    busy.toSorted((a, b) => lanes[a].pass - lanes[b].pass),
    Math.max(0, room - plan.emergency - keptBack),
  );
  return plan;
}

/** Cuts what these lanes are to have to `room`, each in proportion; the rest, one by one, goes to those in front. */
function cutTo(plan: Record<LaneName, number>, lanes: readonly LaneName[], room: number): void {
  const wanted = lanes.reduce((sum, lane) => sum + plan[lane], 0);
  if (wanted <= room) return;
  const wishes = lanes.map((lane) => plan[lane]);
  for (const lane of lanes) plan[lane] = Math.floor((plan[lane] * room) / wanted);
  let rest = room - lanes.reduce((sum, lane) => sum + plan[lane], 0);
  for (const [index, lane] of lanes.entries()) {
    if (rest === 0 || plan[lane] >= (wishes[index] as number)) continue;
    plan[lane]++;
    rest--;
  }
}
