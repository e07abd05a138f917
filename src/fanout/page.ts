/**
 * One page of a fan-out as one statement: up to 5,000 recipients of a list, or of those named one by one, become
 * deliveries, each with its route and its text, in chunks of contiguous ids, and the digests of the chunks for the chain.
 *
 * Leans on the primary keys of list_member and alert_recipient for the keyset, of recipient and subscriber for the joins,
 * and on delivery (day, alert, recipient) for leaving out who has a delivery already. Joins that decide nothing are left
 * out: recipient where all numbers have one route, subscriber where there is one text.
 */
import { digestSql, type Part } from '../audit/index.ts';
import type { EpochMs, Tx } from '../platform/index.ts';
import { delivery, FINAL, finalState } from '../records/index.ts';

export const PAGE_MAX = 5_000;
/** The first page is small, so that the first chunk leaves at once. */
export const FIRST_PAGE = 200;
/** So is a page that passes while something more important runs. */
export const SMALL_PAGE = 500;
/** And one that an emergency may come upon: some 15 ms. */
export const CAREFUL_PAGE = 1_000;

export interface PageShape {
  /** `named`: alert_recipient; `list`: list_member. */
  readonly source: 'named' | 'list';
  /** SQL giving the route's id, of a recipient `r` (see policy's routeCase). */
  readonly route: string;
  /** Routes that the lane may use, with the size of their chunks. One: `route` does not look at `r`. */
  readonly routes: readonly { readonly id: number; readonly chunk: number }[];
  /** The alert has texts in further languages. */
  readonly languages: boolean;
  /** Other sources came before: some recipients may have a delivery. */
  readonly repeats: boolean;
  /** The alert is past its time: its deliveries end at once as `expired`. */
  readonly expired: boolean;
}

export interface PageRequest {
  readonly day: string;
  readonly alert: string;
  readonly list: number;
  readonly after: number;
  readonly limit: number;
  /** The first of `limit` allocated ids. */
  readonly firstId: number;
  readonly organisation: number;
  readonly lane: number;
  readonly body: number;
  readonly expiresAt: EpochMs;
  readonly now: EpochMs;
}

/** A chunk's deliveries have the ids [id, id + deliveries). */
export interface PageChunk {
  readonly id: number;
  readonly route: number;
  readonly deliveries: number;
}

export interface Page {
  readonly parts: readonly Part[];
  /** By id; those of one route are in the order of the recipients. */
  readonly chunks: readonly PageChunk[];
  readonly deliveries: number;
  /** How many recipients the page looked at: fewer than the limit where the source has no more. */
  readonly looked: number;
  /** The last of them; null when there were none. */
  readonly lastRecipient: number | null;
}

interface PageRow {
  id: number | null;
  route: number;
  deliveries: number;
  sha256: string;
  looked: number;
  last_recipient: number | null;
  finals: number;
  finals_sha256: string | null;
}

/** Writes the page. Idempotent only under `lockAlert` and the position of the last page: both are the caller's. */
export async function writePage(tx: Tx, shape: PageShape, request: PageRequest, entry: number): Promise<Page> {
  const { day, alert, list, after, limit, firstId, organisation, lane, body, expiresAt, now } = request;
  const rows = await tx.query<PageRow>(pageSql(shape), [
    day,
    alert,
    list,
    after,
    limit,
    firstId,
    organisation,
    lane,
    body,
    expiresAt,
    now,
    entry,
  ]);
  const head = rows[0];
  if (head === undefined) throw new TypeError('a page gave no row');
  const parts: Part[] = [];
  const chunks: PageChunk[] = [];
  let deliveries = 0;
  for (const row of rows) {
    if (row.id === null) continue;
    parts.push({ table: delivery.table, scope: String(row.id), count: row.deliveries, sha256: row.sha256 });
    chunks.push({ id: row.id, route: row.route, deliveries: row.deliveries });
    deliveries += row.deliveries;
  }
  if (head.finals_sha256 !== null) {
    parts.push({ table: finalState.table, scope: '-', count: head.finals, sha256: head.finals_sha256 });
  }
  return { parts, chunks, deliveries, looked: head.looked, lastRecipient: head.last_recipient };
}

/** The statement; always with the same twelve parameters, in the order of `writePage`. */
export function pageSql({ source, route, routes, languages, repeats, expired }: PageShape): string {
  const single = routes.length === 1;
  const from =
    source === 'list'
      ? `from list_member m where m.list = $3::bigint and m.recipient > $4::bigint`
      : `from alert_recipient m where m.day = $1::date and m.alert = $2::uuid and $3::bigint = 0 and m.recipient > $4::bigint`;
  const text = languages
    ? `coalesce((select t.body from subscriber s join alert_text t on t.language = s.language
          where s.recipient = m.recipient and t.day = $1::date and t.alert = $2::uuid), $9::bigint)`
    : '$9::bigint';
  const fresh = repeats
    ? `where not exists (select from delivery d where d.day = $1::date and d.alert = $2::uuid and d.recipient = m.recipient)`
    : '';
  return `with looked as materialized (
    select m.recipient, ${source === 'named' ? 'm.reference' : 'null::text as reference'}
      ${from} order by m.recipient limit $5::integer
  ), routed as (
    select m.recipient, m.reference, ${route} as route, ${text} as body
      from looked m ${single ? '' : 'join recipient r on r.id = m.recipient'} ${fresh}
  ), placed as (
    select recipient, reference, route, body,
        $6::bigint + row_number() over (order by ${single ? '' : 'route, '}recipient) - 1 as id,
        row_number() over (${single ? '' : 'partition by route '}order by recipient) - 1 as place
      from routed
  ), written as (
    insert into delivery (day, id, alert, recipient, organisation, lane, route, chunk, body, reference, expires_at,
                          created_at, entry)
    select $1::date, id, $2::uuid, recipient, $7::bigint, $8::smallint, route,
        id - place % ${sizeCase(routes)}, body, reference, $10::bigint, $11::bigint, $12::bigint
      from placed
    returning *
  ), chunks as (
    select chunk, min(route) as route, count(*) as deliveries, ${digestSql(delivery, 'written')} as sha256
      from written group by chunk
  )${expired ? finalsSql() : ''}
  select chunks.chunk as id, chunks.route, chunks.deliveries, chunks.sha256,
      page.looked, page.last_recipient, page.finals, page.finals_sha256
    from (select (select count(*) from looked) as looked, (select max(recipient) from looked) as last_recipient,
                 ${expired ? 'finals, finals_sha256 from ended_digest' : '0 as finals, null::text as finals_sha256'}) as page
    left join chunks on true order by chunks.chunk`;
}

function finalsSql(): string {
  return `, ended as (
    insert into final_state (day, delivery, state, cause, at, entry)
    select day, id, ${FINAL.expired}, 'expired-before-fanout', $11::bigint, $12::bigint from written
    returning *
  ), ended_digest as (
    select count(*) as finals, case when count(*) > 0 then ${digestSql(finalState, 'ended')} end as finals_sha256 from ended
  )`;
}

/** The chunk size of a row's route. */
function sizeCase(routes: PageShape['routes']): string {
  const [only] = routes;
  if (only === undefined) throw new RangeError('a lane without a route');
  if (routes.length === 1) return String(only.chunk);
  return `(case route ${routes.map(({ id, chunk }) => `when ${id} then ${chunk}`).join(' ')} else 1 end)`;
}
