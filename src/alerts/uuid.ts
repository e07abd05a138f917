/**
 * UUIDv7 (RFC 9562 §5.7) with a given time, so that the time of an alert's id is when it was accepted and the day of its
 * rows follows from the id. Within a millisecond ids rise (§6.2, method 1): the 12 bits behind the version and the
 * first 14 behind the variant are a counter with a random start, the last 48 bits are random.
 */
import { randomFillSync } from 'node:crypto';
import type { EpochMs } from '../platform/index.ts';

const COUNTER_MAX = 2 ** 26 - 1;
const POOL_BYTES = 4_096;
/** What one id takes from the pool: 4 bytes for a counter's start, 6 for the tail. */
const BYTES_PER_ID = 10;

export class UuidSource {
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #used = POOL_BYTES;
  #ms = -1;
  #counter = 0;

  /** @throws RangeError for a time outside 48 bits. */
  at(ms: EpochMs): string {
    if (!Number.isInteger(ms) || ms < 0 || ms >= 2 ** 48) throw new RangeError('not a time that a UUIDv7 can hold');
    if (this.#used + BYTES_PER_ID > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    const random = this.#pool;
    const at = this.#used;
    this.#used += BYTES_PER_ID;
    // The start leaves the upper half free, so that a millisecond has room for 33 million ids.
    if (ms !== this.#ms || this.#counter >= COUNTER_MAX) {
      this.#ms = ms;
      this.#counter = random.readUInt32BE(at) >>> 7;
    } else {
      this.#counter++;
    }
    const time = hex(ms, 12);
    const high = hex(this.#counter >>> 14, 3);
    const low = hex(0x8000 | (this.#counter & 0x3fff), 4);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${low}-${random.toString('hex', at + 4, at + 10)}`;
  }
}

/** The time of a UUIDv7; null for any other text. Lower case only, as ids leave us. */
export function timeOf(id: string): EpochMs | null {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)) return null;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
