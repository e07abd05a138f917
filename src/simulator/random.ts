/** Numbers that look random and are not: the same seed gives the same octets and the same jitter (xorshift32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    // A state of zero would stay zero.
    this.#state = (seed ^ 0x9e3779b9) | 0 || 1;
  }

  /** In [0, 1). */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) / 0x1_0000_0000;
  }

  octets(length: number): Buffer {
    const octets = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i += 1) octets[i] = Math.floor(this.next() * 256);
    return octets;
  }
}
