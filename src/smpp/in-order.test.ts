import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InOrder } from './in-order.ts';

test('whatever is settled when, the oldest is the first that is not', () => {
  const step = fc.oneof(
    fc.constant('add' as const),
    fc.nat({ max: 5_000 }).map((index) => index),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6_000, size: 'max' }), (steps) => {
      const queue = new InOrder<{ settled: boolean; id: number }>();
      const all: { settled: boolean; id: number }[] = [];
      for (const each of steps) {
        if (each === 'add') {
          const item = { settled: false, id: all.length };
          all.push(item);
          queue.add(item);
        } else if (all.length > 0) {
          (all[each % all.length] as { settled: boolean }).settled = true;
          queue.dropSettled();
        }
        expect(queue.oldest).toBe(all.find(({ settled }) => !settled));
      }
      queue.clear();
      expect(queue.oldest).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});
