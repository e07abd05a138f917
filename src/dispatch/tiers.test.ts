import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pullOf, type Standing } from './tiers.ts';

const ABLE: Standing = { able: true, lately: true, weak: false };
const WEAK: Standing = { able: true, lately: true, weak: true };
const DOWN: Standing = { able: false, lately: false, weak: false };
const JUST_DOWN: Standing = { able: false, lately: true, weak: false };

const TIERS = [['a', 'b'], ['c'], ['d', 'e']];
const pulls = (standings: Record<string, Standing>): Record<string, string> =>
  Object.fromEntries(TIERS.flat().map((bind) => [bind, pullOf(TIERS, bind, (each) => standings[each] ?? DOWN)]));

describe('who takes work', () => {
  test.each<[string, Record<string, Standing>, Record<string, string>]>([
    ['the first tier', { a: ABLE, b: ABLE, c: ABLE, d: ABLE }, { a: 'all', b: 'all' }],
    ['the second when the first is down', { c: ABLE, d: ABLE }, { c: 'all' }],
    ['nobody else for a moment after the first went down', { a: JUST_DOWN, c: ABLE }, {}],
    ['the third when two are down', { d: ABLE, e: ABLE }, { d: 'all', e: 'all' }],
    [
      'an unhealthy one only to be tried, beside a healthy one',
      { a: WEAK, b: ABLE, c: ABLE },
      { a: 'probe', b: 'all' },
    ],
    ['the next tier, where the first has only unhealthy ones', { a: WEAK, c: ABLE, d: ABLE }, { a: 'probe', c: 'all' }],
    ['the first tier, where none is healthy', { a: WEAK, b: WEAK, c: WEAK }, { a: 'all', b: 'all' }],
    ['nobody of a route without a bind', {}, {}],
  ])('%s', (_, standings, expected) => {
    expect(Object.fromEntries(Object.entries(pulls(standings)).filter(([, pull]) => pull !== 'none'))).toEqual(
      expected,
    );
  });

  const standing = fc.constantFrom(ABLE, WEAK, DOWN, JUST_DOWN);
  const everyone = fc.tuple(standing, standing, standing, standing, standing);

  test('where a bind is able somebody takes all, as soon as nobody was able lately who no longer is', () => {
    fc.assert(
      fc.property(everyone, (list) => {
        const standings = Object.fromEntries(TIERS.flat().map((bind, index) => [bind, list[index] as Standing]));
        const settled = !list.includes(JUST_DOWN);
        const all = Object.values(pulls(standings)).includes('all');
        expect(all).toBe(settled ? list.some(({ able }) => able) : all && list.some(({ able }) => able));
      }),
    );
  });

  test('all who take all are of one tier, unhealthy ones never beside healthy ones, and a later tier never before an able and healthy one', () => {
    fc.assert(
      fc.property(everyone, (list) => {
        const standings = Object.fromEntries(TIERS.flat().map((bind, index) => [bind, list[index] as Standing]));
        const taking = Object.entries(pulls(standings)).filter(([, pull]) => pull === 'all');
        const tierOf = (bind: string) => TIERS.findIndex((tier) => tier.includes(bind));
        expect(new Set(taking.map(([bind]) => tierOf(bind))).size).toBeLessThanOrEqual(1);
        expect(new Set(taking.map(([bind]) => standings[bind]?.weak)).size).toBeLessThanOrEqual(1);
        const [first] = taking;
        if (first === undefined) return;
        for (const bind of TIERS.slice(0, tierOf(first[0])).flat()) expect(standings[bind]).not.toBe(ABLE);
      }),
    );
  });
});
