/** A slow bind takes a part of a chunk; what is left is there for the others, in its place. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type Clock, DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, type LaneName, loadPolicies, Names } from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues, insertChunks, queueName } from './chunks.ts';
import { type Insist, type Taken, takeChunks } from './hold.ts';
import { shareOut } from './split.ts';
import { type Boss, Planter } from './testing.ts';

const once: Insist = (work) => work();
let db: TestDatabase;
let boss: Boss;
let clock: Clock & { close(): void };
let names: Names;
let planter: Planter;
let cutId = 1e12;

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  const { control } = db.database.pools;
  clock = await DatabaseClock.open(() => readDatabaseTime(control));
  names = await Names.register(control, loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL));
  await createDispatchQueues(boss, ['default'], [...LANES]);
  planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
});
afterAll(async () => {
  clock.close();
  await boss.stop({ graceful: false });
});

/** As bind `bind` with room for so many, on the lane's queue. */
const take = (bind: number, lane: LaneName, room: number): Promise<Taken[]> =>
  takeChunks(
    db.database.pools.dispatch,
    boss,
    { process: 1, bind, fence: 1 },
    {
      queue: queueName('default', lane),
      route: 'default',
      lane,
      jobs: 20,
      room,
      cut: { slack: 0, nextId: () => cutId++ },
    },
    once,
  );
const idsOf = (taken: readonly Taken[]): number[] =>
  taken.flatMap(({ chunk, deliveryIds, firstDelivery }) =>
    (deliveryIds ?? Array.from({ length: chunk.size }, (_, index) => firstDelivery + index)).slice(chunk.claimedTo),
  );

test('every delivery is kept, or left in order; never more is kept than fits, and never nothing', () => {
  const found = fc.array(fc.record({ unclaimed: fc.integer({ min: 1, max: 50 }) }), { minLength: 1 });
  fc.assert(
    fc.property(found, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 30 }), (all, room, slack) => {
      const { whole, part, rest } = shareOut(all, room, slack);
      expect([...whole, ...(part === null ? [] : [part.of]), ...rest]).toEqual(all);
      const kept = whole.reduce((sum, { unclaimed }) => sum + unclaimed, part?.keep ?? 0);
      const there = all.reduce((sum, { unclaimed }) => sum + unclaimed, 0);
      expect(kept).toBeLessThanOrEqual(room + slack);
      expect(kept).toBeGreaterThanOrEqual(Math.min(room, there));
      if (part !== null) expect(part.keep).toBeLessThan(part.of.unclaimed);
    }),
  );
});

test('of a chunk of five a bind with room for one takes one, and another gets the other four before anything younger', async () => {
  const older = await planter.plant({ lane: 'transaction', route: 'default', count: 5, chunkSize: 5 });
  const younger = await planter.plant({ lane: 'transaction', route: 'default', count: 3, chunkSize: 3 });
  expect(idsOf(await take(1, 'transaction', 1))).toEqual(older.deliveries.slice(0, 1));
  expect(idsOf(await take(1, 'transaction', 2))).toEqual(older.deliveries.slice(1, 3));
  expect(idsOf(await take(2, 'transaction', 4))).toEqual([
    ...older.deliveries.slice(3),
    ...younger.deliveries.slice(0, 2),
  ]);
  expect(idsOf(await take(2, 'transaction', 100))).toEqual(younger.deliveries.slice(2));
  expect(await take(2, 'transaction', 100)).toEqual([]);
});

test('what does not fit at all keeps its age among jobs of its priority', async () => {
  const alerts = [];
  for (let n = 0; n < 4; n++) alerts.push(await planter.plant({ lane: 'security', route: 'default', count: 2 }));
  const first = await take(1, 'security', 2);
  const second = await take(1, 'security', 100);
  expect(idsOf([...first, ...second])).toEqual(alerts.flatMap(({ deliveries }) => deliveries));
});

test('a chunk that lists its deliveries is cut in its list, and where it was claimed in part beyond that', async () => {
  const { deliveries, day, alert } = await planter.plant({ lane: 'emergency', route: 'default', count: 6 });
  expect(idsOf(await take(1, 'emergency', 100))).toEqual(deliveries);
  const id = cutId++;
  await db.database.pools.control.run(async (tx) => {
    await insertChunks(
      tx,
      boss,
      [
        {
          ...{ id, day, alert, lane: 'emergency', laneId: names.laneId('emergency'), attempt: 2, number: 0 },
          ...{ route: 'default', routeId: names.routeId('default'), firstDelivery: 0, deliveries: 6 },
          ...{ deliveryIds: deliveries.toReversed(), notBefore: null, expiresMin: 9e12, expiresMax: 9e12 },
        },
      ],
      clock.now(),
    );
    await tx.query('UPDATE chunk SET claimed_to = 2 WHERE id = $1', [id]);
  });
  const [part] = await take(1, 'emergency', 1);
  expect(part).toMatchObject({ chunk: { id, size: 3, claimedTo: 2, attempt: 2 } });
  expect(part?.deliveryIds).toEqual(deliveries.toReversed().slice(0, 3));
  const rest = await take(2, 'emergency', 100);
  expect(rest).toMatchObject([{ chunk: { size: 3, claimedTo: 0, attempt: 2 } }]);
  expect(idsOf(rest)).toEqual(deliveries.toReversed().slice(3));
});

test('a chunk that somebody is settling is not waited for: its job goes back, and is there when it was left open', async () => {
  const { deliveries } = await planter.plant({ lane: 'bulk', route: 'default', count: 4, chunkSize: 2 });
  await db.asSuperuser(async (session) => {
    await session.exec('BEGIN');
    await session.query('SELECT FROM tocsin.chunk WHERE id = $1 FOR UPDATE', [deliveries[0]]);
    expect(idsOf(await take(1, 'bulk', 100))).toEqual(deliveries.slice(2));
    expect(await take(1, 'bulk', 100)).toEqual([]);
    await session.exec('ROLLBACK');
  });
  expect(idsOf(await take(1, 'bulk', 100))).toEqual(deliveries.slice(0, 2));
});
