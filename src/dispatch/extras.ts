/** What dispatch adds to the journal's transaction: chunks for retries, and the end of chunks whose last delivery is settled. */
import type { PgBoss } from 'pg-boss';
import { bossTx, type Clock, type IdAllocator, idBlockSize, type Tx } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { insertChunks, type NewChunk, notifyDispatch } from './chunks.ts';
import { applyReturn, applySplit } from './part-ways.ts';
import type { DispatchExtra } from './types.ts';

/** Retries that fall due within the same quarter of a second share a chunk. */
const DUE_STEP_MS = 250;
const CHUNK_MAX = 1_000;

type Retry = Extract<DispatchExtra, { kind: 'retry' }>;
type Settle = Extract<DispatchExtra, { kind: 'settle' }>;

export interface ExtrasOptions {
  boss: PgBoss;
  clock: Clock;
  laneId: (lane: LaneName) => number;
  routeId: (route: string) => number;
}

/** Builds the retry chunks of one batch. Deterministic: a repeated transaction makes the same chunks. */
export function retryChunks(retries: readonly Retry[], options: Pick<ExtrasOptions, 'laneId' | 'routeId'>): NewChunk[] {
  const groups = Map.groupBy(retries, (retry) => {
    const due = Math.ceil(retry.due / DUE_STEP_MS) * DUE_STEP_MS;
    return [
      retry.route,
      retry.lane,
      retry.rank,
      retry.day,
      retry.attempt,
      retry.returns,
      retry.possibleDuplicate,
      due,
      // A parked chunk is of one alert.
      retry.parked === true ? retry.alert : '',
    ].join('/');
  });
  const chunks: NewChunk[] = [];
  for (const group of groups.values()) {
    for (let from = 0; from < group.length; from += CHUNK_MAX) {
      const members = group.slice(from, from + CHUNK_MAX);
      const first = members[0] as Retry;
      const alerts = new Set(members.map((member) => member.alert));
      chunks.push({
        id: first.chunkId,
        day: first.day,
        alert: alerts.size === 1 ? first.alert : null,
        lane: first.lane,
        laneId: options.laneId(first.lane),
        route: first.route,
        routeId: options.routeId(first.route),
        firstDelivery: 0,
        deliveries: members.length,
        deliveryIds: members.map((member) => member.delivery),
        attempt: first.attempt,
        returns: first.returns,
        possibleDuplicate: first.possibleDuplicate,
        rank: first.rank,
        number: 0,
        parked: first.parked === true,
        notBefore: Math.max(...members.map((member) => member.due)),
        expiresMin: Math.min(...members.map((member) => member.expiresAt)),
        expiresMax: Math.max(...members.map((member) => member.expiresAt)),
      });
    }
  }
  return chunks;
}

export function applyExtras(options: ExtrasOptions): (tx: Tx, extras: DispatchExtra[]) => Promise<void> {
  return async (tx, extras) => {
    const now = options.clock.now();
    const chunks = retryChunks(
      extras.filter((extra): extra is Retry => extra.kind === 'retry'),
      options,
    );
    await insertChunks(tx, options.boss, chunks, now);
    const settles = extras
      .filter((extra): extra is Settle => extra.kind === 'settle')
      .sort((a, b) => a.chunk - b.chunk);
    if (settles.length > 0) {
      await tx.query('UPDATE chunk SET settled = true WHERE id = ANY($1::bigint[])', [settles.map((s) => s.chunk)]);
      for (const [queue, group] of Map.groupBy(settles, (settle) => settle.queue)) {
        await options.boss.complete(
          queue,
          group.map((settle) => settle.job),
          {},
          { db: bossTx(tx) },
        );
      }
    }
    // A bind that is paused leaves its work to the others of the route.
    const back: { route: string; lane: LaneName }[] = [];
    for (const extra of extras) {
      if (extra.kind === 'return' && (await applyReturn(tx, options.boss, extra))) back.push(extra);
      else if (extra.kind === 'split') await applySplit(tx, options.boss, extra, options, now);
    }
    const due = chunks.filter((chunk) => chunk.parked !== true && (chunk.notBefore ?? 0) <= now);
    await notifyDispatch(tx, [...due, ...back]);
  };
}

/** Ids taken ahead, so that the hot path never waits for one. */
export class IdStock {
  readonly #allocator: IdAllocator;
  readonly #onTrouble: (error: unknown) => void;
  readonly #blocks: { next: number; end: number }[] = [];
  readonly #target: number;
  #left = 0;
  #filling = false;

  private constructor(allocator: IdAllocator, target: number, onTrouble: (error: unknown) => void) {
    this.#allocator = allocator;
    this.#target = target;
    this.#onTrouble = onTrouble;
  }

  static async open(allocator: IdAllocator, onTrouble: (error: unknown) => void, target = 50_000): Promise<IdStock> {
    const stock = new IdStock(allocator, target, onTrouble);
    await stock.#fill();
    return stock;
  }

  get left(): number {
    return this.#left;
  }

  /** @throws Error when the database has given no ids for a long time; callers check `left` before they take work in. */
  next(): number {
    const block = this.#blocks[0];
    if (block === undefined) throw new Error('no ids left: the database has not answered for too long');
    const id = block.next++;
    this.#left--;
    if (block.next === block.end) this.#blocks.shift();
    if (this.#left < this.#target / 2 && !this.#filling) void this.#fill().catch(this.#onTrouble);
    return id;
  }

  async #fill(): Promise<void> {
    this.#filling = true;
    try {
      while (this.#left < this.#target) {
        const next = await this.#allocator.take(idBlockSize);
        this.#blocks.push({ next, end: next + idBlockSize });
        this.#left += idBlockSize;
      }
    } finally {
      this.#filling = false;
    }
  }
}
