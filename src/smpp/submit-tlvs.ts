/**
 * The optional parameters that a submit_sm may carry beyond the fields (SMPP 3.4 §4.4.1, 5.0 §4.2.1.2 and §4.8.4), and
 * how a value that was written down becomes one. Tags of the vendors' range (0x1400–0x3FFF) mean what the carrier says.
 */
import { FieldError } from './errors.ts';
import type { Tlv } from './pdu.ts';

export interface SubmitTlv {
  readonly tag: number;
  readonly name: string;
  /** Octets that the value may have. */
  readonly min: number;
  readonly max: number;
}

/** What policy and alerts may set. Not in here is what the sender sets itself, and what only an SMSC says. */
export const SUBMIT_TLVS: readonly SubmitTlv[] = (
  [
    [0x0005, 'dest_addr_subunit', 1, 1],
    [0x0006, 'dest_network_type', 1, 1],
    [0x0007, 'dest_bearer_type', 1, 1],
    [0x0008, 'dest_telematics_id', 1, 2],
    [0x000d, 'source_addr_subunit', 1, 1],
    [0x000e, 'source_network_type', 1, 1],
    [0x000f, 'source_bearer_type', 1, 1],
    [0x0010, 'source_telematics_id', 1, 1],
    [0x0017, 'qos_time_to_live', 4, 4],
    [0x0019, 'payload_type', 1, 1],
    [0x0030, 'ms_msg_wait_facilities', 1, 1],
    [0x0201, 'privacy_indicator', 1, 1],
    [0x0202, 'source_subaddress', 2, 23],
    [0x0203, 'dest_subaddress', 2, 23],
    [0x0205, 'user_response_code', 1, 1],
    [0x020a, 'source_port', 2, 2],
    [0x020b, 'destination_port', 2, 2],
    [0x020d, 'language_indicator', 1, 1],
    [0x0302, 'callback_num_pres_ind', 1, 1],
    [0x0303, 'callback_num_atag', 0, 65],
    [0x0304, 'number_of_messages', 1, 1],
    [0x0381, 'callback_num', 4, 19],
    [0x0421, 'set_dpf', 1, 1],
    [0x0501, 'ussd_service_op', 1, 1],
    [0x060b, 'billing_identification', 1, 1024],
    [0x060d, 'source_network_id', 7, 66],
    [0x060e, 'dest_network_id', 7, 66],
    [0x060f, 'source_node_id', 6, 6],
    [0x0610, 'dest_node_id', 6, 6],
    [0x0611, 'dest_addr_np_resolution', 1, 1],
    [0x0612, 'dest_addr_np_information', 10, 10],
    [0x0613, 'dest_addr_np_country', 1, 5],
    [0x1201, 'display_time', 1, 1],
    [0x1203, 'sms_signal', 2, 2],
    [0x1204, 'ms_validity', 1, 4],
    [0x130c, 'alert_on_message_delivery', 0, 1],
    [0x1380, 'its_reply_type', 1, 1],
    [0x1383, 'its_session_info', 2, 2],
  ] as const
).map(([tag, name, min, max]) => ({ tag, name, min, max }));

/** The first and the last tag whose meaning is the vendor's (SMPP 3.4 §5.3.1). */
export const VENDOR_TAGS = { from: 0x1400, to: 0x3fff } as const;
/** A vendor's value: what fits beside a text into any PDU. */
const VENDOR_OCTETS_MAX = 1024;

const BY_TAG = new Map(SUBMIT_TLVS.map((tlv) => [tlv.tag, tlv]));
const BY_NAME = new Map(SUBMIT_TLVS.map((tlv) => [tlv.name, tlv.tag]));

/** How a value is laid out: `string` without a NUL at its end, `cstring` with one, numbers big-endian. */
export const TLV_TYPES = ['string', 'cstring', 'int8', 'int16', 'int32', 'hex'] as const;
export type TlvType = (typeof TLV_TYPES)[number];

/**
 * The tag of a standard name (`source_port`), or a number, be it `0x1400` or 5120.
 * @throws FieldError when it is neither one that a submit_sm may carry nor one of the vendors' range.
 */
export function submitTag(tag: string | number): number {
  const number =
    typeof tag === 'number' ? tag : /^(?:0x[0-9a-f]{1,4}|\d{1,5})$/i.test(tag) ? Number(tag) : BY_NAME.get(tag);
  const known = number !== undefined && (BY_TAG.has(number) || isVendorTag(number));
  if (known) return number;
  throw new FieldError('tag', 'is neither one that a submit_sm may carry nor one of 0x1400–0x3FFF');
}

/** @throws FieldError when the tag is unknown, or the value is not of the type or not of a length that the tag takes. */
export function submitTlv(tag: number, type: TlvType, value: string | number): Tlv {
  submitTag(tag);
  const field = tlvName(tag);
  const octets = tlvValue(field, type, value);
  const { min, max } = BY_TAG.get(tag) ?? { min: 0, max: VENDOR_OCTETS_MAX };
  if (octets.length < min || octets.length > max) {
    const wanted = min === max ? `${min}` : `${min} to ${max}`;
    throw new FieldError(field, `takes ${wanted} octets, and not ${octets.length}`);
  }
  return { tag, value: octets };
}

/** `source_port`, or `tag 0x1401`. */
export function tlvName(tag: number): string {
  return BY_TAG.get(tag)?.name ?? `tag 0x${tag.toString(16).padStart(4, '0')}`;
}

const isVendorTag = (tag: number): boolean => Number.isInteger(tag) && tag >= VENDOR_TAGS.from && tag <= VENDOR_TAGS.to;

function tlvValue(field: string, type: TlvType, value: string | number): Buffer {
  switch (type) {
    case 'string':
      return Buffer.from(textOf(field, value), 'latin1');
    case 'cstring':
      return Buffer.from(`${textOf(field, value)}\0`, 'latin1');
    case 'hex':
      if (typeof value !== 'string' || !/^(?:[0-9a-f]{2})*$/i.test(value)) {
        throw new FieldError(field, 'is not an even number of hexadecimal digits');
      }
      return Buffer.from(value, 'hex');
    case 'int8':
      return numberOf(field, value, 1);
    case 'int16':
      return numberOf(field, value, 2);
    case 'int32':
      return numberOf(field, value, 4);
    default:
      return type satisfies never;
  }
}

function textOf(field: string, value: string | number): string {
  if (typeof value !== 'string') throw new FieldError(field, 'is not a text');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL would end the value early
  if (!/^[\u0001-\u00ff]*$/.test(value)) throw new FieldError(field, 'holds a character outside U+0001..U+00FF');
  return value;
}

function numberOf(field: string, value: string | number, octets: number): Buffer {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= 256 ** octets) {
    throw new FieldError(field, `is not an integer of 0..${256 ** octets - 1}`);
  }
  const out = Buffer.alloc(octets);
  out.writeUIntBE(value, 0, octets);
  return out;
}
