import { hash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../test/support/database.ts';
import { ChainWriter, verify } from './audit/index.ts';
import { FACT_TABLES } from './facts.ts';
import { DatabaseClock, readDatabaseTime } from './platform/index.ts';
import { loadPolicies } from './policy/index.ts';
import { recordPolicies } from './policy-load.ts';
import { PROTOCOL } from './smpp/index.ts';

let db: TestDatabase;
let clock: DatabaseClock;
let folder: string;

beforeAll(async () => {
  db = await testDatabase();
  clock = await DatabaseClock.open(() => readDatabaseTime(db.database.pools.control));
  folder = await mkdtemp(join(tmpdir(), 'tocsin-policies-'));
  await cp('policies', folder, { recursive: true });
});
afterAll(async () => {
  clock.close();
  await rm(folder, { recursive: true });
});

/** A process that starts with what the folder holds. */
async function start(process: number): Promise<void> {
  const policies = loadPolicies(folder, { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
  const writer = await ChainWriter.open(db.database.pools.control, clock, process, 'acts');
  await recordPolicies({ writer, clock, process, policies });
}

const loads = () =>
  db.database.pools.reader.query<{ process: number; file: string; sha256: string }>(
    `select process, file, encode(digest, 'hex') as sha256 from policy_load order by id`,
  );
const files = (process: number) =>
  Promise.all(
    ['carriers.yaml', 'lanes.yaml', 'routing.yaml'].map(async (file) => ({
      process,
      file,
      sha256: hash('sha256', await readFile(join(folder, file))),
    })),
  );

test('the policies that a process starts with are on record, each time they are other ones', async () => {
  const before = clock.now();
  await start(1);
  const first = await files(1);
  expect(await loads()).toEqual(first);
  await start(2);
  expect(await loads()).toEqual(first);

  const lanes = await readFile(join(folder, 'lanes.yaml'), 'utf8');
  await writeFile(join(folder, 'lanes.yaml'), `${lanes}# reviewed\n`);
  await start(3);
  const second = await files(3);
  expect(second).not.toMatchObject(first.map(({ sha256 }) => ({ sha256 })));
  await writeFile(join(folder, 'lanes.yaml'), lanes);
  await start(4);
  expect(await loads()).toEqual([...first, ...second, ...(await files(4))]);
  const [row] = await db.database.pools.reader.query<{ least: number; most: number }>(
    'select min(at) as least, max(at) as most from policy_load',
  );
  expect(row?.least).toBeGreaterThanOrEqual(before);
  expect(row?.most).toBeLessThanOrEqual(clock.now());
  expect((await verify(db.database, FACT_TABLES)).disagreements).toEqual([]);
});

test('of processes that start together with the same policies one writes them', async () => {
  const before = await loads();
  await writeFile(join(folder, 'routing.yaml'), '\n', { flag: 'a' });
  await Promise.all([5, 6, 7, 8].map(start));
  expect((await loads()).length - before.length).toBe(3);
  expect((await verify(db.database, FACT_TABLES)).disagreements).toEqual([]);
});
