/** What producers read of their alerts. The one place that filters alerts by organisation. */
import { alertPausedSql } from '../dispatch/index.ts';
import { type Clock, type EpochMs, type Pool, utcDay } from '../platform/index.ts';
import type { Names } from '../policy/index.ts';
import { FINAL, FINAL_STATES, type FinalCode, readProgress } from '../records/index.ts';
import type { AcceptedAlert, AlertProgress, AlertState, AlertStatus, AlertView, WordingChange } from './types.ts';
import { timeOf } from './uuid.ts';

/** What the 202 of an alert `a` is made of. Changes lean on the primary key of alert_change; most alerts have none. */
export const ANSWER_COLUMNS = `a.id, a.lane, a.recipients, a.not_before, a.expires_at, a.predicted_submit_at,
  (select json_agg(json_build_array(c.language, c.first_at, c.written, c.sent, c.times, c.binds)
                   order by c.language, c.first_at, c.sent)::text
   from alert_change c where c.day = a.day and c.alert = a.id) as changes`;

export interface AnswerRow {
  readonly id: string;
  readonly lane: number;
  readonly recipients: number;
  readonly not_before: number | null;
  readonly expires_at: number;
  readonly predicted_submit_at: number;
  /** JSON of {@link ChangeRow}s. */
  readonly changes: string | null;
}

type ChangeRow = [language: string, firstAt: number, written: string, sent: string, times: number, binds: number[]];

/** The first answer again. */
export function answerOf(row: AnswerRow, names: Names): AcceptedAlert {
  return {
    id: row.id,
    state: stateAtAcceptance(row.not_before),
    lane: names.laneName(row.lane),
    recipients: row.recipients,
    expiresAt: row.expires_at,
    predictedSubmitAt: row.predicted_submit_at,
    changes: row.changes === null ? [] : changesOf(JSON.parse(row.changes) as ChangeRow[], names),
  };
}

const changesOf = (rows: readonly ChangeRow[], names: Names): WordingChange[] =>
  rows.map(([language, position, character, replacement, count, binds]) => ({
    language: language === '' ? null : language,
    ...{ character, replacement, count, position },
    carriers: binds.map((bind) => names.bindName(bind)).sort(),
  }));

interface Row extends AnswerRow {
  readonly day: string;
  readonly status: AlertStatus;
  readonly secret: boolean;
  readonly sender: string | null;
  readonly reference: string | null;
  readonly single: boolean;
  readonly accepted_at: number;
  readonly cancelled_at: number | null;
  readonly paused: boolean;
}

const NO_ENDS = { delivered: 0, failed: 0, expired: 0, cancelled: 0, suppressed: 0, unknown: 0 };

/** Beyond this (9999-12-31) a time is no day that a database has. */
const TIME_MAX = 253_402_300_799_999;

/** The UTC day of acceptance in an alert's id; null when `id` is none of ours. */
export function dayOf(id: string): string | null {
  const ms = timeOf(id);
  return ms === null || ms > TIME_MAX ? null : utcDay(ms);
}

export class AlertReader {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #names: Names;
  /** A carrier without receipts, or with those of failures only, is in use: there `submitted` is a final state. */
  readonly #submittedIsFinal: boolean;

  constructor(tools: { pool: Pool; clock: Clock; names: Names; submittedIsFinal: boolean }) {
    this.#pool = tools.pool;
    this.#clock = tools.clock;
    this.#names = tools.names;
    this.#submittedIsFinal = tools.submittedIsFinal;
  }

  /** Null when the organisation has no such alert. */
  async get(organisation: number, id: string): Promise<AlertView | null> {
    const day = dayOf(id);
    if (day === null) return null;
    const [row] = await this.#pool.query<Row>(
      `select ${ANSWER_COLUMNS}, a.day, a.status, a.secret, a.sender, a.reference, a.accepted_at,
         a.recipients = 1 and cardinality(a.lists) = 0 as single, c.at as cancelled_at,
         ${alertPausedSql('a.day', 'a.id')} as paused
       from alert a left join alert_cancel c on c.day = a.day and c.alert = a.id
       where a.day = $1::date and a.id = $2::uuid and a.organisation = $3`,
      [day, id, organisation],
      { retries: 2 },
    );
    return row === undefined ? null : await this.#view(row);
  }

  async #view(row: Row): Promise<AlertView> {
    const { progress, begun } = row.single ? await this.#progressOfOne(row) : await this.#progressOfMany(row);
    return {
      ...answerOf(row, this.#names),
      state: stateOf(row, progress, begun, this.#clock.now()),
      status: row.status,
      secret: row.secret,
      sender: row.sender,
      reference: row.reference,
      acceptedAt: row.accepted_at,
      notBefore: row.not_before,
      cancelledAt: row.cancelled_at,
      paused: row.paused,
      progress,
    };
  }

  /** Of an alert to one number: its delivery's facts. `submitted` once every segment was accepted. */
  async #progressOfOne({ day, id }: Row): Promise<{ progress: AlertProgress; begun: boolean }> {
    const [one] = await this.#pool.query<{ final: FinalCode | null; accepted: number; segments: number | null }>(
      `select f.state as final, s.accepted, s.segments from delivery d
       left join final_state f on f.day = d.day and f.delivery = d.id
       cross join lateral (
         select count(distinct segment) filter (where outcome = 1) as accepted, max(segments) as segments
         from submission where day = d.day and delivery = d.id
       ) as s where d.day = $1::date and d.alert = $2::uuid`,
      [day, id],
      { retries: 2 },
    );
    if (one === undefined) throw new TypeError('an alert to one number has its delivery from the start');
    const { final, accepted, segments } = one;
    const submitted = segments !== null && accepted >= segments ? 1 : 0;
    const ends = { ...NO_ENDS };
    const name = final === null ? null : FINAL_STATES[final];
    if (name !== null && name !== 'submitted') ends[name] = 1;
    const progress = { deliveries: 1, fannedOut: true, submitted, ...ends, open: final === null ? 1 : 0 };
    return { progress, begun: segments !== null || final !== null };
  }

  async #progressOfMany({ day, id }: Row): Promise<{ progress: AlertProgress; begun: boolean }> {
    const query = <T extends object>(text: string, params?: readonly unknown[]): Promise<T[]> =>
      this.#pool.query<T>(text, params, { retries: 2 });
    // The ends first: deliveries that are made in between can only make the alert look less complete than it is.
    const { submitted, delivered, failed, expired, cancelled, suppressed, unknown } = await readProgress(
      query,
      day,
      id,
    );
    const [pages] = await query<{ deliveries: number; last: boolean | null }>(
      `select coalesce(sum(deliveries), 0)::bigint as deliveries, bool_or(last) as last
       from fanout_page where day = $1::date and alert = $2::uuid`,
      [day, id],
    );
    const deliveries = pages?.deliveries ?? 0;
    let open = deliveries - (delivered + failed + expired + cancelled + suppressed + unknown);
    if (open > 0 && submitted > 0 && this.#submittedIsFinal) open -= await this.#endedAsSubmitted(day, id);
    const ends = { delivered, failed, expired, cancelled, suppressed, unknown };
    const progress = { deliveries, fannedOut: pages?.last === true, submitted, ...ends, open: Math.max(0, open) };
    return { progress, begun: deliveries > 0 };
  }

  /** The sums don't tell `submitted` as an end from `submitted` on the way. Leans on final_state's primary key. */
  async #endedAsSubmitted(day: string, id: string): Promise<number> {
    const [row] = await this.#pool.query<{ n: number }>(
      `select count(*) as n from delivery d join final_state f on f.day = d.day and f.delivery = d.id
       where d.day = $1::date and d.alert = $2::uuid and f.state = ${FINAL.submitted}`,
      [day, id],
      { retries: 2 },
    );
    return row?.n ?? 0;
  }
}

/** Stored with `notBefore` only where that was ahead. */
export const stateAtAcceptance = (holdUntil: EpochMs | null): AlertState =>
  holdUntil === null ? 'accepted' : 'scheduled';

function stateOf(row: Row, progress: AlertProgress, begun: boolean, now: EpochMs): AlertState {
  if (row.cancelled_at !== null) return 'cancelled';
  if (progress.fannedOut && progress.open === 0) return 'complete';
  if (row.not_before !== null && row.not_before > now && progress.submitted === 0) return 'scheduled';
  return begun ? 'sending' : 'accepted';
}
