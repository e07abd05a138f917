/** What a carrier's receipts look like, as far as its contract or a trial has shown it; the rest is learned. */
import { z } from 'zod';
import { duration } from './fields.ts';

export interface CarrierReceiptPolicy {
  /** Which segments of a long text get a receipt; `learn` finds out from the receipts themselves. */
  readonly perMessage: 'all' | 'first' | 'last' | 'learn';
  /** Missing receipts of a long text are waited for this long; then it counts as delivered, `partly-confirmed`. */
  readonly boundMs: number;
  /** How the id of a receipt is written, compared with that of the submit_sm_resp. */
  readonly ids: 'learn' | 'exact' | 'case' | 'zeros' | 'affix' | 'decimal-of-hex' | 'hex-of-decimal' | 'signed';
  /** Takes a message as a receipt that is flagged as none but reads like one. */
  readonly byText: boolean;
  /** How far the carrier's clock is ahead of UTC in dates without a zone. */
  readonly utcOffsetMinutes: number;
}

const OFFSET_MINUTES_MAX = 14 * 60;
const OFFSET_ERROR = "expected an offset from UTC in quotes, such as '+03:00' or '-05:30'";

const utcOffset = z
  .string({ error: OFFSET_ERROR })
  .regex(/^[+-]\d\d:[0-5]\d$/, OFFSET_ERROR)
  .refine((text) => Math.abs(minutesOf(text)) <= OFFSET_MINUTES_MAX, 'must be between -14:00 and +14:00');

/** Fields of a carrier in carriers.yaml. */
export const carrierReceiptFields = {
  receiptsPerMessage: z
    .enum(['all', 'first', 'last', 'learn'])
    .default('learn')
    .describe('Which segments of a long text get a receipt.'),
  receiptsBound: duration(1_000, 7 * 86_400_000)
    .prefault('PT1H')
    .describe('How long the missing receipts of a long text are waited for; then it is delivered, partly-confirmed.'),
  receiptIds: z
    .enum(['learn', 'exact', 'case', 'zeros', 'affix', 'decimal-of-hex', 'hex-of-decimal', 'signed'])
    .default('learn')
    .describe('How a receipt writes the message_id of the submit_sm_resp.'),
  receiptsByText: z
    .boolean()
    .default(false)
    .describe('Whether a message flagged as no receipt is one when its text reads so.'),
  receiptUtcOffset: utcOffset.default('+00:00').describe("The carrier's clock in the dates of receipts."),
};

type Fields = { [K in keyof typeof carrierReceiptFields]: z.output<(typeof carrierReceiptFields)[K]> };

export function resolveCarrierReceipts(fields: Fields): CarrierReceiptPolicy {
  return {
    perMessage: fields.receiptsPerMessage,
    boundMs: fields.receiptsBound,
    ids: fields.receiptIds,
    byText: fields.receiptsByText,
    utcOffsetMinutes: minutesOf(fields.receiptUtcOffset),
  };
}

function minutesOf(offset: string): number {
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4));
  return offset.startsWith('-') ? -minutes : minutes;
}
