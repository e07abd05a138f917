/**
 * Goal: what is paused does not go out, wherever in dispatch it stands, and none of it is lost or sent twice. Method: two
 * processes with a bind each on one route, a real database and a simulated carrier; one of the processes hears no NOTIFY
 * of pauses and cancels. Times are those of the facts and of the carrier. Tests run beside one another, each on a route of
 * its own.
 */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { DispatchRig } from '../../test/support/dispatch-rig.ts';
import { openBoss } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { CANCEL_CHANNEL } from './dispatch.ts';
import { PAUSE_CHANNEL } from './pause-acts.ts';
import type { PauseScope } from './pauses.ts';
import type { Planted } from './testing.ts';

/** An act is in force everywhere by then. */
const WITHIN_MS = 1_000;
/** More than both binds send until then, and while a busy machine keeps the test from acting. */
const MANY = 600;

const both = { processes: [1, 2], tps: 150, lanes: ['emergency', 'bulk'] } as const;
const routes = {
  alert: both,
  'in-route': both,
  'in-bind': both,
  'in-lane': { ...both, lanes: ['emergency', 'security'] },
  cancelled: both,
  ending: { tps: 20, lanes: ['bulk'] },
  lost: { tps: 40, carrier: ', claimLimit: 5', lanes: ['bulk'] },
  limited: { tps: 200, lanes: ['bulk'], carrier: ", senderLimits: [{ sender: '61000', tps: 10 }]" },
  alarm: { tps: 50, lanes: ['emergency'] },
  // It is restarted.
  mixed: { processes: [3], tps: 30, carrier: ', claimLimit: 5', lanes: ['transaction'] },
} as const;
let rig: DispatchRig;
beforeAll(async () => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  rig = await DispatchRig.start(db, boss, { routes, deaf: { process: 2, channels: [PAUSE_CHANNEL, CANCEL_CHANNEL] } });
  return async () => {
    await rig.stop();
    await boss.stop({ graceful: false });
  };
}, 30_000);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const lastOf = (arrived: readonly { time: number }[]): number => Math.max(...arrived.map(({ time }) => time));
const onceEach = (of: Planted[]): void => {
  const arrived = rig.arrivalsOf(...of);
  expect(new Set(arrived.map(({ to }) => to)).size).toBe(arrived.length);
  expect(arrived.length).toBe(of.reduce((sum, { deliveries }) => sum + deliveries.length, 0));
};
const chunksOf = (planted: Planted) =>
  rig.query<{ parked: boolean; held: boolean; n: number }>(
    `SELECT c.parked, c.holder_bind IS NOT NULL AS held, count(*) AS n FROM chunk c
     WHERE NOT c.settled AND (c.first_delivery = ANY($1::bigint[]) OR c.delivery_ids && $1::bigint[]) GROUP BY 1, 2`,
    [planted.deliveries],
  );
const releasesOf = async ({ day, deliveries }: Planted): Promise<number> =>
  (
    await rig.query<{ n: number }>(
      `SELECT count(*) AS n FROM release WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND reason = 'paused'`,
      [day, deliveries],
    )
  )[0]?.n ?? 0;

/** Pauses and resumes a lane, a route, or the bind of the process that hears no NOTIFY. */
async function goesBack(scope: PauseScope, route: string, name: string, lane: LaneName = 'bulk'): Promise<void> {
  const bulk = await rig.planter.plant({ lane, route, count: MANY, chunkSize: 25 });
  await rig.allSend(15, bulk);
  const act = await rig.pause(scope, name);
  await sleep(WITHIN_MS);
  const urgent = await rig.planter.plant({ lane: 'emergency', route, count: 1 });
  await sleep(400);
  const stopped =
    scope === 'bind' ? rig.arrivalsOf(bulk).filter(({ account }) => account === name) : rig.arrivalsOf(bulk);
  expect(lastOf(stopped) - act.at).toBeLessThanOrEqual(WITHIN_MS);
  expect(stopped.length).toBeLessThan(MANY);
  expect(rig.dropped).toContain(`${PAUSE_CHANNEL} ${scope}`);
  expect(await releasesOf(bulk)).toBeGreaterThan(0);
  const [first, second] = [rig.bind(`${route}-1`), rig.bind(`${route}-2`)];
  expect(second.buffered(lane)).toBe(0);
  expect(rig.processes[1]?.isPaused(scope, name)).toBe(true);
  if (scope === 'bind') {
    expect(second.condition).toBe('paused');
    // The other bind of the route takes the work over.
    expect(await rig.ends(bulk)).toEqual({ [FINAL.delivered]: MANY });
  } else {
    expect(first.buffered(lane)).toBe(0);
    await vi.waitFor(async () => {
      const chunks = await chunksOf(bulk);
      expect(chunks.map(({ parked, held }) => ({ parked, held }))).toEqual([{ parked: false, held: false }]);
    });
  }
  expect(rig.arrivalsOf(urgent).length).toBe(scope === 'route' ? 0 : 1);
  await rig.resume(scope, name);
  expect(await rig.ends(bulk)).toEqual({ [FINAL.delivered]: MANY });
  expect(await rig.ends(urgent)).toEqual({ [FINAL.delivered]: 1 });
  onceEach([bulk, urgent]);
}

describe.concurrent('what is paused', () => {
  test('an alert: nothing of it goes out within a second, in either process; its chunks wait without a job; all of it goes out once', async () => {
    const [stopped, other] = [
      await rig.planter.plant({ lane: 'bulk', route: 'alert', count: MANY, chunkSize: 25 }),
      await rig.planter.plant({ lane: 'bulk', route: 'alert', count: 200, chunkSize: 25 }),
    ];
    await rig.allSend(20, stopped);
    const act = await rig.pause('alert', stopped);
    await rig.ends(other);
    await sleep(WITHIN_MS);
    const sent = rig.arrivalsOf(stopped);
    expect(lastOf(sent) - act.at).toBeLessThanOrEqual(WITHIN_MS);
    expect(sent.length).toBeLessThan(MANY);
    expect(rig.dropped).toContain(`${PAUSE_CHANNEL} alert`);
    expect(new Set(sent.map(({ account }) => account)).size).toBe(2);
    expect(await releasesOf(stopped)).toBeGreaterThan(0);
    await vi.waitFor(async () =>
      expect(await chunksOf(stopped)).toEqual([{ parked: true, held: false, n: expect.any(Number) }]),
    );
    for (const bind of ['alert-1', 'alert-2']) expect(rig.bind(bind).buffered('bulk')).toBe(0);
    // Nothing takes its jobs again and again.
    const jobs = async () =>
      (await rig.query<{ n: number }>(`SELECT count(*) AS n FROM pgboss.job WHERE name = 'dispatch.alert.bulk'`))[0]?.n;
    const before = await jobs();
    await sleep(700);
    expect(await jobs()).toBe(before);
    await rig.resume('alert', stopped);
    expect(await rig.ends(stopped)).toEqual({ [FINAL.delivered]: MANY });
    onceEach([stopped, other]);
    expect(await chunksOf(stopped)).toEqual([]);
  }, 60_000);

  test('some alerts of a mixed chunk: the others go out, and after a restart and the end of the pause those too, once', async () => {
    const singles = await rig.planter.plant({
      lane: 'transaction',
      route: 'mixed',
      count: 60,
      chunkSize: 60,
      singles: true,
    });
    await rig.arrives(5, singles);
    const one = (index: number): Planted => ({
      ...{ day: singles.day, body: singles.body, alerts: [], alert: singles.alerts[index] as string },
      deliveries: [singles.deliveries[index] as number],
    });
    const held = [40, 41, 50, 59].map(one);
    let act = { at: 0 };
    for (const each of held) act = await rig.pause('alert', each);
    const rest = {
      ...singles,
      deliveries: singles.deliveries.filter((id) => !held.some(({ deliveries }) => deliveries[0] === id)),
    };
    expect(await rig.ends(rest)).toEqual({ [FINAL.delivered]: 56 });
    await sleep(Math.max(0, act.at + WITHIN_MS - rig.clock.now()));
    expect(rig.arrivalsOf(...held)).toEqual([]);
    for (const each of held) expect(await chunksOf(each)).toEqual([{ parked: true, held: false, n: 1 }]);
    await rig.processes[2]?.stop(9_000);
    const restarted = await rig.startProcess(3);
    for (const { alert } of held) expect(restarted.isPaused('alert', alert)).toBe(true);
    await rig.resume('alert', held[0] as Planted);
    expect(await rig.ends(held[0] as Planted)).toEqual({ [FINAL.delivered]: 1 });
    expect(rig.arrivalsOf(...held).length).toBe(1);
    for (const each of held.slice(1)) await rig.resume('alert', each);
    for (const each of held) await rig.ends(each);
    onceEach([singles]);
  }, 60_000);

  test('a bind that is lost in the middle of it loses nothing: its next holder parks the rest, and all goes out once', async () => {
    const whole = await rig.planter.plant({ lane: 'bulk', route: 'lost', count: 40, chunkSize: 20 });
    const mixed = await rig.planter.plant({
      lane: 'bulk',
      route: 'lost',
      count: 40,
      chunkSize: 20,
      singles: true,
    });
    await rig.arrives(5, whole, mixed);
    const bind = rig.names.bindId('lost-1');
    const odd = mixed.alerts.flatMap((alert, index) => (index % 2 === 1 ? [{ ...mixed, alert, index }] : []));
    const stolen = rig.db.database.pools.control.query<{ fence: number }>(
      `UPDATE bind_lease SET fence = fence + 1, process = 0, until = clock_timestamp() + interval '1.5 s'
       WHERE bind = $1 RETURNING fence`,
      [bind],
    );
    await Promise.all([stolen, rig.pause('alert', whole), ...odd.map((each) => rig.pause('alert', each))]);
    const thief = (await stolen)[0]?.fence as number;
    await vi.waitFor(
      async () => {
        const [lease] = await rig.query<{ fence: number }>('SELECT fence FROM bind_lease WHERE bind = $1', [bind]);
        expect(lease?.fence).toBeGreaterThan(thief);
      },
      { timeout: 15_000, interval: 50 },
    );
    const even = { ...mixed, deliveries: mixed.deliveries.filter((_, index) => index % 2 === 0) };
    await rig.ends(even);
    expect(rig.arrivalsOf(whole, mixed).length).toBeLessThan(75);
    await Promise.all([rig.resume('alert', whole), ...odd.map((each) => rig.resume('alert', each))]);
    for (const each of [whole, mixed]) {
      const { [FINAL.delivered]: delivered = 0, [FINAL.unknown]: unknown = 0 } = await rig.ends(each);
      expect(delivered + unknown).toBe(40);
      // At most what was claimed when the bind was lost is in doubt.
      expect(unknown).toBeLessThanOrEqual(5);
    }
    const arrived = rig.arrivalsOf(whole, mixed);
    expect(new Set(arrived.map(({ to }) => to)).size).toBe(arrived.length);
  }, 60_000);

  test(
    'a route: what of it is in memory goes back within a second, is not fetched, and goes out once when it is resumed',
    () => goesBack('route', 'in-route', 'in-route'),
    60_000,
  );

  test(
    'a bind: the same, and the others of its route take its work over',
    () => goesBack('bind', 'in-bind', 'in-bind-2'),
    60_000,
  );

  test('a lane: the same; other lanes go on', () => goesBack('lane', 'in-lane', 'security', 'security'), 60_000);

  test('what expires while it is paused has expired, what is cancelled is cancelled, and neither is ever sent', async () => {
    const [late, gone, mixed] = [
      await rig.planter.plant({ lane: 'bulk', route: 'ending', count: 60, chunkSize: 20, validForMs: 4_000 }),
      await rig.planter.plant({ lane: 'bulk', route: 'ending', count: 60, chunkSize: 20 }),
      await rig.planter.plant({ lane: 'bulk', route: 'ending', count: 20, singles: true }),
    ];
    const single = { ...mixed, alert: mixed.alerts[19] as string, deliveries: mixed.deliveries.slice(19) };
    await rig.pause('alert', late);
    await rig.pause('alert', gone);
    await rig.pause('alert', single);
    await rig.pause('route', 'ending');
    await vi.waitFor(() => expect(rig.bind('ending-1').buffered('bulk')).toBe(0));
    await rig.resume('route', 'ending');
    const others = { ...mixed, deliveries: mixed.deliveries.slice(0, 19) };
    expect(await rig.ends(others)).toEqual({ [FINAL.delivered]: 19 });
    const sentBefore = rig.arrivalsOf(late, gone).length;
    for (const each of [gone, single]) {
      await rig.db.asSuperuser(async (session) => {
        await session.query(
          'INSERT INTO tocsin.alert_cancel (day, alert, producer, at, entry) VALUES ($1::date, $2::uuid, 1, $3, 0)',
          [each.day, each.alert, rig.clock.now()],
        );
      });
      const { [FINAL.cancelled]: cancelled } = await rig.ends(each);
      expect(cancelled).toBeGreaterThan(0);
    }
    const { [FINAL.expired]: expired } = await rig.ends(late);
    expect(expired).toBeGreaterThan(0);
    await rig.resume('alert', late);
    await sleep(700);
    expect(rig.arrivalsOf(late, gone).length).toBe(sentBefore);
    expect(rig.arrivalsOf(single)).toEqual([]);
  }, 60_000);

  test('what waits for a limit of its sender goes back too, whether claimed, in memory or in the queue until its turn', async () => {
    const limited = await rig.planter.plant({
      ...{ lane: 'bulk', route: 'limited', count: 60, chunkSize: 20, sender: '61000' },
    });
    await rig.arrives(3, limited);
    expect(rig.bind('limited-1').buffered('bulk')).toBeGreaterThan(0);
    const [later] = await rig.query<{ n: number }>(
      'SELECT count(*) AS n FROM chunk WHERE NOT settled AND NOT queued AND delivery_ids && $1::bigint[]',
      [limited.deliveries],
    );
    expect(later?.n).toBeGreaterThan(0);
    const act = await rig.pause('alert', limited);
    await vi.waitFor(async () =>
      expect(await chunksOf(limited)).toEqual([{ parked: true, held: false, n: expect.any(Number) }]),
    );
    await sleep(Math.max(0, act.at + WITHIN_MS - rig.clock.now()));
    expect(lastOf(rig.arrivalsOf(limited)) - act.at).toBeLessThanOrEqual(WITHIN_MS);
    expect(rig.bind('limited-1').buffered('bulk')).toBe(0);
    expect(await releasesOf(limited)).toBeGreaterThan(1);
    const before = rig.arrivalsOf(limited).length;
    await rig.resume('alert', limited);
    await rig.arrives(before + 10, limited);
    const arrived = rig.arrivalsOf(limited);
    expect(new Set(arrived.map(({ to }) => to)).size).toBe(arrived.length);
  }, 60_000);

  test('a cancel is in force within a second in both processes, also where its NOTIFY is lost', async () => {
    const planted = await rig.planter.plant({ lane: 'bulk', route: 'cancelled', count: MANY, chunkSize: 25 });
    await rig.allSend(20, planted);
    const at = rig.clock.now();
    await rig.db.asSuperuser(async (session) => {
      await session.query(
        'INSERT INTO tocsin.alert_cancel (day, alert, producer, at, entry) VALUES ($1::date, $2::uuid, 1, $3, 0)',
        [planted.day, planted.alert, at],
      );
      await session.query('SELECT pg_notify($1, $2)', [CANCEL_CHANNEL, `${planted.day}/${planted.alert}`]);
    });
    const states = await rig.ends(planted);
    await sleep(Math.max(0, at + WITHIN_MS + 300 - rig.clock.now()));
    const sent = rig.arrivalsOf(planted);
    expect(lastOf(sent) - at).toBeLessThanOrEqual(WITHIN_MS);
    expect(rig.dropped).toContain(`${CANCEL_CHANNEL} ${planted.day}/${planted.alert}`);
    expect(new Set(sent.map(({ account }) => account)).size).toBe(2);
    expect(states).toEqual({ [FINAL.cancelled]: MANY - sent.length, [FINAL.delivered]: sent.length });
  }, 60_000);
});

// Those above have warnings of their own.
test('the emergency lane may be paused, and the log says so at once', async () => {
  await rig.pause('lane', 'emergency');
  const urgent = await rig.planter.plant({ lane: 'emergency', route: 'alarm', count: 3 });
  await vi.waitFor(() => expect(rig.warnings.join()).toContain('the emergency lane is paused'));
  await sleep(700);
  expect(rig.arrivalsOf(urgent)).toEqual([]);
  await rig.resume('lane', 'emergency');
  expect(await rig.ends(urgent)).toEqual({ [FINAL.delivered]: 3 });
}, 30_000);
