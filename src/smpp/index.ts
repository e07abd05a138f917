/**
 * The wire: SMPP 3.4 sessions, PDUs, text, segmentation, receipts. Knows no database and no alert.
 *
 * The way up: `pdus/` (every PDU and TLV, one typed door) with `pdu` (hot codec) → `framing`, `gathered` (bytes in and
 * out) → `link` (one connection: window, timeouts, enquire_link, unbind) → `session` (ESME) and `server-session`
 * (SMSC) → `dialer` (keeps sessions connected) → `bind` (all sessions of one carrier account).
 */
export * from './bind.ts';
export * from './bind-request.ts';
export * from './commands.ts';
export * from './congestion.ts';
export type { TlsOptions } from './connect.ts';
export * from './correlation.ts';
export * from './data-coding.ts';
export * from './errors.ts';
export * from './exchange.ts';
export * from './framing.ts';
export { NATIONAL_LANGUAGES, type NationalLanguage } from './gsm7-tables.ts';
export * from './in-order.ts';
export * from './incoming.ts';
export * from './join.ts';
export { CONCATENATIONS, type Concatenation, PARTS_MAX } from './layout.ts';
export * from './limits.ts';
export * from './link.ts';
export * from './pdu.ts';
export * from './pdus/area.ts';
export { decodePdu, encodePdu, pduOf } from './pdus/codec.ts';
export type { Destination, Unsuccess } from './pdus/fields.ts';
export {
  type AnsweredCommand,
  commandOf,
  PDUS,
  type Pdu,
  type PduCommand,
  type PduHead,
  type PduOf,
  type UnknownPdu,
} from './pdus/table.ts';
export { readTlv, readTlvsOf, TLVS, type TlvName, type TlvValue, tlv, tlvName } from './pdus/tlvs.ts';
export { planText, TEXT_OPTIONS, type TextOptions, type TextPlan } from './plan.ts';
export * from './priority.ts';
export { PROTOCOL } from './protocol.ts';
export * from './receipt.ts';
export * from './receipt-id.ts';
export type { IncomingCommand, NoticeCommand, PduFields, RequestCommand } from './requests.ts';
export * from './segment.ts';
export * from './server-session.ts';
export * from './session.ts';
export * from './source-address.ts';
export * from './stats.ts';
export * from './status.ts';
export { statusDocs } from './status-docs.ts';
export * from './submit-tlvs.ts';
export {
  decodeText,
  type Encoding,
  encodeText,
  GSM7,
  LATIN1,
  type Reading,
  TEXT_ALPHABETS,
  type TextAlphabet,
  UCS2,
} from './text.ts';
export * from './times.ts';
export { type TextChange, TRANSLITERATIONS, type Transliteration } from './transliterate.ts';
export {
  matchUserReference,
  readUserReference,
  USER_MESSAGE_REFERENCE,
  userReferenceOf,
  userReferenceTlv,
} from './user-reference.ts';
