/** The shapes that dispatch's parts hand to each other. */
import type { EpochMs } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import type { Tlv } from '../smpp/index.ts';
import type { Held } from './pauses.ts';

/** A chunk that this bind has in memory. Only its holder claims from it. */
export interface HeldChunk {
  id: number;
  day: string;
  /** Null when its deliveries are of several. */
  alert: string | null;
  lane: LaneName;
  route: string;
  queue: string;
  job: { id: string; retryCount: number };
  attempt: number;
  possibleDuplicate: boolean;
  /** How often its deliveries had been given back in this attempt before it was made. */
  returns: number;
  /** Of its job: place.ts. */
  priority: number;
  /** Number of positions. */
  size: number;
  /** Positions below this are claimed. */
  claimedTo: number;
  /** Not yet claimed, by position. Positions without an item need nothing any more. */
  waiting: Item[];
  /** Claimed items whose outcome is not yet journaled. */
  open: number;
  /** What is not claimed of it is given back, because of a pause, when what is claimed has come to its end. */
  leaving: Held | null;
  /** Its completion (or its return) is in the journal. */
  done: boolean;
}

/** One delivery on its way to the wire: one attempt. */
export interface Item {
  chunk: HeldChunk;
  position: number;
  id: number;
  alert: string;
  /** The alert has more than one recipient, so its progress is counted. */
  counted: boolean;
  msisdn: string;
  sender: string | null;
  /** The number of the route that it had when it was made. */
  firstRoute: number;
  /** Some of it may be with a carrier, from this attempt or one before. */
  taken: boolean;
  /** It counted as submitted before: a carrier took it, and then had no way to its number. */
  submittedBefore: boolean;
  /** The route that it goes on by: the carrier has no way to its number. */
  onwards: string | null;
  body: number;
  secret: boolean;
  /** Its producer was told that carriers replace characters of its texts; of others every character goes as written. */
  reworded: boolean;
  /** The alert's, whichever attempt this is: a chunk of retries has a time of its own. */
  notBefore: EpochMs | null;
  expiresAt: EpochMs;
  /** Segments of the text, set when it is first encoded. */
  parts: readonly Buffer[];
  /** TLVs that a segment needs beside it; empty when none has any. */
  partTlvs: readonly (readonly Tlv[])[];
  dataCoding: number;
  esmClass: number;
  /** 1-based segments still to be sent in this attempt, in order. */
  toSend: number[];
  /** Sent and not yet answered. */
  inFlight: number;
  /** The worst outcome of this attempt's segments so far. */
  worst: 0 | 1 | 2 | 3 | 4;
  worstStatus: number | null;
  /** The carrier refused the account as a whole, so this goes back unspent. */
  returned: { segment: number; status: number } | null;
  /** It is paused while part of it is on the wire: the rest goes back when that has come to its end. */
  heldBack: boolean;
  /** What the alert gave for the carriers' optional parameters, by name. */
  tlvs: Readonly<Record<string, string>> | null;
}

/** A delivery of an alert to one number, as it was written: what would be read of it before it is sent. */
export interface FreshDelivery {
  readonly id: number;
  readonly alert: string;
  readonly body: number;
  /** The number of its route. */
  readonly route: number;
  readonly expiresAt: EpochMs;
  readonly msisdn: string;
  readonly sender: string | null;
  readonly secret: boolean;
  readonly reworded: boolean;
  readonly tlvs: Readonly<Record<string, string>> | null;
}

export interface DispatchLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What dispatch does in the journal's transaction beside the facts. */
export type DispatchExtra =
  | {
      kind: 'retry';
      day: string;
      lane: LaneName;
      route: string;
      /** Of emergency. */
      rank: number;
      delivery: number;
      alert: string;
      attempt: number;
      /** How often it has been given back in this attempt. */
      returns: number;
      possibleDuplicate: boolean;
      due: EpochMs;
      expiresAt: EpochMs;
      /** An id for the chunk, in case this delivery is the first of one. */
      chunkId: number;
      /** Its alert is paused: the chunk gets no job. */
      parked?: boolean;
    }
  | {
      kind: 'return';
      chunk: number;
      job: string;
      lane: LaneName;
      route: string;
      as: Held;
    }
  | {
      kind: 'split';
      chunk: number;
      job: string;
      day: string;
      lane: LaneName;
      route: string;
      attempt: number;
      possibleDuplicate: boolean;
      /** By alert: each gets a chunk of this id. */
      parked: { chunkId: number; alert: string; deliveries: number[]; expiresMin: EpochMs; expiresMax: EpochMs }[];
    }
  | { kind: 'settle'; chunk: number; queue: string; job: { id: string; retryCount: number } };
