/** A million chunks for later beside one that is due: what a fetch costs, and how the due ones among them leave. */
import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, loadPolicies, Names } from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues, queueName } from './chunks.ts';
import { takeChunks } from './hold.ts';
import { Later } from './later.ts';
import { Planter } from './testing.ts';

const WAITING = 1_000_000;
const DUE = 2_000;

test('a million chunks for later cost a fetch nothing, and those that come due leave in turn', async () => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  const { pools } = db.database;
  const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
  try {
    const policies = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
    const names = await Names.register(pools.control, policies);
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const holder = { process: 1, bind: names.bindId('demo-a'), fence: 1 };
    const queue = queueName('default', 'transaction');
    const wish = { queue, route: 'default', lane: 'transaction' as const, jobs: 20, room: 500 };
    /** Median time to take one chunk that is due, in ms. */
    const takeMs = async (): Promise<number> => {
      const times: number[] = [];
      for (let n = 0; n < 21; n++) {
        await planter.plant({ lane: 'transaction', route: 'default', count: 1 });
        const from = performance.now();
        const taken = await takeChunks(pools.dispatch, boss, holder, wish, (work) => work());
        times.push(performance.now() - from);
        expect(taken.length).toBe(1);
      }
      return times.toSorted((a, b) => a - b)[10] as number;
    };
    const before = await takeMs();
    const now = clock.now();
    await db.asSuperuser((session) =>
      session.query(
        `INSERT INTO tocsin.chunk (id, day, lane, route, first_delivery, deliveries, priority, not_before, expires_min,
                                   expires_max, job, created_at, queued)
         SELECT 1e12 + n, current_date, $1, $2, 1e12 + n, 1, 900000000, $3::bigint + CASE WHEN n <= $4 THEN n ELSE 3600000 END,
                $3::bigint + 7200000, $3::bigint + 7200000, gen_random_uuid(), $3::bigint, false FROM generate_series(1, $5) n`,
        [names.laneId('transaction'), names.routeId('default'), now, DUE, WAITING],
      ),
    );
    const after = await takeMs();
    console.log(`one chunk taken: ${before.toFixed(1)} ms alone, ${after.toFixed(1)} ms beside ${WAITING} for later`);
    expect(after).toBeLessThan(2 * before + 5);

    const later = new Later({
      ...{ pool: pools.control, boss, clock },
      laneId: (lane) => names.laneId(lane),
      laneName: (id) => names.laneName(id),
      routeName: (id) => names.routeName(id),
      onTrouble: (error) => {
        throw error;
      },
    });
    const from = performance.now();
    const next = await later.release();
    console.log(`${DUE} came due: in their queue after ${Math.round(performance.now() - from)} ms`);
    const [row] = await pools.reader.query<{ n: number }>('SELECT count(*) AS n FROM chunk WHERE queued AND id > 1e12');
    expect(row?.n).toBe(DUE);
    expect(next).toBe(now + 3_600_000);
  } finally {
    clock.close();
    await boss.stop({ graceful: false });
  }
}, 300_000);
