import { ChurnMap } from './churn-map.ts';

/** A map of at most `max` entries: the one that was set longest ago goes first. */
export class BoundedMap<K extends number | string, V> {
  readonly #map = new ChurnMap<K, V>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  /** It is the newest from now on. */
  set(key: K, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > this.#max) this.dropOldest();
  }

  delete(key: K): boolean {
    return this.#map.delete(key);
  }

  /** @returns false when there was none. */
  dropOldest(): boolean {
    const { oldest } = this.#map;
    return oldest !== undefined && this.#map.delete(oldest[0]);
  }

  clear(): void {
    this.#map.clear();
  }
}
