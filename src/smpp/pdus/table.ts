/**
 * Every PDU of SMPP 3.4 §4 and 5.0 §4: its command_id, where the standards have it, and its mandatory fields in their
 * order. The codec, the types, the names and the docs come from here: to add a PDU is to add a descriptor.
 *
 * A command whose command_id has bit 31 is an answer; NAME_resp answers NAME.
 */
import { RESPONSE_BIT } from '../commands.ts';
import type { Tlv } from '../octets.ts';
import { MESSAGE_ID_MAX, PRIORITY_MAX } from '../pdu.ts';
import {
  anyOctet,
  cstring,
  destinations,
  type Field,
  field,
  octetField,
  optionalCstring,
  shortMessage,
  time,
  unsuccesses,
} from './fields.ts';
import type { TlvName } from './tlvs.ts';

export interface Descriptor<F extends readonly Field<string, unknown>[] = readonly Field<string, unknown>[]> {
  readonly id: number;
  /** Where the standards have it. */
  readonly section: string;
  readonly fields: F;
  /** TLVs that the standard says it must have: an encoder's FieldError, but not a decoder's concern. */
  readonly requires: readonly TlvName[];
}

function pdu<const F extends readonly Field<string, unknown>[]>(
  id: number,
  section: string,
  fields: F,
  requires: readonly TlvName[] = [],
): Descriptor<F> {
  return { id, section, fields, requires };
}

// The longest strings, in characters: the standards count the NUL too.
const SYSTEM_ID_MAX = 15;
const PASSWORD_MAX = 8;
const SYSTEM_TYPE_MAX = 12;
const ADDRESS_RANGE_MAX = 40;
const SERVICE_TYPE_MAX = 5;
const ADDRESS_MAX = 20;
/** Of data_sm and alert_notification. */
const LONG_ADDRESS_MAX = 64;

const SERVICE_TYPE = field('serviceType', 'service_type', cstring(SERVICE_TYPE_MAX));
const SOURCE = [
  field('sourceTon', 'source_addr_ton', anyOctet),
  field('sourceNpi', 'source_addr_npi', anyOctet),
  field('sourceAddr', 'source_addr', cstring(ADDRESS_MAX)),
] as const;
const DEST = [
  field('destTon', 'dest_addr_ton', anyOctet),
  field('destNpi', 'dest_addr_npi', anyOctet),
  field('destAddr', 'destination_addr', cstring(ADDRESS_MAX)),
] as const;
const MESSAGE_ID = field('messageId', 'message_id', cstring(MESSAGE_ID_MAX));
const ANSWERED_ID = field('messageId', 'message_id', optionalCstring(MESSAGE_ID_MAX));
const ESM_CLASS = field('esmClass', 'esm_class', anyOctet);
const PROTOCOL_ID = field('protocolId', 'protocol_id', anyOctet);
const PRIORITY = field('priorityFlag', 'priority_flag', octetField(PRIORITY_MAX));
const SCHEDULE = field('scheduleDeliveryTime', 'schedule_delivery_time', time);
const VALIDITY = field('validityPeriod', 'validity_period', time);
const REGISTERED = field('registeredDelivery', 'registered_delivery', anyOctet);
const REPLACE = field('replaceIfPresent', 'replace_if_present_flag', octetField(1));
const DATA_CODING = field('dataCoding', 'data_coding', anyOctet);
const DEFAULT_MESSAGE = field('smDefaultMsgId', 'sm_default_msg_id', anyOctet);
const SHORT_MESSAGE = field('shortMessage', 'short_message', shortMessage);

const BIND = [
  field('systemId', 'system_id', cstring(SYSTEM_ID_MAX)),
  field('password', 'password', cstring(PASSWORD_MAX)),
  field('systemType', 'system_type', cstring(SYSTEM_TYPE_MAX)),
  field('interfaceVersion', 'interface_version', anyOctet),
  field('addressTon', 'addr_ton', anyOctet),
  field('addressNpi', 'addr_npi', anyOctet),
  field('addressRange', 'address_range', cstring(ADDRESS_RANGE_MAX)),
] as const;
const BIND_RESP = [field('systemId', 'system_id', cstring(SYSTEM_ID_MAX))] as const;
const MESSAGE = [
  SERVICE_TYPE,
  ...SOURCE,
  ...DEST,
  ESM_CLASS,
  PROTOCOL_ID,
  PRIORITY,
  SCHEDULE,
  VALIDITY,
  REGISTERED,
  REPLACE,
  DATA_CODING,
  DEFAULT_MESSAGE,
  SHORT_MESSAGE,
] as const;

export const PDUS = {
  bind_receiver: pdu(0x00000001, '3.4 §4.1.3, 5.0 §4.1.1.3', BIND),
  bind_receiver_resp: pdu(0x80000001, '3.4 §4.1.4, 5.0 §4.1.1.4', BIND_RESP),
  bind_transmitter: pdu(0x00000002, '3.4 §4.1.1, 5.0 §4.1.1.1', BIND),
  bind_transmitter_resp: pdu(0x80000002, '3.4 §4.1.2, 5.0 §4.1.1.2', BIND_RESP),
  query_sm: pdu(0x00000003, '3.4 §4.8.1, 5.0 §4.5.2.1', [MESSAGE_ID, ...SOURCE]),
  query_sm_resp: pdu(0x80000003, '3.4 §4.8.2, 5.0 §4.5.2.2', [
    ANSWERED_ID,
    field('finalDate', 'final_date', time),
    field('messageState', 'message_state', anyOctet),
    field('errorCode', 'error_code', anyOctet),
  ]),
  submit_sm: pdu(0x00000004, '3.4 §4.4.1, 5.0 §4.2.1.1', MESSAGE),
  submit_sm_resp: pdu(0x80000004, '3.4 §4.4.2, 5.0 §4.2.1.2', [ANSWERED_ID]),
  deliver_sm: pdu(0x00000005, '3.4 §4.6.1, 5.0 §4.3.1.1', MESSAGE),
  /** Its message_id is unused and always NULL; a peer's is read all the same. */
  deliver_sm_resp: pdu(0x80000005, '3.4 §4.6.2, 5.0 §4.3.1.2', [field('messageId', 'message_id', optionalCstring(0))]),
  unbind: pdu(0x00000006, '3.4 §4.2.1, 5.0 §4.1.1.8', []),
  unbind_resp: pdu(0x80000006, '3.4 §4.2.2, 5.0 §4.1.1.9', []),
  replace_sm: pdu(0x00000007, '3.4 §4.10.1, 5.0 §4.5.3.1', [
    MESSAGE_ID,
    ...SOURCE,
    SCHEDULE,
    VALIDITY,
    REGISTERED,
    DEFAULT_MESSAGE,
    SHORT_MESSAGE,
  ]),
  replace_sm_resp: pdu(0x80000007, '3.4 §4.10.2, 5.0 §4.5.3.2', []),
  cancel_sm: pdu(0x00000008, '3.4 §4.9.1, 5.0 §4.5.1.1', [SERVICE_TYPE, MESSAGE_ID, ...SOURCE, ...DEST]),
  cancel_sm_resp: pdu(0x80000008, '3.4 §4.9.2, 5.0 §4.5.1.2', []),
  bind_transceiver: pdu(0x00000009, '3.4 §4.1.5, 5.0 §4.1.1.5', BIND),
  bind_transceiver_resp: pdu(0x80000009, '3.4 §4.1.6, 5.0 §4.1.1.6', BIND_RESP),
  outbind: pdu(0x0000000b, '3.4 §4.1.7, 5.0 §4.1.1.7', [
    field('systemId', 'system_id', cstring(SYSTEM_ID_MAX)),
    field('password', 'password', cstring(PASSWORD_MAX)),
  ]),
  enquire_link: pdu(0x00000015, '3.4 §4.11.1, 5.0 §4.1.2.1', []),
  enquire_link_resp: pdu(0x80000015, '3.4 §4.11.2, 5.0 §4.1.2.2', []),
  submit_multi: pdu(0x00000021, '3.4 §4.5.1, 5.0 §4.2.3.1', [
    SERVICE_TYPE,
    ...SOURCE,
    field('destinations', 'dest_address', destinations),
    ESM_CLASS,
    PROTOCOL_ID,
    PRIORITY,
    SCHEDULE,
    VALIDITY,
    REGISTERED,
    REPLACE,
    DATA_CODING,
    DEFAULT_MESSAGE,
    SHORT_MESSAGE,
  ]),
  submit_multi_resp: pdu(0x80000021, '3.4 §4.5.2, 5.0 §4.2.3.2', [
    ANSWERED_ID,
    field('unsuccesses', 'unsuccess_sme', unsuccesses),
  ]),
  alert_notification: pdu(0x00000102, '3.4 §4.12.1, 5.0 §4.1.3.1', [
    field('sourceTon', 'source_addr_ton', anyOctet),
    field('sourceNpi', 'source_addr_npi', anyOctet),
    field('sourceAddr', 'source_addr', cstring(LONG_ADDRESS_MAX)),
    field('esmeTon', 'esme_addr_ton', anyOctet),
    field('esmeNpi', 'esme_addr_npi', anyOctet),
    field('esmeAddr', 'esme_addr', cstring(LONG_ADDRESS_MAX)),
  ]),
  data_sm: pdu(0x00000103, '3.4 §4.7.1, 5.0 §4.2.2.1', [
    SERVICE_TYPE,
    field('sourceTon', 'source_addr_ton', anyOctet),
    field('sourceNpi', 'source_addr_npi', anyOctet),
    field('sourceAddr', 'source_addr', cstring(LONG_ADDRESS_MAX)),
    field('destTon', 'dest_addr_ton', anyOctet),
    field('destNpi', 'dest_addr_npi', anyOctet),
    field('destAddr', 'destination_addr', cstring(LONG_ADDRESS_MAX)),
    ESM_CLASS,
    REGISTERED,
    DATA_CODING,
  ]),
  data_sm_resp: pdu(0x80000103, '3.4 §4.7.2, 5.0 §4.2.2.2', [ANSWERED_ID]),
  /** broadcast_rep_num is required too, but not beside priority_flag 1, at once: so it is left to the caller. */
  broadcast_sm: pdu(
    0x00000111,
    '5.0 §4.4.1.1',
    [SERVICE_TYPE, ...SOURCE, MESSAGE_ID, PRIORITY, SCHEDULE, VALIDITY, REPLACE, DATA_CODING, DEFAULT_MESSAGE],
    ['broadcast_area_identifier', 'broadcast_content_type', 'broadcast_frequency_interval'],
  ),
  broadcast_sm_resp: pdu(0x80000111, '5.0 §4.4.1.2', [ANSWERED_ID]),
  query_broadcast_sm: pdu(0x00000112, '5.0 §4.6.1.1', [MESSAGE_ID, ...SOURCE]),
  query_broadcast_sm_resp: pdu(
    0x80000112,
    '5.0 §4.6.1.3',
    [ANSWERED_ID],
    ['message_state', 'broadcast_area_identifier', 'broadcast_area_success'],
  ),
  cancel_broadcast_sm: pdu(0x00000113, '5.0 §4.6.2.1', [SERVICE_TYPE, MESSAGE_ID, ...SOURCE]),
  cancel_broadcast_sm_resp: pdu(0x80000113, '5.0 §4.6.2.3', []),
  generic_nack: pdu(0x80000000, '3.4 §4.3.1, 5.0 §4.1.4.1', []),
} as const;

/** The standard's name of a PDU. */
export type PduCommand = keyof typeof PDUS;

/** A command NAME that NAME_resp answers: not alert_notification and outbind, which nothing does. */
export type AnsweredCommand = { [C in PduCommand]: `${C}_resp` extends PduCommand ? C : never }[PduCommand];

type FieldsOf<F extends readonly Field<string, unknown>[]> = {
  [E in F[number] as E['name']]: E extends Field<string, infer V> ? V : never;
};
type Flat<T> = { [K in keyof T]: T[K] };

/** What every PDU has beside its mandatory fields. */
export interface PduHead {
  /** command_status: 0 in every request. */
  status: number;
  /** sequence_number: 1..0x7FFFFFFF in a request, that of the request in an answer. */
  sequence: number;
  tlvs: readonly Tlv[];
}

export type PduOf<C extends PduCommand> = C extends PduCommand
  ? Flat<{ command: C } & PduHead & FieldsOf<(typeof PDUS)[C]['fields']>>
  : never;

/** A PDU whose command_id is in no standard: answer generic_nack with ESME_RINVCMDID. */
export interface UnknownPdu {
  command: 'unknown';
  commandId: number;
  status: number;
  sequence: number;
  /** All after the header. */
  body: Buffer;
}

/** Any PDU, told apart by `command`. */
export type Pdu = PduOf<PduCommand> | UnknownPdu;

const COMMANDS_BY_ID = new Map<number, PduCommand>(
  (Object.keys(PDUS) as PduCommand[]).map((command) => [PDUS[command].id, command] as const),
);

/** Undefined when the command_id is in no standard. */
export function commandOf(commandId: number): PduCommand | undefined {
  return COMMANDS_BY_ID.get(commandId);
}

/** The command_id of a request's answer; null when it is unknown or, as alert_notification and outbind, has none. */
export function responseIdOf(commandId: number): number | null {
  const responseId = (commandId | RESPONSE_BIT) >>> 0;
  if (commandId === responseId || commandId === 0) return null;
  return commandOf(commandId) !== undefined && commandOf(responseId) !== undefined ? responseId : null;
}
