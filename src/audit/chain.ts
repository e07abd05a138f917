/**
 * A chain: entries of one writer, each holding the hash of the one before. Pure; the shell is writer.ts.
 *
 * An entry's number says where it stands: `entry = writer × 2^32 + sequence`. Its hash is SHA-256 over the previous
 * hash (32 bytes) and the text
 *
 *     tocsin entry v1
 *     <entry> <at>
 *     <parts>
 *
 * where the parts stand one a line. What comes before sequence 0 is SHA-256 of `tocsin chain v1 <writer>`.
 */
import { createHash, hash } from 'node:crypto';
import type { EpochMs } from '../platform/index.ts';

/** What an entry covers of one table (and one value of its scope): how many facts, and the digest of their lines. */
export interface Part {
  readonly table: string;
  /** Value of the table's scope column; `-` for tables without one. */
  readonly scope: string;
  readonly count: number;
  /** SHA-256, hex, of the lines in the order of the key, joined by line feeds. */
  readonly sha256: string;
}

const sequencesPerWriter = 2 ** 32;
/** Sequences of a chain: 0 to this. */
export const sequenceMax = sequencesPerWriter - 1;
/** Writers are numbered below this, so that an entry stays below 2^53. */
export const writerMax = 2 ** 21 - 1;

export const entryOf = (writer: number, sequence: number): number => writer * sequencesPerWriter + sequence;
export const writerOf = (entry: number): number => Math.floor(entry / sequencesPerWriter);
export const sequenceOf = (entry: number): number => entry % sequencesPerWriter;

/** The hash that stands before sequence 0. */
export const genesis = (writer: number): Buffer => hash('sha256', `tocsin chain v1 ${writer}`, 'buffer');

/** `entry` and `at` as numbers, or as the database prints them. */
export function entryHash(previous: Buffer, entry: number | string, at: EpochMs | string, parts: string): Buffer {
  return createHash('sha256').update(previous).update(`tocsin entry v1\n${entry} ${at}\n${parts}`).digest();
}

const partPattern = /^([a-z][a-z0-9_]*) (-|[0-9a-f-]{1,36}) ([1-9]\d{0,14}) ([0-9a-f]{64})$/;

/**
 * `table scope count sha256`, one a line.
 * @throws TypeError when a table and scope stands twice (verify could not tell the two apart), or a part is malformed.
 */
export function partsText(parts: readonly Part[]): string {
  const lines = parts.map(({ table, scope, count, sha256 }) => `${table} ${scope} ${count} ${sha256}`);
  const seen = new Set<string>();
  for (const [index, { table, scope }] of parts.entries()) {
    if (!partPattern.test(lines[index]!)) throw new TypeError(`a part of ${table} is malformed`);
    const name = `${table} ${scope}`;
    if (seen.has(name)) throw new TypeError(`an entry has two parts of ${name}: insert them together`);
    seen.add(name);
  }
  return lines.join('\n');
}

/** Reads what {@link partsText} wrote; null when it did not write this. */
export function parseParts(text: string): Part[] | null {
  const parts: Part[] = [];
  for (const line of text.split('\n')) {
    const match = partPattern.exec(line);
    if (match === null) return null;
    parts.push({ table: match[1]!, scope: match[2]!, count: Number(match[3]), sha256: match[4]! });
  }
  return parts;
}
