import { expect, test } from 'vitest';
import { DISPATCH_CHANNEL } from './chunks.ts';
import { DispatchNews } from './news.ts';

test('news that come while others are told are told together, each queue once', async () => {
  const told: string[] = [];
  const pending: (() => void)[] = [];
  const news = new DispatchNews({
    notify: (channel, payload) => {
      told.push(`${channel} ${payload}`);
      return new Promise((resolve) => pending.push(resolve));
    },
  });
  news.announce([]);
  expect(told).toEqual([]);
  news.announce([{ route: 'a', lane: 'bulk' }]);
  for (let n = 0; n < 5; n++) {
    news.announce([
      { route: 'b', lane: 'security' },
      { route: 'a', lane: 'bulk' },
    ]);
  }
  expect(told).toEqual([`${DISPATCH_CHANNEL} a.bulk`]);
  pending.shift()?.();
  await Promise.resolve();
  await Promise.resolve();
  expect(told.slice(1)).toEqual([`${DISPATCH_CHANNEL} a.bulk,b.security`]);
  pending.shift()?.();
  await new Promise((resolve) => setImmediate(resolve));
  news.announce([{ route: 'c', lane: 'transaction' }]);
  expect(told.slice(2)).toEqual([`${DISPATCH_CHANNEL} c.transaction`]);
});
