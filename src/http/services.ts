/**
 * What the HTTP room needs from the others. Each route is: who may, parse, one call below, shape the answer.
 *
 * Implementations are handed to `createApp`; the types that belong to a room live in that room, the query shapes of
 * deliveries stand here because HTTP is their only reader so far (records' functions fit structurally).
 */
import type { Principal } from '../access/index.ts';
import type { AlertService } from '../alerts/index.ts';
import type { ListService, Msisdn, RecipientService } from '../audience/index.ts';
import type { EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';

export interface Services {
  readonly keys: {
    /** The principal of a Bearer token; null when it is malformed, unknown or revoked. */
    authenticate(token: string): Promise<Principal | null> | Principal | null;
  };
  readonly alerts: AlertService;
  readonly deliveries: DeliveryQueries;
  readonly lists: ListService;
  readonly recipients: RecipientService;
  /** Can this process accept durably, right now? Answers within 1 s. */
  readiness(): Promise<Readiness>;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** `ready` is false only when this process can't commit an alert; binds that are down are named and don't change it. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly bindsDown: readonly string[];
}

export const DELIVERY_STATES = [
  'queued',
  'claimed',
  'submitted',
  'delivered',
  'failed',
  'expired',
  'cancelled',
  'suppressed',
  'unknown',
] as const;
export type DeliveryStateName = (typeof DELIVERY_STATES)[number];

/** Where a page ended: the key of its last row. Deliveries are listed newest first: (day, id) descending. */
export interface DeliveryKey {
  /** YYYY-MM-DD */
  readonly day: string;
  readonly id: number;
}

/** All given conditions hold at once. Conditions left out are null. */
export interface DeliverySearch {
  readonly organisation: number;
  readonly alert: string | null;
  readonly msisdn: Msisdn | null;
  readonly reference: string | null;
  readonly messageId: string | null;
  readonly state: DeliveryStateName | null;
  readonly lane: LaneName | null;
  /** createdAt ≥ from */
  readonly from: EpochMs | null;
  /** createdAt < to */
  readonly to: EpochMs | null;
  /** Rows after this key only. */
  readonly after: DeliveryKey | null;
  /** 1–1,000 */
  readonly limit: number;
}

export interface DeliverySummary extends DeliveryKey {
  readonly alert: string;
  /** Null when the person was erased. */
  readonly msisdn: string | null;
  readonly reference: string | null;
  readonly lane: LaneName;
  readonly route: string;
  readonly state: DeliveryStateName;
  /** A later receipt contradicted the first final state. */
  readonly conflict: boolean;
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs;
  /** Time of the final state; null while there is none. */
  readonly finalAt: EpochMs | null;
}

export interface DeliveryPage {
  /** At most `limit`, newest first. */
  readonly deliveries: readonly DeliverySummary[];
  /** Key to go on from; null on the last page. */
  readonly next: DeliveryKey | null;
}

/** A fact of one delivery, in the order of `at`. Members that don't apply to the kind are left out. */
export interface TimelineEvent {
  readonly at: EpochMs;
  readonly kind: 'created' | 'claimed' | 'released' | 'submission' | 'receipt' | 'final';
  readonly bind?: string;
  readonly attempt?: number;
  /** 1-based; `segments` says of how many. */
  readonly segment?: number;
  readonly segments?: number;
  /** Submission: how it ended. */
  readonly outcome?: 'accepted' | 'refused' | 'refused-for-now' | 'unanswered';
  /** SMPP command_status, as a number. */
  readonly status?: number;
  readonly messageId?: string;
  readonly possibleDuplicate?: boolean;
  readonly answeredAt?: EpochMs;
  /** Receipt: the SMPP message_state's name; final: the state. */
  readonly state?: string;
  /** Receipt: the carrier's error code. */
  readonly error?: string;
  /** Receipt: the carrier sent it again. */
  readonly duplicate?: boolean;
  /** Release or final: why. */
  readonly cause?: string;
  /** The chain entry that covers this fact. */
  readonly entry: number;
}

export interface DeliveryDetail extends DeliverySummary {
  readonly attempts: number;
  readonly timeline: readonly TimelineEvent[];
}

export interface DeliveryQueries {
  search(search: DeliverySearch): Promise<DeliveryPage>;
  /** Null when the organisation has no such delivery. */
  get(organisation: number, key: DeliveryKey): Promise<DeliveryDetail | null>;
}
