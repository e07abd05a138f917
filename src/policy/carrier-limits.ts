/** How a carrier counts the TPS of its contract, and what it caps besides: single senders, single prefixes. */
import { z } from 'zod';
import type { FieldMistake } from './carrier-fields.ts';
import type { Protocol } from './protocol.ts';

/**
 * With R TPS: `sliding`, at most R in any second; `second`, at most R from one wall second to the next, all at once if
 * need be; `slot`, at most a tenth of R in each tenth of a second.
 */
export type TpsWindow = 'sliding' | 'second' | 'slot';

export interface CarrierLimits {
  readonly tpsWindow: TpsWindow;
  /** submit_sm per second by the sender as the alert names it, or `defaultSender`. */
  readonly senderLimits: ReadonlyMap<string, number>;
  /** submit_sm per second to the numbers of a prefix, its `+` included; of several that fit a number each counts. */
  readonly prefixLimits: ReadonlyMap<string, number>;
}

const tps = z.number().gt(0).max(1_000_000);
const LIMITS_MAX = 1_000;

export const carrierLimitFields = {
  tpsWindow: z
    .enum(['sliding', 'second', 'slot'])
    .default('sliding')
    .describe('How the carrier counts: in any second, from wall second to wall second, or by tenths of a second.'),
  senderLimits: z
    .array(z.strictObject({ sender: z.string({ error: 'expected a text (put digits in quotes)' }), tps }))
    .max(LIMITS_MAX)
    .default([])
    .describe('submit_sm per second of single senders, such as a long code at 1.'),
  prefixLimits: z
    .array(
      z.strictObject({
        prefix: z
          .string({ error: 'expected a text (put it in quotes)' })
          .regex(/^\+[1-9]\d{0,14}$/, "must be + and 1 to 15 digits, in quotes: '+4477'"),
        tps,
      }),
    )
    .max(LIMITS_MAX)
    .default([])
    .describe('submit_sm per second to the numbers of a prefix.'),
};

type Fields = { [K in keyof typeof carrierLimitFields]: z.output<(typeof carrierLimitFields)[K]> };

export function resolveCarrierLimits(fields: Fields, protocol: Protocol, mistake: FieldMistake): CarrierLimits {
  const senderLimits = new Map<string, number>();
  for (const [index, limit] of fields.senderLimits.entries()) {
    if (protocol.senderForm(limit.sender) === null) mistake(['senderLimits', index, 'sender'], 'is no sender');
    if (senderLimits.has(limit.sender)) mistake(['senderLimits', index, 'sender'], 'stands here already');
    senderLimits.set(limit.sender, limit.tps);
  }
  const prefixLimits = new Map<string, number>();
  for (const [index, limit] of fields.prefixLimits.entries()) {
    if (prefixLimits.has(limit.prefix)) mistake(['prefixLimits', index, 'prefix'], 'stands here already');
    prefixLimits.set(limit.prefix, limit.tps);
  }
  return { tpsWindow: fields.tpsWindow, senderLimits, prefixLimits };
}
