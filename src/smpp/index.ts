/**
 * The wire: SMPP 3.4 sessions, PDUs, text, segmentation, receipts. Knows no database and no alert.
 *
 * The way up: `pdu` (hot codec) and `cold` (the rest, through the `smpp` package) → `framing`, `gathered` (bytes in and
 * out) → `link` (one connection: window, timeouts, enquire_link, unbind) → `session` (ESME) and `server-session`
 * (SMSC) → `bind` (all sessions of one carrier account, kept connected).
 */
export * from './bind.ts';
export * from './cold.ts';
export * from './commands.ts';
export * from './correlation.ts';
export * from './data-coding.ts';
export * from './errors.ts';
export * from './framing.ts';
export { NATIONAL_LANGUAGES, type NationalLanguage } from './gsm7-tables.ts';
export * from './incoming.ts';
export * from './join.ts';
export { CONCATENATIONS, type Concatenation, PARTS_MAX } from './layout.ts';
export * from './limits.ts';
export * from './link.ts';
export * from './pdu.ts';
export { planText, TEXT_OPTIONS, type TextOptions, type TextPlan } from './plan.ts';
export * from './receipt.ts';
export * from './segment.ts';
export * from './server-session.ts';
export * from './session.ts';
export * from './status.ts';
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
