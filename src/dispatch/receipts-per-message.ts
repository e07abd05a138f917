/**
 * Which segments of a long text a carrier sends receipts for (jasmin #1123, ksmppd #59): each, or one for the whole text,
 * named by its first or its last segment. By policy, or learned from how texts of several segments ended:
 *
 * | what came within the bound        | speaks for | and against      |
 * |-----------------------------------|------------|------------------|
 * | a receipt for every segment       | `all`      | `first`, `last`  |
 * | one receipt, for the first segment| `first`    | `all`, `last`    |
 * | one receipt, for the last segment | `last`     | `all`, `first`   |
 * | anything else                     | –          | –                |
 *
 * While nothing is learned every segment is waited for, up to the bound.
 */
import type { CarrierReceiptPolicy } from '../policy/index.ts';

export type ReceiptsMode = 'all' | 'first' | 'last';

const MODES: readonly ReceiptsMode[] = ['all', 'first', 'last'];
const SCORE_MAX = 64;
/** Long texts that must have gone one way, beyond any other, before it is relied upon. */
const LEARNED_AT = 8;
/** What a text that went another way takes: one lost receipt among many is no habit. */
const MISS = 4;

export class ReceiptsPerMessage {
  readonly #pinned: ReceiptsMode | null;
  readonly #scores: Record<ReceiptsMode, number> = { all: 0, first: 0, last: 0 };

  constructor(policy: CarrierReceiptPolicy['perMessage']) {
    this.#pinned = policy === 'learn' ? null : policy;
  }

  /** The carrier's habit, null while it is not known. */
  get mode(): ReceiptsMode | null {
    if (this.#pinned !== null) return this.#pinned;
    const [best, second] = [...MODES].sort((a, b) => this.#scores[b] - this.#scores[a]) as [ReceiptsMode, ReceiptsMode];
    return this.#scores[best] - this.#scores[second] >= LEARNED_AT ? best : null;
  }

  /** The segment whose receipt decides alone, null where each speaks for itself. */
  deciding(segments: number): number | null {
    switch (this.mode) {
      case 'first':
        return 1;
      case 'last':
        return segments;
      case 'all':
      case null:
        return null;
    }
  }

  /** A text of several segments: which of them had a receipt when all had, or when the bound was over. */
  observe(segments: number, confirmed: ReadonlySet<number>): void {
    const spoke = modeOf(segments, confirmed);
    if (spoke === null) return;
    for (const mode of MODES) {
      const score = this.#scores[mode];
      this.#scores[mode] = mode === spoke ? Math.min(SCORE_MAX, score + 1) : Math.max(0, score - MISS);
    }
  }
}

function modeOf(segments: number, confirmed: ReadonlySet<number>): ReceiptsMode | null {
  if (segments < 2) return null;
  if (confirmed.size >= segments) return 'all';
  if (confirmed.size !== 1) return null;
  if (confirmed.has(1)) return 'first';
  return confirmed.has(segments) ? 'last' : null;
}
