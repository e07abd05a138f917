/** How long alerts took from POST to the carrier's socket: both ends read the machine's one monotonic clock. */
import { setTimeout as sleep } from 'node:timers/promises';
import { round } from './gauges.ts';
import type { Rig } from './rig.ts';

/** Nearest rank, in ms. */
export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** @param values at least one, in any order */
export function percentilesOf(values: readonly number[]): Percentiles {
  if (values.length === 0) throw new RangeError('no values were measured');
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.ceil(share * sorted.length) - 1] as number);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** The clock of the simulator's ledger, in this process. */
export const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);

/** When each delivery was first on the simulator's socket. */
export async function firstSubmits(rig: Rig): Promise<Map<number, number>> {
  const first = new Map<number, number>();
  await rig.submits(({ delivery, monotonicUs: at }) => {
    if (delivery !== null && !first.has(delivery)) first.set(delivery, at);
  });
  return first;
}

/** The only delivery of each of these alerts. */
export async function deliveriesOf(rig: Rig, alerts: readonly string[]): Promise<Map<string, number>> {
  const rows = await rig.database.pools.reader.query<{ alert: string; id: number }>(
    'SELECT alert, id FROM delivery WHERE alert = ANY($1::uuid[])',
    [alerts],
  );
  return new Map(rows.map(({ alert, id }) => [alert, id]));
}

/** Resolves when `done` says so, asked each `everyMs`; throws after `withinMs`. */
export async function until(
  what: string,
  withinMs: number,
  done: () => Promise<boolean>,
  everyMs = 100,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await sleep(everyMs);
  }
}
