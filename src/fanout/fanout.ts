/** The fan-out of one process: its workers, what wakes them, and what takes up the work of dead processes. */
import type { PgBoss } from 'pg-boss';
import { ChainWriter } from '../audit/index.ts';
import type { DispatchNews } from '../dispatch/index.ts';
import { type Clock, type Database, type IdAllocator, Liveness } from '../platform/index.ts';
import type { Names, Policies } from '../policy/index.ts';
import { rehearse } from './broadcast.ts';
import type { EmergencyGate } from './gate.ts';
import { createFanoutQueue, FANOUT_CHANNEL, FANOUT_QUEUE, JOB_LOCK } from './job.ts';
import { FanoutWorker, type WorkerOptions } from './worker.ts';

export interface FanoutOptions {
  database: Pick<Database, 'pools' | 'listen' | 'target'>;
  boss: PgBoss;
  clock: Clock;
  ids: IdAllocator;
  news: Pick<DispatchNews, 'announce'>;
  names: Names;
  policies: Pick<Policies, 'lanes' | 'carriers' | 'routing'>;
  gate: EmergencyGate;
  /** The process epoch. */
  process: number;
  onTrouble: (error: unknown) => void;
  onPage?: WorkerOptions['onPage'];
}

const RECLAIM_MS = 2_000;
const RECLAIM_MOST = 100;

export class Fanout {
  readonly #options: FanoutOptions;
  readonly #liveness: Liveness;
  readonly #workers: readonly FanoutWorker[];
  readonly #inHand: ReadonlySet<string>;
  readonly #writers: readonly ChainWriter[];
  #listener: { close(): Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reclaiming: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(options: FanoutOptions, writers: readonly ChainWriter[]) {
    const { database, policies } = options;
    const inHand = new Set<string>();
    this.#options = options;
    this.#inHand = inHand;
    this.#writers = writers;
    this.#liveness = new Liveness(database.target);
    const liveness = this.#liveness;
    const reserved = policies.lanes.emergency.priority;
    this.#workers = writers.map((writer, index) => {
      const minPriority = index === 0 ? reserved : null;
      return new FanoutWorker({ ...options, pool: database.pools.fanout, writer, liveness, inHand, minPriority });
    });
  }

  /** Opens the chains, takes up what dead processes left, and starts two workers, one for emergencies alone. */
  static async start(options: FanoutOptions): Promise<Fanout> {
    const { boss, clock, database } = options;
    await createFanoutQueue(boss);
    const open = (): Promise<ChainWriter> => ChainWriter.open(database.pools.fanout, clock, options.process, 'fanout');
    const fanout = new Fanout(options, [await open(), await open()]);
    fanout.#listener = await database.listen(FANOUT_CHANNEL, () => {
      for (const worker of fanout.#workers) worker.wake();
    });
    await fanout.#reclaim();
    // At the same time, so that each takes a session of its own.
    await Promise.all([
      fanout.#liveness.open(),
      ...fanout.#workers.map(() => rehearse(database.pools.fanout, options)),
    ]);
    for (const worker of fanout.#workers) worker.start();
    fanout.#schedule();
    return fanout;
  }

  /** Alerts that are being fanned out here. */
  get running(): number {
    return this.#inHand.size;
  }

  /** Ends after the pages under way (a fraction of a second); their jobs go back to the queue. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const stopped = this.#workers.map((worker) => worker.stop());
    await this.#listener?.close();
    await this.#reclaiming;
    await Promise.all(stopped);
    await Promise.all(this.#writers.map((writer) => writer.close()));
    await this.#liveness.close();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#reclaiming = this.#reclaim()
        .catch(this.#options.onTrouble)
        .finally(() => this.#schedule());
    }, RECLAIM_MS);
  }

  /**
   * Hands back jobs that nobody works on: pg-boss itself would wait until they expire. A worker holds a lock for as long
   * as it lives; a job whose lock can be had has none. (One that was fetched this instant may be taken for such: then two
   * work on it, page by page under the alert's lock, and the fence of the first no longer completes it.)
   */
  async #reclaim(): Promise<void> {
    const { boss, database, onTrouble } = this.#options;
    const active = await database.pools.fanout.query<{ id: string; retry_count: number }>(
      `select id, retry_count from pgboss.job
        where name = $1 and state = 'active' and started_on < now() - interval '1 second' order by id limit $2`,
      [FANOUT_QUEUE, RECLAIM_MOST],
    );
    for (const { id, retry_count: retryCount } of active) {
      if (this.#inHand.has(id)) continue;
      if (!(await this.#liveness.tryLock(JOB_LOCK, id))) continue;
      try {
        if (!this.#inHand.has(id)) await boss.fail(FANOUT_QUEUE, [{ id, retryCount }]);
      } catch (error) {
        onTrouble(error);
      } finally {
        await this.#liveness.unlock(JOB_LOCK, id);
      }
    }
  }
}
