/**
 * Fact tables: what their rows look like to the chain.
 *
 * A fact is covered by its *line*: the covered columns in the table's order, joined by `|`. A null is `-`. Numbers,
 * uuids, dates, booleans (`t`, `f`), bytes (hex) and arrays of numbers (`{1,2}`) can hold no `|`; a text stands behind
 * its length in bytes of UTF-8 (`5:hello`), as does an array of texts in PostgreSQL's own notation (`7:{a,"|"}`). So two
 * different rows of one table never have the same line. {@link lineSql} is the same line written by PostgreSQL.
 *
 * A column that was added to a table with facts in it stands in the line by its name (`receipt=17`), and not at all where
 * it is null: the lines of older facts are what they were.
 */

/**
 * What a column holds, in PostgreSQL and in JavaScript.
 *
 * | type | PostgreSQL | JavaScript |
 * |---|---|---|
 * | `int` | smallint, integer, bigint | number, a safe integer |
 * | `text` | text | string |
 * | `uuid` | uuid | string |
 * | `bytes` | bytea | Buffer |
 * | `date` | date, years 0001–9999 | string `YYYY-MM-DD` |
 * | `bool` | boolean | boolean |
 * | `ints` | bigint[], no nulls in it | number[] |
 * | `texts` | text[], no nulls in it | string[] |
 */
export type ColumnType = 'int' | 'text' | 'uuid' | 'bytes' | 'date' | 'bool' | 'ints' | 'texts';

/** A value of a column. */
export type Cell = number | string | boolean | Buffer | readonly number[] | readonly string[] | null;

export interface Column {
  /** Name of the property in a row: camelCase. */
  readonly property: string;
  /** Name in the database: snake_case. */
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** It came when the table had facts already: it may be absent from a row, which is null. */
  readonly added: boolean;
}

/** A fact table, whatever its rows are. */
export interface AnyFactTable {
  readonly table: string;
  /** Every column but `entry`. */
  readonly columns: readonly Column[];
  /** The columns that a line is made of. */
  readonly covered: readonly Column[];
  /** No two rows of the table agree in these. They give the lines of a batch their order. */
  readonly key: readonly Column[];
  readonly partitioned: boolean;
  /** Where set, a batch has one part for each value of this column instead of one part. */
  readonly scope: Column | undefined;
  readonly commitment: Commitment | undefined;
}

/** `commitment` = HMAC-SHA-256 under `salt` of `value` (UTF-8), as long as both are there: erasing nulls both at once. */
export interface Commitment {
  readonly value: Column;
  readonly salt: Column;
  readonly commitment: Column;
}

declare const rowType: unique symbol;

export interface FactTable<Row extends object> extends AnyFactTable {
  /** Only for the compiler: what a row is. */
  readonly [rowType]?: Row;
}

type TypesOf<Value> = Value extends boolean
  ? 'bool'
  : Value extends number
    ? 'int'
    : Value extends string
      ? 'text' | 'uuid' | 'date'
      : Value extends Uint8Array
        ? 'bytes'
        : Value extends readonly number[]
          ? 'ints'
          : Value extends readonly string[]
            ? 'texts'
            : never;
type SpecOf<Value> = null extends Value ? `${TypesOf<NonNullable<Value>>}?` : TypesOf<Value>;

export interface FactTableDefinition<Row extends object> {
  table: string;
  /** Every column but `entry`, in the order of the line, with its type; a `?` behind it says that it may be null. */
  columns: { readonly [Property in keyof Row]-?: SpecOf<Row[Property]> };
  key: readonly (keyof Row & string)[];
  /** Columns that may be erased later, so that no line holds them. */
  uncovered?: readonly (keyof Row & string)[];
  /** Columns that came when the table had facts already: nullable, and behind the others. */
  added?: readonly (keyof Row & string)[];
  partitioned?: boolean;
  scope?: keyof Row & string;
  commitment?: {
    value: keyof Row & string;
    salt: keyof Row & string;
    commitment: keyof Row & string;
  };
}

const orderedTypes: ReadonlySet<ColumnType> = new Set(['int', 'text', 'uuid', 'date']);
const scopeTypes: ReadonlySet<ColumnType> = new Set(['int', 'uuid', 'date']);

/**
 * Declares a fact table. Column names follow from the property names (`messageId` → `message_id`) and need no quotes in SQL.
 * @throws TypeError when key or scope can't serve as such: a mistake in the code.
 */
export function defineFactTable<Row extends object>(definition: FactTableDefinition<Row>): FactTable<Row> {
  const columns = Object.entries<string>(definition.columns).map(([property, spec]) => ({
    property,
    name: property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    type: spec.replace('?', '') as ColumnType,
    nullable: spec.endsWith('?'),
    added: definition.added?.some((each) => each === property) ?? false,
  }));
  for (const [index, { property, added, nullable }] of columns.entries()) {
    if (added ? !nullable : columns[index - 1]?.added === true)
      throw new TypeError(
        `${definition.table}.${property} can't stand where it does: added columns are nullable and last`,
      );
  }
  const column = (property: string, why: string, fits: (column: Column) => boolean): Column => {
    const found = columns.find((each) => each.property === property);
    if (found === undefined || !fits(found)) throw new TypeError(`${definition.table}.${property} can't be ${why}`);
    return found;
  };
  const key = definition.key.map((property) =>
    column(property, 'in a key', ({ type, nullable }) => orderedTypes.has(type) && !nullable),
  );
  if (key.length === 0) throw new TypeError(`${definition.table} has no key`);
  const { scope, commitment, uncovered = [] } = definition;
  return {
    table: definition.table,
    columns,
    covered: columns.filter(({ property }) => !uncovered.some((each) => each === property)),
    key,
    partitioned: definition.partitioned ?? false,
    scope:
      scope === undefined
        ? undefined
        : column(scope, 'a scope', ({ type, nullable }) => scopeTypes.has(type) && !nullable),
    commitment:
      commitment === undefined
        ? undefined
        : {
            value: column(commitment.value, 'committed to', ({ type }) => type === 'text'),
            salt: column(commitment.salt, 'a salt', ({ type }) => type === 'bytes'),
            commitment: column(commitment.commitment, 'a commitment', ({ type }) => type === 'bytes'),
          },
  };
}

/** The line of one row. */
export function line<Row extends object>(table: FactTable<Row>, row: Row): string {
  return linesOf(table.covered, [row])[0]!;
}

/** The lines of rows, in their order. */
export function linesOf(covered: readonly Column[], rows: readonly object[]): string[] {
  const lines = new Array<string>(rows.length).fill('');
  for (const [index, column] of covered.entries()) {
    const separator = index === 0 ? '' : '|';
    for (let i = 0; i < rows.length; i++) {
      const value = givenCell(rows[i]!, column);
      lines[i] += column.added ? addedCell(column, value) : separator + lineCell(column.type, value);
    }
  }
  return lines;
}

/** The value of a column. @throws TypeError when the row lacks it: a forgotten value must not become a null. */
export function cellOf(row: object, property: string): Cell {
  const value = (row as Record<string, Cell | undefined>)[property];
  if (value === undefined) throw new TypeError(`a fact has no ${property}`);
  return value;
}

/** The value of a column, null where it is one that a row may lack. */
export function givenCell(row: object, { property, added }: Column): Cell {
  return added ? ((row as Record<string, Cell | undefined>)[property] ?? null) : cellOf(row, property);
}

/** The cell of an added column, with its separator. */
export function addedCell({ name, type }: Column, value: Cell): string {
  return value === null ? '' : `|${name}=${lineCell(type, value)}`;
}

/** A value as its line holds it. */
export const lineCell = (type: ColumnType, value: Cell): string =>
  value === null ? '-' : lineText(type, valueText(type, value));

/** What {@link valueText} gave, as a line holds it. */
export function lineText(type: ColumnType, text: string): string {
  if (type === 'text' || type === 'texts') return `${Buffer.byteLength(text)}:${text}`;
  return type === 'bytes' ? text.slice(2) : text;
}

/** A value as PostgreSQL reads it. */
export function valueText(type: ColumnType, value: NonNullable<Cell>): string {
  switch (type) {
    case 'int':
    case 'date':
    case 'text':
      return `${value}`;
    case 'uuid':
      return (value as string).toLowerCase();
    case 'bool':
      return value === true ? 't' : 'f';
    case 'bytes':
      return `\\x${(value as Buffer).toString('hex')}`;
    case 'ints':
      return `{${(value as readonly number[]).join(',')}}`;
    case 'texts':
      return textsLiteral(value as readonly string[]);
    default:
      return type satisfies never;
  }
}

/** What PostgreSQL quotes when it prints an array: the syntax itself, ASCII white space, the word NULL, and nothing at all. */
const quoted = /[{}",\\ \t\n\v\f\r]|^null$|^$/i;

/** `{a,"b c","say \"hi\""}`, exactly as PostgreSQL prints a text[]. */
function textsLiteral(texts: readonly string[]): string {
  return `{${texts.map((text) => (quoted.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text)).join(',')}}`;
}

/** The SQL expression that gives the line of a row of `alias`. Needs `datestyle = ISO` and a UTF-8 database. */
export function lineSql(table: AnyFactTable, alias: string): string {
  const cells = table.covered.map(({ name, type, nullable, added }) => {
    const column = `${alias}.${name}`;
    if (added) return `'${name}=' || ${plainSql(type, column)}`;
    switch (type) {
      case 'text':
        return orDash(nullable, `octet_length(${column}) || ':' || ${column}`);
      case 'texts':
        return orDash(nullable, `octet_length(${column}::text) || ':' || ${column}::text`);
      case 'bytes':
        return orDash(nullable, `encode(${column}, 'hex')`);
      default:
        // concat_ws prints the rest by itself, quicker than a cast would; but it leaves nulls out.
        if (!nullable) return column;
        return type === 'bool'
          ? `case ${column} when true then 't' when false then 'f' else '-' end`
          : orDash(true, `${column}::text`);
    }
  });
  return `concat_ws('|', ${cells.join(', ')})`;
}

/** The same of an added column: a null makes the whole cell null, and concat_ws leaves it out. */
function plainSql(type: ColumnType, column: string): string {
  switch (type) {
    case 'text':
    case 'texts':
      return `(octet_length(${column}::text) || ':' || ${column}::text)`;
    case 'bytes':
      return `encode(${column}, 'hex')`;
    case 'bool':
      return `case ${column} when true then 't' when false then 'f' end`;
    default:
      return `${column}::text`;
  }
}

const orDash = (nullable: boolean, cell: string): string => (nullable ? `coalesce(${cell}, '-')` : cell);
