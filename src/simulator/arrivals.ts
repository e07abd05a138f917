/** What an account and its parts see of a session, and of a message that came in on it. */
import type { ReceiptSession } from './receipts.ts';

export interface AccountSession extends ReceiptSession {
  readonly number: number;
  /** Bound as transceiver or receiver. */
  readonly receives: boolean;
  /** Queues a PDU for the next write. */
  write(pdu: Buffer): void;
  /** Queues the answer to what is being read; it leaves at `dueUs`. */
  writeLater(pdu: Buffer, dueUs: number): void;
  /** Ends the connection as a failing network does. */
  cut(): void;
  /** Ends the connection in order, after what is queued. */
  hangUp(): void;
  /** Asks the peer to go. */
  unbind(): void;
}

/** A request that arrived, and when. */
export interface Arrival {
  session: AccountSession;
  sequence: number;
  nowMs: number;
  nowUs: number;
}
