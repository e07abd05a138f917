/** What becomes of work when the bind's lease is renewed late, or goes to another process, with a real database. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, startPlainSmsc } from '../../test/support/plain-smsc.ts';
import { ChainWriter } from '../audit/index.ts';
import { DatabaseClock, IdAllocator, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { queueName } from './chunks.ts';
import { Dispatch } from './dispatch.ts';
import { type Holder, takeChunks } from './hold.ts';
import { LEASE_TTL_MS } from './lease.ts';
import { type TakeoverResult, takeOver } from './takeover.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

/** What one test has for itself: they run beside one another, because most of their time leases run out. */
interface Bench {
  db: TestDatabase;
  boss: Boss;
  /** Called from the last to the first. */
  ends: (() => unknown)[];
}

interface Rig {
  planter: Planter;
  dispatch: Dispatch;
  smsc: PlainSmsc;
  bind: number;
  takeOverAs: (process: number, fence: number) => Promise<TakeoverResult>;
}

async function startRig({ db, boss, ends }: Bench, name: string): Promise<Rig> {
  const smsc = await startPlainSmsc({ receipts: true });
  ends.push(() => smsc.close());
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-lease-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
  writeFileSync(
    join(folder, 'carriers.yaml'),
    `carriers:
  ${name}: { host: 127.0.0.1, port: ${smsc.port}, systemId: a, password: { env: PW }, tps: 500, responseTimeout: PT4S, restFirst: PT0.1S, defaultSender: Tocsin }
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
    ...{ database: db.database, boss, clock, policies, names, process, log, texts: planter.source },
    node: 'test',
    connect: (bind, handlers) =>
      connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
  });
  ends.push(() => dispatch.stop(9_000));
  await vi.waitFor(() => expect(dispatch.binds[0]).toMatchObject({ up: true, held: true }), { timeout: 10_000 });
  const bind = names.bindId(name);
  const writer = await ChainWriter.open(control, clock, process, 'other');
  return {
    ...{ planter, dispatch, smsc, bind },
    takeOverAs: (other, fence) =>
      takeOver({
        ...{ pool: control, writer, boss, ids: new IdAllocator(control), clock, lanes: policies.lanes },
        holder: { process: other, bind, fence },
        laneName: (id) => names.laneName(id),
        routeName: (id) => names.routeName(id),
      }),
  };
}

async function allDelivered({ db }: Bench, { day, deliveries }: Planted): Promise<void> {
  await vi.waitFor(
    async () => {
      const rows = await db.database.pools.reader.query<{ n: number }>(
        `SELECT count(*) AS n FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND state = $3`,
        [day, deliveries, FINAL.delivered],
      );
      expect(rows[0]?.n).toBe(deliveries.length);
    },
    { timeout: 15_000, interval: 50 },
  );
}

/** Work that this holder fetched, quicker than the one that is there. */
async function steal({ db, boss }: Bench, planter: Planter, route: string, by: Holder): Promise<Planted> {
  const wish = { queue: queueName(route, 'bulk'), route, lane: 'bulk', jobs: 10, room: 1_000 } as const;
  for (;;) {
    let taken = 0;
    const plant = planter.plant({ lane: 'bulk', route, count: 5 });
    for (let tries = 0; tries < 40 && taken === 0; tries++) {
      taken = (await takeChunks(db.database.pools.fanout, boss, by, wish, (work) => work())).length;
    }
    const planted = await plant;
    if (taken > 0) return planted;
  }
}

type Rest<F> = F extends (bench: Bench, ...rest: infer R) => infer P ? (...rest: R) => P : never;

const test = base.extend<{
  bench: Bench;
  db: TestDatabase;
  rig: Rest<typeof startRig>;
  delivered: Rest<typeof allDelivered>;
  stolen: Rest<typeof steal>;
}>({
  bench: async ({ task: _ }, use) => {
    const ends: Bench['ends'] = [];
    const db = await testDatabase((end) => ends.push(end));
    const boss = await openBoss({ target: db.target, onError: () => {} });
    ends.push(() => boss.stop({ graceful: false }));
    await use({ db, boss, ends });
    for (const end of ends.reverse()) await end();
  },
  db: ({ bench }, use) => use(bench.db),
  rig: ({ bench }, use) => use((...rest) => startRig(bench, ...rest)),
  delivered: ({ bench }, use) => use((...rest) => allDelivered(bench, ...rest)),
  stolen: ({ bench }, use) => use((...rest) => steal(bench, ...rest)),
});

test.concurrent('work that is fetched while the renewal is late is sent when it has come', async ({
  db,
  delivered,
  rig,
}) => {
  const { planter, bind } = await rig('late');
  const planted = await db.asSuperuser(async (session) => {
    const left = async (): Promise<number> => {
      const { rows } = await session.query<{ ms: number }>(
        'SELECT floor(extract(epoch FROM until - clock_timestamp()) * 1000)::int AS ms FROM tocsin.bind_lease WHERE bind = $1',
        [bind],
      );
      return Number(rows[0]?.ms);
    };
    // Just renewed.
    await vi.waitFor(async () => expect(await left()).toBeGreaterThan(LEASE_TTL_MS - 60), {
      timeout: 5_000,
      interval: 5,
    });
    await session.exec('BEGIN');
    await session.query('SELECT 1 FROM tocsin.bind_lease WHERE bind = $1 FOR UPDATE', [bind]);
    await vi.waitFor(async () => expect(await left()).toBeLessThan(850), { timeout: 5_000, interval: 10 });
    const work = await planter.plant({ lane: 'emergency', route: 'late', count: 5 });
    await vi.waitFor(async () => expect(await left()).toBeLessThan(350), { timeout: 5_000, interval: 10 });
    await session.exec('ROLLBACK');
    return work;
  });
  await delivered(planted);
}, 40_000);

test.concurrent('work that a former holder fetched after it had lost the bind is sent all the same', async ({
  delivered,
  rig,
  stolen,
}) => {
  const { planter, bind } = await rig('stale');
  await delivered(await stolen(planter, 'stale', { process: 0, bind, fence: 0 }));
}, 40_000);

test.concurrent('the lease is renewed though every session for chores is taken', async ({ db, delivered, rig }) => {
  const { planter, bind } = await rig('busy');
  const fence = async (): Promise<number | undefined> => {
    const text = 'SELECT fence FROM bind_lease WHERE bind = $1';
    return (await db.database.pools.reader.query<{ fence: number }>(text, [bind]))[0]?.fence;
  };
  const before = await fence();
  const { control } = db.database.pools;
  await Promise.all(Array.from({ length: 4 }, () => control.query('SELECT pg_sleep(3)')));
  await delivered(await planter.plant({ lane: 'emergency', route: 'busy', count: 1 }));
  expect(await fence()).toBe(before);
}, 40_000);

test.concurrent('work of a bind that policy no longer names goes to the others of its route', async ({
  db,
  delivered,
  rig,
  stolen,
}) => {
  const { planter } = await rig('heir');
  const [retired] = await db.database.pools.control.query<{ id: number }>(
    `INSERT INTO bind (name) VALUES ('retired') RETURNING id`,
  );
  const bind = retired?.id as number;
  await db.database.pools.control.query(
    `INSERT INTO bind_lease (bind, fence, process, until) VALUES ($1, 3, 0, clock_timestamp())`,
    [bind],
  );
  await delivered(await stolen(planter, 'heir', { process: 0, bind, fence: 3 }));
}, 40_000);

test.concurrent('what a bind that rests has on the wire when it is lost is sent again by its next holder alone', async ({
  db,
  delivered,
  rig,
}) => {
  const { planter, smsc, bind, takeOverAs, dispatch } = await rig('resting');
  let tries = 0;
  smsc.verdict = () => {
    tries++;
    return tries === 1 ? 'hold' : tries === 2 ? 0x101 : 0;
  };
  const planted = await planter.plant({ lane: 'emergency', route: 'resting', count: 2 });
  await vi.waitFor(() => expect(dispatch.binds[0]?.resting).toBe(true), { timeout: 5_000, interval: 5 });
  const [row] = await db.database.pools.control.query<{ fence: number }>(
    `UPDATE bind_lease SET fence = fence + 1, process = 0, until = clock_timestamp() + interval '3 s'
     WHERE bind = $1 RETURNING fence`,
    [bind],
  );
  await vi.waitFor(() => expect(dispatch.binds[0]?.held).toBe(false), { timeout: 5_000, interval: 5 });
  expect(await takeOverAs(0, row?.fence as number)).toMatchObject({ inDoubt: 1 });
  await delivered(planted);
  // Its answer is overdue by now, or will soon be: it comes to nothing.
  await vi.waitFor(() => expect(dispatch.binds[0]?.unanswered).toBe(0), { timeout: 10_000, interval: 20 });
  const [open] = await vi.waitFor(
    async () => {
      const rows = await db.database.pools.reader.query<{ n: number; chunks: number }>(
        `SELECT count(*) FILTER (WHERE NOT settled) AS n, count(*) AS chunks FROM chunk
         WHERE delivery_ids && $1::bigint[]`,
        [planted.deliveries],
      );
      expect(rows[0]?.n).toBe(0);
      return rows;
    },
    { timeout: 10_000, interval: 50 },
  );
  // The one that was refused, and the one in doubt.
  expect(open?.chunks).toBe(2);
  expect(smsc.arrived).toHaveLength(4);
}, 60_000);
