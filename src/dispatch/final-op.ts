import type { EpochMs } from '../platform/index.ts';
import type { FinalCode, JournalOp } from '../records/index.ts';
import type { DispatchExtra, Item } from './types.ts';

/** What the journal is told when an item comes to its end without a receipt. */
export function finalOp(item: Item, state: FinalCode, cause: string | null, at: EpochMs): JournalOp<DispatchExtra> {
  const { day } = item.chunk;
  return {
    final: { day, delivery: item.id, state, cause, at },
    day,
    alert: item.counted ? item.alert : undefined,
    secretBody: item.secret && !item.counted ? item.body : undefined,
  };
}
