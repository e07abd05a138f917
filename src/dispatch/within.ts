import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../platform/index.ts';

const LOOK_MS = 10;

/** Waits until `done`, at most `timeoutMs`. @returns whether it was done in time. */
export async function within(clock: Clock, timeoutMs: number, done: () => boolean): Promise<boolean> {
  const until = clock.monotonic() + timeoutMs;
  while (!done()) {
    if (clock.monotonic() >= until) return false;
    await sleep(LOOK_MS);
  }
  return true;
}
