import { expect, test } from 'vitest';
import { FieldError } from './errors.ts';
import { PRIORITY_FLAG_MAX, priorityFlag } from './priority.ts';

test.each([0, 1, 2, 3, 4])('priority_flag %i is one of SMPP 5.0, and up to 3 one of 3.4', (flag) => {
  expect(priorityFlag(flag)).toBe(flag);
  if (flag <= 3) expect(priorityFlag(flag, PRIORITY_FLAG_MAX['3.4'])).toBe(flag);
  else expect(() => priorityFlag(flag, PRIORITY_FLAG_MAX['3.4'])).toThrow(/priority_flag is not an integer of 0\.\.3/);
});

test.each([-1, 5, 255, 256, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('priority_flag %d is none', (flag) => {
  expect(() => priorityFlag(flag)).toThrow(FieldError);
});
