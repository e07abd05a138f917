/**
 * The facts of a delivery's life. Rows are inserted in batches and never changed; keys make every insert repeatable.
 * See db/migrations for what each column means.
 */
import { defineFactTable } from '../audit/index.ts';
import type { EpochMs } from '../platform/index.ts';

export interface DeliveryRow {
  day: string;
  id: number;
  alert: string;
  recipient: number;
  organisation: number;
  lane: number;
  route: number;
  chunk: number;
  body: number;
  reference: string | null;
  expiresAt: EpochMs;
  createdAt: EpochMs;
}
export const delivery = defineFactTable<DeliveryRow>({
  table: 'delivery',
  columns: {
    day: 'date',
    id: 'int',
    alert: 'uuid',
    recipient: 'int',
    organisation: 'int',
    lane: 'int',
    route: 'int',
    chunk: 'int',
    body: 'int',
    reference: 'text?',
    expiresAt: 'int',
    createdAt: 'int',
  },
  partitioned: true,
  key: ['day', 'id'],
  scope: 'chunk',
});

export interface ClaimRow {
  day: string;
  chunk: number;
  fromPosition: number;
  toPosition: number;
  attempt: number;
  bind: number;
  fence: number;
  process: number;
  deliveries: number[];
  at: EpochMs;
}
export const claim = defineFactTable<ClaimRow>({
  table: 'claim',
  columns: {
    day: 'date',
    chunk: 'int',
    fromPosition: 'int',
    toPosition: 'int',
    attempt: 'int',
    bind: 'int',
    fence: 'int',
    process: 'int',
    deliveries: 'ints',
    at: 'int',
  },
  partitioned: true,
  key: ['day', 'chunk', 'fromPosition'],
});

export interface ReleaseRow {
  day: string;
  delivery: number;
  id: number;
  attempt: number;
  segment: number;
  bind: number;
  /**
   * `handed-back`, `paused`, `expired`, `cancelled`: not sent after all. `throttled`: the SMSC asked us to slow down.
   * `bind-refused`: the SMSC takes nothing from the account, and the delivery went back to its route.
   */
  reason: 'handed-back' | 'paused' | 'expired' | 'cancelled' | 'throttled' | 'bind-refused' | 'other-route';
  status: number | null;
  at: EpochMs;
}
export const release = defineFactTable<ReleaseRow>({
  table: 'release',
  columns: {
    day: 'date',
    delivery: 'int',
    id: 'int',
    attempt: 'int',
    segment: 'int',
    bind: 'int',
    reason: 'text',
    status: 'int?',
    at: 'int',
  },
  partitioned: true,
  key: ['day', 'delivery', 'id'],
});

export interface SubmissionRow {
  day: string;
  delivery: number;
  attempt: number;
  /** 1-based; 0 where a crash left it unknown which segments were sent. */
  segment: number;
  segments: number;
  bind: number;
  /** state.ts OUTCOME. */
  outcome: number;
  /** command_status of the submit_sm_resp; null when unanswered. */
  status: number | null;
  messageId: string | null;
  possibleDuplicate: boolean;
  sentAt: EpochMs;
  answeredAt: EpochMs | null;
}
export const submission = defineFactTable<SubmissionRow>({
  table: 'submission',
  columns: {
    day: 'date',
    delivery: 'int',
    attempt: 'int',
    segment: 'int',
    segments: 'int',
    bind: 'int',
    outcome: 'int',
    status: 'int?',
    messageId: 'text?',
    possibleDuplicate: 'bool',
    sentAt: 'int',
    answeredAt: 'int?',
  },
  partitioned: true,
  // Two rows where one was written down as unanswered by a new owner, and answered all the same.
  key: ['day', 'delivery', 'attempt', 'segment', 'outcome'],
});

export interface ReceiptRow {
  day: string;
  delivery: number;
  id: number;
  attempt: number;
  segment: number;
  bind: number;
  /** state.ts MESSAGE_STATE. */
  state: number;
  error: string | null;
  duplicate: boolean;
  receivedAt: EpochMs;
}
export const receipt = defineFactTable<ReceiptRow>({
  table: 'receipt',
  columns: {
    day: 'date',
    delivery: 'int',
    id: 'int',
    attempt: 'int',
    segment: 'int',
    bind: 'int',
    state: 'int',
    error: 'text?',
    duplicate: 'bool',
    receivedAt: 'int',
  },
  partitioned: true,
  key: ['day', 'delivery', 'id'],
});

export interface UnmatchedReceiptRow {
  day: string;
  id: number;
  bind: number;
  messageId: string;
  state: number;
  error: string | null;
  receivedAt: EpochMs;
}
export const unmatchedReceipt = defineFactTable<UnmatchedReceiptRow>({
  table: 'unmatched_receipt',
  columns: {
    day: 'date',
    id: 'int',
    bind: 'int',
    messageId: 'text',
    state: 'int',
    error: 'text?',
    receivedAt: 'int',
  },
  partitioned: true,
  key: ['day', 'id'],
});

export interface FinalStateRow {
  day: string;
  delivery: number;
  /** state.ts FINAL. */
  state: number;
  cause: string | null;
  at: EpochMs;
  /**
   * Of a text in one segment the receipt that ended it, which then has no row of its own: `at` is when it came, `cause` its
   * error. Absent where it was not a receipt, or one of several.
   */
  receipt?: number | null;
  bind?: number | null;
  attempt?: number | null;
  /** The receipt's message_state: state.ts MESSAGE_STATE. */
  said?: number | null;
}
export const finalState = defineFactTable<FinalStateRow>({
  table: 'final_state',
  columns: {
    day: 'date',
    delivery: 'int',
    state: 'int',
    cause: 'text?',
    at: 'int',
    receipt: 'int?',
    bind: 'int?',
    attempt: 'int?',
    said: 'int?',
  },
  added: ['receipt', 'bind', 'attempt', 'said'],
  partitioned: true,
  key: ['day', 'delivery'],
});

export interface CancellationRow {
  day: string;
  delivery: number;
  attempt: number;
  segment: number;
  /** Counts the cancel_sm for this segment, from 1. */
  number: number;
  bind: number;
  /** state.ts OUTCOME: accepted, refused for good, refused for now, unanswered. */
  outcome: number;
  /** command_status of the cancel_sm_resp; null when unanswered. */
  status: number | null;
  sentAt: EpochMs;
  answeredAt: EpochMs | null;
}
/** A cancel_sm for a segment that the carrier had accepted. */
export const cancellation = defineFactTable<CancellationRow>({
  table: 'cancellation',
  columns: {
    day: 'date',
    delivery: 'int',
    attempt: 'int',
    segment: 'int',
    number: 'int',
    bind: 'int',
    outcome: 'int',
    status: 'int?',
    sentAt: 'int',
    answeredAt: 'int?',
  },
  partitioned: true,
  key: ['day', 'delivery', 'attempt', 'segment', 'number'],
});

export const RECORD_TABLES = [
  delivery,
  claim,
  release,
  submission,
  receipt,
  unmatchedReceipt,
  finalState,
  cancellation,
];
