import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChurnMap } from './churn-map.ts';

const MANY = 3_000;

/** Numbers from everywhere that ids come from, and texts; few enough to meet again. */
const key = fc.oneof(
  fc.nat({ max: 40 }),
  fc.nat({ max: 40 }).map((n) => n + 0x1_0000_0000),
  fc.constantFrom(-1, 0, 1.5, 0x7fff_ffff, 0x8000_0000, Number.MAX_SAFE_INTEGER),
  fc.nat({ max: 40 }).map((n) => `${n}`),
  fc.constantFrom('', 'é', '𝔸', 'x'.repeat(100)),
);
const step = fc.oneof(
  { weight: 60, arbitrary: fc.record({ kind: fc.constant('set' as const), key }) },
  { weight: 40, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  { weight: 20, arbitrary: fc.record({ kind: fc.constant('delete oldest' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), key }) },
);

test('tells the same as a Map, the oldest first, whatever came and went', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const map = new ChurnMap<number | string, number>();
      const model = new Map<number | string, number>();
      for (const [n, { kind, key: at }] of steps.entries()) {
        if (kind === 'set') {
          map.set(at, n);
          model.set(at, n);
        } else if (kind === 'delete') {
          expect(map.delete(at)).toBe(model.delete(at));
        } else if (kind === 'delete oldest') {
          const [oldest] = model.keys();
          expect(map.oldest?.[0]).toBe(oldest);
          if (oldest !== undefined) expect(map.delete(oldest)).toBe(model.delete(oldest));
        } else {
          map.clear();
          model.clear();
        }
        const [oldest] = model;
        expect([map.size, map.get(at), map.has(at)]).toEqual([model.size, model.get(at), model.has(at)]);
        expect(map.oldest).toEqual(oldest);
      }
      expect(map.values()).toEqual([...model.values()]);
    }),
  );
});

test('finds each of many that came at once, and is of use again when all went', () => {
  for (const keyOf of [(n: number) => n, (n: number) => `00f3a${n}`]) {
    const map = new ChurnMap<number | string, number>();
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < MANY; n++) map.set(keyOf(n), n);
      expect(map.values()).toEqual(Array.from({ length: MANY }, (_, n) => n));
      for (let n = MANY - 1; n >= 0; n--) {
        expect(map.get(keyOf(n))).toBe(n);
        expect(map.delete(keyOf(n))).toBe(true);
      }
      expect([map.size, map.oldest, map.values()]).toEqual([0, undefined, []]);
    }
  }
});

interface Store {
  set(key: number, value: object): unknown;
  delete(key: number): boolean;
}

/** How much the old generation grows, MB, while 120,000 entries of 1 KB come and go, 500 at a time. */
function keptOld(store: Store): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  const old = (): number =>
    getHeapSpaceStatistics().find((each) => each.space_name === 'old_space')?.space_used_size ?? 0;
  const put = (n: number): void => {
    store.set(
      n,
      Array.from({ length: 120 }, (_, i) => i),
    );
    store.delete(n - 500);
  };
  for (let n = 0; n < 20_000; n++) put(n);
  // Whatever is alive is old now, the store's own tables too.
  collect();
  const before = old();
  let most = 0;
  for (let n = 20_000; n < 140_000; n++) {
    put(n);
    if (n % 10_000 === 0) {
      collect({ type: 'minor' });
      most = Math.max(most, old() - before);
    }
  }
  return most / 1_000_000;
}

test('keeps nothing alive that was deleted, where a Map keeps nearly all of it', () => {
  expect(keptOld(new ChurnMap<number, object>())).toBeLessThan(5);
  expect(keptOld(new Map<number, object>())).toBeGreaterThan(10);
});
