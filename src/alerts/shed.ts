/**
 * Who is let in when there is more than can be taken: by lanes, emergency last. Pure; the load is measured elsewhere
 * (`Pressure`), and asked before a request's body is read.
 *
 * The pressure is the worst of what may be full or late, each counted against what is as bad as it may get. A lane is
 * shed from its own pressure on; an emergency only when the room that intake keeps for emergencies is full.
 *
 * | lane | is shed from a pressure of | comes back after |
 * |---|---|---|
 * | bulk | 0.5 | 10 s |
 * | transaction | 0.7 | 4 s |
 * | security | 0.9 | 2 s |
 * | emergency | its room full | 1 s |
 */
import type { LaneName } from '../policy/index.ts';

/** How much there is to do. Shares are of what there is room for: 0 empty, 1 full. */
export interface Load {
  /** Alerts that wait to be stored, all lanes but emergency. */
  readonly waitingShare: number;
  /** Emergencies that wait to be stored. */
  readonly urgentShare: number;
  /** Age of the oldest alert that waits to be stored, ms: the database is slow, or away. */
  readonly storeLagMs: number;
  /** Age of the oldest outcome that waits for the journal, ms. */
  readonly journalLagMs: number;
  /** How late the event loop came to its timers in the last moments, ms. */
  readonly loopLagMs: number;
}

export const NO_LOAD: Load = { waitingShare: 0, urgentShare: 0, storeLagMs: 0, journalLagMs: 0, loopLagMs: 0 };

/** As bad as each may get. */
export const WORST = { storeLagMs: 3_000, journalLagMs: 5_000, loopLagMs: 2_000 } as const;

/** Most urgent first. */
const STEPS: readonly { readonly lane: LaneName; readonly from: number; readonly retryAfterSeconds: number }[] = [
  { lane: 'emergency', from: Number.POSITIVE_INFINITY, retryAfterSeconds: 1 },
  { lane: 'security', from: 0.9, retryAfterSeconds: 2 },
  { lane: 'transaction', from: 0.7, retryAfterSeconds: 4 },
  { lane: 'bulk', from: 0.5, retryAfterSeconds: 10 },
];

export type Verdict =
  | { readonly kind: 'in' }
  /** More urgent lanes are still let in. */
  | { readonly kind: 'lane'; readonly retryAfterSeconds: number }
  /** None is. */
  | { readonly kind: 'all'; readonly retryAfterSeconds: number };

const IN: Verdict = { kind: 'in' };

export function pressureOf({ waitingShare, urgentShare, storeLagMs, journalLagMs, loopLagMs }: Load): number {
  return Math.max(
    waitingShare,
    urgentShare,
    storeLagMs / WORST.storeLagMs,
    journalLagMs / WORST.journalLagMs,
    loopLagMs / WORST.loopLagMs,
  );
}

/** @param lanes that the work may be of, at least one: the most urgent one counts. */
export function letIn(load: Load, lanes: ReadonlySet<LaneName>): Verdict {
  const full = load.urgentShare >= 1;
  const pressure = pressureOf(load);
  if (!full && pressure < 0.5) return IN;
  const step = STEPS.find(({ lane }) => lanes.has(lane));
  if (step === undefined) return IN;
  if (!full && pressure < step.from) return IN;
  return { kind: full ? 'all' : 'lane', retryAfterSeconds: step.retryAfterSeconds };
}
