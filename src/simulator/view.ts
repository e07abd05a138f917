/**
 * What a handset would show: the parts of a concatenated message put together by their user data header and decoded.
 * For people who watch; the log is what records are compared with.
 */
import { decodeText, findTlv, readPart, Status, type SubmitSm, Tag } from '../smpp/index.ts';

export interface ArrivedMessage {
  /** When its last missing part arrived, epoch milliseconds. */
  time: number;
  account: string;
  from: string;
  to: string;
  text: string;
  /** How many submit_sm carried it. */
  segments: number;
  priorityFlag: number;
  /** Of the part that arrived last. */
  messageId: string;
}

interface Incomplete {
  parts: (Buffer | undefined)[];
  missing: number;
}

/** Messages with parts missing; beyond that the oldest is forgotten. */
const incompleteMax = 10_000;

export class MessageView {
  readonly #onMessage: (message: ArrivedMessage) => void;
  readonly #incomplete = new Map<string, Incomplete>();

  constructor(onMessage: (message: ArrivedMessage) => void) {
    this.#onMessage = onMessage;
  }

  /** Takes one submit_sm; calls back when it completes a message. Only accepted ones arrive at a handset. */
  take(account: string, pdu: SubmitSm, messageId: string | null, status: number | null, time: number): void {
    if (messageId === null || (status ?? Status.ok) !== Status.ok) return;
    const octets = findTlv(pdu.tlvs, Tag.messagePayload) ?? pdu.shortMessage;
    const userData = readPart({ ...pdu, shortMessage: octets });
    const { concatenation } = userData;
    const whole =
      concatenation === null
        ? userData.octets
        : this.#join(`${account} ${pdu.sourceAddr} ${pdu.destAddr}`, concatenation, userData.octets);
    if (whole === null) return;
    this.#onMessage({
      time,
      account,
      from: pdu.sourceAddr,
      to: pdu.destAddr,
      // Decoded as a whole: a part may end in the middle of a character.
      text: decodeText(whole, pdu.dataCoding, { locking: userData.locking, single: userData.single }),
      segments: concatenation?.total ?? 1,
      priorityFlag: pdu.priorityFlag,
      messageId,
    });
  }

  #join(
    pair: string,
    { reference, total, number }: { reference: number; total: number; number: number },
    octets: Buffer,
  ): Buffer | null {
    const key = `${pair} ${reference} ${total}`;
    let message = this.#incomplete.get(key);
    if (message === undefined) {
      message = { parts: new Array<Buffer | undefined>(total), missing: total };
      this.#incomplete.set(key, message);
      this.#forgetOldest();
    }
    if (message.parts[number - 1] === undefined) message.missing -= 1;
    // A copy: the octets are a view of the bytes that were read.
    message.parts[number - 1] = Buffer.from(octets);
    if (message.missing > 0) return null;
    this.#incomplete.delete(key);
    return Buffer.concat(message.parts as Buffer[]);
  }

  #forgetOldest(): void {
    if (this.#incomplete.size <= incompleteMax) return;
    for (const oldest of this.#incomplete.keys()) {
      this.#incomplete.delete(oldest);
      return;
    }
  }
}
