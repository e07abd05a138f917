/** Any PDU and any TLV that the standards allow, for property tests. */
import fc from 'fast-check';
import {
  PDUS,
  type Pdu,
  type PduCommand,
  type PduOf,
  TLVS,
  type Tlv,
  type TlvName,
  type TlvValue,
  tlv,
} from '../../src/smpp/index.ts';
import { type BroadcastArea, decodeArea, encodeArea } from '../../src/smpp/pdus/area.ts';

type Arbitraries<T> = { [K in keyof T]: fc.Arbitrary<T[K]> };

const octet = fc.integer({ min: 0, max: 255 });
const upTo = (max: number, min = 0) => fc.integer({ min, max });
const word = upTo(0xffff);
const uint32 = upTo(0xffffffff);
const octets = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((value) => Buffer.from(value));
/** Characters from U+0001 up to `last`: the `smpp` package can read those below U+0080. */
const string = (maxLength: number, last: number, minLength = 0) =>
  fc.array(upTo(last, 1), { minLength, maxLength }).map((units) => String.fromCharCode(...units));
const digits = (count: number) =>
  fc.array(upTo(9), { minLength: count, maxLength: count }).map((each) => each.join(''));
const absolute = fc.tuple(digits(15), fc.constantFrom('+', '-')).map((parts) => parts.join(''));
const time = fc.oneof(
  fc.constant(''),
  absolute,
  digits(15).map((each) => `${each}R`),
);

export const sequence = fc.oneof(upTo(0x7fffffff, 1), fc.constantFrom(1, 0x7fffffff));

const point = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});

/** Areas as a caller gives them: what is read back is within one step of them. */
export const area: fc.Arbitrary<BroadcastArea> = fc.oneof(
  string(100, 0xff, 1).map((name) => ({ format: 'alias', name }) as const),
  fc.record({
    format: fc.constant('circle' as const),
    centre: point,
    radius: fc.double({ min: 0, max: 1_800_000, noNaN: true }),
  }),
  fc.record({
    format: fc.constant('ellipsoidArc' as const),
    arc: fc.record({
      centre: point,
      innerRadius: fc.double({ min: 0, max: 327_675, noNaN: true }),
      uncertaintyRadius: fc.double({ min: 0, max: 1_800_000, noNaN: true }),
      offsetAngle: fc.double({ min: 0, max: 360, maxExcluded: true, noNaN: true }),
      includedAngle: fc.double({ min: 0, max: 360, minExcluded: true, noNaN: true }),
      confidence: upTo(100),
    }),
  }),
  fc.record({
    format: fc.constant('polygon' as const),
    points: fc.array(point, { minLength: 3, maxLength: 15 }),
  }),
  fc.record({ format: fc.constant('other' as const), octet: upTo(255, 3), details: octets(100) }),
);
/** Areas that are read back as they are. */
const steppedArea = area.map((value) => decodeArea(encodeArea(value)) as BroadcastArea);

/** A value of every TLV. */
export function tlvValues(last = 0xff): Arbitraries<{ [N in TlvName]: TlvValue<N> }> {
  const subaddress = fc.record({ type: octet, address: octets(22, 1) });
  return {
    dest_addr_subunit: upTo(4),
    dest_network_type: upTo(8),
    dest_bearer_type: upTo(8),
    dest_telematics_id: word,
    source_addr_subunit: upTo(4),
    source_network_type: upTo(8),
    source_bearer_type: upTo(8),
    source_telematics_id: octet,
    qos_time_to_live: uint32,
    payload_type: octet,
    additional_status_info_text: string(255, last),
    receipted_message_id: string(64, last),
    ms_msg_wait_facilities: octet,
    privacy_indicator: upTo(3),
    source_subaddress: subaddress,
    dest_subaddress: subaddress,
    user_message_reference: word,
    user_response_code: octet,
    source_port: word,
    destination_port: word,
    sar_msg_ref_num: word,
    language_indicator: octet,
    sar_total_segments: upTo(255, 1),
    sar_segment_seqnum: upTo(255, 1),
    sc_interface_version: octet,
    callback_num_pres_ind: upTo(15),
    callback_num_atag: fc.record({ dataCoding: octet, display: octets(64) }),
    number_of_messages: upTo(99),
    callback_num: fc.record({ digitMode: upTo(1), ton: octet, npi: octet, digits: octets(16, 1) }),
    dpf_result: upTo(1),
    set_dpf: upTo(1),
    ms_availability_status: upTo(2),
    network_error_code: fc.record({ type: octet, code: word }),
    message_payload: fc.oneof({ weight: 9, arbitrary: octets(300) }, { weight: 1, arbitrary: octets(3_000) }),
    delivery_failure_reason: upTo(3),
    more_messages_to_send: upTo(1),
    message_state: upTo(9),
    congestion_state: upTo(100),
    ussd_service_op: octet,
    broadcast_channel_indicator: upTo(1),
    broadcast_content_type: fc.record({ network: upTo(3), contentType: word }),
    broadcast_content_type_info: octets(255, 1),
    broadcast_message_class: upTo(3),
    broadcast_rep_num: word,
    broadcast_frequency_interval: fc.record({ unit: fc.constantFrom(0, 8, 9, 10, 11, 12, 13, 14), count: word }),
    broadcast_area_identifier: steppedArea,
    broadcast_error_status: uint32,
    broadcast_area_success: fc.oneof(upTo(100), fc.constant(255)),
    broadcast_end_time: absolute,
    broadcast_service_group: octets(255, 1),
    billing_identification: fc.record({ format: octet, data: octets(1_023) }),
    source_network_id: string(64, last, 6),
    dest_network_id: string(64, last, 6),
    source_node_id: digits(6),
    dest_node_id: digits(6),
    dest_addr_np_resolution: upTo(2),
    dest_addr_np_information: octets(10, 10),
    dest_addr_np_country: octets(5, 5),
    display_time: upTo(2),
    sms_signal: word,
    ms_validity: fc.oneof(
      fc.record({ behaviour: upTo(3), period: fc.constant(null) }),
      fc.record({ behaviour: fc.constant(4), period: fc.record({ unit: upTo(6), count: word }) }),
    ),
    alert_on_message_delivery: fc.oneof(fc.constant(null), upTo(3)),
    its_reply_type: upTo(8),
    its_session_info: fc.record({ session: octet, sequence: upTo(127), end: fc.boolean() }),
  };
}

export const TLV_NAMES = Object.keys(TLVS) as TlvName[];

/** A TLV of the standard, and its name and value. */
export interface NamedTlv {
  name: TlvName;
  value: unknown;
  tlv: Tlv;
}

export function namedTlv(name: TlvName, last = 0xff): fc.Arbitrary<NamedTlv> {
  const values = tlvValues(last)[name] as fc.Arbitrary<never>;
  return values.map((value) => ({ name, value, tlv: tlv(name, value) }));
}

/** Some of these TLVs, each once but for those that repeat. */
export function namedTlvs(names: readonly TlvName[], last = 0xff): fc.Arbitrary<NamedTlv[]> {
  if (names.length === 0) return fc.constant([]);
  const one = fc.constantFrom(...names);
  return fc
    .uniqueArray(one, { maxLength: 5 })
    .chain((chosen) =>
      fc.tuple(
        ...chosen.map((name) =>
          fc.array(namedTlv(name, last), { minLength: 1, maxLength: TLVS[name].repeats ? 3 : 1 }),
        ),
      ),
    )
    .map((lists) => lists.flat());
}

/** Vendors' and unknown TLVs too. */
const anyTlvs = fc.array(
  fc.oneof(
    fc.constantFrom(...TLV_NAMES).chain((name) => namedTlv(name).map((one) => one.tlv)),
    fc.record({ tag: upTo(0x3fff, 0x1400), value: octets(60) }),
  ),
  { maxLength: 4 },
);

/** Values of the mandatory fields, by their names here; `last` is the last character of a string. */
function fieldValues(command: PduCommand, last: number): Record<string, fc.Arbitrary<unknown>> {
  const id = string(64, last);
  const answered = string(64, last).map((value) => value || null);
  const long = command === 'data_sm' || command === 'alert_notification' ? 64 : 20;
  const address = { ton: octet, npi: octet, addr: string(20, last) };
  const values: Record<string, fc.Arbitrary<unknown>> = {
    systemId: string(15, last),
    password: string(8, last),
    systemType: string(12, last),
    interfaceVersion: octet,
    addressTon: octet,
    addressNpi: octet,
    addressRange: string(40, last),
    serviceType: string(5, last),
    sourceTon: octet,
    sourceNpi: octet,
    sourceAddr: string(long, last),
    destTon: octet,
    destNpi: octet,
    destAddr: string(long, last),
    esmeTon: octet,
    esmeNpi: octet,
    esmeAddr: string(64, last),
    esmClass: octet,
    protocolId: octet,
    priorityFlag: upTo(4),
    scheduleDeliveryTime: time,
    validityPeriod: time,
    registeredDelivery: octet,
    replaceIfPresent: upTo(1),
    dataCoding: octet,
    smDefaultMsgId: octet,
    shortMessage: octets(254),
    messageId: command === 'deliver_sm_resp' ? fc.constant(null) : PDUS[command].id >= 0x80000000 ? answered : id,
    finalDate: time,
    messageState: octet,
    errorCode: octet,
    destinations: fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('address'), ...address }),
        fc.record({ kind: fc.constant('distributionList'), name: string(20, last) }),
      ),
      { minLength: 1, maxLength: 6 },
    ),
    unsuccesses: fc.array(fc.record({ ...address, status: uint32 }), { maxLength: 6 }),
  };
  return Object.fromEntries(
    PDUS[command].fields.map(({ name }) => {
      const value = values[name];
      if (value === undefined) throw new Error(`no arbitrary for the field ${name}`);
      return [name, value];
    }),
  );
}

/** Any PDU of a command, with the TLVs it must have among these. */
export function pduWith<C extends PduCommand>(
  command: C,
  tlvs: fc.Arbitrary<readonly Tlv[]> = anyTlvs,
  last = 0xff,
): fc.Arbitrary<PduOf<C>> {
  const required = fc.tuple(...PDUS[command].requires.map((name) => namedTlv(name, last).map((one) => one.tlv)));
  return fc
    .record({ fields: fc.record(fieldValues(command, last)), sequence, tlvs, required })
    .map(({ fields, tlvs: optional, required: least, ...head }) => {
      const tags = new Set(least.map(({ tag }) => tag));
      const rest = optional.filter(({ tag }) => !tags.has(tag));
      return { command, status: 0, ...head, ...fields, tlvs: [...least, ...rest] } as unknown as PduOf<C>;
    });
}

/** An answer that is none: an error status, with or without TLVs, and so with nothing in its fields. */
export function refusal(command: PduCommand): fc.Arbitrary<Pdu> {
  return fc.record({ status: upTo(0xffffffff, 1), sequence: uint32 }).map(({ status, sequence: number }) => {
    const pdu: Record<string, unknown> = { command, status, sequence: number, tlvs: [] };
    for (const { name, kind } of PDUS[command].fields) pdu[name] = kind.absent;
    return pdu as unknown as Pdu;
  });
}
