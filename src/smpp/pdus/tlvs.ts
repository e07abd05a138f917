/**
 * Every optional parameter of SMPP 3.4 §5.3.2 and 5.0 §4.8.4: its tag, its value, since when, and the PDUs that the
 * standards name it for. To add one is to add a row.
 *
 * Which PDUs is not enforced: carriers ask for TLVs where no standard has them. Vendors' tags (0x1400..0x3FFF) and any
 * other travel as they are, `{ tag, value }`.
 */
import { FieldError } from '../errors.ts';
import type { Tlv } from '../octets.ts';
import { decodeArea, encodeArea } from './area.ts';
import {
  absoluteTime,
  callbackNumber,
  cstring,
  digits,
  integer,
  itsSession,
  msValidity,
  octetAndInteger,
  octets,
  optionalOctet,
  type TlvKind,
  tagged,
} from './tlv-kinds.ts';

export interface TlvRow<V> {
  readonly tag: number;
  readonly since: '3.4' | '5.0';
  readonly kind: TlvKind<V>;
  readonly on: readonly string[];
  /** May stand several times in one PDU. */
  readonly repeats: boolean;
}

function row<V>(
  tag: number,
  since: TlvRow<V>['since'],
  kind: TlvKind<V>,
  on: readonly string[],
  repeats = false,
): TlvRow<V> {
  return { tag, since, kind, on, repeats };
}

const SUBMIT = ['submit_sm', 'submit_multi', 'data_sm'];
const MESSAGES = [...SUBMIT, 'deliver_sm'];
const BROADCAST = ['broadcast_sm'];
const RECEIPTS = ['deliver_sm', 'data_sm'];
const ANSWERS = ['submit_sm_resp', 'submit_multi_resp', 'data_sm_resp', 'deliver_sm_resp'];
const BIND_ANSWERS = ['bind_receiver_resp', 'bind_transmitter_resp', 'bind_transceiver_resp'];
const ALL_ANSWERS = [
  ...BIND_ANSWERS,
  ...ANSWERS,
  ...['query_sm_resp', 'cancel_sm_resp', 'replace_sm_resp', 'enquire_link_resp', 'unbind_resp'],
  ...['broadcast_sm_resp', 'query_broadcast_sm_resp', 'cancel_broadcast_sm_resp'],
];

const subaddress = tagged('type', 'address', 2, 23);
/** Whether it is a unit of broadcast_frequency_interval: 0 as often as can be, 8 seconds … 14 years. */
const isFrequencyUnit = (unit: number) => unit === 0 || (unit >= 8 && unit <= 14);

export const TLVS = {
  dest_addr_subunit: row(0x0005, '3.4', integer(1, { last: 4 }), [...MESSAGES, ...BROADCAST]),
  dest_network_type: row(0x0006, '3.4', integer(1, { last: 8 }), SUBMIT),
  dest_bearer_type: row(0x0007, '3.4', integer(1, { last: 8 }), SUBMIT),
  dest_telematics_id: row(0x0008, '3.4', integer(2), SUBMIT),
  source_addr_subunit: row(0x000d, '3.4', integer(1, { last: 4 }), [...MESSAGES, ...BROADCAST]),
  source_network_type: row(0x000e, '3.4', integer(1, { last: 8 }), SUBMIT),
  source_bearer_type: row(0x000f, '3.4', integer(1, { last: 8 }), SUBMIT),
  source_telematics_id: row(0x0010, '3.4', integer(1), SUBMIT),
  qos_time_to_live: row(0x0017, '3.4', integer(4), SUBMIT),
  payload_type: row(0x0019, '3.4', integer(1), [...MESSAGES, ...BROADCAST]),
  additional_status_info_text: row(0x001d, '3.4', cstring(1, 256), ANSWERS),
  receipted_message_id: row(0x001e, '3.4', cstring(1, 65), RECEIPTS),
  ms_msg_wait_facilities: row(0x0030, '3.4', integer(1), SUBMIT),
  privacy_indicator: row(0x0201, '3.4', integer(1, { last: 3 }), [...MESSAGES, ...BROADCAST]),
  source_subaddress: row(0x0202, '3.4', subaddress, [...MESSAGES, ...BROADCAST]),
  dest_subaddress: row(0x0203, '3.4', subaddress, [...MESSAGES, ...BROADCAST]),
  user_message_reference: row(0x0204, '3.4', integer(2), [
    ...[...MESSAGES, ...BROADCAST],
    ...['query_broadcast_sm', 'query_broadcast_sm_resp', 'cancel_broadcast_sm'],
  ]),
  user_response_code: row(0x0205, '3.4', integer(1), MESSAGES),
  source_port: row(0x020a, '3.4', integer(2), [...MESSAGES, ...BROADCAST]),
  /** `dest_port` in 5.0. */
  destination_port: row(0x020b, '3.4', integer(2), [...MESSAGES, ...BROADCAST]),
  sar_msg_ref_num: row(0x020c, '3.4', integer(2), MESSAGES),
  language_indicator: row(0x020d, '3.4', integer(1), [...MESSAGES, ...BROADCAST]),
  sar_total_segments: row(0x020e, '3.4', integer(1, { first: 1 }), MESSAGES),
  sar_segment_seqnum: row(0x020f, '3.4', integer(1, { first: 1 }), MESSAGES),
  sc_interface_version: row(0x0210, '3.4', integer(1), BIND_ANSWERS),
  callback_num_pres_ind: row(0x0302, '3.4', integer(1, { last: 15 }), [...MESSAGES, ...BROADCAST], true),
  callback_num_atag: row(0x0303, '3.4', tagged('dataCoding', 'display', 1, 65), [...MESSAGES, ...BROADCAST], true),
  number_of_messages: row(0x0304, '3.4', integer(1, { last: 99 }), SUBMIT),
  callback_num: row(0x0381, '3.4', callbackNumber, [...MESSAGES, ...BROADCAST], true),
  dpf_result: row(0x0420, '3.4', integer(1, { last: 1 }), [...ANSWERS, 'deliver_sm', 'data_sm']),
  set_dpf: row(0x0421, '3.4', integer(1, { last: 1 }), SUBMIT),
  ms_availability_status: row(0x0422, '3.4', integer(1, { last: 2 }), ['alert_notification']),
  network_error_code: row(0x0423, '3.4', octetAndInteger('type', 'code'), [...RECEIPTS, ...ANSWERS]),
  message_payload: row(0x0424, '3.4', octets(0, 65_535), [...MESSAGES, ...BROADCAST, 'replace_sm']),
  delivery_failure_reason: row(0x0425, '3.4', integer(1, { last: 3 }), ANSWERS),
  more_messages_to_send: row(0x0426, '3.4', integer(1, { last: 1 }), SUBMIT),
  message_state: row(0x0427, '3.4', integer(1, { last: 9 }), [...RECEIPTS, 'query_broadcast_sm_resp']),
  congestion_state: row(0x0428, '5.0', integer(1, { last: 100 }), ALL_ANSWERS),
  ussd_service_op: row(0x0501, '3.4', integer(1), MESSAGES),
  broadcast_channel_indicator: row(0x0600, '5.0', integer(1, { last: 1 }), BROADCAST),
  broadcast_content_type: row(
    0x0601,
    '5.0',
    octetAndInteger('network', 'contentType', (network) => network <= 3),
    [...BROADCAST, 'cancel_broadcast_sm'],
  ),
  broadcast_content_type_info: row(0x0602, '5.0', octets(1, 255), BROADCAST),
  broadcast_message_class: row(0x0603, '5.0', integer(1, { last: 3 }), BROADCAST),
  broadcast_rep_num: row(0x0604, '5.0', integer(2), BROADCAST),
  broadcast_frequency_interval: row(0x0605, '5.0', octetAndInteger('unit', 'count', isFrequencyUnit), BROADCAST),
  /** In a broadcast_sm_resp it is called failed_broadcast_area_identifier. */
  broadcast_area_identifier: row(
    0x0606,
    '5.0',
    {
      type: 'format octet, details',
      octets: [1, 101] as const,
      write: (_: string, area: Parameters<typeof encodeArea>[0]) => encodeArea(area),
      read: decodeArea,
    },
    [...BROADCAST, 'broadcast_sm_resp', 'query_broadcast_sm_resp'],
    true,
  ),
  /** A command_status, one for each failed area. */
  broadcast_error_status: row(0x0607, '5.0', integer(4), ['broadcast_sm_resp'], true),
  /** Per cent; 255 = not known. */
  broadcast_area_success: row(0x0608, '5.0', integer(1, { last: 100, also: 255 }), ['query_broadcast_sm_resp'], true),
  broadcast_end_time: row(0x0609, '5.0', absoluteTime, ['query_broadcast_sm_resp']),
  broadcast_service_group: row(0x060a, '5.0', octets(1, 255), BROADCAST),
  billing_identification: row(0x060b, '5.0', tagged('format', 'data', 1, 1_024), SUBMIT),
  source_network_id: row(0x060d, '5.0', cstring(7, 65), MESSAGES),
  dest_network_id: row(0x060e, '5.0', cstring(7, 65), MESSAGES),
  source_node_id: row(0x060f, '5.0', digits(6), MESSAGES),
  dest_node_id: row(0x0610, '5.0', digits(6), MESSAGES),
  dest_addr_np_resolution: row(0x0611, '5.0', integer(1, { last: 2 }), MESSAGES),
  dest_addr_np_information: row(0x0612, '5.0', octets(10, 10), MESSAGES),
  dest_addr_np_country: row(0x0613, '5.0', octets(5, 5), MESSAGES),
  display_time: row(0x1201, '3.4', integer(1, { last: 2 }), [...SUBMIT, ...BROADCAST]),
  sms_signal: row(0x1203, '3.4', integer(2), [...SUBMIT, ...BROADCAST]),
  ms_validity: row(0x1204, '3.4', msValidity, [...SUBMIT, ...BROADCAST]),
  alert_on_message_delivery: row(0x130c, '3.4', optionalOctet(3), [...SUBMIT, ...BROADCAST]),
  its_reply_type: row(0x1380, '3.4', integer(1, { last: 8 }), MESSAGES),
  its_session_info: row(0x1383, '3.4', itsSession, MESSAGES),
} as const;

export type TlvName = keyof typeof TLVS;
/** What `tlv` takes and `readTlv` gives for a name. */
export type TlvValue<N extends TlvName> = (typeof TLVS)[N] extends TlvRow<infer V> ? V : never;

const NAMES_BY_TAG = new Map<number, TlvName>(
  (Object.keys(TLVS) as TlvName[]).map((name) => [TLVS[name].tag, name] as const),
);

/**
 * A TLV of the standard, to be put among the `tlvs` of a PDU.
 * @example tlv('user_message_reference', 7)
 * @throws FieldError when the value is outside the standard's limits; its `field` is the name.
 */
export function tlv<N extends TlvName>(name: N, value: TlvValue<N>): Tlv {
  const { tag, kind } = rowOf(name);
  return { tag, value: kind.write(name, value) };
}

/**
 * The value of the first TLV of that name; undefined when there is none, or none that makes sense. Buffers in it are
 * views of the PDU.
 */
export function readTlv<N extends TlvName>(pdu: { tlvs: readonly Tlv[] }, name: N): TlvValue<N> | undefined {
  const { tag, kind } = rowOf(name);
  for (const one of pdu.tlvs) if (one.tag === tag) return kind.read(one.value);
  return undefined;
}

/** The values of all TLVs of that name, in their order, but for those that make no sense. */
export function readTlvsOf<N extends TlvName>(pdu: { tlvs: readonly Tlv[] }, name: N): TlvValue<N>[] {
  const { tag, kind } = rowOf(name);
  const values: TlvValue<N>[] = [];
  for (const one of pdu.tlvs) {
    const value = one.tag === tag ? kind.read(one.value) : undefined;
    if (value !== undefined) values.push(value);
  }
  return values;
}

/** `message_payload`; null for vendors' and unknown tags. */
export function tlvName(tag: number): TlvName | null {
  return NAMES_BY_TAG.get(tag) ?? null;
}

/**
 * The row of a name that may come from outside.
 * @throws FieldError when there is no such TLV.
 */
export function rowOf<N extends TlvName>(name: N): TlvRow<TlvValue<N>> {
  if (!Object.hasOwn(TLVS, name)) throw new FieldError('tlv', 'is not one of the standard');
  return TLVS[name] as unknown as TlvRow<TlvValue<N>>;
}
