/**
 * Texts that this process has just sealed, until dispatch asks for them: mostly within a second, and then it need not read
 * and open what was clear here a moment ago.
 *
 * Never a secret one: that is in clear as shortly as can be, and gone when its key is. A text is given once, and not after
 * `FRESH_MS`, so that one which was deleted or whose key was destroyed meanwhile is not sent from here.
 */
import type { EpochMs } from '../platform/index.ts';

/** Texts kept; the oldest go first. Some 5 MB at most of short ones, of long ones (10,000 characters) fewer are kept. */
export const FRESH_TEXTS_MAX = 10_000;
/** UTF-16 units of all of them. */
export const FRESH_UNITS_MAX = 4_000_000;
export const FRESH_MS = 5_000;

interface Fresh {
  readonly text: string;
  /** Monotonic. */
  readonly since: EpochMs;
}

export class FreshTexts {
  readonly #monotonic: () => EpochMs;
  /** By body; the oldest first. */
  readonly #kept = new Map<number, Fresh>();
  #units = 0;

  constructor(clock: { monotonic(): EpochMs }) {
    this.#monotonic = () => clock.monotonic();
  }

  /** Call it after the commit, and not for a secret text. */
  add(body: number, text: string): void {
    this.#forget(body);
    const now = this.#monotonic();
    this.#kept.set(body, { text, since: now });
    this.#units += text.length;
    for (const [oldest, { since }] of this.#kept) {
      const full = this.#kept.size > FRESH_TEXTS_MAX || this.#units > FRESH_UNITS_MAX;
      if (!full && now - since <= FRESH_MS) break;
      this.#forget(oldest);
    }
  }

  /** The text, which is forgotten. */
  take(body: number): string | undefined {
    const found = this.#forget(body);
    return found === undefined || this.#monotonic() - found.since > FRESH_MS ? undefined : found.text;
  }

  get size(): number {
    return this.#kept.size;
  }

  #forget(body: number): Fresh | undefined {
    const found = this.#kept.get(body);
    if (found === undefined) return undefined;
    this.#kept.delete(body);
    this.#units -= found.text.length;
    return found;
  }
}
