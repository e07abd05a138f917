import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedMap } from './bounded-map.ts';

const KEYS = Array.from({ length: 31 }, (_, key) => key);

test('holds the entries that were set last, whatever was deleted and set again in between', () => {
  const key = fc.nat({ max: 30 });
  const step = fc.oneof(
    { weight: 60, arbitrary: fc.record({ kind: fc.constant('set' as const), key }) },
    { weight: 20, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
    { weight: 10, arbitrary: fc.record({ kind: fc.constant('drop' as const), key }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), key }) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 400, size: 'max' }), (max, steps) => {
      const map = new BoundedMap<number, number>(max);
      let model: [number, number][] = [];
      for (const [n, { kind, key: at }] of steps.entries()) {
        if (kind === 'set') {
          map.set(at, n);
          model = [...model.filter(([other]) => other !== at), [at, n] satisfies [number, number]].slice(-max);
        } else if (kind === 'delete') {
          expect(map.delete(at)).toBe(model.some(([other]) => other === at));
          model = model.filter(([other]) => other !== at);
        } else if (kind === 'drop') {
          expect(map.dropOldest()).toBe(model.length > 0);
          model = model.slice(1);
        } else {
          map.clear();
          model = [];
        }
        const held = KEYS.flatMap((each) => {
          const value = map.get(each);
          return value === undefined ? [] : [[each, value]];
        });
        if (map.size !== model.length || held.length !== model.length) expect(held).toEqual(model);
      }
      const left = KEYS.filter((each) => map.get(each) !== undefined);
      expect(left.map((each) => [each, map.get(each)])).toEqual(model.toSorted(([a], [b]) => a - b));
    }),
  );
});
