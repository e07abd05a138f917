/** What a carrier's policy and its answers say to its bind's health. */
import type { CarrierPolicy } from '../policy/index.ts';
import { type Answer, classify } from '../smpp/index.ts';
import type { Reports, Verdict } from './health.ts';

export const reportsOf = ({ receipts, receiptsOn }: CarrierPolicy): Reports =>
  receipts === 'none' ? 'none' : receiptsOn === 'failure' ? 'failure' : 'all';

/** What an answer says of the carrier's health; null: nothing. */
export function verdictOf(answer: Answer, { statuses }: CarrierPolicy): Verdict | null {
  if (answer.kind === 'unanswered') return 'failed';
  if (answer.status === 0) return 'taken';
  const kind = classify(answer.status, statuses);
  return kind === 'temporary' || kind === 'unknown' ? 'failed' : null;
}
