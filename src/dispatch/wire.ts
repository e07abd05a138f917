/** A bind's sessions as the rest of dispatch sees them: what it asks of them, what left through them, what they call back. */
import type { Answer, IncomingDeliver } from '../smpp/index.ts';
import type { Track } from './receipts.ts';
import type { SideSlot } from './side-limits.ts';
import type { Slot } from './throttle.ts';
import type { Item } from './types.ts';

/** What a sender needs of the bind's sessions. */
export interface Wire {
  /** PDUs that may be sent now without filling the window; emergency may use the slots kept for it. */
  freeFor(emergency: boolean): number;
  submit(pdu: Buffer, sent: Sent, emergency: boolean): boolean;
  /** Hands what was submitted to the sockets now. */
  flush(): void;
}

/** One submit_sm that left. */
export interface Sent {
  /** Who sent it, and hears how it ended, also after it lost the bind. */
  owner: { answered(sent: Sent, answer: Answer): void };
  item: Item;
  segment: number;
  at: number;
  slot: Slot;
  /** Of the limits inside the bind that it falls under. */
  sideSlots: readonly SideSlot[];
  /** What is known of the delivery's receipts, once something is. */
  track: Track | null;
}

/** The mandatory fields of a cancel_sm (SMPP 3.4 §4.9.1). */
export interface CancelFields {
  serviceType: string;
  messageId: string;
  sourceTon: number;
  sourceNpi: number;
  sourceAddr: string;
  destTon: number;
  destNpi: number;
  destAddr: string;
}

export type CancelAnswer = { kind: 'answered'; status: number } | { kind: 'unanswered' } | { kind: 'not-sent' };

/** What the bind's sessions call back. */
export interface WireHandlers {
  onAnswer(sent: Sent, answer: Answer): void;
  onIncoming(incoming: IncomingDeliver): void;
  onRoom(): void;
  onUp(): void;
  onDown(reason: string): void;
}

export interface CarrierWire extends Wire {
  /** Sessions that are bound. */
  readonly boundSessions: number;
  /** submit_sm on the wire without an answer. */
  readonly unanswered: number;
  /** Asks the SMSC to give a message up; counts in the window. Never rejects. */
  cancel(fields: CancelFields): Promise<CancelAnswer>;
  /** Begins to dial, unless it does already. */
  start(): void;
  /** Unbinds gracefully, bounded in time. It may be started again. */
  close(): Promise<void>;
}
