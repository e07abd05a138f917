/**
 * Taking chunks into memory: fetch the jobs and write down who holds them, in one transaction, then read what the
 * deliveries need. A job is thus never `active` without a holder that a restart can find.
 */
import type { PgBoss } from 'pg-boss';
import { bossTx, type Pool, TransactionFailed, type Tx } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { notifyDispatch } from './chunks.ts';
import { newItem } from './item.ts';
import { parkFetched } from './parking.ts';
import { readDeliveries } from './read-deliveries.ts';
import { MOVED } from './receipt-lookups.ts';
import { leave, shareOut, split } from './split.ts';
import type { FreshDelivery, HeldChunk, Item } from './types.ts';

/** Of a chunk that an earlier version made: none of its releases counts, so that what is claimed of it is in doubt. */
export const RETURNS_UNKNOWN = 32_000;

export interface Holder {
  process: number;
  bind: number;
  fence: number;
}

interface ChunkRow {
  id: number;
  day: string;
  alert: string | null;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  attempt: number;
  possible_duplicate: boolean;
  returns: number | null;
  claimed_to: number;
  settled: boolean;
  priority: number;
  job: string;
  ended: boolean;
}

/** What to take from which queue. */
export interface TakeWish {
  queue: string;
  route: string;
  lane: LaneName;
  /** Chunks at most. */
  jobs: number;
  /** Deliveries that fit. */
  room: number;
  /** Whether this alert is paused: its chunks are parked. */
  parks?: (alert: string) => boolean;
  /** How the last chunk is cut when it has more; absent, it is taken whole. */
  cut?: Cut;
}

export interface Cut {
  /** So many more are taken rather than cut a chunk in two: a cut costs a row and a job. */
  slack: number;
  /** The next id, for the chunk that holds what is cut off. */
  nextId: () => number;
}

export interface Taken {
  chunk: HeldChunk;
  deliveryIds: number[] | null;
  firstDelivery: number;
  /** Some of its deliveries are final already. */
  ended: boolean;
}

/**
 * Takes up to `jobs` chunks of a queue, highest priority first, and keeps as many as fit into `room` deliveries, of the
 * last one a part if need be; the rest keeps its place in the queue, for other binds of the route. A chunk that is settled
 * already only has its job completed.
 */
export async function takeChunks(
  pool: Pool,
  boss: PgBoss,
  holder: Holder,
  wish: TakeWish,
  insist: Insist,
): Promise<Taken[]> {
  let taken: Taken[] = [];
  try {
    // Not durable: claims are, and they find out when a crash of the server has undone the fetch. Not so a cut.
    await pool.run(
      async (tx) => {
        taken = await takeInside(tx, boss, holder, wish);
      },
      { durable: false },
    );
    return taken;
  } catch (error) {
    if (!(error instanceof TransactionFailed) || error.outcome !== 'uncertain') throw error;
    const mine = await insist(() =>
      heldStill(
        pool,
        holder,
        taken.map(({ chunk }) => chunk.id),
      ),
    );
    return taken.filter(({ chunk }) => mine?.has(chunk.id) === true);
  }
}

/**
 * Repeats what the database must answer until it does: null when the bind was lost first, and a takeover decides instead.
 */
export type Insist = <T>(work: () => Promise<T>) => Promise<T | null>;

/**
 * `claimed_to` of those chunks that this holder has, by their ids. Waits for a transaction whose end is not known: it
 * still locks its rows, or it is over.
 */
export async function heldStill(pool: Pool, holder: Holder, chunks: readonly number[]): Promise<Map<number, number>> {
  const rows = await pool.query<{ id: number; claimed_to: number }>(
    `SELECT id, claimed_to FROM chunk
     WHERE id = ANY($1::bigint[]) AND NOT settled AND holder_process = $2 AND holder_bind = $3 AND holder_fence = $4
     ORDER BY id FOR UPDATE`,
    [chunks, holder.process, holder.bind, holder.fence],
  );
  return new Map(rows.map((row) => [row.id, row.claimed_to]));
}

async function takeInside(
  tx: Tx,
  boss: PgBoss,
  holder: Holder,
  { queue, route, lane, jobs, room, parks, cut }: TakeWish,
): Promise<Taken[]> {
  const db = bossTx(tx);
  const fetched = (await boss.fetch<{ chunk: number }>(queue, { batchSize: jobs, includeMetadata: true, db })).sort(
    byPlace,
  );
  if (fetched.length === 0) return [];
  const byChunk = new Map(fetched.map((job) => [job.data.chunk, job]));
  const rows = await tx.query<ChunkRow>(
    `UPDATE chunk SET holder_process = $2, holder_bind = $3, holder_fence = $4, job = j.job
     FROM (SELECT c.id, f.job FROM unnest($1::bigint[], $5::uuid[]) AS f(id, job) JOIN chunk c ON c.id = f.id
           WHERE NOT c.settled AND NOT c.parked FOR UPDATE OF c SKIP LOCKED) AS j
     WHERE chunk.id = j.id
     RETURNING chunk.id, day, alert, first_delivery, deliveries, delivery_ids, attempt, possible_duplicate, returns, claimed_to, settled, chunk.priority, chunk.job,
       EXISTS (SELECT FROM final_state f WHERE f.day = chunk.day AND f.delivery >= chunk.first_delivery
               AND f.delivery < chunk.first_delivery + chunk.deliveries) AS ended`,
    [[...byChunk.keys()], holder.process, holder.bind, holder.fence, [...byChunk.values()].map((job) => job.id)],
  );
  const rowOf = new Map(rows.map((row) => [row.id, row]));
  const others = fetched.filter((job) => !rowOf.has(job.data.chunk));
  if (others.length > 0) await putOthersRight(tx, boss, queue, others);
  const parked = rows.filter(({ alert }) => alert !== null && parks?.(alert) === true);
  await parkFetched(tx, boss, queue, parked);
  for (const { id } of parked) rowOf.delete(id);
  const found = fetched.flatMap((job) => {
    const row = rowOf.get(job.data.chunk);
    return row === undefined ? [] : [{ job, row, unclaimed: row.deliveries - row.claimed_to }];
  });
  const { whole, part, rest } = shareOut(found, room, cut?.slack ?? Number.POSITIVE_INFINITY);
  if (part !== null || rest.length > 0) await tx.exec('set local synchronous_commit to on');
  if (part !== null && cut !== undefined)
    await split(tx, boss, queue, { ...part.of, keep: part.keep, id: cut.nextId() });
  if (rest.length > 0) await leave(tx, boss, queue, rest);
  // Other binds may have looked while all of it was fetched.
  if (part !== null || rest.length > 0) await notifyDispatch(tx, [{ route, lane }]);
  return [...whole, ...(part === null ? [] : [part.of])].map(({ job, row }) => {
    const size = part?.of.row === row ? row.claimed_to + part.keep : row.deliveries;
    return {
      firstDelivery: row.first_delivery,
      ended: row.ended,
      deliveryIds: row.delivery_ids?.slice(0, size) ?? null,
      chunk: {
        id: row.id,
        day: row.day,
        alert: row.alert,
        lane,
        route,
        queue,
        job: { id: job.id, retryCount: job.retryCount },
        attempt: row.attempt,
        possibleDuplicate: row.possible_duplicate,
        returns: row.returns ?? RETURNS_UNKNOWN,
        priority: job.priority,
        size,
        claimedTo: row.claimed_to,
        waiting: [],
        open: 0,
        leaving: null,
        done: false,
      },
    };
  });
}

/**
 * Jobs whose chunk is settled or parked are done. One whose chunk somebody else has locked goes back: whoever settles a chunk locks
 * the row and then the job, and waiting for the row here would be a deadlock.
 */
async function putOthersRight(
  tx: Tx,
  boss: PgBoss,
  queue: string,
  jobs: readonly { id: string; retryCount: number; data: { chunk: number } }[],
): Promise<void> {
  const db = bossTx(tx);
  const open = await tx.query<{ id: number }>(
    'SELECT id FROM chunk WHERE id = ANY($1::bigint[]) AND NOT settled AND NOT parked',
    [jobs.map((job) => job.data.chunk)],
  );
  const locked = new Set(open.map(({ id }) => id));
  const { back = [], done = [] } = Object.groupBy(jobs, (job) => (locked.has(job.data.chunk) ? 'back' : 'done'));
  const attempts = (some: typeof jobs) => some.map(({ id, retryCount }) => ({ id, retryCount }));
  if (done.length > 0) await boss.complete(queue, attempts(done), {}, { db });
  if (back.length > 0) await boss.fail(queue, attempts(back), {}, { db });
}

/**
 * The order of jobs in their queue: priority, then age, then the chunk that is older (ids rise). pg-boss picks a batch in
 * its order and returns it in any: `update … returning` follows the plan.
 */
export function byPlace(a: JobPlace, b: JobPlace): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  const [ageA, ageB] = [ageOf(a), ageOf(b)];
  return ageA === ageB ? a.data.chunk - b.data.chunk : ageA < ageB ? -1 : 1;
}

export interface JobPlace {
  priority: number;
  /** Through our own transactions timestamps arrive as text, whatever pg-boss's types say: ISO 8601, all in UTC. */
  createdOn: Date | string;
  data: { chunk: number };
}

const ageOf = ({ createdOn }: JobPlace): string =>
  typeof createdOn === 'string' ? createdOn : createdOn.toISOString();

interface AlertRead {
  id: string;
  sender: string | null;
  not_before: number | null;
  secret: boolean;
  counted: boolean;
  cancelled: boolean;
  reworded: boolean;
}

export interface TextSource {
  /**
   * The texts of these bodies, read through `pool`. A body that is gone is left out; one that cannot be opened is null.
   * Throws only what may be better in a moment.
   */
  texts(bodies: readonly number[], pool: Pool): Promise<ReadonlyMap<number, string | null>>;
}

export interface Hydrated {
  chunk: HeldChunk;
  items: Item[];
  /** Deliveries whose alert was cancelled before they were claimed. */
  cancelled: Item[];
  /** Deliveries whose text or number is gone: nothing can be sent. */
  unsendable: Item[];
  /** Deliveries whose text is there and cannot be opened. */
  unopened: Item[];
}

/** What this process wrote itself a moment ago: the deliveries of a chunk in the order of their ids. Given once. */
export interface FreshDeliveries {
  take(chunk: number): readonly FreshDelivery[] | undefined;
}

export interface HydrateSources {
  texts: TextSource;
  fresh: FreshDeliveries | null;
  /** Alerts that were cancelled lately: of fresh deliveries nobody asks the database. */
  cancelled: ReadonlySet<string>;
  /** Whether the carrier takes optional parameters from alerts. */
  withTlvs: boolean;
}

/**
 * What the unclaimed deliveries of these chunks need, without those that are final already: from memory where this process
 * made them itself, else read, in a few statements for all chunks together, for chunks of single alerts are small and many.
 */
export async function hydrate(
  pool: Pool,
  sources: HydrateSources,
  taken: readonly Taken[],
): Promise<{ chunks: Hydrated[]; text: Map<number, string> }> {
  const chunks: Hydrated[] = [];
  const text = new Map<number, string>();
  const stored: Taken[] = [];
  const fresh: { one: Taken; deliveries: readonly FreshDelivery[] }[] = [];
  for (const one of taken) {
    const deliveries = isUntouched(one) ? sources.fresh?.take(one.chunk.id) : undefined;
    if (deliveries === undefined) stored.push(one);
    else fresh.push({ one, deliveries });
  }
  if (fresh.length > 0) {
    const bodies = fresh.flatMap(({ deliveries }) => deliveries.map(({ body }) => body));
    const opened = await sources.texts.texts(bodies, pool);
    keepOpened(text, opened);
    for (const { one, deliveries } of fresh) chunks.push(ofFresh(one, deliveries, opened, sources));
  }
  for (const [day, ofDay] of Map.groupBy(stored, (one) => one.chunk.day)) {
    chunks.push(...(await hydrateDay(pool, sources, day, ofDay, text)));
  }
  return { chunks, text };
}

/** Nothing of it was claimed, and nothing has ended: it is as it was written, though somebody may have held it. */
const isUntouched = ({ chunk, deliveryIds, ended }: Taken): boolean =>
  !ended &&
  chunk.attempt === 1 &&
  chunk.claimedTo === 0 &&
  chunk.returns === 0 &&
  !chunk.possibleDuplicate &&
  deliveryIds === null;

/** Of a chunk that was cut when it was taken the last deliveries are no longer its own. */
function ofFresh(
  { chunk, firstDelivery }: Taken,
  deliveries: readonly FreshDelivery[],
  opened: ReadonlyMap<number, string | null>,
  { cancelled, withTlvs }: HydrateSources,
): Hydrated {
  const result: Hydrated = { chunk, items: [], cancelled: [], unsendable: [], unopened: [] };
  for (const { id, alert, body, route, expiresAt, msisdn, sender, secret, reworded, tlvs } of deliveries) {
    const position = id - firstDelivery;
    if (position >= chunk.size) continue;
    const item = newItem(chunk, position, {
      id,
      alert,
      counted: false,
      msisdn,
      sender,
      firstRoute: route,
      taken: false,
      submittedBefore: false,
      body,
      secret,
      reworded,
      notBefore: null,
      expiresAt,
      toSend: [],
      tlvs: withTlvs ? tlvs : null,
    });
    sortOut(result, item, cancelled.has(item.alert), true, opened);
  }
  return result;
}

function sortOut(
  result: Hydrated,
  item: Item,
  isCancelled: boolean,
  isThere: boolean,
  opened: ReadonlyMap<number, string | null>,
): void {
  if (isCancelled) result.cancelled.push(item);
  else if (!isThere || !opened.has(item.body)) result.unsendable.push(item);
  else if (opened.get(item.body) === null) result.unopened.push(item);
  else result.items.push(item);
}

function keepOpened(text: Map<number, string>, opened: ReadonlyMap<number, string | null>): void {
  for (const [body, value] of opened) if (value !== null) text.set(body, value);
}

async function hydrateDay(
  pool: Pool,
  { texts, withTlvs }: HydrateSources,
  day: string,
  taken: readonly Taken[],
  text: Map<number, string>,
): Promise<Hydrated[]> {
  const rows = await readDeliveries(pool, day, taken);
  const alerts = await pool.query<AlertRead>(
    `SELECT a.id, a.sender, a.not_before, a.secret, (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted,
            EXISTS (SELECT 1 FROM alert_cancel c WHERE c.day = a.day AND c.alert = a.id) AS cancelled,
            EXISTS (SELECT 1 FROM alert_change x WHERE x.day = a.day AND x.alert = a.id) AS reworded
     FROM alert a WHERE a.day = $1::date AND a.id = ANY($2::uuid[])`,
    [day, [...new Set(rows.map((row) => row.alert))]],
  );
  const alertOf = new Map(alerts.map((alert) => [alert.id, alert]));
  const tlvs = withTlvs ? await alertTlvs(pool, day, [...alertOf.keys()]) : null;
  const opened = await texts.texts([...new Set(rows.map((row) => row.body))], pool);
  keepOpened(text, opened);
  // A list is a chunk of deliveries that were tried before, be it in this same attempt: some went back half sent.
  const again = new Set(
    taken
      .filter(({ chunk, deliveryIds }) => chunk.attempt > 1 || chunk.claimedTo > 0 || deliveryIds !== null)
      .map(({ chunk }) => chunk.id),
  );
  const repeats = rows.filter((row) => again.has(row.chunk)).map((row) => row.id);
  const accepted = repeats.length > 0 ? await acceptedSegments(pool, day, repeats) : null;
  const rowsOf = Map.groupBy(rows, (row) => row.chunk);
  return taken.map(({ chunk, deliveryIds, firstDelivery }) => {
    const positionOf = deliveryIds === null ? null : new Map(deliveryIds.map((id, index) => [id, index]));
    const result: Hydrated = { chunk, items: [], cancelled: [], unsendable: [], unopened: [] };
    for (const row of rowsOf.get(chunk.id) ?? []) {
      const alert = alertOf.get(row.alert);
      const position = positionOf === null ? row.id - firstDelivery : (positionOf.get(row.id) ?? chunk.size);
      const item = newItem(chunk, position, {
        id: row.id,
        alert: row.alert,
        counted: alert?.counted ?? false,
        msisdn: row.msisdn ?? '',
        sender: alert?.sender ?? null,
        firstRoute: row.route,
        taken: chunk.possibleDuplicate || accepted?.segments.has(row.id) === true,
        submittedBefore: accepted?.moved.has(row.id) === true,
        body: row.body,
        secret: alert?.secret ?? false,
        reworded: alert?.reworded ?? false,
        notBefore: alert?.not_before ?? null,
        expiresAt: row.expires_at,
        toSend: accepted?.segments.get(row.id) ?? [],
        tlvs: tlvs?.get(row.alert) ?? null,
      });
      sortOut(result, item, alert?.cancelled === true, alert !== undefined && row.msisdn !== null, opened);
    }
    result.items.sort((a, b) => a.position - b.position);
    return result;
  });
}

/** What alerts gave for carriers' optional parameters. Leans on the primary key of alert_tlv. */
async function alertTlvs(
  pool: Pool,
  day: string,
  alerts: readonly string[],
): Promise<Map<string, Record<string, string>>> {
  const rows = await pool.query<{ alert: string; name: string; value: string }>(
    'SELECT alert, name, value FROM alert_tlv WHERE day = $1::date AND alert = ANY($2::uuid[])',
    [day, alerts],
  );
  return new Map(
    [...Map.groupBy(rows, ({ alert }) => alert)].map(([alert, own]) => [
      alert,
      Object.fromEntries(own.map(({ name, value }) => [name, value])),
    ]),
  );
}

/**
 * Segments that an SMSC accepted in an earlier attempt: they are not sent again, and are kept in `toSend` until encoding.
 * What an SMSC accepted and then had no way for has moved to another route, and is sent there.
 */
async function acceptedSegments(
  pool: Pool,
  day: string,
  ids: number[],
): Promise<{ segments: Map<number, number[]>; moved: Set<number> }> {
  const rows = await pool.query<{ delivery: number; segment: number; moved: boolean }>(
    `SELECT s.delivery, s.segment, ${MOVED} AS moved FROM submission s
     WHERE s.day = $1::date AND s.delivery = ANY($2::bigint[]) AND s.outcome = 1`,
    [day, ids],
  );
  const segments = new Map<number, number[]>();
  const moved = new Set<number>();
  for (const row of rows) {
    if (row.moved) moved.add(row.delivery);
    else segments.set(row.delivery, [...(segments.get(row.delivery) ?? []), row.segment]);
  }
  return { segments, moved };
}
