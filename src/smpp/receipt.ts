/**
 * Delivery receipts (SMPP 3.4 §5.3.2.12, §5.3.2.35, appendix B): the TLVs say it where they are there, else the text.
 *
 * `receipt-text.ts` reads the text, `receipt-state.ts` the words, `receipt-time.ts` the dates, `receipt-id.ts` finds the
 * message that an id means. docs/receipts.md has the tables.
 */
import { findTlv, MESSAGE_ID_KEPT, Tag, type Tlv } from './pdu.ts';
import { MessageState } from './receipt-state.ts';
import { looksLikeReceipt, type ReceiptText, readReceiptText } from './receipt-text.ts';
import { receiptTime } from './receipt-time.ts';
import { readUserData, UDH_INDICATOR } from './segment.ts';
import { decodeText } from './text.ts';

export { MessageState } from './receipt-state.ts';

/** What a deliver_sm and a data_sm have in common; a data_sm has its text in message_payload. */
export interface ReceiptPdu {
  esmClass: number;
  dataCoding: number;
  shortMessage?: Buffer;
  tlvs: readonly Tlv[];
}

export interface Receipt {
  /** As the SMSC wrote it; '' when the receipt names none, so that nothing can match it. */
  messageId: string;
  /** The id of the text where it is another one than the TLV's (jasmin #427), else null. */
  textId: string | null;
  /** A value of `MessageState`; a word that is not known is `unknown`. */
  state: number;
  /** The error as the SMSC wrote it: `err:` of the text, or network_error_code as `<type>:<code>`. */
  error: string | null;
  /** Not final: an intermediate notification, or a state that says the message is still on its way. */
  intermediate: boolean;
  /** `submit date` and `done date` as epoch milliseconds, null where there is none or it can't be read. */
  submittedAt: number | null;
  doneAt: number | null;
}

export interface ReceiptOptions {
  /** Also take as a receipt what neither esm_class nor a TLV calls one, but reads like one in every point. */
  byText?: boolean;
  /** How far the carrier's clock is ahead of UTC in dates without a zone. */
  utcOffsetMinutes?: number;
}

// esm_class bits 5..2 (SMPP 3.4 §5.2.12).
const TYPE_MASK = 0x3c;
const TYPE_MESSAGE = 0x00;
const TYPE_RECEIPT = 0x04;
const TYPE_INTERMEDIATE = 0x20;

const ON_THE_WAY: ReadonlySet<number> = new Set([MessageState.scheduled, MessageState.enroute, MessageState.accepted]);

/** Null when the PDU is no receipt but a message. Never throws. */
export function parseReceipt(pdu: ReceiptPdu, options: ReceiptOptions = {}): Receipt | null {
  const type = pdu.esmClass & TYPE_MASK;
  const idTlv = stringOf(findTlv(pdu.tlvs, Tag.receiptedMessageId));
  const flagged = type === TYPE_RECEIPT || type === TYPE_INTERMEDIATE;
  const byText = options.byText === true && type === TYPE_MESSAGE;
  if (!flagged && !byText && (type !== TYPE_MESSAGE || idTlv === null)) return null;
  const received = textOf(pdu);
  const text = readReceiptText(received);
  if (!flagged && idTlv === null && !looksLikeReceipt(text, received)) return null;
  return receiptOf(pdu, type, idTlv, text, options.utcOffsetMinutes ?? 0);
}

function receiptOf(
  pdu: ReceiptPdu,
  type: number,
  idTlv: string | null,
  text: ReceiptText,
  utcOffsetMinutes: number,
): Receipt {
  const state = findTlv(pdu.tlvs, Tag.messageState)?.[0] ?? text.state ?? MessageState.unknown;
  const errorTlv = findTlv(pdu.tlvs, Tag.networkErrorCode);
  const time = (date: string | null): number | null => (date === null ? null : receiptTime(date, utcOffsetMinutes));
  return {
    messageId: (idTlv ?? text.id ?? '').slice(0, MESSAGE_ID_KEPT),
    textId: idTlv !== null && text.id !== idTlv ? (text.id?.slice(0, MESSAGE_ID_KEPT) ?? null) : null,
    state,
    error: (errorTlv === undefined ? null : networkError(errorTlv)) ?? text.error,
    intermediate: type === TYPE_INTERMEDIATE || ON_THE_WAY.has(state),
    submittedAt: time(text.submitDate),
    doneAt: time(text.doneDate),
  };
}

function textOf(pdu: ReceiptPdu): string {
  const short = pdu.shortMessage;
  const octets = short !== undefined && short.length > 0 ? short : findTlv(pdu.tlvs, Tag.messagePayload);
  if (octets === undefined) return '';
  const body = (pdu.esmClass & UDH_INDICATOR) === 0 ? octets : readUserData(pdu.esmClass, octets).octets;
  // Ids hold `_` and `@` in some carriers: only UCS-2 is decoded, everything else is read as it stands.
  return pdu.dataCoding === 8 || isUcs2(body) ? decodeText(body, 8) : body.toString('latin1');
}

/** UCS-2 under a data_coding that does not say so: every other octet of a Latin text is then 0. */
function isUcs2(body: Buffer): boolean {
  if (body.length < 8 || body.length % 2 !== 0) return false;
  for (let at = 0; at < 8; at += 2) if (body[at] !== 0 || body[at + 1] === 0) return false;
  return true;
}

/** A C-octet string; a missing NUL or anything after it is forgiven. Null when there is none or it is empty. */
function stringOf(value: Buffer | undefined): string | null {
  if (value === undefined) return null;
  const nul = value.indexOf(0);
  return value.toString('latin1', 0, nul < 0 ? value.length : nul).trim() || null;
}

/** network_error_code: one octet of network type, two of error (SMPP 3.4 §5.3.2.31). */
function networkError(value: Buffer): string | null {
  return value.length === 3 ? `${value[0]}:${value.readUInt16BE(1)}` : null;
}
