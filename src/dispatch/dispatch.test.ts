/** Dispatch from chunk to final state, with a real database, pg-boss and a real SMSC over TCP. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { type Simulator, type SimulatorInput, startSimulator } from '../simulator/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { Dispatch } from './dispatch.ts';
import { type Boss, Planter } from './testing.ts';

const quiet = { info: () => {}, warn: () => {}, error: () => {} };
const ends: (() => Promise<unknown>)[] = [];
let db: TestDatabase;
let boss: Boss;

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  return () => boss.stop({ graceful: false });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

type Account = SimulatorInput['accounts'][number];

async function rig(
  account: Partial<Account>,
  tps = 5_000,
  extra = '',
): Promise<{ dispatch: Dispatch; planter: Planter; sim: Simulator; policies: Policies }> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-dispatch-'));
  ends.push(async () => rmSync(folder, { recursive: true, force: true }));
  const sim = await startSimulator({
    accounts: [{ systemId: 'a', password: 'secret', ...account }],
    correlationTlv: 0x1400,
  });
  ends.push(() => sim.stop());
  for (const file of ['lanes', 'routing']) {
    writeFileSync(join(folder, `${file}.yaml`), readFileSync(`policies/${file}.yaml`));
  }
  writeFileSync(
    join(folder, 'carriers.yaml'),
    `carriers:
  demo-a:
    host: 127.0.0.1
    port: ${sim.port}
    systemId: a
    password: { env: PW }
    tps: ${tps}
    window: 100
    correlationTlv: 0x1400
    responseTimeout: PT1S
    reconnectFirst: PT0.1S
    defaultSender: Tocsin
${extra}`,
  );
  const policies = loadPolicies(folder, { PW: 'secret' }, PROTOCOL);
  const clock = await DatabaseClock.open(() => readDatabaseTime(db.database.pools.control));
  const names = await Names.register(db.database.pools.control, policies);
  const [process] = await db.database.pools.control.query<{ id: number }>(
    `INSERT INTO process (host, pid, started_at) VALUES ('test', 1, $1) RETURNING id`,
    [clock.now()],
  );
  const planter = await Planter.open({ database: db.database, boss, clock, names, process: process?.id ?? 0 });
  const dispatch = await Dispatch.start({
    database: db.database,
    boss,
    clock,
    policies,
    names,
    process: process?.id ?? 0,
    node: 'test',
    texts: planter.source,
    connect: (name, handlers) =>
      connectCarrier(name, policies.carriers[name] as Policies['carriers'][string], handlers, quiet, Math.random),
    log: quiet,
  });
  ends.push(() => dispatch.stop(9_000));
  return { dispatch, planter, sim, policies };
}

async function finals(day: string, deliveries: number[]): Promise<Record<string, number>> {
  const rows = await db.database.pools.reader.query<{ state: number; n: number }>(
    'SELECT state, count(*) AS n FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[]) GROUP BY state',
    [day, deliveries],
  );
  return Object.fromEntries(rows.map((row) => [row.state, row.n]));
}

async function allFinal(day: string, deliveries: number[], timeoutMs = 20_000): Promise<Record<string, number>> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const states = await finals(day, deliveries);
    const sum = Object.values(states).reduce((a, b) => a + b, 0);
    if (sum === deliveries.length || performance.now() > until) return states;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function openWork(): Promise<number> {
  const [row] = await db.database.pools.reader.query<{ n: number }>(
    'SELECT count(*) AS n FROM chunk WHERE NOT settled',
  );
  return row?.n ?? -1;
}

describe('dispatch', () => {
  test('brings every delivery of two lanes to delivered, each submitted once, and settles its chunks', async () => {
    const { planter, sim } = await rig({});
    const bulk = await planter.plant({ lane: 'bulk', route: 'default', count: 800 });
    const alarm = await planter.plant({
      lane: 'emergency',
      route: 'default',
      count: 100,
      text: 'Flood warning. '.repeat(30),
    });
    expect(await allFinal(bulk.day, bulk.deliveries)).toEqual({ 1: 800 });
    expect(await allFinal(alarm.day, alarm.deliveries)).toEqual({ 1: 100 });
    expect(sim.stats().accounts[0]).toMatchObject({
      accepted: 800 + 3 * 100,
      violations: 0,
      receivedByPriority: [800, 0, 0, 300],
    });
    expect(await openWork()).toBe(0);
  });

  test('tries a refusal for now again at the lane’s pace, and ends a refusal for good as failed', async () => {
    const { planter } = await rig({ temporary: { share: 0.2, tries: 1 }, permanent: { share: 0.1 } });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 300 });
    const states = await allFinal(alarm.day, alarm.deliveries);
    expect((states[1] ?? 0) + (states[2] ?? 0)).toBe(300);
    expect(states[2]).toBeGreaterThan(5);
    const rows = await db.database.pools.reader.query<{ retried: number; lost: number }>(
      `SELECT count(*) FILTER (WHERE attempt = 2 AND outcome = 1) AS retried, count(*) FILTER (WHERE outcome = 4) AS lost
       FROM submission WHERE day = $1::date AND delivery = ANY($2::bigint[])`,
      [alarm.day, alarm.deliveries],
    );
    expect(rows[0]?.retried).toBeGreaterThan(20);
    expect(rows[0]?.lost).toBe(0);
  });

  test('expired work ends as expired and is never submitted, though no bind is up', async () => {
    const { planter, sim } = await rig({ faults: { refuseBind: 0x0d } });
    const bulk = await planter.plant({ lane: 'bulk', route: 'default', count: 50, validForMs: 3_000 });
    expect(await allFinal(bulk.day, bulk.deliveries)).toEqual({ 3: 50 });
    expect(sim.stats().accounts[0]?.received).toBe(0);
  });

  test('a throttled message costs no attempt, is sent again, and its receipt is still matched', async () => {
    const { planter, sim } = await rig({ faults: { throttleNext: 3 } });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 20 });
    expect(await allFinal(alarm.day, alarm.deliveries)).toEqual({ 1: 20 });
    expect(sim.stats().accounts[0]?.throttled).toBe(3);
    const [row] = await db.database.pools.reader.query<{ throttled: number; attempts: number }>(
      `SELECT (SELECT count(*) FROM release WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND reason = 'throttled') AS throttled,
              (SELECT max(attempt) FROM submission WHERE day = $1::date AND delivery = ANY($2::bigint[])) AS attempts`,
      [alarm.day, alarm.deliveries],
    );
    expect(row).toEqual({ throttled: 3, attempts: 1 });
  });

  test('unanswered emergency submissions are sent once more, marked possible duplicate; bulk ones become unknown', async () => {
    const { planter, sim } = await rig({ faults: { silent: 'submit' }, receipts: { send: 'none' } });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 5 });
    const bulk = await planter.plant({ lane: 'bulk', route: 'default', count: 5 });
    expect(await allFinal(alarm.day, alarm.deliveries)).toEqual({ 6: 5 });
    expect(await allFinal(bulk.day, bulk.deliveries)).toEqual({ 6: 5 });
    expect(sim.stats().accounts[0]?.received).toBe(15);
    const rows = await db.database.pools.reader.query(
      `SELECT attempt, possible_duplicate, count(*) AS n FROM submission
       WHERE day = $1::date AND delivery = ANY($2::bigint[]) GROUP BY 1, 2 ORDER BY 1`,
      [alarm.day, alarm.deliveries],
    );
    expect(rows).toEqual([
      { attempt: 1, possible_duplicate: false, n: 5 },
      { attempt: 2, possible_duplicate: true, n: 5 },
    ]);
  });

  test('receipts that come before their submit_sm_resp, and twice, are matched and counted once', async () => {
    const { planter } = await rig({ receipts: { beforeAnswer: true }, faults: { receiptsTwice: true } });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 200 });
    expect(await allFinal(alarm.day, alarm.deliveries)).toEqual({ 1: 200 });
    const [sums] = await db.database.pools.reader.query<{ delivered: number; submitted: number }>(
      'SELECT sum(delivered)::bigint AS delivered, sum(submitted)::bigint AS submitted FROM alert_progress WHERE day = $1::date AND alert = $2::uuid',
      [alarm.day, alarm.alert],
    );
    expect(sums).toEqual({ delivered: 200, submitted: 200 });
  });

  test('a secret text goes at the final state of its only delivery, and stays while others share it', async () => {
    const { planter } = await rig({});
    const one = await planter.plant({ lane: 'security', route: 'default', count: 1, secret: true });
    const shared = await planter.plant({ lane: 'security', route: 'default', count: 30, secret: true, chunkSize: 5 });
    expect(await allFinal(one.day, one.deliveries)).toEqual({ 1: 1 });
    expect(await allFinal(shared.day, shared.deliveries)).toEqual({ 1: 30 });
    const left = await db.database.pools.reader.query<{ id: number }>(
      'SELECT id FROM body WHERE id = ANY($1::bigint[])',
      [[one.body, shared.body]],
    );
    expect(left.map((row) => row.id)).toEqual([shared.body]);
  });
});
