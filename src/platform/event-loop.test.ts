import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoopDelayMonitor } from './event-loop.ts';

test('a task that keeps the event loop for 60 ms shows as a delay of about that much, and an idle loop as little', async () => {
  const monitor = new LoopDelayMonitor();
  await sleep(100);
  const idle = monitor.read();
  const until = performance.now() + 60;
  while (performance.now() < until);
  await sleep(20);
  const { max, p99 } = monitor.read();
  monitor.close();
  expect(max).toBeGreaterThanOrEqual(50);
  expect(max).toBeGreaterThan(idle.max);
  expect(p99).toBeLessThanOrEqual(max);
});
