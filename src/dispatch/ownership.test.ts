/** Several processes share the binds of one database: real PostgreSQL, real sessions with a simulated carrier. */
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
import { Dispatch } from './dispatch.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

const BINDS = ['a', 'b', 'c', 'd'];
const ends: (() => unknown)[] = [];
let db: TestDatabase;
let boss: Boss;
let smsc: PlainSmsc;
let policies: Policies;
let clock: DatabaseClock;
let names: Names;

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  smsc = await startPlainSmsc({ receipts: true });
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-ownership-'));
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
  const carrier = (name: string, nodes: string) =>
    `  ${name}: { host: 127.0.0.1, port: ${smsc.port}, systemId: ${name}, password: { env: PW }, tps: 500, defaultSender: Tocsin${nodes} }\n`;
  const carriers = BINDS.map((name) => carrier(name, name === 'd' ? ', nodes: [north]' : '')).join('');
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n${carriers}`);
  writeFileSync(join(folder, 'routing.yaml'), `routes: [{ name: all, prefixes: ['+'], binds: [${BINDS}] }]\n`);
  policies = loadPolicies(folder, { PW: 'secret' }, PROTOCOL);
  clock = await DatabaseClock.open(() => readDatabaseTime(db.database.pools.control));
  names = await Names.register(db.database.pools.control, policies);
  return async () => {
    rmSync(folder, { recursive: true, force: true });
    clock.close();
    await smsc.close();
    await boss.stop({ graceful: false });
  };
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function joined(node: string): Promise<{ dispatch: Dispatch; planter: Planter; held(): string[] }> {
  const { control } = db.database.pools;
  const [row] = await control.query<{ id: number }>(
    `INSERT INTO process (host, pid, started_at) VALUES ($1, 1, $2) RETURNING id`,
    [node, clock.now()],
  );
  const process = row?.id ?? 0;
  const planter = await Planter.open({ database: db.database, boss, clock, names, process });
  texts.push(planter);
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const dispatch = await Dispatch.start({
    ...{ database: db.database, boss, clock, policies, names, process, node, log },
    // Any of them may send what another's planter wrote.
    texts: {
      texts: async (...wish) =>
        new Map((await Promise.all(texts.map(({ source }) => source.texts(...wish)))).flatMap((found) => [...found])),
    },
    connect: (bind, handlers) =>
      connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
  });
  ends.push(() => dispatch.stop(9_000));
  return { dispatch, planter, held: () => dispatch.binds.filter(({ held }) => held).map(({ name }) => name) };
}
const texts: Planter[] = [];

async function untilDelivered({ day, deliveries }: Planted): Promise<void> {
  await vi.waitFor(
    async () => {
      const rows = await db.database.pools.reader.query<{ n: number }>(
        `SELECT count(*) AS n FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND state = $3`,
        [day, deliveries, FINAL.delivered],
      );
      expect(rows[0]?.n).toBe(deliveries.length);
    },
    { timeout: 40_000, interval: 25 },
  );
}

const soon = { timeout: 12_000, interval: 20 };

test('processes that join and leave share the binds, under load, and the carrier sees one session of each', async () => {
  const north = await joined('north');
  await vi.waitFor(() => expect(north.held()).toEqual(BINDS), soon);
  const south = await joined('south');
  // A process that holds none yet has nothing down: the other looks after it.
  await vi.waitFor(
    () => expect(south.dispatch.binds.map(({ elsewhere }) => elsewhere)).toEqual([true, true, true, true]),
    soon,
  );
  expect(south.dispatch.bindsDown).toEqual([]);
  let sessionsMax = 0;
  const watch = setInterval(() => {
    sessionsMax = Math.max(sessionsMax, smsc.sessions);
  }, 5);
  const loads = [];
  for (let n = 0; n < 3; n++) loads.push(await north.planter.plant({ lane: 'bulk', route: 'all', count: 4_000 }));
  await vi.waitFor(() => expect(south.held().length).toBe(2), soon);
  await vi.waitFor(() => expect([...north.held(), ...south.held()].sort()).toEqual(BINDS), soon);
  expect(south.held()).not.toContain('d');
  await vi.waitFor(
    () => expect(south.dispatch.binds.filter(({ up }) => up).map(({ name }) => name)).toEqual(south.held()),
    soon,
  );
  const leaving = south.held();
  await south.dispatch.stop(9_000);
  const stoppedAt = performance.now();
  await vi.waitFor(() => expect(north.held()).toEqual(BINDS), soon);
  expect(performance.now() - stoppedAt, `${leaving} are taken over`).toBeLessThan(1_000);
  for (const load of loads) await untilDelivered(load);
  clearInterval(watch);
  expect(sessionsMax).toBe(BINDS.length);
  // Nothing was sent twice: a bind that is handed over leaves nothing in doubt.
  expect(smsc.arrived.length).toBe(12_000);
}, 120_000);

test('a bind is left alone by nodes that may not hold it, whoever is gone', async () => {
  const south = await joined('south');
  await vi.waitFor(() => expect(south.held()).toEqual(['a', 'b', 'c']), soon);
  expect(south.dispatch.bindsDown).toContain('d');
  const north = await joined('north');
  await vi.waitFor(() => expect(north.held()).toContain('d'), soon);
  await vi.waitFor(() => expect(south.dispatch.bindsDown).toEqual([]), soon);
}, 40_000);
