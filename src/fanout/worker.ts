/**
 * A worker takes jobs of the queue `fanout`, highest priority first, and fans their alerts out page by page. Woken by
 * NOTIFY, and every half second for jobs that send none (handed back, or missed while the connection was lost).
 *
 * Between two pages of a job a worker looks whether one of higher priority waits, and does that first: a broadcast of a
 * million in `bulk` does not hold a list of ten in `security` up. One worker of a process takes nothing but emergencies.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PgBoss } from 'pg-boss';
import type { ChainWriter } from '../audit/index.ts';
import type { Pool } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { readAlert } from './alert.ts';
import { Broadcast, type BroadcastTools, type HeldJob } from './broadcast.ts';
import type { EmergencyGate } from './gate.ts';
import { FANOUT_QUEUE, type FanoutJob, JOB_LOCK } from './job.ts';
import { CAREFUL_PAGE, PAGE_MAX, SMALL_PAGE } from './page.ts';

export interface WorkerOptions extends BroadcastTools {
  boss: PgBoss;
  pool: Pool;
  writer: ChainWriter;
  gate: EmergencyGate;
  liveness: {
    tryLock(kind: number, name: string): Promise<boolean>;
    unlock(kind: number, name: string): Promise<void>;
  };
  /** Jobs below this pg-boss priority are left to other workers. */
  minPriority: number | null;
  /** Ids of the jobs in hand: shared with whoever hands back what dead processes left. */
  inHand: Set<string>;
  /** Something failed that is tried again. Not called for what producers or carriers did. */
  onTrouble: (error: unknown) => void;
  /** After each page, durable. */
  onPage?: ((page: { lane: LaneName; deliveries: number; ms: number }) => void) | undefined;
}

const POLL_MS = 500;
/** The longest that a page of another lane waits for the gate. */
const GATE_MS = 1_000;
/** The longest rest after a page while an emergency is expected. */
const REST_MOST_MS = 250;
const RETRY_MS = { first: 50, most: 2_000 };
/** Tries of one job before it is handed back, so that one that always fails doesn't keep the worker. */
const TRIES = 5;

interface Job extends HeldJob {
  readonly priority: number;
  readonly data: FanoutJob;
}

export class FanoutWorker {
  readonly #o: WorkerOptions;
  readonly #emergency: number;
  #stopping = false;
  #woken = Promise.withResolvers<void>();
  /** Something may wait that was not looked for yet. */
  #news = true;
  #lookedAt = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.#o = options;
    this.#emergency = options.policies.lanes.emergency.priority;
  }

  start(): void {
    this.#turn = this.#loop();
  }

  wake(): void {
    this.#news = true;
    this.#woken.resolve();
  }

  /** Ends after the page under way; its job goes back to the queue. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#woken.resolve();
    await this.#turn;
  }

  async #loop(): Promise<void> {
    let failures = 0;
    while (!this.#stopping) {
      try {
        const job = await this.#fetch(this.#o.minPriority);
        failures = 0;
        if (job !== null) await this.#work(job);
        else await this.#idle(POLL_MS);
      } catch (error) {
        this.#o.onTrouble(error);
        await this.#idle(backoff(failures++));
      }
    }
  }

  /** Waits for a wake-up, at most `ms`. */
  async #idle(ms: number): Promise<void> {
    if (this.#stopping) return;
    const timer = new AbortController();
    await Promise.race([this.#woken.promise, sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
    timer.abort();
    if (!this.#stopping) this.#woken = Promise.withResolvers();
  }

  async #fetch(minPriority: number | null): Promise<Job | null> {
    const { boss, pool, clock } = this.#o;
    this.#news = false;
    this.#lookedAt = clock.monotonic();
    const [job] = await boss.fetch<FanoutJob>(FANOUT_QUEUE, {
      batchSize: 1,
      includeMetadata: true,
      ...(minPriority === null ? {} : { minPriority }),
      db: { executeSql: async (text, values) => ({ rows: await pool.query(text, values ?? []) }) },
    });
    if (job === undefined) return null;
    return { id: job.id, retryCount: job.retryCount, priority: job.priority, data: job.data };
  }

  async #work(job: Job): Promise<void> {
    const { inHand, liveness } = this.#o;
    inHand.add(job.id);
    const leave = job.priority >= this.#emergency ? this.#o.gate.enter() : null;
    // Nobody looks for it within a second: the first page doesn't wait for it.
    const locked = liveness.tryLock(JOB_LOCK, job.id).catch(this.#o.onTrouble);
    try {
      await this.#fanOut(job, leave !== null);
    } finally {
      leave?.();
      await locked;
      inHand.delete(job.id);
      await liveness.unlock(JOB_LOCK, job.id);
    }
  }

  async #fanOut(job: Job, urgent: boolean): Promise<void> {
    let broadcast: Broadcast | null = null;
    for (let failures = 0; ; ) {
      try {
        if (this.#stopping) return await this.#handBack(job);
        broadcast ??= await this.#open(job);
        if (broadcast === null) return;
        const free = urgent || (await this.#o.gate.pass(GATE_MS));
        const started = this.#o.clock.monotonic();
        const { deliveries, finished } = await broadcast.next(this.#o.writer, this.#pageSize(urgent, free));
        failures = 0;
        const ms = this.#o.clock.monotonic() - started;
        this.#o.onPage?.({ lane: broadcast.lane, deliveries, ms });
        if (finished) return;
        // Half of the disk and of a core is for what may come: a list is fanned out long before it is sent.
        if (!urgent && this.#o.gate.expecting) await this.#idle(Math.min(ms, REST_MOST_MS));
        await this.#doUrgentFirst(job.priority);
      } catch (error) {
        this.#o.onTrouble(error);
        if (++failures >= TRIES) return await this.#handBack(job);
        await this.#idle(backoff(failures - 1));
      }
    }
  }

  /** Of the other lanes' pages, one that an emergency may find under way is small. */
  #pageSize(urgent: boolean, free: boolean): number {
    if (urgent) return PAGE_MAX;
    if (!free) return SMALL_PAGE;
    return this.#o.gate.expecting ? CAREFUL_PAGE : PAGE_MAX;
  }

  /** Null when there is nothing to fan out, which ends the job. */
  async #open(job: Job): Promise<Broadcast | null> {
    const alert = await readAlert(this.#o.pool, job.data.day, job.data.alert);
    if (alert !== null) return new Broadcast(alert, { id: job.id, retryCount: job.retryCount }, this.#o);
    // Alert and job commit together, so only a restore or a dropped partition parts them.
    await this.#o.boss.complete(FANOUT_QUEUE, [{ id: job.id, retryCount: job.retryCount }]);
    return null;
  }

  /** Jobs of higher priority than the one in hand. Each may be interrupted in its turn, at most once per lane. */
  async #doUrgentFirst(priority: number): Promise<void> {
    while (!this.#stopping && (this.#news || this.#o.clock.monotonic() - this.#lookedAt > POLL_MS)) {
      const urgent = await this.#fetch(Math.max(priority + 1, this.#o.minPriority ?? 0));
      if (urgent === null) return;
      this.#news = true;
      await this.#work(urgent);
    }
  }

  async #handBack(job: Job): Promise<void> {
    await this.#o.boss.fail(FANOUT_QUEUE, [{ id: job.id, retryCount: job.retryCount }]).catch(this.#o.onTrouble);
  }
}

const backoff = (failures: number): number => Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most);
