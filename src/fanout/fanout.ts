/**
 * Fan-out: from an alert to the deliveries of its recipients, page by page.
 *
 * One page is one transaction: deliveries by `insert … select`, their chunks and jobs, the page's fact, one NOTIFY. The
 * first page of an alert is small, so that its first chunk leaves while the rest is still being written. A fan-out that
 * was interrupted goes on after its last page; the unique key (day, alert, recipient) makes a recipient that stands in
 * two lists one delivery.
 *
 * Two workers: one takes any job by priority, one only emergency, so that a bulk list is never in a warning's way.
 */
import type { PgBoss } from 'pg-boss';
import { ChainWriter, insertFacts, type Part, partsSql } from '../audit/index.ts';
import { type Backlog, type NewChunk, insertChunks, notifyDispatch } from '../dispatch/index.ts';
import { bossTx, type Clock, type Database, type EpochMs, IdAllocator, idBlockSize, type Tx } from '../platform/index.ts';
import { type LaneName, type Names, type Policies, routeCase } from '../policy/index.ts';
import { addProgress, delivery, FINAL, finalState } from '../records/index.ts';
import { fanoutPage } from './tables.ts';

export const FANOUT_QUEUE = 'fanout';
export const FANOUT_CHANNEL = 'tocsin_fanout';

const QUEUE_OPTIONS = {
  expireInSeconds: 3_600,
  retryLimit: 2_147_483_647,
  retryDelay: 1,
  retentionSeconds: 60 * 86_400,
  deleteAfterSeconds: 600,
} as const;
const FIRST_PAGE = 500;
const POLL_MS = 500;
const RANK_MAX = 999;

export interface FanoutJob {
  day: string;
  alert: string;
}

interface RunningJob {
  id: string;
  retryCount: number;
  data: FanoutJob;
  stopping: () => boolean;
}

export interface FanoutLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface FanoutOptions {
  database: Database;
  boss: PgBoss;
  clock: Clock;
  policies: Policies;
  names: Names;
  backlog: Backlog;
  process: number;
  log: FanoutLog;
}

interface AlertRead {
  organisation: number;
  lane: number;
  body: number;
  lists: number[];
  not_before: number | null;
  expires_at: number;
  cancelled: boolean;
}

interface Written {
  chunk: number;
  route: number;
  first_id: number;
  last_id: number;
  n: number;
}

/** Makes the queue. */
export async function createFanoutQueue(boss: PgBoss): Promise<void> {
  await boss.createQueue(FANOUT_QUEUE, QUEUE_OPTIONS);
}

/** Queues the fan-out of an alert in the caller's transaction and wakes the workers at its commit. */
export async function insertFanoutJobs(
  tx: Tx,
  boss: PgBoss,
  jobs: readonly { id: string; day: string; alert: string; priority: number }[],
): Promise<void> {
  if (jobs.length === 0) return;
  await boss.insert(
    FANOUT_QUEUE,
    jobs.map(({ id, day, alert, priority }) => ({ id, data: { day, alert }, priority })),
    { db: bossTx(tx) },
  );
  await tx.query('SELECT pg_notify($1, $2)', [FANOUT_CHANNEL, '']);
}

export class Fanout {
  readonly #o: FanoutOptions;
  readonly #ids: IdAllocator;
  readonly #workers: Worker[] = [];
  #listener: { close(): Promise<void> } | null = null;

  private constructor(options: FanoutOptions) {
    this.#o = options;
    this.#ids = new IdAllocator(options.database.pools.fanout);
  }

  static async start(options: FanoutOptions): Promise<Fanout> {
    const fanout = new Fanout(options);
    await createFanoutQueue(options.boss);
    await fanout.#takeBack();
    const emergency = options.policies.lanes.emergency.priority;
    for (const minPriority of [undefined, emergency]) {
      const writer = await ChainWriter.open(options.database.pools.fanout, options.clock, options.process, 'fanout');
      fanout.#workers.push(new Worker(options, minPriority, (job) => fanout.#run(writer, job)));
    }
    fanout.#listener = await options.database.listen(FANOUT_CHANNEL, () => {
      for (const worker of fanout.#workers) worker.wake();
    });
    for (const worker of fanout.#workers) worker.wake();
    return fanout;
  }

  /** Lets the pages under way end; what is left goes on after the next start. */
  async stop(): Promise<void> {
    await this.#listener?.close();
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  /** Jobs that a dead process left active go back: only one process fans out, so all of them are of the dead. */
  async #takeBack(): Promise<void> {
    const { database, boss } = this.#o;
    await database.pools.control.run(async (tx) => {
      const left = await tx.query<{ id: string; data: FanoutJob; priority: number }>(
        `SELECT id, data, priority FROM pgboss.job WHERE name = $1 AND state = 'active' FOR UPDATE`,
        [FANOUT_QUEUE],
      );
      if (left.length === 0) return;
      await boss.complete(FANOUT_QUEUE, left.map((job) => job.id), {}, { db: bossTx(tx) });
      await insertFanoutJobs(
        tx,
        boss,
        left.map((job) => ({ id: crypto.randomUUID(), ...job.data, priority: job.priority })),
      );
    });
  }

  async #run(writer: ChainWriter, job: RunningJob): Promise<void> {
    for (let more = true; more && !job.stopping(); ) more = await this.#page(writer, job);
  }

  /** One page. False when the alert's fan-out is done. */
  async #page(writer: ChainWriter, job: { id: string; retryCount: number; data: FanoutJob }): Promise<boolean> {
    const { clock, boss, policies, names, backlog } = this.#o;
    const { day, alert } = job.data;
    const base = await this.#ids.take(idBlockSize);
    const added = new Map<string, number>();
    const more = await writer.append(async (tx, entry) => {
      added.clear();
      const parts: Part[] = [];
      const [read] = await tx.query<AlertRead>(
        `SELECT organisation, lane, body, lists, not_before, expires_at,
                EXISTS (SELECT 1 FROM alert_cancel c WHERE c.day = a.day AND c.alert = a.id) AS cancelled
         FROM alert a WHERE day = $1::date AND id = $2::uuid`,
        [day, alert],
      );
      const [before] = await tx.query<{ page: number; list: number; after_recipient: number; last: boolean; full: boolean }>(
        `SELECT page, list, after_recipient, last FROM fanout_page
         WHERE day = $1::date AND alert = $2::uuid ORDER BY page DESC LIMIT 1`,
        [day, alert],
      );
      if (read === undefined || before?.last === true) {
        await boss.complete(FANOUT_QUEUE, [{ id: job.id, retryCount: job.retryCount }], {}, { db: bossTx(tx) });
        return { value: false, parts };
      }
      const lane = names.laneName(read.lane);
      const now = clock.now();
      const page = before === undefined ? 0 : before.page + 1;
      const sources = [0, ...read.lists];
      const list = before === undefined ? 0 : before.list;
      const after = before === undefined ? 0 : before.after_recipient;
      const limit = page === 0 ? FIRST_PAGE : idBlockSize;
      const dead = read.cancelled ? FINAL.cancelled : read.expires_at - now < policies.lanes[lane].minRemainingMs ? FINAL.expired : null;
      // An empty source is passed over in the same transaction, so that the first chunk leaves with the first page.
      let source = sources.indexOf(list);
      let from = after;
      let result = await this.#writePage(tx, entry, { day, alert, read, lane, list: sources[source] as number, after: from, limit, base, now });
      while (result.scanned === 0 && source + 1 < sources.length) {
        source++;
        from = 0;
        result = await this.#writePage(tx, entry, { day, alert, read, lane, list: sources[source] as number, after: from, limit, base, now });
      }
      const last = result.scanned < limit && source + 1 >= sources.length;
      const nextSource = result.scanned < limit && !last ? source + 1 : source;
      parts.push(...result.parts);
      if (dead === null) await this.#writeChunks(tx, { day, alert, read, lane, now, written: result.written, page, added });
      else await this.#endAll(tx, entry, parts, day, alert, result.written, dead, now);
      const row = {
        day,
        alert,
        page,
        list: sources[nextSource] as number,
        afterRecipient: nextSource === source ? result.lastRecipient : 0,
        deliveries: result.written.reduce((sum, each) => sum + each.n, 0),
        last,
        at: now,
      };
      parts.push(...(await insertFacts(tx, fanoutPage, [row], entry, { onConflict: 'error' })).parts);
      if (last) await boss.complete(FANOUT_QUEUE, [{ id: job.id, retryCount: job.retryCount }], {}, { db: bossTx(tx) });
      return { value: !last, parts };
    });
    for (const [key, count] of added) {
      const [route, lane] = key.split('.') as [string, LaneName];
      backlog.add(route, lane, count);
    }
    return more;
  }

  /** `insert … select` of one page; ids run without gaps inside a route's chunk. Leans on list_member's primary key. */
  async #writePage(
    tx: Tx,
    entry: number,
    p: { day: string; alert: string; read: AlertRead; lane: LaneName; list: number; after: number; limit: number; base: number; now: EpochMs },
  ): Promise<{ scanned: number; lastRecipient: number; written: Written[]; parts: Part[] }> {
    const { policies, names, backlog } = this.#o;
    const members =
      p.list === 0
        ? `SELECT m.recipient, m.reference FROM alert_recipient m
           WHERE m.day = $1::date AND m.alert = $2::uuid AND m.recipient > $3 ORDER BY m.recipient LIMIT $4`
        : `SELECT m.recipient, NULL::text AS reference FROM list_member m
           WHERE m.list = ${p.list} AND m.recipient > $3 ORDER BY m.recipient LIMIT $4`;
    const sizes = policies.routing.routes.map((route) => `WHEN ${names.routeId(route.name)} THEN ${backlog.chunkSize(route.name)}`).join(' ');
    const [row] = await tx.query<{ scanned: number; last_recipient: number | null; written: Written[] | null; parts: Part[] | null }>(
      `WITH page AS MATERIALIZED (${members}),
       routed AS MATERIALIZED (
         SELECT page.recipient, page.reference, ${routeCase(policies.routing, p.lane, 'r.msisdn', (name: string) => names.routeId(name))} AS route,
                coalesce(t.body, $7::bigint) AS body
         FROM page JOIN recipient r ON r.id = page.recipient AND r.msisdn IS NOT NULL
         LEFT JOIN subscriber s ON s.recipient = page.recipient
         LEFT JOIN alert_text t ON t.day = $1::date AND t.alert = $2::uuid AND t.language = s.language
         WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.day = $1::date AND d.alert = $2::uuid AND d.recipient = page.recipient)),
       numbered AS (
         SELECT *, $5::bigint + row_number() OVER (ORDER BY route, recipient) - 1 AS id,
                row_number() OVER (PARTITION BY route ORDER BY recipient) - 1 AS place,
                CASE route ${sizes} ELSE 1 END AS size FROM routed),
       placed AS (SELECT *, first_value(id) OVER (PARTITION BY route, place / size ORDER BY id) AS chunk FROM numbered),
       written AS (
         INSERT INTO delivery (day, id, alert, recipient, organisation, lane, route, chunk, body, reference, expires_at, created_at, entry)
         SELECT $1::date, id, $2::uuid, recipient, $8, $9, route, chunk, body, reference, $10, $11, $6 FROM placed ORDER BY id
         ON CONFLICT DO NOTHING RETURNING *)
       SELECT (SELECT count(*) FROM page) AS scanned, (SELECT max(recipient) FROM page) AS last_recipient,
              (SELECT json_agg(w) FROM (SELECT chunk, route, min(id) AS first_id, max(id) AS last_id, count(*) AS n
                                        FROM written GROUP BY chunk, route ORDER BY chunk) w) AS written,
              (SELECT json_agg(q) FROM (${partsSql(delivery, 'written')}) q) AS parts`,
      [p.day, p.alert, p.after, p.limit, p.base, entry, p.read.body, p.read.organisation, p.read.lane, p.read.expires_at, p.now],
    );
    return {
      scanned: row?.scanned ?? 0,
      lastRecipient: row?.last_recipient ?? p.after,
      written: row?.written ?? [],
      parts: row?.parts ?? [],
    };
  }

  async #writeChunks(
    tx: Tx,
    p: { day: string; alert: string; read: AlertRead; lane: LaneName; now: EpochMs; written: Written[]; page: number; added: Map<string, number> },
  ): Promise<void> {
    const { names, boss, policies } = this.#o;
    const chunks = p.written.map((each, index): NewChunk => {
      const route = names.routeName(each.route);
      p.added.set(`${route}.${p.lane}`, (p.added.get(`${route}.${p.lane}`) ?? 0) + each.n);
      return {
        id: each.chunk,
        day: p.day,
        alert: p.alert,
        lane: p.lane,
        laneId: p.read.lane,
        route,
        routeId: each.route,
        firstDelivery: each.first_id,
        deliveries: each.last_id - each.first_id + 1,
        rank: p.lane === 'emergency' ? RANK_MAX / 2 : 0,
        number: p.page * 1_000 + index,
        notBefore: p.read.not_before,
        schedule: scheduleOf(policies, route),
        expiresMin: p.read.expires_at,
        expiresMax: p.read.expires_at,
      };
    });
    await insertChunks(tx, boss, chunks, p.now);
    await notifyDispatch(tx, chunks);
  }

  /** The alert expired or was cancelled before its fan-out: its deliveries end here, so that none is missing. */
  async #endAll(tx: Tx, entry: number, parts: Part[], day: string, alert: string, written: Written[], state: number, now: EpochMs): Promise<void> {
    const rows = written.flatMap((each) =>
      Array.from({ length: each.last_id - each.first_id + 1 }, (_, index) => ({
        day,
        delivery: each.first_id + index,
        state,
        cause: 'before fan-out',
        at: now,
      })),
    );
    const { inserted, parts: finalParts } = await insertFacts(tx, finalState, rows, entry, { onConflict: 'ignore' });
    parts.push(...finalParts);
    if (inserted.length === 0) return;
    await addProgress(tx, entry, [
      {
        day,
        alert,
        submitted: 0,
        delivered: 0,
        failed: 0,
        expired: state === FINAL.expired ? inserted.length : 0,
        cancelled: state === FINAL.cancelled ? inserted.length : 0,
        suppressed: 0,
        unknown: 0,
      },
    ]);
  }
}

/** Whether work for later is handed to the carrier: only where every bind of the route holds it there. */
export function scheduleOf(policies: Pick<Policies, 'routing' | 'carriers'>, route: string): 'hold' | 'carrier' {
  const binds = policies.routing.routes.find((each) => each.name === route)?.binds ?? [];
  return binds.length > 0 && binds.every((bind) => policies.carriers[bind]?.scheduleMode === 'carrier') ? 'carrier' : 'hold';
}

/** Fetches one job after another; sleeps until woken or polled when there is none. */
class Worker {
  readonly #o: FanoutOptions;
  readonly #minPriority: number | undefined;
  readonly #work: (job: RunningJob) => Promise<void>;
  #stopping = false;
  #running: Promise<void> | null = null;
  #again = false;
  readonly #poll: NodeJS.Timeout;

  constructor(options: FanoutOptions, minPriority: number | undefined, work: (job: RunningJob) => Promise<void>) {
    this.#o = options;
    this.#minPriority = minPriority;
    this.#work = work;
    this.#poll = setInterval(() => this.wake(), POLL_MS);
  }

  wake(): void {
    if (this.#stopping) return;
    if (this.#running !== null) {
      this.#again = true;
      return;
    }
    this.#running = this.#loop().finally(() => {
      this.#running = null;
      if (this.#again) {
        this.#again = false;
        this.wake();
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#poll);
    await this.#running;
  }

  async #loop(): Promise<void> {
    const { boss, database, log } = this.#o;
    while (!this.#stopping) {
      try {
        const [job] = await database.pools.fanout.run((tx) =>
          boss.fetch<FanoutJob>(FANOUT_QUEUE, {
            batchSize: 1,
            includeMetadata: true,
            db: bossTx(tx),
            ...(this.#minPriority === undefined ? {} : { minPriority: this.#minPriority }),
          }),
        );
        if (job === undefined) return;
        await this.#work({ id: job.id, retryCount: job.retryCount, data: job.data, stopping: () => this.#stopping });
      } catch (err) {
        log.error({ err }, 'a fan-out was interrupted and will be tried again');
        return;
      }
    }
  }
}
