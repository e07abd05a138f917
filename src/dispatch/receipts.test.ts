/**
 * Receipts of carriers that are not like the standard, end to end: a real database, a real SMSC over TCP that names ids as
 * it likes, sends a receipt for one segment only, or sends what nobody asked for.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, describe, expect } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { createMetrics, DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { loadPolicies, Names, type Policies } from '../policy/index.ts';
import { DeliveryReader } from '../records/index.ts';
import { messageOf, startSmsc } from '../smpp/fixtures.ts';
import { type IncomingSubmit, PROTOCOL, type ServerSession, type SubmitSm } from '../smpp/index.ts';
import { connectCarrier } from './carrier-wire.ts';
import { Dispatch } from './dispatch.ts';
import type { ReceiptDeskStats } from './receipt-desk.ts';
import { meterReceipts } from './receipt-metrics.ts';
import { type Boss, type Planted, Planter } from './testing.ts';

/** What one test has for itself: they run beside one another, because most of their time is a carrier's. */
interface Bench {
  db: TestDatabase;
  boss: Boss;
  /** Called from the last to the first. */
  ends: (() => Promise<unknown>)[];
  /** What dispatch logs as an error: nothing, in these tests. */
  troubles: unknown[];
}

/** One submit_sm as the carrier sees it. */
interface Taken {
  /** Counted over the whole test file: no two messages share it. */
  n: number;
  /** 1-based, and how many there are; 1 of 1 for a short text. */
  segment: number;
  segments: number;
  pdu: SubmitSm;
}

interface CarrierScript {
  response?: (n: number) => string;
  /** The texts of the receipts that a message gets at once, or `later`. */
  receipts: (taken: Taken) => string[];
  esmClass?: number;
  /** Receipts go out ahead of the response. */
  early?: boolean;
  answerAfterMs?: number;
  /** The command_status of each answer; 0 unless told otherwise. A message that is refused gets no receipt. */
  status?: (taken: Taken) => number;
}

interface Carrier {
  port: number;
  taken: Taken[];
  /** Sends a receipt on the session that is there. */
  send(text: string, esmClass?: number): void;
  statuses: number[];
}

let counted = 0x4b8be19;

async function startCarrier({ ends }: Bench, script: CarrierScript): Promise<Carrier> {
  let current: ServerSession<string> | undefined;
  const taken: Taken[] = [];
  const statuses: number[] = [];
  const waiting: SubmitSm[] = [];
  const flush = (): void => {
    while (waiting[0] !== undefined && current?.deliver(waiting[0], '') === true) waiting.shift();
  };
  const send = (text: string, esmClass = script.esmClass ?? 0x04): void => {
    waiting.push(messageOf({ esmClass, shortMessage: Buffer.from(text, 'latin1') }));
    flush();
  };
  const smsc = await startSmsc({
    onBound: (session) => {
      current = session;
    },
    onIncoming: (incoming: IncomingSubmit) => {
      counted += 7;
      const { shortMessage, esmClass } = incoming.pdu;
      // The last two octets of a concatenation header, be its reference of 8 bits or of 16.
      const header = (esmClass & 0x40) === 0 ? null : shortMessage.subarray(0, (shortMessage[0] as number) + 1);
      const one: Taken = {
        n: counted,
        segment: header?.at(-1) ?? 1,
        segments: header?.at(-2) ?? 1,
        pdu: { ...incoming.pdu, shortMessage: Buffer.from(shortMessage) },
      };
      taken.push(one);
      const status = script.status?.(one) ?? 0;
      if (status !== 0) {
        incoming.respond(status);
        return;
      }
      const answer = () => incoming.respond(0, (script.response ?? String)(one.n));
      const receipts = () => {
        for (const text of script.receipts(one)) send(text);
      };
      if (script.early === true) receipts();
      if (script.answerAfterMs === undefined) answer();
      else setTimeout(answer, script.answerAfterMs);
      if (script.early !== true) receipts();
    },
    onAnswer: (_text, answer) => {
      if (answer.kind === 'answered') statuses.push(answer.status);
    },
    onRoom: flush,
  });
  ends.push(() => smsc.close());
  return { port: smsc.port, taken, send, statuses };
}

interface Rig {
  dispatch: Dispatch;
  planter: Planter;
  reader: DeliveryReader;
  stats: () => ReceiptDeskStats;
  /** Ends the process, as it were, and starts another that knows nothing but the database. */
  restart: (fields?: Record<string, string>) => Promise<Rig>;
}

async function startRig(bench: Bench, port: number, fields: Record<string, string> = {}): Promise<Rig> {
  const { db, boss, ends, troubles } = bench;
  const quiet = { info: () => {}, warn: () => {}, error: (...details: unknown[]) => troubles.push(details) };
  const policies = policiesWith(bench, port, fields);
  const clock = await DatabaseClock.open(() => readDatabaseTime(db.database.pools.control));
  const names = await Names.register(db.database.pools.control, policies);
  const [row] = await db.database.pools.control.query<{ id: number }>(
    `INSERT INTO process (host, pid, started_at) VALUES ('test', 1, $1) RETURNING id`,
    [clock.now()],
  );
  const id = row?.id ?? 0;
  const planter = await Planter.open({ database: db.database, boss, clock, names, process: id });
  const dispatch = await Dispatch.start({
    database: db.database,
    boss,
    clock,
    policies,
    names,
    process: id,
    node: 'test',
    texts: planter.source,
    connect: (name, handlers) =>
      connectCarrier(name, policies.carriers[name] as Policies['carriers'][string], handlers, quiet, Math.random),
    log: quiet,
  });
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await dispatch.stop(9_000);
  };
  ends.push(stop);
  return {
    dispatch,
    planter,
    reader: new DeliveryReader(db.database.pools.reader, names),
    stats: () => (dispatch.binds[0] as Dispatch['binds'][number]).receiptStats,
    restart: async (others = fields) => {
      await stop();
      return await startRig(bench, port, others);
    },
  };
}

function policiesWith({ ends }: Bench, port: number, fields: Record<string, string>): Policies {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-receipts-'));
  ends.push(async () => rmSync(folder, { recursive: true, force: true }));
  for (const file of ['lanes', 'routing']) {
    writeFileSync(join(folder, `${file}.yaml`), readFileSync(`policies/${file}.yaml`));
  }
  const lines = Object.entries({
    host: '127.0.0.1',
    port: String(port),
    systemId: 'a',
    password: '{ env: PW }',
    tps: '2000',
    responseTimeout: 'PT3S',
    reconnectFirst: 'PT0.1S',
    defaultSender: 'Tocsin',
    ...fields,
  }).map(([name, value]) => `    ${name}: ${value}\n`);
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n  demo-a:\n${lines.join('')}`);
  return loadPolicies(folder, { PW: 'secret' }, PROTOCOL);
}

interface Ended {
  delivery: number;
  state: number;
  cause: string | null;
}

async function readEnded(
  { db }: Bench,
  { day, deliveries }: Planted,
  count = deliveries.length,
  timeoutMs = 20_000,
): Promise<Ended[]> {
  return await eventually(
    async () =>
      await db.database.pools.reader.query<Ended>(
        `SELECT delivery, state, cause FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[]) ORDER BY delivery`,
        [day, deliveries],
      ),
    (rows) => rows.length >= count,
    timeoutMs,
  );
}

async function eventually<T>(read: () => Promise<T> | T, good: (value: T) => boolean, timeoutMs = 10_000): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (good(value) || performance.now() > until) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const DELIVERED = 1;
const keyOf = ({ day, deliveries }: Planted) => ({ day, id: deliveries[0] as number });
const hex = (n: number): string => n.toString(16).toUpperCase().padStart(8, '0');
const delivered = (id: string | number): string => `id:${id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:`;
const LONG = 'Flood warning. '.repeat(30);
const states = (rows: readonly Ended[]): Record<string, number> => {
  const sums: Record<string, number> = {};
  for (const { state } of rows) sums[state] = (sums[state] ?? 0) + 1;
  return sums;
};
const causes = (rows: readonly Ended[]): Record<string, number> => {
  const sums: Record<string, number> = {};
  for (const { cause } of rows) sums[String(cause)] = (sums[String(cause)] ?? 0) + 1;
  return sums;
};

type Rest<F> = F extends (bench: Bench, ...rest: infer R) => infer P ? (...rest: R) => P : never;

const test = base.extend<{
  bench: Bench;
  db: TestDatabase;
  rig: Rest<typeof startRig>;
  carrierWith: Rest<typeof startCarrier>;
  ended: Rest<typeof readEnded>;
}>({
  bench: async ({ task: _ }, use) => {
    const ends: Bench['ends'] = [];
    const troubles: unknown[] = [];
    const db = await testDatabase((end) => ends.push(end));
    const boss = await openBoss({ target: db.target, onError: () => {} });
    ends.push(() => boss.stop({ graceful: false }));
    await use({ db, boss, ends, troubles });
    for (const end of ends.reverse()) await end();
    expect(troubles).toEqual([]);
  },
  db: ({ bench }, use) => use(bench.db),
  rig: ({ bench }, use) => use((...rest) => startRig(bench, ...rest)),
  carrierWith: ({ bench }, use) => use((...rest) => startCarrier(bench, ...rest)),
  ended: ({ bench }, use) => use((...rest) => readEnded(bench, ...rest)),
});

describe.concurrent('a carrier that gives ids in hex and names them in decimal (jasmin #535)', () => {
  test('every delivery ends, and the form is learned and shown', async ({ carrierWith, ended, rig }) => {
    const { port } = await carrierWith({ response: hex, receipts: ({ n }) => [delivered(n)] });
    const { dispatch, planter, stats } = await rig(port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 300 });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 300 });
    const { ids, unmatched } = stats();
    expect(ids).toMatchObject({ form: 'decimal-of-hex', pinned: false, ambiguous: 0 });
    expect(ids.matched).toEqual({ 'decimal-of-hex': 300 });
    expect(unmatched).toBe(0);
    const metrics = createMetrics();
    meterReceipts(metrics, dispatch.binds);
    const page = await metrics.text();
    expect(page).toContain('tocsin_receipts_form{bind="demo-a",form="decimal-of-hex"} 1\n');
    expect(page).toContain('tocsin_receipts_matched_total{bind="demo-a",form="decimal-of-hex"} 300\n');
  });

  test('receipts that come after a restart are found in the database by the form', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const carrier = await carrierWith({ response: hex, receipts: () => [] });
    const before = await rig(carrier.port);
    const alarm = await before.planter.plant({ lane: 'emergency', route: 'default', count: 60 });
    await eventually(
      () => carrier.taken.length,
      (count) => count === 60,
    );
    const after = await before.restart();
    await eventually(
      () => after.dispatch.bindsDown.length,
      (down) => down === 0,
    );
    for (const { n } of carrier.taken) carrier.send(delivered(String(n).padStart(10, '0')));
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 60 });
    expect(after.stats().ids.form).toBe('decimal-of-hex');
  });

  test('of alerts that were held for longer than the horizon are found in the database', async ({
    carrierWith,
    db,
    ended,
    rig,
  }) => {
    const carrier = await carrierWith({ receipts: () => [] });
    const heldMs = 20 * 86_400_000;
    await db.database.pools.control.query(
      `SELECT make_day((now() AT TIME ZONE 'UTC' - $1 * interval '1 millisecond')::date)`,
      [heldMs],
    );
    const before = await rig(carrier.port);
    const alarm = await before.planter.plant({ lane: 'emergency', route: 'default', count: 5, heldMs });
    await eventually(
      () => carrier.taken.length,
      (taken) => taken === 5,
    );
    const after = await before.restart();
    await eventually(
      () => after.dispatch.bindsDown.length,
      (down) => down === 0,
    );
    for (const { n } of carrier.taken) carrier.send(delivered(String(n)));
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 5 });
  });

  test('receipts that come before their submit_sm_resp wait for it', async ({ carrierWith, ended, rig }) => {
    const { port } = await carrierWith({ response: hex, receipts: ({ n }) => [delivered(n)], early: true });
    const { planter, stats } = await rig(port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 100 });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 100 });
    expect(stats().unmatched).toBe(0);
  });

  test('a form by policy needs no learning', async ({ carrierWith, ended, rig }) => {
    const { port } = await carrierWith({ response: hex, receipts: ({ n }) => [delivered(n)] });
    const { planter, stats } = await rig(port, { receiptIds: 'decimal-of-hex' });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 3 });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 3 });
    expect(stats().ids).toMatchObject({ pinned: true, matched: { 'decimal-of-hex': 3 } });
  });

  test('a wrong form by policy matches nothing; put right, a restart finds what had come', async ({
    carrierWith,
    db,
    ended,
    rig,
  }) => {
    const { port } = await carrierWith({ response: hex, receipts: ({ n }) => [delivered(n)] });
    const wrong = await rig(port, { receiptIds: 'exact' });
    const alarm = await wrong.planter.plant({ lane: 'emergency', route: 'default', count: 12 });
    await eventually(
      () => wrong.stats().unmatched,
      (count) => count === 12,
    );
    expect(await ended(alarm, 1, 300)).toEqual([]);
    await wrong.restart({ receiptIds: 'learn' });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 12 });
    const receipts = await db.database.pools.reader.query<{ n: number }>(
      'SELECT count(*) AS n FROM every_receipt WHERE day = $1::date AND delivery = ANY($2::bigint[])',
      [alarm.day, alarm.deliveries],
    );
    expect(receipts).toEqual([{ n: 12 }]);
  });
});

describe.concurrent('a carrier with one receipt for a long text (jasmin #1123, ksmppd #59)', () => {
  const lastOnly = ({ n, segment, segments }: Taken) => (segment === segments ? [delivered(n)] : []);

  test('receiptsPerMessage: last ends three segments with the receipt of the third', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const { port, taken } = await carrierWith({ receipts: lastOnly });
    const { planter, reader } = await rig(port, { receiptsPerMessage: 'last' });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 5, text: LONG });
    const rows = await ended(alarm);
    expect(states(rows)).toEqual({ [DELIVERED]: 5 });
    expect(causes(rows)).toEqual({ 'confirmed-by-last': 5 });
    expect(taken.map(({ segments }) => segments)).toEqual(Array(15).fill(3));
    const detail = await reader.get(1, keyOf(alarm));
    expect(detail).toMatchObject({ state: 'delivered', conflict: false });
    expect(detail?.timeline.filter(({ kind }) => kind === 'receipt').map(({ segment }) => segment)).toEqual([3]);
  });

  test('is learned: the first texts wait for the bound, later ones end at once', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const { port } = await carrierWith({ receipts: ({ n, segment }) => (segment === 1 ? [delivered(n)] : []) });
    const { planter, stats } = await rig(port, { receiptsBound: 'PT1S' });
    const first = await planter.plant({ lane: 'emergency', route: 'default', count: 10, text: LONG });
    // The eighth makes it a habit: it and those behind it need no bound.
    expect(causes(await ended(first))).toEqual({ 'partly-confirmed': 7, 'confirmed-by-first': 3 });
    expect(stats()).toMatchObject({ perMessage: 'first', partial: { waiting: 0, ended: 7 } });
    const next = await planter.plant({ lane: 'emergency', route: 'default', count: 10, text: LONG });
    expect(causes(await ended(next))).toEqual({ 'confirmed-by-first': 10 });
  });

  test('its one receipt is not the end while another segment is still refused', async ({
    carrierWith,
    db,
    ended,
    rig,
  }) => {
    let refusals = 2;
    const { port } = await carrierWith({
      receipts: ({ n, segment }) => (segment === 1 ? [delivered(n)] : []),
      status: ({ segment }) => (segment === 2 && refusals-- > 0 ? 0x08 : 0),
    });
    const { planter } = await rig(port, { receiptsPerMessage: 'first', receiptsBound: 'PT1S' });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 1, text: LONG });
    expect(causes(await ended(alarm))).toEqual({ 'confirmed-by-first': 1 });
    const [times] = await db.database.pools.reader.query<{ at: number; taken: number; segments: number }>(
      `SELECT f.at, max(s.answered_at) FILTER (WHERE s.outcome = 1) AS taken,
              count(DISTINCT s.segment) FILTER (WHERE s.outcome = 1) AS segments
       FROM final_state f
       JOIN submission s ON s.day = f.day AND s.delivery = f.delivery
       WHERE f.day = $1::date AND f.delivery = $2 GROUP BY f.at`,
      [alarm.day, alarm.deliveries[0]],
    );
    expect(times?.segments).toBe(3);
    expect(times?.at).toBeGreaterThanOrEqual(times?.taken ?? Number.POSITIVE_INFINITY);
  });

  test('a carrier that sends all is learned too, and a failed segment fails the text under any', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const { port } = await carrierWith({
      receipts: ({ n, segment }) => [segment === 2 && n % 2 === 0 ? `id:${n} stat:UNDELIV err:005` : delivered(n)],
    });
    const { planter, stats } = await rig(port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 40, text: LONG });
    const rows = await ended(alarm);
    expect(Object.keys(states(rows)).sort()).toEqual(['1', '2']);
    expect(rows.filter(({ state }) => state === 2).every(({ cause }) => cause === '005')).toBe(true);
    await eventually(
      () => stats().perMessage,
      (mode) => mode === 'all',
    );
    expect(stats()).toMatchObject({ perMessage: 'all', partial: { waiting: 0, ended: 0 } });
  });
});

describe.concurrent('when receipts of a long text stay out', () => {
  const twoOfThree = ({ n, segment }: Taken) => (segment < 3 ? [delivered(n)] : []);

  test('the bound ends it as delivered, partly-confirmed, and the timeline says so', async ({
    carrierWith,
    db,
    ended,
    rig,
  }) => {
    const { port } = await carrierWith({ receipts: twoOfThree });
    const { planter, reader, stats } = await rig(port, { receiptsBound: 'PT1S' });
    const alarm = await planter.plant({ lane: 'security', route: 'default', count: 1, text: LONG, secret: true });
    const rows = await ended(alarm);
    expect(rows).toEqual([{ delivery: alarm.deliveries[0], state: DELIVERED, cause: 'partly-confirmed' }]);
    const detail = await reader.get(1, keyOf(alarm));
    expect(detail).toMatchObject({ state: 'delivered', conflict: false });
    expect(detail?.timeline.at(-1)).toMatchObject({ kind: 'final', state: 'delivered', cause: 'partly-confirmed' });
    const receipts = detail?.timeline.filter(({ kind }) => kind === 'receipt') ?? [];
    expect((detail?.timeline.at(-1)?.at ?? 0) - (receipts[0]?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(stats().perMessage).toBe(null);
    const bodies = await db.database.pools.reader.query('SELECT id FROM body WHERE id = $1', [alarm.body]);
    expect(bodies).toEqual([]);
  });

  test('the bound holds across a restart', async ({ carrierWith, ended, rig }) => {
    const { port } = await carrierWith({ receipts: twoOfThree });
    const before = await rig(port, { receiptsBound: 'PT3S' });
    const alarm = await before.planter.plant({ lane: 'emergency', route: 'default', count: 20, text: LONG });
    await eventually(
      () => before.stats().partial.waiting,
      (waiting) => waiting === 20,
    );
    await before.dispatch.journal.drain(2_000);
    const after = await before.restart();
    expect(causes(await ended(alarm))).toEqual({ 'partly-confirmed': 20 });
    expect(after.stats().partial).toEqual({ waiting: 0, ended: 20 });
  });

  test('those that come after a restart make the end together, though none is durable before the last is looked up', async ({
    carrierWith,
    db,
    ended,
    rig,
  }) => {
    const carrier = await carrierWith({ receipts: () => [] });
    const before = await rig(carrier.port);
    const alarm = await before.planter.plant({ lane: 'emergency', route: 'default', count: 1, text: LONG });
    await eventually(
      () => carrier.taken.length,
      (taken) => taken === 3,
    );
    const after = await before.restart();
    await eventually(
      () => after.dispatch.bindsDown.length,
      (down) => down === 0,
    );
    await db.asSuperuser(async (session) => {
      // No receipt becomes durable meanwhile.
      await session.exec('BEGIN; LOCK TABLE tocsin.receipt IN SHARE MODE');
      for (const [index, { n }] of carrier.taken.entries()) {
        carrier.send(delivered(n));
        const { matched } = await eventually(
          () => after.stats().ids,
          (ids) => ids.matched.exact === index + 1,
        );
        expect(matched.exact).toBe(index + 1);
      }
      const [row] = await db.database.pools.reader.query<{ n: number }>(
        'SELECT count(*) AS n FROM receipt WHERE day = $1::date AND delivery = ANY($2::bigint[])',
        [alarm.day, alarm.deliveries],
      );
      expect(row).toEqual({ n: 0 });
      await session.exec('COMMIT');
    });
    expect(states(await ended(alarm, 1, 5_000))).toEqual({ [DELIVERED]: 1 });
  });

  test('a receipt that comes after all and says otherwise is a conflict, not another end', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const carrier = await carrierWith({ receipts: twoOfThree });
    const { planter, reader } = await rig(carrier.port, { receiptsBound: 'PT1S' });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 1, text: LONG });
    expect(causes(await ended(alarm))).toEqual({ 'partly-confirmed': 1 });
    const third = carrier.taken.find(({ segment }) => segment === 3) as Taken;
    carrier.send(`id:${third.n} stat:UNDELIV err:001 text:`);
    const detail = await eventually(
      () => reader.get(1, keyOf(alarm)),
      (one) => one?.conflict === true,
    );
    expect(detail).toMatchObject({ state: 'delivered', conflict: true });
  });
});

describe.concurrent('receipts that nobody asked for', () => {
  test('an intermediate notification is a fact and never the end', async ({ carrierWith, ended, rig }) => {
    const carrier = await carrierWith({ receipts: () => [] });
    const { planter, reader } = await rig(carrier.port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 1 });
    const [{ n }] = (await eventually(
      () => carrier.taken,
      (taken) => taken.length === 1,
    )) as [Taken];
    carrier.send(`id:${n} stat:UNDELIV err:007 text:`, 0x20);
    carrier.send(`id:${n} stat:ENROUTE err:000 text:`);
    const timeline = async () => (await reader.get(1, keyOf(alarm)))?.timeline ?? [];
    const facts = await eventually(timeline, (all) => all.filter(({ kind }) => kind === 'receipt').length === 2);
    expect(facts.filter(({ kind }) => kind === 'receipt').map(({ state, error }) => [state, error])).toEqual([
      ['enroute', 'intermediate 5 007'],
      ['enroute', '000'],
    ]);
    expect(await ended(alarm, 1, 300)).toEqual([]);
    carrier.send(delivered(n));
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 1 });
  });

  test('of another application: an unmatched fact, answered as taken, and nobody’s end', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const carrier = await carrierWith({ receipts: ({ n }) => [delivered(`ff${n}`)] });
    const { planter, stats } = await rig(carrier.port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 10 });
    await eventually(
      () => stats().unmatched,
      (count) => count === 10,
    );
    await eventually(
      () => carrier.statuses.length,
      (count) => count === 10,
    );
    expect(carrier.statuses).toEqual(Array(10).fill(0));
    expect(await ended(alarm, 1, 300)).toEqual([]);
    expect(stats().ids).toMatchObject({ form: null, matched: {} });
  });

  test('so early that they were unmatched first: found when the submission is there', async ({
    carrierWith,
    ended,
    rig,
  }) => {
    const { port } = await carrierWith({ receipts: ({ n }) => [delivered(n)], early: true, answerAfterMs: 700 });
    const { planter, stats } = await rig(port);
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 20 });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 20 });
    expect(stats().unmatched).toBe(20);
  });

  test('flagged as messages, they are receipts with receiptsByText', async ({ carrierWith, ended, rig }) => {
    const { port } = await carrierWith({ receipts: ({ n }) => [delivered(n)], esmClass: 0 });
    const { planter } = await rig(port, { receiptsByText: 'true' });
    const alarm = await planter.plant({ lane: 'emergency', route: 'default', count: 20 });
    expect(states(await ended(alarm))).toEqual({ [DELIVERED]: 20 });
  });
});
