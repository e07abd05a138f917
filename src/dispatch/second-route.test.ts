/**
 * Goal: a number that a carrier has no way to is tried by one other route, once, and is never with two carriers. Method: a
 * real database, pg-boss, and two carriers that count who was sent what.
 */
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { type PlainSmsc, type PlainSmscOptions, readSubmitSm } from '../../test/support/plain-smsc.ts';
import { type Process, policiesOf, smscOf, startProcess } from '../../test/support/routed.ts';
import { route } from '../../test/support/routing.ts';
import { ChainWriter } from '../audit/index.ts';
import { DatabaseClock, IdAllocator, openBoss, readDatabaseTime } from '../platform/index.ts';
import { compileRouting, type NoRoute } from '../policy/index.ts';
import { FINAL } from '../records/index.ts';
import { saysNoRoute, secondRouteOf } from './second-route.ts';
import { takeOver } from './takeover.ts';
import type { Boss, Planted } from './testing.ts';

const ESME_RINVDSTADR = 0x0b;
const ESME_RSUBMITFAIL = 0x45;
let db: TestDatabase;
let boss: Boss;

beforeAll(async () => {
  db = await testDatabase();
  boss = await openBoss({ target: db.target, onError: () => {} });
  return () => boss.stop({ graceful: false });
});
// What a test that failed left behind is not for the next one to route anew.
beforeEach(() => db.asSuperuser((session) => session.exec(`DELETE FROM pgboss.job WHERE name LIKE 'dispatch.%'`)));

const numberOf = (frame: Buffer): number => Number(readSubmitSm(frame).destinationAddr);
const odd = (frame: Buffer): boolean => numberOf(frame) % 2 === 1;
const sentTo = ({ arrived }: PlainSmsc): number[] => arrived.map(({ frame }) => numberOf(frame)).sort((a, b) => a - b);
const numbersOf = ({ deliveries }: Planted): number[] => deliveries.map((id) => 447_000_000_000 + id);

async function pair(
  name: string,
  [first, second]: readonly [PlainSmscOptions, PlainSmscOptions],
  fields = '',
  /** For how long a carrier may be silent. */
  responseTimeout = 'PT2S',
): Promise<{ a: PlainSmsc; b: PlainSmsc; process: Process }> {
  const [a, b] = [await smscOf(first), await smscOf(second)];
  const policies = policiesOf(
    { [`${name}-a`]: { smsc: a, responseTimeout }, [`${name}-b`]: { smsc: b, responseTimeout } },
    `routes:
  - { name: ${name}, prefixes: ['+'], binds: [${name}-a], onNoRoute: ${name}-other${fields} }
  - { name: ${name}-other, binds: [${name}-b], onNoRoute: ${name}${fields} }\n`,
  );
  return { a, b, process: await startProcess(db, boss, policies) };
}

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
    { timeout: 10_000, interval: 30 },
  );
}

async function progressOf({ day, alert }: Planted): Promise<unknown> {
  const [row] = await db.database.pools.reader.query(
    `SELECT sum(submitted)::bigint AS submitted, sum(delivered)::bigint AS delivered, sum(failed)::bigint AS failed
     FROM alert_progress WHERE day = $1::date AND alert = $2::uuid`,
    [day, alert],
  );
  return row;
}

describe('a refusal of the address', () => {
  test('leads to the second route, as a further attempt', async () => {
    const { a, b, process } = await pair('refused', [{ verdict: (frame) => (odd(frame) ? ESME_RINVDSTADR : 0) }, {}]);
    const planted = await process.planter.plant({ lane: 'transaction', route: 'refused', count: 40 });
    expect(await statesOf(planted)).toEqual({ [FINAL.delivered]: 40 });
    expect(sentTo(a)).toEqual(numbersOf(planted));
    expect(sentTo(b)).toEqual(numbersOf(planted).filter((number) => number % 2 === 1));
    expect(await progressOf(planted)).toEqual({ submitted: 40, delivered: 40, failed: 0 });
    const facts = await db.database.pools.reader.query(
      `SELECT s.attempt, s.outcome, r.reason, count(*) AS n FROM submission s
       LEFT JOIN release r ON r.day = s.day AND r.delivery = s.delivery AND r.attempt = s.attempt
       WHERE s.day = $1::date AND s.delivery = ANY($2::bigint[]) GROUP BY 1, 2, 3 ORDER BY 1, 2`,
      [planted.day, planted.deliveries],
    );
    expect(facts).toEqual([
      { attempt: 1, outcome: 1, reason: null, n: 20 },
      { attempt: 1, outcome: 2, reason: 'other-route', n: 20 },
      { attempt: 2, outcome: 1, reason: null, n: 20 },
    ]);
  }, 20_000);

  test('by both carriers is the end, though each route names the other', async () => {
    const refuse = { verdict: () => ESME_RINVDSTADR };
    const { a, b, process } = await pair('both', [refuse, refuse]);
    const planted = await process.planter.plant({ lane: 'transaction', route: 'both', count: 10 });
    expect(await statesOf(planted)).toEqual({ [FINAL.failed]: 10 });
    expect([sentTo(a), sentTo(b)]).toEqual([numbersOf(planted), numbersOf(planted)]);
  }, 20_000);

  test('of one part is the end where the carrier has taken another', async () => {
    const seen = new Map<number, number>();
    const second = (frame: Buffer): number => {
      const count = (seen.get(numberOf(frame)) ?? 0) + 1;
      seen.set(numberOf(frame), count);
      return count === 2 ? ESME_RINVDSTADR : 0;
    };
    const { b, process } = await pair('parts', [{ verdict: second }, {}]);
    const { planter } = process;
    const planted = await planter.plant({ lane: 'transaction', route: 'parts', count: 5, text: 'x'.repeat(400) });
    expect(await statesOf(planted)).toEqual({ [FINAL.failed]: 5 });
    expect(seen.size).toBe(5);
    expect(b.arrived).toEqual([]);
  }, 20_000);

  test('is the end where policy names other statuses, and those lead on', async () => {
    const verdict = (frame: Buffer): number => (odd(frame) ? ESME_RINVDSTADR : ESME_RSUBMITFAIL);
    const { b, process } = await pair('named', [{ verdict }, {}], ', noRouteStatuses: [ESME_RSUBMITFAIL]');
    const planted = await process.planter.plant({ lane: 'transaction', route: 'named', count: 10 });
    expect(await statesOf(planted)).toEqual({ [FINAL.failed]: 5, [FINAL.delivered]: 5 });
    expect(sentTo(b)).toEqual(numbersOf(planted).filter((number) => number % 2 === 0));
  }, 20_000);
});

describe('a receipt that says there is no way', () => {
  test('leads to the second route; another failure is the end; repeats of the first end nothing', async () => {
    const undelivered = ({ destinationAddr }: { destinationAddr: string }): string | null =>
      ['001', '999', null][Number(destinationAddr) % 3] as string | null;
    const first = { undelivered, repeats: 3 };
    const { a, b, process } = await pair('receipt', [first, {}], ", noRouteErrors: ['001']");
    const planted = await process.planter.plant({ lane: 'transaction', route: 'receipt', count: 30 });
    expect(await statesOf(planted)).toEqual({ [FINAL.failed]: 10, [FINAL.delivered]: 20 });
    expect(sentTo(a)).toEqual(numbersOf(planted));
    expect(sentTo(b)).toEqual(numbersOf(planted).filter((number) => number % 3 === 0));
    expect(await progressOf(planted)).toEqual({ submitted: 30, delivered: 20, failed: 10 });
  }, 20_000);

  test('leaves what the second carrier was given in doubt after a crash, as any other', async () => {
    const { b, process } = await pair(
      'doubt',
      [{ undelivered: () => '001' }, { verdict: () => 'hold' }],
      ", noRouteErrors: ['001']",
      // Nothing of it is overdue before another takes it over, however busy the machine is.
      'PT30S',
    );
    await process.planter.plant({ lane: 'transaction', route: 'doubt', count: 4 });
    await vi.waitFor(() => expect(b.arrived.length).toBe(4), { timeout: 10_000, interval: 10 });
    const { control } = db.database.pools;
    const clock = await DatabaseClock.open(() => readDatabaseTime(control));
    const { names, policies } = process;
    // As the next holder of the bind would, after this process was killed.
    const result = await takeOver({
      ...{ pool: control, boss, clock, ids: new IdAllocator(control), lanes: policies.lanes },
      writer: await ChainWriter.open(control, clock, 1, 'takeover'),
      holder: { process: 1, bind: names.bindId('doubt-b'), fence: 1_000 },
      laneName: (id) => names.laneName(id),
      routeName: (id) => names.routeName(id),
    });
    clock.close();
    expect(result.inDoubt).toBe(4);
    // Else the end of the process would wait for the answers.
    b.release();
  }, 20_000);
});

describe('the second route', () => {
  const leads: NoRoute = { route: 'b', statuses: null, errors: new Set() };
  const routing = compileRouting([{ ...route('a', ['+']), noRoute: leads }, route('b', ['+1'])]);
  const tried = { msisdn: '+33', sender: null, lane: 'bulk', possibleDuplicate: false } as const;

  test('is for what is still on its first, and what may be with a carrier never has one', () => {
    expect(secondRouteOf(routing, { ...tried, route: 'a', firstRoute: 'a' })).toBe(leads);
    expect(secondRouteOf(routing, { ...tried, route: 'a', firstRoute: 'b' })).toBe(null);
    expect(secondRouteOf(routing, { ...tried, route: 'b', firstRoute: 'b' })).toBe(null);
    expect(secondRouteOf(routing, { ...tried, route: 'a', firstRoute: 'a', possibleDuplicate: true })).toBe(null);
  });

  test('counts from the route that took the place of one that is gone', () => {
    expect(secondRouteOf(routing, { ...tried, route: 'a', firstRoute: null })).toBe(leads);
    expect(secondRouteOf(routing, { ...tried, msisdn: '+1', route: 'a', firstRoute: null })).toBe(null);
    expect(secondRouteOf(routing, { ...tried, route: 'gone', firstRoute: null })).toBe(null);
  });

  test('is not for what a carrier says of the account or its pace, whatever policy lists', () => {
    const listed = { ...leads, statuses: new Set([0x58, 0x0d, 0x45]) };
    expect(saysNoRoute(listed, 0x58, 'throttled')).toBe(false);
    expect(saysNoRoute(listed, 0x0d, 'bind')).toBe(false);
    expect(saysNoRoute(listed, 0x45, 'temporary')).toBe(true);
    expect(saysNoRoute(listed, 0x0b, 'address')).toBe(false);
    expect(saysNoRoute(leads, 0x0b, 'address')).toBe(true);
    expect(saysNoRoute(leads, 0x45, 'temporary')).toBe(false);
  });
});
