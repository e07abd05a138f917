/**
 * One group of arrivals as one transaction: idempotency keys, new recipients, sealed texts, alerts, and what sends them:
 * for an alert to one number its delivery, in a chunk with the others of its lane, route and time; for all others a
 * fan-out job.
 *
 * The steps have a fixed order and each is sorted by key, so that two processes never wait for each other in a circle.
 * The work may be run again by the chain's writer: nothing here outlives a transaction that was rolled back.
 */
import type { PgBoss } from 'pg-boss';
import { type Assigned, type Recipients, type Resolved, recipientKey } from '../audience/index.ts';
import { type SentFacts, sendFacts, type Written } from '../audit/index.ts';
import {
  type DispatchNews,
  type FreshDelivery,
  insertChunks,
  type NewChunk,
  notifyDispatch,
  partNews,
  scheduleOf,
  type Woken,
} from '../dispatch/index.ts';
import { chunkSize, insertFanoutJobs, notifyFanout, routeTps } from '../fanout/index.ts';
import type { Clock, EpochMs, Sealed, Tx } from '../platform/index.ts';
import { type LaneName, type Names, type Policies, routeOf } from '../policy/index.ts';
import { type DeliveryRow, delivery } from '../records/index.ts';
import type { FreshWork } from './fresh.ts';
import { type Fingerprint, type KnownKey, readKeys, takeKeys } from './idempotency.ts';
import type { CheckedRequest } from './rules.ts';
import { type AlertRow, alert, alertChange, alertRecipient, alertText, alertTlv } from './tables.ts';
import type { TargetRecipient, WordingChange } from './types.ts';

export interface GroupTools {
  boss: PgBoss;
  clock: Clock;
  names: Names;
  policies: Policies;
  recipients: Recipients;
  news: Pick<DispatchNews, 'announce'>;
  /** Left out where nothing is dispatched in this process. */
  fresh?: FreshWork | undefined;
}

export interface SealedText {
  readonly language: string | null;
  readonly sealed: Sealed;
}

/** An alert that keeps the rules, ready to be written. */
export interface Arrival {
  readonly id: string;
  readonly day: string;
  readonly organisation: number;
  readonly producer: number;
  readonly checked: CheckedRequest;
  /** The first is the text for everyone else. */
  readonly texts: readonly SealedText[];
  /** Named one by one, no number twice. */
  readonly named: readonly TargetRecipient[];
  /** What stands for the number of an alert to one, where its network is known: the prefix that decides its route. */
  readonly network: string | null;
  readonly lists: readonly number[];
  /** Named ones, plus the members of the lists. */
  readonly recipients: number;
  readonly predictedSubmitAt: EpochMs;
  readonly changes: readonly WordingChange[];
  readonly idempotency: { readonly key: string; readonly fingerprint: Fingerprint } | null;
}

/** What became of each arrival: `new`, or the row that its key already had (null when that row went away meanwhile). */
export type GroupOutcome = Map<Arrival, { kind: 'new' } | { kind: 'known'; row: KnownKey | null }>;

export interface GroupResult {
  readonly outcome: GroupOutcome;
  /** To be remembered after the commit. */
  readonly recipients: ReadonlyMap<string, number>;
  /** Texts that dispatch will ask for in a moment, by their ids; none that is secret. */
  readonly texts: ReadonlyMap<number, string>;
  /** Deliveries that dispatch will ask for in a moment, by their chunks. */
  readonly deliveries: ReadonlyMap<number, readonly FreshDelivery[]>;
  /** Where work waits, to be told after the commit. */
  readonly woken: readonly Woken[];
}

/** One number and no list: its delivery is written at once, and is the alert's whole progress. */
export const isSingle = ({ named, lists }: Pick<Arrival, 'named' | 'lists'>): boolean =>
  named.length === 1 && lists.length === 0;

/** How many ids a group takes: its texts, and the deliveries that are written at once. */
export const idsOf = (arrivals: readonly Arrival[]): number =>
  arrivals.reduce((sum, arrival) => sum + arrival.texts.length + (isSingle(arrival) ? 1 : 0), 0);

/**
 * @param firstId of `idsOf(arrivals)` ids. They are taken before the transaction: a session must not wait for another of
 *   its pool.
 * @param numbers `mostly-new`: when another transaction makes one of the new numbers at the same time, it fails with 23505
 *   and is to be run again as `contested`, which waits for the other.
 */
export async function writeGroup(
  tx: Tx,
  entry: number,
  arrivals: readonly Arrival[],
  firstId: number,
  tools: GroupTools,
  numbers: 'mostly-new' | 'contested' = 'mostly-new',
): Promise<Written<GroupResult>> {
  const now = tools.clock.now();
  // Numbers of repeated requests are looked up in vain: those are few, and the others wait for one round trip less.
  const [outcome, known] = await Promise.all([
    settleKeys(tx, arrivals, now),
    numbers === 'mostly-new' ? tools.recipients.lookUp(tx, numbersOf(arrivals)) : null,
  ]);
  const added = arrivals.filter((arrival) => outcome.get(arrival)?.kind === 'new');
  if (added.length === 0) {
    const nothing = { recipients: new Map(), texts: new Map(), deliveries: new Map(), woken: [] };
    return { value: { outcome, ...nothing }, parts: [] };
  }

  const wanted = numbersOf(added);
  const { ids: recipients, send } =
    known === null
      ? await resolved(tools.recipients.resolveIn(tx, entry, wanted))
      : await tools.recipients.assign(known, wanted);

  const { bodies, next } = numberBodies(added, firstId);
  const singles = added.filter(isSingle);
  const others = added.filter((arrival) => !isSingle(arrival));
  const fanOut = async (): Promise<void> => {
    if (others.length === 0) return;
    const priority = (arrival: Arrival): number => tools.policies.lanes[laneOf(arrival)].priority;
    await insertFanoutJobs(
      tx,
      tools.boss,
      others.map((arrival) => ({ day: arrival.day, alert: arrival.id, priority: priority(arrival) })),
    );
    await notifyFanout(tx);
  };
  const spoken = await languagesOf(tx, singles, recipients);
  // None of these needs an answer of another: together, and with the entry of the chain, they are one round trip.
  const facts = [send(tx, entry), ...sendAlerts(tx, entry, added, bodies, recipients, tools)];
  const sent: Promise<unknown>[] = [insertBodies(tx, added, bodies), fanOut()];
  let deliveries: GroupResult['deliveries'] = new Map();
  let woken: readonly Woken[] = [];
  if (singles.length > 0) {
    const over = handOver(tx, entry, singles, next, bodies, recipients, spoken, now, tools);
    facts.push(over.facts);
    sent.push(over.chunks);
    deliveries = over.fresh;
    woken = over.woken;
  }
  return {
    value: { outcome, recipients, texts: freshTexts(singles, bodies), deliveries, woken },
    parts: facts.flatMap(({ parts }) => parts),
    sent: Promise.all([...facts.map((each) => each.sent), ...sent]),
  };
}

const numbersOf = (arrivals: readonly Arrival[]) =>
  arrivals.flatMap(({ organisation, named }) => named.map(({ msisdn }) => ({ organisation, msisdn })));

/** What is written already. */
async function resolved(resolving: Promise<Resolved>): Promise<Assigned> {
  const { ids, parts } = await resolving;
  return { ids, send: () => ({ parts, sent: Promise.resolve() }) };
}

const NEW = { kind: 'new' } as const;

async function settleKeys(tx: Tx, arrivals: readonly Arrival[], now: EpochMs): Promise<GroupOutcome> {
  const outcome: GroupOutcome = new Map();
  const keyed: { arrival: Arrival; key: string; fingerprint: Fingerprint }[] = [];
  for (const arrival of arrivals) {
    const { idempotency } = arrival;
    if (idempotency === null) outcome.set(arrival, NEW);
    else keyed.push({ arrival, key: idempotency.key, fingerprint: idempotency.fingerprint });
  }
  if (keyed.length === 0) return outcome;
  const taken = await takeKeys(
    tx,
    keyed.map(({ arrival, key, fingerprint }) => ({
      producer: arrival.producer,
      key,
      fingerprint,
      day: arrival.day,
      alert: arrival.id,
    })),
    now,
  );
  const lost: typeof keyed = [];
  for (const each of keyed) {
    if (taken.has(each.arrival.id)) outcome.set(each.arrival, NEW);
    else lost.push(each);
  }
  if (lost.length === 0) return outcome;
  const wanted = lost.map(({ arrival, key }) => ({ producer: arrival.producer, key }));
  const rows = await readKeys((text, params) => tx.query(text, params), wanted, now);
  const byKey = new Map(rows.map((row) => [`${row.producer}/${row.key}`, row]));
  for (const { arrival, key } of lost) {
    outcome.set(arrival, { kind: 'known', row: byKey.get(`${arrival.producer}/${key}`) ?? null });
  }
  return outcome;
}

/** The id of each arrival's first text, the others follow; and the first id that is left. */
function numberBodies(added: readonly Arrival[], first: number): { bodies: Map<Arrival, number>; next: number } {
  const bodies = new Map<Arrival, number>();
  let next = first;
  for (const arrival of added) {
    bodies.set(arrival, next);
    next += arrival.texts.length;
  }
  return { bodies, next };
}

function freshTexts(singles: readonly Arrival[], bodies: ReadonlyMap<Arrival, number>): Map<number, string> {
  const texts = new Map<number, string>();
  for (const arrival of singles) {
    const { request, holdUntil } = arrival.checked;
    const [only, other] = request.texts;
    if (request.secret || holdUntil !== null || only === undefined || other !== undefined) continue;
    texts.set(idOf(bodies, arrival), only.text);
  }
  return texts;
}

async function insertBodies(tx: Tx, added: readonly Arrival[], bodies: ReadonlyMap<Arrival, number>): Promise<void> {
  const rows = added.flatMap((arrival) =>
    arrival.texts.map(({ sealed }, i) => ({
      id: idOf(bodies, arrival) + i,
      organisation: arrival.organisation,
      sealed,
    })),
  );
  await tx.query(
    `insert into body (id, organisation, key_ref, sealed)
     select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])`,
    [
      rows.map(({ id }) => id),
      rows.map(({ organisation }) => organisation),
      rows.map(({ sealed }) => sealed.keyRef),
      rows.map(({ sealed }) => sealed.sealed),
    ],
  );
}

function sendAlerts(
  tx: Tx,
  entry: number,
  added: readonly Arrival[],
  bodies: ReadonlyMap<Arrival, number>,
  recipients: ReadonlyMap<string, number>,
  { names }: GroupTools,
): SentFacts[] {
  const alerts = added.map((arrival): AlertRow => {
    const { id, day, organisation, producer, texts, lists } = arrival;
    const { request, acceptedAt, expiresAt, holdUntil } = arrival.checked;
    return {
      day,
      id,
      organisation,
      producer,
      lane: names.laneId(request.lane),
      status: request.status,
      secret: request.secret,
      sender: request.sender,
      reference: request.reference,
      body: idOf(bodies, arrival),
      commitment: texts[0]!.sealed.commitment,
      lists: [...lists],
      recipients: arrival.recipients,
      notBefore: holdUntil,
      expiresAt,
      acceptedAt,
      predictedSubmitAt: arrival.predictedSubmitAt,
    };
  });
  const texts = added.flatMap((arrival) =>
    arrival.texts.slice(1).map(({ language, sealed }, i) => ({
      day: arrival.day,
      alert: arrival.id,
      language: language ?? '',
      body: idOf(bodies, arrival) + 1 + i,
      commitment: sealed.commitment,
    })),
  );
  const named = added
    .filter((arrival) => !isSingle(arrival))
    .flatMap(({ day, id, organisation, named: all }) =>
      all.map(({ msisdn, reference }) => ({
        day,
        alert: id,
        recipient: recipientOf(recipients, organisation, msisdn),
        reference,
      })),
    );
  const tlvs = added.flatMap(({ day, id, checked }) =>
    Object.entries(checked.request.tlvs ?? {}).map(([name, value]) => ({ day, alert: id, name, value: String(value) })),
  );
  const changes = added.flatMap(({ day, id, changes: all }) =>
    all.map(({ language, character, replacement, count, position, carriers }) => ({
      day,
      alert: id,
      language: language ?? '',
      firstAt: position,
      written: character,
      sent: replacement,
      times: count,
      binds: carriers.map((carrier) => names.bindId(carrier)),
    })),
  );
  return [
    sendFacts(tx, alert, alerts, entry),
    sendFacts(tx, alertText, texts, entry),
    sendFacts(tx, alertChange, changes, entry),
    sendFacts(tx, alertRecipient, named, entry),
    sendFacts(tx, alertTlv, tlvs, entry),
  ];
}

/** Deliveries of alerts to one number, and their chunks. */
function handOver(
  tx: Tx,
  entry: number,
  singles: readonly Arrival[],
  firstId: number,
  bodies: ReadonlyMap<Arrival, number>,
  recipients: ReadonlyMap<string, number>,
  spoken: ReadonlyMap<number, string>,
  now: EpochMs,
  { boss, names, policies }: GroupTools,
): { facts: SentFacts; chunks: Promise<unknown>; fresh: Map<number, FreshDelivery[]>; woken: Woken[] } {
  const rows: DeliveryRow[] = [];
  const chunks: NewChunk[] = [];
  const fresh = new Map<number, FreshDelivery[]>();
  let first = firstId;
  for (const { lane, route, members } of gather(singles, policies)) {
    const [laneId, routeId] = [names.laneId(lane), names.routeId(route)];
    const expiries = members.map(({ checked }) => checked.expiresAt);
    const holds = members.flatMap(({ checked }) => (checked.holdUntil === null ? [] : [checked.holdUntil]));
    const deliveries: FreshDelivery[] = [];
    for (const [i, arrival] of members.entries()) {
      const { msisdn, reference } = arrival.named[0]!;
      const recipient = recipientOf(recipients, arrival.organisation, msisdn);
      const row: DeliveryRow = {
        day: arrival.day,
        id: first + i,
        alert: arrival.id,
        recipient,
        organisation: arrival.organisation,
        lane: laneId,
        route: routeId,
        chunk: first,
        body: idOf(bodies, arrival) + textIndex(arrival, spoken.get(recipient)),
        reference,
        expiresAt: arrival.checked.expiresAt,
        createdAt: now,
      };
      rows.push(row);
      if (holds.length === 0) deliveries.push(freshDelivery(row, arrival));
    }
    if (deliveries.length > 0) fresh.set(first, deliveries);
    chunks.push({
      id: first,
      day: members[0]!.day,
      alert: members.length === 1 ? members[0]!.id : null,
      lane,
      laneId,
      route,
      routeId,
      firstDelivery: first,
      deliveries: members.length,
      number: 0,
      notBefore: holds.length === 0 ? null : Math.max(...holds),
      schedule: scheduleOf(policies, route),
      expiresMin: Math.min(...expiries),
      expiresMax: Math.max(...expiries),
    });
    first += members.length;
  }
  const facts = sendFacts(tx, delivery, rows, entry);
  const due = chunks.filter(({ notBefore, schedule }) => notBefore === null || schedule === 'carrier');
  const { inside, after } = partNews(due);
  return {
    facts,
    chunks: Promise.all([insertChunks(tx, boss, chunks, now, 'new'), notifyDispatch(tx, inside)]),
    fresh,
    woken: after,
  };
}

function freshDelivery({ id, alert: of, body, route, expiresAt }: DeliveryRow, arrival: Arrival): FreshDelivery {
  const { sender, secret, tlvs } = arrival.checked.request;
  const { msisdn } = arrival.named[0]!;
  const reworded = arrival.changes.length > 0;
  return { id, alert: of, body, route, expiresAt, msisdn, sender, secret, reworded, tlvs: shownTlvs(tlvs) };
}

/** Null where the alert gave none. */
function shownTlvs(tlvs: CheckedRequest['request']['tlvs']): Record<string, string> | null {
  const given = Object.entries(tlvs ?? {});
  return given.length === 0 ? null : Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

interface Gathered {
  readonly lane: LaneName;
  readonly route: string;
  readonly members: readonly Arrival[];
}

/** Work that is held begins together with what is held to the same second. */
const HOLD_STEP_MS = 1_000;

/** Runs of at most a chunk's size of one day, lane, route and second to hold to; nearest expiry first. */
export function gather(singles: readonly Arrival[], policies: Policies): Gathered[] {
  const groups = new Map<string, { lane: LaneName; route: string; members: Arrival[] }>();
  for (const arrival of singles) {
    const lane = laneOf(arrival);
    const by = arrival.network ?? arrival.named[0]!.msisdn;
    const route = routeOf(policies.routing, by, lane, arrival.checked.request.sender).name;
    const { holdUntil } = arrival.checked;
    const hold = holdUntil === null ? '' : Math.ceil(holdUntil / HOLD_STEP_MS);
    const name = `${arrival.day}/${lane}/${route}/${hold}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { lane, route, members: [arrival] });
    else group.members.push(arrival);
  }
  return [...groups.values()].flatMap(({ lane, route, members }) => {
    const sorted = members.toSorted((a, b) => a.checked.expiresAt - b.checked.expiresAt);
    const size = chunkSize(routeTps(policies, route));
    const runs: Gathered[] = [];
    for (let at = 0; at < sorted.length; at += size) runs.push({ lane, route, members: sorted.slice(at, at + size) });
    return runs;
  });
}

/** Languages of the recipients whose alert has several texts. */
async function languagesOf(
  tx: Tx,
  singles: readonly Arrival[],
  recipients: ReadonlyMap<string, number>,
): Promise<Map<number, string>> {
  const ids = singles
    .filter(({ texts }) => texts.length > 1)
    .map(({ organisation, named }) => recipientOf(recipients, organisation, named[0]!.msisdn));
  if (ids.length === 0) return new Map();
  const rows = await tx.query<{ recipient: number; language: string }>(
    `select recipient, language from subscriber where recipient = any($1::bigint[]) and language is not null`,
    [ids],
  );
  return new Map(rows.map(({ recipient, language }) => [recipient, language]));
}

/** The text in the recipient's language, else the first. */
function textIndex({ texts }: Arrival, language: string | undefined): number {
  return Math.max(
    0,
    texts.findIndex((text) => text.language !== null && text.language === language),
  );
}

const laneOf = ({ checked }: Arrival): LaneName => checked.request.lane;

function idOf(bodies: ReadonlyMap<Arrival, number>, arrival: Arrival): number {
  const id = bodies.get(arrival);
  if (id === undefined) throw new TypeError('an arrival has no text');
  return id;
}

function recipientOf(recipients: ReadonlyMap<string, number>, organisation: number, msisdn: string): number {
  const id = recipients.get(recipientKey({ organisation, msisdn }));
  if (id === undefined) throw new TypeError('a number was not resolved');
  return id;
}
