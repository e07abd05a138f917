/** Acts of pausing and resuming: facts, inserted and never changed. What is paused now is what the last acts say. */
import { type ChainWriter, defineFactTable, insertFacts } from '../audit/index.ts';
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import type { OperatorScope, Paused, PauseScope } from './pauses.ts';

/** Tells every process that something was paused or resumed; what, it reads itself. */
export const PAUSE_CHANNEL = 'tocsin_pause';

export interface PauseActRow {
  scope: PauseScope;
  name: string;
  /** Counts the acts of this scope, from 1. */
  number: number;
  /** The day of an alert; null for others, as the next two. */
  day: string | null;
  organisation: number | null;
  /** When the alert expires: its pause matters no longer. */
  until: EpochMs | null;
  paused: boolean;
  why: string | null;
  /** `api-key <id>`, or `<user>@<host>` at the command line. */
  who: string;
  at: EpochMs;
}
export const pauseAct = defineFactTable<PauseActRow>({
  table: 'pause_act',
  columns: {
    scope: 'text',
    name: 'text',
    number: 'int',
    day: 'date?',
    organisation: 'int?',
    until: 'int?',
    paused: 'bool',
    why: 'text?',
    who: 'text',
    at: 'int',
  },
  key: ['scope', 'name', 'number'],
});
export const DISPATCH_TABLES = [pauseAct];

export type PauseWish = Pick<PauseActRow, 'scope' | 'name' | 'paused' | 'why' | 'who'> &
  Partial<Pick<PauseActRow, 'day' | 'organisation' | 'until'>>;

/** The last act of a scope. */
export type PauseState = Pick<PauseActRow, 'paused' | 'why' | 'who' | 'at'>;

/**
 * Pauses or resumes. What is so already stays as it is, with the reason that was given first.
 * @returns the act that counts now; null when this was never paused.
 */
export async function setPaused(
  writer: ChainWriter,
  clock: Pick<Clock, 'now'>,
  wish: PauseWish,
): Promise<PauseState | null> {
  return await writer.append(async (tx, entry) => {
    const { scope, name } = wish;
    // One act of a scope at a time: each has the next number.
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`tocsin pause ${scope} ${name}`]);
    const [last] = await tx.query<PauseState & { number: number }>(
      'SELECT number, paused, why, who, at FROM pause_act WHERE scope = $1 AND name = $2 ORDER BY number DESC LIMIT 1',
      [scope, name],
    );
    if ((last?.paused ?? false) === wish.paused) return { value: last ?? null, parts: [] };
    const row: PauseActRow = {
      scope,
      name,
      number: (last?.number ?? 0) + 1,
      day: wish.day ?? null,
      organisation: wish.organisation ?? null,
      until: wish.until ?? null,
      paused: wish.paused,
      why: wish.why,
      who: wish.who,
      at: clock.now(),
    };
    const { parts } = await insertFacts(tx, pauseAct, [row], entry, { onConflict: 'error' });
    await tx.query('SELECT pg_notify($1, $2)', [PAUSE_CHANNEL, scope]);
    return { value: row, parts };
  });
}

/** Of an act `p` that pauses: no later one says otherwise. */
const LAST = `p.paused AND NOT EXISTS (SELECT 1 FROM pause_act n
  WHERE n.scope = p.scope AND n.name = p.name AND n.number > p.number)`;

/** Whether the alert `(day, alert)` is paused: a cancelled one is not, for it goes to its end. */
export const alertPausedSql = (day: string, alert: string): string =>
  `(EXISTS (SELECT 1 FROM pause_act p WHERE p.scope = 'alert' AND p.name = ${alert}::text AND ${LAST})
    AND NOT EXISTS (SELECT 1 FROM alert_cancel x WHERE x.day = ${day} AND x.alert = ${alert}))`;

/** All that is paused and not over. Leans on pause_act_live: pauses of alerts that have expired are passed by. */
export function readPaused(pool: Pool, now: EpochMs): Promise<Paused[]> {
  return pool.query<Paused>(
    `SELECT p.scope, p.name FROM pause_act p
     WHERE p.paused AND (p.until IS NULL OR p.until > $1) AND ${LAST}
       AND (p.scope <> 'alert' OR NOT EXISTS (SELECT 1 FROM alert_cancel x WHERE x.day = p.day AND x.alert::text = p.name))`,
    [now],
  );
}

/** A lane, route or bind that is paused, and what was said of it. */
export interface OperatorPause {
  readonly scope: OperatorScope;
  readonly name: string;
  readonly why: string | null;
  readonly who: string;
  readonly since: EpochMs;
}

/** By scope and name. */
export function listPauses(pool: Pool): Promise<OperatorPause[]> {
  return pool.query<OperatorPause>(
    `SELECT p.scope, p.name, p.why, p.who, p.at AS since FROM pause_act p
     WHERE p.scope <> 'alert' AND ${LAST} ORDER BY p.scope, p.name`,
    [],
    { retries: 2 },
  );
}

export interface Cancelled {
  readonly day: string;
  readonly alert: string;
  readonly at: EpochMs;
}

/** An alert may be held for 30 days before it is sent (alerts/rules.ts), and be valid for a while after that. */
const CANCEL_DAYS = 45;

/** Alerts that were cancelled since then, the oldest first; of very many the newest. Leans on alert_cancel_at. */
export async function readCancelled(pool: Pool, since: EpochMs, limit: number): Promise<Cancelled[]> {
  const rows = await pool.query<Cancelled>(
    `SELECT day, alert, at FROM alert_cancel WHERE at > $1 AND day > (clock_timestamp() AT TIME ZONE 'UTC')::date - ${CANCEL_DAYS}
     ORDER BY at DESC LIMIT $2`,
    [since, limit],
  );
  return rows.reverse();
}
