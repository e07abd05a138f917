import type { FiredName, FiredStats } from './faults.ts';
import type { ScriptProgress } from './script.ts';

/** What an account counted since the simulator started. All numbers only grow, except those of `now`. */
export interface AccountStats {
  systemId: string;
  binds: number;
  /** Binds refused: wrong password, too many sessions, or the fault `refuseBind`. */
  bindsRefused: number;
  /** submit_sm that arrived, each segment and each refused one included. */
  received: number;
  /** By priority_flag 0..3 (higher ones count as 3). */
  receivedByPriority: [number, number, number, number];
  accepted: number;
  /** submit_sm beyond the TPS limit: violations of the contract, answered ESME_RTHROTTLED. */
  violations: number;
  /** All answered ESME_RTHROTTLED: violations and the fault `throttleNext`. */
  throttled: number;
  /** Refused for good or for now by choice. */
  refusedPermanent: number;
  refusedTemporary: number;
  /** submit_sm whose bytes could not be read as one. */
  malformed: number;
  /** Highest number of submit_sm in any one second. */
  rateMax: number;
  /** Answers that were held up and have been written, and the microseconds from arrival to writing, summed. */
  heldAnswers: number;
  heldAnswersUs: number;
  /** Messages from handsets that were put in line for the ESME. */
  originated: number;
  receipts: ReceiptStats;
  operations: OperationStats;
  /** How often each fault fired. */
  fired: FiredStats;
  now: {
    sessions: number;
    /** deliver_sm waiting for their time, for a session, or for a free place in its window. */
    waiting: number;
    /** deliver_sm held back. */
    held: number;
    /** deliver_sm sent and not answered. */
    unanswered: number;
  };
}

export interface ReceiptStats {
  created: number;
  /** deliver_sm on the wire, redeliveries included. */
  sent: number;
  /** Answered with ESME_ROK. */
  answered: number;
  refusedTemporary: number;
  refusedPermanent: number;
  /** deliver_sm sent again: after no answer, a temporary refusal, or a lost session. */
  redelivered: number;
  /** Given up after the last redelivery. */
  givenUp: number;
  /** Not kept because the store was full. */
  dropped: number;
  /** Answers to a deliver_sm that was already due again, or to none. */
  strayAnswers: number;
}

/** PDUs other than submit_sm that were served, whatever the answer; a submit_multi's destinations count as received. */
export interface OperationStats {
  submitMulti: number;
  dataSm: number;
  querySm: number;
  cancelSm: number;
  replaceSm: number;
  broadcastSm: number;
  queryBroadcastSm: number;
  cancelBroadcastSm: number;
  /** Messages that a cancel_sm stopped; messages that a replace_sm changed. */
  cancelled: number;
  replaced: number;
}

export interface SimulatorStats {
  /** Connections ended because their bytes were not SMPP, or because they never bound. */
  foreignConnections: number;
  /** Binds with a system_id that no account has. */
  unknownBinds: number;
  /** Connections that were shown a bad certificate. */
  badCertificates: number;
  /** TLS handshakes that failed, on either side's account. */
  tlsFailures: number;
  /** How far the running script is; null = none was started. */
  script: ScriptProgress | null;
  /** Connections open now, bound or not. */
  connections: number;
  accounts: AccountStats[];
}

type NumberKeys<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T] & string;

/** A number in `AccountStats`, as a path. */
export type CounterName =
  | NumberKeys<AccountStats>
  | `receipts.${keyof ReceiptStats & string}`
  | `operations.${keyof OperationStats & string}`
  | `fired.${FiredName}`
  | `now.${keyof AccountStats['now'] & string}`;

/** The value of one counter. @throws RangeError when there is none of that name (it may come from another process). */
export function counterOf(stats: AccountStats, name: CounterName): number {
  let value: unknown = stats;
  for (const key of name.split('.')) value = (value as Record<string, unknown> | undefined)?.[key];
  if (typeof value !== 'number') throw new RangeError('no such counter');
  return value;
}

export function zeroReceiptStats(): ReceiptStats {
  return {
    created: 0,
    sent: 0,
    answered: 0,
    refusedTemporary: 0,
    refusedPermanent: 0,
    redelivered: 0,
    givenUp: 0,
    dropped: 0,
    strayAnswers: 0,
  };
}

export function zeroOperationStats(): OperationStats {
  return {
    submitMulti: 0,
    dataSm: 0,
    querySm: 0,
    cancelSm: 0,
    replaceSm: 0,
    broadcastSm: 0,
    queryBroadcastSm: 0,
    cancelBroadcastSm: 0,
    cancelled: 0,
    replaced: 0,
  };
}
