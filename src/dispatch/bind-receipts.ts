/** What comes in from a bind's sessions: receipts for its desk, and the doubts about submit_sm without an answer that they end. */
import type { Clock, Pool } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy, NoRoute } from '../policy/index.ts';
import type { Journal } from '../records/index.ts';
import { type DeliverSm, type IncomingDeliver, parseReceipt, readUserReference } from '../smpp/index.ts';
import type { BindCounts } from './counts.ts';
import type { IdStock } from './extras.ts';
import type { BindHealth } from './health.ts';
import { ReceiptDesk } from './receipt-desk.ts';
import type { ReceiptIndex } from './receipts.ts';
import { moveOn } from './second-route.ts';
import { matchOf } from './tracking.ts';
import type { DispatchExtra, DispatchLog, Item } from './types.ts';
import { Unanswered } from './unanswered.ts';
import type { Sent } from './wire.ts';

export interface BindReceiptsOptions {
  bind: { id: number; name: string };
  /** In force: they may change. */
  policy: () => { carrier: CarrierPolicy; lanes: Readonly<Record<LaneName, LanePolicy>> };
  clock: Clock;
  pool: Pool;
  journal: Journal<DispatchExtra>;
  idStock: IdStock;
  receipts: ReceiptIndex;
  counts: BindCounts;
  health: BindHealth;
  /** Alerts that were cancelled lately. */
  cancelled: ReadonlySet<string>;
  /** Where an item may go once when the carrier has no way to its number. */
  secondRoute: (item: Item) => NoRoute | null;
  log: DispatchLog;
  onTrouble: (error: unknown) => void;
}

/** Submissions without an answer that are kept for receipts which repeat our reference. */
const UNANSWERED_MAX = 50_000;

export class BindReceipts {
  readonly desk: ReceiptDesk;
  /** What was sent and not answered; null where the carrier repeats no reference of ours. */
  readonly unanswered: Unanswered<Sent> | null;
  readonly #o: BindReceiptsOptions;

  constructor(options: BindReceiptsOptions) {
    this.#o = options;
    const { bind, clock, pool, journal, receipts, idStock, counts, health, cancelled } = options;
    const { carrier } = options.policy();
    this.unanswered = carrier.userMessageReference ? new Unanswered(openOf, UNANSWERED_MAX) : null;
    this.desk = new ReceiptDesk({
      bind: bind.id,
      horizonDays: carrier.receiptHorizonDays,
      busyStatus: carrier.receiptBusyStatus,
      rules: carrier.receiptRules,
      clock,
      pool,
      journal,
      index: receipts,
      ids: idStock,
      counts,
      recalled: (alert) => carrier.cancelAccepted === 'request' && cancelled.has(alert),
      onTrouble: options.onTrouble,
      moved: (track, attempt, error) => {
        if (cancelled.has(track.alert)) return null;
        const { lanes } = options.policy();
        return moveOn(track, attempt, error, { bind: bind.id, now: clock.now(), lanes, nextId: () => idStock.next() });
      },
      onEnd: (sentAt, delivered, receivedAt) => health.receipt(sentAt, delivered, receivedAt),
      onLearned: (learned) =>
        options.log.info({ bind: bind.name, ...learned }, 'what the receipts of the carrier are like'),
    });
  }

  take(incoming: IncomingDeliver): void {
    const { carrier } = this.#o.policy();
    const receipt = parseReceipt(incoming.pdu, carrier.receiptRules);
    if (receipt === null) {
      // Messages from phones have no room here yet: the SMSC keeps them.
      incoming.respond(carrier.receiptBusyStatus);
      return;
    }
    this.#settleDoubt(incoming.pdu, receipt.messageId);
    incoming.release();
    this.desk.take(receipt, (status) => incoming.respond(status));
  }

  /** A receipt of a message whose submit_sm_resp never came: the reference in it says which, and names its message_id. */
  #settleDoubt({ tlvs, sourceAddr }: DeliverSm, messageId: string): void {
    if (this.unanswered === null || messageId === '') return;
    const reference = readUserReference(tlvs);
    const { receipts, bind, secondRoute } = this.#o;
    if (reference === null || receipts.find(bind.id, messageId) !== undefined) return;
    const sent = this.unanswered.find(sourceAddr, reference);
    if (sent !== null) receipts.add(bind.id, matchOf(sent, messageId, receipts, secondRoute));
  }
}

const openOf = ({ item, segment }: Sent) => ({
  delivery: item.id,
  attempt: item.chunk.attempt,
  segment,
  msisdn: item.msisdn,
});
