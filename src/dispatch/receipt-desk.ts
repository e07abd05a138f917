/**
 * Receipts as they come in from the binds: matched, written, and only then answered with status 0.
 *
 *   taken ─ known in memory, its form is learned ──────► written
 *     └─ early ─ its submit_sm_resp comes ─────────────► written
 *          └─ 200 ms ─► asked of the database ─ found ─► written
 *                                └─ unmatched fact ─ found within 2 min, or by the walk ─► written
 *
 * If the commit takes longer than a second the SMSC gets the carrier's busy status and delivers again later; the second
 * copy is recorded as a duplicate. Ids are matched in every form that SMSCs are known to write them in, and the carrier's
 * own is learned (`smpp/receipt-id.ts`). The walk goes through the unmatched receipts of the horizon when the bind is won,
 * whenever another form is learned, and every ten minutes.
 */
import { type Clock, type EpochMs, type Pool, utcDay } from '../platform/index.ts';
import type { CarrierReceiptPolicy } from '../policy/index.ts';
import {
  FINAL,
  type FinalStateRow,
  finalOfReceipt,
  type Journal,
  type JournalOp,
  MESSAGE_STATE,
  type ReceiptRow,
} from '../records/index.ts';
import { type IdForm, type IdFormStats, IdForms, type IdHit, InOrder } from '../smpp/index.ts';
import type { BindCounts } from './counts.ts';
import { type DayStep, DayWalk } from './day-walk.ts';
import type { IdStock } from './extras.ts';
import { PartialTexts } from './partial-texts.ts';
import { alreadyMatched, findSubmissions, type OpenUnmatched, readUnmatched } from './receipt-lookups.ts';
import { applyReceipt, type Match, type ReceiptIndex, sameMessage, type Track } from './receipts.ts';
import { type ReceiptsMode, ReceiptsPerMessage } from './receipts-per-message.ts';
import type { DispatchExtra } from './types.ts';

/** What the desk needs of a receipt; `smpp`'s has it. */
export interface Receipt {
  messageId: string;
  /** The id of the text where it is another one. */
  textId: string | null;
  /** SMPP message_state. */
  state: number;
  error: string | null;
  /** A fact, and never the end, whatever its state says. */
  intermediate: boolean;
}

export interface ReceiptDeskOptions {
  bind: number;
  horizonDays: number;
  busyStatus: number;
  rules: CarrierReceiptPolicy;
  clock: Clock;
  pool: Pool;
  journal: Journal<DispatchExtra>;
  index: ReceiptIndex;
  ids: IdStock;
  counts: BindCounts;
  /** Whether the carrier was asked to give this alert's messages up. */
  recalled: (alert: string) => boolean;
  onTrouble: (error: unknown) => void;
  /** What sends a delivery on by another route where its receipt says that there is no way to the number; null: it failed. */
  moved: (
    track: Track,
    attempt: number,
    error: string | null,
  ) => Pick<JournalOp<DispatchExtra>, 'release' | 'extra'> | null;
  /** A receipt says how one ended, and when that was sent. */
  onEnd?: (sentAt: EpochMs, delivered: boolean, receivedAt: EpochMs) => void;
  /** The carrier's way with receipts became known, or was forgotten. */
  onLearned?: (learned: { ids: IdForm | null; perMessage: ReceiptsMode | null }) => void;
}

export interface ReceiptDeskStats {
  ids: IdFormStats;
  /** Which segments of a long text get a receipt, once that is known. */
  perMessage: ReceiptsMode | null;
  /** Long texts with some receipts still out, and those that ended so. */
  partial: { waiting: number; ended: number };
  /** Receipts that matched nothing when they came. */
  unmatched: number;
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** A receipt on its way to the journal. */
class Waiting {
  readonly id: number;
  readonly receipt: Receipt;
  readonly receivedAt: EpochMs;
  readonly arrived: number;
  /** Null when it was responded to. */
  respond: ((status: number) => void) | null;
  /** Its candidates have taught the forms what they could. */
  judged: boolean;
  /** The ids under which it is found while it is early. */
  keys: ReadonlySet<string> = NO_KEYS;

  constructor(
    id: number,
    receipt: Receipt,
    receivedAt: EpochMs,
    arrived: number,
    respond: ((status: number) => void) | null,
  ) {
    this.id = id;
    this.receipt = receipt;
    this.receivedAt = receivedAt;
    this.arrived = arrived;
    this.respond = respond;
    this.judged = respond === null;
  }

  get settled(): boolean {
    return this.respond === null;
  }
}

/** A submission that a receipt means, and the form of the id that says so. */
type Found = IdHit<Match>;

/** How long a receipt waits for its submit_sm_resp before the database is asked. */
const EARLY_MS = 200;
const ANSWER_WITHIN_MS = 1_000;
const TICK_MS = 50;
/** Receipts, and ids that they may mean, in one look into the database. */
const LOOKUP_MAX = 1_000;
const LOOKUP_IDS_MAX = 4_000;
const DAY_MS = 86_400_000;
/** An alert may be held for 30 days before it is sent (alerts/rules.ts), and its facts stand under the day it came. */
const HELD_DAYS_MAX = 31;
/** Unmatched receipts of this process are tried again this often and for so long. */
const UNMATCHED = { eachMs: 2_000, forMs: 120_000, max: 10_000 } as const;
const WALK = { eachMs: 200, page: 250, againMs: 600_000 } as const;
const PARTIAL_EACH_MS = 250;
const NEWEST = Number.MAX_SAFE_INTEGER;

export class ReceiptDesk {
  readonly #o: ReceiptDeskOptions;
  readonly #forms: IdForms;
  readonly #perMessage: ReceiptsPerMessage;
  readonly #partial: PartialTexts;
  /** In the order of arrival. */
  readonly #early = new Set<Waiting>();
  /** The same, by the ids that their submit_sm_resp may bring. */
  readonly #earlyById = new Map<string, Set<Waiting>>();
  readonly #unmatched = new Map<number, Waiting>();
  /** Not responded to. */
  readonly #unanswered = new InOrder<Waiting>();
  #open = 0;
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #unmatchedCount = 0;
  #lastUnmatched = Number.NEGATIVE_INFINITY;
  #lastPartial = Number.NEGATIVE_INFINITY;
  readonly #walk = new DayWalk(NEWEST);
  #lastWalk = Number.NEGATIVE_INFINITY;
  #formsVersion = 0;
  #mode: ReceiptsMode | null;
  #closed = false;

  constructor(options: ReceiptDeskOptions) {
    this.#o = options;
    const { rules, bind, horizonDays, clock, pool, journal } = options;
    this.#forms = new IdForms(rules.ids === 'learn' ? null : rules.ids);
    this.#perMessage = new ReceiptsPerMessage(rules.perMessage);
    this.#mode = this.#perMessage.mode;
    this.#partial = new PartialTexts({
      bind,
      boundMs: rules.boundMs,
      horizonDays,
      clock,
      pool,
      journal,
      perMessage: this.#perMessage,
    });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** A receipt has come; `respond` is called exactly once, bounded in time. */
  take(receipt: Receipt, respond: (status: number) => void): void {
    if (this.#closed || this.#o.ids.left < 1_000) {
      this.#o.counts.receiptsBusy++;
      respond(this.#o.busyStatus);
      return;
    }
    this.#o.counts.receipt(receipt.state);
    const { ids, clock } = this.#o;
    const waiting = new Waiting(ids.next(), asFact(receipt), clock.now(), clock.monotonic(), respond);
    this.#unanswered.add(waiting);
    this.#open++;
    const match = this.#likely(waiting);
    if (match !== null) this.#write(waiting, match);
    else this.#addEarly(waiting);
  }

  /** A submission with this message id has landed in the index. */
  landed(messageId: string): void {
    this.#forms.sawResponse(messageId);
    const list = this.#earlyById.get(messageId);
    if (list === undefined) return;
    for (const waiting of [...list]) this.#writeIfLikely(waiting);
  }

  /** The bind was won: what its former holder left half done is looked for. */
  recover(): void {
    this.#partial.recover();
    this.#startWalk();
  }

  /** Receipts not yet answered. */
  get open(): number {
    return this.#open;
  }

  stats(): ReceiptDeskStats {
    return {
      ids: this.#forms.stats(),
      perMessage: this.#perMessage.mode,
      partial: { waiting: this.#partial.waiting, ended: this.#partial.ended },
      unmatched: this.#unmatchedCount,
    };
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#refuseOlder(Number.NEGATIVE_INFINITY);
  }

  #write(waiting: Waiting, { form, message }: Found): void {
    const { attempt, segment, messageId, shard } = message;
    const track = this.#o.index.joined(message.track);
    const { receipt } = waiting;
    const recalled = this.#o.recalled(track.alert);
    const { final, cause, duplicate } = applyReceipt(track, segment, receipt.state, this.#perMessage, recalled);
    const moved = final === FINAL.failed ? this.#o.moved(track, attempt, receipt.error) : null;
    if (moved !== null) track.moved = true;
    // Of one that goes on by another route the id stays known: what its first carrier repeats is not the end.
    const ended = track.final !== null && track.finals.size >= track.segments && !track.moved;
    if (ended) this.#o.index.drop(this.#o.bind, { messageId, track });
    this.#forms.count(form);
    const said = duplicate ? null : finalOfReceipt(receipt.state);
    if (said !== null) this.#o.onEnd?.(message.sentAt, said === FINAL.delivered, waiting.receivedAt);
    this.#partial.touched(track, waiting.receivedAt);
    const durable = (): void => this.#answer(waiting, 0);
    if (final !== null && moved === null && track.segments === 1) {
      const row: FinalStateRow = {
        day: track.day,
        delivery: track.delivery,
        state: final,
        cause: receipt.error,
        at: waiting.receivedAt,
        receipt: waiting.id,
        bind: this.#o.bind,
        attempt,
        said: receipt.state,
      };
      this.#o.journal.add(shard, endOp(track, row, undefined, durable));
      return;
    }
    const row: ReceiptRow = {
      day: track.day,
      delivery: track.delivery,
      id: waiting.id,
      attempt,
      segment,
      bind: this.#o.bind,
      state: receipt.state,
      error: receipt.error,
      duplicate,
      receivedAt: waiting.receivedAt,
    };
    if (final === null || moved !== null) {
      this.#o.journal.add(shard, { ...moved, receipt: row, durable });
      return;
    }
    const { day, delivery } = track;
    const end = { day, delivery, state: final, cause: cause ?? receipt.error, at: waiting.receivedAt };
    this.#o.journal.add(shard, endOp(track, end, row, durable));
  }

  #answer(waiting: Waiting, status: number): void {
    const { respond } = waiting;
    if (respond === null) return;
    waiting.respond = null;
    this.#open--;
    this.#unanswered.dropSettled();
    respond(status);
  }

  /** Those that have waited for so long: the SMSC sends them again. @returns how many. */
  #refuseOlder(ms: number): number {
    const now = this.#o.clock.monotonic();
    let refused = 0;
    for (let { oldest } = this.#unanswered; oldest !== undefined; oldest = this.#unanswered.oldest) {
      if (now - oldest.arrived < ms) break;
      refused++;
      this.#answer(oldest, this.#o.busyStatus);
    }
    return refused;
  }

  // early ------------------------------------------------------------------------------------------------------------

  #addEarly(waiting: Waiting): void {
    this.#early.add(waiting);
    if (this.#forms.form !== null) waiting.keys = this.#idsOf(waiting, 'likely');
    for (const id of waiting.keys) {
      const list = this.#earlyById.get(id);
      if (list === undefined) this.#earlyById.set(id, new Set([waiting]));
      else list.add(waiting);
    }
  }

  #writeIfLikely(waiting: Waiting): void {
    const match = this.#likely(waiting);
    if (match === null) return;
    this.#dropEarly(waiting);
    this.#write(waiting, match);
  }

  #dropEarly(waiting: Waiting): void {
    this.#early.delete(waiting);
    for (const id of waiting.keys) {
      const list = this.#earlyById.get(id);
      list?.delete(waiting);
      if (list?.size === 0) this.#earlyById.delete(id);
    }
  }

  // matching ---------------------------------------------------------------------------------------------------------

  /**
   * In memory, by the learned form. While none is learned the database has a say too: what is here may be another message
   * in the one form, and there the right one in another.
   */
  #likely(waiting: Waiting): Found | null {
    if (this.#forms.form === null) return null;
    const { messageId, textId } = waiting.receipt;
    if (this.#forms.isExact && textId === null) {
      // As nearly all are: what `match` comes to, without its lists.
      const message = messageId === '' ? undefined : this.#o.index.find(this.#o.bind, messageId);
      if (message === undefined) return null;
      waiting.judged = true;
      return { form: 'exact', message };
    }
    return this.#match(waiting, 'likely', (id) => this.#o.index.find(this.#o.bind, id));
  }

  #match(waiting: Waiting, which: 'likely' | 'every', find: (id: string) => Match | undefined): Found | null {
    const { messageId, textId } = waiting.receipt;
    for (const receiptId of textId === null ? [messageId] : [messageId, textId]) {
      const hits: Found[] = [];
      for (const { id, form } of this.#candidates(receiptId, which)) {
        const message = find(id);
        if (message !== undefined) hits.push({ form, message });
      }
      if (hits.length === 0) continue;
      const match = this.#forms.choose(hits, sameMessage, !waiting.judged);
      waiting.judged = true;
      if (match !== null) return match;
    }
    return null;
  }

  #candidates(receiptId: string, which: 'likely' | 'every'): readonly { id: string; form: IdForm }[] {
    return which === 'likely' ? this.#forms.likely(receiptId) : this.#forms.candidates(receiptId);
  }

  #idsOf({ receipt }: Waiting, which: 'likely' | 'every'): Set<string> {
    const receiptIds = receipt.textId === null ? [receipt.messageId] : [receipt.messageId, receipt.textId];
    return new Set(receiptIds.flatMap((id) => this.#candidates(id, which).map((candidate) => candidate.id)));
  }

  /**
   * Asks memory and the database by every form. Calls back for each, in their order.
   * @param held whether those that are not found are also looked for among alerts that were held for longer than the
   *   horizon: thirty more partitions, so once for each receipt
   */
  async #lookUpAll(
    batch: readonly Waiting[],
    found: (waiting: Waiting, match: Found | null) => void,
    held = false,
  ): Promise<void> {
    const { bind, pool, index, clock, horizonDays } = this.#o;
    const sentSince = clock.now() - horizonDays * DAY_MS;
    const recent = { from: utcDay(sentSince), before: null, sentSince };
    const idsOf = (waitings: readonly Waiting[]) =>
      new Set(waitings.flatMap((waiting) => [...this.#idsOf(waiting, 'every')]));
    const ids = idsOf(batch);
    const rows = ids.size === 0 ? new Map<string, Match>() : await findSubmissions(pool, bind, [...ids], recent);
    if (held) {
      const known = (id: string) => rows.has(id) || index.find(bind, id) !== undefined;
      const strange = idsOf(batch.filter((waiting) => ![...this.#idsOf(waiting, 'every')].some(known)));
      const earlier = { from: utcDay(sentSince - HELD_DAYS_MAX * DAY_MS), before: recent.from, sentSince };
      if (strange.size > 0) {
        for (const [id, match] of await findSubmissions(pool, bind, [...strange], earlier)) rows.set(id, match);
      }
    }
    for (const waiting of batch) {
      found(
        waiting,
        this.#match(waiting, 'every', (id) => index.find(bind, id) ?? rows.get(id)),
      );
    }
  }

  /** The first of `waitings` that one look may ask for. */
  #batch(waitings: Iterable<Waiting>, ready: (waiting: Waiting) => boolean): Waiting[] {
    const batch: Waiting[] = [];
    let ids = 0;
    for (const waiting of waitings) {
      if (!ready(waiting) || batch.length >= LOOKUP_MAX || ids >= LOOKUP_IDS_MAX) break;
      batch.push(waiting);
      ids += this.#idsOf(waiting, 'every').size;
    }
    return batch;
  }

  // now and then -----------------------------------------------------------------------------------------------------

  #tick(): void {
    const now = this.#o.clock.monotonic();
    this.#o.counts.receiptsBusy += this.#refuseOlder(ANSWER_WITHIN_MS);
    this.#noticeLearned();
    if (this.#looking) return;
    this.#looking = true;
    void this.#look(now)
      .catch(this.#o.onTrouble)
      .finally(() => {
        this.#looking = false;
      });
  }

  #noticeLearned(): void {
    const mode = this.#perMessage.mode;
    const formChanged = this.#formsVersion !== this.#forms.version;
    if (!formChanged && mode === this.#mode) return;
    this.#formsVersion = this.#forms.version;
    this.#mode = mode;
    if (formChanged) {
      for (const waiting of [...this.#early]) this.#writeIfLikely(waiting);
      this.#startWalk();
    }
    this.#o.onLearned?.({ ids: this.#forms.form, perMessage: mode });
  }

  async #look(now: number): Promise<void> {
    await this.#lookForEarly(now);
    if (now - this.#lastUnmatched > UNMATCHED.eachMs) {
      this.#lastUnmatched = now;
      await this.#retryUnmatched(now);
    }
    if (now - this.#lastPartial > PARTIAL_EACH_MS) {
      this.#lastPartial = now;
      await this.#partial.step();
    }
    const { step } = this.#walk;
    if (step === null && now - this.#lastWalk > WALK.againMs) this.#startWalk();
    if (step !== null && now - this.#lastWalk > WALK.eachMs) {
      this.#lastWalk = now;
      await this.#walkOn(step);
    }
  }

  async #lookForEarly(now: number): Promise<void> {
    const due = this.#batch(this.#early, (waiting) => now - waiting.arrived >= EARLY_MS);
    if (due.length === 0) return;
    const found = (waiting: Waiting, match: Found | null) => {
      // Its submit_sm_resp came while the database was asked.
      if (!this.#early.has(waiting)) return;
      this.#dropEarly(waiting);
      if (match !== null) this.#write(waiting, match);
      else this.#writeUnmatched(waiting);
    };
    await this.#lookUpAll(due, found, true);
  }

  #writeUnmatched(waiting: Waiting): void {
    const { receipt } = waiting;
    this.#o.counts.receiptsUnmatched++;
    this.#unmatchedCount++;
    if (receipt.messageId !== '' && this.#unmatched.size < UNMATCHED.max) this.#unmatched.set(waiting.id, waiting);
    this.#o.journal.add(waiting.id, {
      unmatched: {
        day: utcDay(waiting.receivedAt),
        id: waiting.id,
        bind: this.#o.bind,
        messageId: receipt.messageId,
        state: receipt.state,
        error: receipt.error,
        receivedAt: waiting.receivedAt,
      },
      durable: () => this.#answer(waiting, 0),
    });
  }

  /** Those of this process, in turn: a submission of another process may be durable by now. */
  async #retryUnmatched(now: number): Promise<void> {
    const batch = this.#batch(this.#unmatched.values(), () => true);
    if (batch.length === 0) return;
    await this.#lookUpAll(batch, (waiting, match) => {
      if (!this.#unmatched.delete(waiting.id)) return;
      if (match !== null) this.#write(waiting, match);
      else if (now - waiting.arrived < UNMATCHED.forMs) this.#unmatched.set(waiting.id, waiting);
    });
  }

  #startWalk(): void {
    this.#walk.startAt(this.#o.clock.now(), this.#o.horizonDays);
  }

  async #walkOn(step: DayStep<number>): Promise<void> {
    const { pool, bind } = this.#o;
    const { open, next } = await readUnmatched(pool, bind, step.day, step.cursor, WALK.page);
    if (!this.#walk.advance(step, next)) return;
    const matched: { waiting: Waiting; match: Found }[] = [];
    await this.#lookUpAll(open.map(waitingOf), (waiting, match) => {
      if (match !== null) matched.push({ waiting, match });
    });
    const pairs = matched.map(({ waiting, match }) => ({
      day: match.message.track.day,
      delivery: match.message.track.delivery,
      id: waiting.id,
    }));
    const before = await alreadyMatched(pool, pairs);
    for (const { waiting, match } of matched) {
      if (before.has(waiting.id)) continue;
      this.#unmatched.delete(waiting.id);
      this.#write(waiting, match);
    }
  }
}

/** What the journal is told of a receipt with which a delivery comes to its end. */
function endOp(
  { day, counted, alert, secretBody }: Track,
  final: FinalStateRow,
  receipt: ReceiptRow | undefined,
  durable: () => void,
): JournalOp<DispatchExtra> {
  return { final, receipt, day, alert: counted ? alert : undefined, secretBody: secretBody ?? undefined, durable };
}

function waitingOf({ id, messageId, state, error, receivedAt }: OpenUnmatched): Waiting {
  const receipt = { messageId, textId: null, state, error, intermediate: false };
  return new Waiting(id, receipt, receivedAt, 0, null);
}

/** An intermediate notification that names a final state is written as one on the way, with what it said as its error. */
function asFact(receipt: Receipt): Receipt {
  if (!receipt.intermediate || finalOfReceipt(receipt.state) === null) return receipt;
  const said = `intermediate ${receipt.state}${receipt.error === null ? '' : ` ${receipt.error}`}`;
  return { ...receipt, state: MESSAGE_STATE.enroute, error: said };
}
