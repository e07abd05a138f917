/** What intake needs of the audience: numbers to recipients, new ones made in intake's own transaction. */
import type { Part } from '../audit/index.ts';
import type { Tx } from '../platform/index.ts';

/** Keys of the maps are `organisation/msisdn`. */
export interface RecipientBook {
  resolveIn(
    tx: Tx,
    entry: number,
    wanted: readonly { organisation: number; msisdn: string }[],
  ): Promise<{ ids: Map<string, number>; parts: Part[] }>;
  /** The transaction has committed: these may be kept in memory. */
  remember(ids: ReadonlyMap<string, number>): void;
}
