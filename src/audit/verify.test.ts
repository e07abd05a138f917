import { createHmac, randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { tamper } from '../../test/support/tamper.ts';
import { ManualClock } from '../platform/index.ts';
import {
  ChainWriter,
  chainWriter,
  defineFactTable,
  describe,
  insertFacts,
  type Part,
  partsSql,
  verify,
} from './index.ts';

const clock = new ManualClock();

interface Note {
  day: string;
  id: number;
  box: number;
  word: string;
  maybe: string | null;
  data: Buffer;
  ids: number[];
  tags: string[] | null;
  flag: boolean;
  ref: string;
}
const columns = {
  day: 'date',
  id: 'int',
  box: 'int',
  word: 'text',
  maybe: 'text?',
  data: 'bytes',
  ids: 'ints',
  tags: 'texts?',
  flag: 'bool',
  ref: 'uuid',
} as const;
/** Partitioned by day, one part for each box. */
const note = defineFactTable<Note>({ table: 'note', columns, key: ['day', 'id'], partitioned: true, scope: 'box' });

interface Person {
  id: number;
  organisation: number;
  number: string | null;
  salt: Buffer | null;
  commitment: Buffer;
}
const person = defineFactTable<Person>({
  table: 'person',
  columns: { id: 'int', organisation: 'int', number: 'text?', salt: 'bytes?', commitment: 'bytes' },
  key: ['id'],
  uncovered: ['number', 'salt'],
  commitment: { value: 'number', salt: 'salt', commitment: 'commitment' },
});
/** Plain and long: for runs of blocks. */
const mark = defineFactTable<{ id: number; word: string }>({
  table: 'mark',
  columns: { id: 'int', word: 'text' },
  key: ['id'],
});

const testing = await testDatabase();
const { database } = testing;
const pool = database.pools.control;

beforeAll(async () => {
  await pool.run((tx) =>
    tx.exec(`
      create table note (day date not null, id bigint not null, box bigint not null, word text not null, maybe text,
        data bytea not null, ids bigint[] not null, tags text[], flag boolean not null, ref uuid not null,
        entry bigint not null, primary key (day, id)) partition by range (day);
      create table note_20261101 partition of note for values from ('2026-11-01') to ('2026-11-02');
      create table note_20261102 partition of note for values from ('2026-11-02') to ('2026-11-03');
      create table person (id bigint primary key, organisation bigint not null, number text, salt bytea,
        commitment bytea not null, entry bigint not null);
      create table mark (id bigint primary key, word text not null, entry bigint not null)`),
  );
});

const open = () => ChainWriter.open(pool, clock, 1, 'test');
const agreeing = async (tables = [note, person, mark]) => {
  const report = await verify(database, tables);
  expect(report.disagreements.map(describe)).toEqual([]);
  expect(report.verified).toBe(true);
  return report;
};

let lastId = 0;
const makeNote = (): Note => ({
  day: `2026-11-0${1 + (++lastId % 2)}`,
  id: lastId,
  box: lastId % 3,
  word: `word ${lastId} \\ "é"`,
  maybe: lastId % 2 === 0 ? null : '',
  data: randomBytes(5),
  ids: [lastId, lastId + 1],
  tags: lastId % 3 === 0 ? null : ['a', 'b c'],
  flag: lastId % 2 === 0,
  ref: `00000000-0000-4000-8000-${String(lastId).padStart(12, '0')}`,
});
const makePerson = (): Person => {
  const id = ++lastId;
  const salt = randomBytes(32);
  const number = `+4477009${String(id).padStart(5, '0')}`;
  return { id, organisation: 1, number, salt, commitment: createHmac('sha256', salt).update(number).digest() };
};

async function seed(writer: ChainWriter, count = 8): Promise<void> {
  await writer.append(async (tx, entry) => ({
    value: undefined,
    parts: [
      ...(await insertFacts(tx, note, Array.from({ length: count }, makeNote), entry, { onConflict: 'ignore' })).parts,
      ...(await insertFacts(tx, person, Array.from({ length: count }, makePerson), entry, { onConflict: 'ignore' }))
        .parts,
    ],
  }));
}

test('every way to tamper with a fact is named by its table', async () => {
  const writer = await open();
  for (let i = 0; i < 4; i++) await seed(writer);
  const report = await agreeing();
  expect(report).toMatchObject({ chains: 1, entries: 5, facts: 1 + 64, unchecked: {}, truncated: false });
  for (const table of [note, person]) {
    const tampered = await tamper(testing, table);
    expect(tampered.length).toBeGreaterThan(table.covered.length + 5);
  }
  await open();
  await tamper(testing, chainWriter);
  await agreeing();
});

test('a disagreement says where, what was expected and what is there', async () => {
  const writer = await open();
  await seed(writer);
  const kept = await pool.query<Note & { entry: number }>(
    'select * from note where entry = (select max(entry) from note) and box = 0',
  );
  const { entry } = kept[0]!;
  const expected = { count: kept.length, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) };
  const where = { table: 'note', entry: `${entry}`, scope: '0', expected };
  await testing.asSuperuser(async (session) => {
    await session.exec(
      `begin; update note set word = 'changed' where entry = ${entry} and id = ${kept[0]!.id}; commit`,
    );
    expect((await verify(database, [note, person])).disagreements).toEqual([
      { ...where, kind: 'facts-differ', found: { count: kept.length, sha256: expect.any(String) } },
    ]);
    await session.query('update note set word = $1 where entry = $2 and id = $3', [kept[0]!.word, entry, kept[0]!.id]);
    await session.exec(`update note set entry = -entry where entry = ${entry} and box = 0`);
    expect((await verify(database, [note, person])).disagreements).toEqual([
      { kind: 'facts-unknown', table: 'note', entry: `-${entry}`, scope: '0', found: { count: kept.length } },
      { ...where, kind: 'facts-missing', found: { count: 0 } },
    ]);
    await session.exec(`update note set entry = -entry where entry = -${entry}`);
  });
  await agreeing();
});

test('a chain that was cut, patched or written anew in one place is named', async () => {
  const writer = await open();
  for (let i = 0; i < 4; i++) await seed(writer);
  const [last] = await pool.query<{ entry: number }>('select max(entry) as entry from chain_entry');
  const entry = last!.entry - 2;
  const expectKinds = async (sql: string, expected: string[]) => {
    await testing.asSuperuser(async (session) => {
      await session.exec('create temp table kept as select * from chain_entry');
      await session.exec(sql);
      const { disagreements } = await verify(database, [note, person]);
      const kinds = disagreements.map((each) => `${each.table} ${each.kind} ${Number(each.entry) - entry}`);
      expect(new Set(kinds), sql).toEqual(new Set(expected));
      await session.exec('truncate chain_entry; insert into chain_entry select * from kept; drop table kept');
    });
  };
  await expectKinds(`delete from chain_entry where entry = ${entry}`, [
    'chain_entry entry-missing 1',
    'note facts-unknown 0',
    'person facts-unknown 0',
  ]);
  await expectKinds(
    `update chain_entry set parts = regexp_replace(parts, 'note 0 [0-9]+', 'note 0 9') where entry = ${entry}`,
    ['chain_entry entry-hash 0', 'note facts-differ 0'],
  );
  await expectKinds(`update chain_entry set parts = 'nonsense' where entry = ${entry}`, [
    'chain_entry entry-hash 0',
    'chain_entry entry-unreadable 0',
    'note facts-unknown 0',
    'person facts-unknown 0',
  ]);
  await expectKinds(`update chain_entry set at = at + 1 where entry = ${entry}`, ['chain_entry entry-hash 0']);
  await expectKinds(`update chain_entry set previous = sha256('x') where entry = ${entry}`, [
    'chain_entry entry-previous 0',
    'chain_entry entry-hash 0',
  ]);
  // A forger who knows how hashes are made still breaks the next entry.
  await expectKinds(
    `update chain_entry set at = 5, hash = sha256(previous || convert_to('tocsin entry v1' || E'\\n' || entry || ' 5' || E'\\n' || parts, 'UTF8'))
      where entry = ${entry}`,
    ['chain_entry entry-previous 1'],
  );
  await expectKinds(`insert into chain_entry values (-7, 0, '', '', ''), (9223372036854775807, 0, '', '', '')`, [
    `chain_entry entry-unreadable ${-7 - entry}`,
    `chain_entry entry-unreadable ${2 ** 63 - entry}`,
  ]);
  await agreeing();
});

test('facts that PostgreSQL wrote and digested itself agree, one part a scope', async () => {
  const writer = await open();
  const parts = await writer.append(async (tx, entry) => {
    const written = await tx.query<Part & object>(
      `with written as (
        insert into note (day, id, box, word, maybe, data, ids, tags, flag, ref, entry)
        select '2026-11-01', 1000000 + i, i % 4, E'line\\n' || i, null, '\\x00ff', array[i, -i], array['x', null, '"'], true,
          gen_random_uuid(), $1::bigint from generate_series(1, 1000) as i returning *
      ) ${partsSql(note, 'written')}`,
      [entry],
    );
    return { value: written, parts: written };
  });
  expect(parts.map(({ table, scope, count }) => `${table} ${scope} ${count}`).toSorted()).toEqual([
    'note 0 250',
    'note 1 250',
    'note 2 250',
    'note 3 250',
  ]);
  await agreeing();
});

test('batches of several writers that lie across runs of blocks, days and pages agree; so does a table in any order', async () => {
  const writers = await Promise.all([open(), open()]);
  let id = 0;
  await Promise.all(
    writers.map(async (writer) => {
      for (let batch = 0; batch < 25; batch++) {
        await writer.append(async (tx, entry) => {
          const rows = Array.from({ length: 733 }, () => ({ id: ++id, word: 'x'.repeat(id % 90) }));
          return { value: undefined, parts: (await insertFacts(tx, mark, rows, entry, { onConflict: 'error' })).parts };
        });
      }
    }),
  );
  const { facts } = await agreeing();
  await testing.asSuperuser((session) =>
    session.exec(`create table shuffled as select * from mark order by md5(id::text); truncate mark;
      insert into mark select * from shuffled; drop table shuffled`),
  );
  expect((await agreeing()).facts).toBe(facts);
  await testing.asSuperuser((session) => session.exec(`update mark set word = 'x' where id = 20000`));
  expect((await verify(database, [mark])).disagreements).toMatchObject([{ table: 'mark', kind: 'facts-differ' }]);
  await testing.asSuperuser((session) =>
    session.exec(`update mark set word = '${'x'.repeat(20_000 % 90)}' where id = 20000`),
  );
  await agreeing();
});

test('the limit of disagreements is kept, and said', async () => {
  await testing.asSuperuser((session) =>
    session.exec('create table kept as select * from mark; delete from mark where id % 1000 = 0'),
  );
  const report = await verify(database, [mark], { disagreementLimit: 3 });
  expect(report).toMatchObject({ verified: false, truncated: true });
  expect(report.disagreements).toHaveLength(3);
  await testing.asSuperuser((session) =>
    session.exec('truncate mark; insert into mark select * from kept; drop table kept'),
  );
});

test('facts of a table that verify was not given are not passed over in silence', async () => {
  const report = await verify(database, [mark]);
  expect(report.disagreements).toEqual([]);
  expect(report.verified).toBe(false);
  expect(report.unchecked.person).toBeGreaterThan(0);
});

test('a check of another room adds to the report', async () => {
  const report = await verify(database, [note, person, mark], {
    checks: [async (add) => add({ kind: 'other', table: 'body', entry: '-', detail: 'body 7 does not open' })],
  });
  expect(report.disagreements.map(describe)).toEqual(['body: other, entry -, body 7 does not open']);
  expect(report.verified).toBe(false);
});

test('erasing people leaves everything verifiable, also while verify reads', async () => {
  const writer = await open();
  // Some 300 blocks, so that a row can move from one read into another.
  for (let i = 0; i < 6; i++) {
    await writer.append(async (tx, entry) => {
      const people = Array.from({ length: 2_500 }, makePerson);
      return { value: undefined, parts: (await insertFacts(tx, person, people, entry, { onConflict: 'error' })).parts };
    });
  }
  let erasing = true;
  let erased = 0;
  const erase = (async () => {
    while (erasing) {
      const rows = await pool.query(
        `update person set number = null, salt = null where id in (select id from person where number is not null order by md5(id::text) limit 40) returning id`,
      );
      erased += rows.length;
    }
  })();
  for (let i = 0; i < 3; i++) await agreeing();
  erasing = false;
  await erase;
  expect(erased).toBeGreaterThan(200);
  await agreeing();
});

test('verify while others write finds nothing wrong', async () => {
  const writers = await Promise.all([open(), open(), open()]);
  let writing = true;
  let batches = 0;
  const work = writers.map(async (writer) => {
    while (writing) {
      await seed(writer, 50);
      batches++;
    }
  });
  const opening = (async () => {
    while (writing) await seed(await open(), 5);
  })();
  const before = batches;
  for (let i = 0; i < 3; i++) await agreeing();
  writing = false;
  await Promise.all([...work, opening]);
  expect(batches - before).toBeGreaterThan(20);
  await agreeing();
});
