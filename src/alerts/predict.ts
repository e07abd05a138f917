/**
 * When the last segment of an alert will have been handed to a carrier, as far as can be known at intake: what waits
 * ahead of it on each of its routes, its own segments, and the routes' contracted TPS. An estimate, no promise: it leaves
 * out throttling by carriers, retries, and other lanes' work that comes later.
 */
import type { EpochMs } from '../platform/index.ts';
import type { LaneName, Policies } from '../policy/index.ts';

/** How much work waits, by a cheap estimate in memory. */
export interface Backlog {
  /** Segments that wait on a route and would be sent before new work of this lane. */
  segmentsAhead(route: string, lane: LaneName): number;
  /** Intake has made this much more durable; it counts until dispatch sees it itself. */
  accepted(route: string, lane: LaneName, segments: number): void;
}

export interface RouteLoad {
  readonly tps: number;
  readonly segmentsAhead: number;
  readonly segments: number;
}

/** The latest of the routes. Work for later finds the queue shorter by what is sent until then. */
export function predictSubmitAt(now: EpochMs, holdUntil: EpochMs | null, loads: readonly RouteLoad[]): EpochMs {
  let latest = holdUntil ?? now;
  for (const { tps, segmentsAhead, segments } of loads) {
    const start = Math.max(now + (segmentsAhead / tps) * 1_000, holdUntil ?? now);
    latest = Math.max(latest, start + (segments / tps) * 1_000);
  }
  return Math.ceil(latest);
}

/** Contracted submit_sm per second of a route: all its binds together. */
export function routeTps(policies: Policies, route: string): number {
  const found = policies.routing.routes.find(({ name }) => name === route);
  if (found === undefined) throw new RangeError(`no route ${route}`);
  return found.binds.reduce((sum, bind) => sum + (policies.carriers[bind]?.tps ?? 0), 0);
}
