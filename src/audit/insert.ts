/** Facts into their table. */
import type { Tx } from '../platform/index.ts';
import type { Part } from './chain.ts';
import {
  type AnyFactTable,
  addedCell,
  type Cell,
  type Column,
  type FactTable,
  givenCell,
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

/** Facts on their way: their parts are known before the server has answered. */
export interface SentFacts {
  readonly parts: readonly Part[];
  /** Rejects as `insertFacts` under `'error'` does. */
  readonly sent: Promise<unknown>;
}

/** What `insertFacts` does under `'error'`, without waiting for the answer: all are new, or none stays. `rows` in the order of the key. */
export function sendFacts<Row extends object>(
  tx: Tx,
  table: FactTable<Row>,
  rows: readonly Row[],
  entry: number,
): SentFacts & { readonly rows: readonly Row[] } {
  if (rows.length === 0) return { rows, parts: [], sent: Promise.resolve() };
  const shared = sharedCells(table, rows);
  const sorted = sortByKey({ ...table, key: table.key.filter(({ property }) => !shared.has(property)) }, rows);
  const { lines, parameters } = encode(table, sorted, shared);
  parameters.push(String(entry));
  const sent = tx.query(statementsOf(table, shared).insert, parameters);
  // Hashed while the server writes.
  return { rows: sorted, parts: partsOf(table, sorted, lines), sent };
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
  if (options.onConflict === 'error') {
    const { rows: inserted, parts, sent } = sendFacts(tx, table, rows, entry);
    await sent;
    return { inserted, parts };
  }
  const shared = sharedCells(table, rows);
  const order = table.key.filter(({ property }) => !shared.has(property));
  const sorted = sortByKey({ ...table, key: order }, rows);
  const tried = withoutRepeats({ ...table, key: order }, sorted);
  const { lines, parameters } = encode(table, tried, shared);
  parameters.push(String(entry));
  const [answer] = await tx.query<{ left_out: string | null }>(statementsOf(table, shared).insertNew, parameters);
  const left = answer?.left_out ?? null;
  if (left === null) return { inserted: tried, parts: partsOf(table, tried, lines) };
  const leftOut = new Set(left.split(',').map(Number));
  const inserted = tried.filter((_, index) => !leftOut.has(index + 1));
  return { inserted, parts: partsOf(table, inserted) };
}

/** Columns of which all rows have the same value, by property: most of a batch (day, bind, attempt). */
type Shared = ReadonlyMap<string, Cell>;

function sharedCells(table: AnyFactTable, rows: readonly object[]): Shared {
  const shared = new Map<string, Cell>();
  // One column must be as long as the batch: of a unique key, some column varies, but a faulty batch may repeat it.
  const whole = table.key.at(-1)!;
  for (const column of table.columns) {
    if (column === whole) continue;
    const first = givenCell(rows[0]!, column);
    let same = true;
    for (let i = 1; same && i < rows.length; i++) same = givenCell(rows[i]!, column) === first;
    if (same) shared.set(column.property, first);
  }
  return shared;
}

/**
 * The lines of rows, and one parameter a column: its value where all rows share it, else an array with the value of each
 * row. Column by column, so that each inner loop meets one type only; a line is put together once, of whole pieces.
 */
function encode(
  table: AnyFactTable,
  rows: readonly object[],
  shared: Shared,
): { lines: string[]; parameters: (string | null)[] } {
  const parameters: (string | null)[] = [];
  const covered = new Set(table.covered);
  /** Between the cells that vary stands what all lines share. */
  const between: string[] = [];
  const varying: string[][] = [];
  let text = '';
  let separator = '';
  for (const column of table.columns) {
    const value = shared.get(column.property);
    const isCovered = covered.has(column);
    if (value !== undefined) {
      parameters.push(value === null ? null : valueText(column.type, value));
      if (isCovered) text += column.added ? addedCell(column, value) : separator + lineCell(column.type, value);
    } else {
      const cells = isCovered ? new Array<string>(rows.length) : null;
      parameters.push(encodeColumn(column, rows, cells));
      if (cells !== null) {
        between.push(column.added ? text : text + separator);
        varying.push(cells);
        text = '';
      }
    }
    if (isCovered) separator = '|';
  }
  between.push(text);
  return { lines: interleave(between, varying, rows.length), parameters };
}

/** An array literal with each row's value; `cells`, where given, gets what their lines hold. */
function encodeColumn(column: Column, rows: readonly object[], cells: string[] | null): string {
  const { type, name, added } = column;
  const values = new Array<string>(rows.length);
  const quoted = type === 'text' || type === 'texts' || type === 'ints' || type === 'bytes';
  // Times come in runs.
  let last: Cell | undefined;
  for (let i = 0; i < rows.length; i++) {
    const value = givenCell(rows[i]!, column);
    if (value === last) {
      values[i] = values[i - 1]!;
      if (cells !== null) cells[i] = cells[i - 1]!;
    } else if (value === null) {
      values[i] = 'NULL';
      if (cells !== null) cells[i] = added ? '' : '-';
    } else {
      const text = valueText(type, value);
      values[i] = quoted ? quote(text) : text;
      if (cells !== null) cells[i] = added ? `|${name}=${lineText(type, text)}` : lineText(type, text);
    }
    last = value;
  }
  return `{${values.join(',')}}`;
}

function interleave(between: readonly string[], varying: readonly string[][], length: number): string[] {
  const lines = new Array<string>(length);
  const pieces = new Array<string>(between.length + varying.length);
  for (const [index, text] of between.entries()) pieces[2 * index] = text;
  for (let i = 0; i < length; i++) {
    for (let cell = 0; cell < varying.length; cell++) pieces[2 * cell + 1] = varying[cell]![i]!;
    lines[i] = pieces.join('');
  }
  return lines;
}

const mustQuote = /["\\]/;
const quote = (text: string): string => (mustQuote.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`);

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

/** By table, then by which columns are shared: a busy table has a few shapes, and each is prepared once a session. */
const statements = new WeakMap<AnyFactTable, Map<string, Statements>>();

function statementsOf(table: AnyFactTable, shared: Shared): Statements {
  let ofTable = statements.get(table);
  if (ofTable === undefined) {
    ofTable = new Map();
    statements.set(table, ofTable);
  }
  const shape = table.columns.map(({ property }) => (shared.has(property) ? '1' : 'n')).join('');
  let known = ofTable.get(shape);
  if (known === undefined) {
    known = buildStatements(table, shared);
    ofTable.set(shape, known);
  }
  return known;
}

function buildStatements({ table, columns, key }: AnyFactTable, shared: Shared): Statements {
  const names = columns.map(({ name }) => name).join(', ');
  const varying = columns.flatMap((column, index) =>
    shared.has(column.property) ? [] : [{ name: column.name, array: `$${index + 1}::${types[column.type].array}` }],
  );
  const arrays = varying.map(({ array }) => array).join(', ');
  const given = varying.map(({ name }) => name).join(', ');
  const cellOfRow = ({ name, property, type }: Column, index: number): string =>
    shared.has(property) ? `$${index + 1}::${types[type].item}` : `given.${name}`;
  const cells = columns.map((column, index) => cellOfRow(column, index) + types[column.type].cast).join(', ');
  const insert = `insert into ${table} (${names}, entry) select ${cells}, $${columns.length + 1}::bigint`;
  const sameKey = key
    .map((column) => `fresh.${column.name} = ${cellOfRow(column, columns.indexOf(column))}`)
    .join(' and ');
  return {
    insert: `${insert} from unnest(${arrays}) as given (${given})`,
    insertNew: `with given as materialized (
        select * from unnest(${arrays}) with ordinality as given (${given}, ordinality)
      ), fresh as (
        ${insert} from given on conflict do nothing returning ${key.map(({ name }) => name).join(', ')}
      )
      select case when (select count(*) from fresh) < (select count(*) from given) then (
        select string_agg(given.ordinality::text, ',') from given where not exists (select from fresh where ${sameKey})
      ) end as left_out`,
  };
}
