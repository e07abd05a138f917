/** Work of routes that policy no longer has: with a real database, pg-boss and carriers. */
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, readSubmitSm } from '../../test/support/plain-smsc.ts';
import { policiesOf, smscOf, startProcess } from '../../test/support/routed.ts';
import { DatabaseClock, IdAllocator, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, Names, type Policies } from '../policy/index.ts';
import { createDispatchQueues } from './chunks.ts';
import { chunkPriority, placeOf } from './place.ts';
import { rerouteStranded } from './reroute.ts';
import { RouteWatch } from './route-watch.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

let db: TestDatabase;
let boss: Boss;
let clock: DatabaseClock;

beforeAll(async () => {
  db = await testDatabase();
  clock = await DatabaseClock.open(() => readDatabaseTime(db.database.pools.control));
  boss = await openBoss({ target: db.target, onError: () => {} });
  return async () => {
    clock.close();
    await boss.stop({ graceful: false });
  };
});
// What a test that failed left behind is not for the next one to route anew.
beforeEach(() => db.asSuperuser((session) => session.exec(`DELETE FROM pgboss.job WHERE name LIKE 'dispatch.%'`)));

const numbersOf = (...smscs: PlainSmsc[]): string[] =>
  smscs.flatMap(({ arrived }) => arrived.map(({ frame }) => readSubmitSm(frame).destinationAddr)).sort();
const numberOf = (delivery: number): string => `44${7_000_000_000 + delivery}`;

async function statesOf({ day, deliveries }: Planted): Promise<Record<string, number>> {
  return await vi.waitFor(
    async () => {
      const rows = await db.database.pools.reader.query<{ state: number; n: number }>(
        `SELECT state, count(*) AS n FROM final_state
         WHERE day = $1::date AND delivery = ANY($2::bigint[]) GROUP BY state`,
        [day, deliveries],
      );
      expect(rows.reduce((sum, { n }) => sum + n, 0)).toBe(deliveries.length);
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
    },
    { timeout: 15_000, interval: 50 },
  );
}

const waiting = async (route: string): Promise<number> => {
  const [row] = await db.database.pools.reader.query<{ n: number }>(
    `SELECT count(*) AS n FROM pgboss.job WHERE name LIKE $1 AND state < 'active'`,
    [`dispatch.${route}.%`],
  );
  return row?.n ?? -1;
};

test('after a restart without its route, each number of a broadcast goes once by the route that it has now', async () => {
  const [a, b] = [await smscOf(), await smscOf()];
  const carriers = { 'again-a': { smsc: a, tps: 150 }, 'again-b': { smsc: b, tps: 150 } };
  const before = policiesOf(carriers, `routes: [{ name: gone, prefixes: ['+'], binds: [again-a] }]`);
  const first = await startProcess(db, boss, before, ['again-a']);
  const planted = await first.planter.plant({ lane: 'bulk', route: 'gone', count: 200, chunkSize: 40 });
  await vi.waitFor(() => expect(a.arrived.length).toBeGreaterThan(30), { timeout: 5_000, interval: 5 });
  await first.stop();
  expect(await waiting('gone')).toBeGreaterThan(0);
  const sentBefore = new Set(numbersOf(a));
  expect(sentBefore.size).toBeLessThan(170);

  // A hundred numbers that now have a route of their own, across the borders of chunks.
  const middle = planted.deliveries.slice(60, 160).filter((id) => !sentBefore.has(numberOf(id)));
  const prefixes = middle.map((id) => `'+${numberOf(id)}'`).join(', ');
  const after = policiesOf(
    carriers,
    `routes: [{ name: rest, prefixes: ['+'], binds: [again-a] }, { name: middle, prefixes: [${prefixes}], binds: [again-b] }]`,
  );
  const second = await startProcess(db, boss, after);
  expect(await statesOf(planted)).toEqual({ 1: 200 });
  expect(numbersOf(a, b)).toEqual(planted.deliveries.map(numberOf).sort());
  expect(numbersOf(b)).toEqual(middle.map(numberOf).sort());
  expect(await waiting('gone')).toBe(0);
  expect(second.errors).toEqual([]);
}, 30_000);

test('routes that change under a running process are in force at once: old work moves, work for later keeps its time', async () => {
  const [a, b] = [await smscOf(), await smscOf()];
  const carriers = { 'live-a': { smsc: a, tps: 40 }, 'live-b': { smsc: b, tps: 1_000 } };
  const before = policiesOf(
    carriers,
    `routes: [{ name: live-old, prefixes: ['+'], binds: [live-a] }, { name: idle, prefixes: ['+9'], binds: [live-b] }]`,
  );
  const { dispatch, planter, errors } = await startProcess(db, boss, before);
  const planted = await planter.plant({ lane: 'security', route: 'live-old', count: 300, chunkSize: 20 });
  // Some is sent, some in memory, and the rest waits.
  await vi.waitFor(() => expect(a.arrived.length).toBeGreaterThanOrEqual(20), { timeout: 5_000, interval: 5 });
  const later = await planter.plant({ lane: 'security', route: 'live-old', count: 5 });
  await db.database.pools.control.query(
    `WITH held AS (UPDATE chunk SET not_before = $2 WHERE first_delivery = $1 RETURNING job)
     UPDATE pgboss.job SET start_after = now() + interval '1 hour' WHERE id IN (SELECT job FROM held)`,
    [later.deliveries[0], clock.now() + 3_600_000],
  );
  const after = policiesOf(carriers, `routes: [{ name: live-new, prefixes: ['+'], tiers: [[live-b], [live-a]] }]`);
  const changed = performance.now();
  await dispatch.prepare(after);
  dispatch.apply(after);
  await vi.waitFor(() => expect(b.arrived.length).toBeGreaterThan(0), { timeout: 5_000, interval: 5 });
  expect(await statesOf(planted)).toEqual({ 1: 300 });
  expect(performance.now() - changed).toBeLessThan(8_000);
  expect(numbersOf(a, b).filter((number) => !later.deliveries.map(numberOf).includes(number))).toEqual(
    planted.deliveries.map(numberOf).sort(),
  );
  const fresh = await planter.plant({ lane: 'security', route: 'live-new', count: 10 });
  expect(await statesOf(fresh)).toEqual({ 1: 10 });
  const [held] = await db.database.pools.reader.query<{ name: string; hours: number }>(
    `SELECT j.name, extract(epoch FROM j.start_after - now())::double precision / 3600 AS hours
     FROM chunk c JOIN pgboss.job j ON j.id = c.job WHERE c.first_delivery = $1`,
    [later.deliveries[0]],
  );
  expect(held?.name).toBe('dispatch.live-new.security');
  expect(held?.hours).toBeGreaterThan(0.9);
  expect(errors).toEqual([]);
}, 30_000);

test('a chunk that is split keeps how often its deliveries were given back: in doubt later, they are told from those that were', async () => {
  const smsc = await smscOf();
  const policies = policiesOf(
    { parts: { smsc } },
    `routes: [{ name: parts-uk, prefixes: ['+44'], binds: [parts] }, { name: parts-all, prefixes: ['+'], binds: [parts] }]`,
  );
  const { control } = db.database.pools;
  const names = await Names.register(control, {
    ...policies,
    routing: {
      ...policies.routing,
      routes: policies.routing.routes.map((route) => ({ ...route, name: 'parts-gone' })),
    },
  });
  await names.add(control, policies);
  await createDispatchQueues(boss, ['parts-gone', 'parts-uk', 'parts-all'], ['bulk']);
  const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
  const { deliveries } = await planter.plant({ lane: 'bulk', route: 'parts-gone', count: 2 });
  await db.asSuperuser(async (session) => {
    await session.query(`UPDATE tocsin.recipient SET msisdn = '+4915112345678' WHERE id = $1`, [deliveries[1]]);
    await session.query('UPDATE tocsin.chunk SET returns = 3 WHERE first_delivery = $1', [deliveries[0]]);
  });
  const tools = { pool: control, boss, names, clock, ids: new IdAllocator(control) };
  expect(await rerouteStranded(tools, policies)).toBe(1);
  const parts = await control.query(
    'SELECT delivery_ids, returns FROM chunk WHERE NOT settled AND delivery_ids && $1::bigint[] ORDER BY delivery_ids',
    [deliveries],
  );
  expect(parts).toEqual(deliveries.map((id) => ({ delivery_ids: [id], returns: 3 })));
});

test('a process on older routes leaves the work of new ones alone', async () => {
  const smsc = await smscOf();
  const carriers = { rolling: { smsc } };
  const policies = policiesOf(carriers, `routes: [{ name: rolling-old, prefixes: ['+'], binds: [rolling] }]`);
  const newer = policiesOf(carriers, `routes: [{ name: rolling-new, prefixes: ['+'], binds: [rolling] }]`);
  const { control } = db.database.pools;
  const names = await Names.register(control, newer);
  await createDispatchQueues(boss, ['rolling-new'], ['bulk']);
  const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
  const planted = await planter.plant({ lane: 'bulk', route: 'rolling-new', count: 10 });
  const tools = { pool: control, boss, names, clock, ids: new IdAllocator(control) };
  const loaded = async (id: number, { files }: Policies) => {
    const digest = files.find(({ name }) => name === 'routing.yaml')?.digest;
    await db.asSuperuser((session) =>
      session.query(
        `INSERT INTO tocsin.policy_load (id, process, at, file, digest, entry) VALUES ($1, 1, 0, 'routing.yaml', $2, 0)`,
        [id, digest],
      ),
    );
  };
  await loaded(1, policies);
  await loaded(2, newer);
  await Names.register(control, policies);
  await names.refresh(control);
  expect(await rerouteStranded(tools, policies)).toBe(0);
  expect(await waiting('rolling-new')).toBe(1);
  // Rolled back: now the new route is the one that is gone.
  await loaded(3, policies);
  await createDispatchQueues(boss, ['rolling-old'], [...LANES]);
  expect(await rerouteStranded(tools, policies)).toBeGreaterThanOrEqual(1);
  expect(await waiting('rolling-new')).toBe(0);
  const [chunk] = await control.query<{ route: number }>('SELECT route FROM chunk WHERE first_delivery = $1', [
    planted.deliveries[0],
  ]);
  expect(chunk?.route).toBe(names.routeId('rolling-old'));
  // Nothing of it is for the next test to move.
  await db.asSuperuser((session) =>
    session.exec(`DELETE FROM tocsin.policy_load; DELETE FROM pgboss.job WHERE name LIKE 'dispatch.rolling-%'`),
  );
}, 20_000);

test('work that no bind is able to take is an alarm: in the log once a minute, and by route and lane', async () => {
  const smsc = await smscOf();
  const policies = policiesOf(
    { unread: { smsc } },
    `routes: [{ name: unread, prefixes: ['+'], binds: [unread] }, { name: quiet, prefixes: ['+9'], binds: [unread] }]`,
  );
  const process = await startProcess(db, boss, policies);
  const { planter, names } = process;
  await process.stop();
  await planter.plant({ lane: 'emergency', route: 'unread', count: 1 });
  const errors: object[] = [];
  let unableMs = 9_000;
  const trouble: unknown[] = [];
  const { control } = db.database.pools;
  const watch = new RouteWatch(
    {
      ...{ pool: control, boss, names, ids: new IdAllocator(control) },
      clock,
      states: { unableMs: () => unableMs },
      log: { warn: () => {}, error: (details) => void errors.push(details) },
      onTrouble: (error) => trouble.push(error),
    },
    policies,
  );
  watch.start();
  try {
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(watch.unread).toEqual([]);
    unableMs = 12_000;
    await vi.waitFor(() => expect(watch.unread).toEqual([{ route: 'unread', lane: 'emergency', seconds: 12 }]), {
      timeout: 8_000,
      interval: 20,
    });
    unableMs = 13_000;
    await vi.waitFor(() => expect(watch.unread[0]?.seconds).toBe(13), { timeout: 8_000, interval: 20 });
    expect(errors).toEqual([{ route: 'unread', lane: 'emergency', seconds: 12 }]);
    unableMs = 0;
    await vi.waitFor(() => expect(watch.unread).toEqual([]), { timeout: 8_000, interval: 20 });
    expect(trouble).toEqual([]);
  } finally {
    await watch.stop();
  }
}, 20_000);

test('the place of a chunk in its queue says what it was made of', () => {
  for (const [rank, number] of [
    [0, 0],
    [0, 17],
    [3, 0],
    [3, 999_999],
    [1_000, 5],
  ] as const) {
    expect(placeOf(chunkPriority(rank, number))).toEqual({ rank, number });
  }
});
