/** What is cancelled is not sent, wherever in dispatch it stands at that moment: with a real database and an SMSC. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, startPlainSmsc } from '../../test/support/plain-smsc.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { CANCEL_CHANNEL, Dispatch } from './dispatch.ts';
import type { TextSource } from './hold.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

const ends: (() => unknown)[] = [];
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

interface Rig {
  planter: Planter;
  dispatch: Dispatch;
  smsc: PlainSmsc;
}

async function rig(name: string, tps: number, textsOf = (source: TextSource): TextSource => source): Promise<Rig> {
  const smsc = await startPlainSmsc({ receipts: true });
  ends.push(() => smsc.close());
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-cancel-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
  writeFileSync(
    join(folder, 'carriers.yaml'),
    `carriers:
  ${name}: { host: 127.0.0.1, port: ${smsc.port}, systemId: a, password: { env: PW }, window: 20, tps: ${tps}, defaultSender: Tocsin }
`,
  );
  writeFileSync(join(folder, 'routing.yaml'), `routes: [{ name: ${name}, prefixes: ['+'], binds: [${name}] }]\n`);
  const policies = loadPolicies(folder, { PW: 'secret' }, PROTOCOL);
  const { control } = db.database.pools;
  const clock = await DatabaseClock.open(() => readDatabaseTime(control));
  const names = await Names.register(control, policies);
  const [row] = await control.query<{ id: number }>(
    `INSERT INTO process (host, pid, started_at) VALUES ('test', 1, $1) RETURNING id`,
    [clock.now()],
  );
  const process = row?.id ?? 0;
  const planter = await Planter.open({ database: db.database, boss, clock, names, process });
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const dispatch = await Dispatch.start({
    ...{ database: db.database, boss, clock, policies, names, process, log },
    node: 'test',
    texts: textsOf(planter.source),
    connect: (bind, handlers) =>
      connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
  });
  ends.push(() => dispatch.stop(9_000));
  await vi.waitFor(() => expect(dispatch.binds[0]).toMatchObject({ up: true, held: true }), { timeout: 10_000 });
  return { planter, dispatch, smsc };
}

const cancel = ({ day, alert }: Planted, notify = true): Promise<unknown> =>
  db.asSuperuser(async (session) => {
    await session.query(
      'INSERT INTO tocsin.alert_cancel (day, alert, producer, at, entry) VALUES ($1::date, $2::uuid, 1, 0, 0)',
      [day, alert],
    );
    if (notify) await session.query('SELECT pg_notify($1, $2)', [CANCEL_CHANNEL, `${day}/${alert}`]);
  });

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
    { timeout: 20_000, interval: 50 },
  );
}

test('while its claim is being written', async () => {
  const { planter, dispatch, smsc } = await rig('claiming', 500);
  let planted: Planted | undefined;
  await db.asSuperuser(async (session) => {
    await session.exec('BEGIN; LOCK TABLE tocsin.claim IN SHARE MODE');
    planted = await planter.plant({ lane: 'bulk', route: 'claiming', count: 100 });
    await vi.waitFor(() => expect(dispatch.binds[0]?.undecided).toBeGreaterThan(0), { timeout: 5_000 });
    await cancel(planted);
    // The bind has heard of it, and can do nothing about it yet.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await session.exec('ROLLBACK');
  });
  expect(await statesOf(planted as Planted)).toEqual({ [FINAL.cancelled]: 100 });
  expect(smsc.arrived).toEqual([]);
}, 30_000);

test('while it is being read', async () => {
  let planted: Planted | undefined;
  const { planter, smsc } = await rig('reading', 500, (source) => ({
    texts: async (bodies, pool) => {
      const texts = await source.texts(bodies, pool);
      await vi.waitFor(() => expect(planted).toBeDefined());
      await cancel(planted as Planted);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return texts;
    },
  }));
  planted = await planter.plant({ lane: 'bulk', route: 'reading', count: 20 });
  expect(await statesOf(planted)).toEqual({ [FINAL.cancelled]: 20 });
  expect(smsc.arrived).toEqual([]);
}, 30_000);

test('while nobody listened', async () => {
  const { planter, smsc } = await rig('deaf', 10);
  const planted = await planter.plant({ lane: 'bulk', route: 'deaf', count: 60 });
  await vi.waitFor(() => expect(smsc.arrived.length).toBeGreaterThan(0), { timeout: 5_000, interval: 10 });
  await cancel(planted, false);
  expect(await db.terminateBackends('tocsin listen')).toBeGreaterThan(0);
  const states = await statesOf(planted);
  expect(states[FINAL.cancelled]).toBeGreaterThan(20);
}, 30_000);
