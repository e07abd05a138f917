/**
 * What auditors and producers read of deliveries. State is derived from facts on the way out; each statement leans on an
 * index and is limited, so that no read lasts long.
 */
import type { EpochMs, Pool } from '../platform/index.ts';
import type { LaneName, Names } from '../policy/index.ts';
import {
  type DeliveryState,
  FINAL,
  FINAL_STATES,
  type FinalCode,
  finalOfReceipt,
  MESSAGE_STATE,
  openState,
} from './state.ts';

export interface DeliverySearchQuery {
  readonly organisation: number;
  readonly alert: string | null;
  readonly msisdn: string | null;
  readonly reference: string | null;
  readonly messageId: string | null;
  readonly state: DeliveryState | null;
  readonly lane: LaneName | null;
  readonly from: EpochMs | null;
  readonly to: EpochMs | null;
  readonly after: { readonly day: string; readonly id: number } | null;
  readonly limit: number;
}

export interface DeliveryView {
  readonly day: string;
  readonly id: number;
  readonly alert: string;
  readonly msisdn: string | null;
  readonly reference: string | null;
  readonly lane: LaneName;
  readonly route: string;
  readonly state: DeliveryState;
  readonly conflict: boolean;
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs;
  readonly finalAt: EpochMs | null;
}

export interface DeliveryEvent {
  readonly at: EpochMs;
  readonly kind: 'created' | 'claimed' | 'released' | 'submission' | 'cancellation' | 'receipt' | 'final';
  readonly bind?: string;
  readonly attempt?: number;
  readonly segment?: number;
  readonly segments?: number;
  readonly outcome?: 'accepted' | 'refused' | 'refused-for-now' | 'unanswered';
  readonly status?: number;
  readonly messageId?: string;
  readonly possibleDuplicate?: boolean;
  readonly answeredAt?: EpochMs;
  readonly state?: string;
  readonly error?: string;
  readonly duplicate?: boolean;
  readonly cause?: string;
  readonly entry: number;
}

interface Row {
  day: string;
  id: number;
  alert: string;
  msisdn: string | null;
  reference: string | null;
  lane: number;
  route: number;
  created_at: number;
  expires_at: number;
  final: FinalCode | null;
  final_at: number | null;
  claimed: boolean;
  attempts: number[] | null;
  outcomes: number[] | null;
  receipt_states: number[] | null;
}

const OUTCOMES = { 1: 'accepted', 2: 'refused', 3: 'refused-for-now', 4: 'unanswered' } as const;
const STATE_NAMES = new Map<number, string>(Object.entries(MESSAGE_STATE).map(([name, code]) => [code, name]));
const CODE_OF = new Map<string, number>(Object.entries(FINAL_STATES).map(([code, name]) => [name, Number(code)]));

/** The columns from which a state is derived, for a delivery `d`. A receipt that stands with its final state agrees with it. */
const SELECT = `
  SELECT d.day, d.id, d.alert, r.msisdn, d.reference, d.lane, d.route, d.created_at, d.expires_at,
         f.state AS final, f.at AS final_at, s.attempts, s.outcomes, q.receipt_states,
         EXISTS (SELECT 1 FROM claim c WHERE c.day = d.day AND c.chunk = d.chunk AND d.id = ANY(c.deliveries)) AS claimed
  FROM delivery d
  LEFT JOIN recipient r ON r.id = d.recipient
  LEFT JOIN final_state f ON f.day = d.day AND f.delivery = d.id
  LEFT JOIN LATERAL (SELECT array_agg(attempt ORDER BY attempt, segment) AS attempts,
                            array_agg(outcome ORDER BY attempt, segment) AS outcomes
                     FROM submission s WHERE s.day = d.day AND s.delivery = d.id) s ON true
  LEFT JOIN LATERAL (SELECT array_agg(DISTINCT state) AS receipt_states
                     FROM receipt q WHERE q.day = d.day AND q.delivery = d.id) q ON true`;

/** Rows read to find one page of deliveries in a state that has no index of its own. */
const SCAN_MAX = 20_000;

export class DeliveryReader {
  readonly #pool: Pool;
  readonly #names: Names;

  constructor(pool: Pool, names: Names) {
    this.#pool = pool;
    this.#names = names;
  }

  /** Newest first. A page may be short of `limit` while `next` is set, when rows of another state were passed over. */
  async search(
    search: DeliverySearchQuery,
  ): Promise<{ deliveries: DeliveryView[]; next: { day: string; id: number } | null }> {
    const params: unknown[] = [];
    const p = (value: unknown): string => `$${params.push(value)}`;
    const where = [`d.organisation = ${p(search.organisation)}`];
    if (search.alert !== null)
      where.push(`d.alert = ${p(search.alert)}::uuid`, `d.day = ${p(dayOfUuid(search.alert))}::date`);
    if (search.msisdn !== null) {
      where.push(
        `d.recipient = (SELECT x.id FROM recipient x WHERE x.organisation = ${p(search.organisation)} AND x.msisdn = ${p(search.msisdn)})`,
      );
    }
    if (search.reference !== null) {
      const reference = p(search.reference);
      where.push(
        `(d.reference = ${reference} OR (d.day, d.alert) IN (SELECT a.day, a.id FROM alert a WHERE a.organisation = ${p(search.organisation)} AND a.reference = ${reference}))`,
      );
    }
    if (search.messageId !== null) {
      where.push(
        `(d.day, d.id) IN (SELECT m.day, m.delivery FROM submission m WHERE m.bind = ANY(${p(await this.#binds())}::smallint[]) AND m.message_id = ${p(search.messageId)})`,
      );
    }
    if (search.lane !== null) where.push(`d.lane = ${p(this.#names.laneId(search.lane))}`);
    if (search.from !== null) where.push(`d.created_at >= ${p(search.from)}`, `d.day >= ${p(day(search.from))}::date`);
    if (search.to !== null) where.push(`d.created_at < ${p(search.to)}`, `d.day <= ${p(day(search.to))}::date`);
    const code = search.state === null ? undefined : CODE_OF.get(search.state);
    if (search.state !== null && search.state !== 'submitted' && code !== undefined) where.push(`f.state = ${p(code)}`);
    else if (search.state === 'queued' || search.state === 'claimed') where.push('f.state IS NULL');
    else if (search.state === 'submitted') where.push('(f.state IS NULL OR f.state = 7)');
    const key = (after: { day: string; id: number }): string =>
      `(d.day, d.id) < (${p(after.day)}::date, ${p(after.id)})`;
    if (search.after !== null) where.push(key(search.after));
    const rows = await this.#pool.query<Row>(
      `${SELECT} WHERE ${where.join(' AND ')} ORDER BY d.day DESC, d.id DESC LIMIT ${p(Math.min(SCAN_MAX, search.limit + 1))}`,
      params,
      { retries: 2 },
    );
    const page = rows.slice(0, search.limit);
    const last = page[page.length - 1];
    return {
      deliveries: page
        .map((row) => this.#view(row))
        .filter((view) => search.state === null || view.state === search.state),
      next: rows.length > search.limit && last !== undefined ? { day: last.day, id: last.id } : null,
    };
  }

  /** A delivery with all its facts in order of time; null when the organisation has no such delivery. */
  async get(
    organisation: number,
    key: { readonly day: string; readonly id: number },
  ): Promise<(DeliveryView & { attempts: number; timeline: DeliveryEvent[] }) | null> {
    const where = [key.day, key.id];
    const [row] = await this.#pool.query<Row & { entry: number; chunk: number }>(
      `${SELECT.replace('SELECT d.day', 'SELECT d.entry, d.chunk, d.day')} WHERE d.organisation = $1 AND d.day = $2::date AND d.id = $3`,
      [organisation, ...where],
      { retries: 2 },
    );
    if (row === undefined) return null;
    const events: DeliveryEvent[] = [{ at: row.created_at, kind: 'created', entry: row.entry }];
    const claims = await this.#pool.query<{ at: number; bind: number; attempt: number; entry: number }>(
      `SELECT at, bind, attempt, entry FROM claim WHERE day = $1::date AND $2 = ANY(deliveries)
         AND chunk IN (SELECT $3 UNION SELECT id FROM chunk WHERE $2 = ANY(delivery_ids))`,
      [...where, row.chunk],
      { retries: 2 },
    );
    for (const c of claims) {
      events.push({
        at: c.at,
        kind: 'claimed',
        bind: this.#names.bindName(c.bind),
        attempt: c.attempt,
        entry: c.entry,
      });
    }
    events.push(
      ...(await this.#submissions(where)),
      ...(await this.#cancellations(where)),
      ...(await this.#receipts(where)),
      ...(await this.#ends(where)),
    );
    events.sort((a, b) => a.at - b.at);
    return { ...this.#view(row), attempts: Math.max(0, ...(row.attempts ?? [])), timeline: events };
  }

  async #submissions(where: unknown[]): Promise<DeliveryEvent[]> {
    const rows = await this.#pool.query<{
      attempt: number;
      segment: number;
      segments: number;
      bind: number;
      outcome: 1 | 2 | 3 | 4;
      status: number | null;
      message_id: string | null;
      possible_duplicate: boolean;
      sent_at: number;
      answered_at: number | null;
      entry: number;
    }>('SELECT * FROM submission WHERE day = $1::date AND delivery = $2 ORDER BY attempt, segment', where, {
      retries: 2,
    });
    return rows.map((s) => ({
      at: s.sent_at,
      kind: 'submission',
      bind: this.#names.bindName(s.bind),
      attempt: s.attempt,
      segment: s.segment,
      segments: s.segments,
      outcome: OUTCOMES[s.outcome],
      ...(s.status === null ? {} : { status: s.status }),
      ...(s.message_id === null ? {} : { messageId: s.message_id }),
      possibleDuplicate: s.possible_duplicate,
      ...(s.answered_at === null ? {} : { answeredAt: s.answered_at }),
      entry: s.entry,
    }));
  }

  async #cancellations(where: unknown[]): Promise<DeliveryEvent[]> {
    const rows = await this.#pool.query<{
      attempt: number;
      segment: number;
      bind: number;
      outcome: 1 | 2 | 3 | 4;
      status: number | null;
      sent_at: number;
      answered_at: number | null;
      entry: number;
    }>('SELECT * FROM cancellation WHERE day = $1::date AND delivery = $2 ORDER BY attempt, segment, number', where, {
      retries: 2,
    });
    return rows.map((c) => ({
      at: c.sent_at,
      kind: 'cancellation',
      bind: this.#names.bindName(c.bind),
      attempt: c.attempt,
      segment: c.segment,
      outcome: OUTCOMES[c.outcome],
      ...(c.status === null ? {} : { status: c.status }),
      ...(c.answered_at === null ? {} : { answeredAt: c.answered_at }),
      entry: c.entry,
    }));
  }

  async #receipts(where: unknown[]): Promise<DeliveryEvent[]> {
    const rows = await this.#pool.query<{
      attempt: number;
      segment: number;
      bind: number;
      state: number;
      error: string | null;
      duplicate: boolean;
      received_at: number;
      entry: number;
    }>('SELECT * FROM every_receipt WHERE day = $1::date AND delivery = $2 ORDER BY id', where, { retries: 2 });
    return rows.map((r) => ({
      at: r.received_at,
      kind: 'receipt',
      bind: this.#names.bindName(r.bind),
      attempt: r.attempt,
      segment: r.segment,
      state: STATE_NAMES.get(r.state) ?? 'unknown',
      ...(r.error === null ? {} : { error: r.error }),
      duplicate: r.duplicate,
      entry: r.entry,
    }));
  }

  async #ends(where: unknown[]): Promise<DeliveryEvent[]> {
    const releases = await this.#pool.query<{
      at: number;
      bind: number;
      attempt: number;
      reason: string;
      status: number | null;
      entry: number;
    }>(
      'SELECT at, bind, attempt, reason, status, entry FROM release WHERE day = $1::date AND delivery = $2 ORDER BY id',
      where,
      { retries: 2 },
    );
    const finals = await this.#pool.query<{ at: number; state: FinalCode; cause: string | null; entry: number }>(
      'SELECT at, state, cause, entry FROM final_state WHERE day = $1::date AND delivery = $2',
      where,
      { retries: 2 },
    );
    return [
      ...releases.map((r) => ({
        at: r.at,
        kind: 'released' as const,
        bind: this.#names.bindName(r.bind),
        attempt: r.attempt,
        cause: r.reason,
        ...(r.status === null ? {} : { status: r.status }),
        entry: r.entry,
      })),
      ...finals.map((f) => ({
        at: f.at,
        kind: 'final' as const,
        state: FINAL_STATES[f.state],
        ...(f.cause === null ? {} : { cause: f.cause }),
        entry: f.entry,
      })),
    ];
  }

  #view(row: Row): DeliveryView {
    const submissions = (row.attempts ?? []).map((attempt, index) => ({
      attempt,
      segment: 0,
      segments: 0,
      outcome: row.outcomes?.[index] ?? 0,
    }));
    const state = row.final === null ? openState(row.claimed, submissions) : FINAL_STATES[row.final];
    const conflict = row.final !== null && (row.receipt_states ?? []).some((s) => contradicts(s, row.final));
    return {
      day: row.day,
      id: row.id,
      alert: row.alert,
      msisdn: row.msisdn,
      reference: row.reference,
      lane: this.#names.laneName(row.lane),
      route: this.#names.routeName(row.route),
      state,
      conflict,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      finalAt: row.final_at,
    };
  }

  /** Message ids are indexed by bind: all binds that were ever known. */
  async #binds(): Promise<number[]> {
    const rows = await this.#pool.query<{ id: number }>('SELECT id FROM bind', [], { retries: 2 });
    return rows.map((row) => row.id);
  }
}

function contradicts(state: number, final: FinalCode | null): boolean {
  // What was given up on our asking is reported so.
  if (state === MESSAGE_STATE.deleted && final === FINAL.cancelled) return false;
  const receipt = finalOfReceipt(state);
  return receipt !== null && final !== null && final !== 7 && receipt !== final;
}

/** The UTC day of a UUIDv7: the day on which its alert was accepted. */
export function dayOfUuid(uuid: string): string {
  const ms = Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16);
  return day(Number.isFinite(ms) && ms < 8.64e15 ? ms : 0);
}

const day = (ms: EpochMs): string => new Date(ms).toISOString().slice(0, 10);
