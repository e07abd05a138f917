/** Routes for tests: tables that nest, and numbers that hit them. */
import fc from 'fast-check';
import { LANES, type LaneName } from '../../src/policy/lanes.ts';
import type { Route } from '../../src/policy/routing.ts';

export function route(name: string, prefixes: string[], lanes: LaneName[] | null = null): Route {
  return { name, prefixes, lanes, binds: ['carrier'] };
}

const digits = (min: number, max: number) =>
  // Few digits, so that prefixes nest and numbers hit them.
  fc.array(fc.constantFrom('1', '2', '3'), { minLength: min, maxLength: max }).map((parts) => parts.join(''));
export const msisdns = digits(7, 15).map((text) => `+${text}`);

/** Tables without contradictions: each prefix is taken once for every lane and once more for some lanes. */
export const routeTables: fc.Arbitrary<Route[]> = fc
  .array(fc.record({ prefix: digits(0, 5), lanes: fc.option(fc.subarray([...LANES], { minLength: 1 })) }), {
    maxLength: 30,
  })
  .map((rules) => {
    const taken = new Set(['+ *']);
    const routes = [route('rest', ['+'])];
    for (const { prefix, lanes } of rules) {
      const keys = (lanes ?? ['*']).map((lane) => `+${prefix} ${lane}`);
      if (keys.some((key) => taken.has(key))) continue;
      for (const key of keys) taken.add(key);
      routes.push(route(`r${routes.length}`, [`+${prefix}`], lanes));
    }
    return routes;
  })
  .chain((routes) => fc.shuffledSubarray(routes, { minLength: routes.length }));
