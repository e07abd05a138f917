/** What is known of carriers' receipts, for Prometheus: read when it asks. */
import type { Metrics, Sample } from '../platform/index.ts';
import type { ReceiptDeskStats } from './receipt-desk.ts';

interface Metered {
  readonly name: string;
  readonly receiptStats: ReceiptDeskStats;
}

export function meterReceipts({ counter, gauge }: Metrics, binds: readonly Metered[]): void {
  const each = (read: (stats: ReceiptDeskStats) => Iterable<Sample>) => (): Sample[] =>
    binds.flatMap(({ name, receiptStats }) =>
      Array.from(read(receiptStats), ([labels, value]): Sample => [{ bind: name, ...labels }, value]),
    );
  gauge(
    'tocsin_receipts_form',
    'One for the form in which the receipts of the bind write ids, once it is known',
    each(({ ids }) => (ids.form === null ? [] : [[{ form: ids.form }, 1]])),
  );
  gauge(
    'tocsin_receipts_per_message',
    'One for the segments of a long text that get a receipt, once that is known',
    each(({ perMessage }) => (perMessage === null ? [] : [[{ mode: perMessage }, 1]])),
  );
  gauge(
    'tocsin_receipts_long_texts_waiting',
    'Texts of several segments of which some receipts have come and others not',
    each(({ partial }) => [[{}, partial.waiting]]),
  );
  counter(
    'tocsin_receipts_matched_total',
    'Receipts whose message was found, by the form of the id',
    each(({ ids }) => Object.entries(ids.matched).map(([form, count]): Sample => [{ form }, count])),
  );
  counter(
    'tocsin_receipts_ambiguous_total',
    'Receipts that could mean two messages, and were matched to neither',
    each(({ ids }) => [[{}, ids.ambiguous]]),
  );
  counter(
    'tocsin_receipts_partly_confirmed_total',
    'Texts of several segments that ended delivered without every receipt',
    each(({ partial }) => [[{}, partial.ended]]),
  );
}
