import type { EpochMs } from '../platform/index.ts';
import { defineFactTable } from './facts.ts';

/** One chain: who opened it, and when. Covered by the chain's own entry of sequence 0. */
export interface ChainWriterRow {
  id: number;
  process: number;
  room: string;
  openedAt: EpochMs;
}

export const chainWriter = defineFactTable<ChainWriterRow>({
  table: 'chain_writer',
  columns: { id: 'int', process: 'int', room: 'text', openedAt: 'int' },
  key: ['id'],
});
