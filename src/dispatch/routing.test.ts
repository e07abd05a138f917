/**
 * Goal: work goes to the binds that may take it, in proportion to what they can, and changes over within a second when one
 * dies, also between processes. Method: real Dispatch objects on one real database, carriers that are plain SMSCs.
 */
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, readSubmitSm, startPlainSmsc } from '../../test/support/plain-smsc.ts';
import { type Process, policiesOf, smscOf, startProcess } from '../../test/support/routed.ts';
import { openBoss } from '../platform/index.ts';
import { readBindStates } from './bind-state.ts';
import type { Boss, Planted } from './testing.ts';

let db: TestDatabase;
let boss: Boss;

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  return () => boss.stop({ graceful: false });
});
// What a test that failed left behind is not for the next one to route anew.
beforeEach(() => db.asSuperuser((session) => session.exec(`DELETE FROM pgboss.job WHERE name LIKE 'dispatch.%'`)));

const numbersOf = ({ arrived }: PlainSmsc): string[] => arrived.map(({ frame }) => readSubmitSm(frame).destinationAddr);

async function allFinal({ day, deliveries }: Planted): Promise<void> {
  await vi.waitFor(
    async () => {
      const [row] = await db.database.pools.reader.query<{ n: number }>(
        'SELECT count(*) AS n FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[])',
        [day, deliveries],
      );
      expect(row?.n).toBe(deliveries.length);
    },
    { timeout: 15_000, interval: 50 },
  );
}

const until = (check: () => void, timeout = 5_000): Promise<void> => vi.waitFor(check, { timeout, interval: 5 });

test('binds of one tier share the work by what their contracts allow: 30 and 90 TPS, 1 to 3', async () => {
  const [a, b] = [await smscOf(), await smscOf()];
  const policies = policiesOf(
    { 'share-a': { smsc: a, tps: 30 }, 'share-b': { smsc: b, tps: 90 } },
    `routes: [{ name: share, prefixes: ['+'], binds: [share-a, share-b] }]`,
  );
  const { planter } = await startProcess(db, boss, policies);
  const planted = await planter.plant({ lane: 'bulk', route: 'share', count: 240, chunkSize: 10 });
  await allFinal(planted);
  // While both are at work: towards the end the last chunk is one bind's alone.
  const times = [a, b].map(({ arrived }) => arrived.map(({ at }) => at));
  const from = Math.max(...times.map(([first = 0]) => first));
  const to = times.flat().sort((one, other) => one - other)[170] as number;
  const [ofA = 0, ofB = 0] = times.map((each) => each.filter((at) => at >= from && at <= to).length);
  expect(ofA + ofB).toBeGreaterThan(100);
  expect(ofB / ofA).toBeGreaterThan(2.2);
  expect(ofB / ofA).toBeLessThan(4);
  expect(new Set([...numbersOf(a), ...numbersOf(b)]).size).toBe(240);
  expect(a.arrived.length + b.arrived.length).toBe(240);
}, 30_000);

describe.each([
  { where: 'one process', together: true },
  { where: 'two processes', together: false },
])('with both tiers in $where', ({ together }) => {
  const id = together ? 'one' : 'two';
  const [first, spare] = [`${id}-first`, `${id}-spare`];

  test('the spare carrier takes over at the death of the first, and stops when that is back', async () => {
    let one = await smscOf();
    const two = await smscOf();
    const { port } = one;
    const policies = policiesOf(
      { [first]: { smsc: one, tps: 100 }, [spare]: { smsc: two, tps: 500 } },
      `routes: [{ name: ${id}, prefixes: ['+'], tiers: [[${first}], [${spare}]] }]`,
    );
    const processes: Process[] = together
      ? [await startProcess(db, boss, policies)]
      : [await startProcess(db, boss, policies, [first]), await startProcess(db, boss, policies, [spare])];
    const [main] = processes as [Process];
    const other = processes.at(-1) as Process;

    const before = await main.planter.plant({ lane: 'transaction', route: id, count: 50, chunkSize: 5 });
    await allFinal(before);
    expect([one.arrived.length, two.arrived.length]).toEqual([50, 0]);

    // Two seconds of work, of which the first carrier gets a part.
    const planted = await main.planter.plant({ lane: 'bulk', route: id, count: 200, chunkSize: 20 });
    await until(() => expect(one.arrived.length).toBeGreaterThan(70));
    expect(main.bind(first).buffered('bulk')).toBeGreaterThan(10);
    await one.close();
    const died = main.clock.now();
    await until(() => expect(two.arrived.length).toBeGreaterThan(0), 10_000);
    // Well before anything that goes by a clock: two seconds more than the one are for a busy machine.
    expect((two.arrived[0]?.at ?? Number.POSITIVE_INFINITY) - died).toBeLessThan(3_000);
    // What the dead bind held in memory, too, long before the 30 s that it would wait without another: all but what was
    // on its way to the carrier, 20 at most, which is in doubt.
    await until(() => expect(numbersOf(one).length + two.arrived.length).toBeGreaterThanOrEqual(230), 15_000);
    expect((two.arrived[230 - numbersOf(one).length - 1]?.at ?? Number.POSITIVE_INFINITY) - died).toBeLessThan(10_000);
    expect(other.dispatch.states.able(first)).toBe(false);

    const taken = numbersOf(one);
    one = await startPlainSmsc({ port, receipts: true });
    try {
      await until(() => expect(other.dispatch.states.able(first)).toBe(true));
      await allFinal(planted);
      expect(new Set([...taken, ...numbersOf(one), ...numbersOf(two)]).size).toBeGreaterThanOrEqual(230);
      const [onOne, onTwo] = [one.arrived.length, two.arrived.length];
      await allFinal(await main.planter.plant({ lane: 'bulk', route: id, count: 40, chunkSize: 10 }));
      expect([one.arrived.length - onOne, two.arrived.length - onTwo]).toEqual([40, 0]);
    } finally {
      await main.stop();
      await one.close();
    }
  }, 40_000);
});

test('a process that leaves hands its binds’ work over at once, and says so to the others', async () => {
  const [a, b] = [await smscOf({ verdict: () => 'hold' }), await smscOf()];
  const policies = policiesOf(
    { 'leave-a': { smsc: a, tps: 200 }, 'leave-b': { smsc: b, tps: 200 } },
    `routes: [{ name: leave, prefixes: ['+'], tiers: [[leave-a], [leave-b]] }]`,
  );
  const one = await startProcess(db, boss, policies, ['leave-a']);
  const two = await startProcess(db, boss, policies, ['leave-b']);
  await one.planter.plant({ lane: 'bulk', route: 'leave', count: 200, chunkSize: 20 });
  await until(() => expect(a.arrived.length).toBeGreaterThan(0));
  const stopping = one.stop();
  // Because it says so: three seconds later its word would count no more.
  await until(() => expect(two.dispatch.states.able('leave-a')).toBe(false), 2_500);
  a.release();
  await stopping;
  await until(() => expect(new Set([...numbersOf(a), ...numbersOf(b)]).size).toBe(200), 15_000);
  const rows = await readBindStates(db.database.pools.reader);
  expect(rows.find(({ bind }) => bind === one.names.bindId('leave-a'))?.state).toBe('leaving');
}, 30_000);

test('the word of a holder that is silent for three seconds no longer counts', async () => {
  const [a, b] = [await smscOf(), await smscOf()];
  const policies = policiesOf(
    { 'frozen-a': { smsc: a }, 'frozen-b': { smsc: b } },
    `routes: [{ name: frozen, prefixes: ['+'], tiers: [[frozen-a], [frozen-b]] }]`,
  );
  const process = await startProcess(db, boss, policies, ['frozen-b']);
  // A holder that froze just after it had written that all is well.
  await db.database.pools.control.query(
    `INSERT INTO bind_state (bind, process, fence, state, excess, tokens, since, at)
     VALUES ($1, 1, 1, 'able', null, 1, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)`,
    [process.names.bindId('frozen-a')],
  );
  await until(() => expect(process.dispatch.states.able('frozen-a')).toBe(true), 2_000);
  await process.planter.plant({ lane: 'bulk', route: 'frozen', count: 20 });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(b.arrived.length).toBe(0);
  await until(() => expect(b.arrived.length).toBe(20), 5_000);
  expect(process.dispatch.states.able('frozen-a')).toBe(false);
}, 30_000);

test('a bind that fails more than is usual for it steps back behind the other of its tier, and is still tried', async () => {
  const [a, b] = [await smscOf(), await smscOf()];
  const policies = policiesOf(
    { 'weak-a': { smsc: a, tps: 200 }, 'weak-b': { smsc: b, tps: 200 } },
    `routes: [{ name: weak, prefixes: ['+'], binds: [weak-a, weak-b] }]`,
  );
  const process = await startProcess(db, boss, policies);
  const [weak, well] = [process.bind('weak-a'), process.bind('weak-b')];
  // Ten good minutes, and one that was not: told to its health as answers and receipts would.
  const now = process.clock.now();
  for (const [bind, fails] of [
    [weak, true],
    [well, false],
  ] as const) {
    for (let s = 700; s > 60; s--) {
      const at = now - s * 1_000;
      for (let n = 0; n < 5; n++) {
        bind.health.answered(at, 'taken');
        bind.health.receipt(at, !fails || s > 150, at + 500);
      }
    }
  }
  await until(() => expect(process.dispatch.states.pull('weak', 'weak-a')).toBe('probe'), 3_000);
  expect(process.dispatch.states.pull('weak', 'weak-b')).toBe('all');
  const planted = await process.planter.plant({ lane: 'bulk', route: 'weak', count: 300, chunkSize: 10 });
  await allFinal(planted);
  expect(a.arrived.length).toBe(10);
  expect(b.arrived.length).toBe(290);
  // An emergency is not what a bind is tried on.
  await allFinal(await process.planter.plant({ lane: 'emergency', route: 'weak', count: 60, chunkSize: 10 }));
  expect(a.arrived.length).toBe(10);
}, 30_000);
