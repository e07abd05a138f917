/**
 * What the HTTP room needs from the others. Each route is: who may, parse, one call below, shape the answer. The shapes
 * belong to the rooms; this is only how they are handed to `createApp`.
 */
import type { Principal } from '../access/index.ts';
import type { AlertService, Load } from '../alerts/index.ts';
import type { ListService, RecipientService } from '../audience/index.ts';
import type { DispatchStatus, PauseService } from '../dispatch/index.ts';
import type { DeliveryEvent, DeliverySearchQuery, DeliveryView } from '../records/index.ts';

export interface Services {
  readonly keys: {
    /** The principal of a Bearer token; null when it is malformed, unknown or revoked. */
    authenticate(token: string): Promise<Principal | null> | Principal | null;
  };
  /** How much there is to do just now: asked before the body of each alert is read. */
  pressure(): Load;
  readonly alerts: AlertService;
  readonly deliveries: DeliveryService;
  readonly lists: ListService;
  readonly recipients: RecipientService;
  /** What dispatch of this process is doing right now. */
  dispatchStatus(): DispatchStatus;
  readonly pauses: PauseService;
  /** Can this process accept durably, right now? An answer that takes over 2 s counts as no. */
  readiness(): Promise<Readiness>;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** `ready` is false only when this process can't commit an alert; binds that are down are named and don't change it. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly bindsDown: readonly string[];
}

/** The key of a delivery; its public id is `YYYYMMDD-<id>`. */
export interface DeliveryKey {
  /** YYYY-MM-DD */
  readonly day: string;
  readonly id: number;
}

export interface DeliveryPage {
  /** At most `limit`, newest first: (day, id) descending. */
  readonly deliveries: readonly DeliveryView[];
  /** Key to go on from; null on the last page. */
  readonly next: DeliveryKey | null;
}

export interface DeliveryDetail extends DeliveryView {
  readonly attempts: number;
  /** In the order of `at`. */
  readonly timeline: readonly DeliveryEvent[];
}

export interface DeliveryService {
  search(search: DeliverySearchQuery): Promise<DeliveryPage>;
  /** Null when the organisation has no such delivery. */
  get(organisation: number, key: DeliveryKey): Promise<DeliveryDetail | null>;
}
