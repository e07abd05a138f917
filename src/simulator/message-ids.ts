/**
 * message_ids: `<start of the run, 8 characters><counter, 6 characters or more>`, base 36. Unique across restarts, because
 * no two runs of a simulator start in the same millisecond; short, because the other side indexes it.
 */
let lastStart = 0;

export class MessageIds {
  readonly #prefix: string;
  #count = 0;

  /** @param epochMs when this run started */
  constructor(epochMs: number) {
    // Two runs inside one process may well start in one millisecond.
    lastStart = Math.max(epochMs, lastStart + 1);
    this.#prefix = lastStart.toString(36).padStart(8, '0');
  }

  /** How many were given so far: the number inside the last one. */
  get count(): number {
    return this.#count;
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36).padStart(6, '0');
  }
}
