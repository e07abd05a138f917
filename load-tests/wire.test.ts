/** The scenarios themselves on few messages: their figures are worth nothing here, that they still find all right is. */
import { expect, test } from 'vitest';
import { windowUse } from './window.ts';
import { measureWire } from './wire.ts';

test('the wire scenario accounts for every message and every receipt on both sides', async () => {
  expect(await measureWire(5_000)).toMatchObject({ scenario: 'wire', correct: true, messages: 5_000 });
});

test('the window scenario does too, and no window is used by more than all of it', async () => {
  const figures = await windowUse({ messages: '500' });
  expect(figures).toMatchObject({ scenario: 'window', correct: true, messages: 500, window: 100 });
  expect(figures.meanAnswerMs).toBeGreaterThanOrEqual(20);
  expect(figures.utilisation).toBeLessThanOrEqual(1);
});
