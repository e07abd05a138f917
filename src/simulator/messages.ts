/**
 * The messages that an SMSC holds or held: what query_sm, cancel_sm and replace_sm ask about, and what receipts speak of.
 * Only the last ones are remembered; a look-up walks them, newest first, as it is rare and remembering is not.
 */
import type { MessageStat } from './dialects.ts';

export interface Message {
  /** As the answer spelt it, and as receipts do. */
  readonly id: string;
  readonly receiptId: string;
  readonly serviceType: string;
  readonly sourceTon: number;
  readonly sourceNpi: number;
  readonly sourceAddr: string;
  readonly destTon: number;
  readonly destNpi: number;
  readonly destAddr: string;
  readonly submittedAtMs: number;
  /** Its fate once `finalUs` has come; ENROUTE until then. */
  stat: MessageStat;
  error: string;
  /** On the monotonic clock. */
  readonly finalUs: number;
  /** The same by the wall; when it was cancelled, if it was. */
  finalMs: number;
}

/** What a cancel_sm or replace_sm names: one message by its id, or with an empty id all of a source, destination, service. */
export interface MessageSelector {
  id: string;
  sourceAddr: string;
  /** Null where the PDU has no such field. */
  destAddr: string | null;
  serviceType: string | null;
}

export class Messages {
  readonly #kept: (Message | undefined)[];
  #next = 0;

  /** @param most how many are remembered */
  constructor(most: number) {
    this.#kept = new Array<Message | undefined>(most);
  }

  add(message: Message): void {
    if (this.#kept.length === 0) return;
    this.#kept[this.#next] = message;
    this.#next = (this.#next + 1) % this.#kept.length;
  }

  find(id: string): Message | undefined {
    for (const message of this.#newestFirst()) if (message.id === id) return message;
    return undefined;
  }

  select(selector: MessageSelector): Message[] {
    if (selector.id !== '') {
      const message = this.find(selector.id);
      return message !== undefined && message.sourceAddr === selector.sourceAddr ? [message] : [];
    }
    return [...this.#newestFirst()].filter(
      (message) =>
        message.sourceAddr === selector.sourceAddr &&
        (selector.destAddr === null || message.destAddr === selector.destAddr) &&
        (selector.serviceType === null || message.serviceType === selector.serviceType),
    );
  }

  *#newestFirst(): Generator<Message> {
    const { length } = this.#kept;
    for (let back = 1; back <= length; back += 1) {
      const message = this.#kept[(this.#next - back + length) % length];
      if (message === undefined) return;
      yield message;
    }
  }
}

export function isFinal(message: Message, nowUs: number): boolean {
  return nowUs >= message.finalUs || message.stat === 'DELETED';
}
