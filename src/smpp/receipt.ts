/**
 * Delivery receipts (SMPP 3.4 §5.3.2.12, §5.3.2.35, appendix B): the TLVs say it where they are there, else the text
 * `id:… sub:001 dlvrd:001 submit date:… done date:… stat:DELIVRD err:000 text:…`.
 */
import { type DeliverSm, findTlv, Tag } from './pdu.ts';
import { readUserData, UDH_INDICATOR } from './segment.ts';
import { decodeText } from './text.ts';

/** message_state (SMPP 3.4 §5.2.28; SCHEDULED and SKIPPED from 5.0 §4.7.15). */
export const MessageState = {
  scheduled: 0,
  enroute: 1,
  delivered: 2,
  expired: 3,
  deleted: 4,
  undeliverable: 5,
  accepted: 6,
  unknown: 7,
  rejected: 8,
  skipped: 9,
} as const;

export interface Receipt {
  /** As the SMSC wrote it; '' when the receipt names none, so that nothing can match it. */
  messageId: string;
  /** A value of `MessageState`; a word that is not known is `unknown`. */
  state: number;
  /** The error as the SMSC wrote it: `err:` of the text, or network_error_code as `<type>:<code>`. */
  error: string | null;
  /** Not final: an intermediate notification, or a state that says the message is still on its way. */
  intermediate: boolean;
}

/** The words of `stat:`, in the seven letters of appendix B and in full. */
const STATES: Record<string, number> = {
  SCHEDULED: MessageState.scheduled,
  ENROUTE: MessageState.enroute,
  DELIVRD: MessageState.delivered,
  DELIVERED: MessageState.delivered,
  EXPIRED: MessageState.expired,
  DELETED: MessageState.deleted,
  UNDELIV: MessageState.undeliverable,
  UNDELIVERABLE: MessageState.undeliverable,
  FAILED: MessageState.undeliverable,
  ACCEPTD: MessageState.accepted,
  ACCEPTED: MessageState.accepted,
  UNKNOWN: MessageState.unknown,
  REJECTD: MessageState.rejected,
  REJECTED: MessageState.rejected,
  SKIPPED: MessageState.skipped,
};

// esm_class bits 5..2 (SMPP 3.4 §5.2.12).
const TYPE_MASK = 0x3c;
const TYPE_RECEIPT = 0x04;
const TYPE_INTERMEDIATE = 0x20;

/** Null when the deliver_sm is no receipt but a message. Never throws. */
export function parseReceipt(pdu: DeliverSm): Receipt | null {
  const type = pdu.esmClass & TYPE_MASK;
  const idTlv = findTlv(pdu.tlvs, Tag.receiptedMessageId);
  if (type !== TYPE_RECEIPT && type !== TYPE_INTERMEDIATE && (type !== 0 || idTlv === undefined)) return null;
  const stateTlv = findTlv(pdu.tlvs, Tag.messageState)?.[0];
  const errorTlv = findTlv(pdu.tlvs, Tag.networkErrorCode);
  const text = idTlv !== undefined && stateTlv !== undefined && errorTlv !== undefined ? null : parseText(textOf(pdu));
  const state = stateTlv ?? text?.state ?? MessageState.unknown;
  return {
    messageId: (idTlv === undefined ? undefined : stringOf(idTlv)) ?? text?.id ?? '',
    state,
    error: (errorTlv === undefined ? undefined : networkError(errorTlv)) ?? text?.error ?? null,
    intermediate: type === TYPE_INTERMEDIATE || state === MessageState.enroute || state === MessageState.scheduled,
  };
}

function textOf(pdu: DeliverSm): string {
  const octets = pdu.shortMessage.length > 0 ? pdu.shortMessage : findTlv(pdu.tlvs, Tag.messagePayload);
  if (octets === undefined) return '';
  const body = (pdu.esmClass & UDH_INDICATOR) === 0 ? octets : readUserData(pdu.esmClass, octets).octets;
  // Ids hold `_` and `@` in some carriers: only UCS-2 is decoded, everything else is read as it stands.
  return pdu.dataCoding === 8 ? decodeText(body, 8) : body.toString('latin1');
}

/** A C-octet string; a missing NUL or anything after it is forgiven. Undefined when empty. */
function stringOf(value: Buffer): string | undefined {
  const nul = value.indexOf(0);
  const text = value.toString('latin1', 0, nul < 0 ? value.length : nul);
  return text === '' ? undefined : text;
}

/** network_error_code: one octet of network type, two of error (SMPP 3.4 §5.3.2.31). */
function networkError(value: Buffer): string | undefined {
  return value.length === 3 ? `${value[0]}:${value.readUInt16BE(1)}` : undefined;
}

interface ReceiptText {
  id: string | undefined;
  state: number | undefined;
  error: string | undefined;
}

const ID = /(?:^|[^a-z])id: ?([^\s]+)/i;
const STAT = /(?:^|[^a-z])stat: ?([a-z]+)/i;
const ERR = /(?:^|[^a-z])err: ?([^\s]+)/i;
const TEXT = /(?<![a-z])text:/i;

/**
 * What follows `text:` is the beginning of the message itself and may hold anything, `stat:` included: it is cut off
 * first. A NUL ends a field as a space does: some SMSCs send C strings, and PostgreSQL takes no NUL in a text.
 */
function parseText(received: string): ReceiptText {
  const text = received.replaceAll('\0', ' ');
  const cut = text.search(TEXT);
  const fields = cut >= 0 ? text.slice(0, cut) : text;
  const word = STAT.exec(fields)?.[1];
  return {
    id: ID.exec(fields)?.[1],
    state: word === undefined ? undefined : (STATES[word.toUpperCase()] ?? MessageState.unknown),
    error: ERR.exec(fields)?.[1],
  };
}
