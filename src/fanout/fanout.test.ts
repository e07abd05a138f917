/** Fan-out from job to chunks, with a real database and pg-boss. */
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { commitProxy } from '../../test/support/commit-proxy.ts';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { ChainWriter, verify } from '../audit/index.ts';
import { Pool } from '../platform/index.ts';
import { routeOf } from '../policy/index.ts';
import { delivery, finalState, readProgress } from '../records/index.ts';
import { readAlert } from './alert.ts';
import { Broadcast } from './broadcast.ts';
import { Fanout, type FanoutOptions } from './fanout.ts';
import { EmergencyGate } from './gate.ts';
import { FANOUT_QUEUE, lockAlert } from './job.ts';
import { fanoutPage } from './tables.ts';
import { type AlertPlan, numbers, openWorld, type PlantedAlert, plantAlert, plantList, type World } from './testing.ts';

const ROUTES = {
  main: { tps: 700, prefixes: ['+'] },
  north: { tps: 40, prefixes: ['+46', '+47'] },
  urgent: { tps: 2_000, prefixes: ['+46'], lanes: ['emergency' as const] },
};
const ends: (() => Promise<unknown>)[] = [];
let db: TestDatabase;
let world: World;
let troubles: unknown[] = [];

beforeAll(async () => {
  db = await testDatabase();
  world = await openWorld(db.database, ROUTES);
  return () => world.close();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  troubles = [];
});

async function start(options: Partial<FanoutOptions> = {}): Promise<Fanout> {
  const gate = new EmergencyGate({ clock: world.clock });
  const fanout = await Fanout.start({ ...world, gate, onTrouble: (error) => troubles.push(error), ...options });
  ends.push(() => fanout.stop());
  return fanout;
}

interface Row {
  id: number;
  recipient: number;
  msisdn: string;
  route: number;
  chunk: number;
  body: number;
  reference: string | null;
}

const deliveriesOf = ({ day, id }: PlantedAlert): Promise<Row[]> =>
  db.database.pools.reader.query<Row>(
    `select d.id, d.recipient, r.msisdn, d.route, d.chunk, d.body, d.reference
     from delivery d join recipient r on r.id = d.recipient where d.day = $1::date and d.alert = $2::uuid order by d.id`,
    [day, id],
  );

const pagesOf = ({
  day,
  id,
}: PlantedAlert): Promise<{ page: number; list: number; deliveries: number; last: boolean }[]> =>
  db.database.pools.reader.query(
    'select page, list, deliveries, last from fanout_page where day = $1::date and alert = $2::uuid order by page',
    [day, id],
  );

const chunksOf = ({ id }: PlantedAlert) =>
  db.database.pools.reader.query<{
    id: number;
    route: number;
    first_delivery: number;
    deliveries: number;
    state: string;
    job_priority: number;
    later: boolean;
  }>(
    `select c.id, c.route, c.first_delivery, c.deliveries, j.state, j.priority as job_priority, not c.queued as later
     from chunk c left join pgboss.job j on j.id = c.job where c.alert = $1::uuid order by c.id`,
    [id],
  );

/** Resolves when the fan-out of the alert has ended and its job is done. */
async function fannedOut(alert: PlantedAlert): Promise<void> {
  for (;;) {
    const [row] = await db.database.pools.reader.query<{ done: boolean }>(
      `select exists (select from fanout_page where day = $1::date and alert = $2::uuid and last)
         and not exists (select from pgboss.job where name = $3 and state <> 'completed' and data->>'alert' = $2::text) as done`,
      [alert.day, alert.id, FANOUT_QUEUE],
    );
    if (row?.done === true) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function expectVerified(): Promise<void> {
  const report = await verify(db.database, [delivery, finalState, fanoutPage]);
  expect(report.disagreements).toEqual([]);
}

/** An alert without its job: for tests that write pages themselves. */
async function plantAlone(plan: AlertPlan): Promise<PlantedAlert> {
  const alert = await plantAlert(world, plan);
  await db.database.pools.control.query(`delete from pgboss.job where name = $1 and data->>'alert' = $2`, [
    FANOUT_QUEUE,
    alert.id,
  ]);
  return alert;
}

async function broadcastOf({ day, id }: PlantedAlert): Promise<Broadcast> {
  const alert = await readAlert(db.database.pools.fanout, day, id);
  if (alert === null) throw new Error('planted and not there');
  return new Broadcast(alert, { id: '00000000-0000-7000-8000-000000000000', retryCount: 0 }, world);
}

const openWriter = (pool = db.database.pools.fanout): Promise<ChainWriter> =>
  ChainWriter.open(pool, world.clock, world.process, 'fanout');

describe('an alert to a list', () => {
  test('becomes one delivery for each member, by route, in chunks of contiguous ids that dispatch can take', async () => {
    const members = [...numbers(1_900), ...numbers(30, '+4670009'), ...numbers(7, '+4779009')];
    const { list, recipients } = await plantList(world, 'all', members);
    await start();
    const alert = await plantAlert(world, { lists: [list] });
    await fannedOut(alert);

    const rows = await deliveriesOf(alert);
    expect(rows.map(({ recipient }) => recipient).toSorted((a, b) => a - b)).toEqual(
      recipients.toSorted((a, b) => a - b),
    );
    for (const row of rows) {
      expect(world.names.routeName(row.route)).toBe(routeOf(world.policies.routing, row.msisdn, 'bulk').name);
      expect(row.body).toBe(alert.body);
    }
    const chunks = await chunksOf(alert);
    const size = { main: 175, north: 10, urgent: 500 };
    expect(chunks.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(members.length);
    for (const chunk of chunks) {
      const mine = rows.filter((row) => row.chunk === chunk.id);
      expect(mine.map(({ id }) => id)).toEqual(
        Array.from({ length: chunk.deliveries }, (_, i) => chunk.first_delivery + i),
      );
      expect(new Set(mine.map(({ route }) => route))).toEqual(new Set([chunk.route]));
      expect(chunk.deliveries).toBeLessThanOrEqual(size[world.names.routeName(chunk.route) as keyof typeof size]);
      expect(chunk).toMatchObject({ state: 'created', later: false });
    }
    const pages = await pagesOf(alert);
    expect(pages.map(({ last }) => last)).toEqual([...pages.slice(1).map(() => false), true]);
    expect(pages[0]).toMatchObject({ page: 0, list, deliveries: 200 });
    expect(troubles).toEqual([]);
    await expectVerified();
  });

  test('takes the route of its lane', async () => {
    const { list } = await plantList(world, 'lane', numbers(5, '+4670109'));
    await start();
    const alert = await plantAlert(world, { lane: 'emergency', lists: [list] });
    await fannedOut(alert);
    const routes = (await deliveriesOf(alert)).map(({ route }) => world.names.routeName(route));
    expect(routes).toEqual(Array(5).fill('urgent'));
  });

  test('hands chunks of an alert for later over with their time', async () => {
    const { list } = await plantList(world, 'later', numbers(3, '+4477019'));
    await start();
    const alert = await plantAlert(world, {
      lists: [list],
      notBefore: world.clock.now() + 600_000,
      validForMs: 1_200_000,
    });
    await fannedOut(alert);
    expect(await chunksOf(alert)).toMatchObject([{ later: true }]);
  });

  test('is complete with no delivery when the list has become empty', async () => {
    const { list } = await plantList(world, 'empty', []);
    await start();
    const alert = await plantAlert(world, { lists: [list] });
    await fannedOut(alert);
    expect(await pagesOf(alert)).toEqual([{ page: 0, list, deliveries: 0, last: true }]);
  });
});

test('whoever is named and on several lists gets one delivery, with the reference and the text of their language', async () => {
  const languages = [undefined, 'en', 'fr', 'de'];
  let run = 0;
  await start();
  const scope = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(scope, scope, scope, async (named, first, second) => {
      const prefix = `+46700${++run + 100}`;
      const all = await plantList(
        world,
        `people ${run}`,
        numbers(41, prefix).map((msisdn, i) => {
          const language = languages[i % 4];
          return language === undefined ? { msisdn } : { msisdn, language };
        }),
      );
      const of = (indexes: number[]): number[] => indexes.map((i) => all.recipients[i]!);
      const lists = [];
      for (const [i, members] of [first, second].entries()) {
        const { list } = await plantList(world, `list ${run} ${i}`, []);
        await db.database.pools.control.query(
          'insert into list_member (list, recipient) select $1, unnest($2::bigint[])',
          [list, of(members)],
        );
        lists.push(list);
      }
      const alert = await plantAlert(world, {
        lists,
        named: named.map((i) => ({ recipient: all.recipients[i]!, reference: `ref ${i}` })),
        languages: ['fr', 'de'],
      });
      await fannedOut(alert);
      const wanted = new Map<number, { reference: string | null; body: number }>();
      for (const i of [...named, ...first, ...second]) {
        const body = alert.texts[languages[i % 4] ?? ''] ?? alert.body;
        wanted.set(all.recipients[i]!, { reference: named.includes(i) ? `ref ${i}` : null, body });
      }
      const rows = await deliveriesOf(alert);
      expect(rows).toHaveLength(wanted.size);
      for (const { recipient, reference, body } of rows) expect({ reference, body }).toEqual(wanted.get(recipient));
      const pages = await pagesOf(alert);
      expect(pages.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(wanted.size);
      expect((await chunksOf(alert)).reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(wanted.size);
    }),
    { numRuns: 12 },
  );
  await expectVerified();
});

describe('a fan-out that was interrupted', () => {
  test('goes on after the last page there is, and repeats nobody', async () => {
    const { list, recipients } = await plantList(world, 'interrupted', numbers(1_200, '+4477029'));
    let pages = 0;
    const first = await start({ onPage: () => void (++pages === 1 && first.stop()) });
    const alert = await plantAlert(world, { lists: [list] });
    while (pages === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await first.stop();
    const before = await pagesOf(alert);
    expect(before.length).toBeGreaterThan(0);
    expect(before.at(-1)?.last).toBe(false);

    await start();
    await fannedOut(alert);
    const rows = await deliveriesOf(alert);
    expect(rows.map(({ recipient }) => recipient).toSorted((a, b) => a - b)).toEqual(recipients);
    await expectVerified();
  });

  test('by the death of its process is taken up within seconds', async () => {
    const { list } = await plantList(world, 'dead', numbers(20, '+4477039'));
    const alert = await plantAlert(world, { lists: [list] });
    // Fetched, and nobody lives who works on it.
    const [job] = await world.boss.fetch(FANOUT_QUEUE);
    expect(job?.data).toMatchObject({ alert: alert.id });
    await db.database.pools.control.query(
      `update pgboss.job set started_on = now() - interval '2 seconds' where id = $1`,
      [job?.id],
    );
    const started = performance.now();
    await start();
    await fannedOut(alert);
    expect(performance.now() - started).toBeLessThan(6_000);
    expect(await deliveriesOf(alert)).toHaveLength(20);
  });

  test('is left to a worker that lives', async () => {
    const { list } = await plantList(world, 'alive', numbers(5, '+4477049'));
    const gate = new EmergencyGate({ clock: world.clock });
    const leave = gate.enter();
    await start({ gate });
    const alert = await plantAlert(world, { lists: [list] });
    const [active] = await until(() =>
      db.database.pools.reader.query<{ id: string; retry_count: number }>(
        `select id, retry_count from pgboss.job where name = $1 and state = 'active' and data->>'alert' = $2`,
        [FANOUT_QUEUE, alert.id],
      ),
    );
    await db.database.pools.control.query(
      `update pgboss.job set started_on = now() - interval '30 minutes' where id = $1`,
      [active?.id],
    );
    // Another process starts: it looks for work of the dead, and must not find this.
    await start();
    leave();
    await fannedOut(alert);
    const [done] = await db.database.pools.reader.query<{ retry_count: number }>(
      'select retry_count from pgboss.job where id = $1',
      [active?.id],
    );
    expect(done?.retry_count).toBe(active?.retry_count);
  });

  test('by lost answers to COMMIT still makes each delivery once', async () => {
    const proxy = await commitProxy(db.target);
    const pool = new Pool({
      name: 'fanout',
      size: 1,
      target: proxy.target,
      statementTimeoutMs: 10_000,
      applicationName: 'fanout test',
    });
    ends.push(() => pool.close());
    const { list } = await plantList(world, 'uncertain', numbers(1_300, '+4477059'));
    const alert = await plantAlone({ lists: [list], languages: ['fr'] });
    const writer = await openWriter(pool);
    const broadcast = await broadcastOf(alert);
    proxy.faults.push({ kind: 'lose-answer' }, { kind: 'lose-commit' });
    while (!(await broadcast.next(writer, 400)).finished);
    expect(proxy.fired).toBe(2);
    expect(await deliveriesOf(alert)).toHaveLength(1_300);
    const chunks = await chunksOf(alert);
    expect(chunks.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(1_300);
    await expectVerified();
  });

  test('and handed to two workers at once still makes each delivery once', async () => {
    const { list } = await plantList(world, 'twice', numbers(2_000, '+4477069'));
    const alert = await plantAlone({ lists: [list] });
    const run = async (): Promise<number> => {
      const [broadcast, writer] = [await broadcastOf(alert), await openWriter()];
      let made = 0;
      for (let finished = false; !finished; ) {
        const page = await broadcast.next(writer, 200);
        made += page.deliveries;
        finished = page.finished;
      }
      return made;
    };
    const made = await Promise.all([run(), run()]);
    expect(made[0]! + made[1]!).toBe(2_000);
    expect(Math.min(...made)).toBeGreaterThan(0);
    expect(await deliveriesOf(alert)).toHaveLength(2_000);
    await expectVerified();
  });
});

describe('an alert that ended early', () => {
  test('gets no more deliveries once a cancel has committed', async () => {
    const { list } = await plantList(world, 'cancelled', numbers(2_000, '+4477079'));
    const { day, id } = await plantAlone({ lists: [list] });
    const [broadcast, writer] = [await broadcastOf({ day, id, body: 0, texts: {} }), await openWriter()];
    await broadcast.next(writer, 200);
    const cancel = db.database.pools.control.run(async (tx) => {
      await lockAlert(tx, id);
      const insert = 'insert into alert_cancel (day, alert, producer, at, entry) values ($1::date, $2::uuid, 1, 0, 0)';
      await tx.query(insert, [day, id]);
      const count = 'select count(*) as n from delivery where day = $1::date and alert = $2::uuid';
      return (await tx.query<{ n: number }>(count, [day, id]))[0]?.n;
    });
    // At the same moment: this page is whole before the cancel, or empty after it.
    const [atCancel] = await Promise.all([cancel, broadcast.next(writer, 200)]);
    while (!(await broadcast.next(writer, 200)).finished);
    const alert = { day, id, body: 0, texts: {} };
    expect([200, 400]).toContain(atCancel);
    expect(await deliveriesOf(alert)).toHaveLength(atCancel as number);
    expect((await pagesOf(alert)).at(-1)).toMatchObject({ deliveries: 0, last: true });
    await expectVerified();
  });

  test('by its expiry puts everyone it was for on record as expired, and sends nothing', async () => {
    const members = [...numbers(700, '+4477089'), ...numbers(12, '+4670209')];
    const { list } = await plantList(world, 'expired', members);
    const alert = await plantAlert(world, { lists: [list], validForMs: -1 });
    await start();
    await fannedOut(alert);
    expect(await deliveriesOf(alert)).toHaveLength(712);
    expect(await chunksOf(alert)).toEqual([]);
    const finals = await db.database.pools.reader.query(
      `select f.state, f.cause, count(*) as n from delivery d join final_state f on f.day = d.day and f.delivery = d.id
       where d.day = $1::date and d.alert = $2::uuid group by 1, 2`,
      [alert.day, alert.id],
    );
    expect(finals).toEqual([{ state: 3, cause: 'expired-before-fanout', n: 712 }]);
    const pool = db.database.pools.reader;
    expect(await readProgress((text, params) => pool.query(text, params), alert.day, alert.id)).toMatchObject({
      expired: 712,
      delivered: 0,
    });
    await expectVerified();
  });
});

describe('urgent work', () => {
  test('goes before what is being fanned out, and that goes on after it', async () => {
    const large = await plantList(world, 'large', numbers(12_000, '+447802'));
    const small = await plantList(world, 'small', numbers(10, '+4477099'));
    const order: string[] = [];
    const planted: Promise<PlantedAlert>[] = [];
    await start({
      onPage: ({ lane }) => {
        order.push(lane);
        if (planted.length === 0) planted.push(plantAlert(world, { lane: 'security', lists: [small.list] }));
      },
    });
    const bulk = await plantAlert(world, { lists: [large.list] });
    await fannedOut(bulk);
    expect(order.filter((lane) => lane === 'security')).toEqual(['security']);
    expect(order.indexOf('security')).toBeLessThan(order.length - 1);
    expect(order[0]).toBe('bulk');
    expect(await deliveriesOf(await planted[0]!)).toHaveLength(10);
    expect(await deliveriesOf(bulk)).toHaveLength(12_000);
  });

  test('of the emergency lane has a worker of its own, and holds the other lanes up', async () => {
    const { list } = await plantList(world, 'siren', numbers(20, '+4477109'));
    const gate = new EmergencyGate({ clock: world.clock });
    const order: string[] = [];
    await start({ gate, onPage: ({ lane }) => void order.push(lane) });
    const leave = gate.enter();
    const bulk = await plantAlert(world, { lists: [list] });
    const siren = await plantAlert(world, { lane: 'emergency', lists: [list] });
    await fannedOut(siren);
    leave();
    await fannedOut(bulk);
    expect(order).toEqual(['emergency', 'bulk']);
  });
});

async function until<T>(ask: () => Promise<T[]>): Promise<T[]> {
  for (;;) {
    const found = await ask();
    if (found.length > 0) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
