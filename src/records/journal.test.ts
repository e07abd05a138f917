import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeDaysAhead } from '../../db/migrate.ts';
import { testDatabase } from '../../test/support/database.ts';
import { ChainWriter, verify } from '../audit/index.ts';
import { FACT_TABLES } from '../facts.ts';
import { DatabaseClock, readDatabaseTime, utcDay } from '../platform/index.ts';
import { FINAL, Journal, type JournalOp, MESSAGE_STATE, readProgress, shardOf } from './index.ts';

const { database } = await testDatabase();
const { pools } = database;
const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
const day = utcDay(clock.now());
await makeDaysAhead(pools.control, day);
const alert = '0190b6f0-0000-7000-8000-000000000000';

async function openJournal(): Promise<Journal<never>> {
  return new Journal<never>({
    writers: [await ChainWriter.open(pools.journal, clock, 1, 'journal')],
    applyExtras: async () => {},
    onRefused: (error) => {
      throw error;
    },
    onTrouble: (error) => {
      throw error;
    },
    monotonic: () => clock.monotonic(),
  });
}

/** Writes one batch and waits until it is durable. */
async function written(ops: readonly JournalOp<never>[]): Promise<void> {
  const journal = await openJournal();
  const durable = ops.map((op) => new Promise<void>((resolve) => journal.add(0, { ...op, durable: resolve })));
  await Promise.all(durable);
}

const ended = (delivery: number, receipt: number | null, state: 1 | 2 | 6, at: number): JournalOp<never> => ({
  final: {
    day,
    delivery,
    state,
    cause: receipt === null ? 'swept' : '000',
    at,
    ...(receipt === null
      ? {}
      : { receipt, bind: 1, attempt: 1, said: state === 1 ? MESSAGE_STATE.delivered : MESSAGE_STATE.undeliverable }),
  },
  day,
  alert,
});

const receiptsOf = (delivery: number) =>
  pools.reader.query(
    'SELECT id, state, error, segment, received_at FROM every_receipt WHERE day = $1::date AND delivery = $2 ORDER BY id',
    [day, delivery],
  );

test('a receipt that ends a delivery stands with its final state; one that comes second is kept as a receipt', async () => {
  await written([ended(1, 101, FINAL.delivered, 5)]);
  expect(await receiptsOf(1)).toEqual([{ id: 101, state: 2, error: '000', segment: 1, received_at: 5 }]);
  await written([ended(2, null, FINAL.unknown, 6), ended(3, 103, FINAL.delivered, 7)]);
  // In a batch with an end that is the first, and with two ends of one delivery.
  await written([ended(2, 102, FINAL.delivered, 8), ended(4, 104, FINAL.delivered, 8), ended(4, 105, FINAL.failed, 9)]);
  expect(await receiptsOf(2)).toEqual([{ id: 102, state: 2, error: '000', segment: 1, received_at: 8 }]);
  expect((await receiptsOf(4)).map(({ id }) => id)).toEqual([104, 105]);
  const finals = await pools.reader.query(
    'SELECT delivery, state, receipt FROM final_state WHERE day = $1::date ORDER BY delivery',
    [day],
  );
  expect(finals).toEqual([
    { delivery: 1, state: 1, receipt: 101 },
    { delivery: 2, state: 6, receipt: null },
    { delivery: 3, state: 1, receipt: 103 },
    { delivery: 4, state: 1, receipt: 104 },
  ]);
  const query = pools.reader.query.bind(pools.reader);
  expect(await readProgress(query, day, alert)).toMatchObject({ delivered: 3, failed: 0, unknown: 1 });
  expect((await verify(database, FACT_TABLES)).disagreements).toEqual([]);
});

test('a batch that is written again after all adds nothing', async () => {
  const submission = {
    ...{ day, delivery: 10, attempt: 1, segment: 1, segments: 1, bind: 1, outcome: 1, status: 0 },
    ...{ messageId: 'm', possibleDuplicate: false, sentAt: 1, answeredAt: 2 },
  };
  const batch = [{ submission, submitted: true, alert, day }, ended(10, 110, FINAL.delivered, 5)];
  const facts = () =>
    pools.reader.query(
      `SELECT (SELECT count(*) FROM submission) AS submissions, (SELECT count(*) FROM receipt) AS receipts,
              (SELECT count(*) FROM final_state) AS finals, (SELECT sum(submitted) FROM alert_progress) AS submitted`,
    );
  await written(batch);
  const before = await facts();
  await written(batch);
  expect(await facts()).toEqual(before);
  // What is new beside it is written all the same.
  await written([...batch, { submission: { ...submission, delivery: 11 } }]);
  expect(await facts()).toEqual([{ ...before[0], submissions: (before[0]?.submissions as number) + 1 }]);
  expect((await verify(database, FACT_TABLES)).disagreements).toEqual([]);
});

test('chunks whose ids are steps apart, whatever the step, are shared out among the shards', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 50 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 2, max: 4 }),
      (first, step, shards) => {
        const counts = new Array<number>(shards).fill(0);
        for (let n = 0; n < 400; n++) {
          const shard = shardOf(first + n * step, shards);
          expect(shardOf(first + n * step, shards)).toBe(shard);
          counts[shard] = (counts[shard] ?? 0) + 1;
        }
        expect(counts).toHaveLength(shards);
        expect(Math.min(...counts)).toBeGreaterThan((400 / shards) * 0.4);
      },
    ),
    { numRuns: 500 },
  );
});
