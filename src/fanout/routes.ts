/** How deliveries of a route are cut into chunks. Pure. */
import type { Policies } from '../policy/index.ts';

export const CHUNK_MAX = 1_000;
/** A chunk is a quarter of a second of its route: small enough to change over between lanes, large enough to be cheap. */
const CHUNK_SECONDS = 0.25;

/** Contracted submit_sm per second of a route: the binds of its first tier together. */
export function routeTps(policies: Pick<Policies, 'carriers' | 'routing'>, route: string): number {
  const found = policies.routing.routes.find(({ name }) => name === route);
  if (found === undefined) throw new RangeError(`no route ${route}`);
  return (found.tiers[0] ?? []).reduce((sum, bind) => sum + (policies.carriers[bind]?.tps ?? 0), 0);
}

/** Deliveries in a full chunk of a route with this TPS: 1–1,000. */
export function chunkSize(tps: number): number {
  return Math.max(1, Math.min(CHUNK_MAX, Math.floor(tps * CHUNK_SECONDS)));
}
