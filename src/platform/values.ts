/**
 * How values travel between JavaScript and PostgreSQL: bigint as number (an error beyond 2^53), date, timestamps, uuid
 * and numeric as text, bytea as Buffer, JSON parsed, one-dimensional arrays as arrays. Parameters: arrays become array
 * literals here, in one pass, because postgres.js would take a Buffer[] for a bytea and quotes each number.
 */

/** A parameter of a statement. Objects become JSON. */
export type Parameter = string | number | bigint | boolean | null | Buffer | readonly unknown[] | object;

/** int8 as a number. @throws RangeError beyond ±2^53: an id that lost its last digits would be another's. */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('a bigint from the database does not fit a number');
  return value;
}

const parseBytea = (text: string): Buffer => Buffer.from(text.slice(2), 'hex');

function parseNumbers(text: string): (number | null)[] {
  if (text === '{}') return [];
  return text
    .slice(1, -1)
    .split(',')
    .map((item) => (item === 'NULL' ? null : parseInt8(item)));
}

/** Reads a one-dimensional array literal into its items. */
export function parseArray<T>(text: string, parseItem: (item: string) => T): (T | null)[] {
  const items: (T | null)[] = [];
  let i = 1;
  const end = text.length - 1;
  while (i < end) {
    if (text[i] === '"') {
      let item = '';
      for (i++; text[i] !== '"'; i++) {
        if (text[i] === '\\') i++;
        item += text[i];
      }
      items.push(parseItem(item));
      i += 2;
    } else {
      let stop = text.indexOf(',', i);
      if (stop < 0) stop = end;
      const item = text.slice(i, stop);
      items.push(item === 'NULL' ? null : parseItem(item));
      i = stop + 1;
    }
  }
  return items;
}

const asIs = <T>(value: T): T => value;
const texts = (text: string): (string | null)[] => parseArray(text, asIs);

/** The `types` option of postgres.js: every type we read or write, by its oid in pg_type. */
export const postgresTypes = {
  int8: { to: 20, from: [20], serialize: String, parse: parseInt8 },
  bool: {
    to: 16,
    from: [16],
    serialize: (value: unknown) => (value === true ? 't' : value === false ? 'f' : String(value)),
    parse: (text: string) => text === 't',
  },
  bytea: {
    to: 17,
    from: [17],
    serialize: (value: unknown) => (typeof value === 'string' ? value : `\\x${(value as Buffer).toString('hex')}`),
    parse: parseBytea,
  },
  json: {
    to: 114,
    from: [114, 3802],
    serialize: (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)),
    parse: (text: string): unknown => JSON.parse(text),
  },
  time: { to: 1184, from: [1082, 1083, 1114, 1184, 1186], serialize: String, parse: asIs<string> },
  int8Array: { to: 1016, from: [1005, 1007, 1016], serialize: asIs, parse: parseNumbers },
  floatArray: { to: 1022, from: [1021, 1022], serialize: asIs, parse: (text: string) => parseArray(text, Number) },
  boolArray: {
    to: 1000,
    from: [1000],
    serialize: asIs,
    parse: (text: string) => parseArray(text, (item) => item === 't'),
  },
  byteaArray: { to: 1001, from: [1001], serialize: asIs, parse: (text: string) => parseArray(text, parseBytea) },
  // text, varchar, name, uuid, date, timestamptz, numeric, char
  textArray: { to: 1009, from: [1003, 1009, 1014, 1015, 1115, 1182, 1185, 1231, 2951], serialize: asIs, parse: texts },
  jsonArray: {
    to: 199,
    from: [199, 3807],
    serialize: asIs,
    parse: (text: string) => parseArray(text, (item): unknown => JSON.parse(item)),
  },
};

const mustQuote = /[\\"]/g;

function arrayItem(item: unknown): string {
  switch (typeof item) {
    case 'number':
    case 'bigint':
      return String(item);
    case 'string':
      return `"${item.replace(mustQuote, '\\$&')}"`;
    case 'boolean':
      return item ? 't' : 'f';
    case 'undefined':
      throw new TypeError('a parameter array holds undefined');
    default:
      if (item === null) return 'NULL';
      if (Buffer.isBuffer(item)) return `"\\\\x${item.toString('hex')}"`;
      if (Array.isArray(item)) return arrayLiteral(item);
      if (item instanceof Date) return `"${item.toISOString()}"`;
      return `"${JSON.stringify(item).replace(mustQuote, '\\$&')}"`;
  }
}

/** PostgreSQL's literal of an array: `{1,2,NULL}`, `{"a","b \"c\""}`. */
export function arrayLiteral(items: readonly unknown[]): string {
  if (typeof items[0] === 'number') {
    // The hot case, and `join` is the quickest: ids and times. A null or another type inside takes the slow way.
    let plain = true;
    for (const item of items) {
      if (typeof item !== 'number') {
        plain = false;
        break;
      }
    }
    if (plain) return `{${items.join(',')}}`;
  }
  return `{${items.map(arrayItem).join(',')}}`;
}

/** A parameter as postgres.js may have it. @throws TypeError for undefined: a forgotten value must not become NULL. */
export function encodeParameter(value: unknown): string | boolean | Buffer | null {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
    case 'bigint':
      return String(value);
    case 'object':
      if (value === null || Buffer.isBuffer(value)) return value;
      if (Array.isArray(value)) return arrayLiteral(value);
      if (value instanceof Date) return value.toISOString();
      if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      return JSON.stringify(value);
    default:
      throw new TypeError(`a parameter is ${typeof value}`);
  }
}
