/** What is known of carriers' receipts, for Prometheus: read when it asks. */
import { Counter, Gauge, type Metrics } from '../platform/index.ts';
import type { ReceiptDeskStats } from './receipt-desk.ts';

interface Metered {
  readonly name: string;
  readonly receiptStats: ReceiptDeskStats;
}

export function meterReceipts({ registry }: Metrics, binds: readonly Metered[]): void {
  const registers = [registry];
  new Gauge({
    name: 'tocsin_receipts_form',
    help: 'One for the form in which the receipts of the bind write ids, once it is known.',
    labelNames: ['bind', 'form'],
    registers,
    collect() {
      this.reset();
      for (const { name, receiptStats } of binds) {
        if (receiptStats.ids.form !== null) this.set({ bind: name, form: receiptStats.ids.form }, 1);
      }
    },
  });
  new Gauge({
    name: 'tocsin_receipts_per_message',
    help: 'One for the segments of a long text that get a receipt, once that is known.',
    labelNames: ['bind', 'mode'],
    registers,
    collect() {
      this.reset();
      for (const { name, receiptStats } of binds) {
        if (receiptStats.perMessage !== null) this.set({ bind: name, mode: receiptStats.perMessage }, 1);
      }
    },
  });
  new Gauge({
    name: 'tocsin_receipts_long_texts_waiting',
    help: 'Texts of several segments of which some receipts have come and others not.',
    labelNames: ['bind'],
    registers,
    collect() {
      for (const { name, receiptStats } of binds) this.set({ bind: name }, receiptStats.partial.waiting);
    },
  });
  new Counter({
    name: 'tocsin_receipts_total',
    help: 'Receipts by what they were: matched, by the form of the id, or ambiguous or unmatched when they came.',
    labelNames: ['bind', 'outcome', 'form'],
    registers,
    collect() {
      this.reset();
      for (const { name, receiptStats } of binds) {
        const { ids, unmatched } = receiptStats;
        for (const [form, count] of Object.entries(ids.matched)) {
          this.inc({ bind: name, outcome: 'matched', form }, count);
        }
        this.inc({ bind: name, outcome: 'ambiguous', form: '' }, ids.ambiguous);
        this.inc({ bind: name, outcome: 'unmatched', form: '' }, unmatched);
      }
    },
  });
  new Counter({
    name: 'tocsin_receipts_partly_confirmed_total',
    help: 'Texts of several segments that ended delivered without every receipt.',
    labelNames: ['bind'],
    registers,
    collect() {
      this.reset();
      for (const { name, receiptStats } of binds) this.inc({ bind: name }, receiptStats.partial.ended);
    },
  });
}
