import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { msisdns, route, routeTables, SENDERS } from '../../test/support/routing.ts';
import { LANES, type LaneName } from './lanes.ts';
import { checkRoutes, compileRouting, type Route, routeCase, routeOf, routesOfLane } from './routing.ts';
import { explainRoute } from './routing-explain.ts';

describe('routing', () => {
  const routing = compileRouting([
    route('world', ['+']),
    route('uk', ['+44']),
    route('uk-mobile', ['+447', '+4478']),
    route('uk-emergency', ['+44', '+4479'], ['emergency']),
    route('uk-bank', ['+44', '+4480'], null, ['Bank']),
    route('uk-bank-bulk', ['+44'], ['bulk'], ['Bank']),
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

  test.each([
    // The sender comes before the lane, and after the prefix.
    ['+442079460001', 'emergency', 'Bank', 'uk-bank'],
    ['+442079460001', 'bulk', 'Bank', 'uk-bank-bulk'],
    ['+442079460001', 'security', 'Bank', 'uk-bank'],
    ['+442079460001', 'bulk', 'bank', 'uk'],
    ['+442079460001', 'bulk', null, 'uk'],
    ['+447700900001', 'bulk', 'Bank', 'uk-mobile'],
    ['+448000000001', 'emergency', 'Bank', 'uk-bank'],
    ['+448000000001', 'emergency', 'Other', 'uk-emergency'],
  ] as const)('%s in lane %s from %s leaves by %s', (msisdn, lane, sender, expected) => {
    expect(routeOf(routing, msisdn, lane, sender).name).toBe(expected);
  });

  test('why a route won is told, with what each other lost by', () => {
    const { route: won, lost } = explainRoute(routing, '+442079460001', 'bulk', 'Bank');
    expect(won.name).toBe('uk-bank-bulk');
    expect(lost.map((rule) => `${rule.route}: ${rule.because}`)).toEqual([
      "uk-bank: with the same prefix, 'uk-bank-bulk' names the lane",
      "uk: with the same prefix, 'uk-bank-bulk' names the sender",
      'world: +44 is longer than +',
    ]);
  });

  test('what is no E.164 number has no route, and the error does not repeat it', () => {
    expect(() => routeOf(routing, '07700900001', 'bulk')).toThrow(/^(?!.*07700900001)/);
    expect(() => routeOf(routing, '', 'bulk')).toThrow(RangeError);
  });

  test('the longest prefix wins, then the sender, then the lane, whatever the order of the routes', () => {
    fc.assert(
      fc.property(routeTables, fc.array(msisdns, { minLength: 1, maxLength: 20 }), (routes, numbers) => {
        const compiled = compileRouting(routes);
        for (const number of numbers) {
          for (const lane of LANES) {
            for (const sender of SENDERS) {
              const expected = oracle(routes, number, lane, sender);
              expect(routeOf(compiled, number, lane, sender)).toBe(expected);
              expect(explainRoute(compiled, number, lane, sender).won.route).toBe(expected?.name);
              expect(routesOfLane(compiled, lane, sender)).toContain(expected?.name);
            }
          }
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
    const smuggled = compileRouting([route('a', ['+']), route('b', ["+'--"])]);
    expect(() => routeCase(smuggled, 'bulk', 'msisdn', () => 1)).toThrow(RangeError);
  });

  test('repetitions and gaps are named with their place', () => {
    const found: string[] = [];
    checkRoutes(
      [
        { ...route('a', ['+44', '+44'], ['bulk', 'bulk']), tiers: [['y'], ['x', 'x']], binds: ['y', 'x', 'x'] },
        route('a', ['+44']),
        route('b', ['+44', '+1'], ['emergency']),
        route('c', ['+1'], ['bulk', 'emergency']),
        route('d', ['+'], ['bulk', 'security']),
        // The sender is another matter, and takes nobody else's numbers.
        route('e', ['+44', '+'], null, ['S', 'S']),
        { ...route('f', [], ['bulk']), noRoute: { route: 'nowhere', statuses: null, errors: new Set() } },
        { ...route('g', ['+9']), noRoute: { route: 'f', statuses: null, errors: new Set() } },
        { ...route('h', ['+8']), noRoute: { route: 'h', statuses: null, errors: new Set() } },
      ],
      (path, reason) => found.push(`${path.join('.')}: ${reason}`),
    );
    expect(found).toEqual([
      '0.tiers.1.1: names the same carrier twice',
      '0.lanes.1: names the same lane twice',
      "0.prefixes.0: '+44' for bulk is taken by route 'a'",
      "0.prefixes.1: '+44' for bulk is taken by route 'a'",
      "0.prefixes.1: '+44' for bulk is taken by route 'a'",
      "1.name: a route named 'a' stands above",
      "3.prefixes.0: '+1' for emergency is taken by route 'b'",
      '5.senders.1: names the same sender twice',
      "5.prefixes.0: '+44' for every lane and sender 'S' is taken by route 'e'",
      "5.prefixes.1: '+' for every lane and sender 'S' is taken by route 'e'",
      "6.onNoRoute: there is no route 'nowhere'",
      "7.onNoRoute: route 'f' does not serve all lanes of this one",
      '8.onNoRoute: leads to the route itself',
      ": lane emergency has no route with the prefix '+', which takes the numbers that no other prefix does",
      ": lane transaction has no route with the prefix '+', which takes the numbers that no other prefix does",
    ]);
  });
});

/** The rule as it is written, without tables: look at every prefix of every route. */
function oracle(routes: readonly Route[], msisdn: string, lane: LaneName, sender: string | null): Route | undefined {
  return routes
    .flatMap((candidate) => candidate.prefixes.map((prefix) => ({ candidate, prefix })))
    .filter(
      ({ candidate: { lanes, senders }, prefix }) =>
        msisdn.startsWith(prefix) &&
        (lanes?.includes(lane) ?? true) &&
        (senders === null || (sender !== null && senders.includes(sender))),
    )
    .sort(
      (a, b) =>
        b.prefix.length - a.prefix.length ||
        Number(b.candidate.senders !== null) - Number(a.candidate.senders !== null) ||
        Number(b.candidate.lanes !== null) - Number(a.candidate.lanes !== null),
    )[0]?.candidate;
}
