/** The queue of alerts that wait to be fanned out: one queue for all lanes, priority by lane. */
import type { PgBoss } from 'pg-boss';
import { bossTx, type Tx } from '../platform/index.ts';

export const FANOUT_QUEUE = 'fanout';
/** Wakes the workers; the payload means nothing. */
export const FANOUT_CHANNEL = 'tocsin_fanout';

export interface FanoutJob {
  readonly day: string;
  readonly alert: string;
}

/**
 * A job is never given up: an alert that was accepted is fanned out, or found cancelled or expired. One that is handed
 * back waits a second, so that what fails at once doesn't keep a worker from all else. An hour is far more than a
 * broadcast takes (a million recipients: some 20 s); a job that takes longer is handed out again beside the first, and
 * both go on from the same pages.
 */
export const FANOUT_QUEUE_OPTIONS = {
  expireInSeconds: 3_600,
  retryLimit: 2_147_483_647,
  retryDelay: 1,
  retryBackoff: false,
  retentionSeconds: 60 * 86_400,
  deleteAfterSeconds: 600,
} as const;

/** Safe to call from several processes at once. */
export async function createFanoutQueue(boss: PgBoss): Promise<void> {
  await boss.createQueue(FANOUT_QUEUE, FANOUT_QUEUE_OPTIONS);
}

/** In the transaction that accepts the alerts. `priority`: the lane's. Does not notify. */
export async function insertFanoutJobs(
  tx: Tx,
  boss: PgBoss,
  jobs: readonly (FanoutJob & { readonly priority: number })[],
): Promise<void> {
  if (jobs.length === 0) return;
  await boss.insert(
    FANOUT_QUEUE,
    jobs.map(({ day, alert, priority }) => ({ data: { day, alert } satisfies FanoutJob, priority })),
    { db: bossTx(tx) },
  );
}

/** Wakes the workers of every process when the transaction commits. */
export async function notifyFanout(tx: Tx): Promise<void> {
  await tx.query('select pg_notify($1, $2)', [FANOUT_CHANNEL, '']);
}

/**
 * Held to the end of a transaction by whoever adds deliveries to an alert or stops that: pages of one alert never
 * overlap, and after a cancel has committed no page of it does.
 */
export async function lockAlert(tx: Tx, alert: string): Promise<void> {
  await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [ALERT_LOCK, alert]);
}

/** The kind of advisory lock that `lockAlert` takes, and the one that says a worker lives; arbitrary, fixed for ever. */
const ALERT_LOCK = 0x746f_6301;
export const JOB_LOCK = 0x746f_6302;
