import { randomBytes } from 'node:crypto';

const buckets = 2 ** 16;

/**
 * Has every part been seen exactly once? In 256 KiB, however many parts there are.
 *
 * Each part is added once (the chain holds it) and taken away once (its facts agree). A part's weight goes to one of
 * 65,536 buckets; a bucket that doesn't end at 0 holds a part that was not matched. The weights are keyed by a random
 * seed, so that nobody can choose facts whose weights cancel out.
 */
export class Tally {
  readonly #sums = new Uint32Array(buckets);
  readonly #suspects = new Uint8Array(buckets);
  readonly #seed = randomBytes(8).readUInt32LE(0);

  add(entry: number, scope: string): void {
    const weight = this.#weight(entry, scope);
    const bucket = this.#bucket(entry);
    this.#sums[bucket] = this.#sums[bucket]! + weight;
  }

  takeAway(entry: number, scope: string): void {
    const weight = this.#weight(entry, scope);
    const bucket = this.#bucket(entry);
    this.#sums[bucket] = this.#sums[bucket]! - weight;
  }

  /** Makes all parts of this entry suspect, whatever the sums say. */
  suspect(entry: number): void {
    this.#suspects[this.#bucket(entry)] = 1;
  }

  /** True when a part of this entry may not have been matched. Never false for one that was not, but for 1 chance in 2^32. */
  isSuspect(entry: number): boolean {
    const bucket = this.#bucket(entry);
    return this.#suspects[bucket] !== 0 || this.#sums[bucket] !== 0;
  }

  get hasSuspects(): boolean {
    return this.#sums.some((sum) => sum !== 0) || this.#suspects.some((flag) => flag !== 0);
  }

  #bucket(entry: number): number {
    return mix(mix(this.#seed, entry % 2 ** 32), Math.floor(entry / 2 ** 32)) & (buckets - 1);
  }

  #weight(entry: number, scope: string): number {
    let weight = mix(mix(~this.#seed, Math.floor(entry / 2 ** 32)), entry % 2 ** 32);
    for (let i = 0; i < scope.length; i++) weight = mix(weight, scope.charCodeAt(i));
    return weight;
  }
}

/** One step of MurmurHash3 with its finish: every bit of `value` moves about half the bits of the result. */
function mix(state: number, value: number): number {
  let x = Math.imul(state ^ Math.imul(value, 0xcc9e2d51), 0x1b873593) + 0xe6546b64;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
