/**
 * The optional parameters that a submit_sm may carry beyond the fields (SMPP 3.4 §4.4.1, 5.0 §4.2.1.2 and §4.8.4), and
 * how a value that was written down becomes one. Which there are, and how long they may be, is in `pdus/tlvs.ts`. Tags
 * of the vendors' range (0x1400–0x3FFF) mean what the carrier says.
 */
import { FieldError } from './errors.ts';
import type { Tlv } from './pdu.ts';
import { TLVS, type TlvName, tlvName } from './pdus/tlvs.ts';

/** What the sender sets itself: the text and how it is cut, and what it tells its copies by. */
const SENDERS_OWN: ReadonlySet<TlvName> = new Set([
  'user_message_reference',
  'sar_msg_ref_num',
  'sar_total_segments',
  'sar_segment_seqnum',
  'message_payload',
  'more_messages_to_send',
]);

/** What policy and alerts may set: not what the sender sets itself, nor what only an SMSC says. */
export const SUBMIT_TLVS: readonly TlvName[] = (Object.keys(TLVS) as TlvName[]).filter(
  (name) => TLVS[name].on.includes('submit_sm') && !SENDERS_OWN.has(name),
);

/** The first and the last tag whose meaning is the vendor's (SMPP 3.4 §5.3.1). */
export const VENDOR_TAGS = { from: 0x1400, to: 0x3fff } as const;
/** A vendor's value: what fits beside a text into any PDU. */
const VENDOR_OCTETS_MAX = 1024;

const TAGS: ReadonlyMap<string, number> = new Map(SUBMIT_TLVS.map((name) => [name, TLVS[name].tag]));
const KNOWN_TAGS: ReadonlySet<number> = new Set(TAGS.values());

/** How a value is laid out: `string` without a NUL at its end, `cstring` with one, numbers big-endian. */
export const TLV_TYPES = ['string', 'cstring', 'int8', 'int16', 'int32', 'hex'] as const;
export type TlvType = (typeof TLV_TYPES)[number];

/**
 * The tag of a standard name (`source_port`), or a number, be it `0x1400` or 5120.
 * @throws FieldError when it is neither one that a submit_sm may carry nor one of the vendors' range.
 */
export function submitTag(tag: string | number): number {
  const number =
    typeof tag === 'number' ? tag : /^(?:0x[0-9a-f]{1,4}|\d{1,5})$/i.test(tag) ? Number(tag) : TAGS.get(tag);
  const known = number !== undefined && (KNOWN_TAGS.has(number) || isVendorTag(number));
  if (known) return number;
  throw new FieldError('tag', 'is neither one that a submit_sm may carry nor one of 0x1400–0x3FFF');
}

/** @throws FieldError when the tag is unknown, or the value is not of the type or not of a length that the tag takes. */
export function submitTlv(tag: number, type: TlvType, value: string | number): Tlv {
  submitTag(tag);
  const name = tlvName(tag);
  const field = name ?? `tag 0x${tag.toString(16).padStart(4, '0')}`;
  const octets = tlvValue(field, type, value);
  const [min, max] = name === null ? [0, VENDOR_OCTETS_MAX] : TLVS[name].kind.octets;
  if (octets.length < min || octets.length > max) {
    const wanted = min === max ? `${min}` : `${min} to ${max}`;
    throw new FieldError(field, `takes ${wanted} octets, and not ${octets.length}`);
  }
  return { tag, value: octets };
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
