/** What a connection allows, and what it counts. */
import { PDU_LENGTH_MAX } from './framing.ts';
import { Status } from './status.ts';

export interface LinkLimits {
  /** Unanswered requests allowed at once, ≥ 1. */
  window: number;
  /** A request unanswered for this long is in doubt. */
  responseTimeoutMs: number;
  /** Without an answer for this long we ask enquire_link; unanswered for responseTimeoutMs, the peer is dead. 0 = never. */
  enquireLinkMs: number;
  /** Without a single octet for this long the peer is dead. 0 = never. */
  idleTimeoutMs: number;
  /** Received requests that may wait for our `respond` at once; those beyond are answered `receiverBusyStatus`. */
  receiverWindow: number;
  /** A received request that nobody responded to for this long is answered `receiverBusyStatus`. 0 = never. */
  receiverTimeoutMs: number;
  receiverBusyStatus: number;
  /** Longest PDU taken, octets. */
  pduLengthMax: number;
}

export const LINK_LIMITS: LinkLimits = {
  window: 10,
  responseTimeoutMs: 10_000,
  enquireLinkMs: 30_000,
  idleTimeoutMs: 120_000,
  receiverWindow: 5_000,
  receiverTimeoutMs: 1_000,
  receiverBusyStatus: Status.receiverTemporary,
  pduLengthMax: PDU_LENGTH_MAX,
};

/** Counts since the start; one object may serve several links. */
export class LinkCounters {
  sent = 0;
  answered = 0;
  timedOut = 0;
  /** Answers to nothing we wait for: too late, or a wrong sequence_number. */
  unexpected = 0;
  received = 0;
  /** Received requests answered busy because of the receiver window or timeout. */
  answeredBusy = 0;
  /** Received PDUs that could not be decoded. */
  malformed = 0;
  /** Received requests that this side does not serve. */
  unserved = 0;
}
