import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { commitProxy } from '../../test/support/commit-proxy.ts';
import { testDatabase } from '../../test/support/database.ts';
import { type Clock, ManualClock, Pool, type Tx } from '../platform/index.ts';
import { defineFactTable, entryOf, insertFacts, verify } from './index.ts';
import { ChainBusy, ChainWriter, type ChainWriterOptions, type Written } from './writer.ts';

const act = defineFactTable<{ id: number; word: string }>({
  table: 'act',
  columns: { id: 'int', word: 'text' },
  key: ['id'],
});

const { database, target, url, terminateBackends } = await testDatabase();
const proxy = await commitProxy(target);
const clock: Clock = new ManualClock();
const direct = database.pools.control;

const faulty = new Pool({
  name: 'faulty',
  size: 3,
  target: proxy.target,
  statementTimeoutMs: 5_000,
  applicationName: 'test',
  acquireTimeoutMs: 300,
});

beforeAll(async () => {
  await direct.query('create table act (id bigint primary key, word text not null, entry bigint not null)');
  return () => faulty.close();
});
beforeEach(() => {
  proxy.faults.length = 0;
  proxy.refuse = false;
});

let lastId = 0;
const open = (pool = faulty, options?: ChainWriterOptions) => ChainWriter.open(pool, clock, 1, 'test', options);
const write =
  (id = ++lastId, word = 'done') =>
  async (tx: Tx, entry: number): Promise<Written<number>> => ({
    value: id,
    parts: (await insertFacts(tx, act, [{ id, word }], entry, { onConflict: 'ignore' })).parts,
  });
const entryOfAct = async (id: number) => {
  const [row] = await direct.query<{ entry: number }>('select entry from act where id = $1', [id]);
  return row?.entry;
};
const agrees = async () => {
  const report = await verify(database, [act]);
  expect(report.disagreements).toEqual([]);
  return report;
};

test('a chain opens with an entry for itself, and each call follows the one before', async () => {
  const writer = await open(direct);
  const ids = await Promise.all([1, 2, 3].map(() => writer.append(write())));
  const entries = await Promise.all(ids.map(entryOfAct));
  const first = entries[0]! - 1;
  expect(entries).toEqual([first + 1, first + 2, first + 3]);
  expect(await direct.query('select room, opened_at from chain_writer where entry = $1', [first])).toEqual([
    { room: 'test', opened_at: clock.now() },
  ]);
  await agrees();
});

test('without parts there is no entry, and a thrown error or a refused row consumes none', async () => {
  const writer = await open(direct);
  const taken = await writer.append(write());
  const last = await entryOfAct(taken);
  expect(await writer.append(async () => ({ value: 'nothing', parts: [] }))).toBe('nothing');
  const broken = writer.append(async (tx, entry) => {
    await write()(tx, entry);
    throw new Error('changed my mind');
  });
  await expect(broken).rejects.toThrow('changed my mind');
  const refused = writer.append(async (tx, entry) => ({
    value: undefined,
    parts: (await insertFacts(tx, act, [{ id: taken, word: 'again' }], entry, { onConflict: 'error' })).parts,
  }));
  await expect(refused).rejects.toMatchObject({ outcome: 'rolled-back', code: '23505' });
  expect(await entryOfAct(await writer.append(write()))).toBe(last! + 1);
  await agrees();
});

test('a backend that dies before COMMIT is replaced and the work done once', async () => {
  const writer = await open(direct);
  let runs = 0;
  const id = ++lastId;
  await writer.append(async (tx, entry) => {
    const written = await write(id)(tx, entry);
    if (++runs === 1) await terminateBackends('tocsin control');
    return written;
  });
  expect(runs).toBe(2);
  expect(await entryOfAct(id)).toBeDefined();
  await agrees();
});

test('a COMMIT whose answer is lost is found, and the value of the try that committed is given', async () => {
  const writer = await open();
  let runs = 0;
  proxy.faults.push({ kind: 'lose-answer' });
  const before = proxy.fired;
  const id = ++lastId;
  const value = await writer.append(async (tx, entry) => {
    runs++;
    const { parts } = await write(id)(tx, entry);
    return { value: `run ${runs}`, parts };
  });
  expect(proxy.fired - before).toBe(1);
  expect([value, runs]).toEqual(['run 1', 1]);
  const entry = await entryOfAct(id);
  expect(await entryOfAct(await writer.append(write()))).toBe(entry! + 1);
  await agrees();
});

test('a COMMIT that never arrived is run again with the same entry', async () => {
  const writer = await open();
  const before = await entryOfAct(await writer.append(write()));
  let runs = 0;
  proxy.faults.push({ kind: 'lose-commit' }, { kind: 'lose-commit' });
  const id = ++lastId;
  const value = await writer.append(async (tx, entry) => {
    const { parts } = await write(id)(tx, entry);
    return { value: ++runs, parts };
  });
  expect(value).toBe(3);
  expect(await entryOfAct(id)).toBe(before! + 1);
  await agrees();
});

test('a COMMIT that is still under way is waited for', async () => {
  const writer = await open();
  let runs = 0;
  proxy.faults.push({ kind: 'delay', delayMs: 400 });
  const id = ++lastId;
  const value = await writer.append(async (tx, entry) => {
    const { parts } = await write(id)(tx, entry);
    return { value: ++runs, parts };
  });
  expect(value).toBe(1);
  expect(await entryOfAct(id)).toBeDefined();
  await writer.append(write());
  await agrees();
});

test('the answer to opening a chain may be lost too', async () => {
  proxy.faults.push({ kind: 'lose-answer' });
  const before = proxy.fired;
  const writer = await open();
  expect(proxy.fired - before).toBe(1);
  await writer.append(write());
  await agrees();
});

test('an unanswered transaction without parts is run again, and uncertain when that fails too', async () => {
  const writer = await open(faulty, { rerunLimit: 1 });
  proxy.faults.push({ kind: 'lose-answer' });
  let runs = 0;
  expect(await writer.append(async () => ({ value: ++runs, parts: [] }))).toBe(2);
  proxy.faults.push({ kind: 'lose-answer' }, { kind: 'lose-answer' });
  await expect(writer.append(async () => ({ value: ++runs, parts: [] }))).rejects.toMatchObject({
    outcome: 'uncertain',
  });
  await writer.append(write());
  await agrees();
});

test('when it can not be found out, the caller hears so and the next call opens a new chain', async () => {
  const writer = await open(faulty, { rerunLimit: 2 });
  const before = await entryOfAct(await writer.append(write()));
  const id = ++lastId;
  proxy.faults.push({ kind: 'lose-answer' });
  const doubtful = writer.append(async (tx, entry) => {
    proxy.refuse = true;
    return await write(id)(tx, entry);
  });
  const behind = writer.append(write());
  await expect(doubtful).rejects.toMatchObject({ name: 'TransactionFailed', outcome: 'uncertain' });
  // While the database can't be reached no chain can be opened, and nothing was written.
  await expect(behind).rejects.toMatchObject({ outcome: 'rolled-back' });
  proxy.refuse = false;
  await vi.waitFor(() => faulty.query('select 1'), { timeout: 5_000 });
  const after = await entryOfAct(await writer.append(write()));
  expect(await entryOfAct(id)).toBe(before! + 1);
  expect(Math.floor(after! / 2 ** 32)).toBeGreaterThan(Math.floor(before! / 2 ** 32));
  await agrees();
});

test('an entry that someone else wrote is not followed', async () => {
  const writer = await open(direct);
  const last = await entryOfAct(await writer.append(write()));
  await direct.query(`insert into chain_entry values ($1, 0, '', 'forged', '')`, [last! + 1]);
  await expect(writer.append(write())).rejects.toMatchObject({ code: '23505' });
  const next = await entryOfAct(await writer.append(write()));
  expect(next).toBe(entryOf(Math.floor(next! / 2 ** 32), 1));
  await direct.query('delete from chain_entry where entry = $1', [last! + 1]);
  await agrees();
});

test('a full queue refuses at once', async () => {
  const writer = await open(direct, { queueLimit: 2 });
  const first = writer.append(write());
  const second = writer.append(write());
  await expect(writer.append(write())).rejects.toBeInstanceOf(ChainBusy);
  await Promise.all([first, second]);
  await writer.append(write());
  const last = writer.append(write());
  await writer.close();
  expect(writer.queued).toBe(0);
  await last;
  await expect(writer.append(write())).rejects.toBeInstanceOf(ChainBusy);
});

test('two writers under backend kills and lost answers lose nothing and invent nothing', async () => {
  const writers = await Promise.all([open(), open()]);
  const firstId = lastId + 1;
  const kept: number[] = [];
  const before = proxy.fired;
  for (let i = 0; i < 300; i++)
    proxy.faults.push({ kind: i % 4 === 1 ? 'lose-answer' : i % 4 === 3 ? 'lose-commit' : 'none' });
  let killed = 0;
  let writing = true;
  const kills = (async () => {
    while (writing) {
      await sleep(80);
      killed += await terminateBackends('test faulty');
    }
  })();
  await Promise.all(
    writers.map(async (writer) => {
      for (let i = 0; i < 30; i++) kept.push(await writer.append(write()));
    }),
  );
  writing = false;
  await kills;
  expect(killed).toBeGreaterThan(0);
  expect(proxy.fired - before).toBeGreaterThan(10);
  const rows = await direct.query<{ id: number }>('select id from act where id >= $1 order by id', [firstId]);
  expect(rows.map(({ id }) => id)).toEqual(kept.toSorted((a, b) => a - b));
  await agrees();
});

test('a process killed between its statements leaves whole transactions only', async () => {
  const before = (await agrees()).entries;
  const child = fork(new URL('../../test/support/append-until-killed.ts', import.meta.url), [url], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  for (let appended = 0; appended < 30; appended++) await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
  // The server may still be at the last COMMIT it got: wait until that backend is gone.
  while ((await terminateBackends('killed')) > 0);
  expect((await agrees()).entries).toBeGreaterThan(before + 30);
});
