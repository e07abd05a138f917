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
import { FINAL, type FinalCode, type Journal } from '../records/index.ts';
import { type Answer, classify, FieldError, type StatusClass } from '../smpp/index.ts';
import { Attempts } from './attempts.ts';
import { claimLimitOf } from './claim-plan.ts';
import { type ClaimHand, Claiming, type ClaimingOptions } from './claiming.ts';
import type { BindCounts } from './counts.ts';
import type { Encoder } from './encoder.ts';
import { HeldChunks } from './held-chunks.ts';
import type { Holder } from './hold.ts';
import { changed, charge, LANES_BY_URGENCY, type LaneSchedule, newSchedule, nextLane, perLane } from './lanes.ts';
import type { Pauses } from './pauses.ts';
import { ReadyQueue } from './ready-queue.ts';
import type { ReceiptIndex } from './receipts.ts';
import { saysNoRoute } from './second-route.ts';
import { ShareInUse } from './share-in-use.ts';
import { chunkComesAgainAt, comesAgainAt, type SideLimit, SideLimits } from './side-limits.ts';
import { type Slot, Throttle, type ThrottleOptions } from './throttle.ts';
import { matchOf } from './tracking.ts';
import { Turns } from './turns.ts';
import type { DispatchExtra, HeldChunk, Item } from './types.ts';
import type { Unanswered } from './unanswered.ts';
import type { Sent, Wire } from './wire.ts';

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
  claimedTo: ClaimingOptions['claimedTo'];
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

/** Sends in one turn of the event loop, so that no turn lasts long. */
const SENDS_PER_TURN = 256;
/** For so long after an emergency the next is expected. */
const EMERGENCY_EXPECTED_MS = 10_000;
/** For so long after an emergency the other lanes stand back while the next waits for its claim: some commits. */
const BROADCAST_LAPSE_MS = 50;
const TICK_MS = 250;

export class Sender {
  /** Under whose lease it sends. */
  readonly holder: Holder;
  #o: SenderOptions;
  readonly #throttle: Throttle;
  readonly #share: ShareInUse;
  readonly #limits: SideLimits;
  #schedule: LaneSchedule;
  readonly #chunks: HeldChunks;
  readonly #claiming: Claiming;
  readonly #attempts: Attempts;
  /** Claimed and not yet on the wire. */
  readonly #ready: Record<LaneName, ReadyQueue> = perLane(() => new ReadyQueue());
  /** Of each lane what goes next, for the turn that looks. */
  readonly #heads: Record<LaneName, Item | null> = perLane(() => null);
  readonly #isReady: Record<LaneName, boolean> = perLane(() => false);
  readonly #isBusy: Record<LaneName, boolean> = perLane(() => false);
  claimLimit: number;
  readonly #turns: Turns;
  /** When the last emergency left. */
  #emergencyAt = Number.NEGATIVE_INFINITY;
  readonly #tick: NodeJS.Timeout;
  #state: 'running' | 'draining' | 'stopped' | 'lost' = 'running';

  constructor(options: SenderOptions) {
    this.#o = options;
    this.holder = options.holder;
    const { carrier, lanes, bind, clock, journal, nextId, onRoom } = options;
    const [contract, now] = [contractOf(carrier, clock), clock.monotonic()];
    this.#throttle = new Throttle(contract, now);
    this.#share = new ShareInUse(this.#throttle);
    this.#schedule = newSchedule(lanes, carrier.tps);
    this.claimLimit = claimLimitOf(carrier);
    this.#limits = new SideLimits(carrier, contract, this.claimLimit, now);
    this.#turns = new Turns(clock, () => this.#turn());
    this.#chunks = new HeldChunks({ bind: bind.name, clock, journal, nextId, onRoom, onSplit: () => this.kick() });
    this.#claiming = new Claiming({
      holder: options.holder,
      clock,
      writers: options.claimWriters,
      claimedTo: options.claimedTo,
      mayOwn: options.mayOwn,
      chunks: this.#chunks,
      ready: this.#ready,
      onClaimed: (chunk, items) => this.#onClaimed(chunk, items),
      onEnd: () => {
        this.holdBack();
        this.kick();
      },
      onTrouble: options.onTrouble,
    });
    this.#attempts = new Attempts({
      ...{ bind, carrier, lanes, clock, journal, nextId, pauses: options.pauses },
      counts: options.counts.submissions,
      chunks: this.#chunks,
      onDecided: () => {
        this.#claiming.decided();
        this.kick();
      },
    });
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** Policies have changed: what of them counts here holds from the next PDU on (`applyLive` says what can change). */
  apply(carrier: CarrierPolicy, lanes: Readonly<Record<LaneName, LanePolicy>>): void {
    const { clock } = this.#o;
    const now = clock.monotonic();
    this.#o = { ...this.#o, carrier, lanes };
    const contract = contractOf(carrier, clock);
    this.#share.change(contract, now);
    this.#schedule = changed(this.#schedule, lanes, carrier.tps);
    this.claimLimit = claimLimitOf(carrier);
    this.#limits.apply(carrier, contract, this.claimLimit, now);
    this.#attempts.apply(carrier, lanes);
    this.kick();
  }

  /** Deliveries of a lane in memory that are not yet on the wire. */
  buffered(lane: LaneName): number {
    return this.#ready[lane].length + this.#chunks.waiting(lane);
  }

  /** Since when the chunk that has been here longest has been in memory, by lane; it has not come to its end. */
  heldSince(): Partial<Record<LaneName, EpochMs>> {
    return this.#chunks.since();
  }

  /** Deliveries claimed without a durable outcome. */
  get undecided(): number {
    return this.#claiming.undecided;
  }

  /** submit_sm that the throttle would let out at once. */
  get tokens(): number {
    return this.#throttle.tokens(this.#o.clock.monotonic());
  }

  get heldChunks(): number {
    return this.#chunks.size;
  }

  /**
   * Null for a chunk that is to be taken into memory. Else it goes back to its queue until then: its sender has a limit, and
   * enough of its deliveries wait here already.
   */
  comesAgainAt({ lane }: HeldChunk, items: readonly Item[]): EpochMs | null {
    const limit = this.#limits.ofAll(items);
    if (limit === null) return null;
    const same = this.#chunks.queue(lane).filter(({ waiting }) => this.#limits.ofAll(waiting) === limit);
    const here = same.reduce((sum, { waiting }) => sum + waiting.length, this.#ready[lane].parkedFor(limit));
    if (here === 0 || here < limit.parkedMax) return null;
    const now = this.#o.clock.monotonic();
    return Math.round(this.#o.clock.now() + chunkComesAgainAt(limit, items.length, now) - now);
  }

  /** Takes a chunk into memory. Items are in the order of their positions. */
  add(chunk: HeldChunk, items: Item[]): void {
    this.#chunks.add(chunk, items);
    this.holdBack();
    this.kick();
  }

  /** Something changed: room in the window, a claim, a new chunk. */
  kick(): void {
    this.#turns.soon();
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
      if (!this.#claiming.inProgress(lane)) this.#chunks.holdBack(lane, pauses);
      const leave = this.#ready[lane].take((item) => pauses.holds(this.#o.bind.name, item) !== null);
      for (const item of leave) this.#attempts.holdBack(item);
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
    const slot = this.#throttle.take(monotonic, this.#spared(monotonic));
    return slot < 0 ? null : slot;
  }

  /** Whether something of this lane waits for the bind alone: what waits for a limit of its sender may wait for long. */
  #wants(lane: LaneName, monotonic: number): boolean {
    if (this.#ready[lane].nextAt(monotonic) <= monotonic) return true;
    return this.#chunks.queue(lane).some(({ waiting }) => this.#limits.ofAll(waiting) === null);
  }

  spareAnswered(slot: Slot, throttled: boolean): void {
    const monotonic = this.#o.clock.monotonic();
    this.#throttle.answered(slot, monotonic);
    if (throttled) this.#share.thrownBack(slot, monotonic);
  }

  /** The alerts, with their days, of which deliveries are here that were not sent. */
  alerts(): Map<string, string> {
    const alerts = new Map<string, string>();
    const items = LANES_BY_URGENCY.flatMap((lane) => [
      ...this.#ready[lane],
      ...this.#chunks.queue(lane).flatMap(({ waiting }) => waiting),
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
    while (this.#claiming.busy && this.#o.clock.monotonic() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return !this.#claiming.busy;
  }

  /** Stops for good and gives back the chunks that still have unclaimed positions. */
  stop(): HeldChunk[] {
    this.#end('stopped');
    for (const lane of LANES_BY_URGENCY) {
      // Of one that is partly on the wire the answers decide.
      for (const item of this.#ready[lane].take(() => true)) if (item.inFlight === 0) this.#attempts.partlySent(item);
      this.#isReady[lane] = false;
    }
    return this.#chunks.close();
  }

  /**
   * The lease is gone. Nothing is released or tried again from here: the next holder finds the claims and decides.
   * Answers that still come are written down, because they are true.
   */
  lose(): void {
    this.#end('lost');
    for (const lane of LANES_BY_URGENCY) this.#ready[lane].take(() => true);
    this.#chunks.close();
  }

  #end(state: 'stopped' | 'lost'): void {
    this.#state = state;
    clearInterval(this.#tick);
    this.#turns.stop();
  }

  get #over(): boolean {
    return this.#state === 'stopped' || this.#state === 'lost';
  }

  /** How one submit_sm ended. */
  answered(sent: Sent, answer: Answer): void {
    const { item } = sent;
    item.inFlight--;
    if (answer.kind === 'unanswered') this.#attempts.unanswered(sent);
    else if (this.#onAnswer(sent, answer)) return;
    if (this.#state !== 'lost' && item.inFlight === 0) {
      if (item.toSend.length === 0) this.#attempts.over(item);
      else if (item.returned !== null || item.heldBack || this.#state === 'stopped') this.#attempts.partlySent(item);
    }
    this.kick();
  }

  /** @returns true when it was thrown back, and goes out again by its turn. */
  #onAnswer(sent: Sent, answer: Extract<Answer, { kind: 'answered' }>): boolean {
    const { item } = sent;
    const { clock, carrier, counts, unanswered, secondRoute, onRefused } = this.#o;
    const now = clock.now();
    const monotonic = clock.monotonic();
    const ready = this.#ready[item.chunk.lane];
    unanswered?.delete(sent);
    this.#throttle.answered(sent.slot, monotonic);
    for (const { throttle, slot } of sent.sideSlots) throttle.answered(slot, monotonic);
    counts.responses.add(now - sent.at);
    const kind = classify(answer.status, carrier.statuses);
    if (carrier.congestion === 'follow') this.#share.hear(answer.tlvs, monotonic);
    // Before this sender is stopped, which gives back whatever waits: this one comes back by itself, below.
    if (kind === 'bind') ready.remove(item);
    if (kind !== 'ok') onRefused(kind, answer.status);
    const second = kind === 'ok' ? null : secondRoute(item);
    const noWay = second !== null && saysNoRoute(second, answer.status, kind);
    if (noWay) item.onwards = second.route;
    const what = noWay ? 'address' : kind;
    if (what === 'ok' && answer.messageId !== null) this.#track(sent, answer.messageId);
    if (what === 'throttled') this.#share.thrownBack(sent.slot, monotonic);
    this.#attempts.answered(sent, what, answer, now);
    if (what === 'address' || what === 'message') ready.remove(item);
    if (what !== 'throttled' || item.worst === 4 || this.#over || item.heldBack) return false;
    if (item.toSend.length === 1 || !ready.includes(item)) {
      ready.putBack(item);
      this.kick();
    }
    return true;
  }

  #track(sent: Sent, messageId: string): void {
    const { carrier, bind, receipts, secondRoute, onTracked } = this.#o;
    if (carrier.receipts === 'none') return;
    receipts.add(bind.id, matchOf(sent, messageId, receipts, secondRoute));
    onTracked(messageId);
  }

  #turn(): void {
    if (this.#over) return;
    this.#send();
    // The throttle counts from `take`: bytes that wait for a long turn to end would come too near to those behind them.
    this.#o.wire.flush();
    if (this.#state !== 'running') return;
    this.#claiming.claim(this.claimLimit, this.#schedule, this.#expecting(this.#o.clock.monotonic()));
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
      const standBack = this.#standBackFor(monotonic);
      if (standBack > 0) {
        this.#turns.in(standBack);
        return;
      }
      // A lane that has no room in the window gives its turn to emergency, which may have some of its own.
      const lane = ready.emergency && wire.freeFor(next === 'emergency') <= 0 ? 'emergency' : next;
      if (wire.freeFor(lane === 'emergency') <= 0) return;
      const item = this.#heads[lane] as Item;
      const now = clock.now();
      if (item.expiresAt - now < lanes[lane].minRemainingMs) {
        this.#ready[lane].remove(item);
        this.#attempts.withdraw(item, FINAL.expired, 'expired');
        continue;
      }
      if (this.#o.cancelled.has(item.alert)) {
        this.#ready[lane].remove(item);
        this.#attempts.withdraw(item, FINAL.cancelled, 'cancelled');
        continue;
      }
      if (this.#o.pauses.now.holds(this.#o.bind.name, item) !== null) {
        this.#ready[lane].remove(item);
        this.#attempts.holdBack(item);
        continue;
      }
      // Where emergencies wait it is their turn, or by its weight another lane's, and then nothing is spared.
      const spare = ready.emergency ? 0 : this.#spared(monotonic);
      const slot = this.#throttle.take(monotonic, spare);
      if (slot < 0) {
        this.#turns.in(this.#throttle.nextAt(monotonic, spare) - monotonic);
        return;
      }
      if (lane === 'emergency') this.#emergencyAt = monotonic;
      const sideSlots = this.#limits.take(item, monotonic);
      const segment = item.toSend.shift() as number;
      const pdu = this.#o.encoder.encode(item, segment, now);
      if (pdu === null || pdu instanceof FieldError) {
        item.toSend = [];
        this.#ready[lane].remove(item);
        if (pdu === null) this.#attempts.withdraw(item, FINAL.expired, 'expired');
        else this.#attempts.withdraw(item, FINAL.failed, 'not-encodable', pdu.message);
        continue;
      }
      const sent: Sent = { owner: this, item, segment, at: now, slot, sideSlots, track: null };
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

  /** Places of the throttle that other lanes leave free. */
  #spared(monotonic: number): number {
    return this.#expecting(monotonic) ? this.#throttle.sparable : 0;
  }

  /** An emergency was here a while ago: another may come. */
  #expecting(monotonic: number): boolean {
    return monotonic - this.#emergencyAt < EMERGENCY_EXPECTED_MS;
  }

  /**
   * For how long the other lanes leave the bind to emergency, ms: one left a moment ago, the next waits for its claim, and
   * would have this turn if it had it. So a claim that takes long lets nothing in between two of a broadcast.
   */
  #standBackFor(monotonic: number): number {
    const left = this.#emergencyAt + BROADCAST_LAPSE_MS - monotonic;
    // What is claimed and not ready has a limit of its own.
    if (left <= 0 || this.#state !== 'running' || this.#ready.emergency.length > 0) return 0;
    const next = nextLane(this.#schedule, { ...this.#isReady, emergency: true });
    return next === 'emergency' && this.#wants('emergency', monotonic) ? left : 0;
  }

  /** Of each lane, what goes next, and whether it has work at all. */
  #look(monotonic: number): void {
    for (const lane of LANES_BY_URGENCY) {
      const head = this.#ready[lane].head(this.#limits, monotonic, this.#comeAgain);
      this.#heads[lane] = head;
      this.#isReady[lane] = head !== null;
      this.#isBusy[lane] = head !== null || this.#chunks.queue(lane).length > 0;
    }
  }

  /** More wait for this limit than are kept at hand: it goes back to its queue until about its turn. */
  readonly #comeAgain = (item: Item, limit: SideLimit): void => {
    const { clock } = this.#o;
    const monotonic = clock.monotonic();
    this.#attempts.giveBackUntil(item, Math.round(clock.now() + comesAgainAt(limit, monotonic) - monotonic));
  };

  /** Nothing may go now: what waits for a limit may when that has a token. */
  #awaitLimits(monotonic: number): void {
    const at = Math.min(...LANES_BY_URGENCY.map((lane) => this.#ready[lane].nextAt(monotonic)));
    if (Number.isFinite(at)) this.#turns.in(at - monotonic);
  }

  #onClaimed(chunk: HeldChunk, items: readonly Item[]): void {
    const ready: Item[] = [];
    for (const item of items) {
      const usable = this.#o.encoder.prepare(item);
      if (!usable) this.#attempts.withdraw(item, FINAL.failed, 'not-encodable');
      else if (item.toSend.length === 0) this.#attempts.over(item);
      // Stopped while the claim was on its way: nobody else would give it back.
      else if (this.#state === 'stopped') this.#attempts.giveBack(item);
      else ready.push(item);
    }
    this.#ready[chunk.lane].add(ready);
    this.#o.onRoom(chunk.lane);
  }

  /** Ends unclaimed items that match without sending them, and claimed ones that are not on the wire yet. */
  #withdraw(matches: (item: Item) => boolean, state: FinalCode, reason: 'expired' | 'cancelled'): void {
    for (const lane of LANES_BY_URGENCY) {
      if (!this.#claiming.inProgress(lane)) this.#chunks.withdraw(lane, matches, state, reason);
      for (const item of this.#ready[lane].take(matches)) this.#attempts.withdraw(item, state, reason);
    }
  }

  #onTick(): void {
    if (this.#over) return;
    const monotonic = this.#o.clock.monotonic();
    this.#share.advance(monotonic);
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
}

function contractOf({ tps, guardMs, tpsWindow }: CarrierPolicy, clock: Clock): ThrottleOptions {
  return { tps, guardMs, window: tpsWindow, wallOffsetMs: clock.now() - clock.monotonic() };
}
