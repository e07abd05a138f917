/** The UTC day of an alert, from its id. */
import { utcDay } from '../platform/index.ts';
import { timeOf } from './uuid.ts';

/** The UTC day of acceptance in an alert's id, or null when `id` can't be one of ours. */
export function dayOf(id: string): string | null {
  const ms = timeOf(id);
  return ms === null || ms > 4_102_444_800_000 ? null : utcDay(ms);
}
