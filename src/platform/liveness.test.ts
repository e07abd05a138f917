import { afterAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { Liveness } from './liveness.ts';

const { target, terminateBackends } = await testDatabase();
const [mine, other] = [new Liveness(target), new Liveness(target, 'other')];
afterAll(() => Promise.all([mine.close(), other.close()]));

test('a lock is held by one process at a time, until it lets go', async () => {
  expect(await mine.tryLock(7, 'a')).toBe(true);
  expect(await mine.tryLock(7, 'a')).toBe(true);
  expect(await other.tryLock(7, 'a')).toBe(false);
  expect(await other.tryLock(7, 'b')).toBe(true);
  expect(await other.tryLock(8, 'a')).toBe(true);
  await mine.unlock(7, 'a');
  expect(await other.tryLock(7, 'a')).toBe(true);
});

test('a process that dies lets go of all it held', async () => {
  expect(await other.tryLock(9, 'c')).toBe(true);
  expect(await mine.tryLock(9, 'c')).toBe(false);
  expect(await terminateBackends('other alive')).toBe(1);
  while (!(await mine.tryLock(9, 'c')));
  // As soon as the other hears of its session's end its own record is gone too: it asks again, and is told no.
  await expect.poll(() => other.tryLock(9, 'c')).toBe(false);
});

test('letting go of what is not held does nothing', async () => {
  await mine.unlock(1, 'never');
  expect(await mine.tryLock(1, 'never')).toBe(true);
});
