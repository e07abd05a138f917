/**
 * What dispatch is doing, in the API's description. Times that passed are in ms, rates in submit_sm per second. Fields that
 * a later version adds are ignored by who reads it with this.
 */
import { z } from '@hono/zod-openapi';
import type { DispatchStatus } from '../../dispatch/index.ts';
import { instantOut, laneName, toInstant } from './common.ts';

const count = z.int().min(0);
const ms = z.number().min(0);
const rate = { over1s: z.number().min(0), over10s: z.number().min(0) };
const events = z.object({
  total: count.openapi({ description: 'Since the process started.' }),
  last10s: count,
});

const bindStatus = z.object({
  bind: z.string(),
  state: z.enum(['connecting', 'degraded', 'up', 'draining', 'closed']),
  held: z.boolean().openapi({ description: 'Whether the process that answers is the one that sends on it.' }),
  sessions: count,
  tps: z
    .object({ contract: z.number().min(0), ...rate })
    .openapi({ description: 'submit_sm per second: allowed, and sent over the last second and the last ten.' }),
  window: z
    .object({ size: count, used: count })
    .openapi({ description: 'submit_sm that may be, and are, without an answer.' }),
  roundTripMs: z
    .object({ p50: ms, p90: ms, p99: ms })
    .nullable()
    .openapi({ description: 'Of the last one to two minutes; null when nothing was answered in them.' }),
  throttled: events,
  unanswered: events,
  inDoubt: z
    .object({ claimed: count, limit: count })
    .openapi({ description: 'Deliveries claimed without a durable outcome, and the most that may be (K).' }),
  lanes: z.array(
    z.object({
      lane: laneName,
      buffered: count.openapi({ description: 'Deliveries in memory that are not sent.' }),
      oldestMs: ms.openapi({ description: 'Age in memory of the oldest work that has not come to its end.' }),
    }),
  ),
});

const laneStatus = z.object({
  route: z.string(),
  lane: laneName,
  waiting: count.openapi({ description: 'Deliveries that no bind has claimed, work for later included.' }),
  oldestMs: ms.openapi({ description: 'For how long the oldest of them has been due.' }),
  inDoubt: count.openapi({ description: 'Of those that wait: sent before, and never answered.' }),
  rate: z.object(rate),
});

export const dispatchStatus = z
  .object({
    at: instantOut,
    process: z.string(),
    journal: z.object({ lagMs: ms, waiting: count }),
    binds: z.array(bindStatus),
    lanes: z.array(laneStatus),
  })
  .openapi('DispatchStatus');

/** An answer, as clients of this API read it. */
export type DispatchStatusView = z.infer<typeof dispatchStatus>;

export function showStatus({ at, process, journal, binds, lanes }: DispatchStatus): DispatchStatusView {
  return {
    at: toInstant(at),
    process: String(process),
    journal,
    binds: binds.map(({ tps, lanes: own, ...bind }) => ({
      ...bind,
      tps: { contract: tps.contract, ...rounded(tps) },
      lanes: [...own],
    })),
    lanes: lanes.map(({ rate, ...lane }) => ({ ...lane, rate: rounded(rate) })),
  };
}

/** Hundredths: carriers' contracts go down to one message in two seconds. */
function rounded({ over1s, over10s }: { over1s: number; over10s: number }) {
  const two = (value: number): number => Math.round(value * 100) / 100;
  return { over1s: two(over1s), over10s: two(over10s) };
}
