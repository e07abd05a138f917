/** The long form of crash.test.ts: ten kills. */
import { test } from 'vitest';
import { killInBroadcast } from './support/kill-broadcast.ts';

test(
  'ten kill -9 in the middle of a broadcast lose nothing, and what went out twice is marked',
  {
    timeout: 240_000,
  },
  () => killInBroadcast(10, 3_000),
);
