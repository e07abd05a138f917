/**
 * How many deliveries of each lane to claim now. At no instant are more than K claimed without a durable outcome; of what
 * K leaves, a tenth is for emergency alone, and the other lanes have parts by their weights.
 *
 * A claim costs a commit, so that small ones wait until half of the lane's part is used: unless nothing is ready that goes
 * before what would be claimed. So an alert that outranks all that is claimed is claimed at once.
 */
import type { LaneName } from '../policy/index.ts';
import { LANES_BY_URGENCY, perLane } from './lanes.ts';

export interface ClaimState {
  weight: number;
  /** Claimed and not yet on the wire. */
  ready: number;
  /** Of these, as many as go before what would be claimed next. */
  ahead: number;
  /** Not yet claimed. */
  waiting: number;
}

/** @param limit K; @param undecided how much of it is used */
export function planClaims(
  limit: number,
  undecided: number,
  lanes: Readonly<Record<LaneName, ClaimState>>,
): Record<LaneName, number> {
  const plan = perLane(() => 0);
  let room = limit - undecided;
  const half = Math.ceil(limit / 2);
  const reserve = limit > 1 ? Math.max(1, Math.floor(limit / 10)) : 0;
  const busy = LANES_BY_URGENCY.filter((lane) => lane !== 'emergency' && lanes[lane].ready + lanes[lane].waiting > 0);
  const weights = busy.reduce((sum, lane) => sum + lanes[lane].weight, 0);
  for (const lane of LANES_BY_URGENCY) {
    const { weight, ready, ahead, waiting } = lanes[lane];
    const own = lane === 'emergency';
    const part = own ? half : Math.min(half, Math.ceil(((limit - reserve) * weight) / Math.max(weight, weights)));
    const left = Math.min(part - ahead, 2 * part - ready, own ? room : room - reserve, waiting);
    if (left <= 0 || (ahead > 0 && part - ahead < Math.ceil(part / 2))) continue;
    plan[lane] = left;
    room -= left;
  }
  return plan;
}
