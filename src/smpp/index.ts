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
export * from './errors.ts';
export * from './framing.ts';
export * from './incoming.ts';
export * from './limits.ts';
export * from './link.ts';
export * from './pdu.ts';
export * from './receipt.ts';
export * from './receipt-id.ts';
export * from './segment.ts';
export * from './server-session.ts';
export * from './session.ts';
export * from './status.ts';
export * from './text.ts';
export * from './times.ts';
