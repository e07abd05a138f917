/**
 * When the last segment of an alert will have been handed to a carrier, as far as can be known at intake: what waits
 * ahead of it on each of its routes, its own segments, and the routes' contracted TPS. An estimate, no promise: it leaves
 * out throttling by carriers, retries, and other lanes' work that comes later.
 */
import type { EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';

/** How much work waits, by a cheap estimate in memory. */
export interface Backlog {
  /** What waits on a route and would be sent before new work of this lane. */
  ahead(route: string, lane: LaneName): number;
  /** Intake has made this much more durable. */
  add(route: string, lane: LaneName, deliveries: number): void;
}

/** An alert's part on one of its routes. */
export interface RouteLoad {
  readonly route: string;
  readonly tps: number;
  readonly ahead: number;
  readonly segments: number;
}

/** The latest of the routes. Work for later finds the queue shorter by what is sent until then. */
export function predictSubmitAt(now: EpochMs, holdUntil: EpochMs | null, loads: readonly RouteLoad[]): EpochMs {
  const earliest = holdUntil ?? now;
  let latest = earliest;
  for (const { tps, ahead, segments } of loads) {
    const start = Math.max(now + (ahead / tps) * 1_000, earliest);
    latest = Math.max(latest, start + (segments / tps) * 1_000);
  }
  return Math.ceil(latest);
}
