import { expect, test } from 'vitest';
import { allKnown, whenKnown } from './known.ts';

test('what is known goes on at once, what comes later goes on when it comes, and a failure is one either way', async () => {
  expect(whenKnown(2, (n) => n + 1)).toBe(3);
  expect(await whenKnown(Promise.resolve(2), (n) => n + 1)).toBe(3);
  expect(() =>
    whenKnown(2, () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  await expect(
    whenKnown(Promise.resolve(2), () => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
});

test('of several, one that comes later makes all of them come later, in their order', async () => {
  expect(allKnown([1, 2])).toEqual([1, 2]);
  const all = allKnown([1, Promise.resolve(2), 3]);
  expect(all).toBeInstanceOf(Promise);
  expect(await all).toEqual([1, 2, 3]);
});
