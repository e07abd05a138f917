/**
 * What a bind has sent and had no answer to, by the number it went to: in flight, or in doubt. A receipt that repeats our
 * user_message_reference is looked for here, and then settles the doubt: the message was taken, and needs no second copy.
 * In memory only; after a crash the receipts of such messages match nothing, and the lane's rule for doubt stands.
 */
import { ChurnMap } from '../platform/index.ts';
import { matchUserReference } from '../smpp/index.ts';

export interface Open {
  readonly delivery: number;
  readonly attempt: number;
  readonly segment: number;
  /** In E.164. */
  readonly msisdn: string;
}

export class Unanswered<T extends object> {
  readonly #openOf: (sent: T) => Open;
  readonly #max: number;
  /** By digits; the numbers that were first sent to come first. */
  readonly #byNumber = new ChurnMap<string, T[]>();
  #size = 0;

  /** @param max entries that are kept: beyond that the oldest numbers are forgotten. */
  constructor(openOf: (sent: T) => Open, max: number) {
    this.#openOf = openOf;
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  add(sent: T): void {
    const number = digits(this.#openOf(sent).msisdn);
    const list = this.#byNumber.get(number);
    if (list === undefined) this.#byNumber.set(number, [sent]);
    else list.push(sent);
    this.#size++;
    while (this.#size > this.#max) {
      const { oldest } = this.#byNumber;
      if (oldest === undefined) return;
      this.#byNumber.delete(oldest[0]);
      this.#size -= oldest[1].length;
    }
  }

  /** It was answered, or is settled. */
  delete(sent: T): void {
    const number = digits(this.#openOf(sent).msisdn);
    const list = this.#byNumber.get(number) ?? [];
    const index = list.indexOf(sent);
    if (index < 0) return;
    list.splice(index, 1);
    this.#size--;
    if (list.length === 0) this.#byNumber.delete(number);
  }

  /** The only one to the number of which this is the reference; null when there is none, or more than one. */
  find(msisdn: string, reference: number): T | null {
    const open = (this.#byNumber.get(digits(msisdn)) ?? []).map((sent) => ({ sent, ...this.#openOf(sent) }));
    return matchUserReference(reference, open)?.sent ?? null;
  }
}

/** Carriers write a number with or without its plus sign. */
const digits = (msisdn: string): string => msisdn.replace(/\D/g, '');
