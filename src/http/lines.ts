/** Bytes to lines: numbered from 1, each within a limit; a longer one is passed over without being held. */

export interface Line {
  readonly number: number;
  /** Null when it was longer than the limit. */
  readonly bytes: Buffer | null;
}

const LF = 10;
const CR = 13;

export class Lines {
  readonly #bytesMax: number;
  #number = 1;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #tooLong = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The number of the line that begins or goes on with the next byte. */
  get next(): number {
    return this.#number;
  }

  /** The lines that end in this piece, without their ends (LF or CR LF). */
  *push(piece: Buffer): Generator<Line, void> {
    let from = 0;
    for (let at = piece.indexOf(LF); at >= 0; at = piece.indexOf(LF, from)) {
      this.#hold(piece.subarray(from, at));
      yield this.#take();
      from = at + 1;
    }
    this.#hold(piece.subarray(from));
  }

  /** The last line, when nothing ends it; null when there is none. */
  end(): Line | null {
    return this.#heldBytes === 0 && !this.#tooLong ? null : this.#take();
  }

  #hold(part: Buffer): void {
    if (part.length === 0 || this.#tooLong) return;
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#bytesMax) {
      this.#tooLong = true;
      this.#held = [];
    } else {
      this.#held.push(part);
    }
  }

  #take(): Line {
    const parts = this.#held;
    let bytes = this.#tooLong ? null : parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    if (bytes !== null && bytes.at(-1) === CR) bytes = bytes.subarray(0, -1);
    this.#held = [];
    this.#heldBytes = 0;
    this.#tooLong = false;
    return { number: this.#number++, bytes };
  }
}
