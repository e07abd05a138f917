/**
 * The journal: what happened on the wire becomes facts, in batches, one transaction each (DESIGN §6).
 *
 * Callers add operations to a shard; a shard writes one batch at a time, the next one gathers meanwhile. All facts of a
 * chunk go to one shard, so that the completion of its job never commits before its facts. An operation's `durable`
 * callback runs after COMMIT: only then may a deliver_sm be answered or a claim be given back to the bind's K.
 *
 * A batch that the database can't take is tried again until shutdown gives up; a batch refused for one row is split
 * until that row alone is refused, reported, and the rest is kept. Facts are nearly always new, so that they are first
 * inserted as such; a batch of which some fact is there already is written again, leaving out what is.
 */
import { type ChainWriter, type FactTable, insertFacts, type Part, sendFacts, type Written } from '../audit/index.ts';
import { type EpochMs, TransactionFailed, type Tx } from '../platform/index.ts';
import { addProgress, noProgress, type ProgressDelta } from './progress.ts';
import { FINAL_STATES, type FinalCode } from './state.ts';
import {
  type CancellationRow,
  cancellation,
  type FinalStateRow,
  finalState,
  type ReceiptRow,
  type ReleaseRow,
  receipt,
  release,
  type SubmissionRow,
  submission,
  type UnmatchedReceiptRow,
  unmatchedReceipt,
} from './tables.ts';

export interface JournalOp<Extra> {
  submission?: SubmissionRow | undefined;
  release?: ReleaseRow;
  receipt?: ReceiptRow | undefined;
  unmatched?: UnmatchedReceiptRow;
  cancellation?: CancellationRow;
  final?: FinalStateRow | undefined;
  /** The alert whose progress moves with `final` or `submitted`; left out for alerts with one recipient. */
  alert?: string | undefined;
  day?: string | undefined;
  /** This operation makes its delivery `submitted` for the first time. */
  submitted?: boolean | undefined;
  /** A secret body that goes with the final state; only where no other delivery shares it. */
  secretBody?: number | undefined;
  /** Work of the caller's own in the same transaction. */
  extra?: Extra;
  durable?: () => void;
}

export interface JournalOptions<Extra> {
  writers: readonly ChainWriter[];
  /** Runs inside the transaction, after the facts, with the extras of the batch in order. Must be repeatable by key. */
  applyExtras: (tx: Tx, extras: Extra[]) => Promise<void>;
  /** One row was refused for good (SQLSTATE class 22, 23 or 54). */
  onRefused: (error: unknown) => void;
  /** The database can't take a batch just now. */
  onTrouble: (error: unknown) => void;
  rowsMax?: number;
  lingerMs?: number;
  monotonic: () => EpochMs;
}

interface Shard<Extra> {
  writer: ChainWriter;
  waiting: JournalOp<Extra>[];
  since: number;
  running: boolean;
  timer: NodeJS.Timeout | null;
}

/** Operations of a batch: a message brings three, one of which is no row. */
const ROWS_MAX = 4_000;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2_000;

export class Journal<Extra> {
  readonly #options: JournalOptions<Extra>;
  readonly #shards: Shard<Extra>[];
  readonly #rowsMax: number;
  readonly #lingerMs: number;
  #closing = false;
  #idle: (() => void)[] = [];

  constructor(options: JournalOptions<Extra>) {
    this.#options = options;
    this.#rowsMax = options.rowsMax ?? ROWS_MAX;
    this.#lingerMs = options.lingerMs ?? 5;
    this.#shards = options.writers.map((writer) => ({ writer, waiting: [], since: 0, running: false, timer: null }));
  }

  /** Adds one operation; `key` picks the shard (a chunk's id, or a delivery's for receipts). */
  add(key: number, op: JournalOp<Extra>): void {
    const shard = this.#shards[shardOf(key, this.#shards.length)] as Shard<Extra>;
    if (shard.waiting.length === 0) shard.since = this.#options.monotonic();
    shard.waiting.push(op);
    if (shard.running) return;
    if (shard.waiting.length >= this.#rowsMax) this.#start(shard);
    else shard.timer ??= setTimeout(() => this.#start(shard), this.#lingerMs);
  }

  /** Operations not yet durable. */
  get backlog(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.waiting.length + (shard.running ? 1 : 0), 0);
  }

  /** Age in ms of the oldest operation that waits for its batch. */
  lagMs(): number {
    const now = this.#options.monotonic();
    return this.#shards.reduce((most, shard) => Math.max(most, shard.waiting.length > 0 ? now - shard.since : 0), 0);
  }

  /** Resolves when everything added so far is durable, or after `timeoutMs` with false. */
  async drain(timeoutMs: number): Promise<boolean> {
    for (const shard of this.#shards) if (!shard.running && shard.waiting.length > 0) this.#start(shard);
    if (this.backlog === 0) return true;
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => {
        this.#closing = true;
        resolve(false);
      }, timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  #start(shard: Shard<Extra>): void {
    if (shard.timer !== null) clearTimeout(shard.timer);
    shard.timer = null;
    if (shard.running || shard.waiting.length === 0) return;
    const batch = shard.waiting.splice(0, this.#rowsMax);
    if (shard.waiting.length > 0) shard.since = this.#options.monotonic();
    shard.running = true;
    void this.#write(shard, batch).finally(() => {
      shard.running = false;
      if (shard.waiting.length > 0) this.#start(shard);
      else if (this.backlog === 0) for (const resolve of this.#idle.splice(0)) resolve();
    });
  }

  async #write(shard: Shard<Extra>, batch: JournalOp<Extra>[]): Promise<void> {
    let onConflict: 'error' | 'ignore' = 'error';
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(RETRY_MAX_MS, delayMs * 2)) {
      try {
        await shard.writer.append((tx, entry) => this.#apply(tx, entry, batch, onConflict));
        break;
      } catch (error) {
        if (onConflict === 'error' && isRepeat(error)) {
          onConflict = 'ignore';
          continue;
        }
        if (isRefusedRow(error)) {
          if (batch.length > 1) {
            const half = batch.length >> 1;
            await this.#write(shard, batch.slice(0, half));
            await this.#write(shard, batch.slice(half));
            return;
          }
          this.#options.onRefused(error);
          break;
        }
        this.#options.onTrouble(error);
        if (this.#closing) return;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
    for (const op of batch) op.durable?.();
  }

  async #apply(
    tx: Tx,
    entry: number,
    batch: JournalOp<Extra>[],
    onConflict: 'error' | 'ignore',
  ): Promise<Written<undefined>> {
    const submissions: SubmissionRow[] = [];
    const releases: ReleaseRow[] = [];
    const receipts: ReceiptRow[] = [];
    const unmatched: UnmatchedReceiptRow[] = [];
    const cancellations: CancellationRow[] = [];
    const finals: JournalOp<Extra>[] = [];
    const extras: Extra[] = [];
    const deltas = new Map<string, ProgressDelta>();
    for (const op of batch) {
      if (op.submission !== undefined) submissions.push(op.submission);
      if (op.release !== undefined) releases.push(op.release);
      if (op.receipt !== undefined) receipts.push(op.receipt);
      if (op.unmatched !== undefined) unmatched.push(op.unmatched);
      if (op.cancellation !== undefined) cancellations.push(op.cancellation);
      if (op.final !== undefined) finals.push(op);
      if (op.extra !== undefined) extras.push(op.extra);
    }
    const finalRows = finals.map((op) => op.final as FinalStateRow);
    const progress = async (): Promise<void> => {
      if (deltas.size > 0) await addProgress(tx, entry, [...deltas.values()]);
    };
    if (onConflict === 'error') {
      // All of it is new, or none stays: nothing waits for an answer of another, and a batch costs one round trip.
      countSubmitted(deltas, batch, null);
      const secrets = countEnded(deltas, finals, null);
      const facts = [
        sendFacts(tx, submission, submissions, entry),
        sendFacts(tx, release, releases, entry),
        sendFacts(tx, finalState, finalRows, entry),
        sendFacts(tx, receipt, receipts, entry),
        sendFacts(tx, unmatchedReceipt, unmatched, entry),
        sendFacts(tx, cancellation, cancellations, entry),
      ];
      const others = [dropSecrets(tx, secrets), progress()];
      if (extras.length > 0) others.push(this.#options.applyExtras(tx, extras));
      const sent = Promise.all([...facts.map((each) => each.sent), ...others]);
      return { value: undefined, parts: facts.flatMap(({ parts }) => parts), sent };
    }
    const write = async <Row extends object>(table: FactTable<Row>, rows: readonly Row[]): Promise<Wrote<Row>> => {
      const { inserted, parts } = await insertFacts(tx, table, rows, entry, { onConflict });
      return { parts, fresh: inserted.length === rows.length ? null : new Set(inserted) };
    };
    const ofSubmissions = await write(submission, submissions);
    countSubmitted(deltas, batch, ofSubmissions.fresh);
    const ofReleases = await write(release, releases);
    const { parts: ofFinals, fresh } = await write(finalState, finalRows);
    await dropSecrets(tx, countEnded(deltas, finals, fresh));
    // A receipt that came with an end of its own, and second, is a receipt like others.
    if (fresh !== null) receipts.push(...(await lateReceipts(tx, finalRows, fresh)));
    const ofReceipts = await write(receipt, receipts);
    const ofUnmatched = await write(unmatchedReceipt, unmatched);
    const ofCancellations = await write(cancellation, cancellations);
    await progress();
    if (extras.length > 0) await this.#options.applyExtras(tx, extras);
    const parts = [ofSubmissions, ofReleases, { parts: ofFinals }, ofReceipts, ofUnmatched, ofCancellations];
    return { value: undefined, parts: parts.flatMap((each) => each.parts) };
  }
}

/**
 * Which of so many shards takes what belongs to `key` (a whole number from 0 to 2^53): the same each time. Ids of an
 * alert's chunks are steps of a chunk's size apart, as a rule an even number, so that the remainder of the id alone would
 * leave all of them to one shard: its bits are mixed first (the last steps of MurmurHash3).
 */
export function shardOf(key: number, shards: number): number {
  let mixed = (key | 0) ^ Math.floor(key / 2 ** 32);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) % shards;
}

interface Wrote<Row> {
  parts: readonly Part[];
  /** The rows that are new; null for all. */
  fresh: ReadonlySet<Row> | null;
}

type Counted = Pick<JournalOp<unknown>, 'submission' | 'final' | 'submitted' | 'alert' | 'day' | 'secretBody'>;

function countSubmitted(
  deltas: Map<string, ProgressDelta>,
  ops: readonly Counted[],
  fresh: ReadonlySet<SubmissionRow> | null,
): void {
  for (const op of ops) {
    if (op.submitted !== true || op.alert === undefined || op.day === undefined) continue;
    if (op.submission === undefined || fresh?.has(op.submission) === false) continue;
    deltaOf(deltas, op.day, op.alert).submitted++;
  }
}

/** Deliveries end once each. @returns the texts that go with them. */
function countEnded(
  deltas: Map<string, ProgressDelta>,
  ops: readonly Counted[],
  fresh: ReadonlySet<FinalStateRow> | null,
): number[] {
  const secrets: number[] = [];
  for (const op of ops) {
    const row = op.final as FinalStateRow;
    if (fresh?.has(row) === false) continue;
    if (op.secretBody !== undefined) secrets.push(op.secretBody);
    if (op.alert === undefined) continue;
    const state = FINAL_STATES[row.state as FinalCode];
    if (state !== 'submitted') deltaOf(deltas, row.day, op.alert)[state]++;
  }
  return secrets;
}

async function dropSecrets(tx: Tx, bodies: readonly number[]): Promise<void> {
  if (bodies.length > 0) await tx.query('DELETE FROM body WHERE id = ANY($1::bigint[])', [bodies]);
}

/** The receipts of final states that were not the first: but for those that an earlier try of this batch has written. */
async function lateReceipts(
  tx: Tx,
  rows: readonly FinalStateRow[],
  fresh: ReadonlySet<FinalStateRow>,
): Promise<ReceiptRow[]> {
  const left = rows.filter((row) => !fresh.has(row));
  const receipts = left.flatMap(({ day, delivery, at, cause, receipt: id, bind, attempt, said }): ReceiptRow[] =>
    typeof id === 'number' && typeof bind === 'number' && typeof attempt === 'number' && typeof said === 'number'
      ? [{ day, delivery, id, attempt, segment: 1, bind, state: said, error: cause, duplicate: false, receivedAt: at }]
      : [],
  );
  if (receipts.length === 0) return [];
  const written = await tx.query<{ receipt: number }>(
    `SELECT f.receipt FROM unnest($1::date[], $2::bigint[]) AS g(day, delivery)
     JOIN final_state f ON f.day = g.day AND f.delivery = g.delivery WHERE f.receipt IS NOT NULL`,
    [receipts.map(({ day }) => day), receipts.map(({ delivery }) => delivery)],
  );
  const known = new Set(written.map(({ receipt: id }) => id));
  return receipts.filter(({ id }) => !known.has(id));
}

function deltaOf(deltas: Map<string, ProgressDelta>, day: string, alert: string): ProgressDelta {
  let delta = deltas.get(alert);
  if (delta === undefined) {
    delta = noProgress(day, alert);
    deltas.set(alert, delta);
  }
  return delta;
}

/** Some fact of the batch is there already: from a COMMIT that went unanswered, or written by somebody else. */
function isRepeat(error: unknown): boolean {
  return error instanceof TransactionFailed && error.outcome === 'rolled-back' && error.code === '23505';
}

function isRefusedRow(error: unknown): boolean {
  return error instanceof TransactionFailed && error.outcome === 'rolled-back' && /^(22|23|54)/.test(error.code ?? '');
}
