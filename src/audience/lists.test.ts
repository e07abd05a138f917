import { PassThrough } from 'node:stream';
import { beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { ChainWriter, chainWriter, verify } from '../audit/index.ts';
import { IdAllocator, ManualClock } from '../platform/index.ts';
import { Lists } from './lists.ts';
import { type Msisdn, parseMsisdn } from './msisdn.ts';
import { Recipients, recipientKey } from './recipients.ts';
import { AUDIENCE_TABLES } from './tables.ts';
import type { ImportOptions, ListMember } from './types.ts';

const { database, terminateBackends } = await testDatabase();
const pool = database.pools.control;
const clock = new ManualClock();
const ids = new IdAllocator(pool);

let writer: ChainWriter;
let recipients: Recipients;
let lists: Lists;
beforeAll(async () => {
  ({ writer, recipients, lists } = await makeNode());
});

/** What one process has: a chain and a cache of its own. */
async function makeNode(cacheMax = 1_000) {
  const own = await ChainWriter.open(pool, clock, 1, 'audience');
  const book = new Recipients({ pool, writer: own, ids, cacheMax });
  return { writer: own, recipients: book, lists: new Lists({ pool, writer: own, ids, recipients: book, clock }) };
}

let organisations = 100;
const newOrganisation = (): number => ++organisations;
/** The i-th number of a range reserved for fiction. */
const number = (i: number): Msisdn => parseMsisdn(`+4477009${String(i).padStart(5, '0')}`)!;
const members = (...indexes: number[]): ListMember[] => indexes.map((i) => ({ msisdn: number(i), language: null }));
const membersOf = async (organisation: number, name: string): Promise<string[]> => {
  const rows = await pool.query<{ msisdn: string }>(
    `select r.msisdn from list l join list_member m on m.list = l.id join recipient r on r.id = m.recipient
     where l.organisation = $1 and l.name = $2 order by r.msisdn`,
    [organisation, name],
  );
  return rows.map((row) => row.msisdn);
};
const agrees = async () => {
  const report = await verify(database, [chainWriter, ...AUDIENCE_TABLES]);
  expect(report.disagreements).toEqual([]);
};
const importCsv = (organisation: number, list: string, text: string, options: Partial<ImportOptions> = {}) =>
  lists.importCsv(PassThrough.from([Buffer.from(text)]), { organisation, list, mode: 'add', errors: null, ...options });

test('a number is one recipient of each organisation, in the order asked, and the chain covers it', async () => {
  const [one, other] = [newOrganisation(), newOrganisation()];
  const first = await recipients.resolve(one, [number(2), number(1), number(2)]);
  expect(first[0]).toBe(first[2]);
  expect(first[0]).not.toBe(first[1]);
  expect(await recipients.resolve(one, [number(1), number(2), number(3)])).toMatchObject([
    first[1],
    first[0],
    expect.any(Number),
  ]);
  expect(await recipients.resolve(other, [number(1)])).not.toEqual([first[1]]);
  await agrees();
});

test('numbers of several organisations are resolved in one transaction', async () => {
  const [one, other] = [newOrganisation(), newOrganisation()];
  const wanted = [
    { organisation: other, msisdn: number(1) },
    { organisation: one, msisdn: number(1) },
    { organisation: one, msisdn: number(2) },
  ];
  const found = await writer.append(async (tx, entry) => {
    const { ids: value, parts } = await recipients.resolveIn(tx, entry, wanted);
    return { value, parts };
  });
  expect([...found.keys()].sort()).toEqual(wanted.map(recipientKey).sort());
  expect(new Set(found.values()).size).toBe(3);
});

test('an id of a transaction that was rolled back is not remembered', async () => {
  const organisation = newOrganisation();
  const wanted = [{ organisation, msisdn: number(1) }];
  let lost: number | undefined;
  const failing = writer.append(async (tx, entry) => {
    lost = (await recipients.resolveIn(tx, entry, wanted)).ids.get(recipientKey(wanted[0]!));
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  const [id] = await recipients.resolve(organisation, [number(1)]);
  expect(lost).toBeTypeOf('number');
  expect(id).not.toBe(lost);
  const [row] = await pool.query<{ id: number }>('select id from recipient where organisation = $1', [organisation]);
  expect(row?.id).toBe(id);
});

test('nodes that meet the same new numbers at once agree on them, without a deadlock', async () => {
  const organisation = newOrganisation();
  const nodes = await Promise.all([makeNode(), makeNode(), makeNode()]);
  const all = Array.from({ length: 600 }, (_, i) => number(i));
  const orders = [all, all.toReversed(), all.toSorted((a, b) => a.charCodeAt(12) - b.charCodeAt(12))];
  const resolved = await Promise.all(nodes.map((node, i) => node.recipients.resolve(organisation, orders[i]!)));
  const maps = resolved.map((found, i) => new Map(found.map((id, at) => [orders[i]![at], id])));
  for (const msisdn of all) expect(new Set(maps.map((map) => map.get(msisdn))).size).toBe(1);
  const [row] = await pool.query<{ count: number }>('select count(*) from recipient where organisation = $1', [
    organisation,
  ]);
  expect(row?.count).toBe(600);
  await agrees();
});

test('resolving goes on when backends are killed', async () => {
  const organisation = newOrganisation();
  const msisdns = Array.from({ length: 2_000 }, (_, i) => number(i));
  const all = Promise.all(
    Array.from({ length: 8 }, (_, i) => recipients.resolve(organisation, msisdns.slice(i * 250, i * 250 + 250))),
  );
  expect(await terminateBackends()).toBeGreaterThan(0);
  expect(new Set((await all).flat()).size).toBe(2_000);
  await agrees();
});

test('the cache is bounded', async () => {
  const organisation = newOrganisation();
  const small = await makeNode(10);
  const msisdns = Array.from({ length: 50 }, (_, i) => number(i));
  const first = await small.recipients.resolve(organisation, msisdns);
  expect(await small.recipients.resolve(organisation, msisdns)).toEqual(first);
});

test('a list is made, added to and replaced; its members are counted', async () => {
  const organisation = newOrganisation();
  expect(await lists.put(organisation, 'city', members(1, 2, 2), 'replace')).toMatchObject({
    name: 'city',
    members: 2,
    created: true,
  });
  expect(await lists.put(organisation, 'city', members(2, 3), 'add')).toMatchObject({ members: 3, created: false });
  expect(await membersOf(organisation, 'city')).toEqual([number(1), number(2), number(3)]);
  const [before] = await lists.named(organisation, ['city', 'other']);
  expect(await lists.put(organisation, 'city', members(9), 'replace')).toMatchObject({ members: 1, created: false });
  expect(await membersOf(organisation, 'city')).toEqual([number(9)]);
  const [after] = await lists.named(organisation, ['city']);
  expect(after?.id).not.toBe(before?.id);
  // Whoever holds the id of the old list still finds its members.
  const old = await pool.query('select 1 from list_member where list = $1', [before?.id]);
  expect(old).toHaveLength(3);
  expect(await lists.get(organisation, 'city')).toMatchObject({ members: 1 });
  expect(await lists.put(organisation, 'city', [], 'replace')).toMatchObject({ members: 0 });
});

test('a list is seen by its organisation alone, and hidden names by no one', async () => {
  const [one, other] = [newOrganisation(), newOrganisation()];
  for (const name of ['b', 'a', 'c']) await lists.put(one, name, members(1), 'replace');
  await lists.put(one, 'a', members(1, 2), 'replace');
  expect((await lists.all(one, null, 2)).map((list) => list.name)).toEqual(['a', 'b']);
  expect((await lists.all(one, 'b', 10)).map((list) => list.name)).toEqual(['c']);
  expect(await lists.all(other, null, 10)).toEqual([]);
  expect(await lists.get(other, 'a')).toBeNull();
  expect(await lists.named(other, ['a'])).toEqual([]);
  expect(await recipients.get(other, number(1))).toBeNull();
  expect(await recipients.get(one, number(1))).toEqual({ msisdn: number(1), language: null, lists: ['a', 'b', 'c'] });
});

test('several writers add to one new list at once, and the count is right', async () => {
  const organisation = newOrganisation();
  const nodes = await Promise.all([makeNode(), makeNode()]);
  const ranges = [0, 50, 100, 150].map((start) => Array.from({ length: 100 }, (_, i) => start + i));
  await Promise.all(ranges.map((range, i) => nodes[i % 2]!.lists.put(organisation, 'city', members(...range), 'add')));
  expect(await lists.get(organisation, 'city')).toMatchObject({ members: 250 });
  expect(await membersOf(organisation, 'city')).toHaveLength(250);
});

test('a language is kept until another is given', async () => {
  const organisation = newOrganisation();
  await importCsv(organisation, 'city', `msisdn,language\n${number(1)},fr\n${number(2)},\n`);
  expect(await recipients.get(organisation, number(1))).toMatchObject({ language: 'fr', lists: ['city'] });
  await importCsv(organisation, 'city', `msisdn\n${number(1)}\n`);
  expect(await recipients.get(organisation, number(1))).toMatchObject({ language: 'fr' });
  expect(await recipients.setLanguage(organisation, number(1), 'en')).toMatchObject({
    language: 'en',
    lists: ['city'],
  });
  expect(await recipients.setLanguage(organisation, number(7), null)).toMatchObject({ language: null, lists: [] });
});

test('an import counts rows, duplicates and errors, and writes every error to its file', async () => {
  const organisation = newOrganisation();
  await lists.put(organisation, 'city', members(0), 'add');
  const rows = Array.from({ length: 12_000 }, (_, i) => (i % 10 === 9 ? 'wrong' : number(i % 11_000)));
  const file = new PassThrough();
  const written = file.toArray();
  const result = await importCsv(organisation, 'city', `msisdn\n${rows.join('\n')}\n`, { errors: file });
  const good = rows.filter((row) => row !== 'wrong');
  const added = new Set(good).size - 1;
  expect(result).toMatchObject({ list: 'city', rows: 12_000, errors: 1_200, added, duplicates: good.length - added });
  expect(result.firstErrors).toHaveLength(100);
  expect(result.firstErrors[0]).toMatchObject({ line: 11, field: 'msisdn', rule: 'msisdn-not-possible' });
  const lines = Buffer.concat(await written)
    .toString()
    .trim()
    .split('\n');
  expect(lines[0]).toBe('line,field,rule,message');
  expect(lines).toHaveLength(1_201);
  expect(lines.at(-1)).toMatch(/^12001,msisdn,/);
  expect(await lists.get(organisation, 'city')).toMatchObject({ members: added + 1 });
  await agrees();
});

test('an import that replaces changes the list at its end or not at all', async () => {
  const organisation = newOrganisation();
  await lists.put(organisation, 'city', members(1, 2), 'replace');
  const replace = { mode: 'replace' } as const;
  await expect(importCsv(organisation, 'city', 'msisdn\nx\n', replace)).rejects.toMatchObject({
    code: 'csv-empty',
    errors: [{ line: 2 }],
  });
  await expect(importCsv(organisation, 'city', 'number\n', replace)).rejects.toMatchObject({ code: 'csv-header' });
  async function* broken() {
    yield Buffer.from(`msisdn\n${Array.from({ length: 6_000 }, (_, i) => number(i)).join('\n')}\n`);
    expect(await membersOf(organisation, 'city')).toHaveLength(2);
    throw new Error('gone');
  }
  const failing = lists.importCsv(broken(), { organisation, list: 'city', ...replace, errors: null });
  await expect(failing).rejects.toThrow('gone');
  expect(await membersOf(organisation, 'city')).toEqual([number(1), number(2)]);
  await importCsv(organisation, 'city', `msisdn\n${number(5)}\n`, replace);
  expect(await membersOf(organisation, 'city')).toEqual([number(5)]);
});

test('an import ends with the error of its errors file', async () => {
  const organisation = newOrganisation();
  const file = new PassThrough();
  file.destroy(new Error('disk full'));
  await expect(importCsv(organisation, 'city', 'msisdn\nx\n', { errors: file })).rejects.toThrow('disk full');
});

test('what was replaced is swept when no alert can need it any more', async () => {
  const organisation = newOrganisation();
  await lists.put(organisation, 'city', members(...Array.from({ length: 6_000 }, (_, i) => i)), 'replace');
  const [old] = await lists.named(organisation, ['city']);
  await lists.put(organisation, 'city', members(1), 'replace');
  await lists.sweep();
  const count = () => pool.query('select 1 from list_member where list = $1', [old?.id]);
  expect(await count()).toHaveLength(6_000);
  clock.advance(36 * 86_400_000);
  expect(await lists.sweep()).toBeGreaterThanOrEqual(1);
  expect(await count()).toHaveLength(0);
  expect(await membersOf(organisation, 'city')).toEqual([number(1)]);
  expect(await lists.sweep()).toBe(0);
});

test('a sweep finds the one list that is over among many that are not', async () => {
  const organisation = newOrganisation();
  const plant = (from: number, count: number, at: number) =>
    pool.query(
      `insert into list (id, organisation, name, created_at)
       select id, $1, '~replaced:' || $2::bigint || ':' || id, 0 from generate_series($3::bigint, $4::bigint) as id`,
      [organisation, at, from, from + count - 1],
    );
  await plant(2_000_000_000, 150, clock.now());
  await plant(2_000_001_000, 1, clock.now() - 36 * 86_400_000);
  expect(await lists.sweep()).toBe(1);
  expect(await pool.query('select 1 from list where id between 2000000000 and 2000001000')).toHaveLength(150);
});
