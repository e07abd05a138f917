import type { HeldChunk, Item } from './types.ts';

/** What is known of a delivery before its attempt begins. */
export type Unsent = Pick<
  Item,
  | 'id'
  | 'alert'
  | 'counted'
  | 'msisdn'
  | 'sender'
  | 'firstRoute'
  | 'taken'
  | 'submittedBefore'
  | 'body'
  | 'secret'
  | 'reworded'
  | 'notBefore'
  | 'expiresAt'
  | 'toSend'
  | 'tlvs'
>;

const NOTHING: readonly never[] = [];

/**
 * An item whose attempt has not begun; `parts` and the like are set when it is encoded. Written out field by field: made
 * by spreading it takes three times the memory, and there are as many as deliveries.
 */
export function newItem(chunk: HeldChunk, position: number, unsent: Unsent): Item {
  return {
    chunk,
    position,
    id: unsent.id,
    alert: unsent.alert,
    counted: unsent.counted,
    msisdn: unsent.msisdn,
    sender: unsent.sender,
    firstRoute: unsent.firstRoute,
    taken: unsent.taken,
    submittedBefore: unsent.submittedBefore,
    onwards: null,
    body: unsent.body,
    secret: unsent.secret,
    reworded: unsent.reworded,
    notBefore: unsent.notBefore,
    expiresAt: unsent.expiresAt,
    parts: NOTHING,
    partTlvs: NOTHING,
    dataCoding: 0,
    esmClass: 0,
    toSend: unsent.toSend,
    inFlight: 0,
    worst: 0,
    worstStatus: null,
    returned: null,
    heldBack: false,
    tlvs: unsent.tlvs,
  };
}
