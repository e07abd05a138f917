/**
 * Where a delivery goes when its carrier says that it has no way to the number: once, and only where the carrier has taken
 * nothing of it, so that no number is ever at two carriers. Pure.
 */
import type { EpochMs } from '../platform/index.ts';
import { type LaneName, type LanePolicy, type NoRoute, type RoutingPolicy, routeOf } from '../policy/index.ts';
import type { JournalOp } from '../records/index.ts';
import type { StatusClass } from '../smpp/index.ts';
import type { Track } from './receipts.ts';
import type { DispatchExtra } from './types.ts';

/** What is looked at of a delivery that is being tried. */
export interface Tried {
  readonly msisdn: string;
  readonly sender: string | null;
  readonly lane: LaneName;
  /** The route of the chunk that it is in. */
  readonly route: string;
  /** The one that it had when it was made; null when policy has it no longer. */
  readonly firstRoute: string | null;
  /** It was sent before, and nobody knows how that ended. */
  readonly possibleDuplicate: boolean;
}

/** The second route of a delivery that is still on its first; null where there is none. */
export function secondRouteOf(routing: RoutingPolicy, tried: Tried): NoRoute | null {
  if (tried.possibleDuplicate) return null;
  const route = routing.routes.find(({ name }) => name === tried.route);
  if (route === undefined || route.noRoute === null) return null;
  if (tried.firstRoute === tried.route) return route.noRoute;
  // Its first route is gone: the one that it has instead is where it starts.
  if (tried.firstRoute !== null) return null;
  return routeOf(routing, tried.msisdn, tried.lane, tried.sender) === route ? route.noRoute : null;
}

/** Whether this answer to a submit_sm says that there is no way to the number. What is about the account never does. */
export function saysNoRoute({ statuses }: NoRoute, status: number, kind: StatusClass): boolean {
  if (kind === 'ok' || kind === 'bind' || kind === 'throttled') return false;
  return statuses === null ? kind === 'address' : statuses.has(status);
}

/**
 * What a receipt of a failure leads to where it says that there is no way to the number: the first carrier's part is over,
 * and a chunk of the other route has the delivery. Null where it says no such thing, or nothing of its time or tries is left.
 */
export function moveOn(
  { elsewhere, day, delivery, alert }: Track,
  attempt: number,
  error: string | null,
  by: { bind: number; now: EpochMs; lanes: Readonly<Record<LaneName, LanePolicy>>; nextId: () => number },
): Pick<JournalOp<DispatchExtra>, 'release' | 'extra'> | null {
  if (elsewhere === null || error === null || !elsewhere.errors.has(error)) return null;
  const { route, lane, rank, expiresAt } = elsewhere;
  const { retry, minRemainingMs } = by.lanes[lane];
  if (attempt >= retry.budget || expiresAt - by.now < minRemainingMs) return null;
  const what = { day, delivery };
  return {
    release: {
      ...what,
      id: by.nextId(),
      attempt,
      segment: 1,
      bind: by.bind,
      reason: 'other-route',
      status: null,
      at: by.now,
    },
    extra: {
      ...{ kind: 'retry', ...what, lane, route, rank, alert, attempt: attempt + 1 },
      ...{ returns: 0, possibleDuplicate: false, due: by.now, expiresAt, chunkId: by.nextId() },
    },
  };
}

/** The routes that lead on, so that the hot path asks no further where there is none. */
export const leadingOn = ({ routes }: RoutingPolicy): ReadonlySet<string> =>
  new Set(routes.filter(({ noRoute }) => noRoute !== null).map(({ name }) => name));
