import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DueQueue } from './due-queue.ts';

test('gives out the earliest first, and of equal ones the first that came, however they are pushed', () => {
  const steps = fc.array(fc.oneof(fc.nat(20), fc.constant('shift' as const)), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (each) => {
      const queue = new DueQueue<{ dueUs: number; number: number }>();
      const model: { dueUs: number; number: number }[] = [];
      for (const [number, step] of each.entries()) {
        if (step === 'shift') {
          model.sort((a, b) => a.dueUs - b.dueUs || a.number - b.number);
          expect(queue.peek()).toBe(model[0]);
          expect(queue.shift()).toBe(model.shift());
        } else {
          const item = { dueUs: step, number };
          queue.push(item);
          model.push(item);
        }
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});
