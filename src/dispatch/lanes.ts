/**
 * Which lane gets the next PDU of a bind.
 *
 * `emergency` first, always, up to its ceiling, and but for what `floor` keeps for `security`; the other lanes share what
 * is left by weight (stride scheduling: each PDU moves its lane's pass on by 1 ÷ weight, the lane with the lowest pass goes
 * next). A lane that had nothing to send comes back at the pass of the busy ones: it gets its share from now on, not
 * arrears. One that has work which is only not ready, because its claim is being written, keeps its place
 * for a while: else each lapse would cost it some of its share.
 *
 * Plain values only: no clock, no queue, no socket. The unit is the PDU, so an emergency PDU may go between two
 * segments of a bulk text.
 */
import type { LaneName } from '../policy/index.ts';

export interface LaneShare {
  weight: number;
  /** Largest share of the bind's PDUs, 0–1, that the lane may take while others wait. Only `emergency` has one. */
  ceiling: number;
  /** Least share of the bind's PDUs, 0–1, that the lane keeps while emergency is busy. Only `security` has one. */
  floor: number;
}

export type Shares = Readonly<Record<LaneName, Readonly<LaneShare>>>;

export interface LaneSchedule {
  shares: Shares;
  /** PDUs that a lapse may cost without costing the lane's share. */
  lapse: number;
  pass: Record<LaneName, number>;
  /** Lanes that had no work when a PDU left, and have sent none since. */
  idle: Record<LaneName, boolean>;
  /** The pass at which the last PDU of the shared lanes left. */
  now: number;
  /** PDUs that emergency took beyond its ceiling's share while others waited; below 0, that it had less. */
  emergencyDebt: number;
  /** PDUs that security's floor owes it. */
  securityCredit: number;
}

export const LANES_BY_URGENCY: readonly LaneName[] = ['emergency', 'security', 'transaction', 'bulk'];

/** So many PDUs of the bind may at least go by while a lane with work has none ready, before that costs it its share. */
export const LAPSE_PDUS = 64;
/** On a fast bind, as many as it sends in this time. */
const LAPSE_SECONDS = 0.5;

/** What emergency had less than its ceiling is made up for so many PDUs at most. */
const DEBT_MIN = -8;

export const perLane = <T>(make: (lane: LaneName) => T): Record<LaneName, T> => ({
  emergency: make('emergency'),
  security: make('security'),
  transaction: make('transaction'),
  bulk: make('bulk'),
});

/** @param tps of the bind */
export function newSchedule(shares: Shares, tps = 0): LaneSchedule {
  return {
    shares,
    lapse: lapseOf(tps),
    pass: perLane(() => 0),
    idle: perLane(() => true),
    now: 0,
    emergencyDebt: 0,
    securityCredit: 0,
  };
}

/** Other shares, or another TPS, from now on. */
export function changed(schedule: LaneSchedule, shares: Shares, tps: number): LaneSchedule {
  return { ...schedule, shares, lapse: lapseOf(tps) };
}

function lapseOf(tps: number): number {
  return Math.max(LAPSE_PDUS, LAPSE_SECONDS * tps);
}

type Lanes = Readonly<Record<LaneName, boolean>>;

/** The lane whose head goes next among those that are ready, or null when none is. */
export function nextLane(schedule: LaneSchedule, ready: Lanes): LaneName | null {
  const shared = nextShared(schedule, ready);
  if (!ready.emergency) return shared;
  if (shared === null) return 'emergency';
  if (ready.security && schedule.securityCredit >= 1) return 'security';
  return schedule.shares.emergency.ceiling < 1 && schedule.emergencyDebt >= 1 ? shared : 'emergency';
}

/** Writes down that one PDU of `lane` left while the lanes in `ready` had one, and those in `busy` had work at all. */
export function charge(schedule: LaneSchedule, lane: LaneName, ready: Lanes, busy: Lanes = ready): void {
  const { shares } = schedule;
  for (const each of LANES_BY_URGENCY) if (!busy[each]) schedule.idle[each] = true;
  const byFloor = lane === 'security' && ready.emergency && schedule.securityCredit >= 1;
  if (ready.emergency && ready.security) schedule.securityCredit += shares.security.floor;
  else if (!busy.security || !busy.emergency) schedule.securityCredit = 0;
  if (lane === 'emergency') {
    const { ceiling } = shares.emergency;
    if (!busy.security && !busy.transaction && !busy.bulk) schedule.emergencyDebt = 0;
    else if (ceiling < 1 && (ready.security || ready.transaction || ready.bulk)) {
      schedule.emergencyDebt += (1 - ceiling) / ceiling;
    }
    return;
  }
  // Below 0 emergency had less than its ceiling allows; for the time when it had nothing to send nobody owes it.
  const debtMin = ready.emergency ? DEBT_MIN : Math.min(0, schedule.emergencyDebt);
  schedule.emergencyDebt = Math.max(debtMin, schedule.emergencyDebt - 1);
  if (byFloor) {
    // Emergency gave it up, not the other lanes: it is none of security's turns among these.
    schedule.securityCredit -= 1;
    return;
  }
  const pass = passOf(schedule, lane);
  schedule.idle[lane] = false;
  schedule.now = Math.max(schedule.now, pass);
  schedule.pass[lane] = pass + 1 / shares[lane].weight;
}

function nextShared(schedule: LaneSchedule, ready: Lanes): LaneName | null {
  let best: LaneName | null = null;
  let bestPass = Number.POSITIVE_INFINITY;
  for (const lane of LANES_BY_URGENCY) {
    if (lane === 'emergency' || !ready[lane]) continue;
    const pass = passOf(schedule, lane);
    if (pass < bestPass) {
      best = lane;
      bestPass = pass;
    }
  }
  return best;
}

/** Of the lanes that share, the one with the lowest goes next. */
export function passOf({ shares, lapse, pass, idle, now }: LaneSchedule, lane: LaneName): number {
  const { security, transaction, bulk } = shares;
  const kept = idle[lane] ? 0 : lapse / (security.weight + transaction.weight + bulk.weight);
  return Math.max(pass[lane], now - kept);
}
