import fc from 'fast-check';
import { expect, test } from 'vitest';
import { userReferenceOf } from '../smpp/index.ts';
import { type Open, Unanswered } from './unanswered.ts';

const open = (delivery: number, msisdn: string, segment = 1): Open => ({ delivery, attempt: 1, segment, msisdn });
const same = (each: Open): Open => each;

test('an open submission is found by number and reference, and by nothing else', () => {
  const unanswered = new Unanswered(same, 100);
  const [first, second, other] = [open(7, '+447700900001'), open(8, '+447700900001'), open(9, '+447700900002')];
  for (const each of [first, second, other]) unanswered.add(each);
  expect(unanswered.find('447700900001', userReferenceOf(first))).toBe(first);
  expect(unanswered.find('+447700900001', userReferenceOf(second))).toBe(second);
  expect(unanswered.find('447700900002', userReferenceOf(first))).toBe(null);
  expect(unanswered.find('447700900003', userReferenceOf(first))).toBe(null);
  unanswered.delete(first);
  unanswered.delete(first);
  expect(unanswered.find('447700900001', userReferenceOf(first))).toBe(null);
  expect(unanswered.size).toBe(2);
});

test('two that can not be told apart are both left in doubt', () => {
  const unanswered = new Unanswered(same, 100);
  const twins = [open(7, '+447700900001'), open(7, '+447700900001')];
  for (const each of twins) unanswered.add(each);
  expect(unanswered.find('447700900001', userReferenceOf(twins[0] as Open))).toBe(null);
});

test('never holds more than it may, and forgets what is oldest', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean()), { maxLength: 200 }),
      (max, steps) => {
        const unanswered = new Unanswered(same, max);
        const added: Open[] = [];
        for (const [i, [number, drop]] of steps.entries()) {
          if (drop && added.length > 0) unanswered.delete(added.shift() as Open);
          else {
            const each = open(i, `+44770090000${number}`);
            added.push(each);
            unanswered.add(each);
          }
          expect(unanswered.size).toBeLessThanOrEqual(max);
          expect(unanswered.size).toBeGreaterThanOrEqual(0);
        }
        for (const each of added) unanswered.delete(each);
        expect(unanswered.size).toBe(0);
      },
    ),
  );
});
