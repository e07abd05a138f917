/** How far the fan-out of an alert has come: one fact per page, written with the page's deliveries. */
import { defineFactTable } from '../audit/index.ts';
import type { EpochMs } from '../platform/index.ts';

export interface FanoutPageRow {
  day: string;
  alert: string;
  /** From 0. */
  page: number;
  /** 0 for the recipients that were named one by one. */
  list: number;
  /** The last recipient of the page. */
  afterRecipient: number;
  /** Deliveries that the page added. */
  deliveries: number;
  /** The fan-out of the alert is done. */
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
  partitioned: true,
  key: ['day', 'alert', 'page'],
});
