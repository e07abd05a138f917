/** Routes for tests: tables that nest, and numbers that hit them. */
import fc from 'fast-check';
import { LANES, type LaneName } from '../../src/policy/lanes.ts';
import type { Route } from '../../src/policy/routing.ts';

export function route(
  name: string,
  prefixes: string[],
  lanes: LaneName[] | null = null,
  senders: string[] | null = null,
): Route {
  return { name, prefixes, lanes, senders, tiers: [['carrier']], binds: ['carrier'], noRoute: null };
}

const digits = (min: number, max: number) =>
  // Few digits, so that prefixes nest and numbers hit them.
  fc.array(fc.constantFrom('1', '2', '3'), { minLength: min, maxLength: max }).map((parts) => parts.join(''));
export const msisdns = digits(7, 15).map((text) => `+${text}`);

/** As alerts name them; null: the alert names none. */
export const SENDERS = ['Bank', '+3310', null] as const;
const named = SENDERS.filter((sender) => sender !== null);

/** Tables without contradictions: each prefix is taken once for all, and once more for some lanes, or some senders. */
export const routeTables: fc.Arbitrary<Route[]> = fc
  .array(
    fc.record({
      prefix: digits(0, 5),
      lanes: fc.option(fc.subarray([...LANES], { minLength: 1 })),
      senders: fc.option(fc.subarray(named, { minLength: 1 })),
    }),
    { maxLength: 30 },
  )
  .map((rules) => {
    const taken = new Set(['+ * *']);
    const routes = [route('rest', ['+'])];
    for (const { prefix, lanes, senders } of rules) {
      const keys = (lanes ?? ['*']).flatMap((lane) => (senders ?? ['*']).map((from) => `+${prefix} ${lane} ${from}`));
      if (keys.some((key) => taken.has(key))) continue;
      for (const key of keys) taken.add(key);
      routes.push(route(`r${routes.length}`, [`+${prefix}`], lanes, senders));
    }
    return routes;
  })
  .chain((routes) => fc.shuffledSubarray(routes, { minLength: routes.length }));
