import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, type Pool, TransactionFailed, type Tx } from '../platform/index.ts';
import { entryHash, entryOf, genesis, type Part, partsText, sequenceMax, writerMax } from './chain.ts';
import { insertFacts } from './insert.ts';
import { chainWriter } from './tables.ts';

/** What a transaction hands back: its value, and the parts of the facts it wrote. */
export interface Written<T> {
  readonly value: T;
  readonly parts: readonly Part[];
  /** Statements on their way that the work did not wait for: the entry goes behind them. A rejection undoes all. */
  readonly sent?: Promise<unknown>;
}

/** May run more than once, for the same `entry`: every write is idempotent by key. */
export type Work<T> = (tx: Tx, entry: number) => Promise<Written<T>>;

export interface ChainWriterOptions {
  /** Calls that may wait for their turn; more fail at once with {@link ChainBusy}. Default 1,000. */
  queueLimit?: number;
  /** How often a transaction whose COMMIT went unanswered is run again. Default 10: about 11 s of pauses. */
  rerunLimit?: number;
}

/** Too many calls wait for this chain. Nothing was written. */
export class ChainBusy extends Error {
  override readonly name = 'ChainBusy';
}

const defaultQueueLimit = 1_000;
const defaultRerunLimit = 10;
const pauseMs = { first: 50, most: 2_000 };

/** Where a chain goes on. */
interface Chain {
  readonly writer: number;
  sequence: number;
  previous: Buffer;
}

/** A transaction that wrote our entry and whose COMMIT went unanswered. At most one of them has committed. */
interface Doubt<T> {
  readonly hash: Buffer;
  readonly value: T;
}

/**
 * Appends to one chain: each call is one transaction whose last statement writes the entry that covers its facts.
 *
 * | what happened | sequence | the caller gets |
 * |---|---|---|
 * | committed | consumed (not without parts: then no entry is written) | the value |
 * | rolled back for good, or `work` threw | not consumed | the error; deadlocks and the like are retried before |
 * | COMMIT unanswered, then found committed | consumed | the value of the try that committed |
 * | COMMIT unanswered, then found rolled back | not consumed | as if it were the first try: `work` is run again |
 * | COMMIT unanswered, and no way to find out | the chain is given up, a new one is opened with the next call | `TransactionFailed`, `uncertain` |
 *
 * To find out, the next transaction begins by inserting the same entry and undoing it: the primary key makes it wait
 * until the doubtful transaction is over, and tells how it ended.
 */
export class ChainWriter {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #process: number;
  readonly #room: string;
  readonly #queueLimit: number;
  readonly #rerunLimit: number;
  #chain: Chain | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #closed = false;

  private constructor(pool: Pool, clock: Clock, processId: number, room: string, options: ChainWriterOptions) {
    this.#pool = pool;
    this.#clock = clock;
    this.#process = processId;
    this.#room = room;
    this.#queueLimit = options.queueLimit ?? defaultQueueLimit;
    this.#rerunLimit = options.rerunLimit ?? defaultRerunLimit;
  }

  /**
   * Opens a new chain.
   * @param processId the process epoch (`process.id`).
   * @param room what the chain is for, e.g. `intake`, `journal`.
   * @throws TransactionFailed when the database can't commit it.
   */
  static async open(
    pool: Pool,
    clock: Clock,
    processId: number,
    room: string,
    options: ChainWriterOptions = {},
  ): Promise<ChainWriter> {
    const writer = new ChainWriter(pool, clock, processId, room, options);
    writer.#chain = await writer.#openChain();
    return writer;
  }

  /** Calls that wait or run. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Runs `work` in one transaction and appends the entry that covers its parts. One call after another, in order.
   * @throws ChainBusy, TransactionFailed (see the table above), or what `work` threw.
   */
  async append<T>(work: Work<T>): Promise<T> {
    if (this.#closed) throw new ChainBusy(`the chain of ${this.#room} is closed`);
    if (this.#queued >= this.#queueLimit)
      throw new ChainBusy(`${this.#queued} calls wait for the chain of ${this.#room}`);
    this.#queued++;
    const turn = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await turn;
    try {
      if (this.#chain === undefined || this.#chain.sequence > sequenceMax) this.#chain = await this.#openChain();
      return await this.#appendTo(this.#chain, work);
    } finally {
      this.#queued--;
      resolve();
    }
  }

  /** Refuses new calls and waits for those that were made. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
  }

  async #openChain(): Promise<Chain> {
    const [row] = await this.#pool.query<{ id: number }>(`select nextval('chain_writer_id') as id`, [], { retries: 3 });
    if (row === undefined || row.id > writerMax) throw new RangeError('no writer id is left for a chain');
    const { id } = row;
    const chain: Chain = { writer: id, sequence: 0, previous: genesis(id) };
    await this.#appendTo(chain, async (tx, entry) => {
      const opened = { id, process: this.#process, room: this.#room, openedAt: this.#clock.now() };
      return {
        value: undefined,
        parts: (await insertFacts(tx, chainWriter, [opened], entry, { onConflict: 'error' })).parts,
      };
    });
    return chain;
  }

  async #appendTo<T>(chain: Chain, work: Work<T>): Promise<T> {
    const entry = entryOf(chain.writer, chain.sequence);
    let doubts: Doubt<T>[] = [];
    let unanswered: TransactionFailed | undefined;
    for (let rerun = 0; ; rerun++) {
      let tried: Doubt<T> | undefined;
      try {
        const { value, hash } = await this.#pool.run(async (tx): Promise<{ value: T; hash: Buffer | undefined }> => {
          tried = undefined;
          if (doubts.length > 0) {
            const committed = await committedHash(tx, entry);
            if (committed !== undefined) return theOneThatCommitted(doubts, committed, entry);
            doubts = [];
            unanswered = undefined;
          }
          const { value, parts, sent } = await work(tx, entry);
          const written = parts.length === 0 ? undefined : insertEntry(tx, chain, entry, this.#clock.now(), parts);
          const [, hash] = await Promise.all([sent, written]);
          if (hash === undefined) return { value, hash };
          tried = { value, hash };
          return tried;
        });
        if (hash !== undefined) {
          chain.sequence++;
          chain.previous = hash;
        }
        return value;
      } catch (error) {
        if (!(error instanceof TransactionFailed)) throw error;
        // Somebody else wrote to this chain: whatever it was, the next call gets a chain of its own.
        if (error.constraint === 'chain_entry_pkey') this.#chain = undefined;
        if (error.outcome === 'uncertain') {
          unanswered = error;
          if (tried !== undefined) doubts.push(tried);
        } else if (unanswered === undefined) {
          throw error;
        }
        if (rerun >= this.#rerunLimit) {
          // Whether this entry exists can't be known, so nothing may follow it.
          if (doubts.length > 0) this.#chain = undefined;
          throw unanswered;
        }
      }
      await sleep(Math.min(pauseMs.first * 2 ** rerun, pauseMs.most));
    }
  }
}

/** The last statement before COMMIT. Gives the entry's hash. */
async function insertEntry(tx: Tx, chain: Chain, entry: number, at: number, parts: readonly Part[]): Promise<Buffer> {
  const text = partsText(parts);
  const hash = entryHash(chain.previous, entry, at, text);
  await tx.query(`insert into chain_entry (entry, at, previous, parts, hash) values ($1, $2, $3, $4, $5)`, [
    entry,
    at,
    chain.previous,
    text,
    hash,
  ]);
  return hash;
}

/** The hash that an earlier transaction committed under this entry, once none is under way any more; undefined when none did. */
async function committedHash(tx: Tx, entry: number): Promise<Buffer | undefined> {
  await tx.exec('savepoint look');
  const free = await tx.query(
    `insert into chain_entry (entry, at, previous, parts, hash) values ($1, 0, '', '', '')
      on conflict (entry) do nothing returning entry`,
    [entry],
  );
  await tx.exec('rollback to savepoint look');
  if (free.length > 0) return undefined;
  const [row] = await tx.query<{ hash: Buffer }>(`select hash from chain_entry where entry = $1`, [entry]);
  return row?.hash;
}

function theOneThatCommitted<T>(doubts: readonly Doubt<T>[], committed: Buffer, entry: number): Doubt<T> {
  const found = doubts.find(({ hash }) => hash.equals(committed));
  if (found === undefined) throw new Error(`entry ${entry} was written by someone else`);
  return found;
}
