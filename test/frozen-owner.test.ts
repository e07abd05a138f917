/**
 * Goal: of two servers the one that holds the bind is frozen (SIGSTOP) for longer than its lease, where it hurts most. The
 * other sends on; what the first still writes when it wakes is one socket write at most, and marked.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CrashRig, K } from './support/crash-rig.ts';

let rig: CrashRig;
beforeAll(async () => {
  rig = await CrashRig.open(2);
  rig.points.passed.clear();
  expect((await rig.round()).faults).toEqual([]);
}, 120_000);
afterAll(() => rig?.close());

test.for([
  ['with a claim open, its rows locked', /^sql claims: commit after insert chain_entry .* — before$/],
  ['with facts of the journal open', /^sql journal: commit .* — before$/],
] as const)('%s', { timeout: 90_000 }, async ([, name]) => {
  const point = [...rig.points.passed.keys()].find((known) => name.test(known));
  expect(point, `a point like ${name}`).toBeDefined();
  const { fired, faults, copies, lateWrites, recoveredMs } = await rig.round({
    point: point as string,
    strike: 'freeze',
  });
  expect(fired?.point).toBe(point);
  expect(faults).toEqual([]);
  expect(copies).toBeLessThanOrEqual(K);
  expect(lateWrites).toBeLessThanOrEqual(1);
  if (recoveredMs !== null) expect(recoveredMs).toBeLessThan(6_000);
});
