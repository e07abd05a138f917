/** Intake, idempotency, progress and cancel, with a real database and pg-boss. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { commitProxy } from '../../test/support/commit-proxy.ts';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import type { Principal } from '../access/index.ts';
import { Lists } from '../audience/index.ts';
import { ChainWriter, insertFacts, verify } from '../audit/index.ts';
import { queueName } from '../dispatch/chunks.ts';
import { hydrate, type Taken, takeChunks } from '../dispatch/hold.ts';
import { FACT_TABLES } from '../facts.ts';
import { EmergencyGate, FANOUT_QUEUE, Fanout } from '../fanout/index.ts';
import { openWorld, type World } from '../fanout/testing.ts';
import { type Clock, Pool, Vault } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, Policies, TlvPolicy } from '../policy/index.ts';
import { addProgress, FINAL, finalState, OUTCOME, submission } from '../records/index.ts';
import { FreshWork } from './fresh.ts';
import { Intake, type IntakeLimits } from './intake.ts';
import type { NetworkLookup } from './portability.ts';
import { Alerts } from './service.ts';
import { sweepBodies } from './sweep-bodies.ts';
import type { AlertRequest, SubmitResult } from './types.ts';
import { timeOf } from './uuid.ts';
import { verifyBodies } from './verify-bodies.ts';

const ROUTES = { main: { tps: 700, prefixes: ['+'] }, north: { tps: 40, prefixes: ['+46'] } };
const MONTH = 30 * 86_400_000;
let db: TestDatabase;
let world: World;
let keyring: string;
let vault: Vault;
const masterKey = randomBytes(32);
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  db = await testDatabase();
  world = await openWorld(db.database, ROUTES);
  keyring = await mkdtemp(join(tmpdir(), 'tocsin-keyring-'));
  vault = new Vault({ pool: db.database.pools.control, masterKey, keyring });
  return async () => {
    await world.close();
    await rm(keyring, { recursive: true });
  };
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Rig {
  alerts: Alerts;
  intake: Intake;
  lists: Lists;
  gate: EmergencyGate;
  groups: { alerts: number; failed: boolean }[];
  /** What the backlog says waits ahead. */
  ahead: number;
}

/** Intake as one process has it. Two of them on one database are two processes, as far as intake can tell. */
async function open(
  options: {
    pool?: Pool;
    limits?: Partial<IntakeLimits>;
    clock?: Clock;
    policies?: Policies;
    networks?: NetworkLookup;
    fresh?: FreshWork;
  } = {},
): Promise<Rig> {
  const pool = options.pool ?? db.database.pools.intake;
  const clock = options.clock ?? world.clock;
  const chain = (of: Pool, room: string) => ChainWriter.open(of, world.clock, world.process, room, { rerunLimit: 3 });
  const rig: Rig = { groups: [], ahead: 0 } as unknown as Rig;
  rig.gate = new EmergencyGate({ clock });
  rig.lists = new Lists({
    pool: db.database.pools.reader,
    writer: await chain(db.database.pools.control, 'lists'),
    ids: world.ids,
    clock,
    recipients: world.recipients,
  });
  rig.intake = new Intake({
    ...world,
    clock,
    writers: [await chain(pool, 'intake'), await chain(pool, 'intake')],
    onTrouble: () => undefined,
    onGroup: (group) => rig.groups.push(group),
    limits: options.limits,
    fresh: options.fresh,
  });
  rig.alerts = new Alerts({
    pool: db.database.pools.reader,
    intake: rig.intake,
    writer: await chain(db.database.pools.control, 'acts'),
    vault,
    clock,
    policies: options.policies ?? world.policies,
    names: world.names,
    backlog: { ahead: () => rig.ahead, add: () => undefined },
    lists: rig.lists,
    networks: options.networks,
    gate: rig.gate,
  });
  return rig;
}

const principal = (change: Partial<Principal> = {}): Principal => ({
  organisation: 1,
  producer: 11,
  apiKey: 111,
  lanes: new Set<LaneName>(['emergency', 'security', 'transaction', 'bulk']),
  scopes: new Set(['alerts:write']),
  ...change,
});

let last = 0;
const number = (prefix = '+4477'): never => `${prefix}${String(++last).padStart(8, '0')}` as never;

const request = (change: Partial<AlertRequest> & { to?: string[]; lists?: string[] } = {}): AlertRequest => {
  const { to = [number()], lists = [], ...rest } = change;
  return {
    lane: 'transaction',
    status: 'Actual',
    texts: [{ language: null, text: 'Your card ending 4242 was charged 12.50 EUR.' }],
    secret: false,
    sender: null,
    target: { recipients: to.map((msisdn) => ({ msisdn: msisdn as never, reference: null })), lists },
    reference: null,
    notBefore: null,
    expiresAt: null,
    validForMs: null,
    ...rest,
  };
};

function accepted(result: SubmitResult): { id: string; replay: boolean } {
  if (result.kind === 'problem') throw new Error(result.problem.code);
  return { id: result.alert.id, replay: result.replay };
}
const codeOf = (result: SubmitResult): string => (result.kind === 'problem' ? result.problem.code : result.kind);

const query = <T extends object>(text: string, params: unknown[] = []): Promise<T[]> =>
  db.database.pools.reader.query<T>(text, params);

interface DeliveryRead {
  id: number;
  day: string;
  route: number;
  chunk: number;
  text: string;
}

/** Deliveries of an alert with the text each would get. */
async function deliveriesOf(id: string): Promise<DeliveryRead[]> {
  const rows = await query<DeliveryRead & { key_ref: string; sealed: Buffer }>(
    `select d.id, d.day, d.route, d.chunk, b.key_ref, b.sealed from delivery d join body b on b.id = d.body
     where d.alert = $1::uuid order by d.id`,
    [id],
  );
  return await Promise.all(
    rows.map(async (row) => ({ ...row, text: (await vault.open(row.key_ref, row.sealed)).text })),
  );
}

async function stored(): Promise<Record<string, number>> {
  const [row] = await query<Record<string, number>>(
    `select (select count(*) from alert) as alerts, (select count(*) from body) as bodies,
       (select count(*) from delivery) as deliveries, (select count(*) from chunk) as chunks,
       (select count(*) from idempotency_key) as keys, (select count(*) from recipient) as recipients,
       (select count(*) from pgboss.job) as jobs`,
  );
  return row as Record<string, number>;
}

async function expectVerified(): Promise<void> {
  const report = await verify(db.database, FACT_TABLES);
  expect(report.disagreements).toEqual([]);
}

describe('an alert to one number', () => {
  test('is stored with its delivery, in a chunk that dispatch can take, before it is answered', async () => {
    const { alerts } = await open();
    const result = await alerts.submit(principal(), request({ to: ['+46700000001'], reference: 'tx-1' }), null);
    const { id } = accepted(result);
    expect(result).toMatchObject({ alert: { state: 'accepted', lane: 'transaction', recipients: 1 }, replay: false });
    const view = await alerts.get(1, id);
    expect(view).toMatchObject({
      reference: 'tx-1',
      acceptedAt: timeOf(id),
      state: 'accepted',
      progress: { deliveries: 1, fannedOut: true, open: 1, submitted: 0 },
    });
    const [delivery, ...others] = await deliveriesOf(id);
    expect(others).toEqual([]);
    expect(delivery).toMatchObject({
      route: world.names.routeId('north'),
      text: 'Your card ending 4242 was charged 12.50 EUR.',
    });
    const [chunk] = await query(
      `select c.first_delivery, c.deliveries, c.alert, j.name, j.state from chunk c join pgboss.job j on j.id = c.job where c.id = $1`,
      [delivery?.chunk],
    );
    expect(chunk).toEqual({
      first_delivery: delivery?.id,
      deliveries: 1,
      alert: id,
      name: 'dispatch.north.transaction',
      state: 'created',
    });
    await expectVerified();
  });

  test('leaves by the network that its number belongs to now; an emergency waits for no answer, and many ask for none', async () => {
    const asked: string[] = [];
    let known: string | null = null;
    const networks: NetworkLookup = {
      knownNetworkOf: () => known,
      networkOf: async (msisdn) => {
        asked.push(msisdn);
        return '+4670';
      },
    };
    const { alerts } = await open({ networks });
    const routeOfNext = async (change: Parameters<typeof request>[0] = {}) => {
      const { id } = accepted(await alerts.submit(principal(), request(change), null));
      return (await deliveriesOf(id)).map(({ route }) => world.names.routeName(route as number));
    };
    const [moved] = [number()];
    expect(await routeOfNext({ to: [moved] })).toEqual(['north']);
    expect(asked).toEqual([moved]);
    expect(await routeOfNext({ lane: 'emergency' })).toEqual(['main']);
    known = '+46';
    expect(await routeOfNext({ lane: 'emergency' })).toEqual(['north']);
    accepted(await alerts.submit(principal(), request({ to: [number(), number()] }), null));
    expect(asked).toEqual([moved]);
  });

  test('shares transactions and chunks with the others of its milliseconds', async () => {
    const { alerts, groups } = await open();
    const requests = Array.from({ length: 400 }, (_, i) =>
      request({ lane: i % 2 === 0 ? 'transaction' : 'bulk', to: [number(i % 4 < 2 ? '+4477' : '+4670')] }),
    );
    const results = await Promise.all(requests.map((each) => alerts.submit(principal(), each, null)));
    const ids = results.map((result) => accepted(result).id);
    expect(new Set(ids).size).toBe(400);
    expect(groups.length).toBeLessThan(12);
    expect(groups.reduce((sum, group) => sum + group.alerts, 0)).toBe(400);
    const rows = await query<{
      chunk: number;
      n: number;
      lanes: number;
      routes: number;
      low: number;
      high: number;
      route: number;
    }>(
      `select chunk, count(*) as n, count(distinct lane) as lanes, count(distinct route) as routes, min(id) as low, max(id) as high,
         min(route) as route from delivery where alert = any($1::uuid[]) group by chunk`,
      [ids],
    );
    expect(rows.reduce((sum, row) => sum + row.n, 0)).toBe(400);
    for (const row of rows) {
      expect(row).toMatchObject({ lanes: 1, routes: 1, low: row.chunk, high: row.chunk + row.n - 1 });
      expect(row.n).toBeLessThanOrEqual(world.names.routeName(row.route) === 'main' ? 175 : 10);
    }
    await expectVerified();
  });

  test('takes its number as another transaction has made it meanwhile, and so do the others of its group', async () => {
    const { alerts, groups } = await open();
    const [shared, own] = [number(), number()];
    const made = Promise.withResolvers<number | undefined>();
    const release = Promise.withResolvers<void>();
    const other = await ChainWriter.open(db.database.pools.control, world.clock, world.process, 'recipients');
    const holder = other.append(async (tx, entry) => {
      const { ids, parts } = await world.recipients.resolveIn(tx, entry, [{ organisation: 1, msisdn: shared }]);
      made.resolve([...ids.values()][0]);
      await release.promise;
      return { value: undefined, parts };
    });
    const id = await made.promise;
    const waiting = [shared, own].map((to) => alerts.submit(principal(), request({ to: [to] }), `to ${to}`));
    // It waits for the row, not for long: a statement of intake gives up after 250 ms.
    await vi.waitFor(async () => {
      const [row] = await query<{ n: number }>('select count(*) as n from pg_locks where not granted');
      expect(row?.n).toBeGreaterThan(0);
    });
    release.resolve();
    await holder;
    const ids = (await Promise.all(waiting)).map((result) => accepted(result).id);
    const rows = await query<{ recipient: number }>('select recipient from delivery where alert = $1::uuid', [ids[0]]);
    expect(rows).toEqual([{ recipient: id }]);
    expect(groups).toEqual([{ alerts: 2, ms: expect.any(Number), failed: false }]);
    await expectVerified();
  });

  test('is given to dispatch with its text, unless that is secret, for later, or one of several', async () => {
    const fresh = new FreshWork(world.clock);
    const { alerts } = await open({ fresh });
    const several = [
      { language: 'en', text: 'Evacuate.' },
      { language: 'sv', text: 'Evakuera.' },
    ];
    for (const change of [
      {},
      { secret: true },
      { notBefore: world.clock.now() + 60_000 },
      { texts: several },
      { to: [number(), number()] },
    ])
      accepted(await alerts.submit(principal(), request(change), null));
    expect(fresh.texts.size).toBe(1);
    const { id } = accepted(
      await alerts.submit(principal(), request({ texts: [{ language: null, text: 'Now.' }] }), null),
    );
    const [row] = await query<{ body: number }>('select body from delivery where alert = $1::uuid', [id]);
    expect(fresh.texts.take(row?.body as number)).toBe('Now.');
  });

  test('is given to dispatch as it would read it, until something is done with its chunk', async () => {
    const fresh = new FreshWork(world.clock);
    const campaign: TlvPolicy = { tag: 0x1401, type: 'string', value: null, alertName: 'campaign' };
    const [[name, carrier]] = Object.entries(world.policies.carriers) as [[string, CarrierPolicy]];
    const carriers = { ...world.policies.carriers, [name]: { ...carrier, tlvs: [campaign] } };
    const { alerts } = await open({ fresh, policies: { ...world.policies, carriers } });
    const holder = { process: world.process, bind: 1, fence: 1 };
    const { pools } = db.database;
    // What others left in the queue.
    const wish = { queue: queueName('north', 'security'), route: 'north', lane: 'security' as const, jobs: 100 };
    const take = () => takeChunks(pools.dispatch, world.boss, holder, { ...wish, room: 1_000 }, (work) => work());
    await take();
    const made = await Promise.all(
      [
        {},
        { sender: 'Bank' },
        { secret: true },
        { texts: [{ language: null, text: 'Zażółć.' }] },
        { tlvs: { campaign: 'spring' } },
      ].map((change) =>
        alerts.submit(principal(), request({ lane: 'security', to: [number('+4670')], ...change }), null),
      ),
    );
    const ids = made.map((result) => accepted(result).id);
    expect(fresh.deliveries.size).toBeGreaterThan(0);
    const taken = await take();
    expect(taken.reduce((sum, { chunk }) => sum + chunk.size, 0)).toBe(ids.length);
    const opened = (bodies: readonly number[]) => new Map(bodies.map((body) => [body, 'text']));
    const sources = { texts: { texts: async (all: readonly number[]) => opened(all) }, fresh: null, withTlvs: true };
    const none: ReadonlySet<string> = new Set();
    const stored = await hydrate(pools.reader, { ...sources, cancelled: none }, taken);
    const kept = new Map(taken.map(({ chunk }) => [chunk.id, fresh.deliveries.take(chunk.id) ?? []]));
    const asked: number[] = [];
    const source = {
      take: (chunk: number) => {
        asked.push(chunk);
        return kept.get(chunk);
      },
    };
    // A pool that answers nothing: of what is fresh nothing is read.
    const refuses = { query: () => Promise.reject(new Error('read')) } as unknown as Pool;
    const remembered = await hydrate(refuses, { ...sources, fresh: source, cancelled: none }, taken);
    expect(remembered).toEqual(stored);
    expect(asked).toEqual(taken.map(({ chunk }) => chunk.id));
    // One that was cancelled meanwhile is told apart, and of a chunk that was cut the rest is not its own.
    const first = taken[0] as Taken;
    const size = first.chunk.size;
    const less = { ...first, chunk: { ...first.chunk, size: size - 1 } };
    const gone = new Set([remembered.chunks[0]?.items[0]?.alert ?? '']);
    const other = await hydrate(refuses, { ...sources, fresh: source, cancelled: gone }, [less]);
    expect(other.chunks[0]?.cancelled.map(({ alert }) => alert)).toEqual([...gone]);
    expect(other.chunks[0]?.items.length).toBe(size - 2);
    // What was tried, claimed, given back or may be a copy is read.
    const chunkChanges = [{ attempt: 2 }, { claimedTo: 1 }, { returns: 1 }, { possibleDuplicate: true }];
    for (const change of chunkChanges) {
      const touched = { ...first, chunk: { ...first.chunk, ...change } };
      await expect(hydrate(refuses, { ...sources, fresh: source, cancelled: none }, [touched])).rejects.toThrow('read');
    }
    for (const change of [{ deliveryIds: [1] }, { ended: true }]) {
      const touched = { ...first, ...change };
      await expect(hydrate(refuses, { ...sources, fresh: source, cancelled: none }, [touched])).rejects.toThrow('read');
    }
  });

  test('gets the text of the language of its recipient, else the first', async () => {
    const { alerts } = await open();
    const [french, spanish, unknown] = [number(), number(), number()];
    await world.recipients.setLanguage(1, french, 'fr');
    await world.recipients.setLanguage(1, spanish, 'es');
    const texts = [
      { language: 'en', text: 'Leave now.' },
      { language: 'fr', text: 'Partez.' },
    ];
    const got = await Promise.all(
      [french, spanish, unknown].map(async (msisdn) => {
        const { id } = accepted(await alerts.submit(principal(), request({ texts, to: [msisdn] }), null));
        return (await deliveriesOf(id))[0]?.text;
      }),
    );
    expect(got).toEqual(['Partez.', 'Leave now.', 'Leave now.']);
    await expectVerified();
  });

  test('for later waits in its chunk until then', async () => {
    const { alerts } = await open();
    const notBefore = world.clock.now() + 3_600_000;
    const result = await alerts.submit(principal(), request({ notBefore }), null);
    expect(result).toMatchObject({ alert: { state: 'scheduled' } });
    const { id } = accepted(result);
    expect(await alerts.get(1, id)).toMatchObject({ state: 'scheduled', notBefore });
    const [row] = await query(
      `select c.not_before, c.queued, exists (select from pgboss.job j where j.id = c.job) as job from chunk c
       where c.alert = $1::uuid`,
      [id],
    );
    expect(row).toEqual({ not_before: notBefore, queued: false, job: false });
  });
});

describe('an alert to many', () => {
  test('is stored for fan-out with everyone it names, once each', async () => {
    const { alerts, lists } = await open();
    const [a, b, c] = [number(), number(), number()];
    await lists.put(
      1,
      'friends',
      [
        { msisdn: c, language: null },
        { msisdn: number(), language: null },
      ],
      'replace',
    );
    const to = [a, b, a];
    const result = await alerts.submit(principal(), request({ lane: 'bulk', to, lists: ['friends'] }), null);
    expect(result).toMatchObject({ alert: { recipients: 4 } });
    const { id } = accepted(result);
    const [row] = await query(
      `select (select count(*) from alert_recipient where alert = $1::uuid) as named,
         (select priority from pgboss.job where name = $2 and data->>'alert' = $1::text) as priority,
         (select count(*) from delivery where alert = $1::uuid) as deliveries`,
      [id, FANOUT_QUEUE],
    );
    expect(row).toEqual({ named: 2, priority: 100, deliveries: 0 });
    expect(await alerts.get(1, id)).toMatchObject({
      state: 'accepted',
      progress: { fannedOut: false, deliveries: 0, open: 0 },
    });
    await expectVerified();
  });

  test('is complete only when it is fanned out and every delivery has its end', async () => {
    const { alerts, lists, gate } = await open();
    await lists.put(
      1,
      'few',
      Array.from({ length: 3 }, () => ({ msisdn: number(), language: null })),
      'replace',
    );
    const { id } = accepted(await alerts.submit(principal(), request({ lane: 'emergency', lists: ['few'] }), null));
    const fanout = await Fanout.start({ ...world, gate, onTrouble: () => undefined });
    while ((await alerts.get(1, id))?.progress.fannedOut !== true)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await fanout.stop();
    expect(await alerts.get(1, id)).toMatchObject({ state: 'sending', progress: { deliveries: 4, open: 4 } });
    const day = (await deliveriesOf(id))[0]!.day;
    const delta = {
      day,
      alert: id,
      submitted: 0,
      delivered: 0,
      failed: 0,
      expired: 0,
      cancelled: 0,
      suppressed: 0,
      unknown: 0,
    };
    const add = (change: object, entry: number) =>
      db.database.pools.control.run((tx) => addProgress(tx, entry, [{ ...delta, ...change }]));
    await add({ submitted: 4, delivered: 2, failed: 1 }, -1);
    expect(await alerts.get(1, id)).toMatchObject({
      state: 'sending',
      progress: { submitted: 4, delivered: 2, failed: 1, open: 1 },
    });
    await add({ unknown: 1 }, -2);
    expect(await alerts.get(1, id)).toMatchObject({ state: 'complete', progress: { unknown: 1, open: 0 } });
  });
});

describe('an alert whose text carriers change', () => {
  const transliterating = (): Policies => {
    const { carriers } = world.policies;
    const main = carriers['main-bind'] as CarrierPolicy;
    const texts = Object.entries(main.text).map(([lane, { normal, exact }]) => [
      lane,
      { normal: { ...normal, transliterate: 'gsm7' }, exact },
    ]);
    return { ...world.policies, carriers: { ...carriers, 'main-bind': { ...main, text: Object.fromEntries(texts) } } };
  };
  const texts = [
    { language: 'en', text: 'It’s 5\u00a0€ – it’s' },
    { language: 'pl', text: 'Łódź' },
  ];
  const changes = [
    { language: 'en', character: '’', replacement: "'", count: 2, position: 2, carriers: ['main-bind'] },
    { language: 'en', character: '\u00a0', replacement: ' ', count: 1, position: 6, carriers: ['main-bind'] },
    { language: 'en', character: '–', replacement: '-', count: 1, position: 9, carriers: ['main-bind'] },
    { language: 'pl', character: 'Ł', replacement: 'L', count: 1, position: 0, carriers: ['main-bind'] },
    { language: 'pl', character: 'ó', replacement: 'o', count: 1, position: 1, carriers: ['main-bind'] },
    { language: 'pl', character: 'ź', replacement: 'z', count: 1, position: 3, carriers: ['main-bind'] },
  ];

  test('says so in its answer, when that is asked for again, and in its record, which the chain covers', async () => {
    const { alerts } = await open({ policies: transliterating() });
    const body = request({ texts });
    const first = await alerts.submit(principal(), body, 'changes');
    expect(first).toMatchObject({ alert: { changes } });
    expect(await alerts.submit(principal(), body, 'changes')).toEqual({ ...first, replay: true });
    expect(await alerts.get(1, accepted(first).id)).toMatchObject({ changes });
    const plain = await alerts.submit(principal(), request(), null);
    expect(plain).toMatchObject({ alert: { changes: [] } });
    expect(await alerts.get(1, accepted(plain).id)).toMatchObject({ changes: [] });

    const forge = (count: number) =>
      db.asSuperuser((session) => session.query(`update tocsin.alert_change set times = ${count} where written = '’'`));
    await expectVerified();
    await forge(1);
    expect((await verify(db.database, FACT_TABLES)).disagreements).toMatchObject([{ table: 'alert_change' }]);
    await forge(2);
  });
});

describe('a refused alert', () => {
  test('leaves nothing behind, whatever it was refused for', async () => {
    const rig = await open();
    const { alerts, lists } = rig;
    await lists.put(1, 'nobody', [], 'replace');
    await lists.put(2, 'theirs', [{ msisdn: number(), language: null }], 'replace');
    const before = await stored();
    const now = world.clock.now();
    const refusals: [string, string | null, Partial<AlertRequest> & { to?: string[]; lists?: string[] }][] = [
      ['status-not-sendable', 'status', { status: 'Exercise' }],
      ['expires-in-past', 'expiresAt', { expiresAt: now - 1 }],
      ['not-before-after-expiry', 'notBefore', { notBefore: now + 60_000, expiresAt: now + 60_000 }],
      ['not-before-too-far', 'notBefore', { notBefore: now + MONTH + 60_000 }],
      ['validity-too-long', 'validFor', { validForMs: MONTH }],
      ['text-too-long', 'content.text', { texts: [{ language: null, text: 'x'.repeat(40_000) }] }],
      ['text-has-card-number', 'content.text', { texts: [{ language: null, text: '4111 1111 1111 1111' }] }],
      ['list-unknown', 'target.lists.0', { lists: ['missing'] }],
      ['list-unknown', 'target.lists.0', { lists: ['theirs'] }],
      ['list-empty', 'target.lists.0', { lists: ['nobody'] }],
      ['empty-target', 'target', { to: [] }],
    ];
    for (const [code, field, change] of refusals) {
      const result = await alerts.submit(principal(), request(change), `key ${code}`);
      expect(result).toMatchObject({ kind: 'problem', problem: { code, field, retryAfterSeconds: null } });
    }
    const lanes = new Set<LaneName>(['bulk']);
    expect(codeOf(await alerts.submit(principal({ lanes }), request(), null))).toBe('lane-not-allowed');
    rig.ahead = 700_000;
    const late = await alerts.submit(principal(), request({ lane: 'security', validForMs: 60_000 }), null);
    expect(late).toMatchObject({ problem: { code: 'cannot-meet-expiry', retryAfterSeconds: 941 } });
    expect(await stored()).toEqual(before);
    // Another lane's policy takes what it can't meet.
    expect(codeOf(await alerts.submit(principal(), request({ validForMs: 60_000 }), null))).toBe('accepted');
  });

  test('by the database does not take the others of its group with it', async () => {
    const { alerts, groups } = await open();
    const good = Array.from({ length: 15 }, () => alerts.submit(principal(), request(), null));
    // PostgreSQL has no NUL in a text; the door refuses it, and here it came past the door.
    const bad = alerts.submit(principal(), request({ reference: 'a\0b' }), 'bad');
    const more = Array.from({ length: 15 }, () => alerts.submit(principal(), request(), null));
    await expect(bad).rejects.toMatchObject({ code: '22021' });
    for (const each of [...good, ...more]) expect(codeOf(await each)).toBe('accepted');
    expect(groups.some(({ failed }) => failed)).toBe(true);
    await expectVerified();
  });
});

describe('an idempotency key', () => {
  test('gives a repeat its first answer, and refuses another body', async () => {
    const { alerts } = await open();
    const first = request({ reference: 'a' });
    const one = await alerts.submit(principal(), first, 'k1');
    const two = await alerts.submit(principal(), structuredClone(first), 'k1');
    expect(two).toEqual({ ...one, replay: true });
    expect(await alerts.submit(principal(), { ...first, reference: 'b' }, 'k1')).toMatchObject({
      problem: { code: 'idempotency-mismatch' },
    });
    // Another producer's keys are its own.
    expect(accepted(await alerts.submit(principal({ producer: 12 }), first, 'k1')).replay).toBe(false);
  });

  test('tells a second request that the first is under way', async () => {
    const { alerts } = await open();
    const first = request();
    const [one, two] = await Promise.all([
      alerts.submit(principal(), first, 'k2'),
      alerts.submit(principal(), first, 'k2'),
    ]);
    expect(codeOf(one)).toBe('accepted');
    expect(two).toMatchObject({ problem: { code: 'idempotency-running', retryAfterSeconds: 1 } });
  });

  test('makes one alert however many processes race for it', async () => {
    const rigs = await Promise.all([open(), open(), open()]);
    const requests = Array.from({ length: 60 }, () => request());
    const results = await Promise.all(
      rigs.flatMap(({ alerts }, turn) =>
        requests
          .map((each, i) => ({ each, i }))
          .sort((a, b) => (turn === 1 ? b.i - a.i : a.i - b.i))
          .map(async ({ each, i }) => ({ i, result: await alerts.submit(principal(), each, `race ${i}`) })),
      ),
    );
    for (const i of requests.keys()) {
      const mine = results.filter((each) => each.i === i).map(({ result }) => accepted(result));
      expect(mine).toHaveLength(3);
      expect(new Set(mine.map(({ id }) => id)).size).toBe(1);
      expect(mine.filter(({ replay }) => !replay)).toHaveLength(1);
    }
    const [row] = await query<{ n: number }>(`select count(*) as n from idempotency_key where key like 'race %'`);
    expect(row?.n).toBe(60);
    await expectVerified();
  });

  test('gives the first answer also when the request would be refused by now', async () => {
    const { alerts, lists } = await open();
    await lists.put(1, 'shrinking', [{ msisdn: number(), language: null }], 'replace');
    const first = request({ lists: ['shrinking'] });
    const one = accepted(await alerts.submit(principal(), first, 'k3'));
    await lists.put(1, 'shrinking', [], 'replace');
    expect(codeOf(await alerts.submit(principal(), first, 'k4'))).toBe('list-empty');
    expect(accepted(await alerts.submit(principal(), first, 'k3'))).toEqual({ id: one.id, replay: true });
    const later: Clock = { now: () => world.clock.now() + 86_400_000, monotonic: () => world.clock.monotonic() };
    const tomorrow = await open({ clock: later });
    const soon = request({ expiresAt: world.clock.now() + 60_000 });
    const two = accepted(await alerts.submit(principal(), soon, 'k5'));
    expect(codeOf(await tomorrow.alerts.submit(principal(), soon, null))).toBe('expires-in-past');
    expect(accepted(await tomorrow.alerts.submit(principal(), soon, 'k5'))).toEqual({ id: two.id, replay: true });
    expect(codeOf(await tomorrow.alerts.submit(principal(), { ...soon, reference: 'x' }, 'k5'))).toBe(
      'idempotency-mismatch',
    );
  });

  test('of a secret alert holds when the key of its fingerprint is gone, and its fingerprint tells nothing then', async () => {
    const { alerts } = await open();
    const otp = request({ lane: 'security', secret: true, texts: [{ language: null, text: 'Your code is 493817' }] });
    const one = accepted(await alerts.submit(principal(), otp, 'k6'));
    expect(
      codeOf(await alerts.submit(principal(), { ...otp, texts: [{ language: null, text: 'Your code is 1' }] }, 'k6')),
    ).toBe('idempotency-mismatch');
    const [row] = await query<{ fingerprint_key: string }>(
      `select fingerprint_key from idempotency_key where key = 'k6'`,
    );
    expect(row?.fingerprint_key).toMatch(/^epoch:/);
    const later: Clock = { now: () => world.clock.now() + 86_400_000, monotonic: () => world.clock.monotonic() };
    await vault.shred(later.now());
    expect(await vault.fingerprint('anything', row?.fingerprint_key ?? '')).toBeNull();
    const tomorrow = await open({ clock: later });
    expect(accepted(await tomorrow.alerts.submit(principal(), otp, 'k6'))).toEqual({ id: one.id, replay: true });
  });

  test('is free again after seven days, and a sweep takes what nobody asked for again', async () => {
    const { alerts } = await open();
    const first = request();
    const one = accepted(await alerts.submit(principal(), first, 'k7'));
    await alerts.submit(principal(), request(), 'k8');
    await db.database.pools.control.query(`update idempotency_key set expires_at = $1 where key in ('k7', 'k8')`, [
      world.clock.now() - 1,
    ]);
    const two = accepted(await alerts.submit(principal(), { ...first, reference: 'new' }, 'k7'));
    expect(two).toMatchObject({ replay: false });
    expect(two.id).not.toBe(one.id);
    expect(await alerts.sweep(db.database.pools.control)).toBe(1);
    expect(await query(`select key from idempotency_key where key in ('k7', 'k8')`)).toEqual([{ key: 'k7' }]);
  });

  test('that another process holds in an open transaction delays its own alert, and no other for long', async () => {
    const { alerts } = await open();
    const release = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const holder = db.database.pools.control.run(async (tx) => {
      await tx.query(
        `insert into idempotency_key (producer, key, fingerprint, fingerprint_key, day, alert, expires_at)
         values (11, 'held', ''::bytea, 'master', '2026-01-01', gen_random_uuid(), 9e15::bigint)`,
      );
      held.resolve();
      await release.promise;
      throw new Error('rolled back');
    });
    await held.promise;
    const [mine, ...others] = await Promise.all([
      alerts.submit(principal(), request(), 'held'),
      ...Array.from({ length: 3 }, (_, i) => alerts.submit(principal(), request(), `beside ${i}`)),
    ]);
    release.resolve();
    await expect(holder).rejects.toThrow('rolled back');
    expect(mine).toMatchObject({ problem: { code: 'idempotency-running' } });
    expect(others.map(codeOf)).toEqual(['accepted', 'accepted', 'accepted']);
    expect(codeOf(await alerts.submit(principal(), request(), 'held'))).toBe('accepted');
  });
});

describe('a database that fails', () => {
  async function throughProxy() {
    const proxy = await commitProxy(db.target);
    const pool = new Pool({
      name: 'intake',
      size: 2,
      target: proxy.target,
      statementTimeoutMs: 10_000,
      acquireTimeoutMs: 300,
      applicationName: 'alerts test',
    });
    ends.push(() => pool.close());
    return { proxy, pool, rig: await open({ pool }) };
  }

  test.each(['lose-answer', 'lose-commit'] as const)('during COMMIT (%s) stores each alert once', async (kind) => {
    const { proxy, rig } = await throughProxy();
    proxy.faults.push({ kind });
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => rig.alerts.submit(principal(), request(), `${kind} ${i}`)),
    );
    const ids = results.map((result) => accepted(result));
    expect(proxy.fired).toBe(1);
    expect(ids.every(({ replay }) => !replay)).toBe(true);
    const [row] = await query<{ n: number }>('select count(*) as n from delivery where alert = any($1::uuid[])', [
      ids.map(({ id }) => id),
    ]);
    expect(row?.n).toBe(20);
    await expectVerified();
  });

  test('and can not be reached is told to the producer, who may try again', async () => {
    const { proxy, rig } = await throughProxy();
    proxy.refuse = true;
    await db.terminateBackends('alerts test');
    const first = request();
    expect(await rig.alerts.submit(principal(), first, 'outage')).toMatchObject({
      problem: { code: 'overloaded', retryAfterSeconds: 1 },
    });
    proxy.refuse = false;
    let again = await rig.alerts.submit(principal(), first, 'outage');
    while (codeOf(again) === 'overloaded') again = await rig.alerts.submit(principal(), first, 'outage');
    expect(accepted(again).replay).toBe(false);
    await expectVerified();
  });
});

describe('under load', () => {
  test('what finds the queue full is refused at once, and emergencies have room of their own', async () => {
    const { alerts, intake } = await open({ limits: { queueMax: 5, groupMax: 2 } });
    const results = Promise.all(Array.from({ length: 30 }, () => alerts.submit(principal(), request(), null)));
    const urgent = alerts.submit(principal(), request({ lane: 'emergency' }), null);
    const codes = (await results).map(codeOf);
    expect(codes.filter((code) => code === 'overloaded').length).toBeGreaterThan(0);
    expect(codes.filter((code) => code === 'accepted').length).toBeGreaterThanOrEqual(5);
    expect(codeOf(await urgent)).toBe('accepted');
    await intake.drain();
    expect(codeOf(await alerts.submit(principal(), request(), null))).toBe('overloaded');
  });

  test('an emergency is stored before what waited longer, and shuts the gate until it is', async () => {
    const { alerts, gate } = await open({ limits: { groupMax: 3 } });
    const order: string[] = [];
    const bulk = Array.from({ length: 60 }, () =>
      alerts.submit(principal(), request({ lane: 'bulk' }), null).then(() => order.push('bulk')),
    );
    await bulk[0];
    const urgent = alerts.submit(principal(), request({ lane: 'emergency' }), null).then(() => order.push('emergency'));
    await vi.waitFor(() => expect(gate.shut).toBe(true), { interval: 1 });
    expect(order).not.toContain('emergency');
    await urgent;
    expect(order.indexOf('emergency')).toBeLessThan(30);
    await Promise.all(bulk);
    await vi.waitFor(() => expect(gate.shut).toBe(false), { timeout: 1_000, interval: 5 });
  });
});

describe('an alert that is read', () => {
  test('is nobody else’s, and is not there under an id that is none', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request(), null));
    expect(await alerts.get(1, id)).not.toBeNull();
    expect(await alerts.get(2, id)).toBeNull();
    expect(await alerts.cancel(principal({ organisation: 2 }), id)).toEqual({ kind: 'unknown' });
    for (const none of ['00000000-0000-4000-8000-000000000000', 'ffffffff-ffff-7fff-bfff-ffffffffffff', 'x']) {
      expect(await alerts.get(1, none)).toBeNull();
    }
  });

  test.each([
    ['on its way', [OUTCOME.accepted], null, { state: 'sending', progress: { submitted: 0, open: 1 } }],
    [
      'handed over',
      [OUTCOME.accepted, OUTCOME.accepted],
      null,
      { state: 'sending', progress: { submitted: 1, open: 1 } },
    ],
    [
      'delivered',
      [OUTCOME.accepted, OUTCOME.accepted],
      FINAL.delivered,
      { state: 'complete', progress: { submitted: 1, delivered: 1, open: 0 } },
    ],
    ['refused', [OUTCOME.refused], FINAL.failed, { state: 'complete', progress: { submitted: 0, failed: 1, open: 0 } }],
    [
      'without receipts',
      [OUTCOME.accepted, OUTCOME.accepted],
      FINAL.submitted,
      { state: 'complete', progress: { submitted: 1, delivered: 0, open: 0 } },
    ],
  ])('to one number shows its delivery: %s', async (_, outcomes, final, expected) => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request(), null));
    const [delivery] = await deliveriesOf(id);
    const { day, id: of } = delivery!;
    const writer = await ChainWriter.open(db.database.pools.control, world.clock, world.process, 'test');
    await writer.append(async (tx, entry) => {
      const rows = outcomes.map((outcome, i) => ({
        day,
        delivery: of,
        attempt: 1,
        segment: i + 1,
        segments: 2,
        bind: 1,
        outcome,
        status: 0,
        messageId: null,
        possibleDuplicate: false,
        sentAt: 1,
        answeredAt: 2,
      }));
      const { parts } = await insertFacts(tx, submission, rows, entry, { onConflict: 'error' });
      const finals = final === null ? [] : [{ day, delivery: of, state: final, cause: null, at: 3 }];
      const more = await insertFacts(tx, finalState, finals, entry, { onConflict: 'error' });
      return { value: undefined, parts: [...parts, ...more.parts] };
    });
    expect(await alerts.get(1, id)).toMatchObject(expected);
  });
});

describe('a cancel', () => {
  test('is a fact that dispatch hears of, and says the same when it is repeated', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request(), null));
    const heard: string[] = [];
    const listener = await db.database.listen('tocsin_cancel', (payload) => heard.push(payload));
    const first = await alerts.cancel(principal(), id);
    expect(first).toMatchObject({ kind: 'cancelled', alert: { id, state: 'cancelled' } });
    expect(await alerts.cancel(principal({ producer: 12 }), id)).toEqual(first);
    while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const [delivery] = await deliveriesOf(id);
    expect(heard).toEqual([`${delivery?.day}/${id}`]);
    await listener.close();
    await expectVerified();
  });

  test('needs the lane, and comes too late for what has ended', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request({ validForMs: 5_000 }), null));
    const lanes = new Set<LaneName>(['bulk']);
    expect(await alerts.cancel(principal({ lanes }), id)).toMatchObject({
      kind: 'problem',
      problem: { code: 'lane-not-allowed' },
    });
    const later: Clock = { now: () => world.clock.now() + 6_000, monotonic: () => world.clock.monotonic() };
    const tomorrow = await open({ clock: later });
    expect(await tomorrow.alerts.cancel(principal(), id)).toMatchObject({ kind: 'already-final' });
    expect((await alerts.get(1, id))?.cancelledAt).toBeNull();
  });
});

describe('a pause', () => {
  test('is a fact with who and when, shown until it is ended; repeated, it changes nothing', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request(), null));
    const acts = () =>
      db.database.pools.reader.query<{ number: number; paused: boolean; who: string; organisation: number }>(
        'select number, paused, who, organisation from pause_act where name = $1 order by number',
        [id],
      );
    expect(await alerts.resume(principal(), id)).toMatchObject({ kind: 'done', alert: { paused: false } });
    expect(await acts()).toEqual([]);
    for (const by of [7, 8]) {
      expect(await alerts.pause(principal({ apiKey: by }), id)).toMatchObject({
        kind: 'done',
        alert: { paused: true },
      });
    }
    expect((await alerts.get(1, id))?.paused).toBe(true);
    expect(await alerts.resume(principal({ apiKey: 8 }), id)).toMatchObject({ kind: 'done', alert: { paused: false } });
    expect(await acts()).toEqual([
      { number: 1, paused: true, who: 'api-key 7', organisation: 1 },
      { number: 2, paused: false, who: 'api-key 8', organisation: 1 },
    ]);
    await expectVerified();
  });

  test('of two that come at once one is written', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request(), null));
    const other = await open();
    const results = await Promise.all(
      [alerts, other.alerts, alerts, other.alerts].map((each) => each.pause(principal(), id)),
    );
    expect(results.map(({ kind }) => kind)).toEqual(['done', 'done', 'done', 'done']);
    const rows = await db.database.pools.reader.query('select number from pause_act where name = $1', [id]);
    expect(rows).toEqual([{ number: 1 }]);
  });

  test('is of its own organisation and lane alone, and comes too late for what was cancelled or has ended', async () => {
    const { alerts } = await open();
    const { id } = accepted(await alerts.submit(principal(), request({ validForMs: 5_000 }), null));
    expect(await alerts.pause(principal({ organisation: 2 }), id)).toEqual({ kind: 'unknown' });
    expect(await alerts.resume(principal({ organisation: 2 }), id)).toEqual({ kind: 'unknown' });
    const problem = { kind: 'problem', problem: { code: 'lane-not-allowed' } };
    expect(await alerts.pause(principal({ lanes: new Set<LaneName>(['bulk']) }), id)).toMatchObject(problem);
    const later: Clock = { now: () => world.clock.now() + 6_000, monotonic: () => world.clock.monotonic() };
    expect(await (await open({ clock: later })).alerts.pause(principal(), id)).toMatchObject({ kind: 'already-final' });
    await alerts.pause(principal(), id);
    await alerts.cancel(principal(), id);
    expect((await alerts.get(1, id))?.paused).toBe(false);
    expect(await alerts.pause(principal(), id)).toMatchObject({ kind: 'already-final' });
  });
});

test('a text that was exchanged, by a whole sealed body even, no longer agrees with its alert', async () => {
  const { alerts } = await open();
  const texts = [
    { language: 'en', text: 'Leave now.' },
    { language: 'fr', text: 'Partez.' },
  ];
  const submitted = await alerts.submit(principal(), request({ texts, to: [number(), number()] }), null);
  const { id } = accepted(submitted);
  const other = accepted(
    await alerts.submit(principal(), request({ texts: [{ language: null, text: 'Stay.' }] }), null),
  );
  const found = async () => {
    const report = await verify(db.database, FACT_TABLES, { checks: [verifyBodies(db.database.pools.reader, vault)] });
    return report.disagreements.filter(({ detail }) => detail?.includes(id));
  };
  expect(await found()).toEqual([]);
  const swap = `update body set key_ref = o.key_ref, sealed = o.sealed
    from body o, alert a, alert_text t where a.id = $1::uuid and t.alert = $2::uuid and o.id = a.body and body.id = t.body`;
  await db.asSuperuser((session) => session.query(swap, [other.id, id]));
  expect(await found()).toMatchObject([
    { kind: 'commitment', table: 'alert_text', detail: expect.stringContaining(`${id}/fr: is another one`) },
  ]);
});

describe('a text that is not there', () => {
  const found = async (id: string, by = vault): Promise<string[]> => {
    const { disagreements } = await verify(db.database, [], {
      checks: [verifyBodies(db.database.pools.reader, by)],
    });
    return disagreements.flatMap(({ detail = '' }) => (detail.includes(id) ? [detail.replace(/^.*: /, '')] : []));
  };
  const tamper = (sql: string, id: string) => db.asSuperuser((session) => session.query(sql, [id]));
  /** The clocks of alerts are the database's: an hour that ended is one of an alert that was accepted in the past. */
  const past: Clock = { now: () => world.clock.now() - 3 * 3_600_000, monotonic: () => world.clock.monotonic() };

  test('is named, unless it was secret and has had its end', async () => {
    const { alerts } = await open();
    const post = async (change: Parameters<typeof request>[0], rig = alerts) =>
      accepted(await rig.submit(principal(), request(change), null)).id;
    const remove = 'delete from body using alert a where a.id = $1::uuid and body.id = a.body';

    const normal = await post({});
    await tamper(remove, normal);
    expect(await found(normal)).toEqual(['is gone']);

    const early = await post({ secret: true });
    await tamper(remove, early);
    expect(await found(early)).toEqual(['is gone']);

    const ended = await post({ secret: true });
    const [row] = await deliveriesOf(ended);
    const final = { day: row!.day, delivery: row!.id, state: FINAL.delivered, cause: null, at: world.clock.now() };
    const journal = await ChainWriter.open(db.database.pools.control, world.clock, world.process, 'journal');
    await journal.append(async (tx, entry) => {
      await tx.query('delete from body using delivery d where d.id = $1 and body.id = d.body', [row!.id]);
      return {
        value: undefined,
        parts: (await insertFacts(tx, finalState, [final], entry, { onConflict: 'error' })).parts,
      };
    });
    expect(await found(ended)).toEqual([]);

    const rig = await open({ clock: past });
    const expired = await post({ secret: true, validForMs: 60_000 }, rig.alerts);
    await tamper(remove, expired);
    expect(await found(expired)).toEqual([]);
  });

  test('because its key was shredded goes at the next sweep, in batches, and all still verifies', async () => {
    const rig = await open({ clock: past });
    const secret = { secret: true, validForMs: 60_000 };
    const post = async (of: Rig, change: Parameters<typeof request>[0]) =>
      accepted(await of.alerts.submit(principal(), request(change), null)).id;
    const over = [];
    for (let i = 0; i < 5; i++) over.push(await post(rig, { ...secret, to: [number(), number()] }));
    const kept = [await post(rig, { validForMs: 60_000 }), await post(await open(), secret)];
    const left = async (ids: readonly string[]): Promise<number> =>
      (await query('select from alert a join body b on b.id = a.body where a.id = any($1::uuid[])', [ids])).length;
    await sweepBodies(db.database.pools.control, world.clock.now() - 3 * 3_600_000, { batch: 2 });
    expect(await left(over)).toBe(5);
    expect(await sweepBodies(db.database.pools.control, world.clock.now(), { batch: 2, batches: 1 })).toBe(2);
    // Several nodes at once are in nobody's way.
    const sweeps = [1, 2, 3].map(() => sweepBodies(db.database.pools.control, world.clock.now(), { batch: 2 }));
    expect((await Promise.all(sweeps)).reduce((sum, each) => sum + each)).toBeGreaterThanOrEqual(3);
    expect([await left(over), await left(kept)]).toEqual([0, 2]);
    for (const id of [...over, ...kept]) expect(await found(id)).toEqual([]);
    await expectVerified();
  });

  test('but for its shredded key is right as long as that is the key of its hour', async () => {
    const rig = await open({ clock: past });
    const { id } = accepted(await rig.alerts.submit(principal(), request({ secret: true, validForMs: 60_000 }), null));
    const later = accepted(
      await (await open()).alerts.submit(principal(), request({ secret: true, validForMs: 60_000 }), null),
    ).id;
    const normal = accepted(await rig.alerts.submit(principal(), request(), null)).id;
    await vault.shred(world.clock.now());
    const elsewhere = new Vault({ pool: db.database.pools.control, masterKey, keyring: join(keyring, 'none') });
    for (const by of [vault, elsewhere]) expect(await found(id, by)).toEqual([]);
    expect(await found(later)).toEqual([]);
    expect(await found(later, elsewhere)).toEqual([expect.stringContaining('not in the keyring')]);
    const rename = `update body set key_ref = 'epoch:2001-01-01T00' from alert a where a.id = $1::uuid and body.id = a.body`;
    for (const each of [id, later, normal]) {
      await tamper(rename, each);
      expect(await found(each)).toEqual(['has no key']);
    }
  });
});
