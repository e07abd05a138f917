import { chance } from './chance.ts';

/** Slots that a map begins with; a power of two, as all its sizes are. */
const FIRST_SLOTS = 16;
const NONE = -1;
/** Differs from process to process, so that nobody can prepare texts that all fall into one bucket. */
const SEED = (chance() * 0x1_0000_0000) | 0;

/**
 * A map for what comes and goes: entries that live for a fraction of a second, by the thousand. The oldest comes first.
 *
 * V8's Map and Set are made anew whenever deletions have filled them, and what they were made from keeps a pointer to what
 * follows. Once one of these reaches the old generation, each further one is kept alive until that generation is collected,
 * and with it every entry that it held, and all that those hold: nothing that was ever in flight dies young. Here a deleted
 * entry's place is used again, and nothing is made anew but to grow (docs/decisions/0020).
 *
 * Keys are compared with `===`. It doesn't shrink.
 */
export class ChurnMap<K extends number | string, V> {
  #size = 0;
  readonly #keys: (K | undefined)[] = [];
  readonly #values: (V | undefined)[] = [];
  /** The first slot of each bucket. */
  #buckets = new Int32Array(FIRST_SLOTS).fill(NONE);
  /** Of a slot in use the next of its bucket, of a free one the next that is free. */
  #next = new Int32Array(FIRST_SLOTS);
  #older = new Int32Array(FIRST_SLOTS);
  #newer = new Int32Array(FIRST_SLOTS);
  #oldest = NONE;
  #newest = NONE;
  #free = NONE;
  /** Slots that were ever used. */
  #used = 0;

  get size(): number {
    return this.#size;
  }

  has(key: K): boolean {
    return this.#find(key) !== NONE;
  }

  get(key: K): V | undefined {
    const slot = this.#find(key);
    return slot === NONE ? undefined : this.#values[slot];
  }

  /** A key that is there already keeps its place in the order. */
  set(key: K, value: V): void {
    const found = this.#find(key);
    if (found !== NONE) {
      this.#values[found] = value;
      return;
    }
    const slot = this.#take();
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#file(key, slot);
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
    this.#size++;
  }

  /** @returns whether it was there. */
  delete(key: K): boolean {
    const bucket = this.#bucketOf(key);
    let before = NONE;
    let slot = this.#buckets[bucket] as number;
    while (slot !== NONE && this.#keys[slot] !== key) {
      before = slot;
      slot = this.#next[slot] as number;
    }
    if (slot === NONE) return false;
    const after = this.#next[slot] as number;
    if (before === NONE) this.#buckets[bucket] = after;
    else this.#next[before] = after;
    this.#unlink(slot);
    this.#keys[slot] = undefined;
    this.#values[slot] = undefined;
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#size--;
    return true;
  }

  /** The key that has been there longest, and its value. */
  get oldest(): [K, V] | undefined {
    const slot = this.#oldest;
    return slot === NONE ? undefined : [this.#keys[slot] as K, this.#values[slot] as V];
  }

  /** All that are there now, the oldest first. */
  values(): V[] {
    const values: V[] = [];
    for (let slot = this.#oldest; slot !== NONE; slot = this.#newer[slot] as number)
      values.push(this.#values[slot] as V);
    return values;
  }

  clear(): void {
    this.#keys.length = 0;
    this.#values.length = 0;
    this.#buckets.fill(NONE);
    this.#oldest = NONE;
    this.#newest = NONE;
    this.#free = NONE;
    this.#used = 0;
    this.#size = 0;
  }

  #bucketOf(key: K): number {
    return (typeof key === 'number' ? mixed(key) : hashed(key)) & (this.#buckets.length - 1);
  }

  #find(key: K): number {
    let slot = this.#buckets[this.#bucketOf(key)] as number;
    while (slot !== NONE && this.#keys[slot] !== key) slot = this.#next[slot] as number;
    return slot;
  }

  #file(key: K, slot: number): void {
    const bucket = this.#bucketOf(key);
    this.#next[slot] = this.#buckets[bucket] as number;
    this.#buckets[bucket] = slot;
  }

  /** A slot that is free. */
  #take(): number {
    const free = this.#free;
    if (free !== NONE) {
      this.#free = this.#next[free] as number;
      return free;
    }
    if (this.#used === this.#buckets.length) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    const slots = this.#used * 2;
    this.#older = wider(this.#older, slots);
    this.#newer = wider(this.#newer, slots);
    this.#next = new Int32Array(slots);
    this.#buckets = new Int32Array(slots).fill(NONE);
    for (let slot = 0; slot < this.#used; slot++) this.#file(this.#keys[slot] as K, slot);
  }

  #unlink(slot: number): void {
    const older = this.#older[slot] as number;
    const newer = this.#newer[slot] as number;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
  }
}

function wider(from: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

/** Numbers here are ids, which follow one another: their last bits are as good as any. */
const mixed = (key: number): number => key ^ (key / 0x1_0000_0000);

/** FNV-1a, from a beginning of this process's own. */
function hashed(key: string): number {
  let hash = SEED;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
