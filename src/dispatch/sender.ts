/**
 * One bind's work in memory: chunks by lane, what is claimed, what is on the wire.
 *
 *   fetch ─► waiting (by chunk) ─► claim ─► ready (by lane) ─► throttle + window ─► in flight ─► journal ─► durable
 *
 * At no instant are more than K deliveries claimed without a durable outcome. Nothing is submitted after its expiry:
 * looked at when read, again after the token was granted. A claimed delivery that is not sent after all gets a
 * `release` fact. The sender holds no timer per message: one for the next token, one slow tick for expiry.
 */
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, EpochMs } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy, NoRoute } from '../policy/index.ts';
import { FINAL, type FinalCode, type Journal, type JournalOp, OUTCOME, type ReleaseRow } from '../records/index.ts';
import {
  type Answer,
  classify,
  FieldError,
  readCongestion,
  type StatusClass,
  statusName,
  type Tlv,
} from '../smpp/index.ts';
import { type Allowance, advance, afterThrownBack, FULL_ALLOWANCE } from './allowance.ts';
import { BySegment, SegmentSet } from './by-segment.ts';
import { planClaims } from './claim-plan.ts';
import { type ClaimWish, writeClaims } from './claims.ts';
import type { BindCounts } from './counts.ts';
import type { Encoder } from './encoder.ts';
import type { Holder } from './hold.ts';
import {
  changed,
  charge,
  LANES_BY_URGENCY,
  type LaneSchedule,
  newSchedule,
  nextLane,
  passOf,
  perLane,
} from './lanes.ts';
import { afterCongestion, FULL_PACE, type Pace, shareAt } from './pace.ts';
import { type Pauses, planChunk } from './pauses.ts';
import { insertInOrder, rankOf } from './place.ts';
import { ReadyQueue } from './ready-queue.ts';
import type { Elsewhere, Match, ReceiptIndex, Track } from './receipts.ts';
import { nextRetryAt, type RetryPace } from './retry.ts';
import { saysNoRoute } from './second-route.ts';
import { chunkComesAgainAt, comesAgainAt, type SideLimit, SideLimits, type SideSlot } from './side-limits.ts';
import { type Slot, Throttle, type ThrottleOptions } from './throttle.ts';
import type { DispatchExtra, HeldChunk, Item } from './types.ts';
import type { Unanswered } from './unanswered.ts';

/** What a sender needs of the bind's sessions. */
export interface Wire {
  /** PDUs that may be sent now without filling the window; emergency may use the slots kept for it. */
  freeFor(emergency: boolean): number;
  submit(pdu: Buffer, sent: Sent, emergency: boolean): boolean;
  /** Hands what was submitted to the sockets now. */
  flush(): void;
}

/** One submit_sm that left. */
export interface Sent {
  /** Who sent it, and hears how it ended, also after it lost the bind. */
  owner: Sender;
  item: Item;
  segment: number;
  at: number;
  slot: Slot;
  /** Of the limits inside the bind that it falls under. */
  sideSlots: readonly SideSlot[];
  /** What is known of the delivery's receipts, once something is. */
  track?: Track;
}

export interface SenderOptions {
  bind: { id: number; name: string };
  carrier: CarrierPolicy;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  holder: Holder;
  clock: Clock;
  wire: Wire;
  journal: Journal<DispatchExtra>;
  /** A claim of emergencies waits for none of other lanes. */
  claimWriters: Readonly<Record<ClaimHand, ChainWriter>>;
  /** `claimed_to` of those chunks that are still held here, as the database has it; null when the bind is lost. */
  claimedTo: (chunks: readonly number[]) => Promise<ReadonlyMap<number, number> | null>;
  encoder: Encoder;
  receipts: ReceiptIndex;
  counts: BindCounts;
  /** Where what was sent stands until it is answered; null where the carrier repeats no reference of ours. */
  unanswered: Unanswered<Sent> | null;
  /** The next id for a release or a retry chunk; ids are taken ahead so that this never waits. */
  nextId: () => number;
  /** Where the item may go once when the carrier has no way to its number. */
  secondRoute: (item: Item) => NoRoute | null;
  /** May this process send on the bind at this instant? (lease) */
  mayOwn: () => boolean;
  /** Alerts that were cancelled lately, wherever their deliveries stood: what is read or claimed since then is not sent. */
  cancelled: ReadonlySet<string>;
  /** What is paused at this instant. */
  pauses: { readonly now: Pauses };
  onTrouble: (error: unknown) => void;
  onRoom: (lane: LaneName) => void;
  /** The index now knows this message id: a receipt may be waiting for it. */
  onTracked: (messageId: string) => void;
  onSent?: (lane: LaneName, sent: Sent) => void;
  /**
   * The carrier refused a submit_sm, for good or for now. Of class `bind` it refuses the account as a whole: whoever hears
   * it stops this sender.
   */
  onRefused: (kind: RefusedKind, status: number) => void;
}

export type RefusedKind = Exclude<StatusClass, 'ok'>;

/** Emergencies are claimed beside the other lanes, by a chain and a session of their own. */
export const CLAIM_HANDS = ['emergency', 'others'] as const;
export type ClaimHand = (typeof CLAIM_HANDS)[number];
const handOf = (lane: LaneName): ClaimHand => (lane === 'emergency' ? 'emergency' : 'others');

/** Sends in one turn of the event loop, so that no turn lasts long. */
const SENDS_PER_TURN = 256;
const TICK_MS = 250;

export class Sender {
  #o: SenderOptions;
  readonly #throttle: Throttle;
  readonly #limits: SideLimits;
  #pace: Pace = FULL_PACE;
  #allowance: Allowance = FULL_ALLOWANCE;
  #schedule: LaneSchedule;
  /** Chunks with unclaimed positions, in the order in which they are to be claimed. */
  readonly #chunks: Record<LaneName, HeldChunk[]> = perLane(() => []);
  /** How many deliveries wait in them. */
  readonly #waiting: Record<LaneName, number> = perLane(() => 0);
  /** With the time at which each came into memory; the first came first. */
  readonly #held = new Map<HeldChunk, EpochMs>();
  /** Claimed and not yet on the wire. */
  readonly #ready: Record<LaneName, ReadyQueue> = perLane(() => new ReadyQueue());
  /** Of each lane what goes next, for the turn that looks. */
  readonly #heads: Record<LaneName, Item | null> = perLane(() => null);
  readonly #isReady: Record<LaneName, boolean> = perLane(() => false);
  readonly #isBusy: Record<LaneName, boolean> = perLane(() => false);
  claimLimit: number;
  #undecided = 0;
  readonly #claiming: Record<ClaimHand, boolean> = { emergency: false, others: false };
  #sendTimer: NodeJS.Timeout | null = null;
  #sendTimerAt = 0;
  #turnQueued = false;
  readonly #tick: NodeJS.Timeout;
  #state: 'running' | 'draining' | 'stopped' | 'lost' = 'running';

  constructor(options: SenderOptions) {
    this.#o = options;
    const { carrier, clock } = options;
    const [contract, now] = [contractOf(carrier, clock), clock.monotonic()];
    this.#throttle = new Throttle(contract, now);
    this.#schedule = newSchedule(options.lanes, carrier.tps);
    this.claimLimit = claimLimitOf(carrier);
    this.#limits = new SideLimits(carrier, contract, this.claimLimit, now);
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** Policies have changed: what of them counts here holds from the next PDU on (`applyLive` says what can change). */
  apply(carrier: CarrierPolicy, lanes: Readonly<Record<LaneName, LanePolicy>>): void {
    const { clock } = this.#o;
    const now = clock.monotonic();
    this.#o = { ...this.#o, carrier, lanes };
    const contract = contractOf(carrier, clock);
    // What was learned of the SMSC under another contract says nothing of this one.
    if (carrier.tps !== this.#throttle.tps) this.#allowance = FULL_ALLOWANCE;
    this.#throttle.change(contract, now);
    this.#useShare(now);
    this.#schedule = changed(this.#schedule, lanes, carrier.tps);
    this.claimLimit = claimLimitOf(carrier);
    this.#limits.apply(carrier, contract, this.claimLimit, now);
    this.kick();
  }

  /** Deliveries of a lane in memory that are not yet on the wire. */
  buffered(lane: LaneName): number {
    return this.#ready[lane].length + this.#waiting[lane];
  }

  /** Since when the chunk that has been here longest has been in memory, by lane; it has not come to its end. */
  heldSince(): Partial<Record<LaneName, EpochMs>> {
    const since: Partial<Record<LaneName, EpochMs>> = {};
    for (const [{ lane }, at] of this.#held) since[lane] ??= at;
    return since;
  }

  /** Deliveries claimed without a durable outcome. */
  get undecided(): number {
    return this.#undecided;
  }

  /** submit_sm that the throttle would let out at once. */
  get tokens(): number {
    return this.#throttle.tokens(this.#o.clock.monotonic());
  }

  get heldChunks(): number {
    return this.#held.size;
  }

  /**
   * Null for a chunk that is to be taken into memory. Else it goes back to its queue until then: its sender has a limit, and
   * enough of its deliveries wait here already.
   */
  comesAgainAt({ lane }: HeldChunk, items: readonly Item[]): EpochMs | null {
    const limit = this.#limits.ofAll(items);
    if (limit === null) return null;
    const same = this.#chunks[lane].filter(({ waiting }) => this.#limits.ofAll(waiting) === limit);
    const here = same.reduce((sum, { waiting }) => sum + waiting.length, this.#ready[lane].parkedFor(limit));
    if (here === 0 || here < limit.parkedMax) return null;
    const now = this.#o.clock.monotonic();
    return Math.round(this.#o.clock.now() + chunkComesAgainAt(limit, items.length, now) - now);
  }

  /** Takes a chunk into memory. Items are in the order of their positions. */
  add(chunk: HeldChunk, items: Item[]): void {
    this.#setWaiting(chunk, items);
    this.#held.set(chunk, this.#o.clock.now());
    if (items.length > 0) insertInOrder(this.#chunks[chunk.lane], [chunk], (each) => each);
    else this.#skipRest(chunk);
    this.holdBack();
    this.kick();
  }

  /** Something changed: room in the window, a claim, a new chunk. */
  kick(): void {
    if (this.#turnQueued || this.#over) return;
    this.#turnQueued = true;
    setImmediate(() => {
      this.#turnQueued = false;
      this.#turn();
    });
  }

  /**
   * Drops what is not yet claimed of cancelled alerts, and releases what is claimed but not sent. What a claim in progress
   * keeps from being dropped is withdrawn later: at the next tick, or when it would be sent.
   */
  cancel(): void {
    const { cancelled } = this.#o;
    if (cancelled.size === 0) return;
    this.#withdraw((item) => cancelled.has(item.alert), FINAL.cancelled, 'cancelled');
    this.kick();
  }

  /**
   * Gives back what is paused and not on the wire. What a claim in progress keeps from leaving does so when that has ended,
   * or when it would be sent.
   */
  holdBack(): void {
    const pauses = this.#o.pauses.now;
    if (!pauses.any || this.#over) return;
    for (const lane of LANES_BY_URGENCY) {
      if (!this.#claiming[handOf(lane)]) for (const chunk of [...this.#chunks[lane]]) this.#holdChunk(pauses, chunk);
      const leave = this.#ready[lane].take((item) => pauses.holds(this.#o.bind.name, item) !== null);
      for (const item of leave) this.#holdItem(item);
    }
    this.kick();
  }

  /**
   * A place in the throttle for a request that is no message, when no message waits for it; null otherwise. How it was
   * answered comes to `spareAnswered`.
   */
  spare(): Slot | null {
    if (this.#state !== 'running' || !this.#o.mayOwn() || this.#o.wire.freeFor(false) <= 0) return null;
    const monotonic = this.#o.clock.monotonic();
    if (LANES_BY_URGENCY.some((lane) => this.#wants(lane, monotonic))) return null;
    const slot = this.#throttle.take(monotonic);
    return slot < 0 ? null : slot;
  }

  /** Whether something of this lane waits for the bind alone: what waits for a limit of its sender may wait for long. */
  #wants(lane: LaneName, monotonic: number): boolean {
    if (this.#ready[lane].nextAt(monotonic) <= monotonic) return true;
    return this.#chunks[lane].some(({ waiting }) => this.#limits.ofAll(waiting) === null);
  }

  spareAnswered(slot: Slot, throttled: boolean): void {
    this.#throttle.answered(slot, this.#o.clock.monotonic());
    if (throttled) this.#onThrownBack(slot);
  }

  /** The alerts, with their days, of which deliveries are here that were not sent. */
  alerts(): Map<string, string> {
    const alerts = new Map<string, string>();
    const items = LANES_BY_URGENCY.flatMap((lane) => [
      ...this.#ready[lane],
      ...this.#chunks[lane].flatMap(({ waiting }) => waiting),
    ]);
    for (const { alert, chunk } of items) alerts.set(alert, chunk.day);
    return alerts;
  }

  /**
   * No more claims; what is claimed still goes out. Resolves when nothing is claimed without a durable outcome, or after
   * `timeoutMs` with false: then none of its chunks may be given back, since nobody would find what is claimed of them.
   */
  async drain(timeoutMs: number): Promise<boolean> {
    if (this.#state === 'running') this.#state = 'draining';
    const until = this.#o.clock.monotonic() + timeoutMs;
    const busy = (): boolean => this.#undecided > 0 || CLAIM_HANDS.some((hand) => this.#claiming[hand]);
    while (busy() && this.#o.clock.monotonic() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return !busy();
  }

  /** Stops for good and gives back the chunks that still have unclaimed positions. */
  stop(): HeldChunk[] {
    this.#state = 'stopped';
    clearInterval(this.#tick);
    if (this.#sendTimer !== null) clearTimeout(this.#sendTimer);
    for (const lane of LANES_BY_URGENCY) {
      // Of one that is partly on the wire the answers decide.
      for (const item of this.#ready[lane].take(() => true)) if (item.inFlight === 0) this.#partlySent(item);
      this.#isReady[lane] = false;
    }
    return [...this.#held.keys()].filter((chunk) => !chunk.done && chunk.claimedTo < chunk.size);
  }

  /**
   * The lease is gone. Nothing is released or tried again from here: the next holder finds the claims and decides.
   * Answers that still come are written down, because they are true.
   */
  lose(): void {
    this.#state = 'lost';
    clearInterval(this.#tick);
    if (this.#sendTimer !== null) clearTimeout(this.#sendTimer);
    for (const lane of LANES_BY_URGENCY) this.#ready[lane].take(() => true);
  }

  get #over(): boolean {
    return this.#state === 'stopped' || this.#state === 'lost';
  }

  /** How one submit_sm ended. */
  answered(sent: Sent, answer: Answer): void {
    const { item, segment } = sent;
    const now = this.#o.clock.now();
    const counts = this.#o.counts.submissions[item.chunk.lane];
    item.inFlight--;
    if (answer.kind === 'unanswered') {
      counts.unanswered++;
      item.taken = true;
      this.#note(item, 3, null);
      this.#journalSubmission(sent, OUTCOME.unanswered, null, null, null);
    } else {
      this.#o.unanswered?.delete(sent);
      const monotonic = this.#o.clock.monotonic();
      this.#throttle.answered(sent.slot, monotonic);
      for (const { throttle, slot } of sent.sideSlots) throttle.answered(slot, monotonic);
      this.#o.counts.responses.add(now - sent.at);
      const kind = classify(answer.status, this.#o.carrier.statuses);
      this.#hearCongestion(answer.tlvs);
      // Before this sender is stopped, which gives back whatever waits: this one comes back by itself, below.
      if (kind === 'bind') this.#takeOut(item);
      if (kind !== 'ok') this.#o.onRefused(kind, answer.status);
      const second = kind === 'ok' ? null : this.#o.secondRoute(item);
      const noWay = second !== null && saysNoRoute(second, answer.status, kind);
      if (noWay) item.onwards = second.route;
      const what = noWay ? 'address' : kind;
      switch (what) {
        case 'ok':
          counts.accepted++;
          item.taken = true;
          this.#note(item, 1, null);
          this.#journalSubmission(sent, OUTCOME.accepted, answer.status, answer.messageId, now);
          break;
        case 'throttled':
          counts.throttled++;
          this.#onThrownBack(sent.slot);
          this.#journal(item, { release: this.#releaseRow(item, segment, 'throttled', answer.status) });
          // Another segment was refused for good, or the rest was withdrawn: none is sent any more.
          if (item.worst === 4) break;
          item.toSend.unshift(segment);
          if (this.#over || item.heldBack) break;
          if (item.toSend.length === 1 || !this.#ready[item.chunk.lane].includes(item)) this.#putBack(item);
          return;
        case 'bind':
          counts.refusedForNow++;
          // Nothing is wrong with it: another bind may send it, or this one later.
          item.toSend.unshift(segment);
          item.returned = { segment, status: answer.status };
          break;
        case 'temporary':
        case 'unknown':
          counts.refusedForNow++;
          this.#note(item, 2, answer.status);
          this.#journalSubmission(sent, OUTCOME.refusedForNow, answer.status, null, now);
          break;
        case 'address':
        case 'message':
          counts.refused++;
          this.#note(item, 4, answer.status);
          this.#journalSubmission(sent, OUTCOME.refused, answer.status, null, now);
          // The rest of the text is of no use to anyone.
          item.toSend = [];
          this.#takeOut(item);
          break;
        default:
          what satisfies never;
      }
    }
    if (this.#state !== 'lost' && item.inFlight === 0) {
      if (item.toSend.length === 0) this.#attemptOver(item);
      else if (item.returned !== null || item.heldBack || this.#state === 'stopped') this.#partlySent(item);
    }
    this.kick();
  }

  /** Of an item whose rest is not sent from here, every segment that was has an outcome. */
  #partlySent(item: Item): void {
    // In doubt, refused: what becomes of such an attempt decides. The next one sends whatever was not accepted.
    if (item.worst > 1) this.#attemptOver(item);
    else this.#giveBack(item);
  }

  #hearCongestion(tlvs: readonly Tlv[]): void {
    const state = this.#o.carrier.congestion === 'follow' ? readCongestion(tlvs) : null;
    if (state === null) return;
    const now = this.#o.clock.monotonic();
    this.#pace = afterCongestion(this.#pace, state, now);
    this.#useShare(now);
  }

  #onThrownBack(slot: Slot): void {
    const now = this.#o.clock.monotonic();
    const throttle = this.#throttle;
    throttle.thrownBack(slot);
    const leftAt = throttle.leftAt(slot);
    // So long ago that nothing is known of it any more.
    if (leftAt === null) return;
    const taken = throttle.takenPerSecond(slot) / throttle.tps;
    const { allowance, restMs } = afterThrownBack(this.#allowance, { leftAt, taken }, now);
    this.#allowance = allowance;
    this.#useShare(now);
    if (restMs > 0) throttle.pause(now + restMs);
  }

  #useShare(now: number): void {
    this.#throttle.use(Math.min(shareAt(this.#pace, now), this.#allowance.share), now);
  }

  #turn(): void {
    if (this.#over) return;
    this.#send();
    // The throttle counts from `take`: bytes that wait for a long turn to end would come too near to those behind them.
    this.#o.wire.flush();
    if (this.#state === 'running') this.#claim();
  }

  #send(): void {
    const { clock, wire, lanes } = this.#o;
    for (let sends = 0; sends < SENDS_PER_TURN; sends++) {
      const ready = this.#isReady;
      if (!this.#o.mayOwn()) return;
      const monotonic = clock.monotonic();
      this.#look(monotonic);
      const next = nextLane(this.#schedule, ready);
      if (next === null) {
        this.#awaitLimits(monotonic);
        return;
      }
      // A lane that has no room in the window gives its turn to emergency, which may have some of its own.
      const lane = ready.emergency && wire.freeFor(next === 'emergency') <= 0 ? 'emergency' : next;
      if (wire.freeFor(lane === 'emergency') <= 0) return;
      const item = this.#heads[lane] as Item;
      const now = clock.now();
      if (item.expiresAt - now < lanes[lane].minRemainingMs) {
        this.#ready[lane].remove(item);
        this.#withdrawClaimed(item, FINAL.expired, 'expired');
        continue;
      }
      if (this.#o.cancelled.has(item.alert)) {
        this.#ready[lane].remove(item);
        this.#withdrawClaimed(item, FINAL.cancelled, 'cancelled');
        continue;
      }
      if (this.#o.pauses.now.holds(this.#o.bind.name, item) !== null) {
        this.#ready[lane].remove(item);
        this.#holdItem(item);
        continue;
      }
      const slot = this.#throttle.take(monotonic);
      if (slot < 0) {
        this.#sendIn(this.#throttle.nextAt(monotonic) - monotonic);
        return;
      }
      const sideSlots = this.#limits.take(item, monotonic);
      const segment = item.toSend.shift() as number;
      const pdu = this.#o.encoder.encode(item, segment, now);
      if (pdu === null || pdu instanceof FieldError) {
        item.toSend = [];
        this.#ready[lane].remove(item);
        if (pdu === null) this.#withdrawClaimed(item, FINAL.expired, 'expired');
        else this.#withdrawClaimed(item, FINAL.failed, 'not-encodable', pdu.message);
        continue;
      }
      const sent: Sent = { owner: this, item, segment, at: now, slot, sideSlots };
      item.inFlight++;
      if (!wire.submit(pdu, sent, lane === 'emergency')) {
        item.inFlight--;
        item.toSend.unshift(segment);
        return;
      }
      this.#o.unanswered?.add(sent);
      // Out of its turn emergency takes nothing from the others.
      if (lane === next) charge(this.#schedule, lane, ready, this.#isBusy);
      this.#o.counts.sent.add(item.chunk.route, lane);
      this.#o.onSent?.(lane, sent);
      if (item.toSend.length === 0) this.#ready[lane].remove(item);
    }
    this.kick();
  }

  /** Of each lane, what goes next, and whether it has work at all. */
  #look(monotonic: number): void {
    for (const lane of LANES_BY_URGENCY) {
      const head = this.#ready[lane].head(this.#limits, monotonic, this.#comeAgain);
      this.#heads[lane] = head;
      this.#isReady[lane] = head !== null;
      this.#isBusy[lane] = head !== null || this.#chunks[lane].length > 0;
    }
  }

  /** More wait for this limit than are kept at hand: it goes back to its queue until about its turn. */
  readonly #comeAgain = (item: Item, limit: SideLimit): void => {
    const { clock } = this.#o;
    const monotonic = clock.monotonic();
    const due = Math.round(clock.now() + comesAgainAt(limit, monotonic) - monotonic);
    const { attempt, possibleDuplicate } = item.chunk;
    this.#again(item, attempt, due, possibleDuplicate, this.#releaseRow(item, 0, 'handed-back', null));
  };

  /** Nothing may go now: what waits for a limit may when that has a token. */
  #awaitLimits(monotonic: number): void {
    const at = Math.min(...LANES_BY_URGENCY.map((lane) => this.#ready[lane].nextAt(monotonic)));
    if (Number.isFinite(at)) this.#sendIn(at - monotonic);
  }

  /** Looks again after `delayMs`; of several wishes the earliest counts. */
  #sendIn(delayMs: number): void {
    const at = this.#o.clock.monotonic() + delayMs;
    if (this.#sendTimer !== null) {
      if (this.#sendTimerAt <= at) return;
      clearTimeout(this.#sendTimer);
    }
    this.#sendTimerAt = at;
    this.#sendTimer = setTimeout(
      () => {
        this.#sendTimer = null;
        this.#turn();
      },
      Math.max(0, delayMs),
    );
  }

  /** Claims ahead of the wire (claim-plan.ts). */
  #claim(): void {
    if (CLAIM_HANDS.every((hand) => this.#claiming[hand]) || !this.#o.mayOwn()) return;
    const plan = planClaims(
      this.claimLimit,
      this.#undecided,
      perLane((lane) => {
        const [first] = this.#chunks[lane];
        const ready = this.#ready[lane];
        return {
          weight: this.#o.lanes[lane].weight,
          pass: passOf(this.#schedule, lane),
          ready: ready.length,
          ahead: first === undefined ? ready.length : ready.ahead(first),
          // What is being claimed counts as undecided already.
          waiting: this.#claiming[handOf(lane)] ? 0 : this.#waiting[lane],
        };
      }),
    );
    for (const hand of CLAIM_HANDS) if (!this.#claiming[hand]) this.#claimBy(hand, plan);
  }

  #claimBy(hand: ClaimHand, plan: Readonly<Record<LaneName, number>>): void {
    const wishes: { wish: ClaimWish; items: Item[]; chunk: HeldChunk }[] = [];
    for (const lane of LANES_BY_URGENCY) {
      let left = handOf(lane) === hand ? plan[lane] : 0;
      for (const chunk of this.#chunks[lane]) {
        if (left <= 0) break;
        const items = chunk.waiting.slice(0, left);
        const whole = items.length === chunk.waiting.length;
        const to = whole ? chunk.size : (items[items.length - 1] as Item).position + 1;
        wishes.push({
          chunk,
          items,
          wish: {
            day: chunk.day,
            chunk: chunk.id,
            from: chunk.claimedTo,
            to,
            attempt: chunk.attempt,
            deliveries: items.map((item) => item.id),
          },
        });
        left -= items.length;
      }
    }
    if (wishes.length === 0) return;
    const count = wishes.reduce((sum, { items }) => sum + items.length, 0);
    this.#undecided += count;
    this.#claiming[hand] = true;
    void this.#runClaim(hand, wishes).finally(() => {
      this.#claiming[hand] = false;
      this.holdBack();
      this.kick();
    });
  }

  async #runClaim(hand: ClaimHand, wishes: { wish: ClaimWish; items: Item[]; chunk: HeldChunk }[]): Promise<void> {
    const moved = await this.#writeClaims(
      hand,
      wishes.map(({ wish }) => wish),
    );
    for (const { wish, items, chunk } of wishes) {
      const claimedTo = moved.get(chunk.id);
      if (claimedTo !== wish.to) {
        this.#undecided -= items.length;
        // Not claimed, and ours: the next claim takes it.
        if (claimedTo !== wish.from) this.#forget(chunk);
        continue;
      }
      chunk.claimedTo = wish.to;
      this.#setWaiting(chunk, chunk.waiting.slice(items.length));
      chunk.open += items.length;
      if (chunk.waiting.length === 0) this.#unqueue(chunk);
      const ready: Item[] = [];
      for (const item of items) {
        const usable = this.#o.encoder.prepare(item);
        if (!usable) this.#withdrawClaimed(item, FINAL.failed, 'not-encodable');
        else if (item.toSend.length === 0) this.#attemptOver(item);
        // Stopped while the claim was on its way: nobody else would give it back.
        else if (this.#state === 'stopped') this.#giveBack(item);
        else ready.push(item);
      }
      this.#ready[chunk.lane].add(ready);
      this.#o.onRoom(chunk.lane);
    }
  }

  /** Up to where each chunk is claimed afterwards; one that is left out is no longer held here. */
  async #writeClaims(hand: ClaimHand, wishes: readonly ClaimWish[]): Promise<ReadonlyMap<number, number>> {
    try {
      const won = await writeClaims(this.#o.claimWriters[hand], this.#o.holder, wishes, this.#o.clock.now());
      const moved = new Map(wishes.filter(({ chunk }) => won.has(chunk)).map(({ chunk, to }) => [chunk, to]));
      const refused = wishes.filter(({ chunk }) => !won.has(chunk)).map(({ chunk }) => chunk);
      if (refused.length === 0) return moved;
      // Its lease may have seemed to be over while a renewal was about to commit: then they are ours still.
      return new Map([...moved, ...((await this.#o.claimedTo(refused)) ?? [])]);
    } catch (error) {
      this.#o.onTrouble(error);
      // It may have committed. What was claimed is sent; what was not is claimed again.
      return (await this.#o.claimedTo(wishes.map(({ chunk }) => chunk))) ?? new Map();
    }
  }

  /** All segments of this attempt have an outcome. */
  #attemptOver(item: Item): void {
    const { lanes, clock } = this.#o;
    const policy = lanes[item.chunk.lane];
    const now = clock.now();
    switch (item.worst) {
      case 0:
      case 1:
        if (this.#o.carrier.receipts === 'none') this.#final(item, FINAL.submitted, null);
        else this.#settled(item, {});
        return;
      case 4:
        if (this.#goOnwards(item, policy, now)) return;
        // Without a status: it expired or was cancelled when some of its segments were on the wire.
        this.#final(
          item,
          FINAL.failed,
          item.worstStatus === null ? 'partly-sent' : `refused: ${statusName(item.worstStatus)}`,
        );
        return;
      case 2: {
        const pace = this.#retryPace(policy, item.worstStatus ?? 0);
        const due = nextRetryAt(pace, item.chunk.attempt, now, item.expiresAt, policy.minRemainingMs);
        if (due === null) {
          this.#final(item, FINAL.failed, `retries used up, last refusal: ${statusName(item.worstStatus ?? 0)}`);
        } else this.#again(item, item.chunk.attempt + 1, due, item.chunk.possibleDuplicate);
        return;
      }
      case 3:
        // A receipt that comes meanwhile ends the delivery, and then nothing is sent again.
        if (policy.inDoubt === 'resend' && !item.chunk.possibleDuplicate)
          this.#again(item, item.chunk.attempt + 1, now + this.#o.carrier.doubtWaitMs, true);
        // Where one may still come, it stays open until its grace is over.
        else if (this.#o.carrier.doubtWaitMs > 0) this.#settled(item, {});
        else this.#final(item, FINAL.unknown, 'in-doubt');
        return;
      default:
        item.worst satisfies never;
    }
  }

  /** The carrier has no way to the number: another route may, if nothing of the text is with a carrier. */
  #goOnwards(item: Item, { retry, minRemainingMs }: LanePolicy, now: number): boolean {
    const { onwards, chunk } = item;
    if (onwards === null || item.taken || chunk.attempt >= retry.budget) return false;
    if (item.expiresAt - now < minRemainingMs) return false;
    const release = this.#releaseRow(item, 0, 'other-route', item.worstStatus);
    this.#again(item, chunk.attempt + 1, now, false, release, onwards);
    return true;
  }

  /** The lane's own, but with fewer attempts after a status that nobody knows: it may well be for ever. */
  #retryPace({ retry }: LanePolicy, status: number): RetryPace {
    const { statuses, unknownStatusAttempts } = this.#o.carrier;
    if (classify(status, statuses) !== 'unknown') return retry;
    return { ...retry, budget: Math.min(retry.budget, unknownStatusAttempts) };
  }

  /**
   * The item ends here and goes on in a chunk for `attempt`. Why it was not sent here, where that is so, is written down
   * in the same transaction: a release without its chunk would be a delivery that nobody has.
   */
  #again(
    item: Item,
    attempt: number,
    due: number,
    possibleDuplicate: boolean,
    release?: ReleaseRow,
    route = item.chunk.route,
    parked = false,
  ): void {
    const { chunk } = item;
    this.#settled(item, {
      ...(release === undefined ? {} : { release }),
      extra: {
        kind: 'retry',
        day: chunk.day,
        lane: chunk.lane,
        route,
        rank: rankOf(chunk.priority),
        delivery: item.id,
        alert: item.alert,
        attempt,
        returns: attempt === chunk.attempt ? chunk.returns + 1 : 0,
        possibleDuplicate,
        due,
        expiresAt: item.expiresAt,
        chunkId: this.#o.nextId(),
        parked,
      },
    });
  }

  #final(item: Item, state: FinalCode, cause: string | null): void {
    this.#settled(item, this.#finalOp(item, state, cause));
  }

  #finalOp(item: Item, state: FinalCode, cause: string | null): JournalOp<DispatchExtra> {
    return {
      final: { day: item.chunk.day, delivery: item.id, state, cause, at: this.#o.clock.now() },
      day: item.chunk.day,
      ...(item.counted ? { alert: item.alert } : {}),
      ...(item.secret && !item.counted ? { secretBody: item.body } : {}),
    };
  }

  /** One for all messages: a closure each would live as long as they do. */
  readonly #onSettled = (): void => {
    this.#undecided--;
    this.kick();
  };

  /** The last operation of a claimed item: when it is durable the item no longer counts towards K. */
  #settled(item: Item, op: JournalOp<DispatchExtra>): void {
    item.chunk.open--;
    op.durable = this.#onSettled;
    this.#journal(item, op);
    this.#finishIfDone(item.chunk);
  }

  #finishIfDone(chunk: HeldChunk): void {
    if (chunk.done || chunk.open > 0 || (chunk.leaving === null && chunk.claimedTo < chunk.size)) return;
    chunk.done = true;
    this.#held.delete(chunk);
    const { id, queue, job, lane, route, leaving: as } = chunk;
    // Behind the facts of what was claimed of it: until those are durable it may have no other holder.
    this.#o.journal.add(id, {
      extra:
        as === null
          ? { kind: 'settle', chunk: id, queue, job }
          : { kind: 'return', chunk: id, job: job.id, lane, route, as },
    });
    this.#o.onRoom(chunk.lane);
  }

  /** Nothing of the rest of the chunk needs sending: it is final already. */
  #skipRest(chunk: HeldChunk): void {
    chunk.claimedTo = chunk.size;
    this.#finishIfDone(chunk);
  }

  #note(item: Item, worst: Item['worst'], status: number | null): void {
    if (worst <= item.worst) return;
    item.worst = worst;
    item.worstStatus = status;
  }

  #journal(item: Item, op: JournalOp<DispatchExtra>): void {
    this.#o.journal.add(item.chunk.id, op);
  }

  #journalSubmission(
    sent: Sent,
    outcome: number,
    status: number | null,
    messageId: string | null,
    answeredAt: number | null,
  ): void {
    const { item, segment } = sent;
    const { chunk } = item;
    if (messageId !== null && outcome === OUTCOME.accepted) this.#track(sent, messageId);
    const whole = outcome === OUTCOME.accepted && item.inFlight === 0 && item.toSend.length === 0 && item.worst === 1;
    this.#journal(item, {
      submission: {
        day: chunk.day,
        delivery: item.id,
        attempt: chunk.attempt,
        segment,
        segments: item.parts.length,
        bind: this.#o.bind.id,
        outcome,
        status,
        messageId,
        possibleDuplicate: chunk.possibleDuplicate,
        sentAt: sent.at,
        answeredAt,
      },
      ...(whole && item.counted && !item.submittedBefore ? { submitted: true, alert: item.alert, day: chunk.day } : {}),
    });
  }

  #track(sent: Sent, messageId: string): void {
    if (this.#o.carrier.receipts === 'none') return;
    this.#o.receipts.add(this.#o.bind.id, messageId, this.matchOf(sent));
    this.#o.onTracked(messageId);
  }

  /** What a receipt of this submit_sm belongs to. */
  matchOf(sent: Sent): Omit<Match, 'messageId'> {
    const { item, segment } = sent;
    const make = (): Track => ({
      day: item.chunk.day,
      delivery: item.id,
      segments: item.parts.length,
      alert: item.alert,
      counted: item.counted,
      secretBody: item.secret && !item.counted ? item.body : null,
      accepted: new SegmentSet(),
      finals: new BySegment(),
      final: null,
      elsewhere: this.#elsewhere(item),
      moved: false,
    });
    sent.track ??= item.parts.length === 1 ? make() : this.#o.receipts.longText(item.id, make);
    return { track: sent.track, attempt: item.chunk.attempt, segment, sentAt: sent.at, shard: item.chunk.id };
  }

  /** A text of several parts is not taken back from a carrier that delivered some of them. */
  #elsewhere(item: Item): Elsewhere | null {
    const second = item.parts.length === 1 ? this.#o.secondRoute(item) : null;
    if (second === null || second.errors.size === 0) return null;
    const { route, errors } = second;
    return { route, errors, lane: item.chunk.lane, rank: rankOf(item.chunk.priority), expiresAt: item.expiresAt };
  }

  #putBack(item: Item): void {
    this.#ready[item.chunk.lane].putBack(item);
    this.kick();
  }

  #takeOut(item: Item): void {
    this.#ready[item.chunk.lane].remove(item);
  }

  /** A claimed item that will not be sent (any more): a release fact, and its final state. */
  #withdrawClaimed(
    item: Item,
    state: FinalCode,
    reason: 'expired' | 'cancelled' | 'not-encodable',
    detail?: string,
  ): void {
    item.toSend = [];
    if (item.inFlight > 0) {
      // Part of it is on the wire: how that ends decides, and it is not sent again.
      this.#note(item, 4, null);
      return;
    }
    const why = reason === 'not-encodable' ? 'cancelled' : reason;
    this.#journal(item, { release: this.#releaseRow(item, 0, why, null) });
    this.#final(item, state, detail === undefined ? reason : `${reason}: ${detail}`);
  }

  /** A claimed item goes back to its queue, unsent or for its unsent rest: the same attempt again in a chunk of its own. */
  #giveBack(item: Item): void {
    const { returned, chunk } = item;
    const held = this.#o.pauses.now.holds(this.#o.bind.name, item);
    const release =
      returned === null
        ? this.#releaseRow(item, 0, held === null ? 'handed-back' : 'paused', null)
        : this.#releaseRow(item, returned.segment, 'bind-refused', returned.status);
    const now = this.#o.clock.now();
    this.#again(item, chunk.attempt, now, chunk.possibleDuplicate, release, chunk.route, held === 'parked');
  }

  /** A claimed item that is paused. Of one that is partly on the wire the answers decide. */
  #holdItem(item: Item): void {
    if (item.inFlight > 0) item.heldBack = true;
    else this.#partlySent(item);
  }

  #holdChunk(pauses: Pauses, chunk: HeldChunk): void {
    const plan = planChunk(pauses, this.#o.bind.name, chunk);
    if (plan.kind === 'keep') return;
    this.#unqueue(chunk);
    if (plan.kind === 'return') {
      this.#setWaiting(chunk, []);
      chunk.leaving = plan.as;
      this.#finishIfDone(chunk);
      this.#o.onRoom(chunk.lane);
      return;
    }
    this.#setWaiting(chunk, [...plan.stay]);
    const { id, job, day, lane, route, attempt, possibleDuplicate } = chunk;
    const parked = [...plan.parked].map(([alert, items]) => ({
      chunkId: this.#o.nextId(),
      alert,
      deliveries: items.map((item) => item.id),
      expiresMin: Math.min(...items.map((item) => item.expiresAt)),
      expiresMax: Math.max(...items.map((item) => item.expiresAt)),
    }));
    this.#o.journal.add(id, {
      extra: { kind: 'split', chunk: id, job: job.id, day, lane, route, attempt, possibleDuplicate, parked },
      // A claim beyond them, and then a crash, would lose them.
      durable: () => this.#afterSplit(chunk),
    });
  }

  #afterSplit(chunk: HeldChunk): void {
    if (this.#over || chunk.done) return;
    if (chunk.waiting.length === 0) this.#skipRest(chunk);
    else insertInOrder(this.#chunks[chunk.lane], [chunk], (each) => each);
    this.kick();
  }

  #releaseRow(item: Item, segment: number, reason: ReleaseRow['reason'], status: number | null): ReleaseRow {
    return {
      day: item.chunk.day,
      delivery: item.id,
      id: this.#o.nextId(),
      attempt: item.chunk.attempt,
      segment,
      bind: this.#o.bind.id,
      reason,
      status,
      at: this.#o.clock.now(),
    };
  }

  /** Ends unclaimed items that match without sending them, and claimed ones that are not on the wire yet. */
  #withdraw(matches: (item: Item) => boolean, state: FinalCode, reason: 'expired' | 'cancelled'): void {
    for (const lane of LANES_BY_URGENCY) {
      for (const chunk of [...this.#chunks[lane]]) {
        const gone = chunk.waiting.filter(matches);
        if (gone.length === 0 || this.#claiming[handOf(lane)]) continue;
        this.#setWaiting(
          chunk,
          chunk.waiting.filter((item) => !matches(item)),
        );
        for (const item of gone) this.#journal(item, this.#finalOp(item, state, reason));
        if (chunk.waiting.length === 0) {
          this.#unqueue(chunk);
          this.#skipRest(chunk);
        }
      }
      for (const item of this.#ready[lane].take(matches)) this.#withdrawClaimed(item, state, reason);
    }
  }

  #onTick(): void {
    if (this.#over) return;
    const monotonic = this.#o.clock.monotonic();
    // It recovers with time alone, also while nothing is answered.
    this.#allowance = advance(this.#allowance, this.#throttle.tps, monotonic);
    this.#useShare(monotonic);
    const now = this.#o.clock.now();
    this.#throttle.align(now - monotonic);
    this.#withdraw(
      (item) => item.expiresAt - now < this.#o.lanes[item.chunk.lane].minRemainingMs,
      FINAL.expired,
      'expired',
    );
    this.cancel();
    this.holdBack();
    this.kick();
  }

  #setWaiting(chunk: HeldChunk, items: Item[]): void {
    this.#waiting[chunk.lane] += items.length - chunk.waiting.length;
    chunk.waiting = items;
  }

  #unqueue(chunk: HeldChunk): void {
    const queue = this.#chunks[chunk.lane];
    const index = queue.indexOf(chunk);
    if (index >= 0) queue.splice(index, 1);
  }

  /** Another holder has this chunk: it is none of ours any more. */
  #forget(chunk: HeldChunk): void {
    this.#unqueue(chunk);
    this.#setWaiting(chunk, []);
    chunk.done = true;
    this.#held.delete(chunk);
  }
}

function contractOf({ tps, guardMs, tpsWindow }: CarrierPolicy, clock: Clock): ThrottleOptions {
  return { tps, guardMs, window: tpsWindow, wallOffsetMs: clock.now() - clock.monotonic() };
}

/** K (DESIGN §6): on a slow bind at most what a second of its TPS takes. */
function claimLimitOf({ tps, window, sessions, claimLimit }: CarrierPolicy): number {
  const windows = Math.max(1, 2 * window * sessions);
  const slow = tps < windows ? Math.max(1, Math.floor(tps)) : Number.POSITIVE_INFINITY;
  return Math.min(claimLimit, windows, slow);
}
