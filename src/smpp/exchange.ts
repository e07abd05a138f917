/** What the owner of a link gives to it and hears from it. */
import type { Incoming, IncomingRequest } from './incoming.ts';
import type { Tlv } from './pdu.ts';
import type { PduOf } from './pdus/table.ts';
import type { RequestCommand } from './requests.ts';

/** How a request ended. A request that was sent is answered exactly once. */
export type Answer =
  | { kind: 'answered'; status: number; messageId: string | null; tlvs: readonly Tlv[] }
  /** In doubt: the peer may or may not have taken it. */
  | { kind: 'unanswered'; reason: 'timeout' | 'closed' };

/** How a request of another kind than the hot one ended. */
export type RequestOutcome<C extends RequestCommand = RequestCommand> =
  /** Answered, be it with a generic_nack; `pdu.status` says with what. */
  | { kind: 'answered'; pdu: PduOf<`${C}_resp` | 'generic_nack'> }
  /** In doubt: the peer may or may not have taken it. */
  | { kind: 'unanswered'; reason: 'timeout' | 'closed' }
  /** No byte has left: there is no bind, its mode does not allow it, or it ended while the request waited for room. */
  | { kind: 'not-sent' };

export interface RequestOptions {
  /** May use the part of the window that is kept for emergency. */
  emergency?: boolean;
  /** `responseTimeoutMs` of the limits unless told otherwise. */
  timeoutMs?: number;
  /** Gives up waiting for room; what was sent is sent. */
  signal?: AbortSignal;
}

export type CloseReason =
  /** We closed it, with or without unbind. */
  | 'closed'
  | 'unbound'
  | 'peer-unbound'
  /** The peer ended the connection, be it only its half. */
  | 'peer-ended'
  /** enquire_link was not answered in time, or nothing came for the idle timeout. */
  | 'peer-silent'
  /** No request for the inactivity timer: we have unbound. */
  | 'inactive'
  /** Bytes that are not SMPP. */
  | 'foreign-bytes'
  | 'socket-error'
  /** The peer leaves megabytes unread. */
  | 'write-stalled'
  | 'bind-refused'
  | 'bind-timeout';

/** All handlers are called synchronously; what they throw is a bug and is not caught. */
export interface LinkHandlers<C, P> {
  /** Once for every request that was sent. `context` is what the sender gave. */
  onAnswer(context: C, answer: Answer): void;
  /** A hot request came in. */
  onIncoming(incoming: Incoming<P>): void;
  /** A request of another kind came in. Without this handler it is answered ESME_RINVCMDID. */
  onRequest?(incoming: IncomingRequest): void;
  /** There may be room to send again: at most once per read, and when the socket drains. */
  onRoom?(): void;
  /** Once. Every context of `inFlight` has had its onAnswer with reason `closed` before. */
  onClosed(reason: CloseReason, inFlight: C[], detail: string | null): void;
}
