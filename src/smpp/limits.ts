/** What a connection allows. The timers are those of SMPP 3.4 §7.2; its session_init_timer is the sessions' bindTimeoutMs. */
import { PDU_LENGTH_MAX } from './framing.ts';
import { Status } from './status.ts';

export interface LinkLimits {
  /** Unanswered requests allowed at once, ≥ 1. */
  window: number;
  /** A request unanswered for this long is in doubt (response_timer). */
  responseTimeoutMs: number;
  /**
   * Without an answer for this long we ask enquire_link; unanswered for responseTimeoutMs, the peer is dead
   * (enquire_link_timer). 0 = never.
   */
  enquireLinkMs: number;
  /** Without a single octet for this long the peer is dead. 0 = never. */
  idleTimeoutMs: number;
  /** Without a request of either side, enquire_link aside, for this long we unbind (inactivity_timer). 0 = never. */
  inactivityMs: number;
  /** Senders that may wait for room at once. */
  waitingMax: number;
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
  inactivityMs: 0,
  waitingMax: 10_000,
  receiverWindow: 5_000,
  receiverTimeoutMs: 1_000,
  receiverBusyStatus: Status.receiverTemporary,
  pduLengthMax: PDU_LENGTH_MAX,
};
