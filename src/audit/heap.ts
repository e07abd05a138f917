/**
 * Reads a whole table in physical order, a run of blocks at a time: needs no index, holds a snapshot for well under a
 * second, and meets the facts of a transaction side by side, because that is how they were written.
 *
 * A row that is there before the first read and not updated meanwhile is met exactly once. An update moves a row: it may
 * then be met twice, or not at all, unless all is read in one snapshot.
 */
import type { Pool, Tx } from '../platform/index.ts';
import type { AnyFactTable } from './facts.ts';

interface Heap {
  readonly name: string;
  readonly blocks: number;
}

/** Blocks of 8 KiB a read. At most ~160,000 narrow rows: what the answer may hold in memory when each is a group of its own. */
const blocksMin = 16;
const blocksMax = 2_048;
const startBlocks = 128;
/** Reads are made shorter above this, and longer below a quarter of it. */
const readMsMost = 800;

/** What to read of a run of blocks. `sql` gets the rows as `fact`; the run's bounds are its first two parameters. */
export interface HeapRead {
  readonly sql: (from: string) => string;
  readonly parameters?: readonly unknown[];
}

/** One run of blocks, to read more of it. */
export interface Run<Row> {
  readonly rows: readonly Row[];
  again<Other extends object>(read: HeapRead): Promise<Other[]>;
}

/** The runs of all partitions. One read is ahead of the consumer. */
export async function* runsOf<Row extends object>(
  reader: Reader,
  table: AnyFactTable,
  read: HeapRead,
): AsyncGenerator<Run<Row>, void, undefined> {
  const heaps = await heapsOf(reader, table);
  let blocks = startBlocks;
  let ahead: Promise<Run<Row>> | undefined;
  for (const { name, blocks: end } of heaps) {
    for (let from = 0; from < end; ) {
      const to = Math.min(from + blocks, end);
      const bounds = [`(${from},0)`, `(${to},0)`];
      const startedAt = performance.now();
      const next = readRun<Row>(reader, name, bounds, read).then((rows): Run<Row> => {
        const ms = performance.now() - startedAt;
        if (ms > readMsMost) blocks = Math.max(blocksMin, blocks / 2);
        else if (ms < readMsMost / 4) blocks = Math.min(blocksMax, blocks * 2);
        return { rows, again: (other) => readRun(reader, name, bounds, other) };
      });
      // The consumer may be gone by the time this one fails.
      next.catch(() => undefined);
      if (ahead !== undefined) yield await ahead;
      ahead = next;
      from = to;
    }
  }
  if (ahead !== undefined) yield await ahead;
}

function readRun<Row extends object>(reader: Reader, heap: string, bounds: string[], read: HeapRead): Promise<Row[]> {
  const from = `from only ${heap} as fact where fact.ctid >= $1::tid and fact.ctid < $2::tid`;
  return reader((tx) => tx.query<Row>(read.sql(from), [...bounds, ...(read.parameters ?? [])]));
}

/** Where reads are made: each in a transaction of its own, or all in one. */
export type Reader = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;

// Fit for aggregates over some 100,000 rows; one core is enough.
const readSettings = `set local work_mem = '64MB'; set local jit = off; set local max_parallel_workers_per_gather = 0`;

/** Each read sees what is committed when it begins, and holds nothing afterwards. */
export function shortReads(pool: Pool): Reader {
  return (work) =>
    pool.run(async (tx) => {
      await tx.exec(`set transaction read only; ${readSettings}`);
      return await work(tx);
    });
}

/** All reads of `work` see one instant. `work` may run again from its beginning. */
export function inSnapshot<T>(pool: Pool, work: (reader: Reader) => Promise<T>): Promise<T> {
  return pool.run(async (tx) => {
    await tx.exec(`set transaction isolation level repeatable read read only; ${readSettings}`);
    return await work((read) => read(tx));
  });
}

/** The heaps that hold the rows of a table: itself, or its partitions. */
async function heapsOf(reader: Reader, { table }: AnyFactTable): Promise<Heap[]> {
  return await reader((tx) =>
    tx.query<Heap>(
      `select heap::text as name, pg_relation_size(heap) / current_setting('block_size')::int as blocks
        from (
          select relid as heap from pg_partition_tree($1::regclass) where isleaf
          union select oid::regclass from pg_class where oid = $1::regclass and relkind = 'r'
        ) as heaps
        order by name`,
      [table],
    ),
  );
}
