import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { addDays, DatabaseClock, ManualClock, utcDay } from './clock.ts';
import { readDatabaseTime } from './database.ts';

const { database } = await testDatabase();

test('the clock shows database time to within its round trip', async () => {
  const clock = await DatabaseClock.open(() => readDatabaseTime(database.pools.control));
  const before = clock.now();
  const there = await readDatabaseTime(database.pools.control);
  const after = clock.now();
  clock.close();
  expect(there).toBeGreaterThan(before - 5);
  expect(there).toBeLessThan(after + 5);
});

test('a step of the wall clock does not move it, a step of the database does', async () => {
  let databaseOffset = 5_000_000;
  let fails = false;
  const clock = await DatabaseClock.open(async () => {
    if (fails) throw new Error('no database');
    return performance.now() + databaseOffset;
  });
  const offset = (): number => clock.now() - performance.now();
  expect(Math.abs(offset() - 5_000_000)).toBeLessThan(2);
  databaseOffset += 1_000;
  await clock.measure();
  expect(Math.abs(offset() - 5_001_000)).toBeLessThan(2);
  fails = true;
  databaseOffset = 0;
  await clock.measure();
  expect(Math.abs(offset() - 5_001_000)).toBeLessThan(2);
  clock.close();
});

test('a slow answer does not shake it', async () => {
  let delayMs = 0;
  const clock = await DatabaseClock.open(async () => {
    const time = performance.now() + 1_000_000;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    return time;
  });
  const offset = (): number => clock.now() - performance.now();
  delayMs = 60;
  await clock.measure();
  // Half the round trip, 30 ms, would be the error of a clock that believes each measurement.
  expect(Math.abs(offset() - 1_000_000)).toBeLessThan(3);
  clock.close();
});

test('a manual clock stands still until it is moved', () => {
  const clock = new ManualClock(1_000);
  expect([clock.now(), clock.monotonic()]).toEqual([1_000, 0]);
  clock.advance(25);
  expect([clock.now(), clock.monotonic()]).toEqual([1_025, 25]);
});

test('the day of an instant is the UTC day, and days add up over years', () => {
  expect(utcDay(Date.UTC(2026, 11, 31, 23, 59, 59, 999))).toBe('2026-12-31');
  expect(utcDay(Date.UTC(2027, 0, 1))).toBe('2027-01-01');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.integer({ min: -400, max: 400 }), (ms, days) => {
      expect(utcDay(ms)).toBe(new Date(ms).toISOString().slice(0, 10));
      expect(addDays(utcDay(ms), days)).toBe(new Date(ms + days * 86_400_000).toISOString().slice(0, 10));
    }),
  );
});
