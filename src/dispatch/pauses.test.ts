/** What is paused, and what that does to a chunk: every delivery is kept exactly once, whatever is paused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LANES } from '../policy/index.ts';
import { PAUSE_SCOPES, type Paused, Pauses, planChunk } from './pauses.ts';

const NAMES = { alert: ['a', 'b', 'c'], lane: LANES, route: ['r', 's'], bind: ['x', 'y'] } as const;
const paused = fc
  .constantFrom(...PAUSE_SCOPES)
  .chain((scope) => fc.constantFrom(...NAMES[scope]).map((name): Paused => ({ scope, name })));
const chunkOf = fc
  .record({ lane: fc.constantFrom(...LANES), route: fc.constantFrom('r', 's'), single: fc.boolean() })
  .chain(({ lane, route, single }) =>
    fc.array(single ? fc.constant('a') : fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }).map((alerts) => ({
      alert: single ? 'a' : null,
      waiting: alerts.map((alert, position) => ({ alert, position, chunk: { lane, route } })),
    })),
  );

describe('the plan for a chunk', () => {
  test('lets go out what is not paused, and nothing else; no delivery is lost or taken twice', () => {
    fc.assert(
      fc.property(fc.array(paused, { maxLength: 5 }), chunkOf, (acts, chunk) => {
        const pauses = new Pauses(acts);
        const plan = planChunk(pauses, 'x', chunk);
        const free = chunk.waiting.filter((item) => pauses.holds('x', item) === null);
        switch (plan.kind) {
          case 'keep':
            expect(free).toEqual(chunk.waiting);
            break;
          case 'return':
            expect(free).toEqual([]);
            // A parked chunk has no job: what is in it must all be that alert's.
            if (plan.as === 'parked')
              expect(chunk.waiting.every(({ alert }) => alert === chunk.alert && pauses.has('alert', alert))).toBe(
                true,
              );
            break;
          case 'split': {
            expect(plan.stay).toEqual(free);
            const moved = [...plan.parked].flatMap(([alert, items]) => {
              expect(items.every((item) => item.alert === alert)).toBe(true);
              return items;
            });
            const all = [...plan.stay, ...moved].sort((a, b) => a.position - b.position);
            expect(all).toEqual(chunk.waiting);
            break;
          }
        }
      }),
    );
  });
});

test('what changed since before is exactly what is paused now and was not, and the other way round', () => {
  fc.assert(
    fc.property(fc.array(paused), fc.array(paused), (before, now) => {
      const change = new Pauses(now).since(new Pauses(before));
      const replayed = new Pauses([
        ...before.filter((b) => !change.resumed.some(({ scope, name }) => scope === b.scope && name === b.name)),
        ...change.paused,
      ]);
      expect(replayed.since(new Pauses(now))).toEqual({ paused: [], resumed: [] });
      for (const { scope, name } of change.paused) expect(new Pauses(before).has(scope, name)).toBe(false);
      for (const { scope, name } of change.resumed) expect(new Pauses(now).has(scope, name)).toBe(false);
    }),
  );
});
