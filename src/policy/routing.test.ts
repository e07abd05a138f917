import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { msisdns, route, routeTables } from '../../test/support/routing.ts';
import { LANES, type LaneName } from './lanes.ts';
import { checkRoutes, compileRouting, type Route, routeCase, routeOf } from './routing.ts';

describe('routing', () => {
  const routing = compileRouting([
    route('world', ['+']),
    route('uk', ['+44']),
    route('uk-mobile', ['+447', '+4478']),
    route('uk-emergency', ['+44', '+4479'], ['emergency']),
  ]);

  test.each([
    ['+33639980001', 'bulk', 'world'],
    ['+442079460001', 'bulk', 'uk'],
    ['+447700900001', 'bulk', 'uk-mobile'],
    ['+442079460001', 'emergency', 'uk-emergency'],
    // The longest prefix comes before the lane: only between equal prefixes does the lane decide.
    ['+447700900001', 'emergency', 'uk-mobile'],
    ['+447900000001', 'emergency', 'uk-emergency'],
  ] as const)('%s in lane %s leaves by %s', (msisdn, lane, expected) => {
    expect(routeOf(routing, msisdn, lane).name).toBe(expected);
  });

  test('what is no E.164 number has no route, and the error does not repeat it', () => {
    expect(() => routeOf(routing, '07700900001', 'bulk')).toThrow(/^(?!.*07700900001)/);
    expect(() => routeOf(routing, '', 'bulk')).toThrow(RangeError);
  });

  test('the longest prefix wins, then the lane, whatever the order of the routes', () => {
    fc.assert(
      fc.property(routeTables, fc.array(msisdns, { minLength: 1, maxLength: 20 }), (routes, numbers) => {
        const compiled = compileRouting(routes);
        for (const number of numbers) {
          for (const lane of LANES) expect(routeOf(compiled, number, lane)).toBe(oracle(routes, number, lane));
        }
      }),
    );
  });

  test('the SQL for a table with one route is a constant', () => {
    const one = compileRouting([route('only', ['+', '+44'])]);
    expect(routeCase(one, 'bulk', 'r.msisdn', () => 7)).toBe('7::smallint');
  });

  test('only plain columns and whole ids get into the SQL', () => {
    expect(() => routeCase(routing, 'bulk', 'msisdn) OR (true', () => 1)).toThrow(RangeError);
    expect(() => routeCase(routing, 'bulk', 'msisdn', () => Number.NaN)).toThrow(RangeError);
    const smuggled = {
      ...routing,
      byPrefix: {
        ...routing.byPrefix,
        bulk: new Map([
          ['+', route('a', [])],
          ["+'--", route('b', [])],
        ]),
      },
    };
    expect(() => routeCase(smuggled, 'bulk', 'msisdn', () => 1)).toThrow(RangeError);
  });

  test('repetitions and gaps are named with their place', () => {
    const found: string[] = [];
    checkRoutes(
      [
        { ...route('a', ['+44', '+44'], ['bulk', 'bulk']), binds: ['x', 'x'] },
        route('a', ['+44']),
        route('b', ['+44', '+1'], ['emergency']),
        route('c', ['+1'], ['bulk', 'emergency']),
        route('d', ['+'], ['bulk', 'security']),
      ],
      (path, reason) => found.push(`${path.join('.')}: ${reason}`),
    );
    expect(found).toEqual([
      '0.binds.1: names the same carrier twice',
      '0.lanes.1: names the same lane twice',
      "0.prefixes.0: '+44' for bulk is taken by route 'a'",
      "0.prefixes.1: '+44' for bulk is taken by route 'a'",
      "0.prefixes.1: '+44' for bulk is taken by route 'a'",
      "1.name: a route named 'a' stands above",
      "3.prefixes.0: '+1' for emergency is taken by route 'b'",
      ": lane emergency has no route with the prefix '+', which takes the numbers that no other prefix does",
      ": lane transaction has no route with the prefix '+', which takes the numbers that no other prefix does",
    ]);
  });
});

/** The rule as DESIGN says it, without tables: look at every prefix of every route. */
function oracle(routes: readonly Route[], msisdn: string, lane: LaneName): Route | undefined {
  return routes
    .flatMap((candidate) => candidate.prefixes.map((prefix) => ({ candidate, prefix })))
    .filter(({ candidate, prefix }) => msisdn.startsWith(prefix) && (candidate.lanes?.includes(lane) ?? true))
    .sort(
      (a, b) =>
        b.prefix.length - a.prefix.length || Number(b.candidate.lanes !== null) - Number(a.candidate.lanes !== null),
    )[0]?.candidate;
}
