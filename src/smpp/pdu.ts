/**
 * The codec of the four hot PDUs: submit_sm, submit_sm_resp, deliver_sm, deliver_sm_resp (SMPP 3.4 §4.4 and §4.6).
 * Written by hand for speed; `pdus/codec.ts` is the door to these and all others.
 *
 * Strings are Latin-1 of U+0001..U+00FF. Decoded Buffers (`shortMessage`, TLV values) are views of the buffer that was
 * decoded: copy them when they are to outlive the read they came with.
 */
import { Command, HEADER_LENGTH } from './commands.ts';
import { FieldError, PduError } from './errors.ts';
import {
  NO_TLVS,
  octet,
  octetTo,
  readTlvs,
  readUint32,
  type Tlv,
  tlvLength,
  writeHeader,
  writeString,
  writeTime,
  writeTlvs,
} from './octets.ts';

export { readUint32, type Tlv, writeUint32 } from './octets.ts';

/** The tags that the hot path reads (SMPP 3.4 §5.3.2). */
export const Tag = {
  receiptedMessageId: 0x001e,
  sarMsgRefNum: 0x020c,
  sarTotalSegments: 0x020e,
  sarSegmentSeqnum: 0x020f,
  networkErrorCode: 0x0423,
  messagePayload: 0x0424,
  messageState: 0x0427,
} as const;

/** What submit_sm and deliver_sm carry, in the order of the standard (SMPP 3.4 §4.4.1, §4.6.1). */
export interface SubmitSm {
  /** At most 5 characters; '' = the SMSC's default. */
  serviceType: string;
  sourceTon: number;
  sourceNpi: number;
  /** At most 20 characters. */
  sourceAddr: string;
  destTon: number;
  destNpi: number;
  /** At most 20 characters. */
  destAddr: string;
  esmClass: number;
  protocolId: number;
  /** 0..3, or 4 for a broadcast's background (SMPP 5.0 §4.7.19). */
  priorityFlag: number;
  /** '' (at once) or the 16 characters of SMPP 3.4 §7.1.1. */
  scheduleDeliveryTime: string;
  /** '' (the SMSC's default) or the 16 characters of SMPP 3.4 §7.1.1. */
  validityPeriod: string;
  registeredDelivery: number;
  replaceIfPresent: number;
  dataCoding: number;
  smDefaultMsgId: number;
  /** At most 254 octets. */
  shortMessage: Buffer;
  tlvs: readonly Tlv[];
}

/** A deliver_sm has the layout of a submit_sm (SMPP 3.4 §4.6.1). */
export type DeliverSm = SubmitSm;

export interface SubmitSmResp {
  status: number;
  /** Null where the SMSC sent none: always so beside a status other than 0 that keeps to the standard. */
  messageId: string | null;
  tlvs: readonly Tlv[];
}

export interface DeliverSmResp {
  status: number;
  tlvs: readonly Tlv[];
}

/** Octets of short_message: SMPP 3.4 §5.2.22 ends at 254, 5.0 at 255; we write what both take. */
export const SHORT_MESSAGE_MAX = 254;
export const MESSAGE_ID_MAX = 64;
/**
 * Octets of a message_id that are kept, in answers as in receipts: the standard has 64, and an id of thousands would not
 * fit into the index that receipts are found by.
 */
export const MESSAGE_ID_KEPT = 255;
export const PRIORITY_MAX = 4;

const ESME_RINVMSGLEN = 0x01;
const ESME_RINVCMDLEN = 0x02;

// encode -----------------------------------------------------------------------------------------------------------

/** @throws FieldError when a value can't be carried. */
export function encodeSubmitSm(sequence: number, pdu: SubmitSm): Buffer {
  return encodeMessage(Command.submitSm, sequence, pdu);
}

/** @throws FieldError when a value can't be carried. */
export function encodeDeliverSm(sequence: number, pdu: DeliverSm): Buffer {
  return encodeMessage(Command.deliverSm, sequence, pdu);
}

/**
 * A status other than 0 goes without a body (SMPP 3.4 §4.4.2), unless there are TLVs that explain it (5.0 §4.2.5).
 * @throws FieldError when the message_id is longer than 64 characters.
 */
export function encodeSubmitSmResp(sequence: number, resp: SubmitSmResp): Buffer {
  return encodeResponse(Command.submitSmResp, sequence, resp.status, resp.messageId ?? '', resp.tlvs);
}

/** message_id is unused in a deliver_sm_resp and set to NULL (SMPP 3.4 §4.6.2). */
export function encodeDeliverSmResp(sequence: number, resp: DeliverSmResp): Buffer {
  return encodeResponse(Command.deliverSmResp, sequence, resp.status, '', resp.tlvs);
}

function encodeMessage(command: number, sequence: number, pdu: SubmitSm): Buffer {
  const text = pdu.shortMessage;
  if (text.length > SHORT_MESSAGE_MAX)
    throw new FieldError('short_message', `is longer than ${SHORT_MESSAGE_MAX} octets`);
  const length =
    HEADER_LENGTH +
    17 + // the NULs of five strings and twelve single octets
    pdu.serviceType.length +
    pdu.sourceAddr.length +
    pdu.destAddr.length +
    pdu.scheduleDeliveryTime.length +
    pdu.validityPeriod.length +
    text.length +
    tlvLength(pdu.tlvs);
  const out = Buffer.allocUnsafe(length);
  writeHeader(out, length, command, 0, sequence);
  let at = writeString(out, HEADER_LENGTH, 'service_type', pdu.serviceType, 5);
  out[at++] = octet('source_addr_ton', pdu.sourceTon);
  out[at++] = octet('source_addr_npi', pdu.sourceNpi);
  at = writeString(out, at, 'source_addr', pdu.sourceAddr, 20);
  out[at++] = octet('dest_addr_ton', pdu.destTon);
  out[at++] = octet('dest_addr_npi', pdu.destNpi);
  at = writeString(out, at, 'destination_addr', pdu.destAddr, 20);
  out[at++] = octet('esm_class', pdu.esmClass);
  out[at++] = octet('protocol_id', pdu.protocolId);
  out[at++] = octetTo('priority_flag', pdu.priorityFlag, PRIORITY_MAX);
  at = writeTime(out, at, 'schedule_delivery_time', pdu.scheduleDeliveryTime);
  at = writeTime(out, at, 'validity_period', pdu.validityPeriod);
  out[at++] = octet('registered_delivery', pdu.registeredDelivery);
  out[at++] = octetTo('replace_if_present_flag', pdu.replaceIfPresent, 1);
  out[at++] = octet('data_coding', pdu.dataCoding);
  out[at++] = octet('sm_default_msg_id', pdu.smDefaultMsgId);
  out[at++] = text.length;
  out.set(text, at);
  writeTlvs(out, at + text.length, pdu.tlvs);
  return out;
}

function encodeResponse(
  command: number,
  sequence: number,
  status: number,
  messageId: string,
  tlvs: readonly Tlv[],
): Buffer {
  const hasBody = status === 0 || tlvs.length > 0;
  const length = hasBody ? HEADER_LENGTH + messageId.length + 1 + tlvLength(tlvs) : HEADER_LENGTH;
  const out = Buffer.allocUnsafe(length);
  writeHeader(out, length, command, status, sequence);
  if (hasBody) writeTlvs(out, writeString(out, HEADER_LENGTH, 'message_id', messageId, MESSAGE_ID_MAX), tlvs);
  return out;
}

/** A PDU that is nothing but its header: enquire_link, unbind, generic_nack and their responses. */
export function encodeHeader(command: number, status: number, sequence: number): Buffer {
  const out = Buffer.allocUnsafe(HEADER_LENGTH);
  writeHeader(out, HEADER_LENGTH, command, status, sequence);
  return out;
}

// decode -----------------------------------------------------------------------------------------------------------

/** @throws PduError with the command_status to answer. */
export function decodeSubmitSm(buffer: Buffer, offset: number, length: number): SubmitSm {
  return decodeMessage(buffer, offset, length);
}

/** @throws PduError with the command_status to answer. */
export function decodeDeliverSm(buffer: Buffer, offset: number, length: number): DeliverSm {
  return decodeMessage(buffer, offset, length);
}

/** Never throws: an odd field in an answer must not cost the link, nor the knowledge that there was an answer. */
export function decodeSubmitSmResp(buffer: Buffer, offset: number, length: number): SubmitSmResp {
  const end = offset + length;
  const status = readUint32(buffer, offset + 8);
  const start = offset + HEADER_LENGTH;
  if (start >= end) return { status, messageId: null, tlvs: NO_TLVS };
  let nul = start;
  while (nul < end && buffer[nul] !== 0) nul++;
  const messageId = nul === start ? null : buffer.toString('latin1', start, Math.min(nul, start + MESSAGE_ID_KEPT));
  return { status, messageId, tlvs: readTlvs(buffer, nul + 1, end, false) };
}

/** Never throws. A message_id, which the standard leaves unused, is passed over. */
export function decodeDeliverSmResp(buffer: Buffer, offset: number, length: number): DeliverSmResp {
  const { status, tlvs } = decodeSubmitSmResp(buffer, offset, length);
  return { status, tlvs };
}

/** The value of the first TLV with that tag. */
export function findTlv(tlvs: readonly Tlv[], tag: number): Buffer | undefined {
  for (let i = 0; i < tlvs.length; i++) {
    const tlv = tlvs[i] as Tlv;
    if (tlv.tag === tag) return tlv.value;
  }
  return undefined;
}

// Where the reader stands. Decoding is synchronous and does not nest, so one cursor serves all and no tuple is made.
let cursor = 0;

function decodeMessage(buffer: Buffer, offset: number, length: number): SubmitSm {
  const end = offset + length;
  cursor = offset + HEADER_LENGTH;
  const serviceType = readString(buffer, end, 'service_type');
  const sourceTon = readOctet(buffer, end, 'source_addr_ton');
  const sourceNpi = readOctet(buffer, end, 'source_addr_npi');
  const sourceAddr = readString(buffer, end, 'source_addr');
  const destTon = readOctet(buffer, end, 'dest_addr_ton');
  const destNpi = readOctet(buffer, end, 'dest_addr_npi');
  const destAddr = readString(buffer, end, 'destination_addr');
  const esmClass = readOctet(buffer, end, 'esm_class');
  const protocolId = readOctet(buffer, end, 'protocol_id');
  const priorityFlag = readOctet(buffer, end, 'priority_flag');
  const scheduleDeliveryTime = readString(buffer, end, 'schedule_delivery_time');
  const validityPeriod = readString(buffer, end, 'validity_period');
  const registeredDelivery = readOctet(buffer, end, 'registered_delivery');
  const replaceIfPresent = readOctet(buffer, end, 'replace_if_present_flag');
  const dataCoding = readOctet(buffer, end, 'data_coding');
  const smDefaultMsgId = readOctet(buffer, end, 'sm_default_msg_id');
  const smLength = readOctet(buffer, end, 'sm_length');
  const start = cursor;
  if (start + smLength > end) throw new PduError('short-message-length', 'sm_length', ESME_RINVMSGLEN);
  return {
    serviceType,
    sourceTon,
    sourceNpi,
    sourceAddr,
    destTon,
    destNpi,
    destAddr,
    esmClass,
    protocolId,
    priorityFlag,
    scheduleDeliveryTime,
    validityPeriod,
    registeredDelivery,
    replaceIfPresent,
    dataCoding,
    smDefaultMsgId,
    shortMessage: buffer.subarray(start, start + smLength),
    tlvs: readTlvs(buffer, start + smLength, end, true),
  };
}

function readOctet(buffer: Buffer, end: number, field: string): number {
  if (cursor >= end) throw new PduError('truncated', field, ESME_RINVCMDLEN);
  return buffer[cursor++] as number;
}

function readString(buffer: Buffer, end: number, field: string): string {
  const start = cursor;
  let nul = start;
  while (nul < end && buffer[nul] !== 0) nul++;
  if (nul >= end) throw new PduError('unterminated-string', field, ESME_RINVCMDLEN);
  cursor = nul + 1;
  return nul === start ? '' : buffer.toString('latin1', start, nul);
}
