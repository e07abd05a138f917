/**
 * The one door for PDUs: any of SMPP 3.4 and 5.0 in, octets out, and back. The four hot ones go through the codec
 * written by hand for them (`pdu.ts`), all others by their descriptor (`table.ts`).
 *
 * Strict when writing: what a standard does not allow is a FieldError before any octet leaves. Lenient when reading:
 * a peer's strings may be longer than allowed, an answer may end before its last fields, and a TLV may be anything.
 */
import { HEADER_LENGTH, LAST_SEQUENCE, PDU_LENGTH_MAX, RESPONSE_BIT } from '../commands.ts';
import { FieldError, PduError } from '../errors.ts';
import { NO_TLVS, readTlvs, readUint32, tlvLength, writeHeader, writeTlvs } from '../octets.ts';
import {
  decodeDeliverSm,
  decodeSubmitSm,
  decodeSubmitSmResp,
  encodeDeliverSm,
  encodeDeliverSmResp,
  encodeSubmitSm,
  encodeSubmitSmResp,
} from '../pdu.ts';
import { type Field, Reader } from './fields.ts';
import {
  commandOf,
  type Descriptor,
  PDUS,
  type Pdu,
  type PduCommand,
  type PduHead,
  type PduOf,
  type UnknownPdu,
} from './table.ts';
import { TLVS } from './tlvs.ts';

const ESME_RINVCMDLEN = 0x02;

/** A PDU of which only the names of its fields are known at run time. */
export type ByName = PduHead & Record<string, unknown>;

/**
 * A PDU with what is left out filled in: status 0, no TLVs, empty strings, zeros. The sequence_number is 1 unless told.
 * @example pduOf('query_sm', { sequence: 7, messageId: 'a1', sourceAddr: 'BANK' })
 */
export function pduOf<C extends PduCommand>(command: C, fields: Partial<Omit<PduOf<C>, 'command'>> = {}): PduOf<C> {
  const pdu: Record<string, unknown> = { command, status: 0, sequence: 1, tlvs: NO_TLVS };
  for (const { name, kind } of PDUS[command].fields as readonly Field<string, unknown>[]) pdu[name] = kind.absent;
  return Object.assign(pdu, fields) as unknown as PduOf<C>;
}

/**
 * An answer whose status is not 0 goes without a body (SMPP 3.4 §4.1.2, §4.4.2), unless there are TLVs that explain it
 * (3.4 §4.7.2, 5.0 §4.2.5).
 * @throws FieldError naming the field or TLV that the standard does not allow.
 */
export function encodePdu(pdu: Pdu): Buffer {
  checkHead(pdu);
  switch (pdu.command) {
    case 'submit_sm':
      return encodeSubmitSm(pdu.sequence, pdu);
    case 'deliver_sm':
      return encodeDeliverSm(pdu.sequence, pdu);
    case 'submit_sm_resp':
      return encodeSubmitSmResp(pdu.sequence, pdu);
    case 'deliver_sm_resp':
      if (pdu.messageId !== null) throw new FieldError('message_id', 'is not null');
      return encodeDeliverSmResp(pdu.sequence, pdu);
    case 'unknown':
      return encodeUnknown(pdu);
    default:
      return encodeByTable(PDUS[pdu.command], pdu as unknown as ByName);
  }
}

/**
 * Buffers in what it returns are views of `buffer`.
 * @param length of the PDU; its command_length unless told.
 * @throws PduError with the command_status to answer, and nothing else.
 */
export function decodePdu(buffer: Buffer, offset = 0, length = commandLength(buffer, offset)): Pdu {
  if (length < HEADER_LENGTH || offset < 0 || offset + length > buffer.length) {
    throw new PduError('truncated', 'command_length', ESME_RINVCMDLEN);
  }
  const commandId = readUint32(buffer, offset + 4);
  const head = { status: readUint32(buffer, offset + 8), sequence: readUint32(buffer, offset + 12) };
  const command = commandOf(commandId);
  switch (command) {
    case 'submit_sm':
      return { command, ...head, ...decodeSubmitSm(buffer, offset, length) };
    case 'deliver_sm':
      return { command, ...head, ...decodeDeliverSm(buffer, offset, length) };
    case 'submit_sm_resp':
    case 'deliver_sm_resp':
      return { command, ...head, ...decodeSubmitSmResp(buffer, offset, length) };
    case undefined:
      return {
        command: 'unknown',
        commandId,
        ...head,
        body: buffer.subarray(offset + HEADER_LENGTH, offset + length),
      };
    default:
      return decodeByTable(command, head, buffer, offset, length);
  }
}

/**
 * By descriptor, whatever the command: also for the tests that hold the hand-written codec against it, and for layouts
 * with limits of their own.
 * @throws FieldError
 */
export function encodeByTable({ id, fields, requires }: Descriptor, pdu: ByName): Buffer {
  const { status, sequence, tlvs } = pdu;
  const hasBody = status === 0 || tlvs.length > 0;
  let length = HEADER_LENGTH;
  if (hasBody) for (const { name, kind } of fields) length += kind.size(pdu[name]);
  length += tlvLength(tlvs);
  if (length > PDU_LENGTH_MAX) throw new FieldError('command_length', `is above ${PDU_LENGTH_MAX}`);
  if (status === 0) {
    for (const name of requires) {
      if (!tlvs.some(({ tag }) => tag === TLVS[name].tag)) throw new FieldError(name, 'is required');
    }
  }
  const out = Buffer.allocUnsafe(length);
  writeHeader(out, length, id, status, sequence);
  if (!hasBody) return out;
  let at = HEADER_LENGTH;
  for (const { name, standard, kind } of fields) at = kind.write(out, at, standard, pdu[name]);
  writeTlvs(out, at, tlvs);
  return out;
}

/**
 * Answers are read leniently, and so are PDUs that are nothing but a header: there is no field that could be wrong.
 * @throws PduError
 */
export function decodeByTable<C extends PduCommand>(
  command: C,
  head: { status: number; sequence: number },
  buffer: Buffer,
  offset: number,
  length: number,
): PduOf<C> {
  const { id, fields } = PDUS[command] as { id: number; fields: readonly Field<string, unknown>[] };
  const lenient = (id & RESPONSE_BIT) !== 0 || fields.length === 0;
  const from = new Reader(buffer, offset + HEADER_LENGTH, offset + length, lenient);
  const pdu: Record<string, unknown> = { command, status: head.status, sequence: head.sequence };
  for (const { name, standard, kind } of fields) {
    pdu[name] = lenient && from.done ? kind.absent : kind.read(from, standard);
  }
  pdu.tlvs = readTlvs(buffer, from.at, from.end, !lenient);
  return pdu as unknown as PduOf<C>;
}

function encodeUnknown({ commandId, status, sequence, body }: UnknownPdu): Buffer {
  if (commandId >>> 0 !== commandId) throw new FieldError('command_id', 'is not an unsigned 32-bit integer');
  const length = HEADER_LENGTH + body.length;
  if (length > PDU_LENGTH_MAX) throw new FieldError('command_length', `is above ${PDU_LENGTH_MAX}`);
  const out = Buffer.allocUnsafe(length);
  writeHeader(out, length, commandId, status, sequence);
  out.set(body, HEADER_LENGTH);
  return out;
}

/** An answer repeats the sequence_number of its request, be it as odd as it may; a request has its own. */
function checkHead({ command, status, sequence }: Pdu): void {
  if (status >>> 0 !== status) throw new FieldError('command_status', 'is not an unsigned 32-bit integer');
  if (sequence >>> 0 !== sequence) throw new FieldError('sequence_number', 'is not an unsigned 32-bit integer');
  if (command === 'unknown') return;
  const descriptor = PDUS[command];
  if (descriptor === undefined) throw new FieldError('command', 'is not one of SMPP');
  if ((descriptor.id & RESPONSE_BIT) !== 0) return;
  if (status !== 0) throw new FieldError('command_status', 'is not 0 in a request');
  if (sequence < 1 || sequence > LAST_SEQUENCE) throw new FieldError('sequence_number', 'is not 1..0x7FFFFFFF');
}

function commandLength(buffer: Buffer, offset: number): number {
  return offset >= 0 && offset + 4 <= buffer.length ? readUint32(buffer, offset) : 0;
}
