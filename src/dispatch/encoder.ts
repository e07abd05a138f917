/** From a delivery to the bytes of its submit_sm, at the moment of sending: validity is what is left now. */
import { BoundedMap, type EpochMs } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy, TlvPolicy } from '../policy/index.ts';
import {
  defaultSenderRules,
  deliveryTimes,
  encodeCorrelation,
  encodeSubmitSm,
  FieldError,
  priorityFlag,
  type Segments,
  type SenderRule,
  type SourceAddress,
  segment,
  sourceAddress,
  submitTlv,
  TextError,
  type TimeForm,
  type Tlv,
  userReferenceTlv,
  withReference,
} from '../smpp/index.ts';
import type { Item } from './types.ts';

/** Concatenation reference of a delivery: the same for every attempt, so that a phone can join segments across them. */
export function referenceOf(delivery: number): number {
  return delivery % 65_536;
}

const KEPT_MAX = 256;

interface SenderFields {
  from: SourceAddress;
  serviceType: string;
  tlvs: readonly TlvPolicy[];
}

/** more_messages_to_send (SMPP 3.4 §5.3.2.34): 1 while segments of the text follow. */
const MORE: Tlv = { tag: 0x0426, value: Buffer.from([1]) };
const NO_MORE: Tlv = { tag: 0x0426, value: Buffer.from([0]) };

/** Alerts' values are kept as texts. */
const NUMBERS: ReadonlySet<TlvPolicy['type']> = new Set(['int8', 'int16', 'int32'] as const);

/** SMPP 3.4 §5.2.17: bits 0 and 1 say which final outcomes are reported, bit 4 asks for intermediate notifications. */
function registeredDelivery({ receipts, receiptsOn, intermediateReceipts }: CarrierPolicy): number {
  if (receipts === 'none') return 0;
  return (receiptsOn === 'failure' ? 2 : 1) | (intermediateReceipts ? 0x10 : 0);
}

/** A sender's own stand in the place of the carrier's of the same tag, and behind them. */
function overridden(carrier: readonly TlvPolicy[], sender: readonly TlvPolicy[]): TlvPolicy[] {
  const own = new Map(sender.map((tlv) => [tlv.tag, tlv]));
  const tags = new Set(carrier.map(({ tag }) => tag));
  return [...carrier.map((tlv) => own.get(tlv.tag) ?? tlv), ...sender.filter(({ tag }) => !tags.has(tag))];
}

export class Encoder {
  readonly #carrier: CarrierPolicy;
  readonly #priority: Readonly<Record<LaneName, number>>;
  readonly #times: TimeForm;
  readonly #registered: number;
  readonly #rules: readonly SenderRule[];
  readonly #textOf: (body: number) => string | undefined;
  /** The last texts, segmented: only the reference of long ones depends on the delivery. */
  readonly #kept = new BoundedMap<number, Segments>(KEPT_MAX);
  /** What is the same for all messages of a sender. */
  readonly #senders = new Map<string, SenderFields>();

  constructor(
    carrier: CarrierPolicy,
    lanes: Readonly<Record<LaneName, LanePolicy>>,
    textOf: (body: number) => string | undefined,
  ) {
    this.#carrier = carrier;
    const flag = (lane: LaneName): number => carrier.priorityFlags[lane] ?? lanes[lane].priorityFlag;
    this.#priority = {
      emergency: flag('emergency'),
      security: flag('security'),
      transaction: flag('transaction'),
      bulk: flag('bulk'),
    };
    this.#times = {
      validity: carrier.validityMode,
      // Otherwise what is for later was held here.
      schedule: carrier.scheduleMode === 'carrier' ? carrier.scheduleForm : 'omitted',
      utcOffset: carrier.utcOffset,
      longestValidityMs: carrier.longestValidityMs,
    };
    this.#registered = registeredDelivery(carrier);
    this.#rules = [...carrier.senderRules, ...defaultSenderRules({ ton: carrier.sourceTon, npi: carrier.sourceNpi })];
    this.#textOf = textOf;
  }

  /** The source address of messages of this sender. */
  sourceOf(sender: string | null): SourceAddress {
    return this.#sender(sender ?? this.#carrier.defaultSender).from;
  }

  /** Segments the text and works out which segments this attempt must send. False when the text can't be sent at all. */
  prepare(item: Item): boolean {
    const segmented = this.#segments(item);
    if (segmented === null) return false;
    item.parts = segmented.parts;
    item.partTlvs = segmented.tlvs;
    item.dataCoding = segmented.dataCoding;
    item.esmClass = segmented.esmClass;
    // `toSend` brought the segments that an SMSC has accepted already.
    if (item.toSend.length === 0 && segmented.parts.length === 1) {
      item.toSend = [1];
      return true;
    }
    const accepted = new Set(item.toSend);
    item.toSend = [];
    for (let index = 1; index <= segmented.parts.length; index++) if (!accepted.has(index)) item.toSend.push(index);
    return true;
  }

  /**
   * The submit_sm of one segment, with what is left of its times now.
   * @returns null when nothing of the validity is left that the carrier's form can say; a FieldError when this message
   *   can't be said at all.
   */
  encode(item: Item, segmentNumber: number, now: EpochMs): Buffer | FieldError | null {
    try {
      return this.#encode(item, segmentNumber, now);
    } catch (error) {
      if (error instanceof FieldError) return error;
      throw error;
    }
  }

  #encode(item: Item, segmentNumber: number, now: EpochMs): Buffer | null {
    const carrier = this.#carrier;
    const times = deliveryTimes(this.#times, item, now);
    if (times === null) return null;
    const { from, serviceType, tlvs } = this.#sender(item.sender ?? carrier.defaultSender);
    return encodeSubmitSm(0, {
      serviceType,
      sourceTon: from.ton,
      sourceNpi: from.npi,
      sourceAddr: from.address,
      destTon: carrier.destTon,
      destNpi: carrier.destNpi,
      destAddr: item.msisdn.slice(1),
      esmClass: item.esmClass,
      protocolId: 0,
      priorityFlag: priorityFlag(this.#priority[item.chunk.lane]),
      scheduleDeliveryTime: times.schedule,
      validityPeriod: times.validity,
      registeredDelivery: this.#registered,
      // The second segment would replace the first.
      replaceIfPresent: carrier.replaceIfPresent && item.parts.length === 1 ? 1 : 0,
      dataCoding: item.dataCoding,
      smDefaultMsgId: 0,
      shortMessage: item.parts[segmentNumber - 1] as Buffer,
      tlvs: this.#tlvs(item, segmentNumber, tlvs),
    });
  }

  #tlvs(item: Item, segment: number, policy: readonly TlvPolicy[]): Tlv[] {
    const carrier = this.#carrier;
    const tlvs: Tlv[] = [...(item.partTlvs[segment - 1] ?? [])];
    const sent = { delivery: item.id, attempt: item.chunk.attempt, segment };
    if (carrier.userMessageReference) tlvs.push(userReferenceTlv(sent));
    if (carrier.moreMessagesToSend && item.parts.length > 1) tlvs.push(item.toSend.length > 0 ? MORE : NO_MORE);
    for (const { tag, type, value, alertName } of policy) {
      const own = alertName === null ? undefined : item.tlvs?.[alertName];
      if (own !== undefined) tlvs.push(submitTlv(tag, type, NUMBERS.has(type) ? Number(own) : own));
      else if (value !== null) tlvs.push({ tag, value });
    }
    if (carrier.correlationTlv !== null) {
      const { possibleDuplicate } = item.chunk;
      tlvs.push({ tag: carrier.correlationTlv, value: encodeCorrelation({ ...sent, possibleDuplicate }) });
    }
    return tlvs;
  }

  #sender(sender: string): SenderFields {
    const kept = this.#senders.get(sender);
    if (kept !== undefined) return kept;
    const { serviceType, tlvs, senders } = this.#carrier;
    const own = senders.get(sender);
    const fields = {
      from: sourceAddress(sender, this.#rules),
      serviceType: own?.serviceType ?? serviceType,
      tlvs: own === undefined ? tlvs : overridden(tlvs, own.tlvs),
    };
    if (this.#senders.size >= KEPT_MAX) this.#senders.clear();
    this.#senders.set(sender, fields);
    return fields;
  }

  #segments(item: Item): Segments | null {
    let segments = this.#kept.get(item.body);
    if (segments === undefined) {
      const text = this.#textOf(item.body);
      if (text === undefined) return null;
      try {
        segments = segment(text, 0, this.#carrier.text[item.chunk.lane][item.reworded ? 'normal' : 'exact']);
      } catch (error) {
        if (error instanceof TextError) return null;
        throw error;
      }
      if (!item.secret) this.#kept.set(item.body, segments);
    }
    return withReference(segments, referenceOf(item.id));
  }
}
