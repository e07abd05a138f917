/** The room's door: submit, get, cancel. */
import canonicalize from 'canonicalize';
import type { Principal } from '../access/index.ts';
import { type ChainWriter, insertFacts } from '../audit/index.ts';
import { type Backlog, CANCEL_CHANNEL } from '../dispatch/index.ts';
import type { Clock, EpochMs, Pool, Vault } from '../platform/index.ts';
import { type Names, type Policies, routeOf } from '../policy/index.ts';
import { FINAL_STATES, type FinalCode, readProgress } from '../records/index.ts';
import { dayOf } from './day.ts';
import { answerOf, type Intake, type Prepared, type StoredAnswer } from './intake.ts';
import { checkRequest, refused } from './rules.ts';
import { alertCancel } from './tables.ts';
import type {
  AlertProblem,
  AlertProgress,
  AlertRequest,
  AlertService,
  AlertState,
  AlertStatus,
  AlertView,
  CancelResult,
  SubmitResult,
} from './types.ts';
import { UuidSource } from './uuid.ts';

export interface AlertsOptions {
  pool: Pool;
  intake: Intake;
  writer: ChainWriter;
  vault: Vault;
  clock: Clock;
  policies: Policies;
  names: Names;
  backlog: Backlog;
}

interface AlertRow extends StoredAnswer {
  id: string;
  day: string;
  status: AlertStatus;
  secret: boolean;
  sender: string | null;
  reference: string | null;
  lists: number[];
  cancelled_at: number | null;
}

export class Alerts implements AlertService {
  readonly #o: AlertsOptions;
  readonly #ids = new UuidSource();
  /** Keys of requests under way in this process. */
  readonly #running = new Set<string>();

  constructor(options: AlertsOptions) {
    this.#o = options;
  }

  async submit(principal: Principal, request: AlertRequest, idempotencyKey: string | null): Promise<SubmitResult> {
    const { intake } = this.#o;
    if (!intake.hasRoom) {
      return {
        kind: 'problem',
        problem: refusal('overloaded', null, 'too many alerts wait to be stored; send it again', 1),
      };
    }
    const running = idempotencyKey === null ? null : `${principal.producer}/${idempotencyKey}`;
    if (running !== null && this.#running.has(running)) {
      return {
        kind: 'problem',
        problem: refusal(
          'idempotency-running',
          'Idempotency-Key',
          'the first request with this key is still under way',
          1,
        ),
      };
    }
    if (running !== null) this.#running.add(running);
    try {
      const prepared = await this.#prepare(principal, request, idempotencyKey);
      if ('code' in prepared) return { kind: 'problem', problem: prepared };
      return await intake.add(prepared);
    } finally {
      if (running !== null) this.#running.delete(running);
    }
  }

  async #prepare(principal: Principal, request: AlertRequest, idempotencyKey: string | null) {
    const { clock, policies, vault, backlog } = this.#o;
    const policy = policies.lanes[request.lane];
    const now = clock.now();
    const verdict = checkRequest(request, { now, lane: policy, allowedLanes: [...principal.lanes] });
    if (verdict.kind === 'problem') return verdict.problem;
    const { checked } = verdict;
    const lists: number[] = [];
    let recipients = request.target.recipients.length;
    if (request.target.lists.length > 0) {
      const rows = await this.#o.pool.query<{ id: number; name: string; members: number }>(
        `SELECT l.id, l.name, (SELECT count(*) FROM list_member m WHERE m.list = l.id) AS members
         FROM list l WHERE l.organisation = $1 AND l.name = ANY($2::text[])`,
        [principal.organisation, request.target.lists],
        { retries: 2 },
      );
      for (const [index, name] of request.target.lists.entries()) {
        const row = rows.find((each) => each.name === name);
        if (row === undefined) return refusal('list-unknown', `target.lists.${index}`, 'there is no such list');
        if (row.members === 0) return refusal('list-empty', `target.lists.${index}`, 'the list has no members');
        lists.push(row.id);
        recipients += row.members;
      }
    }
    if (recipients === 0) return refusal('empty-target', 'target', 'name at least one recipient or list');
    const first = request.target.recipients[0];
    const route =
      first === undefined
        ? policies.routing.routes[0]?.name
        : routeOf(policies.routing, first.msisdn, request.lane).name;
    const ahead = route === undefined ? 0 : backlog.ahead(route, request.lane);
    const { segments } = checked;
    const tps = route === undefined ? 1 : backlog.tps(route);
    const predictedSubmitAt = Math.round(
      Math.max(now, request.notBefore ?? now) + ((ahead + recipients * segments) / tps) * 1_000,
    );
    if (predictedSubmitAt > checked.expiresAt && policy.cannotMeetExpiry === 'refuse') {
      const wait = Math.max(1, Math.min(3_600, Math.ceil((predictedSubmitAt - checked.expiresAt) / 1_000)));
      return refusal('cannot-meet-expiry', null, 'what waits ahead would hold it back until after it expires', wait);
    }
    const texts = await Promise.all(
      request.texts.map(async ({ language, text }) => ({
        language,
        sealed: await vault.seal({
          organisation: principal.organisation,
          class: request.secret ? 'secret' : 'normal',
          text,
          expiresAt: checked.expiresAt,
        }),
      })),
    );
    const prepared: Prepared = {
      id: this.#ids.at(now),
      organisation: principal.organisation,
      producer: principal.producer,
      request,
      acceptedAt: now,
      expiresAt: checked.expiresAt,
      predictedSubmitAt,
      lists,
      recipients,
      texts,
      idempotency: null,
    };
    if (idempotencyKey !== null) {
      const keyRef = request.secret ? await vault.secretKeyRef(checked.expiresAt) : null;
      const fingerprint = await vault.fingerprint(canonical(request), keyRef);
      if (fingerprint !== null) prepared.idempotency = { key: idempotencyKey, fingerprint };
    }
    return prepared;
  }

  /** For intake: is this stored fingerprint that of the request? */
  static matcher(vault: Vault) {
    return async (prepared: Prepared, stored: { key: string; digest: Buffer }): Promise<boolean | null> => {
      const keyRef = stored.key === 'master' ? null : stored.key;
      const fingerprint = await vault.fingerprint(canonical(prepared.request), keyRef);
      return fingerprint === null ? null : fingerprint.digest.equals(stored.digest);
    };
  }

  async get(organisation: number, id: string): Promise<AlertView | null> {
    const day = dayOf(id);
    if (day === null) return null;
    const [row] = await this.#o.pool.query<AlertRow>(
      `SELECT a.id, a.id AS alert, a.day, a.lane, a.status, a.secret, a.sender, a.reference, a.lists, a.recipients, a.not_before,
              a.expires_at, a.accepted_at, a.predicted_submit_at, c.at AS cancelled_at
       FROM alert a LEFT JOIN alert_cancel c ON c.day = a.day AND c.alert = a.id
       WHERE a.day = $1::date AND a.id = $2::uuid AND a.organisation = $3`,
      [day, id, organisation],
      { retries: 2 },
    );
    return row === undefined ? null : await this.#view(row);
  }

  async cancel(principal: Principal, id: string): Promise<CancelResult> {
    const view = await this.get(principal.organisation, id);
    const day = dayOf(id);
    if (view === null || day === null) return { kind: 'unknown' };
    if (!principal.lanes.has(view.lane)) {
      return {
        kind: 'problem',
        problem: refusal('lane-not-allowed', 'lane', 'this key may not use the lane of this alert'),
      };
    }
    if (view.cancelledAt !== null) return { kind: 'cancelled', alert: view };
    if (view.state === 'complete' || view.expiresAt <= this.#o.clock.now())
      return { kind: 'already-final', alert: view };
    await this.#o.writer.append(async (tx, entry) => {
      const row = { day, alert: id, producer: principal.producer, at: this.#o.clock.now() };
      const { parts } = await insertFacts(tx, alertCancel, [row], entry, { onConflict: 'ignore' });
      await tx.query('SELECT pg_notify($1, $2)', [CANCEL_CHANNEL, `${day}/${id}`]);
      return { value: undefined, parts: [...parts] };
    });
    const after = await this.get(principal.organisation, id);
    return after === null ? { kind: 'unknown' } : { kind: 'cancelled', alert: after };
  }

  async #view(row: AlertRow): Promise<AlertView> {
    const single = row.recipients === 1 && row.lists.length === 0;
    const progress = single ? await this.#progressOfOne(row) : await this.#progressOfMany(row);
    const now = this.#o.clock.now();
    return {
      ...answerOf(row, this.#o.names),
      state: stateOf(row, progress, now),
      status: row.status,
      secret: row.secret,
      sender: row.sender,
      reference: row.reference,
      acceptedAt: row.accepted_at,
      notBefore: row.not_before,
      cancelledAt: row.cancelled_at,
      progress,
    };
  }

  async #progressOfOne(row: AlertRow): Promise<AlertProgress> {
    const [one] = await this.#o.pool.query<{ state: FinalCode | null; submitted: boolean }>(
      `SELECT f.state, EXISTS (SELECT 1 FROM submission s WHERE s.day = d.day AND s.delivery = d.id AND s.outcome = 1) AS submitted
       FROM delivery d LEFT JOIN final_state f ON f.day = d.day AND f.delivery = d.id
       WHERE d.day = $1::date AND d.alert = $2::uuid LIMIT 1`,
      [row.day, row.id],
      { retries: 2 },
    );
    const progress = {
      submitted: one?.submitted === true ? 1 : 0,
      delivered: 0,
      failed: 0,
      expired: 0,
      cancelled: 0,
      suppressed: 0,
      unknown: 0,
    };
    const final = one?.state == null ? null : FINAL_STATES[one.state];
    if (final !== null && final !== 'submitted') progress[final] = 1;
    const deliveries = one === undefined ? 0 : 1;
    return { deliveries, fannedOut: deliveries === 1, ...progress, open: final === null ? deliveries : 0 };
  }

  async #progressOfMany(row: AlertRow): Promise<AlertProgress> {
    const query = <T extends object>(text: string, params?: readonly unknown[]) =>
      this.#o.pool.query<T>(text, params, { retries: 2 });
    const sums = await readProgress(query, row.day, row.id);
    const [pages] = await query<{ deliveries: number; last: boolean | null }>(
      'SELECT coalesce(sum(deliveries), 0)::bigint AS deliveries, bool_or(last) AS last FROM fanout_page WHERE day = $1::date AND alert = $2::uuid',
      [row.day, row.id],
    );
    const deliveries = pages?.deliveries ?? 0;
    const ended = sums.delivered + sums.failed + sums.expired + sums.cancelled + sums.suppressed + sums.unknown;
    return { deliveries, fannedOut: pages?.last === true, ...sums, open: Math.max(0, deliveries - ended) };
  }
}

function stateOf(row: AlertRow, progress: AlertProgress, now: EpochMs): AlertState {
  if (progress.fannedOut && progress.open === 0 && progress.deliveries > 0)
    return row.cancelled_at === null ? 'complete' : 'cancelled';
  if (row.cancelled_at !== null) return 'cancelled';
  if (row.not_before !== null && row.not_before > now) return 'scheduled';
  return progress.submitted > 0 || progress.open < progress.deliveries ? 'sending' : 'accepted';
}

function refusal(...args: Parameters<typeof refused>): AlertProblem {
  return refused(...args).problem;
}

function canonical(request: AlertRequest): string {
  const text = canonicalize(request);
  if (text === undefined) throw new TypeError('a request is JSON');
  return text;
}
