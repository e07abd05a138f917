/**
 * Members of a list from CSV, in constant memory: the header `msisdn[,language]` in any order, then one record a line.
 *
 * Lines are framed here and parsed by csv-parse in pieces. Its own stream would let one unclosed quote eat the rest of
 * the file, and its recovery after a bad row drops the good row behind it (7.0.3: `"x"y,c` then `d,"e"`). So a record
 * may not span lines, a bad line spoils no other, and every error names its line.
 */
import { parse } from 'csv-parse/sync';
import { parseMsisdn } from './msisdn.ts';
import type { ListMember, RowError } from './types.ts';

/** The file can't be imported as asked; nothing was changed. `message` is for the client and holds no value of the file. */
export class CsvRefused extends Error {
  override readonly name = 'CsvRefused';
  readonly code: 'csv-header' | 'csv-empty';
  readonly errors: readonly RowError[];

  constructor(code: CsvRefused['code'], message: string, errors: readonly RowError[] = []) {
    super(message);
    this.code = code;
    this.errors = errors;
  }
}

/** What some lines of the file gave. */
export interface MemberBatch {
  readonly members: ListMember[];
  readonly errors: RowError[];
}

/** Bytes of one line; the longest good one has fewer than 40. */
const LINE_MAX = 1_000;
const COLUMNS = ['msisdn', 'language'];
const LANGUAGE = /^[a-z]{2,3}$/;
const NEWLINE = 0x0a;

/**
 * Batches of at most `batchSize` rows, good and bad together.
 * @throws CsvRefused (`csv-header`) before the first batch.
 */
export async function* readMembers(
  source: AsyncIterable<Uint8Array>,
  batchSize: number,
): AsyncGenerator<MemberBatch, void> {
  let columns: Columns | undefined;
  let batch: Line[] = [];
  for await (const lines of linesOf(source)) {
    for (const line of lines) {
      if (columns === undefined) {
        columns = columnsOf(line);
        continue;
      }
      if (line.text === '') continue;
      batch.push(line);
      if (batch.length === batchSize) {
        yield membersOf(batch, columns);
        batch = [];
      }
    }
  }
  if (columns === undefined) throw new CsvRefused('csv-header', 'The file is empty.');
  if (batch.length > 0) yield membersOf(batch, columns);
}

interface Line {
  /** 1-based. */
  readonly number: number;
  /** Without its end; null when it is longer than `LINE_MAX` bytes. */
  readonly text: string | null;
}

/** The lines of each chunk. Holds back at most one incomplete line of `LINE_MAX` bytes. */
async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Line[], void> {
  let number = 0;
  let held = Buffer.alloc(0);
  let tooLong = false;
  const lineOf = (bytes: Buffer): Line => {
    number += 1;
    const long = tooLong || bytes.length > LINE_MAX;
    tooLong = false;
    return { number, text: long ? null : textOf(bytes, number) };
  };
  for await (const chunk of source) {
    const bytes = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      lines.push(lineOf(bytes.subarray(start, end)));
      start = end + 1;
    }
    held = bytes.subarray(start);
    if (held.length > LINE_MAX) {
      tooLong = true;
      held = held.subarray(0, 0);
    }
    yield lines;
  }
  if (held.length > 0 || tooLong) yield [lineOf(held)];
}

function textOf(bytes: Buffer, number: number): string {
  const text = bytes.toString('utf8');
  return (number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text).trim();
}

interface Columns {
  readonly count: number;
  readonly msisdn: number;
  /** -1 when the file has none. */
  readonly language: number;
}

function columnsOf(line: Line): Columns {
  const names = (line.text === null ? undefined : parseLine(line.text))?.map((name) => name.toLowerCase());
  if (names === undefined) throw new CsvRefused('csv-header', 'The first line is not a header.');
  const unknown = names.some((name) => !COLUMNS.includes(name));
  if (unknown) throw new CsvRefused('csv-header', `The header may name these columns only: ${COLUMNS.join(', ')}.`);
  if (new Set(names).size < names.length) throw new CsvRefused('csv-header', 'The header names a column twice.');
  if (!names.includes('msisdn')) throw new CsvRefused('csv-header', 'The header has no column msisdn.');
  return { count: names.length, msisdn: names.indexOf('msisdn'), language: names.indexOf('language') };
}

function membersOf(lines: readonly Line[], columns: Columns): MemberBatch {
  const batch: MemberBatch = { members: [], errors: [] };
  const refuse = ({ number: line }: Line, field: string | null, rule: string, message: string): void => {
    batch.errors.push({ line, field, rule, message });
  };
  const whole: Line[] = [];
  for (const line of lines) {
    if (line.text === null) refuse(line, null, 'line-too-long', `must have at most ${LINE_MAX} bytes`);
    else if (hasOpenQuote(line.text)) refuse(line, null, 'quote', 'a quote must be closed on its line');
    else whole.push(line);
  }
  for (const [index, row] of parseLines(whole.map(({ text }) => text ?? '')).entries()) {
    const line = whole[index]!;
    const msisdn = row === undefined ? undefined : parseMsisdn(row[columns.msisdn] ?? '');
    const language = columns.language < 0 ? '' : (row?.[columns.language] ?? '');
    if (row === undefined) refuse(line, null, 'quote', 'a quote must stand at the ends of a field');
    else if (row.length !== columns.count) refuse(line, null, 'columns', `must have ${columns.count} columns`);
    else if (msisdn == null) refuse(line, 'msisdn', 'msisdn-not-possible', 'must be a possible number in E.164 form');
    else if (language !== '' && !LANGUAGE.test(language)) {
      refuse(line, 'language', 'language', 'must be a lower-case BCP 47 primary language tag');
    } else batch.members.push({ msisdn, language: language === '' ? null : language });
  }
  batch.errors.sort((a, b) => a.line - b.line);
  return batch;
}

function hasOpenQuote(text: string): boolean {
  let open = false;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) open = !open;
  return open;
}

/** One row a line; undefined where the line is no CSV. All at once when they are good (1.3 million rows/s), else singly. */
function parseLines(lines: readonly string[]): (string[] | undefined)[] {
  try {
    const rows = parseText(lines.join('\n'));
    if (rows.length === lines.length) return rows;
  } catch {
    // Some line is bad.
  }
  return lines.map(parseLine);
}

function parseLine(line: string): string[] | undefined {
  try {
    const rows = parseText(line);
    return rows.length === 1 ? rows[0] : undefined;
  } catch {
    return undefined;
  }
}

function parseText(text: string): string[][] {
  return parse(text, { record_delimiter: '\n', relax_column_count: true, trim: true, max_record_size: LINE_MAX + 10 });
}

/** A row of the errors file. Nothing in it comes from the file that was read. */
export function errorLine({ line, field, rule, message }: RowError): string {
  return `${line},${field ?? ''},${rule},${message}\n`;
}

export const ERRORS_HEADER = 'line,field,rule,message\n';
