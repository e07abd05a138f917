/**
 * What goes over a link beside its hot requests (submit_sm, deliver_sm) and what it says by itself (bind, unbind,
 * enquire_link): what its owner asks by `request` and `notify`, and gets by `onRequest`.
 */
import type { AnsweredCommand, Pdu, PduCommand, PduOf } from './pdus/table.ts';

const LINKS_OWN = [
  'submit_sm',
  'deliver_sm',
  'bind_receiver',
  'bind_transmitter',
  'bind_transceiver',
  'unbind',
  'enquire_link',
] as const satisfies readonly AnsweredCommand[];

/** A request that is answered by NAME_resp. */
export type RequestCommand = Exclude<AnsweredCommand, (typeof LINKS_OWN)[number]>;
/** A request that has no response. */
export type NoticeCommand = 'alert_notification';
/** What may come in for `onRequest`. */
export type IncomingCommand = RequestCommand | NoticeCommand;

/** The mandatory fields of a PDU, and its TLVs. What is left out is empty. */
export type PduFields<C extends PduCommand> = Partial<Omit<PduOf<C>, 'command' | 'status' | 'sequence'>>;

const NOT_HANDED_ON: ReadonlySet<string> = new Set([...LINKS_OWN, 'outbind', 'unknown']);

/** Asked of requests alone. */
export function isHandedOn(request: Pdu): request is PduOf<IncomingCommand> {
  return !NOT_HANDED_ON.has(request.command);
}
