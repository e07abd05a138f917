/**
 * Which lane gets the next PDU of a bind.
 *
 * `emergency` first, always, up to its ceiling; the other lanes share what is left by weight (stride scheduling: each
 * PDU moves its lane's pass on by 1 ÷ weight, the lane with the lowest pass goes next). A lane that was idle comes back
 * at the pass of the busy ones: it gets its share from now on, not arrears.
 *
 * Plain values only: no clock, no queue, no socket. The unit is the PDU, so an emergency PDU may go between two
 * segments of a bulk text.
 */
import type { LaneName } from '../policy/index.ts';

export interface LaneShare {
  weight: number;
  /** Largest share of the bind's PDUs, 0–1, that the lane may take while others wait. Only `emergency` has one. */
  ceiling: number;
}

export interface LaneSchedule {
  shares: Readonly<Record<LaneName, LaneShare>>;
  pass: Record<LaneName, number>;
  /** The pass at which the last PDU of the shared lanes left. */
  floor: number;
  /** PDUs that emergency took beyond its ceiling's share while others waited, in PDUs. */
  emergencyDebt: number;
}

export const LANES_BY_URGENCY: readonly LaneName[] = ['emergency', 'security', 'transaction', 'bulk'];

export const perLane = <T>(make: () => T): Record<LaneName, T> => ({
  emergency: make(),
  security: make(),
  transaction: make(),
  bulk: make(),
});

export function newSchedule(shares: Readonly<Record<LaneName, LaneShare>>): LaneSchedule {
  return { shares, pass: { emergency: 0, security: 0, transaction: 0, bulk: 0 }, floor: 0, emergencyDebt: 0 };
}

/** The lane whose head goes next among those that are ready, or null when none is. */
export function nextLane(schedule: LaneSchedule, ready: Readonly<Record<LaneName, boolean>>): LaneName | null {
  const shared = nextShared(schedule, ready);
  if (!ready.emergency) return shared;
  if (shared === null) return 'emergency';
  return schedule.shares.emergency.ceiling >= 1 || schedule.emergencyDebt < 1 ? 'emergency' : shared;
}

/** Writes down that one PDU of `lane` left while the lanes in `ready` had one. */
export function charge(schedule: LaneSchedule, lane: LaneName, ready: Readonly<Record<LaneName, boolean>>): void {
  const { ceiling } = schedule.shares.emergency;
  if (lane === 'emergency') {
    if (ceiling < 1 && (ready.security || ready.transaction || ready.bulk)) {
      schedule.emergencyDebt += (1 - ceiling) / Math.max(ceiling, 1e-9);
    }
    return;
  }
  schedule.emergencyDebt = Math.max(0, schedule.emergencyDebt - 1);
  const pass = Math.max(schedule.pass[lane], schedule.floor);
  schedule.floor = pass;
  schedule.pass[lane] = pass + 1 / schedule.shares[lane].weight;
}

function nextShared(schedule: LaneSchedule, ready: Readonly<Record<LaneName, boolean>>): LaneName | null {
  let best: LaneName | null = null;
  let bestPass = Number.POSITIVE_INFINITY;
  for (const lane of LANES_BY_URGENCY) {
    if (lane === 'emergency' || !ready[lane]) continue;
    const pass = Math.max(schedule.pass[lane], schedule.floor);
    if (pass < bestPass) {
      best = lane;
      bestPass = pass;
    }
  }
  return best;
}
