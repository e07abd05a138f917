/** The fetch loop: woken at once, never stuck, and an emergency waits for none of the others. Real database, real SMSC. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PgBoss } from 'pg-boss';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, startPlainSmsc } from '../../test/support/plain-smsc.ts';
import { poolSizes } from '../platform/database.ts';
import { type Clock, DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { insertChunks } from './chunks.ts';
import { Dispatch } from './dispatch.ts';
import type { TextSource } from './hold.ts';
import { type Boss, Planter } from './testing.ts';

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
  /** In the order of the binds. */
  smscs: PlainSmsc[];
  clock: Clock;
  names: Names;
  errors: string[];
}

/** @param binds TPS by name, all of one route of the first one's name. */
async function rig(
  binds: Record<string, number>,
  options: { textsOf?: (source: TextSource) => TextSource; fetches?: PgBoss; carrier?: object } = {},
): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-fetch-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const smscs: PlainSmsc[] = [];
  const carriers: Record<string, object> = {};
  for (const [name, tps] of Object.entries(binds)) {
    const smsc = await startPlainSmsc({ receipts: true });
    ends.push(() => smsc.close());
    smscs.push(smsc);
    const account = { host: '127.0.0.1', port: smsc.port, systemId: name, password: { env: 'PW' } };
    carriers[name] = { ...account, window: 20, tps, defaultSender: 'Tocsin', ...options.carrier };
  }
  const [route] = Object.keys(binds);
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
  writeFileSync(join(folder, 'carriers.yaml'), JSON.stringify({ carriers }));
  const routes = [{ name: route, prefixes: ['+'], binds: Object.keys(binds) }];
  writeFileSync(join(folder, 'routing.yaml'), JSON.stringify({ routes }));
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
  const errors: string[] = [];
  const log = { info: () => {}, warn: () => {}, error: (_: object, message: string) => void errors.push(message) };
  const dispatch = await Dispatch.start({
    ...{ database: db.database, clock, policies, names, process, log, node: 'test' },
    boss: options.fetches ?? boss,
    texts: options.textsOf?.(planter.source) ?? planter.source,
    connect: (bind, handlers) =>
      connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
  });
  ends.push(() => dispatch.stop(9_000));
  for (const bind of dispatch.binds)
    await vi.waitFor(() => expect(bind).toMatchObject({ up: true, held: true }), { timeout: 10_000 });
  return { planter, dispatch, smscs, clock, names, errors };
}

const states = async (deliveries: number[]): Promise<{ state: number; cause: string | null }[]> =>
  await db.database.pools.reader.query(
    'SELECT state, cause FROM final_state WHERE delivery = ANY($1::bigint[]) ORDER BY delivery',
    [deliveries],
  );

/** The throttle's first second is over once something was sent. */
async function warmUp(planter: Planter, smsc: PlainSmsc | undefined, route: string): Promise<void> {
  await planter.plant({ lane: 'transaction', route, count: 1 });
  await vi.waitFor(() => expect(smsc?.arrived.length).toBe(1), { timeout: 5_000 });
}

test('work that is committed while a fetch looks at the queue is fetched at once, not at the next poll', async () => {
  let plant: (() => Promise<unknown>) | null = null;
  let fired = 0;
  // What pg-boss answers was read before the commit, and is heard after its NOTIFY.
  const late = new Proxy(boss, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      if (name !== 'fetch') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<PgBoss['fetch']>) => {
        const answer = await target.fetch(...args);
        if (plant === null || args[0] !== 'dispatch.woken.security') return answer;
        const now = plant;
        plant = null;
        await now();
        await new Promise((resolve) => setTimeout(resolve, 30));
        fired++;
        return answer;
      };
    },
  });
  const { planter, smscs } = await rig({ woken: 500 }, { fetches: late });
  await warmUp(planter, smscs[0], 'woken');
  const waits: number[] = [];
  for (let n = 2; n <= 4; n++) {
    let committed = 0;
    plant = async () => {
      await planter.plant({ lane: 'security', route: 'woken', count: 1 });
      committed = performance.now();
    };
    await vi.waitFor(() => expect(smscs[0]?.arrived.length).toBe(n), { timeout: 5_000, interval: 2 });
    waits.push(performance.now() - committed);
  }
  expect(fired).toBe(3);
  // The next poll is half a second away each time.
  expect(Math.min(...waits)).toBeLessThan(300);
}, 30_000);

test('an emergency is on the wire though the fetches of other lanes have every session that they may have', async () => {
  const { planter, smscs } = await rig({ urgent: 500 });
  await warmUp(planter, smscs[0], 'urgent');
  const { dispatch: pool } = db.database.pools;
  const release = Promise.withResolvers<void>();
  let inside = 0;
  const holders = Array.from({ length: 4 }, () =>
    pool.run(async (tx) => {
      await tx.query('SELECT 1');
      inside++;
      await release.promise;
    }),
  );
  try {
    await vi.waitFor(() => expect([inside, pool.stats.waiting]).toEqual([poolSizes.dispatch, 4 - poolSizes.dispatch]));
    await planter.plant({ lane: 'bulk', route: 'urgent', count: 10 });
    await planter.plant({ lane: 'emergency', route: 'urgent', count: 1 });
    await vi.waitFor(() => expect(smscs[0]?.arrived.length).toBe(2), { timeout: 5_000 });
  } finally {
    release.resolve();
    await Promise.all(holders);
  }
  await vi.waitFor(() => expect(smscs[0]?.arrived.length).toBe(12), { timeout: 5_000 });
}, 30_000);

test('an emergency is on the wire though a claim of another lane waits for a lock, and K holds for both', async () => {
  const { planter, smscs, dispatch } = await rig({ beside: 500 }, { carrier: { claimLimit: 20 } });
  const [smsc] = smscs;
  const [bind] = dispatch.binds;
  const { deliveries } = await planter.plant({ lane: 'bulk', route: 'beside', count: 400, chunkSize: 400 });
  await vi.waitFor(() => expect(smsc?.arrived.length).toBeGreaterThan(40), { timeout: 10_000, interval: 2 });
  const release = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holder = db.database.pools.control.run(async (tx) => {
    await tx.query('SELECT FROM chunk WHERE first_delivery = $1 FOR UPDATE', [deliveries[0]]);
    locked.resolve();
    await release.promise;
  });
  let drained: Promise<unknown> = Promise.resolve();
  try {
    await locked.promise;
    // What was claimed before goes out; then the next claim waits for the row.
    const stalled = async () => {
      const [row] = await db.database.pools.reader.query<{ n: number }>(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '%claims'`,
      );
      expect(row?.n).toBe(1);
    };
    await vi.waitFor(stalled, { timeout: 5_000 });
    await vi.waitFor(() => expect(bind?.undecided).toBeLessThanOrEqual(20));
    const before = smsc?.arrived.length ?? 0;
    expect(before).toBeLessThan(400);
    for (let n = 0; n < 5; n++) await planter.plant({ lane: 'emergency', route: 'beside', count: 1 });
    await vi.waitFor(() => expect(smsc?.arrived.length).toBe(before + 5), { timeout: 1_500, interval: 2 });
    await stalled();
    expect(bind?.undecided).toBeLessThanOrEqual(20);
    drained = dispatch.stop(9_000);
  } finally {
    release.resolve();
    await holder;
  }
  // The claim that waited is over before the bind is given back: nothing stays claimed without an outcome.
  await drained;
  expect(bind?.undecided).toBe(0);
}, 40_000);

test('beside a bind of half a TPS the fast one of the route sends nearly all of every chunk', async () => {
  const { planter, smscs, dispatch } = await rig({ fast: 200, slow: 0.5 });
  const { deliveries } = await planter.plant({ lane: 'transaction', route: 'fast', count: 300, chunkSize: 50 });
  const buffered = setInterval(() => {
    for (const bind of dispatch.binds)
      if (bind.name === 'slow') expect(bind.buffered('transaction')).toBeLessThanOrEqual(1);
  }, 10);
  await vi.waitFor(async () => expect((await states(deliveries)).length).toBeGreaterThanOrEqual(299), {
    timeout: 15_000,
  });
  clearInterval(buffered);
  expect(smscs[0]?.arrived.length).toBeGreaterThanOrEqual(290);
}, 30_000);

test('one text that cannot be opened ends its delivery as failed, and the others of its chunks go on', async () => {
  let broken = 0;
  const { planter, errors } = await rig(
    { opened: 500 },
    {
      textsOf: (source) => ({
        texts: async (bodies, pool) =>
          new Map<number, string | null>([
            ...(await source.texts(bodies, pool)),
            ...bodies.flatMap((id): [number, null][] => (id === broken ? [[id, null]] : [])),
          ]),
      }),
    },
  );
  await planter.plant({ lane: 'bulk', route: 'opened', count: 1 });
  // The body is read before it is named: the planter says which it will be by taking the next id.
  const first = await planter.plant({ lane: 'transaction', route: 'opened', count: 2 });
  broken = first.body + 3;
  const second = await planter.plant({ lane: 'transaction', route: 'opened', count: 2 });
  expect(second.body).toBe(broken);
  const all = [...first.deliveries, ...second.deliveries];
  await vi.waitFor(async () => expect((await states(all)).length).toBe(4), { timeout: 10_000 });
  const failed = { state: FINAL.failed, cause: 'text cannot be opened' };
  expect(await states(second.deliveries)).toEqual([failed, failed]);
  expect(await states(first.deliveries)).toMatchObject([{ state: FINAL.delivered }, { state: FINAL.delivered }]);
  expect(errors.filter((message) => message.startsWith('texts cannot be opened')).length).toBe(1);
}, 30_000);

test('20,000 chunks for later stand in no queue, and leave in their time, the most urgent lane first', async () => {
  const { planter, smscs, clock, names } = await rig({ later: 500 });
  const { day, alert, deliveries } = await planter.plant({ lane: 'emergency', route: 'later', count: 3 });
  await vi.waitFor(() => expect(smscs[0]?.arrived.length).toBe(3), { timeout: 5_000 });
  const now = clock.now();
  const chunkOf = (id: number, notBefore: number) => ({
    ...{ id, day, alert, lane: 'transaction' as const, laneId: names.laneId('transaction'), number: 0, rank: 900 },
    ...{ route: 'later', routeId: names.routeId('later'), firstDelivery: id, deliveries: 1 },
    ...{ notBefore, expiresMin: now + 7_200_000, expiresMax: now + 7_200_000 },
  });
  await db.database.pools.control.run((tx) =>
    insertChunks(
      tx,
      boss,
      Array.from({ length: 20_000 }, (_, n) => chunkOf(2e12 + n, now + 3_600_000)),
      now,
    ),
  );
  const queued = async (): Promise<number> => {
    const [row] = await db.database.pools.reader.query<{ n: number }>(
      `SELECT count(*) AS n FROM pgboss.job WHERE name = 'dispatch.later.transaction' AND state < 'active'`,
    );
    return row?.n ?? -1;
  };
  expect(await queued()).toBe(0);
  await planter.plant({ lane: 'transaction', route: 'later', count: 1 });
  await vi.waitFor(() => expect(smscs[0]?.arrived.length).toBe(4), { timeout: 5_000 });
  // Brought forward, as the clock would: what is named by no delivery is found to need nothing, and is settled.
  const open = async (): Promise<number> => {
    const [row] = await db.database.pools.reader.query<{ n: number }>(
      'SELECT count(*) AS n FROM chunk WHERE NOT settled AND id BETWEEN 2000000000000 AND 2000000000999',
    );
    return row?.n ?? -1;
  };
  await db.asSuperuser((session) =>
    session.query('UPDATE tocsin.chunk SET not_before = $1 WHERE id BETWEEN 2000000000000 AND 2000000000999', [now]),
  );
  await vi.waitFor(async () => expect(await open()).toBe(0), { timeout: 10_000, interval: 50 });
  expect(deliveries.length).toBe(3);
}, 40_000);
