/** Policies that change while a process runs: what takes effect at once, and what must wait for a restart. */
import { isDeepStrictEqual } from 'node:util';
import type { CarrierPolicy } from './carriers.ts';
import { LANES, type LaneName, type LanePolicy } from './lanes.ts';
import type { Policies } from './load.ts';

/** Fields of a carrier that its bind takes over between two PDUs, its sessions standing. */
const LIVE_CARRIER: readonly (keyof CarrierPolicy)[] = [
  'tps',
  'guardMs',
  'tpsWindow',
  'senderLimits',
  'prefixLimits',
  'congestion',
  'claimLimit',
  'statuses',
  'unknownStatusAttempts',
  'restFirstMs',
  'restMaxMs',
];
const LIVE_LANE: readonly (keyof LanePolicy)[] = ['weight', 'ceiling', 'floor', 'retry', 'cannotMeetExpiry'];
/** Fields whose names in the files are not theirs here less the unit. */
const WRITTEN: Readonly<Record<string, string>> = { otherHosts: 'hosts', utcOffsetMinutes: 'receiptUtcOffset' };

export interface LiveChange {
  /** The policies in force with all of `next` that can take effect now; `files` are those of `next`. */
  readonly policies: Policies;
  /** What took effect, and what must wait for a restart, by where it stands: `carriers.demo-a.tps`. */
  readonly applied: readonly string[];
  readonly restart: readonly string[];
}

/** Pure: takes of `next` what can change in a process that runs on `current`. */
export function applyLive(current: Policies, next: Policies): LiveChange {
  const applied: string[] = [];
  const restart: string[] = [];
  const merge = <T extends object>(path: string, now: T, wanted: T, live: readonly (keyof T)[]): T => {
    const merged = { ...now };
    for (const field of Object.keys(wanted) as (keyof T & string)[]) {
      if (isDeepStrictEqual(now[field], wanted[field])) continue;
      const place = `${path}.${WRITTEN[field] ?? field.replace(/Ms$/, '')}`;
      if (live.includes(field)) {
        merged[field] = wanted[field];
        applied.push(place);
      } else restart.push(place);
    }
    return merged;
  };
  const lanes = Object.fromEntries(
    LANES.map((lane) => [lane, merge(`lanes.${lane}`, current.lanes[lane], next.lanes[lane], LIVE_LANE)]),
  ) as Record<LaneName, LanePolicy>;
  const carriers: Record<string, CarrierPolicy> = {};
  for (const [name, carrier] of Object.entries(current.carriers)) {
    const wanted = next.carriers[name];
    if (wanted === undefined) restart.push(`carriers.${name}`);
    carriers[name] = wanted === undefined ? carrier : merge(`carriers.${name}`, carrier, wanted, LIVE_CARRIER);
  }
  for (const name of Object.keys(next.carriers)) if (!(name in current.carriers)) restart.push(`carriers.${name}`);
  let { routing } = current;
  if (!isDeepStrictEqual(routing, next.routing)) {
    // A route to a carrier that only a restart brings would have nobody here.
    const known = next.routing.routes.every(({ binds }) => binds.every((bind) => bind in current.carriers));
    if (known) routing = next.routing;
    (known ? applied : restart).push('routes');
  }
  return { policies: { lanes, carriers, routing, files: next.files }, applied, restart };
}

/** The policies in force. Who keeps this and reads a field when it is needed has what was last put in force. */
export class LivePolicies implements Policies {
  #inForce: Policies;

  constructor(policies: Policies) {
    this.#inForce = policies;
  }

  get lanes(): Policies['lanes'] {
    return this.#inForce.lanes;
  }

  get carriers(): Policies['carriers'] {
    return this.#inForce.carriers;
  }

  get routing(): Policies['routing'] {
    return this.#inForce.routing;
  }

  get files(): Policies['files'] {
    return this.#inForce.files;
  }

  put(policies: Policies): void {
    this.#inForce = policies;
  }
}
