/**
 * What a carrier has accepted of a cancelled alert and not delivered yet: asked back by cancel_sm, where policy says so.
 *
 *   cancelled ─► its deliveries, page by page ─► accepted here, no final state ─► cancel_sm, when no message waits
 *     ├─ 0 ─────────────────────► `cancelled`, once that is so for all of its segments
 *     ├─ refused ───────────────► its receipts say how it ends
 *     └─ for now, no answer ────► again, a few times
 *
 * Each cancel_sm is a fact. It takes a place in the bind's throttle, and none while messages wait. Pages are read again until
 * nothing can be on its way to the carrier any more. Only the bind's holder does any of this.
 */
import type { Clock, Pool } from '../platform/index.ts';
import type { CarrierPolicy } from '../policy/index.ts';
import { type CancellationRow, FINAL, type Journal, OUTCOME } from '../records/index.ts';
import { classify } from '../smpp/index.ts';
import type { Cancelled } from './pause-acts.ts';
import type { ReceiptIndex } from './receipts.ts';
import type { Sender } from './sender.ts';
import type { Slot } from './throttle.ts';
import type { DispatchExtra } from './types.ts';
import type { CancelAnswer, CancelFields } from './wire.ts';

export interface RecallOptions {
  bind: { id: number; name: string };
  carrier: () => CarrierPolicy;
  clock: Clock;
  pool: Pool;
  journal: Journal<DispatchExtra>;
  receipts: ReceiptIndex;
  /** Null while this process does not send on the bind. */
  sender: () => Sender | null;
  sourceOf: (sender: string | null) => { ton: number; npi: number; address: string };
  request: (fields: CancelFields) => Promise<CancelAnswer>;
  onTrouble: (error: unknown) => void;
}

/** cancel_sm for one segment at most, and the wait after the first of them: doubled each time. */
const BUDGET = 3;
const AGAIN_FIRST_MS = 1_000;
const PAGE = 1_000;
const IN_FLIGHT_MAX = 10;
const TICK_MS = 50;
/** Pages of an alert are read again after this, while submit_sm of it may still be answered. */
const NEXT_PASS_MS = 1_000;
/** An alert is left alone when it was cancelled this long ago. */
const GIVE_UP_MS = 6 * 3_600_000;
const ALERTS_MAX = 20_000;

interface Candidate {
  day: string;
  delivery: number;
  attempt: number;
  segment: number;
  message_id: string;
  msisdn: string;
  /** cancel_sm so far, and when the last was sent. */
  tries: number;
  last_at: number | null;
}

/** A delivery of which something is asked back. */
interface Asked {
  alert: string;
  counted: boolean;
  secretBody: number | null;
  sender: string | null;
  /** Segments that any carrier has accepted, and those of them that were given up. */
  accepted: ReadonlySet<number>;
  confirmed: Set<number>;
}

interface Waiting {
  readonly candidate: Candidate;
  readonly asked: Asked;
}

interface Work extends Cancelled {
  after: number;
  nextAt: number;
  /** This pass has found something that it could not end. */
  left: boolean;
}

export class Recall {
  /** cancel_sm since this process started, by how they ended. */
  readonly counts = { accepted: 0, refused: 0, unanswered: 0 };
  readonly #o: RecallOptions;
  readonly #work = new Map<string, Work>();
  readonly #timer: NodeJS.Timeout;
  readonly #asking = new Set<string>();
  #waiting: Waiting[] = [];
  #reading = false;
  #closed = false;

  constructor(options: RecallOptions) {
    this.#o = options;
    this.#timer = setInterval(() => this.#turn(), TICK_MS);
  }

  add(alerts: readonly Cancelled[]): void {
    const monotonic = this.#o.clock.monotonic();
    for (const each of alerts) {
      if (this.#work.has(each.alert)) continue;
      this.#work.set(each.alert, { ...each, after: -1, nextAt: monotonic, left: false });
      if (this.#work.size <= ALERTS_MAX) continue;
      const oldest = this.#work.keys().next();
      if (oldest.done !== true) this.#work.delete(oldest.value);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#waiting = [];
  }

  #turn(): void {
    const sender = this.#closed ? null : this.#o.sender();
    if (sender === null) {
      this.#waiting = [];
      return;
    }
    this.#send(sender);
    if (this.#waiting.length > 0 || this.#reading) return;
    const monotonic = this.#o.clock.monotonic();
    for (const work of this.#work.values()) {
      if (work.nextAt > monotonic) continue;
      this.#reading = true;
      void this.#read(work)
        .catch((error: unknown) => {
          work.nextAt = this.#o.clock.monotonic() + NEXT_PASS_MS;
          this.#o.onTrouble(error);
        })
        .finally(() => {
          this.#reading = false;
          setImmediate(() => this.#turn());
        });
      return;
    }
  }

  #send(sender: Sender): void {
    while (this.#waiting.length > 0 && this.#asking.size < IN_FLIGHT_MAX) {
      const slot = sender.spare();
      if (slot === null) return;
      const { candidate, asked } = this.#waiting.shift() as Waiting;
      void this.#ask(sender, slot, candidate, asked).catch(this.#o.onTrouble);
    }
  }

  async #read(work: Work): Promise<void> {
    const { clock, pool } = this.#o;
    const page = await pool.query<{ id: number; recipient: number }>(
      `SELECT id, recipient FROM delivery WHERE day = $1::date AND alert = $2::uuid AND recipient > $3 ORDER BY recipient LIMIT $4`,
      [work.day, work.alert, work.after, PAGE],
    );
    if (page.length > 0) {
      await this.#readPage(
        work,
        page.map(({ id }) => id),
      );
    }
    work.after = page.at(-1)?.recipient ?? work.after;
    if (page.length === PAGE) return;
    const now = clock.now();
    // A submit_sm that was on the wire when its alert was cancelled is answered, and in the journal, by then.
    const settledAfterMs = this.#o.carrier().responseTimeoutMs + 2 * NEXT_PASS_MS;
    if ((now - work.at > settledAfterMs && !work.left) || now - work.at > GIVE_UP_MS) {
      this.#work.delete(work.alert);
      return;
    }
    const waitMs = work.left ? NEXT_PASS_MS : Math.max(NEXT_PASS_MS, work.at + settledAfterMs - now);
    work.after = -1;
    work.left = false;
    work.nextAt = clock.monotonic() + waitMs;
  }

  /** Leans on the primary keys of submission, final_state and cancellation. */
  async #readPage(work: Work, deliveries: readonly number[]): Promise<void> {
    const rows = await this.#o.pool.query<
      Candidate & { bind: number; given_up: boolean; refused: boolean; counted: boolean } & {
        sender: string | null;
        secret: boolean;
        body: number;
      }
    >(
      `SELECT s.day, s.delivery, s.attempt, s.segment, s.bind, s.message_id, r.msisdn, a.sender, a.secret, d.body,
              (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted,
              c.tries, c.last_at, c.given_up, c.refused
       FROM submission s
       JOIN delivery d ON d.day = s.day AND d.id = s.delivery
       JOIN alert a ON a.day = d.day AND a.id = d.alert
       JOIN recipient r ON r.id = d.recipient AND r.msisdn IS NOT NULL
       CROSS JOIN LATERAL (
         SELECT count(*) AS tries, max(sent_at) AS last_at, coalesce(bool_or(outcome = ${OUTCOME.accepted}), false) AS given_up,
                coalesce(bool_or(outcome = ${OUTCOME.refused}), false) AS refused
         FROM cancellation x WHERE x.day = s.day AND x.delivery = s.delivery AND x.attempt = s.attempt AND x.segment = s.segment) c
       WHERE s.day = $1::date AND s.delivery = ANY($2::bigint[]) AND s.outcome = ${OUTCOME.accepted} AND s.message_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = s.day AND f.delivery = s.delivery)
       ORDER BY s.delivery, s.attempt, s.segment`,
      [work.day, deliveries],
    );
    const now = this.#o.clock.now();
    for (const group of Map.groupBy(rows, ({ delivery }) => delivery).values()) {
      const first = group[0] as (typeof group)[number];
      const asked: Asked = {
        alert: work.alert,
        counted: first.counted,
        secretBody: first.secret && !first.counted ? first.body : null,
        sender: first.sender,
        accepted: new Set(group.map(({ segment }) => segment)),
        confirmed: new Set(group.filter(({ given_up }) => given_up).map(({ segment }) => segment)),
      };
      for (const row of group) {
        if (row.bind !== this.#o.bind.id || row.given_up || row.refused || row.tries >= BUDGET) continue;
        if (this.#asking.has(keyOf(row))) {
          work.left = true;
          continue;
        }
        work.left = true;
        const dueAt = row.last_at === null ? now : row.last_at + AGAIN_FIRST_MS * 2 ** (row.tries - 1);
        if (dueAt <= now) this.#waiting.push({ candidate: row, asked });
      }
    }
  }

  async #ask(sender: Sender, slot: Slot, candidate: Candidate, asked: Asked): Promise<void> {
    const { clock, bind, journal } = this.#o;
    const carrier = this.#o.carrier();
    const key = keyOf(candidate);
    this.#asking.add(key);
    const from = this.#o.sourceOf(asked.sender);
    const sentAt = clock.now();
    const answer = await this.#o.request({
      serviceType: '',
      messageId: candidate.message_id,
      sourceTon: from.ton,
      sourceNpi: from.npi,
      sourceAddr: from.address,
      destTon: carrier.destTon,
      destNpi: carrier.destNpi,
      destAddr: candidate.msisdn.slice(1),
    });
    const kind = answer.kind === 'answered' ? classify(answer.status, carrier.statuses) : null;
    // Without an answer nobody knows when it arrived, nor what left before it.
    if (answer.kind === 'answered') sender.spareAnswered(slot, kind === 'throttled');
    if (answer.kind === 'not-sent') {
      this.#asking.delete(key);
      return;
    }
    const { day, delivery, attempt, segment } = candidate;
    const outcome = outcomeOf(kind);
    if (outcome === OUTCOME.accepted) this.counts.accepted++;
    else if (outcome === OUTCOME.unanswered) this.counts.unanswered++;
    else this.counts.refused++;
    const cancellation: CancellationRow = {
      day,
      delivery,
      attempt,
      segment,
      number: candidate.tries + 1,
      bind: bind.id,
      outcome,
      status: answer.kind === 'answered' ? answer.status : null,
      sentAt,
      answeredAt: answer.kind === 'answered' ? clock.now() : null,
    };
    if (outcome === OUTCOME.accepted) asked.confirmed.add(segment);
    const whole = outcome === OUTCOME.accepted && asked.confirmed.size === asked.accepted.size;
    if (whole) this.#o.receipts.end(bind.id, candidate.message_id, FINAL.cancelled);
    journal.add(delivery, {
      cancellation,
      ...(whole
        ? {
            final: { day, delivery, state: FINAL.cancelled, cause: 'cancel_sm', at: clock.now() },
            day,
            ...(asked.counted ? { alert: asked.alert } : {}),
            ...(asked.secretBody === null ? {} : { secretBody: asked.secretBody }),
          }
        : {}),
      durable: () => this.#asking.delete(key),
    });
  }
}

const keyOf = ({ delivery, attempt, segment }: Candidate): string => `${delivery}/${attempt}/${segment}`;

function outcomeOf(kind: ReturnType<typeof classify> | null): CancellationRow['outcome'] {
  switch (kind) {
    case null:
      return OUTCOME.unanswered;
    case 'ok':
      return OUTCOME.accepted;
    case 'throttled':
    case 'temporary':
    case 'bind':
      return OUTCOME.refusedForNow;
    default:
      // ESME_RCANCELFAIL, or the carrier knows no cancel_sm: it will not say otherwise of this message.
      return OUTCOME.refused;
  }
}
