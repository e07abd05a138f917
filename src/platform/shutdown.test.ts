import { expect, test } from 'vitest';
import { Shutdown } from './shutdown.ts';

const log = { info: () => undefined, error: () => undefined };

test('steps run by order, those of one order together, once however often it is asked', async () => {
  const shutdown = new Shutdown(log);
  const done: string[] = [];
  const bothRun = Promise.withResolvers<void>();
  let running = 0;
  const together = (name: string) => async () => {
    if (++running === 2) bothRun.resolve();
    await bothRun.promise;
    done.push(name);
  };
  shutdown.add('database', 9, async () => void done.push('database'));
  shutdown.add('http', 1, together('http'));
  shutdown.add('gateways', 1, together('gateways'));
  const results = await Promise.all([shutdown.run('SIGTERM'), shutdown.run('SIGINT')]);
  expect(results).toEqual([true, true]);
  expect(done.slice(0, 2).sort()).toEqual(['gateways', 'http']);
  expect(done[2]).toBe('database');
});

test('a step that fails does not keep the next from running, and is told', async () => {
  const shutdown = new Shutdown(log);
  let stopped = false;
  shutdown.add('bad', 1, () => Promise.reject(new Error('no')));
  shutdown.add('worse', 1, () => {
    throw new Error('at once');
  });
  shutdown.add('database', 2, async () => {
    stopped = true;
  });
  expect(await shutdown.run('test')).toBe(false);
  expect(stopped).toBe(true);
});
