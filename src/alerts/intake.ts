/**
 * Intake: alerts become durable in groups.
 *
 * Arrivals of a few milliseconds share one transaction: idempotency keys first (a key that another request took is
 * looked at), then new recipients, sealed bodies, alerts, and for alerts with one recipient their delivery and chunk at
 * once, for the others a fan-out job. The 202 leaves after COMMIT. A group that the database refuses for one alert is
 * split until that alert alone is refused.
 */
import type { PgBoss } from 'pg-boss';
import { type ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import { type Backlog, insertChunks, type NewChunk, notifyDispatch, scheduleOf } from '../dispatch/index.ts';
import { insertFanoutJobs, notifyFanout } from '../fanout/index.ts';
import {
  type Clock,
  type EpochMs,
  type IdAllocator,
  type Sealed,
  TransactionFailed,
  type Tx,
  utcDay,
} from '../platform/index.ts';
import { type LaneName, type Names, type Policies, routeOf } from '../policy/index.ts';
import { type DeliveryRow, delivery } from '../records/index.ts';
import type { RecipientBook } from './recipients.ts';
import { refused } from './rules.ts';
import { alertRecipient, alert as alertTable, alertText } from './tables.ts';
import type { AcceptedAlert, AlertRequest, SubmitResult } from './types.ts';

/** An alert that passed the rules, ready to be stored. */
export interface Prepared {
  id: string;
  organisation: number;
  producer: number;
  request: AlertRequest;
  acceptedAt: EpochMs;
  expiresAt: EpochMs;
  predictedSubmitAt: EpochMs;
  lists: number[];
  /** Members of the lists and named recipients. */
  recipients: number;
  texts: { language: string | null; sealed: Sealed }[];
  idempotency: { key: string; fingerprint: { key: string; digest: Buffer } } | null;
}

export interface IntakeOptions {
  writers: readonly ChainWriter[];
  boss: PgBoss;
  clock: Clock;
  ids: IdAllocator;
  policies: Policies;
  names: Names;
  recipients: RecipientBook;
  backlog: Backlog;
  /** Says whether a stored fingerprint is that of this request; null when its key is gone. */
  matches: (prepared: Prepared, stored: { key: string; digest: Buffer }) => Promise<boolean | null>;
}

interface Arrival {
  prepared: Prepared;
  resolve: (result: SubmitResult) => void;
}

const GROUP_MAX = 500;
const LINGER_MS = 2;
/** Alerts that may wait for their group; more are turned away with 503. */
const WAITING_MAX = 5_000;
const IDEMPOTENCY_MS = 7 * 86_400_000;

export class Intake {
  readonly #o: IntakeOptions;
  readonly #waiting: Arrival[] = [];
  readonly #idle: ChainWriter[];
  #timer: NodeJS.Timeout | null = null;
  #running = 0;
  #onIdle: (() => void) | null = null;

  constructor(options: IntakeOptions) {
    this.#o = options;
    this.#idle = [...options.writers];
  }

  /** Whether another alert may come in now. */
  get hasRoom(): boolean {
    return this.#waiting.length < WAITING_MAX;
  }

  /** Resolves after the commit. */
  add(prepared: Prepared): Promise<SubmitResult> {
    return new Promise((resolve) => {
      this.#waiting.push({ prepared, resolve });
      if (this.#waiting.length >= GROUP_MAX) this.#start();
      else this.#timer ??= setTimeout(() => this.#start(), LINGER_MS);
    });
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    if (this.#running === 0 && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const writer = this.#waiting.length > 0 ? this.#idle.pop() : undefined;
    if (writer === undefined) return;
    const group = this.#waiting.splice(0, GROUP_MAX);
    this.#running++;
    void this.#write(writer, group).finally(() => {
      this.#idle.push(writer);
      this.#running--;
      if (this.#waiting.length > 0) this.#start();
      else if (this.#running === 0) this.#onIdle?.();
    });
  }

  async #write(writer: ChainWriter, group: Arrival[]): Promise<void> {
    try {
      const first = await this.#o.ids.take(Math.min(5_000, Math.max(1, idsNeeded(group))));
      const plan = group.map((arrival) => arrival.prepared);
      const outcome = await writer.append((tx, entry) => this.#store(tx, entry, plan, first));
      this.#o.recipients.remember(outcome.ids);
      for (const [key, count] of outcome.added) {
        const [route, lane] = key.split('.') as [string, LaneName];
        this.#o.backlog.add(route, lane, count);
      }
      for (const { prepared, resolve } of group) resolve(outcome.results.get(prepared.id) ?? overloaded());
    } catch (error) {
      const refused =
        error instanceof TransactionFailed && error.outcome === 'rolled-back' && /^2[23]/.test(error.code ?? '');
      if (refused && group.length > 1) {
        const half = group.length >> 1;
        await this.#write(writer, group.slice(0, half));
        await this.#write(writer, group.slice(half));
        return;
      }
      for (const { resolve } of group) resolve(overloaded());
    }
  }

  async #store(
    tx: Tx,
    entry: number,
    group: readonly Prepared[],
    firstId: number,
  ): Promise<{
    value: { results: Map<string, SubmitResult>; ids: Map<string, number>; added: Map<string, number> };
    parts: Part[];
  }> {
    const results = new Map<string, SubmitResult>();
    const added = new Map<string, number>();
    const parts: Part[] = [];
    const fresh = await this.#takeKeys(tx, group, results);
    if (fresh.length === 0) return { value: { results, ids: new Map(), added }, parts };
    const { names, clock, boss, policies, backlog } = this.#o;
    const now = clock.now();

    const wanted = fresh.flatMap((p) =>
      p.request.target.recipients.map(({ msisdn }) => ({ organisation: p.organisation, msisdn })),
    );
    const { ids, parts: recipientParts } = await this.#o.recipients.resolveIn(tx, entry, wanted);
    parts.push(...recipientParts);
    const recipientOf = (p: Prepared, msisdn: string): number => ids.get(`${p.organisation}/${msisdn}`) as number;

    // Ids in a fixed order, so that a repeated run stores the same rows.
    let next = firstId;
    const bodies: { id: number; organisation: number; sealed: Sealed }[] = [];
    const bodyOf = new Map<string, number[]>();
    for (const p of fresh) {
      bodyOf.set(
        p.id,
        p.texts.map(({ sealed }) => {
          bodies.push({ id: next, organisation: p.organisation, sealed });
          return next++;
        }),
      );
    }
    await tx.query(
      `INSERT INTO body (id, organisation, key_ref, sealed)
       SELECT id, organisation, key_ref, decode(sealed, 'hex')
       FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS b(id, organisation, key_ref, sealed)`,
      [
        bodies.map((b) => b.id),
        bodies.map((b) => b.organisation),
        bodies.map((b) => b.sealed.keyRef),
        bodies.map((b) => b.sealed.sealed.toString('hex')),
      ],
    );
    const rows = fresh.map((p) => ({
      day: utcDay(p.acceptedAt),
      id: p.id,
      organisation: p.organisation,
      producer: p.producer,
      lane: names.laneId(p.request.lane),
      status: p.request.status,
      secret: p.request.secret,
      sender: p.request.sender,
      reference: p.request.reference,
      body: bodyOf.get(p.id)?.[0] as number,
      commitment: p.texts[0]?.sealed.commitment as Buffer,
      lists: p.lists,
      recipients: p.recipients,
      notBefore: p.request.notBefore,
      expiresAt: p.expiresAt,
      acceptedAt: p.acceptedAt,
      predictedSubmitAt: p.predictedSubmitAt,
    }));
    parts.push(...(await insertFacts(tx, alertTable, rows, entry, { onConflict: 'error' })).parts);
    const texts = fresh.flatMap((p) =>
      p.texts.flatMap(({ language, sealed }, index) =>
        language === null || p.texts.length === 1
          ? []
          : [
              {
                day: utcDay(p.acceptedAt),
                alert: p.id,
                language,
                body: bodyOf.get(p.id)?.[index] as number,
                commitment: sealed.commitment,
              },
            ],
      ),
    );
    if (texts.length > 0)
      parts.push(...(await insertFacts(tx, alertText, texts, entry, { onConflict: 'error' })).parts);

    const single = fresh.filter(isSingle);
    const wide = fresh.filter((p) => !isSingle(p));
    const named = wide.flatMap((p) =>
      p.request.target.recipients.map(({ msisdn, reference }) => ({
        day: utcDay(p.acceptedAt),
        alert: p.id,
        recipient: recipientOf(p, msisdn),
        reference,
      })),
    );
    if (named.length > 0)
      parts.push(...(await insertFacts(tx, alertRecipient, named, entry, { onConflict: 'ignore' })).parts);

    // Alerts with one recipient: their deliveries, one chunk per day, lane, route and time.
    const groups = Map.groupBy(single, (p) => {
      const route = routeOf(policies.routing, p.request.target.recipients[0]?.msisdn as string, p.request.lane).name;
      return `${utcDay(p.acceptedAt)}/${p.request.lane}/${route}/${p.request.notBefore ?? ''}`;
    });
    const deliveries: DeliveryRow[] = [];
    const chunks: NewChunk[] = [];
    for (const [key, members] of groups) {
      const [day, lane, route] = key.split('/') as [string, LaneName, string];
      const size = backlog.chunkSize(route);
      for (let from = 0; from < members.length; from += size) {
        const inChunk = members.slice(from, from + size);
        const chunk = next;
        for (const p of inChunk) {
          const recipient = p.request.target.recipients[0];
          deliveries.push({
            day,
            id: next++,
            alert: p.id,
            recipient: recipientOf(p, recipient?.msisdn as string),
            organisation: p.organisation,
            lane: names.laneId(lane),
            route: names.routeId(route),
            chunk,
            body: bodyOf.get(p.id)?.[0] as number,
            reference: recipient?.reference ?? null,
            expiresAt: p.expiresAt,
            createdAt: p.acceptedAt,
          });
        }
        chunks.push({
          id: chunk,
          day,
          alert: null,
          lane,
          laneId: names.laneId(lane),
          route,
          routeId: names.routeId(route),
          firstDelivery: chunk,
          deliveries: inChunk.length,
          rank: lane === 'emergency' ? 500 : 0,
          number: 0,
          notBefore: inChunk[0]?.request.notBefore ?? null,
          schedule: scheduleOf(policies, route),
          expiresMin: Math.min(...inChunk.map((p) => p.expiresAt)),
          expiresMax: Math.max(...inChunk.map((p) => p.expiresAt)),
        });
        added.set(`${route}.${lane}`, (added.get(`${route}.${lane}`) ?? 0) + inChunk.length);
      }
    }
    if (deliveries.length > 0)
      parts.push(...(await insertFacts(tx, delivery, deliveries, entry, { onConflict: 'error' })).parts);
    await insertChunks(tx, boss, chunks, now);
    await insertFanoutJobs(
      tx,
      boss,
      wide.map((p) => ({
        day: utcDay(p.acceptedAt),
        alert: p.id,
        priority: policies.lanes[p.request.lane].priority,
      })),
    );
    if (wide.length > 0) await notifyFanout(tx);
    await notifyDispatch(tx, chunks);
    for (const p of fresh) results.set(p.id, { kind: 'accepted', alert: acceptedOf(p), replay: false });
    return { value: { results, ids, added }, parts };
  }

  /** Takes the idempotency keys of the group; alerts whose key was taken before get their answer here. */
  async #takeKeys(tx: Tx, group: readonly Prepared[], results: Map<string, SubmitResult>): Promise<Prepared[]> {
    const keyed = group
      .filter((p) => p.idempotency !== null)
      .sort((a, b) => a.producer - b.producer || compare(a.idempotency?.key ?? '', b.idempotency?.key ?? ''));
    if (keyed.length === 0) return [...group];
    const now = this.#o.clock.now();
    const taken = await tx.query<{ producer: number; key: string; alert: string }>(
      `INSERT INTO idempotency_key AS k (producer, key, fingerprint, fingerprint_key, day, alert, expires_at)
       SELECT producer, key, decode(fingerprint, 'hex'), fingerprint_key, day, alert, $7
       FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::date[], $6::uuid[])
            AS i(producer, key, fingerprint, fingerprint_key, day, alert)
       ON CONFLICT (producer, key) DO UPDATE SET fingerprint = excluded.fingerprint, fingerprint_key = excluded.fingerprint_key,
          day = excluded.day, alert = excluded.alert, expires_at = excluded.expires_at WHERE k.expires_at < $8
       RETURNING alert`,
      [
        keyed.map((p) => p.producer),
        keyed.map((p) => p.idempotency?.key),
        keyed.map((p) => p.idempotency?.fingerprint.digest.toString('hex')),
        keyed.map((p) => p.idempotency?.fingerprint.key),
        keyed.map((p) => utcDay(p.acceptedAt)),
        keyed.map((p) => p.id),
        now + IDEMPOTENCY_MS,
        now,
      ],
    );
    const won = new Set(taken.map((row) => row.alert));
    const lost = keyed.filter((p) => !won.has(p.id));
    if (lost.length === 0) return [...group];
    const stored = await tx.query<
      { producer: number; key: string; fingerprint: Buffer; fingerprint_key: string; alert: string } & StoredAnswer
    >(
      `SELECT k.producer, k.key, k.fingerprint, k.fingerprint_key, k.alert, a.lane, a.recipients, a.expires_at, a.not_before,
              a.accepted_at, a.predicted_submit_at
       FROM unnest($1::bigint[], $2::text[]) AS w(producer, key)
       JOIN idempotency_key k ON k.producer = w.producer AND k.key = w.key
       JOIN alert a ON a.day = k.day AND a.id = k.alert`,
      [lost.map((p) => p.producer), lost.map((p) => p.idempotency?.key)],
    );
    const byKey = new Map(stored.map((row) => [`${row.producer}/${row.key}`, row]));
    for (const p of lost) {
      const row = byKey.get(`${p.producer}/${p.idempotency?.key}`);
      const matches =
        row === undefined ? false : await this.#o.matches(p, { key: row.fingerprint_key, digest: row.fingerprint });
      results.set(
        p.id,
        row === undefined || matches === false
          ? refused('idempotency-mismatch', 'Idempotency-Key', 'This key was used with another body.')
          : { kind: 'accepted', alert: answerOf(row, this.#o.names), replay: true },
      );
    }
    const out = new Set(lost);
    return group.filter((p) => !out.has(p));
  }
}

export interface StoredAnswer {
  alert: string;
  lane: number;
  recipients: number;
  expires_at: number;
  not_before: number | null;
  accepted_at: number;
  predicted_submit_at: number;
}

/** The first answer again, from what was stored. */
export function answerOf(row: StoredAnswer, names: Names): AcceptedAlert {
  return {
    id: row.alert,
    state: row.not_before !== null && row.not_before > row.accepted_at ? 'scheduled' : 'accepted',
    lane: names.laneName(row.lane),
    recipients: row.recipients,
    expiresAt: row.expires_at,
    predictedSubmitAt: row.predicted_submit_at,
  };
}

export function isSingle(p: Prepared): boolean {
  return p.lists.length === 0 && p.request.target.recipients.length === 1;
}

function acceptedOf(p: Prepared): AcceptedAlert {
  return {
    id: p.id,
    state: p.request.notBefore !== null && p.request.notBefore > p.acceptedAt ? 'scheduled' : 'accepted',
    lane: p.request.lane,
    recipients: p.recipients,
    expiresAt: p.expiresAt,
    predictedSubmitAt: p.predictedSubmitAt,
  };
}

function idsNeeded(group: readonly Arrival[]): number {
  return group.reduce((sum, { prepared }) => sum + prepared.texts.length + 1, 0);
}

function overloaded(): SubmitResult {
  return refused('overloaded', null, 'The alert could not be stored just now; send it again.', 1);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
