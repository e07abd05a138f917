/** Facts into their table. */
import type { Tx } from '../platform/index.ts';
import type { Part } from './chain.ts';
import {
  type AnyFactTable,
  type Cell,
  type Column,
  cellOf,
  type FactTable,
  lineCell,
  lineText,
  valueText,
} from './facts.ts';
import { sortByKey, withoutRepeats } from './order.ts';
import { partsOf } from './parts.ts';

export interface InsertedFacts<Row extends object> {
  /** What is new in the table, in the order of the key. */
  readonly inserted: readonly Row[];
  /** One for each value of the scope column; one or none for a table without. */
  readonly parts: readonly Part[];
}

/**
 * Inserts facts in one statement, sorted by key so that two batches never wait for each other in a circle.
 *
 * `onConflict: 'ignore'` leaves out rows that some unique key already has, and rows that repeat a key within `rows`
 * (the first counts). Only what was really inserted is in `inserted` and in the parts.
 *
 * An entry may hold one part of a table (and scope): call this once for each table in a transaction.
 * @throws TransactionFailed as `tx` does; a conflict under `'error'` has code 23505.
 */
export async function insertFacts<Row extends object>(
  tx: Tx,
  table: FactTable<Row>,
  rows: readonly Row[],
  entry: number,
  options: { readonly onConflict: 'error' | 'ignore' },
): Promise<InsertedFacts<Row>> {
  if (rows.length === 0) return { inserted: [], parts: [] };
  const ignore = options.onConflict === 'ignore';
  const sorted = sortByKey(table, rows);
  const tried = ignore ? withoutRepeats(table, sorted) : sorted;
  const { lines, parameters } = encode(table, tried);
  parameters.push(String(entry));
  const { insert, insertNew } = statementsOf(table);
  if (!ignore) {
    await tx.query(insert, parameters);
    return { inserted: tried, parts: partsOf(table, tried, lines) };
  }
  const [answer] = await tx.query<{ left_out: string | null }>(insertNew, parameters);
  const left = answer?.left_out ?? null;
  if (left === null) return { inserted: tried, parts: partsOf(table, tried, lines) };
  const leftOut = new Set(left.split(',').map(Number));
  const inserted = tried.filter((_, index) => !leftOut.has(index + 1));
  return { inserted, parts: partsOf(table, inserted) };
}

/**
 * The lines of rows, and two parameters a column: an array with the value of each row, and one value for all. Most
 * columns of a batch hold one value only (day, bind, attempt): these have an empty array, which unnest fills up with
 * nulls, and the value once. Column by column, so that each inner loop meets one type only.
 */
function encode(table: AnyFactTable, rows: readonly object[]): { lines: string[]; parameters: (string | null)[] } {
  const parameters: (string | null)[] = [];
  const lines = new Array<string>(rows.length).fill('');
  const covered = new Set(table.covered);
  // One column must be as long as the batch: of a unique key, some column varies, but a faulty batch may repeat it.
  const whole = table.key.at(-1)!;
  let separator = '';
  for (const column of table.columns) {
    const { type } = column;
    const isCovered = covered.has(column);
    const shared = column === whole ? undefined : sharedCell(column.property, rows);
    if (shared !== undefined) {
      parameters.push('{}', shared === null ? null : valueText(type, shared));
      const text = !isCovered ? '' : separator + lineCell(type, shared);
      for (let i = 0; i < lines.length; i++) lines[i] += text;
    } else {
      const values = new Array<string>(rows.length);
      const quoted = type === 'text' || type === 'texts' || type === 'ints' || type === 'bytes';
      for (let i = 0; i < rows.length; i++) {
        const value = cellOf(rows[i]!, column.property);
        if (value === null) {
          values[i] = 'NULL';
          lines[i] += isCovered ? `${separator}-` : '';
          continue;
        }
        const text = valueText(type, value);
        values[i] = quoted ? quote(text) : text;
        lines[i] += isCovered ? separator + lineText(type, text) : '';
      }
      parameters.push(`{${values.join(',')}}`, null);
    }
    if (isCovered) separator = '|';
  }
  return { lines, parameters };
}

/** The value that all rows have in a column; undefined when they differ. */
function sharedCell(property: string, rows: readonly object[]): Cell | undefined {
  const first = cellOf(rows[0]!, property);
  for (let i = 1; i < rows.length; i++) {
    if (cellOf(rows[i]!, property) !== first) return undefined;
  }
  return first;
}

const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** PostgreSQL's type of a column's values, and of their array; arrays of arrays would have to be rectangular, so they travel as texts. */
const types: Record<Column['type'], { item: string; array: string; cast: string }> = {
  int: { item: 'bigint', array: 'bigint[]', cast: '' },
  text: { item: 'text', array: 'text[]', cast: '' },
  uuid: { item: 'uuid', array: 'uuid[]', cast: '' },
  bytes: { item: 'bytea', array: 'bytea[]', cast: '' },
  date: { item: 'date', array: 'date[]', cast: '' },
  bool: { item: 'boolean', array: 'boolean[]', cast: '' },
  ints: { item: 'text', array: 'text[]', cast: '::bigint[]' },
  texts: { item: 'text', array: 'text[]', cast: '::text[]' },
};

interface Statements {
  insert: string;
  /** Gives the positions (from 1) of the rows that were left out, null when there were none. */
  insertNew: string;
}

const statements = new WeakMap<AnyFactTable, Statements>();

function statementsOf(table: AnyFactTable): Statements {
  let known = statements.get(table);
  if (known === undefined) {
    known = buildStatements(table);
    statements.set(table, known);
  }
  return known;
}

function buildStatements({ table, columns, key }: AnyFactTable): Statements {
  const names = columns.map(({ name }) => name).join(', ');
  const keyNames = key.map(({ name }) => name);
  const arrays = columns.map(({ type }, index) => `$${2 * index + 1}::${types[type].array}`).join(', ');
  const cells = columns
    .map(
      ({ name, type }, index) => `coalesce(given.${name}, $${2 * index + 2}::${types[type].item})${types[type].cast}`,
    )
    .join(', ');
  const insert = `insert into ${table} (${names}, entry) select ${cells}, $${2 * columns.length + 1}::bigint`;
  const sameKey = key
    .map(({ name, type }) => {
      const index = columns.findIndex((column) => column.name === name);
      return `fresh.${name} = coalesce(given.${name}, $${2 * index + 2}::${types[type].item})`;
    })
    .join(' and ');
  return {
    insert: `${insert} from unnest(${arrays}) as given (${names})`,
    insertNew: `with given as materialized (
        select * from unnest(${arrays}) with ordinality as given (${names}, ordinality)
      ), fresh as (
        ${insert} from given on conflict do nothing returning ${keyNames.join(', ')}
      )
      select case when (select count(*) from fresh) < (select count(*) from given) then (
        select string_agg(given.ordinality::text, ',') from given where not exists (select from fresh where ${sameKey})
      ) end as left_out`,
  };
}
