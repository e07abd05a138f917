/** Requests that came in and wait for our response. */
import { pduOf } from './pdus/codec.ts';
import type { Pdu, PduCommand, PduOf } from './pdus/table.ts';
import type { IncomingCommand, PduFields, RequestCommand } from './requests.ts';

/** The connection that a request came in on. */
export interface Responder {
  readonly closed: boolean;
  respondTo(sequence: number, status: number, messageId: string | null): void;
  respondToData(sequence: number, status: number, messageId: string | null): void;
  /** @throws FieldError when a field can't be carried. */
  respondToRequest(response: Pdu): void;
}

/** A received request that waits for our response. Its Buffers are views: copy them to keep them. */
export class Incoming<P> {
  readonly sequence: number;
  /** `performance.now()` of its arrival. */
  readonly receivedAt: number;
  protected link: Responder | null;
  private held: P | null;

  constructor(link: Responder | null, pdu: P, sequence: number, receivedAt: number) {
    this.link = link;
    this.held = pdu;
    this.sequence = sequence;
    this.receivedAt = receivedAt;
  }

  /** @throws TypeError after `release`. */
  get pdu(): P {
    if (this.held === null) throw new TypeError('the PDU was released');
    return this.held;
  }

  /**
   * Lets go of the PDU, and of the memory of the read that it came with, for one who has what he needs of it and responds
   * later: thousands may wait.
   */
  release(): void {
    this.held = null;
  }

  /** Whether it was responded to, by us or by the receiver timeout, or its link has closed. */
  get settled(): boolean {
    return this.link === null || this.link.closed;
  }

  /**
   * @param messageId of a submit_sm_resp or data_sm_resp; not used on a deliver_sm.
   * @returns false when it was settled before: then the peer knows nothing of this call and may send the PDU again.
   */
  respond(status: number, messageId: string | null = null): boolean {
    const link = this.link;
    if (link === null) return false;
    this.link = null;
    if (link.closed) return false;
    this.answer(link, status, messageId);
    return true;
  }

  protected answer(link: Responder, status: number, messageId: string | null): void {
    link.respondTo(this.sequence, status, messageId);
  }
}

/** A data_sm, in the shape of the message that it carries. */
export class IncomingData<P> extends Incoming<P> {
  protected override answer(link: Responder, status: number, messageId: string | null): void {
    link.respondToData(this.sequence, status, messageId);
  }
}

/**
 * A request of any other kind; `command` tells them apart. One that has no response by the standard, alert_notification,
 * comes settled.
 */
export type IncomingRequest = { [C in IncomingCommand]: IncomingRequestOf<C> }[IncomingCommand];

export class IncomingRequestOf<C extends IncomingCommand> extends Incoming<PduOf<C>> {
  readonly command: C;

  constructor(link: Responder | null, pdu: PduOf<C>, receivedAt: number) {
    super(link, pdu, pdu.sequence, receivedAt);
    this.command = pdu.command as C;
  }

  /**
   * The response with a body.
   * @returns false when it was settled before.
   * @throws FieldError when a field can't be carried; the request still waits then.
   */
  respondWith(fields: C extends RequestCommand ? PduFields<`${C}_resp`> : never): boolean {
    const link = this.link;
    if (link === null || link.closed) return false;
    link.respondToRequest(this.response(0, fields));
    this.link = null;
    return true;
  }

  protected override answer(link: Responder, status: number): void {
    link.respondToRequest(this.response(status, {}));
  }

  private response(status: number, fields: object): Pdu {
    // Only asked of what has a link, and with it a response.
    return pduOf<PduCommand>(`${this.command}_resp` as PduCommand, { ...fields, status, sequence: this.sequence });
  }
}
