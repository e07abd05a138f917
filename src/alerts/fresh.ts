/**
 * What this process has just written, until dispatch asks for it: mostly within a second, and then it need not read (and,
 * of a text, open) what was at hand here a moment ago.
 *
 * Never a secret text: that is in clear as shortly as can be, and gone when its key is. Each is given once, and not after
 * `FRESH_MS`: what was deleted or whose key was destroyed longer ago is not sent from here.
 */
import type { FreshDelivery } from '../dispatch/index.ts';
import { ChurnMap, type EpochMs } from '../platform/index.ts';

/** Kept at most; the oldest go first. Of texts some 5 MB, of long ones (10,000 characters) fewer are kept. */
export const FRESH_MAX = 10_000;
/** Units of all of them: see {@link Fresh}. */
export const FRESH_UNITS_MAX = 4_000_000;
export const FRESH_MS = 5_000;

/** About what a delivery takes in memory, octets, without what its alert gave for carriers' optional parameters. */
const DELIVERY_UNITS = 200;

interface Kept<V> {
  readonly value: V;
  readonly units: number;
  /** Monotonic. */
  readonly since: EpochMs;
}

/** Values by id. */
export class Fresh<V> {
  readonly #monotonic: () => EpochMs;
  readonly #unitsOf: (value: V) => number;
  readonly #kept = new ChurnMap<number, Kept<V>>();
  #units = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param unitsOf how large a value is, in units of memory (octets, UTF-16 units). */
  constructor(clock: { monotonic(): EpochMs }, unitsOf: (value: V) => number) {
    this.#monotonic = () => clock.monotonic();
    this.#unitsOf = unitsOf;
  }

  /** Call it after the commit, and not for a secret text. */
  add(id: number, value: V): void {
    this.#forget(id);
    const now = this.#monotonic();
    const units = this.#unitsOf(value);
    this.#kept.set(id, { value, units, since: now });
    this.#units += units;
    this.#forgetOld(now);
    this.#timer ??= this.#later();
  }

  /** The value, which is forgotten. */
  take(id: number): V | undefined {
    const found = this.#forget(id);
    return found === undefined || this.#monotonic() - found.since > FRESH_MS ? undefined : found.value;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Nobody may come to ask. */
  #later(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#forgetOld(this.#monotonic());
      this.#timer = this.#kept.size === 0 ? undefined : this.#later();
    }, FRESH_MS).unref();
  }

  #forgetOld(now: EpochMs): void {
    for (let { oldest } = this.#kept; oldest !== undefined; oldest = this.#kept.oldest) {
      const [id, { since }] = oldest;
      const full = this.#kept.size > FRESH_MAX || this.#units > FRESH_UNITS_MAX;
      if (!full && now - since <= FRESH_MS) break;
      this.#forget(id);
    }
  }

  #forget(id: number): Kept<V> | undefined {
    const found = this.#kept.get(id);
    if (found === undefined) return undefined;
    this.#kept.delete(id);
    this.#units -= found.units;
    return found;
  }
}

/** What dispatch asks for of an alert to one number. */
export class FreshWork {
  /** By body. */
  readonly texts: Fresh<string>;
  /** By chunk. */
  readonly deliveries: Fresh<readonly FreshDelivery[]>;

  constructor(clock: { monotonic(): EpochMs }) {
    this.texts = new Fresh(clock, (text) => text.length);
    this.deliveries = new Fresh(clock, (all) => all.reduce((sum, { tlvs }) => sum + DELIVERY_UNITS + unitsOf(tlvs), 0));
  }
}

function unitsOf(tlvs: FreshDelivery['tlvs']): number {
  let units = 0;
  for (const name in tlvs) units += name.length + (tlvs[name] as string).length;
  return units;
}
