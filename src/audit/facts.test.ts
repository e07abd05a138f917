import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { defineFactTable, line, lineSql } from './facts.ts';
import { insertFacts } from './insert.ts';
import { compareKeys } from './order.ts';
import { partsOf, partsSql } from './parts.ts';

interface Sample {
  day: string;
  name: string;
  id: number;
  size: number;
  small: number | null;
  someText: string | null;
  ref: string;
  maybeRef: string | null;
  bytes: Buffer;
  maybeBytes: Buffer | null;
  flag: boolean;
  maybeFlag: boolean | null;
  numbers: number[];
  maybeNumbers: number[] | null;
  texts: string[];
  maybeTexts: string[] | null;
  maybeDay: string | null;
  erasable: string | null;
  later?: number | null;
  laterText?: string | null;
  laterTexts?: string[] | null;
  laterFlag?: boolean | null;
  laterBytes?: Buffer | null;
}
const sample = defineFactTable<Sample>({
  table: 'sample',
  columns: {
    day: 'date',
    name: 'text',
    id: 'int',
    size: 'int',
    small: 'int?',
    someText: 'text?',
    ref: 'uuid',
    maybeRef: 'uuid?',
    bytes: 'bytes',
    maybeBytes: 'bytes?',
    flag: 'bool',
    maybeFlag: 'bool?',
    numbers: 'ints',
    maybeNumbers: 'ints?',
    texts: 'texts',
    maybeTexts: 'texts?',
    maybeDay: 'date?',
    erasable: 'text?',
    later: 'int?',
    laterText: 'text?',
    laterTexts: 'texts?',
    laterFlag: 'bool?',
    laterBytes: 'bytes?',
  },
  key: ['day', 'name', 'id'],
  uncovered: ['erasable'],
  added: ['later', 'laterText', 'laterTexts', 'laterFlag', 'laterBytes'],
  scope: 'id',
});

const { database } = await testDatabase();
const pool = database.pools.control;

beforeAll(async () => {
  await pool.query(`create table sample (
    day date not null, name text not null, id bigint not null, size integer not null, small smallint, some_text text,
    ref uuid not null, maybe_ref uuid, bytes bytea not null, maybe_bytes bytea, flag boolean not null, maybe_flag boolean,
    numbers bigint[] not null, maybe_numbers bigint[], texts text[] not null, maybe_texts text[], maybe_day date,
    erasable text, entry bigint not null, later integer, later_text text, later_texts text[], later_flag boolean,
    later_bytes bytea, primary key (day, name, id))`);
});

/** Any UTF-16 but NUL, which PostgreSQL has no place for: half surrogates too, and much of what some syntax minds. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
  fc.string({
    unit: fc.constantFrom(...'\\"\'{},|:-()NULnul \t\n\v\f\r\b\u001f\u007f\u0085\u00a0é€😀\ud83d\ude00\ue000\uffff1'),
  }),
  fc.constantFrom('', 'NULL', 'null', '-', '1:a', '\\x00', '\\', '\\\\n', '{}', '{"a"}', '\u2028'),
);
const anyInt = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, -0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
);
const anyDay = fc
  .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));
const anyUuid = fc.uuid().chain((uuid) => fc.constantFrom(uuid, uuid.toUpperCase()));
const anyBytes = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const anyFirst = {
  day: fc.oneof(fc.constant('2026-11-24'), anyDay),
  name: anyText,
  id: fc.integer({ min: 0, max: 3 }),
  size: fc.integer(),
  small: maybe(fc.integer({ min: -32_768, max: 32_767 })),
  someText: maybe(anyText),
  ref: anyUuid,
  maybeRef: maybe(anyUuid),
  bytes: anyBytes,
  maybeBytes: maybe(anyBytes),
  flag: fc.boolean(),
  maybeFlag: maybe(fc.boolean()),
  numbers: fc.array(anyInt, { maxLength: 5 }),
  maybeNumbers: maybe(fc.array(anyInt, { maxLength: 5 })),
  texts: fc.array(anyText, { maxLength: 5 }),
  maybeTexts: maybe(fc.array(anyText, { maxLength: 5 })),
  maybeDay: maybe(anyDay),
  erasable: maybe(anyText),
};
const anyLater = {
  later: maybe(fc.integer()),
  laterText: maybe(anyText),
  laterTexts: maybe(fc.array(anyText, { maxLength: 5 })),
  laterFlag: maybe(fc.boolean()),
  laterBytes: maybe(anyBytes),
};
const anySample: fc.Arbitrary<Sample> = fc.record(
  { ...anyFirst, ...anyLater },
  { requiredKeys: Object.keys(anyFirst) as (keyof Sample)[] },
) as fc.Arbitrary<Sample>;

test('PostgreSQL writes the same line, order and digest as we do, whatever the values', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anySample, { minLength: 1, maxLength: 12 }), async (rows) => {
      await pool.query('truncate sample');
      const { inserted, parts } = await pool.run((tx) => insertFacts(tx, sample, rows, 7, { onConflict: 'ignore' }));
      const stored = await pool.query<{ line: string }>(
        `select ${lineSql(sample, 'sample')} as line from sample order by day, name collate "C", id`,
      );
      // What is no Unicode (half a surrogate) reaches PostgreSQL, and every digest, as U+FFFD.
      const lines = inserted.map((row) => line(sample, row).toWellFormed());
      expect(stored.map((row) => row.line)).toEqual(lines);
      const digests = await pool.query<{ scope: string }>(partsSql(sample, 'sample'));
      const byScope = (a: { scope: string }, b: { scope: string }) => Number(a.scope) - Number(b.scope);
      expect(digests.toSorted(byScope)).toEqual(parts.toSorted(byScope));
    }),
    { numRuns: 150 },
  );
});

test('an added column that is null or absent leaves the line as it was before; two that hold the same differ', () => {
  const before = defineFactTable<{ id: number; word: string | null }>({
    table: 'word',
    columns: { id: 'int', word: 'text?' },
    key: ['id'],
  });
  const after = defineFactTable<{ id: number; word: string | null; one?: number | null; other?: number | null }>({
    table: 'word',
    columns: { id: 'int', word: 'text?', one: 'int?', other: 'int?' },
    key: ['id'],
    added: ['one', 'other'],
  });
  const old = { id: 1, word: 'a|one=5' };
  expect(line(after, old)).toBe(line(before, old));
  expect(line(after, { ...old, one: null, other: null })).toBe(line(before, old));
  expect(line(after, { ...old, one: 5 })).toBe('1|7:a|one=5|one=5');
  expect(line(after, { ...old, other: 5 })).toBe('1|7:a|one=5|other=5');
  const misplaced = { table: 'word', columns: { id: 'int', one: 'int?', word: 'int?' }, key: ['id'], added: ['one'] };
  expect(() => defineFactTable(misplaced as never)).toThrow(/added columns are nullable and last/);
});

test('what is left out of an insert is in no part', async () => {
  const rows = fc
    .sample(anySample, 20)
    .map((row, index) => ({ ...row, day: '2026-11-24', name: `n${index % 15}`, id: 1 }));
  await pool.query('truncate sample');
  const first = await pool.run((tx) => insertFacts(tx, sample, rows.slice(0, 4), 7, { onConflict: 'error' }));
  expect(first.parts).toMatchObject([{ scope: '1', count: 4 }]);
  const second = await pool.run((tx) => insertFacts(tx, sample, rows, 8, { onConflict: 'ignore' }));
  expect(second.inserted.map(({ name }) => name)).toEqual(
    rows
      .slice(4, 15)
      .map(({ name }) => name)
      .toSorted(),
  );
  expect(second.parts).toEqual(partsOf(sample, second.inserted));
  const stored = await pool.query(
    `${partsSql(sample, 'fresh').replace('from fresh', 'from sample as fresh where entry = 8')}`,
  );
  expect(stored).toEqual(second.parts);
  const third = await pool.run((tx) => insertFacts(tx, sample, rows, 9, { onConflict: 'ignore' }));
  expect(third).toEqual({ inserted: [], parts: [] });
  expect(await pool.run((tx) => insertFacts(tx, sample, [], 9, { onConflict: 'error' }))).toEqual({
    inserted: [],
    parts: [],
  });
});

test('a conflict under `error`, also inside the batch, is refused', async () => {
  const [row] = fc.sample(anySample, 1) as [Sample];
  await pool.query('truncate sample');
  await expect(pool.run((tx) => insertFacts(tx, sample, [row, row], 7, { onConflict: 'error' }))).rejects.toMatchObject(
    {
      code: '23505',
    },
  );
});

test('a value that was forgotten is a mistake, not a null', () => {
  const [row] = fc.sample(anySample, 1) as [Sample];
  const { small: _, ...rest } = row;
  expect(() => line(sample, rest as Sample)).toThrow('a fact has no small');
});

test('two rows that differ in a covered column have different lines', () => {
  fc.assert(
    fc.property(anySample, anySample, (a, b) => {
      const covered = (row: Sample) =>
        JSON.stringify(
          { ...row, erasable: null, ref: row.ref.toLowerCase(), maybeRef: row.maybeRef?.toLowerCase() },
          (_, v) => (Object.is(v, -0) ? 0 : v),
        );
      expect(line(sample, a) === line(sample, b)).toBe(covered(a) === covered(b));
      expect(line(sample, a)).toBe(line(sample, { ...a, erasable: 'gone' }));
    }),
  );
});

test('keys have one order, and it is total', () => {
  fc.assert(
    fc.property(anySample, anySample, anySample, (a, b, c) => {
      const sign = (x: Sample, y: Sample) => Math.sign(compareKeys(sample, x, y));
      expect(sign(a, b) + sign(b, a)).toBe(0);
      if (sign(a, b) <= 0 && sign(b, c) <= 0) expect(sign(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});

test('a table that could not serve as one is refused', () => {
  const columns = { id: 'int', text: 'text?', flag: 'bool' } as const;
  type Row = { id: number; text: string | null; flag: boolean };
  expect(() => defineFactTable<Row>({ table: 't', columns, key: [] })).toThrow('t has no key');
  expect(() => defineFactTable<Row>({ table: 't', columns, key: ['text'] })).toThrow("t.text can't be in a key");
  expect(() => defineFactTable<Row>({ table: 't', columns, key: ['id'], scope: 'flag' })).toThrow(
    "t.flag can't be a scope",
  );
});
