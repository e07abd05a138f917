/** The connection that a request came in on. */
export interface Responder {
  readonly closed: boolean;
  respondTo(sequence: number, status: number, messageId: string | null): void;
}

/** A received request that waits for our response. Its Buffers are views: copy them to keep them. */
export class Incoming<P> {
  readonly pdu: P;
  readonly sequence: number;
  /** `performance.now()` of its arrival. */
  readonly receivedAt: number;
  private link: Responder | null;

  constructor(link: Responder, pdu: P, sequence: number, receivedAt: number) {
    this.link = link;
    this.pdu = pdu;
    this.sequence = sequence;
    this.receivedAt = receivedAt;
  }

  /** Whether it was responded to, by us or by the receiver timeout, or its link has closed. */
  get settled(): boolean {
    return this.link === null || this.link.closed;
  }

  /**
   * @param messageId of a submit_sm_resp; not used on a deliver_sm.
   * @returns false when it was settled before: then the peer knows nothing of this call and may send the PDU again.
   */
  respond(status: number, messageId: string | null = null): boolean {
    const link = this.link;
    if (link === null) return false;
    this.link = null;
    if (link.closed) return false;
    link.respondTo(this.sequence, status, messageId);
    return true;
  }
}
