import { defineFactTable } from '../audit/index.ts';
import type { EpochMs } from '../platform/index.ts';

/** How far the fan-out of an alert has come: one row with the deliveries of each page. */
export interface FanoutPageRow {
  day: string;
  alert: string;
  /** From 0. */
  page: number;
  /** 0 = recipients named one by one. */
  list: number;
  /** The last recipient of `list` that this page looked at. */
  afterRecipient: number;
  /** Deliveries that the page made; fewer than it looked at where a recipient had one already. */
  deliveries: number;
  /** No page follows. */
  last: boolean;
  at: EpochMs;
}

export const fanoutPage = defineFactTable<FanoutPageRow>({
  table: 'fanout_page',
  columns: {
    day: 'date',
    alert: 'uuid',
    page: 'int',
    list: 'int',
    afterRecipient: 'int',
    deliveries: 'int',
    last: 'bool',
    at: 'int',
  },
  key: ['day', 'alert', 'page'],
  partitioned: true,
});

export const FANOUT_TABLES = [fanoutPage];
