/**
 * Which binds of a route take work from its queues: those of the first tier in which one is able and healthy. Pure.
 *
 * | a bind that is able | takes |
 * |---|---|
 * | healthy, and no earlier tier has one that is | whatever it has room for |
 * | unhealthy, and its tier or a later one has a healthy one | a chunk now and then, to learn whether it is well again |
 * | in the first tier with an able bind, and no bind of the route is healthy | whatever it has room for |
 * | any other | nothing |
 *
 * An earlier tier holds the later ones back until it has had nobody for a moment, so that a session which is opened again
 * at once, or binds that come up together at a start, send nothing to the spare carrier.
 */

/** What is known of one bind of the route. */
export interface Standing {
  /** Up, held by a process, neither paused nor resting nor about to leave. */
  readonly able: boolean;
  /** It is, or was a moment ago. */
  readonly lately: boolean;
  /** More fails or is late than is usual for it, and than does with the others. */
  readonly weak: boolean;
}

export type Pull = 'all' | 'probe' | 'none';

/** @param of the standing of each bind by its name. */
export function pullOf(tiers: readonly (readonly string[])[], bind: string, of: (bind: string) => Standing): Pull {
  const own = tiers.findIndex((tier) => tier.includes(bind));
  if (own < 0 || !of(bind).able) return 'none';
  const earlier = tiers.slice(0, own).flat().map(of);
  if (earlier.some(({ lately, weak }) => lately && !weak)) return 'none';
  if (!of(bind).weak) return 'all';
  // An earlier tier never has a healthy bind from here on.
  const rest = tiers.slice(own).flat().map(of);
  if (rest.some(({ able, weak }) => able && !weak)) return 'probe';
  return earlier.some(({ lately }) => lately) ? 'none' : 'all';
}
