/** From a delivery to the bytes of its submit_sm, at the moment of sending: validity is what is left now. */
import type { EpochMs } from '../platform/index.ts';
import type { CarrierPolicy, LaneName, LanePolicy } from '../policy/index.ts';
import {
  encodeCorrelation,
  encodeSubmitSm,
  type Segments,
  scheduleDeliveryTime,
  segment,
  TextError,
  type Tlv,
  validityPeriod,
  withReference,
} from '../smpp/index.ts';
import type { Item } from './types.ts';

interface SenderAddress {
  ton: number;
  npi: number;
  address: string;
}

/** TON and NPI of a sender (SMPP 3.4 §5.2.5): a number as the carrier wants it, a short code, or alphanumeric. */
function senderAddress(
  sender: string,
  { sourceTon, sourceNpi }: Pick<CarrierPolicy, 'sourceTon' | 'sourceNpi'>,
): SenderAddress {
  if (sender === '') return { ton: 0, npi: 0, address: '' };
  if (/^\+\d{5,20}$/.test(sender)) return { ton: sourceTon, npi: sourceNpi, address: sender.slice(1) };
  if (/^\d{9,20}$/.test(sender)) return { ton: sourceTon, npi: sourceNpi, address: sender };
  if (/^\d{3,8}$/.test(sender)) return { ton: 3, npi: 0, address: sender };
  return { ton: 5, npi: 0, address: sender };
}

/** Concatenation reference of a delivery: the same for every attempt, so that a phone can join segments across them. */
export function referenceOf(delivery: number): number {
  return delivery % 65_536;
}

const KEPT_MAX = 256;

export class Encoder {
  readonly #carrier: CarrierPolicy;
  readonly #lanes: Readonly<Record<LaneName, LanePolicy>>;
  readonly #textOf: (body: number) => string | undefined;
  /** The last texts, segmented: only the reference of long ones depends on the delivery. */
  readonly #kept = new Map<number, Segments>();

  constructor(
    carrier: CarrierPolicy,
    lanes: Readonly<Record<LaneName, LanePolicy>>,
    textOf: (body: number) => string | undefined,
  ) {
    this.#carrier = carrier;
    this.#lanes = lanes;
    this.#textOf = textOf;
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
    const accepted = new Set(item.toSend);
    item.toSend = [];
    for (let index = 1; index <= segmented.parts.length; index++) if (!accepted.has(index)) item.toSend.push(index);
    return true;
  }

  /** The submit_sm of one segment; null when nothing of the validity is left that the carrier's mode can say. */
  encode(item: Item, segmentNumber: number, now: EpochMs): Buffer | null {
    const carrier = this.#carrier;
    const validity = validityPeriod(carrier.validityMode, item.expiresAt, now);
    if (validity === null) return null;
    const from = senderAddress(item.sender ?? carrier.defaultSender, carrier);
    const tlvs: Tlv[] = [...(item.partTlvs[segmentNumber - 1] ?? [])];
    if (carrier.correlationTlv !== null) {
      tlvs.push({
        tag: carrier.correlationTlv,
        value: encodeCorrelation({
          delivery: item.id,
          attempt: item.chunk.attempt,
          segment: segmentNumber,
          possibleDuplicate: item.chunk.possibleDuplicate,
        }),
      });
    }
    return encodeSubmitSm(0, {
      serviceType: carrier.serviceType,
      sourceTon: from.ton,
      sourceNpi: from.npi,
      sourceAddr: from.address,
      destTon: carrier.destTon,
      destNpi: carrier.destNpi,
      destAddr: item.msisdn.slice(1),
      esmClass: item.esmClass,
      protocolId: 0,
      priorityFlag: this.#lanes[item.chunk.lane].priorityFlag,
      scheduleDeliveryTime: this.#schedule(item, now),
      validityPeriod: validity,
      registeredDelivery: carrier.receipts === 'none' ? 0 : 1,
      replaceIfPresent: 0,
      dataCoding: item.dataCoding,
      smDefaultMsgId: 0,
      shortMessage: item.parts[segmentNumber - 1] as Buffer,
      tlvs,
    });
  }

  /** Only where the carrier holds work for later; otherwise it was held here. */
  #schedule(item: Item, now: EpochMs): string {
    const { notBefore } = item;
    if (this.#carrier.scheduleMode !== 'carrier' || notBefore === null) return '';
    return (
      scheduleDeliveryTime(this.#carrier.validityMode === 'relative' ? 'relative' : 'absolute', notBefore, now) ?? ''
    );
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
      if (!item.secret) {
        if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
        this.#kept.set(item.body, segments);
      }
    }
    return withReference(segments, referenceOf(item.id));
  }
}
