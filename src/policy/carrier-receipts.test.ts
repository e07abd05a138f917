/** Goal: what carriers.yaml says of receipts arrives as it is meant, and a slip is named. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { carrierReceiptFields, resolveCarrierReceipts } from './carrier-receipts.ts';

const schema = z.strictObject(carrierReceiptFields);
const read = (fields: z.input<typeof schema>) => resolveCarrierReceipts(schema.parse(fields));

describe('receipts of a carrier', () => {
  test('are learned where nothing is said', () => {
    expect(read({})).toEqual({
      perMessage: 'learn',
      boundMs: 3_600_000,
      ids: 'learn',
      byText: false,
      utcOffsetMinutes: 0,
    });
  });

  test('are as they are said to be', () => {
    expect(
      read({
        receiptsPerMessage: 'last',
        receiptsBound: 'PT10M',
        receiptIds: 'decimal-of-hex',
        receiptsByText: true,
        receiptUtcOffset: '-05:30',
      }),
    ).toEqual({ perMessage: 'last', boundMs: 600_000, ids: 'decimal-of-hex', byText: true, utcOffsetMinutes: -330 });
  });

  test.each([
    ['receiptsPerMessage', 'some', /all/],
    ['receiptsBound', 'PT0.5S', /between PT1S and P7D/],
    ['receiptsBound', 'P8D', /between PT1S and P7D/],
    ['receiptIds', 'hex', /decimal-of-hex/],
    ['receiptsByText', 'yes', /boolean/],
    ['receiptUtcOffset', 3, /in quotes/],
    ['receiptUtcOffset', '+3', /in quotes/],
    ['receiptUtcOffset', '+15:00', /\+14:00/],
  ])('%s: %s is refused with the reason', (field, value, reason) => {
    const { error } = schema.safeParse({ [field]: value });
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([field]);
    expect(error?.issues[0]?.message).toMatch(reason);
  });
});
