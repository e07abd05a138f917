import { expect, test } from 'vitest';
import { DayWalk } from './day-walk.ts';

const NOON = Date.UTC(2026, 10, 25, 12);

test('goes through each day of the horizon, newest first, and through each by its cursor', () => {
  const walk = new DayWalk(0);
  expect(walk.step).toBe(null);
  walk.startAt(NOON, 2);
  const seen: string[] = [];
  for (let step = walk.step; step !== null; step = walk.step) {
    seen.push(`${step.day}/${step.cursor}`);
    walk.advance(step, step.cursor < 1 ? step.cursor + 1 : null);
  }
  expect(seen).toEqual(['25/0', '25/1', '24/0', '24/1', '23/0', '23/1'].map((at) => `2026-11-${at}`));
});

test('a step taken before the walk was begun anew does not move it', () => {
  const walk = new DayWalk(0);
  walk.startAt(NOON, 0);
  const { step } = walk;
  walk.startAt(NOON, 0);
  expect(step !== null && walk.advance(step, 5)).toBe(false);
  expect(walk.step).toEqual({ day: '2026-11-25', cursor: 0 });
});
