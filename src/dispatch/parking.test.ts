/** Parking: nothing of a paused alert is fetched, what was parked comes back in its place, and each step may be repeated. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { ChainWriter } from '../audit/index.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, loadPolicies, Names } from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues, queueName } from './chunks.ts';
import { type Cut, takeChunks } from './hold.ts';
import { Later } from './later.ts';
import { parkAlert, unpark, unparkLeft } from './parking.ts';
import { applyReturn, applySplit } from './part-ways.ts';
import { setPaused } from './pause-acts.ts';
import { type Boss, type Planted, Planter } from './testing.ts';
import type { DispatchExtra } from './types.ts';

let db: TestDatabase;
let boss: Boss;
let clock: Awaited<ReturnType<typeof DatabaseClock.open>>;
let names: Names;
let planter: Planter;
let writer: ChainWriter;
// Here chunks of several alerts have the same priority: only their age says which goes first.
const LANE = 'emergency';
const ROUTE = 'default';
const QUEUE = queueName(ROUTE, LANE);

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  const { control } = db.database.pools;
  clock = await DatabaseClock.open(() => readDatabaseTime(control));
  names = await Names.register(control, loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL));
  await createDispatchQueues(boss, [ROUTE], [...LANES]);
  planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
  writer = await ChainWriter.open(control, clock, 1, 'acts');
});
afterAll(async () => {
  clock.close();
  await boss.stop({ graceful: false });
});

const pool = () => db.database.pools.control;
const tools = () => ({
  ...{ pool: pool(), boss, holdsHere: () => true },
  laneName: (id: number) => names.laneName(id),
  routeName: (id: number) => names.routeName(id),
});
const pause = ({ alert, day }: Planted, paused = true) =>
  setPaused(writer, clock, {
    ...{ scope: 'alert', name: alert, day, organisation: 1, paused, why: null, who: 'test' },
    until: clock.now() + 3_600_000,
  });
const take = (jobs: number, parks = (_: string) => false, more: { room: number; cut?: Cut } = { room: 1_000 }) =>
  takeChunks(
    pool(),
    boss,
    { process: 1, bind: names.bindId('demo-a'), fence: 1 },
    { queue: QUEUE, route: ROUTE, lane: LANE, jobs, parks, ...more },
    (work) => work(),
  );
/** Jobs of these that are not over, where nobody holds the chunk. */
const jobsOf = (...planted: Planted[]) =>
  pool().query(
    `SELECT j.id FROM pgboss.job j JOIN chunk c ON c.id = (j.data->>'chunk')::bigint
     WHERE j.name = $1 AND j.state < 'completed' AND c.holder_bind IS NULL
       AND c.first_delivery = ANY($2::bigint[])`,
    [QUEUE, planted.flatMap(({ deliveries }) => deliveries)],
  );
const firstsOf = (taken: Awaited<ReturnType<typeof take>>) => taken.map(({ firstDelivery }) => firstDelivery);

test('chunks in the queue are parked, and come back in their places when the alert is resumed, before what came later', async () => {
  const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 8, chunkSize: 2 });
  expect(await parkAlert(tools(), planted.alert, () => true)).toBe(0);
  await pause(planted);
  expect(await parkAlert(tools(), planted.alert, () => true)).toBe(4);
  expect(await take(10)).toEqual([]);
  expect(await unpark(tools(), clock.now(), planted.alert)).toBe(0);
  const later = await planter.plant({ lane: LANE, route: ROUTE, count: 1 });
  await pause(planted, false);
  expect(await unpark(tools(), clock.now(), planted.alert)).toBe(4);
  expect(await unpark(tools(), clock.now(), planted.alert)).toBe(0);
  const { deliveries } = planted;
  expect(firstsOf(await take(10))).toEqual([
    deliveries[0],
    later.deliveries[0],
    deliveries[2],
    deliveries[4],
    deliveries[6],
  ]);
});

test('a chunk that comes later is parked by the fetch that finds it, once; what is parked without a pause becomes work again', async () => {
  const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 2 });
  const other = await planter.plant({ lane: LANE, route: ROUTE, count: 2 });
  const parks = (alert: string) => alert === planted.alert;
  expect(firstsOf(await take(10, parks))).toEqual([other.deliveries[0]]);
  expect(await take(10)).toEqual([]);
  // Nobody has paused it: the act was undone while it was parked.
  expect(await unparkLeft(tools(), clock.now())).toBe(1);
  expect(firstsOf(await take(10))).toEqual([planted.deliveries[0]]);
});

test('a fetch keeps what fits of what is not paused, and completes the job of a chunk that was parked meanwhile', async () => {
  const [paused, other] = [
    await planter.plant({ lane: LANE, route: ROUTE, count: 4 }),
    await planter.plant({ lane: LANE, route: ROUTE, count: 4 }),
  ];
  let nextId = 910_000_001;
  const cut = { slack: 0, nextId: () => nextId++ };
  const taken = await take(10, (alert) => alert === paused.alert, { room: 1, cut });
  expect(taken.map(({ chunk, firstDelivery }) => [firstDelivery, chunk.size])).toEqual([[other.deliveries[0], 1]]);
  const rest = () =>
    pool().query(
      'SELECT first_delivery, parked, queued, holder_bind IS NULL AS free FROM chunk WHERE first_delivery = ANY($1) ORDER BY 1',
      [[paused.deliveries[0], other.deliveries[1]]],
    );
  expect(await rest()).toEqual([
    { first_delivery: paused.deliveries[0], parked: true, queued: true, free: true },
    { first_delivery: other.deliveries[1], parked: false, queued: true, free: true },
  ]);
  // As if parking and this fetch had come at the same time.
  await pool().query('UPDATE chunk SET parked = true WHERE first_delivery = $1', [other.deliveries[1]]);
  expect(await take(10)).toEqual([]);
  expect(await jobsOf(paused, other)).toEqual([]);
  await pause(paused);
  await pause(other);
  for (const each of [paused, other]) await pause(each, false);
  expect(await unparkLeft(tools(), clock.now())).toBe(2);
  expect(firstsOf(await take(10))).toEqual([paused.deliveries[0], other.deliveries[1]]);
});

test.each([
  { held: 'here', holdsHere: true, jobsWhenResumed: 0 },
  { held: 'by the carrier, in its queue before', holdsHere: false, jobsWhenResumed: 1 },
])(
  'work for later ($held) has no job while it is paused, also when it is due, and none before it is due when it is resumed',
  async ({ holdsHere, jobsWhenResumed }) => {
    const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 1 });
    const [chunk] = planted.deliveries;
    const due = clock.now() + 400;
    const [{ job }] = (await pool().query<{ job: string }>('SELECT job FROM chunk WHERE id = $1', [chunk])) as [
      { job: string },
    ];
    if (holdsHere) await boss.deleteJob(QUEUE, job);
    await pool().query('UPDATE chunk SET not_before = $2, queued = $3 WHERE id = $1', [chunk, due, !holdsHere]);
    const later = new Later({ ...tools(), clock, laneId: (lane) => names.laneId(lane), onTrouble: () => {} });
    const lookUntilDue = async () => {
      await later.release();
      while (clock.now() <= due) await new Promise((resolve) => setTimeout(resolve, 20));
      return await later.release();
    };
    await pause(planted);
    expect(await parkAlert(tools(), planted.alert, () => true)).toBe(1);
    await pause(planted, false);
    expect(await unpark({ ...tools(), holdsHere: () => holdsHere }, clock.now(), planted.alert)).toBe(1);
    expect((await jobsOf(planted)).length).toBe(jobsWhenResumed);
    await pause(planted);
    expect(await parkAlert(tools(), planted.alert, () => true)).toBe(1);
    expect(await lookUntilDue()).toBe(null);
    expect(await jobsOf(planted)).toEqual([]);
    await pause(planted, false);
    expect(await unpark(tools(), clock.now(), planted.alert)).toBe(1);
    expect(firstsOf(await take(10))).toEqual([chunk]);
  },
);

test('work for later that is resumed before it is due gets its job when it is', async () => {
  const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 1 });
  const due = clock.now() + 300;
  await pool().query('UPDATE chunk SET not_before = $2 WHERE id = $1', [planted.deliveries[0], due]);
  await pause(planted);
  await parkAlert(tools(), planted.alert, () => true);
  await pause(planted, false);
  // It has had a job, on a route that held it at the carrier; the one that it is on now does not.
  expect(await unpark(tools(), clock.now(), planted.alert)).toBe(1);
  const later = new Later({ ...tools(), clock, laneId: (lane) => names.laneId(lane), onTrouble: () => {} });
  expect(await later.release()).toBe(due);
  expect(await take(10)).toEqual([]);
  while (clock.now() <= due) await new Promise((resolve) => setTimeout(resolve, 20));
  await later.release();
  expect(firstsOf(await take(10))).toEqual(planted.deliveries);
});

test('a parked chunk of a cancelled alert becomes work, which ends it', async () => {
  const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 2 });
  await pause(planted);
  await parkAlert(tools(), planted.alert, () => true);
  expect(await unparkLeft(tools(), clock.now())).toBe(0);
  await db.asSuperuser((session) =>
    session.query(
      'INSERT INTO tocsin.alert_cancel (day, alert, producer, at, entry) VALUES ($1::date, $2::uuid, 1, 0, 0)',
      [planted.day, planted.alert],
    ),
  );
  expect(await unparkLeft(tools(), clock.now())).toBe(1);
  expect(firstsOf(await take(10))).toEqual([planted.deliveries[0]]);
});

test('what leaves a mixed chunk leaves it once, however often that is written, and not when another holds the chunk', async () => {
  const planted = await planter.plant({ lane: LANE, route: ROUTE, count: 4, singles: true });
  const [taken] = await take(1);
  const chunk = taken?.chunk;
  if (chunk === undefined) throw new Error('nothing was taken');
  const [, second, , fourth] = planted.deliveries as [number, number, number, number];
  const split = (job: string, chunkId: number) =>
    pool().run((tx) => {
      const { id, day, lane, route, attempt, possibleDuplicate } = chunk;
      const parked = [
        ...[{ chunkId, alert: planted.alerts[1] as string, deliveries: [second], expiresMin: 1, expiresMax: 2 }],
        ...[
          {
            chunkId: chunkId + 1,
            alert: planted.alerts[3] as string,
            deliveries: [fourth],
            expiresMin: 1,
            expiresMax: 2,
          },
        ],
      ];
      const extra = { kind: 'split', chunk: id, job, day, lane, route, attempt, possibleDuplicate, parked } as const;
      return applySplit(tx, boss, { ...extra, parked }, { laneId: () => 1, routeId: () => 1 }, clock.now());
    });
  const listOf = async () =>
    (await pool().query<{ ids: number[] | null }>('SELECT delivery_ids AS ids FROM chunk WHERE id = $1', [chunk.id]))[0]
      ?.ids;
  const parkedOf = () =>
    pool().query<{ delivery_ids: number[]; parked: boolean; priority: number; returns: number }>(
      'SELECT delivery_ids, parked, priority, returns FROM chunk WHERE id <> $1 AND delivery_ids && $2::bigint[] ORDER BY id',
      [chunk.id, planted.deliveries],
    );
  await split(crypto.randomUUID(), 900_000_001);
  expect([await listOf(), await parkedOf()]).toEqual([null, []]);
  await pool().query('UPDATE chunk SET returns = 2 WHERE id = $1', [chunk.id]);
  await split(chunk.job.id, 900_000_001);
  await split(chunk.job.id, 900_000_001);
  expect(await listOf()).toEqual([planted.deliveries[0], 0, planted.deliveries[2], 0]);
  // In the place of the chunk, and given back as often.
  const asBefore = { parked: true, priority: chunk.priority, returns: 2 };
  expect(await parkedOf()).toEqual([second, fourth].map((id) => ({ delivery_ids: [id], ...asBefore })));

  const back: Extract<DispatchExtra, { kind: 'return' }> = {
    ...{ kind: 'return', chunk: chunk.id, job: chunk.job.id, lane: chunk.lane, route: chunk.route, as: 'queue' },
  };
  const apply = (extra: typeof back) => pool().run((tx) => applyReturn(tx, boss, extra));
  expect(await apply({ ...back, job: crypto.randomUUID() })).toBe(false);
  expect(await apply(back)).toBe(true);
  expect(await apply(back)).toBe(false);
  expect((await take(10)).map(({ chunk: { id }, deliveryIds }) => [id, deliveryIds])).toEqual([
    [chunk.id, await listOf()],
  ]);
});
