/** What a new holder makes of a claim without an outcome, when the delivery was given back before. */
import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { ChainWriter, insertFacts } from '../audit/index.ts';
import { DatabaseClock, IdAllocator, openBoss, readDatabaseTime } from '../platform/index.ts';
import { LANES, loadPolicies, Names } from '../policy/index.ts';
import { claim, OUTCOME, type ReleaseRow, release, submission } from '../records/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createDispatchQueues, queueName } from './chunks.ts';
import { takeChunks } from './hold.ts';
import { takeOver } from './takeover.ts';
import { Planter } from './testing.ts';

const HOUR_MS = 3_600_000;

// The clock of whoever released it is an hour off, always the way that would mislead.
test.each<[string, ReleaseRow['reason'], { returns: number | null; clockMs: number }, number]>([
  ['before its chunk was made is in doubt', 'handed-back', { returns: 1, clockMs: HOUR_MS }, 1],
  ['before its chunk was made, by a refused bind, is in doubt', 'bind-refused', { returns: 1, clockMs: HOUR_MS }, 1],
  [
    'from this chunk is not: its next chunk came with the release',
    'bind-refused',
    { returns: 0, clockMs: -HOUR_MS },
    0,
  ],
  ['in a throttled try is in doubt all the same', 'throttled', { returns: 0, clockMs: HOUR_MS }, 1],
  ['from a chunk of an earlier version is in doubt', 'handed-back', { returns: null, clockMs: HOUR_MS }, 1],
])('a delivery that was released %s', async (_, reason, { returns, clockMs }, inDoubt) => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  try {
    const { pools } = db.database;
    const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
    const policies = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
    const names = await Names.register(pools.control, policies);
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const { day, deliveries } = await planter.plant({ lane: 'emergency', route: 'default', count: 1 });
    const bind = names.bindId('demo-a');
    const former = { process: 1, bind, fence: 1 };
    const wish = { queue: queueName('default', 'emergency'), route: 'default', lane: 'emergency', jobs: 1, room: 1 };
    const [taken] = await takeChunks(pools.dispatch, boss, former, { ...wish, lane: 'emergency' }, (work) => work());
    const chunk = taken?.chunk.id as number;
    const at = clock.now();
    const writer = await ChainWriter.open(pools.control, clock, 1, 'test');
    await writer.append(async (tx, entry) => {
      await tx.query('UPDATE chunk SET claimed_to = 1, returns = $2 WHERE id = $1', [chunk, returns]);
      const claimed = {
        ...{ day, chunk, fromPosition: 0, toPosition: 1, attempt: 1, bind, fence: 1, process: 1, deliveries, at },
      };
      const released = {
        ...{ day, delivery: deliveries[0] as number, id: 1, attempt: 1, segment: 0, bind, reason, status: null },
        at: at + clockMs,
      };
      const parts = [
        ...(await insertFacts(tx, claim, [claimed], entry, { onConflict: 'error' })).parts,
        ...(await insertFacts(tx, release, [released], entry, { onConflict: 'error' })).parts,
      ];
      return { value: undefined, parts };
    });
    const result = await takeOver({
      ...{ pool: pools.control, writer, boss, ids: new IdAllocator(pools.control), clock, lanes: policies.lanes },
      holder: { process: 2, bind, fence: 2 },
      laneName: (id) => names.laneName(id),
      routeName: (id) => names.routeName(id),
    });
    expect(result).toEqual({ chunks: 1, inDoubt });
    clock.close();
  } finally {
    await boss.stop({ graceful: false });
  }
});

test('a long text is not in doubt whose segments were accepted in two attempts, and no holder is taken for a former one', async () => {
  const db = await testDatabase();
  const boss = await openBoss({ target: db.target, onError: () => {} });
  try {
    const { pools } = db.database;
    const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
    const policies = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
    const names = await Names.register(pools.control, policies);
    await createDispatchQueues(boss, ['default'], [...LANES]);
    const planter = await Planter.open({ database: db.database, boss, clock, names, process: 1 });
    const { day, deliveries } = await planter.plant({ lane: 'bulk', route: 'default', count: 1 });
    const bind = names.bindId('demo-a');
    const former = { process: 1, bind, fence: 5 };
    const wish = { queue: queueName('default', 'bulk'), route: 'default', lane: 'bulk', jobs: 1, room: 1 } as const;
    const [taken] = await takeChunks(pools.dispatch, boss, former, wish, (work) => work());
    const chunk = taken?.chunk.id as number;
    const at = clock.now();
    const writer = await ChainWriter.open(pools.control, clock, 1, 'test');
    const sent = (attempt: number, segment: number, outcome: number) => ({
      ...{ day, delivery: deliveries[0] as number, attempt, segment, segments: 2, bind, outcome, status: 0 },
      ...{ messageId: `${attempt}-${segment}`, possibleDuplicate: false, sentAt: at, answeredAt: at },
    });
    await writer.append(async (tx, entry) => {
      await tx.query('UPDATE chunk SET claimed_to = 1, attempt = 2 WHERE id = $1', [chunk]);
      const claimed = {
        ...{ day, chunk, fromPosition: 0, toPosition: 1, attempt: 2, bind, fence: 5, process: 1, deliveries, at },
      };
      const submissions = [
        sent(1, 1, OUTCOME.accepted),
        sent(1, 2, OUTCOME.refusedForNow),
        sent(2, 2, OUTCOME.accepted),
      ];
      const parts = [
        ...(await insertFacts(tx, claim, [claimed], entry, { onConflict: 'error' })).parts,
        ...(await insertFacts(tx, submission, submissions, entry, { onConflict: 'error' })).parts,
      ];
      return { value: undefined, parts };
    });
    const under = (process: number, fence: number) =>
      takeOver({
        ...{ pool: pools.control, writer, boss, ids: new IdAllocator(pools.control), clock, lanes: policies.lanes },
        holder: { process, bind, fence },
        laneName: (id) => names.laneName(id),
        routeName: (id) => names.routeName(id),
      });
    expect(await under(2, 4)).toEqual({ chunks: 0, inDoubt: 0 });
    expect(await under(2, 6)).toEqual({ chunks: 1, inDoubt: 0 });
    clock.close();
  } finally {
    await boss.stop({ graceful: false });
  }
});
