/**
 * Goal: what a carrier has of a cancelled alert is asked back by cancel_sm where policy says so, behind real traffic, and each
 * is on record. Method: a real database, and a simulated carrier that takes a while to deliver. Tests run beside one another,
 * each on a route of its own.
 */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { DispatchRig, type RigRoute } from '../../test/support/dispatch-rig.ts';
import { openBoss } from '../platform/index.ts';
import { DeliveryReader, FINAL, OUTCOME } from '../records/index.ts';
import { CANCEL_CHANNEL } from './dispatch.ts';
import type { Planted } from './testing.ts';

/** The carrier holds a message that long; then its receipt comes. */
const DELIVERED_AFTER_MS = 3_000;

const asked: RigRoute = {
  ...{ tps: 200, lanes: ['bulk'], carrier: ', cancelAccepted: request' },
  account: { receipts: { delayMs: DELIVERED_AFTER_MS } },
};
const routes = {
  asked,
  behind: { ...asked, tps: 50 },
  slow: { ...asked, carrier: ", cancelAccepted: request, senderLimits: [{ sender: '61000', tps: 0.2 }]" },
  refused: { ...asked, account: { receipts: { delayMs: DELIVERED_AFTER_MS }, messagesKept: 0 } },
  silent: {
    ...asked,
    account: { receipts: { delayMs: 5_000 } },
    carrier: ', cancelAccepted: request, responseTimeout: PT0.3S, enquireLink: PT1M',
  },
  never: { ...asked, carrier: '' },
};
let rig: DispatchRig;
beforeAll(async () => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  rig = await DispatchRig.start(db, boss, { routes });
  return async () => {
    await rig.stop();
    await boss.stop({ graceful: false });
  };
}, 30_000);

async function accepted({ day, deliveries }: Planted, count = deliveries.length): Promise<void> {
  await vi.waitFor(
    async () => {
      const [row] = await rig.query<{ n: number }>(
        'SELECT count(*) AS n FROM submission WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND outcome = 1',
        [day, deliveries],
      );
      expect(row?.n).toBe(count);
    },
    { timeout: 10_000, interval: 20 },
  );
}

const cancel = ({ day, alert }: Planted): Promise<void> =>
  rig.db.asSuperuser(async (session) => {
    await session.query(
      'INSERT INTO tocsin.alert_cancel (day, alert, producer, at, entry) VALUES ($1::date, $2::uuid, 1, $3, 0)',
      [day, alert, rig.clock.now()],
    );
    await session.query('SELECT pg_notify($1, $2)', [CANCEL_CHANNEL, `${day}/${alert}`]);
  });

const cancellations = ({ day, deliveries }: Planted) =>
  rig.query<{ segment: number; number: number; outcome: number; status: number | null; sent_at: number }>(
    `SELECT segment, number, outcome, status, sent_at FROM cancellation
     WHERE day = $1::date AND delivery = ANY($2::bigint[]) ORDER BY delivery, segment, number`,
    [day, deliveries],
  );

const operationsOf = (bind: string) => rig.sim.stats().accounts.find(({ systemId }) => systemId === bind)?.operations;

describe.concurrent('cancel_sm', () => {
  test('each accepted segment is asked back once, and the deliveries are cancelled; receipts that say DELETED are no conflict', async () => {
    const text = 'Boil your water until further notice. '.repeat(6);
    const [short, long, kept] = [
      await rig.planter.plant({ lane: 'bulk', route: 'asked', count: 20 }),
      await rig.planter.plant({ lane: 'bulk', route: 'asked', count: 2, text }),
      await rig.planter.plant({ lane: 'bulk', route: 'asked', count: 5 }),
    ];
    for (const [planted, segments] of [
      [short, 20],
      [long, 4],
      [kept, 5],
    ] as const)
      await accepted(planted, segments);
    await cancel(short);
    await cancel(long);
    expect(await rig.ends(short)).toEqual({ [FINAL.cancelled]: 20 });
    expect(await rig.ends(long)).toEqual({ [FINAL.cancelled]: 2 });
    const all = [...(await cancellations(short)), ...(await cancellations(long))];
    expect(all.map(({ number, outcome, status }) => [number, outcome, status])).toEqual(
      all.map(() => [1, OUTCOME.accepted, 0]),
    );
    expect(all.length).toBe(24);
    expect(operationsOf('asked-1')).toMatchObject({ cancelSm: 24, cancelled: 24 });
    await rig.sim.waitFor('asked-1', 'receipts.answered', { atLeast: 29 }, 10_000);
    expect(await rig.ends(kept)).toEqual({ [FINAL.delivered]: 5 });
    const [delivery] = short.deliveries as [number];
    const reader = new DeliveryReader(rig.db.database.pools.reader, rig.names);
    const detail = await reader.get(1, { day: short.day, id: delivery });
    expect(detail).toMatchObject({ state: 'cancelled', conflict: false });
    expect(detail?.timeline).toContainEqual(expect.objectContaining({ kind: 'receipt', state: 'deleted' }));
    expect(detail?.timeline).toContainEqual(
      expect.objectContaining({ kind: 'cancellation', outcome: 'accepted', status: 0, bind: 'asked-1' }),
    );
  }, 30_000);

  test('none is sent while messages wait for the throttle', async () => {
    const short = await rig.planter.plant({ lane: 'bulk', route: 'behind', count: 5 });
    await accepted(short);
    const backlog = await rig.planter.plant({ lane: 'bulk', route: 'behind', count: 60 });
    await rig.arrives(5, backlog);
    await cancel(short);
    await rig.ends(short);
    const last = Math.max(...rig.arrivalsOf(backlog).map(({ time }) => time));
    const sent = (await cancellations(short)).map(({ sent_at }) => sent_at);
    expect(rig.arrivalsOf(backlog).length).toBe(60);
    // The clocks of fact and carrier are two, and the carrier may read late; the backlog takes over a second.
    expect(Math.min(...sent)).toBeGreaterThanOrEqual(last - 100);
  }, 30_000);

  test('messages that wait for a limit of their sender keep none back', async () => {
    const short = await rig.planter.plant({ lane: 'bulk', route: 'slow', count: 5 });
    await rig.planter.plant({ lane: 'bulk', route: 'slow', count: 40, sender: '61000' });
    await accepted(short);
    expect(rig.bind('slow-1').buffered('bulk')).toBeGreaterThan(0);
    await cancel(short);
    expect(await rig.ends(short)).toEqual({ [FINAL.cancelled]: 5 });
    expect(rig.bind('slow-1').buffered('bulk')).toBeGreaterThan(0);
  }, 30_000);

  test('a carrier that refuses is asked once, and its receipt says how it ends', async () => {
    const planted = await rig.planter.plant({ lane: 'bulk', route: 'refused', count: 3 });
    await accepted(planted);
    await cancel(planted);
    await vi.waitFor(async () => expect((await cancellations(planted)).length).toBe(3), { timeout: 5_000 });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    // ESME_RCANCELFAIL
    expect((await cancellations(planted)).map(({ number, outcome, status }) => [number, outcome, status])).toEqual(
      planted.deliveries.map(() => [1, OUTCOME.refused, 0x11]),
    );
    expect(await rig.ends(planted)).toEqual({ [FINAL.delivered]: 3 });
  }, 30_000);

  test('a carrier that does not answer is asked three times, ever later, and a receipt that says DELETED ends it as cancelled', async () => {
    const planted = await rig.planter.plant({ lane: 'bulk', route: 'silent', count: 1 });
    await accepted(planted);
    rig.sim.setFaults('silent-1', { silent: 'all' });
    await cancel(planted);
    await vi.waitFor(async () => expect((await cancellations(planted)).length).toBe(3), { timeout: 8_000 });
    const tries = await cancellations(planted);
    expect(tries.map(({ number, outcome, status }) => [number, outcome, status])).toEqual(
      [1, 2, 3].map((number) => [number, OUTCOME.unanswered, null]),
    );
    const [first, second, third] = tries.map(({ sent_at }) => sent_at) as [number, number, number];
    expect(second - first).toBeGreaterThanOrEqual(1_000);
    expect(third - second).toBeGreaterThanOrEqual(2_000);
    expect(operationsOf('silent-1')).toMatchObject({ cancelled: 1 });
    rig.sim.setFaults('silent-1', { silent: 'none' });
    expect(await rig.ends(planted)).toEqual({ [FINAL.cancelled]: 1 });
  }, 30_000);

  test('by the policy that is the default, no carrier is asked', async () => {
    const planted = await rig.planter.plant({ lane: 'bulk', route: 'never', count: 3 });
    await accepted(planted);
    await cancel(planted);
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(operationsOf('never-1')?.cancelSm).toBe(0);
    expect(await rig.ends(planted)).toEqual({ [FINAL.delivered]: 3 });
  }, 30_000);
});
