/**
 * One alert's fan-out, page by page. Each page is one transaction: its deliveries, its chunks with their jobs, how far
 * it came, the chain's entry, and with the last page the end of the job. So a crash between two pages loses nothing and
 * repeats nothing: whoever goes on reads the last page's position.
 *
 * The recipients named one by one come first, then the lists in the producer's order. An alert past its time goes the
 * same way, but its deliveries are final (`expired`) as they are made and no chunk is: everyone who should have been
 * warned is on record. Of a cancelled alert no more deliveries are made; the page that says so is its last.
 */
import type { PgBoss } from 'pg-boss';
import { type ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import {
  type DispatchNews,
  insertChunks,
  type NewChunk,
  notifyDispatch,
  partNews,
  scheduleOf,
  type Woken,
} from '../dispatch/index.ts';
import { bossTx, type Clock, type IdAllocator, type Pool, type Tx } from '../platform/index.ts';
import { LANES, type LaneName, type Names, type Policies, routeCase, routesOfLane } from '../policy/index.ts';
import { addProgress } from '../records/index.ts';
import { type AlertToFanOut, type Position, readPosition } from './alert.ts';
import { FANOUT_QUEUE, lockAlert } from './job.ts';
import { FIRST_PAGE, PAGE_MAX, type Page, type PageShape, writePage } from './page.ts';
import { chunkSize, routeTps } from './routes.ts';
import { fanoutPage } from './tables.ts';

export interface BroadcastTools {
  boss: PgBoss;
  clock: Clock;
  ids: IdAllocator;
  names: Names;
  policies: Pick<Policies, 'lanes' | 'carriers' | 'routing'>;
  news: Pick<DispatchNews, 'announce'>;
}

/** The fence of a pg-boss job: a job handed out again since has another count. */
export interface HeldJob {
  readonly id: string;
  readonly retryCount: number;
}

interface Source {
  /** 0: the recipients named one by one. */
  readonly list: number;
}

interface LaneRoute {
  readonly id: number;
  readonly name: string;
  readonly chunk: number;
  /** Whether work for later is held here or by the carrier. */
  readonly schedule: 'hold' | 'carrier';
}

/** What one page came to. */
export interface PageResult {
  readonly deliveries: number;
  readonly finished: boolean;
}

export class Broadcast {
  readonly #alert: AlertToFanOut;
  readonly #job: HeldJob;
  readonly #tools: BroadcastTools;
  readonly #lane: LaneName;
  readonly #sources: readonly Source[];
  readonly #routes: readonly LaneRoute[];
  readonly #routeSql: string;
  /** The page that we wrote last, and whether it reached the end of its source: the tables don't say so. */
  #own: { readonly page: number; readonly exhausted: boolean } | null = null;

  constructor(alert: AlertToFanOut, job: HeldJob, tools: BroadcastTools) {
    const { names, policies } = tools;
    this.#alert = alert;
    this.#job = job;
    this.#tools = tools;
    this.#lane = names.laneName(alert.lane);
    this.#sources = [...(alert.named ? [{ list: 0 }] : []), ...alert.lists.map((list) => ({ list }))];
    this.#routes = routesOfLane(policies.routing, this.#lane, alert.sender).map((name) => ({
      id: names.routeId(name),
      name,
      chunk: chunkSize(routeTps(policies, name)),
      schedule: scheduleOf(policies, name),
    }));
    const idOf = (name: string) => names.routeId(name);
    this.#routeSql = routeCase(policies.routing, this.#lane, 'r.msisdn', idOf, alert.sender);
  }

  get lane(): LaneName {
    return this.#lane;
  }

  /**
   * Writes the next page, or finds that none is left; either way the job is done with the last one.
   * @param most recipients at most: a small page holds others up less.
   */
  async next(writer: ChainWriter, most: number = PAGE_MAX): Promise<PageResult> {
    const limit = this.#limit(most);
    const firstId = await this.#tools.ids.take(limit);
    const written = await writer.append(async (tx, entry) => {
      await lockAlert(tx, this.#alert.id);
      const position = await readPosition(tx, this.#alert.day, this.#alert.id);
      if (position.finished) {
        await this.#completeJob(tx);
        const nothing = { deliveries: 0, woken: [], page: position.page, exhausted: true };
        return { value: { ...nothing, finished: true }, parts: [] };
      }
      return await this.#write(tx, entry, position, limit, firstId);
    });
    this.#own = { page: written.page, exhausted: written.exhausted };
    this.#tools.news.announce(written.woken);
    return { deliveries: written.deliveries, finished: written.finished };
  }

  /** Prepares the statements of a page on the session of `tx`, for nobody. */
  async rehearse(tx: Tx): Promise<void> {
    const { day, id: alert, organisation, lane, body, expiresAt } = this.#alert;
    const request = { day, alert, after: 0, limit: 1, firstId: 0, organisation, lane, body, expiresAt, now: 0 };
    for (const list of [0, -1]) await writePage(tx, this.#shape(list, false, false), { ...request, list }, 0);
  }

  async #write(
    tx: Tx,
    entry: number,
    position: Position,
    limit: number,
    firstId: number,
  ): Promise<{ value: PageResult & { page: number; exhausted: boolean; woken: readonly Woken[] }; parts: Part[] }> {
    const { day, id: alert } = this.#alert;
    const now = this.#tools.clock.now();
    const { index, after } = this.#place(position);
    const source = this.#sources[index];
    const list = source?.list ?? 0;
    let page: Page | null = null;
    let woken: readonly Woken[] = [];
    const expired = this.#alert.expiresAt - now < this.#tools.policies.lanes[this.#lane].minRemainingMs;
    if (source !== undefined && !position.cancelled) {
      const { organisation, lane, body, expiresAt } = this.#alert;
      const shape = this.#shape(list, index > 0, expired);
      const request = { day, alert, list, after, limit, firstId, organisation, lane, body, expiresAt, now };
      page = await writePage(tx, shape, request, entry);
      if (expired) await this.#countExpired(tx, entry, page.deliveries);
      else woken = await this.#handOver(tx, page, position.deliveries, now);
    }
    const exhausted = page === null || page.looked < limit;
    const finished = page === null || (exhausted && index + 1 >= this.#sources.length);
    const row = {
      day,
      alert,
      page: position.page,
      list,
      afterRecipient: page?.lastRecipient ?? after,
      deliveries: page?.deliveries ?? 0,
      last: finished,
      at: now,
    };
    const { parts } = await insertFacts(tx, fanoutPage, [row], entry, { onConflict: 'error' });
    if (finished) await this.#completeJob(tx);
    const value = { deliveries: row.deliveries, finished, page: position.page, exhausted, woken };
    return { value, parts: [...(page?.parts ?? []), ...parts] };
  }

  /** Where the page begins. After a page of someone else its source is asked once more, and may give nothing. */
  #place({ page, last }: Position): { index: number; after: number } {
    if (last === null) return { index: 0, after: 0 };
    const index = this.#sources.findIndex(({ list }) => list === last.list);
    if (index < 0) throw new RangeError('a page is of a list that the alert does not name');
    const exhausted = this.#own !== null && this.#own.page === page - 1 && this.#own.exhausted;
    return exhausted ? { index: index + 1, after: 0 } : { index, after: last.recipient };
  }

  /** With one route, whole chunks where there is room for one. */
  #limit(most: number): number {
    const wanted = Math.min(most, this.#own === null ? FIRST_PAGE : PAGE_MAX, PAGE_MAX);
    const [only] = this.#routes;
    if (only === undefined || this.#routes.length > 1 || wanted < only.chunk) return wanted;
    return wanted - (wanted % only.chunk);
  }

  #shape(list: number, repeats: boolean, expired: boolean): PageShape {
    return {
      source: list === 0 ? 'named' : 'list',
      route: this.#routeSql,
      routes: this.#routes,
      languages: this.#alert.languages,
      repeats,
      expired,
    };
  }

  /** Gives what is to be told after the commit: all but emergencies, which are told of in it. */
  async #handOver(tx: Tx, page: Page, before: number, now: number): Promise<readonly Woken[]> {
    const { day, id: alert, lane: laneId, expiresAt, notBefore } = this.#alert;
    const routes = new Map(this.#routes.map((route) => [route.id, route]));
    const ofRoute = new Map<number, number>();
    const chunks = page.chunks.map((chunk): NewChunk => {
      const route = routes.get(chunk.route);
      if (route === undefined) throw new RangeError('a page chose a route that the lane does not have');
      const place = ofRoute.get(route.id) ?? 0;
      ofRoute.set(route.id, place + 1);
      return {
        id: chunk.id,
        day,
        alert,
        lane: this.#lane,
        laneId,
        route: route.name,
        routeId: route.id,
        firstDelivery: chunk.id,
        deliveries: chunk.deliveries,
        number: Math.ceil(before / route.chunk) + place,
        notBefore,
        schedule: route.schedule,
        expiresMin: expiresAt,
        expiresMax: expiresAt,
      };
    });
    if (chunks.length === 0) return [];
    await insertChunks(tx, this.#tools.boss, chunks, now);
    const due = chunks.filter(({ schedule }) => notBefore === null || notBefore <= now || schedule === 'carrier');
    const { inside, after } = partNews(due);
    await notifyDispatch(tx, inside);
    return after;
  }

  async #countExpired(tx: Tx, entry: number, expired: number): Promise<void> {
    if (expired === 0) return;
    const { day, id: alert } = this.#alert;
    const none = { submitted: 0, delivered: 0, failed: 0, cancelled: 0, suppressed: 0, unknown: 0 };
    await addProgress(tx, entry, [{ day, alert, ...none, expired }]);
  }

  /** Fenced: a job that was handed out again is left to whoever has it now, and that one finds the last page. */
  async #completeJob(tx: Tx): Promise<void> {
    await this.#tools.boss.complete(FANOUT_QUEUE, [this.#job], {}, { db: bossTx(tx) });
  }
}

/** Thrown to roll a rehearsal back. */
class Rehearsed extends Error {}

/**
 * Goes through a page of every lane without a recipient, and rolls it back: the first broadcast after a start is no time
 * to prepare statements. A run takes one session of the pool.
 */
export async function rehearse(pool: Pool, tools: BroadcastTools): Promise<void> {
  const nobody = { day: '1970-01-01', id: '00000000-0000-7000-8000-000000000000', organisation: 0, body: 0 };
  const rest = { sender: null, named: true, languages: false, notBefore: null, expiresAt: 0, lists: [] };
  await pool
    .run(async (tx) => {
      await lockAlert(tx, nobody.id);
      await readPosition(tx, nobody.day, nobody.id);
      for (const lane of LANES) {
        const alert = { ...nobody, ...rest, lane: tools.names.laneId(lane) };
        await new Broadcast(alert, { id: nobody.id, retryCount: 0 }, tools).rehearse(tx);
      }
      throw new Rehearsed();
    })
    .catch((error: unknown) => {
      if (!(error instanceof Rehearsed)) throw error;
    });
}
