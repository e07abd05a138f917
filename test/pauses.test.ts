/** `tocsin pause`, `resume` and `pauses` as an operator types them. */
import { hostname, userInfo } from 'node:os';
import { expect, test } from 'vitest';
import { tocsin } from './support/cli.ts';
import { testDatabase } from './support/database.ts';

const db = await testDatabase();
const run = (...args: string[]) => tocsin(args, { DATABASE_URL: db.url });

test('a lane is paused with a reason, listed, and resumed', {
  timeout: 60_000,
}, async () => {
  const by = `${userInfo().username}@${hostname()}`;
  const paused = expect.stringMatching(
    new RegExp(
      `^lane bulk is paused since 20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC by ${by}: carrier asks for calm\\n$`,
    ),
  );
  expect(await run('pause', 'lane', 'bulk', '--why', 'carrier asks for calm')).toEqual({
    code: 0,
    out: paused,
    err: '',
  });
  expect(await run('pauses')).toEqual({ code: 0, out: paused, err: '' });
  expect(await run('resume', 'lane', 'bulk')).toEqual({ code: 0, out: 'lane bulk is not paused\n', err: '' });
  expect(await run('pauses')).toMatchObject({ out: 'nothing is paused\n' });
});

test('what does not exist is named, with what does', { timeout: 60_000 }, async () => {
  await db.database.pools.control.query(`INSERT INTO bind (name) VALUES ('near'), ('far')`);
  const [lane, bind, scope] = await Promise.all([
    run('pause', 'lane', 'slow', '--why', 'x'),
    run('resume', 'bind', 'fra'),
    run('pause', 'alert', 'x', '--why', 'x'),
  ]);
  expect(lane).toMatchObject({
    code: 1,
    err: expect.stringContaining('there is no lane "slow"; choose from emergency, security'),
  });
  expect(bind).toMatchObject({ code: 1, err: 'there is no bind "fra"; choose from far, near\n' });
  expect(scope).toMatchObject({
    code: 1,
    err: 'there is no "alert" to pause or resume; choose from lane, route, bind\n',
  });
});
