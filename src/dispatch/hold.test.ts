/** Which chunks of a fetched batch a bind keeps: those at the head of the queue, in whatever order the batch came. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commitProxy } from '../../test/support/commit-proxy.ts';
import { testDatabase } from '../../test/support/database.ts';
import { DatabaseClock, openBoss, openDatabase, readDatabaseTime } from '../platform/index.ts';
import { LANES, type LaneName, loadPolicies, Names } from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues, queueName } from './chunks.ts';
import { byPlace, heldStill, type Insist, type TakeWish, takeChunks } from './hold.ts';
import { Planter } from './testing.ts';

const once: Insist = (work) => work();
const wish = (lane: LaneName, jobs: number, room: number): TakeWish => ({
  queue: queueName('default', lane),
  route: 'default',
  lane,
  jobs,
  room,
});

test('jobs are put in the order of their queue, however they were returned', () => {
  const job = fc.record({
    priority: fc.integer({ min: -3, max: 3 }),
    createdOn: fc.constantFrom('2026-11-25 16:28:52+00', '2026-11-25 16:28:52.1+00', '2026-11-25 16:28:52.123456+00'),
    data: fc.record({ chunk: fc.nat() }),
  });
  fc.assert(
    fc.property(fc.array(job, { minLength: 1 }), (jobs) => {
      const sorted = [...jobs].reverse().sort(byPlace);
      expect(sorted.map((each) => each.priority)).toEqual(jobs.map((each) => each.priority).sort((a, b) => b - a));
      for (const [index, { priority, createdOn }] of sorted.entries()) {
        const next = sorted[index + 1];
        if (next?.priority === priority) expect(createdOn.length).toBeLessThanOrEqual(next.createdOn.length);
      }
      expect(sorted).toEqual([...jobs].sort(byPlace));
    }),
  );
});

test('a bind with little room keeps the first chunks of a broadcast and leaves the later ones, under every plan', async () => {
  const db = await testDatabase();
  // The plan that returns a batch in the order of the table, not of the queue.
  await db.asSuperuser((session) =>
    session.exec(`alter database ${db.target.database} set enable_nestloop = off;
      alter database ${db.target.database} set enable_mergejoin = off`),
  );
  const boss = await openBoss({ target: db.target, onError: () => {} });
  try {
    const { pools } = db.database;
    const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
    const names = await Names.register(
      pools.control,
      loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL),
    );
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const { deliveries } = await planter.plant({ lane: 'bulk', route: 'default', count: 40, chunkSize: 2 });
    const holder = { process: 1, bind: names.bindId('demo-a'), fence: 1 };
    const take = () => takeChunks(pools.dispatch, boss, holder, wish('bulk', 20, 6), once);
    const [first, second] = [await take(), await take()];
    expect(first.map((taken) => taken.firstDelivery)).toEqual([deliveries[0], deliveries[2], deliveries[4]]);
    expect(second.map((taken) => taken.firstDelivery)).toEqual([deliveries[6], deliveries[8], deliveries[10]]);
    // Two chunks of equal priority: the older goes first.
    const older = await planter.plant({ lane: 'security', route: 'default', count: 1 });
    const younger = await planter.plant({ lane: 'security', route: 'default', count: 1 });
    const tied = await takeChunks(pools.dispatch, boss, holder, wish('security', 20, 6), once);
    expect(tied.map((taken) => taken.firstDelivery)).toEqual([older.deliveries[0], younger.deliveries[0]]);
    clock.close();
  } finally {
    await boss.stop({ graceful: false });
  }
});

test('chunks are kept when the answer to their COMMIT is lost, and left when the COMMIT itself is', async () => {
  const db = await testDatabase();
  const proxy = await commitProxy(db.target);
  const unreliable = await openDatabase({ target: proxy.target });
  const boss = await openBoss({ target: db.target, onError: () => {} });
  try {
    const { pools } = db.database;
    const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
    const names = await Names.register(
      pools.control,
      loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL),
    );
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const { deliveries } = await planter.plant({ lane: 'bulk', route: 'default', count: 4, chunkSize: 2 });
    const holder = { process: 1, bind: names.bindId('demo-a'), fence: 1 };
    const take = () => takeChunks(unreliable.pools.dispatch, boss, holder, wish('bulk', 1, 2), once);
    proxy.faults.push({ kind: 'lose-commit' }, { kind: 'lose-answer' });
    expect(await take()).toEqual([]);
    const taken = await take();
    expect(taken.map(({ firstDelivery }) => firstDelivery)).toEqual([deliveries[0]]);
    expect(proxy.fired).toBe(2);
    const ids = taken.map(({ chunk }) => chunk.id);
    expect(await heldStill(pools.dispatch, holder, ids)).toEqual(new Map([[ids[0], 0]]));
    expect(await heldStill(pools.dispatch, { ...holder, fence: 2 }, ids)).toEqual(new Map());
    clock.close();
  } finally {
    await boss.stop({ graceful: false });
    await unreliable.close();
  }
});
