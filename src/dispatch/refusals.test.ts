/**
 * What becomes of a delivery for each class of command_status, and of the bind: with a real database, pg-boss, and SMSCs
 * that share no code with us.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test as base, describe, expect, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import {
  type PlainSmsc,
  type PlainSmscOptions,
  readSubmitSm,
  type SubmitFields,
  startPlainSmsc,
} from '../../test/support/plain-smsc.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { Dispatch } from './dispatch.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

const [ESME_RSYSERR, ESME_RINVDSTADR, ESME_RSUBMITFAIL, ESME_RINVDCS, ESME_RPROHIBITED] = [8, 0x0b, 0x45, 0x104, 0x101];
const VENDOR = 0x412;
/** What one test has for itself: they run beside one another, because most of their time is a carrier's. */
interface Bench {
  db: TestDatabase;
  boss: Boss;
  /** Called from the last to the first. */
  ends: (() => unknown)[];
}

interface Rig {
  planter: Planter;
  dispatch: Dispatch;
  /** `bind kind status` of every refusal. */
  refused: string[];
  /** Messages of errors that were logged. */
  errors: { message: string; details: object }[];
}

/** One route over the carriers, in their order; each gets these lines in carriers.yaml. */
async function startRig(
  { db, boss, ends }: Bench,
  carriers: Record<string, { smsc: PlainSmsc; lines?: string[] }>,
  lanes = (text: string): string => text,
  readMs = 0,
): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-refusals-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'lanes.yaml'), lanes(readFileSync('policies/lanes.yaml', 'utf8')));
  const entries = Object.entries(carriers).map(([name, { smsc, lines = [] }]) => [
    `  ${name}: { host: 127.0.0.1, port: ${smsc.port}, systemId: ${name}, password: { env: PW }, window: 20,`,
    `    responseTimeout: PT2S, reconnectFirst: PT0.1S, ${['defaultSender: Tocsin', ...lines].join(', ')} }`,
  ]);
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n${entries.flat().join('\n')}\n`);
  const binds = Object.keys(carriers).join(', ');
  writeFileSync(join(folder, 'routing.yaml'), `routes: [{ name: refusals, prefixes: ['+'], binds: [${binds}] }]\n`);
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
  const refused: string[] = [];
  const errors: Rig['errors'] = [];
  const log = {
    info: () => {},
    warn: () => {},
    error: (details: object, message: string) => void errors.push({ details, message }),
  };
  const dispatch = await Dispatch.start({
    ...{ database: db.database, boss, clock, policies, names, process, log },
    node: 'test',
    texts: {
      texts: async (bodies, pool) => {
        if (readMs > 0) await sleep(readMs);
        return await planter.source.texts(bodies, pool);
      },
    },
    connect: (name, handlers) =>
      connectCarrier(name, policies.carriers[name] as Policies['carriers'][string], handlers, log, Math.random),
    onRefused: (bind, kind, status) => void refused.push(`${bind} ${kind} 0x${status.toString(16)}`),
  });
  ends.push(() => dispatch.stop(9_000));
  return { planter, dispatch, refused, errors };
}

/** Refuses the first `times` tries of each number and segment. */
function refuseFirst(status: number, times = 1): (frame: Buffer) => number {
  const seen = new Map<string, number>();
  return (frame) => {
    const { destinationAddr, shortMessage } = readSubmitSm(frame);
    const key = `${destinationAddr} ${shortMessage.toString('hex')}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return (seen.get(key) ?? 0) <= times ? status : 0;
  };
}

const plant = (planter: Planter, count: number, text?: string): Promise<Planted> =>
  planter.plant({ lane: 'emergency', route: 'refusals', count, ...(text === undefined ? {} : { text }) });

interface Ends {
  states: Record<string, number>;
  causes: (string | null)[];
  attempts: number;
}

async function readEnds({ db }: Bench, { day, deliveries }: Planted): Promise<Ends> {
  const query = <T extends object>(text: string) => db.database.pools.reader.query<T>(text, [day, deliveries]);
  const rows = await vi.waitFor(
    async () => {
      const found = await query<{ state: number; cause: string | null }>(
        'SELECT state, cause FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[])',
      );
      expect(found).toHaveLength(deliveries.length);
      return found;
    },
    { timeout: 20_000, interval: 20 },
  );
  const [most] = await query<{ attempts: number }>(
    'SELECT coalesce(max(attempt), 0) AS attempts FROM submission WHERE day = $1::date AND delivery = ANY($2::bigint[])',
  );
  const states: Record<string, number> = {};
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1;
  return { states, causes: [...new Set(rows.map(({ cause }) => cause))], attempts: most?.attempts ?? 0 };
}

type Rest<F> = F extends (bench: Bench, ...rest: infer R) => infer P ? (...rest: R) => P : never;

const test = base.extend<{
  bench: Bench;
  db: TestDatabase;
  rig: Rest<typeof startRig>;
  smscOf: (options?: PlainSmscOptions) => Promise<PlainSmsc>;
  endsOf: Rest<typeof readEnds>;
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
  smscOf: ({ bench }, use) =>
    use(async (options = {}) => {
      const smsc = await startPlainSmsc({ receipts: true, ...options });
      bench.ends.push(() => smsc.close());
      return smsc;
    }),
  endsOf: ({ bench }, use) => use((planted) => readEnds(bench, planted)),
});

describe.concurrent('a delivery that is refused', () => {
  test('for its address or its content has failed, says why, and is not sent again', async ({
    endsOf,
    rig,
    smscOf,
  }) => {
    const smsc = await smscOf({ verdict: () => ESME_RINVDSTADR });
    const { planter, refused, errors } = await rig({ 'refusing-a': { smsc, lines: ['tps: 500'] } });
    const wrong = await endsOf(await plant(planter, 3));
    expect(wrong).toEqual({ states: { [FINAL.failed]: 3 }, causes: ['refused: ESME_RINVDSTADR'], attempts: 1 });
    expect(errors).toEqual([]);
    smsc.verdict = () => ESME_RINVDCS;
    const same = await endsOf(await plant(planter, 3));
    expect(same).toEqual({ states: { [FINAL.failed]: 3 }, causes: ['refused: ESME_RINVDCS'], attempts: 1 });
    expect(refused).toEqual([...Array(3).fill('refusing-a address 0xb'), ...Array(3).fill('refusing-a message 0x104')]);
    // Somebody must look, but once is enough.
    expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/refuses messages for what they are/)]);
  });

  test('is tried again where the carrier means something else by the status, and the other way round', async ({
    endsOf,
    rig,
    smscOf,
  }) => {
    const smsc = await smscOf({ verdict: refuseFirst(ESME_RINVDSTADR) });
    const lines = ['tps: 500', 'statuses: { ESME_RINVDSTADR: temporary, ESME_RSYSERR: address }'];
    const { planter } = await rig({ 'overriding-a': { smsc, lines } });
    expect(await endsOf(await plant(planter, 3))).toMatchObject({ states: { [FINAL.delivered]: 3 }, attempts: 2 });
    smsc.verdict = () => ESME_RSYSERR;
    expect(await endsOf(await plant(planter, 3))).toMatchObject({ states: { [FINAL.failed]: 3 }, attempts: 1 });
  });

  test('with a status that nobody knows is tried a few times, and no more', async ({ endsOf, rig, smscOf }) => {
    const smsc = await smscOf({ verdict: () => VENDOR });
    const { planter } = await rig({ 'vendor-a': { smsc, lines: ['tps: 500', 'unknownStatusAttempts: 2'] } });
    expect(await endsOf(await plant(planter, 3))).toEqual({
      states: { [FINAL.failed]: 3 },
      causes: ['retries used up, last refusal: 0x00000412'],
      attempts: 2,
    });
    smsc.verdict = refuseFirst(ESME_RSUBMITFAIL, 2);
    expect(await endsOf(await plant(planter, 1))).toMatchObject({ states: { [FINAL.delivered]: 1 }, attempts: 3 });
  });
});

test.concurrent('a long text of which one segment is taken an attempt later is delivered when all its segments are', async ({
  endsOf,
  rig,
  smscOf,
}) => {
  const refuse = refuseFirst(ESME_RSYSERR);
  // The second of three.
  const smsc = await smscOf({ verdict: (frame) => (readSubmitSm(frame).shortMessage[6] === 2 ? refuse(frame) : 0) });
  const { planter } = await rig({ 'halves-a': { smsc, lines: ['tps: 500'] } });
  const planted = await plant(planter, 3, 'x'.repeat(400));
  expect(await endsOf(planted)).toMatchObject({ states: { [FINAL.delivered]: 3 }, attempts: 2 });
  expect(smsc.arrived).toHaveLength(3 * 3 + 3);
});

test.concurrent('a long text of which the first segment is refused ends, though its others still wait for the throttle', async ({
  endsOf,
  rig,
  smscOf,
}) => {
  const smsc = await smscOf({ verdict: (frame) => (readSubmitSm(frame).shortMessage[6] === 1 ? ESME_RINVDSTADR : 0) });
  const { planter } = await rig({ 'early-a': { smsc, lines: ['tps: 4'] } });
  const ends = await endsOf(await plant(planter, 2, 'x'.repeat(400)));
  expect(ends).toEqual({ states: { [FINAL.failed]: 2 }, causes: ['refused: ESME_RINVDSTADR'], attempts: 1 });
  expect(smsc.arrived.length).toBeLessThan(6);
}, 30_000);

test.concurrent('a status or a message_id of any size is written down, and does not keep what follows from it', async ({
  endsOf,
  rig,
  smscOf,
}) => {
  const smsc = await smscOf({ verdict: () => 0xffff_fffe, receipts: false });
  const lines = ['tps: 500', 'unknownStatusAttempts: 1', 'receipts: none'];
  const { planter, dispatch } = await rig({ 'huge-a': { smsc, lines } });
  const refused = await plant(planter, 1);
  expect(await endsOf(refused)).toMatchObject({ states: { [FINAL.failed]: 1 }, attempts: 1 });
  smsc.verdict = () => 0;
  smsc.idOf = (n) => `${n}`.padStart(6, '0') + randomBytes(3_000).toString('hex');
  expect(await endsOf(await plant(planter, 2))).toMatchObject({ states: { [FINAL.submitted]: 2 }, attempts: 1 });
  expect(dispatch.journal.backlog).toBe(0);
}, 60_000);

describe.concurrent('a bind that is refused as a whole', () => {
  test('rests, and another bind of the route sends its messages, on their first attempt', async ({
    endsOf,
    rig,
    smscOf,
  }) => {
    const [bad, good] = [await smscOf({ verdict: () => ESME_RPROHIBITED }), await smscOf()];
    const { planter, dispatch, refused, errors } = await rig({
      'prohibited-a': { smsc: bad, lines: ['tps: 500', 'restFirst: PT30S'] },
      'prohibited-b': { smsc: good, lines: ['tps: 500'] },
    });
    // Either may take a chunk first: until the first bind has had one.
    let planted = 0;
    do {
      planted += 20;
      expect(await endsOf(await plant(planter, 20))).toMatchObject({ states: { [FINAL.delivered]: 20 }, attempts: 1 });
    } while (refused.length === 0 && planted < 1_000);
    const numbers = good.arrived.map(({ frame }) => readSubmitSm(frame).destinationAddr);
    expect(new Set(numbers).size).toBe(planted);
    expect(numbers).toHaveLength(planted);
    // The first refusal stops it: no more than its window is refused.
    expect(refused.length).toBeGreaterThan(0);
    expect(bad.arrived.length).toBeLessThanOrEqual(20);
    expect(new Set(refused)).toEqual(new Set(['prohibited-a bind 0x101']));
    expect(dispatch.binds.find(({ name }) => name === 'prohibited-a')?.resting).toBe(true);
    const alarms = errors.filter(({ message }) => message.includes('refuses this account'));
    expect(alarms.map(({ details }) => details)).toEqual([
      { bind: 'prohibited-a', status: 'ESME_RPROHIBITED', rests: 1, restMs: 30_000 },
    ]);
  });

  test('sends again after its rest, and no segment that was accepted before goes out twice', async ({
    db,
    endsOf,
    rig,
    smscOf,
  }) => {
    // The first segment of each text is taken, the account is refused in between, and everything is taken later.
    const accepted: string[] = [];
    const refuse = refuseFirst(ESME_RPROHIBITED);
    const smsc = await smscOf({
      verdict: (frame) => {
        const { destinationAddr, shortMessage } = readSubmitSm(frame);
        const number = shortMessage[6] as number;
        const status = number === 2 ? refuse(frame) : 0;
        if (status === 0) accepted.push(`${destinationAddr} ${number}`);
        return status;
      },
    });
    const lines = ['tps: 500', 'restFirst: PT0.3S', 'restMax: PT0.6S'];
    const { planter, refused } = await rig({ 'resting-a': { smsc, lines } });
    const planted = await plant(planter, 10, 'x'.repeat(400));
    expect(await endsOf(planted)).toMatchObject({ states: { [FINAL.delivered]: 10 }, attempts: 1 });
    expect(refused.length).toBe(10);
    expect(accepted).toHaveLength(30);
    expect(new Set(accepted).size).toBe(30);
    const rows = await db.database.pools.reader.query<{ reason: string; status: number | null; n: number }>(
      `SELECT reason, status, count(DISTINCT delivery) AS n FROM release
       WHERE day = $1::date AND delivery = ANY($2::bigint[]) AND reason = 'bind-refused' GROUP BY 1, 2`,
      [planted.day, planted.deliveries],
    );
    expect(rows).toEqual([{ reason: 'bind-refused', status: ESME_RPROHIBITED, n: 10 }]);
  });
});

test.concurrent('however often a bind is refused in between, every message is taken once', async ({
  db,
  endsOf,
  rig,
  smscOf,
}) => {
  const taken: string[] = [];
  let tries = 0;
  const smsc = await smscOf({
    verdict: (frame) => {
      const { destinationAddr, shortMessage } = readSubmitSm(frame);
      if (++tries % 17 === 0) return ESME_RPROHIBITED;
      taken.push(`${destinationAddr} ${shortMessage[6]}`);
      return 0;
    },
  });
  const lines = ['tps: 120', 'restFirst: PT0.1S', 'restMax: PT0.1S'];
  const { planter, refused } = await rig({ 'often-a': { smsc, lines } }, undefined, 50);
  const options = { lane: 'emergency', route: 'refusals', chunkSize: 3, text: 'x'.repeat(400) } as const;
  // Work comes in all the time, so that chunks are being fetched, read and claimed when the bind stops.
  const planted: Planted[] = [];
  for (let i = 0; i < 30; i++) {
    planted.push(await planter.plant({ ...options, count: 3 }));
    await sleep(60);
  }
  for (const each of planted) {
    expect(await endsOf(each)).toMatchObject({ states: { [FINAL.delivered]: 3 }, attempts: 1 });
  }
  expect(refused.length).toBeGreaterThan(10);
  expect(taken).toHaveLength(30 * 3 * 3);
  expect(new Set(taken).size).toBe(taken.length);
  const query = (text: string) => db.database.pools.reader.query<{ n: number }>(text);
  await vi.waitFor(async () =>
    expect(await query('SELECT count(*) AS n FROM chunk WHERE NOT settled')).toEqual([{ n: 0 }]),
  );
}, 60_000);

describe.concurrent('a message whose answer is lost', () => {
  // user_message_reference, as it came.
  const echo = ({ tlvs }: SubmitFields): Buffer => {
    const value = tlvs.get(0x0204);
    return value === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x02, 0x04, 0, 2]), value]);
  };

  test('is not sent again where a receipt repeats our reference, and the receipt ends it', async ({
    db,
    endsOf,
    rig,
    smscOf,
  }) => {
    const smsc = await smscOf({ verdict: () => 'mute', receiptTlvs: echo });
    const lines = ['tps: 500', 'userMessageReference: true', 'doubtWait: PT1S'];
    const { planter } = await rig({ 'echoing-a': { smsc, lines } });
    const planted = await plant(planter, 3, 'x'.repeat(400));
    expect(await endsOf(planted)).toMatchObject({ states: { [FINAL.delivered]: 3 }, attempts: 0 });
    // Its answer is overdue after two seconds, and would be sent again a second later.
    await vi.waitFor(
      async () => {
        const rows = await db.database.pools.reader.query<{ settled: boolean }>(
          'SELECT settled FROM chunk WHERE day = $1::date AND delivery_ids && $2::bigint[]',
          [planted.day, planted.deliveries],
        );
        expect(rows.length).toBeGreaterThan(0);
        expect(rows.every(({ settled }) => settled)).toBe(true);
      },
      { timeout: 15_000, interval: 100 },
    );
    expect(smsc.arrived).toHaveLength(9);
    const [row] = await db.database.pools.reader.query<{ n: number }>(
      "SELECT count(*) AS n FROM unmatched_receipt u JOIN bind b ON b.id = u.bind WHERE b.name = 'echoing-a'",
    );
    expect(row).toEqual({ n: 0 });
  }, 30_000);

  test('is sent again, once, where nothing says which it was', async ({ endsOf, rig, smscOf }) => {
    let first = true;
    const smsc = await smscOf({
      receipts: false,
      verdict: () => {
        if (!first) return 0;
        first = false;
        return 'hold';
      },
    });
    const { planter } = await rig({ 'silent-a': { smsc, lines: ['tps: 500', 'receipts: none'] } });
    expect(await endsOf(await plant(planter, 1))).toMatchObject({ states: { [FINAL.submitted]: 1 }, attempts: 2 });
    expect(smsc.arrived).toHaveLength(2);
  });
});

test.concurrent('no news is submitted, and not unknown, where the carrier reports failures only', async ({
  endsOf,
  rig,
  smscOf,
}) => {
  const smsc = await smscOf({ receipts: false });
  const noGrace = (text: string): string => text.replaceAll(/unknownGrace: .*/g, 'unknownGrace: PT0S');
  const { planter } = await rig({ 'quiet-a': { smsc, lines: ['tps: 500', 'receiptsOn: failure'] } }, noGrace);
  const soon = { lane: 'emergency', route: 'refusals', count: 2, validForMs: 4_000 } as const;
  const planted = await planter.plant({ ...soon, text: 'x'.repeat(400) });
  expect(await endsOf(planted)).toMatchObject({ states: { [FINAL.submitted]: 2 }, causes: ['swept'] });
  expect(smsc.arrived.map(({ frame }) => readSubmitSm(frame).registeredDelivery)).toEqual(Array(6).fill(2));
  // One segment of it was never accepted.
  smsc.verdict = (frame) => (readSubmitSm(frame).shortMessage[6] === 2 ? 'hold' : 0);
  const half = await planter.plant({ ...soon, count: 1, text: 'y'.repeat(400) });
  expect((await endsOf(half)).states).not.toHaveProperty(`${FINAL.submitted}`);
}, 30_000);

test.concurrent('a bind slows down while its SMSC says that it is congested, and is not throttled', async ({
  endsOf,
  rig,
  smscOf,
}) => {
  let state = 0;
  // congestion_state, SMPP 5.0 §4.8.4.18.
  const smsc = await smscOf({ answerTlvs: () => Buffer.from([0x04, 0x28, 0, 1, state]), receipts: false });
  const { planter } = await rig({ 'congested-a': { smsc, lines: ['tps: 100', 'receipts: none'] } });
  const rate = async (count: number): Promise<number> => {
    const before = smsc.arrived.length;
    const planted = await plant(planter, count);
    await endsOf(planted);
    const times = smsc.arrived.slice(before).map(({ at }) => at);
    return ((count - 1) * 1_000) / ((times.at(-1) ?? 0) - (times[0] ?? 0));
  };
  const free = await rate(150);
  state = 100;
  const congested = await rate(60);
  expect(free).toBeGreaterThan(80);
  expect(free).toBeLessThan(105);
  expect(congested).toBeLessThan(0.5 * free);
  state = 20;
  // A tenth of the contract each second, after a second without a word of congestion.
  await vi.waitFor(async () => expect(await rate(20)).toBeGreaterThan(0.8 * free), { timeout: 25_000, interval: 500 });
}, 60_000);

test.concurrent('emergencies go through the part of the window that is theirs, though the turn is at lanes that have no room', async ({
  rig,
  smscOf,
}) => {
  const smsc = await smscOf({ verdict: (frame) => (readSubmitSm(frame).shortMessage.length > 100 ? 'hold' : 0) });
  const half = (text: string): string => text.replace('ceiling: 1', 'ceiling: 0.5');
  const { planter } = await rig({ 'ceiling-a': { smsc, lines: ['tps: 500'] } }, half);
  await planter.plant({ lane: 'bulk', route: 'refusals', count: 100, text: 'b'.repeat(120) });
  await vi.waitFor(() => expect(smsc.arrived).toHaveLength(18), { timeout: 5_000, interval: 5 });
  await plant(planter, 6, 'Flood warning.');
  await vi.waitFor(() => expect(smsc.arrived).toHaveLength(24), { timeout: 1_000, interval: 5 });
}, 30_000);
