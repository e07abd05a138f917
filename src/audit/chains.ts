/** Reads the chains themselves: heads, and every entry up to them. */
import type { Pool } from '../platform/index.ts';
import { entryHash, entryOf, genesis, type Part, parseParts, sequenceOf, writerMax, writerOf } from './chain.ts';
import type { Findings } from './disagreement.ts';
import { shortReads } from './heap.ts';

/** The newest entry of each chain at one instant. What was appended later is not looked at. */
export class Heads {
  readonly #heads: ReadonlyMap<number, number>;

  constructor(heads: ReadonlyMap<number, number>) {
    this.#heads = heads;
  }

  get chains(): number {
    return this.#heads.size;
  }

  /** True for an entry that was committed, facts and all, before the heads were read. */
  has(entry: number): boolean {
    return entry <= (this.#heads.get(writerOf(entry)) ?? -1);
  }
}

const entryBeyond = entryOf(writerMax + 1, 0);

/** All heads, in one snapshot: two index look-ups a chain. */
export async function readHeads(pool: Pool): Promise<Heads> {
  const rows = await shortReads(pool)((tx) =>
    tx.query<{ writer: number; head: number }>(
      `with recursive writer (id) as (
        (select entry >> 32 from chain_entry where entry >= 0 and entry < $1 order by entry limit 1)
        union all
        select (select entry >> 32 from chain_entry
                where entry >= ((writer.id + 1) << 32) and entry < $1 order by entry limit 1)
          from writer where writer.id < $2
      )
      select id as writer, head.entry as head from writer, lateral (
        select entry from chain_entry where entry >= (id << 32) and entry < ((id + 1) << 32) order by entry desc limit 1
      ) as head`,
      [entryBeyond, writerMax],
    ),
  );
  return new Heads(new Map(rows.map(({ writer, head }) => [writer, head])));
}

interface EntryRow {
  entry: number;
  at: string;
  previous: Buffer;
  parts: string;
  hash: Buffer;
}

/** An entry with its parts; none where they can't be read. */
export interface ChainEntry {
  readonly entry: number;
  readonly parts: readonly Part[];
}

const pageRowsMost = 5_000;
const pageBytes = 8_388_608;

/** Every entry up to the heads, by chain and sequence, in pages of some megabytes. */
async function* entryPages(pool: Pool, heads: Heads): AsyncGenerator<EntryRow[], void, undefined> {
  let limit = 200;
  for (let after = -1; ; ) {
    const page = await pool.query<EntryRow>(
      `select entry, at::text as at, previous, parts, hash from chain_entry
        where entry > $1 and entry < $2 order by entry limit $3`,
      [after, entryBeyond, limit],
      { retries: 3 },
    );
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.entry;
    yield page.filter(({ entry }) => heads.has(entry));
    const bytes = page.reduce((sum, { parts }) => sum + parts.length + 200, 0);
    limit = Math.max(20, Math.min(pageRowsMost, Math.floor((pageBytes * page.length) / bytes)));
  }
}

/** Every entry up to the heads with its parts, not checked. */
export async function* partsInChains(pool: Pool, heads: Heads): AsyncGenerator<ChainEntry, void, undefined> {
  for await (const page of entryPages(pool, heads)) {
    for (const { entry, parts } of page) yield { entry, parts: parseParts(parts) ?? [] };
  }
}

/** Walks every chain up to its head and names what does not follow. Hands each entry's parts on. */
export async function walkChains(
  pool: Pool,
  heads: Heads,
  findings: Findings,
  onEntry: (entry: ChainEntry) => void,
): Promise<void> {
  const foreign = await pool.query<{ entry: string }>(
    `select entry::text as entry from chain_entry where entry < 0 or entry >= $1 limit 1000`,
    [entryBeyond],
    { retries: 3 },
  );
  for (const { entry } of foreign) {
    findings.add({ kind: 'entry-unreadable', table: 'chain_entry', entry, detail: 'no chain has such a number' });
  }
  let before: EntryRow | undefined;
  for await (const page of entryPages(pool, heads)) {
    for (const row of page) {
      checkEntry(row, before, findings);
      before = row;
      const parts = parseParts(row.parts);
      if (parts === null) {
        findings.add({ kind: 'entry-unreadable', table: 'chain_entry', entry: `${row.entry}`, detail: 'parts' });
      }
      onEntry({ entry: row.entry, parts: parts ?? [] });
    }
  }
}

function checkEntry(row: EntryRow, before: EntryRow | undefined, findings: Findings): void {
  const writer = writerOf(row.entry);
  const sequence = sequenceOf(row.entry);
  const follows = before !== undefined && writerOf(before.entry) === writer;
  const due = follows ? sequenceOf(before.entry) + 1 : 0;
  const found = { table: 'chain_entry', entry: `${row.entry}` };
  if (sequence !== due) findings.add({ ...found, kind: 'entry-missing', expected: { count: sequence - due } });
  else if (!row.previous.equals(follows ? before.hash : genesis(writer)))
    findings.add({ ...found, kind: 'entry-previous' });
  if (!row.hash.equals(entryHash(row.previous, row.entry, row.at, row.parts)))
    findings.add({ ...found, kind: 'entry-hash' });
}
