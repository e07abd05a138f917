/**
 * Holds the facts of one table against the chains.
 *
 * First a pass over the whole table that is only to find out whether all is well: PostgreSQL groups each run of blocks
 * by entry and scope; a group that is complete and has the right digest is ticked off in a {@link Tally}; groups that
 * lie across two runs are put together here. If something is left over, a second pass reads the facts of the suspect
 * entries alone and says exactly what is wrong.
 */
import { createHmac, hash } from 'node:crypto';
import type { Pool } from '../platform/index.ts';
import { type Part, parseParts } from './chain.ts';
import { type Heads, partsInChains } from './chains.ts';
import type { Findings } from './disagreement.ts';
import { type AnyFactTable, type Cell, lineSql } from './facts.ts';
import { type HeapRead, inSnapshot, type Reader, type Run, runsOf, shortReads } from './heap.ts';
import { compareKeys } from './order.ts';
import { digestSql, noScope } from './parts.ts';
import type { Tally } from './tally.ts';

export interface TableCheck {
  readonly pool: Pool;
  readonly table: AnyFactTable;
  readonly heads: Heads;
  /** Holds every part of this table once. */
  readonly tally: Tally;
  readonly findings: Findings;
}

interface Group {
  entry: string;
  scope: string;
  count: number;
  sha256: string;
}

/** A fact on its own: its line, and its key as texts. */
type Piece = { entry: string; scope: string; line: string } & Record<`key${number}`, string>;

/** Facts of one entry and scope that were met so far. */
interface Pieces {
  readonly part: Part;
  readonly entry: number;
  facts: { line: string; key: object }[];
}

/** What the first pass may hold of groups that lie across runs, in characters of their lines. */
const pieceCharsMost = 67_108_864;
/** Facts that the second pass holds at a time. Lines with arrays are long. */
const secondPassFacts = { plain: 20_000, arrays: 500 };
/** Groups without an entry that are kept to be named. */
const unknownMost = 10_000;
const entriesPerLookup = 20_000;

export async function verifyTable(check: TableCheck): Promise<void> {
  await new FirstPass(check).run();
  if (check.tally.hasSuspects) await secondPass(check);
  if (check.table.commitment !== undefined) await verifyCommitments(check);
}

const scopeSql = ({ scope }: AnyFactTable): string =>
  scope === undefined ? `'${noScope}'` : `fact.${scope.name}::text`;
const nameOf = (entry: string | number, scope: string): string => `${entry} ${scope}`;

class FirstPass {
  readonly #check: TableCheck;
  readonly #pending = new Map<string, Pieces>();
  readonly #unknown = new Map<string, Group>();
  #chars = 0;

  constructor(check: TableCheck) {
    this.#check = check;
  }

  async run(): Promise<void> {
    const { pool, table, tally, findings } = this.#check;
    const groups: HeapRead = {
      sql: (from) => `select fact.entry::text as entry, ${scopeSql(table)} as scope, count(*) as count,
        ${digestSql(table, 'fact')} as sha256 ${from} group by fact.entry${table.scope === undefined ? '' : `, fact.${table.scope.name}`}`,
    };
    for await (const run of runsOf<Group>(shortReads(pool), table, groups)) await this.#look(run);
    for (const { entry } of this.#pending.values()) tally.suspect(entry);
    for (const { entry, scope, count } of this.#unknown.values()) {
      findings.add({ kind: 'facts-unknown', table: table.table, entry, scope, found: { count } });
    }
  }

  async #look(run: Run<Group>): Promise<void> {
    const { heads, tally } = this.#check;
    const known = await this.#entries(run.rows);
    const incomplete: Group[] = [];
    for (const group of run.rows) {
      const entry = Number(group.entry);
      const scopes = known.get(group.entry);
      // Committed after the heads were read: the facts are for the next time.
      if (scopes !== undefined && !heads.has(entry)) continue;
      const part = scopes?.get(group.scope);
      if (part === undefined) {
        const name = nameOf(group.entry, group.scope);
        const before = this.#unknown.get(name);
        if (before !== undefined) before.count += group.count;
        else if (this.#unknown.size < unknownMost) this.#unknown.set(name, group);
      } else if (group.count < part.count || this.#pending.has(nameOf(entry, group.scope))) {
        incomplete.push(group);
        if (!this.#pending.has(nameOf(entry, group.scope))) {
          this.#pending.set(nameOf(entry, group.scope), { part, entry, facts: [] });
        }
      } else if (group.count === part.count && group.sha256 === part.sha256) {
        tally.takeAway(entry, group.scope);
      } else {
        tally.suspect(entry);
      }
    }
    if (incomplete.length > 0) await this.#collect(run, incomplete);
  }

  /** Reads the facts of groups that this run holds in part, and ticks off those that are complete now. */
  async #collect(run: Run<Group>, incomplete: readonly Group[]): Promise<void> {
    const { table, tally } = this.#check;
    const wanted = new Set(incomplete.map(({ entry, scope }) => nameOf(entry, scope)));
    for (const piece of await run.again<Piece>(piecesOf(table, [...new Set(incomplete.map(({ entry }) => entry))]))) {
      const name = nameOf(piece.entry, piece.scope);
      if (!wanted.has(name)) continue;
      this.#pending.get(name)?.facts.push(factOf(table, piece));
      this.#chars += piece.line.length;
    }
    for (const name of wanted) {
      const pieces = this.#pending.get(name);
      if (pieces === undefined || pieces.facts.length < pieces.part.count) continue;
      if (agrees(table, pieces)) {
        tally.takeAway(pieces.entry, pieces.part.scope);
      } else {
        tally.suspect(pieces.entry);
      }
      this.#forget(name, pieces);
    }
    if (this.#chars <= pieceCharsMost) return;
    for (const [name, pieces] of this.#pending) {
      tally.suspect(pieces.entry);
      this.#forget(name, pieces);
    }
  }

  #forget(name: string, { facts }: Pieces): void {
    this.#pending.delete(name);
    for (const { line } of facts) this.#chars -= line.length;
  }

  /** The parts of this table, by scope, of all entries that facts of the run name. An entry that doesn't exist is left out. */
  async #entries(groups: readonly Group[]): Promise<Map<string, Map<string, Part>>> {
    const { pool, table } = this.#check;
    const entries = [...new Set(groups.map(({ entry }) => entry))];
    const known = new Map<string, Map<string, Part>>();
    for (let i = 0; i < entries.length; i += entriesPerLookup) {
      const rows = await pool.query<{ entry: string; parts: string }>(
        `select entry::text as entry, parts from chain_entry where entry = any($1::bigint[])`,
        [`{${entries.slice(i, i + entriesPerLookup).join(',')}}`],
        { retries: 3 },
      );
      for (const { entry, parts } of rows) {
        const ofTable = (parseParts(parts) ?? []).filter((part) => part.table === table.table);
        known.set(entry, new Map(ofTable.map((part) => [part.scope, part])));
      }
    }
    return known;
  }
}

/** The facts of some entries one by one. */
function piecesOf(table: AnyFactTable, entries: readonly (string | number)[]): HeapRead {
  const keys = table.key.map(({ name }, index) => `fact.${name}::text as key${index}`).join(', ');
  return {
    sql: (
      from,
    ) => `select fact.entry::text as entry, ${scopeSql(table)} as scope, ${keys}, ${lineSql(table, 'fact')} as line
      ${from} and fact.entry = any($3::bigint[])`,
    parameters: [`{${entries.join(',')}}`],
  };
}

function factOf(table: AnyFactTable, piece: Piece): { line: string; key: object } {
  const key: Record<string, Cell> = {};
  for (const [index, { property, type }] of table.key.entries()) {
    const text = piece[`key${index}`]!;
    key[property] = type === 'int' ? Number(text) : text;
  }
  return { line: piece.line, key };
}

const digestOf = (table: AnyFactTable, { facts }: Pieces): string =>
  hash(
    'sha256',
    facts
      .sort((a, b) => compareKeys(table, a.key, b.key))
      .map(({ line }) => line)
      .join('\n'),
  );

const agrees = (table: AnyFactTable, pieces: Pieces): boolean =>
  pieces.facts.length === pieces.part.count && digestOf(table, pieces) === pieces.part.sha256;

/** Reads the suspect entries' facts again, a batch at a time, and names what disagrees. */
async function secondPass(check: TableCheck): Promise<void> {
  const { pool, table, heads, tally, findings } = check;
  const most = table.covered.some(({ type }) => type === 'ints' || type === 'texts')
    ? secondPassFacts.arrays
    : secondPassFacts.plain;
  let batch = new Map<string, Pieces>();
  let facts = 0;
  for await (const { entry, parts } of partsInChains(pool, heads)) {
    if (findings.full) return;
    if (!tally.isSuspect(entry)) continue;
    for (const part of parts) {
      if (part.table !== table.table) continue;
      batch.set(nameOf(entry, part.scope), { part, entry, facts: [] });
      facts += part.count;
    }
    if (facts < most) continue;
    await judge(check, batch);
    batch = new Map();
    facts = 0;
  }
  await judge(check, batch);
}

async function judge(check: TableCheck, batch: Map<string, Pieces>): Promise<void> {
  if (batch.size === 0) return;
  const { pool, table, findings } = check;
  const entries = [...new Set([...batch.values()].map(({ entry }) => entry))];
  const collect = async (reader: Reader): Promise<void> => {
    for (const pieces of batch.values()) pieces.facts = [];
    for await (const { rows } of runsOf<Piece>(reader, table, piecesOf(table, entries))) {
      for (const piece of rows) batch.get(nameOf(piece.entry, piece.scope))?.facts.push(factOf(table, piece));
    }
  };
  // Only rows with columns that may be erased can move, and be missed on their way.
  if (table.covered.length < table.columns.length) await inSnapshot(pool, collect);
  else await collect(shortReads(pool));
  for (const pieces of batch.values()) {
    if (agrees(table, pieces)) continue;
    const { part, entry, facts } = pieces;
    findings.add({
      kind: facts.length === 0 ? 'facts-missing' : 'facts-differ',
      table: table.table,
      entry: `${entry}`,
      scope: part.scope,
      expected: { count: part.count, sha256: part.sha256 },
      found: facts.length === 0 ? { count: 0 } : { count: facts.length, sha256: digestOf(table, pieces) },
    });
  }
}

interface Committed {
  entry: string;
  key: string;
  value: string | null;
  salt: Buffer | null;
  commitment: Buffer;
}

async function verifyCommitments({ pool, table, findings }: TableCheck): Promise<void> {
  const { value, salt, commitment } = table.commitment!;
  const key = table.key.map(({ name }) => `'${name} ' || fact.${name}`).join(` || ', ' || `);
  const read: HeapRead = {
    sql: (from) => `select fact.entry::text as entry, ${key} as key, fact.${value.name} as value,
      fact.${salt.name} as salt, fact.${commitment.name} as commitment
      ${from} and (fact.${value.name} is not null or fact.${salt.name} is not null)`,
  };
  for await (const { rows } of runsOf<Committed>(shortReads(pool), table, read)) {
    for (const row of rows) {
      const { entry } = row;
      if (row.value !== null && row.salt !== null) {
        if (createHmac('sha256', row.salt).update(row.value).digest().equals(row.commitment)) continue;
        findings.add({ kind: 'commitment', table: table.table, entry, detail: row.key });
      } else {
        findings.add({
          kind: 'commitment',
          table: table.table,
          entry,
          detail: `${row.key}: value or salt is gone alone`,
        });
      }
    }
  }
}
