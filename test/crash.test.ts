/**
 * kill -9 of the server in the middle of a broadcast, at random instants: every delivery gets its final state, what went
 * out twice is at most K per kill and is marked in the records, and the chain still verifies. kill-broadcast.long.test.ts kills more
 * often.
 */
import { test } from 'vitest';
import { killInBroadcast } from './support/kill-broadcast.ts';

test(
  'kill -9 in the middle of a broadcast loses nothing, and marks what went out twice',
  {
    timeout: 120_000,
  },
  () => killInBroadcast(4, 1_200),
);
