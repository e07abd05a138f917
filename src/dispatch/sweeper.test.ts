/** What ends without a receipt, with a real database. */
import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { ChainWriter, insertFacts } from '../audit/index.ts';
import { DatabaseClock, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, loadPolicies, Names } from '../policy/index.ts';
import { FINAL, OUTCOME, submission } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues } from './chunks.ts';
import { Sweeper } from './sweeper.ts';
import { Planter } from './testing.ts';

test('what was sent ends as unknown after its grace, though others of its chunk still wait', async () => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  try {
    const { pools } = db.database;
    const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
    const policies = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
    const names = await Names.register(pools.control, policies);
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const { unknownGraceMs } = policies.lanes.bulk;
    const validForMs = -unknownGraceMs - 120_000;
    const { day, deliveries } = await planter.plant({ lane: 'bulk', route: 'default', count: 2, validForMs });
    const bind = names.bindId('demo-a');
    // The second was never claimed, and its bind has the chunk.
    await pools.control.query(
      'UPDATE chunk SET claimed_to = 1, holder_process = 1, holder_bind = $1, holder_fence = 1 WHERE id = $2',
      [bind, deliveries[0]],
    );
    const writer = await ChainWriter.open(pools.control, clock, 1, 'test');
    const at = clock.now();
    await writer.append(async (tx, entry) => {
      const sent = {
        ...{ day, delivery: deliveries[0] as number, attempt: 1, segment: 1, segments: 1, bind, status: 0 },
        ...{ outcome: OUTCOME.accepted, messageId: 'a', possibleDuplicate: false, sentAt: at, answeredAt: at },
      };
      const { parts } = await insertFacts(tx, submission, [sent], entry, { onConflict: 'error' });
      return { value: undefined, parts };
    });
    const sweeper = new Sweeper({
      ...{ pool: pools.control, writer, boss, clock, lanes: policies.lanes, quietBinds: [] },
      laneName: (id) => names.laneName(id),
      laneId: (lane) => names.laneId(lane),
      routeName: (id) => names.routeName(id),
      orphans: async () => {},
      onTrouble: (error) => {
        throw error;
      },
    });
    await sweeper.sweep();
    const rows = await pools.control.query<{ delivery: number; state: number }>(
      'SELECT delivery, state FROM final_state WHERE day = $1::date AND delivery = ANY($2::bigint[])',
      [day, deliveries],
    );
    expect(rows).toEqual([{ delivery: deliveries[0], state: FINAL.unknown }]);
    clock.close();
  } finally {
    await boss.stop({ graceful: false });
  }
});
