import fc from 'fast-check';
import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { IdAllocator, idBlockSize } from './ids.ts';

const { database } = await testDatabase();

test('ids of several processes at once never meet, and each request is one run', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: idBlockSize })), { minLength: 1, maxLength: 40 }),
      async (requests) => {
        const processes = [1, 2, 3].map(() => new IdAllocator(database.pools.control));
        const runs = await Promise.all(
          requests.map(async ([who, n]) => ({ first: (await processes[who]?.take(n)) ?? 0, n })),
        );
        runs.sort((a, b) => a.first - b.first);
        for (const [i, { first }] of runs.entries()) {
          const before = runs[i - 1];
          expect(first).toBeGreaterThan(0);
          if (before !== undefined) expect(first).toBeGreaterThanOrEqual(before.first + before.n);
        }
      },
    ),
    { numRuns: 20 },
  );
});

test('small requests waste nothing: a block serves 5,000 of them', async () => {
  const ids = new IdAllocator(database.pools.control);
  const taken: number[] = [];
  for (let i = 0; i < 2 * idBlockSize; i++) taken.push(await ids.take(1));
  expect(new Set(taken).size).toBe(taken.length);
  const gaps = taken.filter((id, i) => i > 0 && id !== (taken[i - 1] ?? 0) + 1);
  expect(gaps.length).toBeLessThanOrEqual(1);
});

test('more than a block, none, or a part of one is refused', async () => {
  const ids = new IdAllocator(database.pools.control);
  for (const n of [0, -1, 1.5, idBlockSize + 1, Number.NaN])
    await expect(ids.take(n)).rejects.toBeInstanceOf(RangeError);
});
