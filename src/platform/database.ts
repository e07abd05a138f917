import { Listener, type OnNotify } from './listen.ts';
import { Pool } from './pool.ts';
import type { ConnectionTarget } from './target.ts';

export { TransactionFailed } from './errors.ts';
export { Pool, type PoolOptions, type PoolStats, type RunOptions, type Tx } from './pool.ts';
export type { ConnectionTarget } from './target.ts';

/**
 * Sessions per purpose: small separate pools, so that readers never wait behind fan-out, nor the journal behind intake.
 * `urgent` is for what an emergency on its way to the wire waits for: its own chunks and claims; `claims` are those of the
 * other lanes. With pg-boss (3), the listener, the key cache and the board of pauses (1 each) a process holds at most 26
 * connections.
 */
export const poolSizes = {
  intake: 3,
  urgent: 2,
  claims: 2,
  dispatch: 2,
  journal: 2,
  fanout: 2,
  reader: 4,
  control: 2,
  lease: 1,
} as const;

/** Longest time for one statement, per pool. Fan-out writes 5,000 rows at a time; readers must not hold a snapshot over 5 s. */
export const statementTimeoutsMs: Record<PoolName, number> = {
  intake: 10_000,
  urgent: 10_000,
  claims: 10_000,
  dispatch: 10_000,
  journal: 20_000,
  fanout: 30_000,
  reader: 5_000,
  control: 30_000,
  lease: 3_000,
};

/**
 * Longest wait for a lock, of the pools that work on rows which processes take from one another: a process that freezes
 * while it waits must not get the lock long after.
 */
const lockTimeoutsMs: Partial<Record<PoolName, number>> = {
  dispatch: 1_500,
  journal: 1_500,
  control: 1_500,
  lease: 1_500,
};

export type PoolName = keyof typeof poolSizes;

export interface Database {
  readonly target: ConnectionTarget;
  readonly pools: Readonly<Record<PoolName, Pool>>;
  /** Hears a NOTIFY channel for as long as it is open; `onNotify('')` is called after each reconnect. */
  listen(channel: string, onNotify: OnNotify): Promise<{ close(): Promise<void> }>;
  /** Tells a channel of what is committed already, by the session that listens; never rejects, and may be lost. */
  notify(channel: string, payload: string): Promise<void>;
  /** Lets running transactions end, then closes all sessions. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  target: ConnectionTarget;
  /** Shown in `pg_stat_activity`, followed by the pool's name. Default `tocsin`. */
  applicationName?: string;
}

/** What `openDatabase` says when something is odd about the server. */
export interface DatabaseLog {
  warn(details: object, message: string): void;
}

/**
 * Opens the pools and tries one session, so that a wrong address or password fails here. Sessions of the other pools are
 * opened when first needed.
 *
 * @throws TransactionFailed (08001, 28P01, 3D000 …) when no session can be opened.
 */
export async function openDatabase(options: DatabaseOptions, log?: DatabaseLog): Promise<Database> {
  const { target } = options;
  const applicationName = options.applicationName ?? 'tocsin';
  const open = (name: PoolName): Pool =>
    new Pool({
      name,
      size: poolSizes[name],
      target,
      applicationName,
      statementTimeoutMs: statementTimeoutsMs[name],
      lockTimeoutMs: lockTimeoutsMs[name],
    });
  const pools = {
    intake: open('intake'),
    urgent: open('urgent'),
    claims: open('claims'),
    dispatch: open('dispatch'),
    journal: open('journal'),
    fanout: open('fanout'),
    reader: open('reader'),
    control: open('control'),
    lease: open('lease'),
  };
  const listener = new Listener(target, applicationName);
  const database: Database = {
    target,
    pools,
    listen: (channel, onNotify) => listener.listen(channel, onNotify),
    notify: (channel, payload) => listener.notify(channel, payload),
    close: async () => {
      await Promise.all([listener.close(), ...Object.values(pools).map((pool) => pool.close())]);
    },
  };
  try {
    const [row] = await pools.control.query<{ durable: string; version: number }>(
      `select current_setting('synchronous_commit') as durable, current_setting('server_version_num')::int as version`,
    );
    if (row?.durable === 'off')
      log?.warn({}, 'synchronous_commit is off: an accepted alert may be lost when PostgreSQL crashes');
    if (row !== undefined && row.version < 150_000) log?.warn({ version: row.version }, 'PostgreSQL is older than 15');
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Database time in milliseconds since 1970, for `DatabaseClock.open`. */
export async function readDatabaseTime(pool: Pool): Promise<number> {
  const [row] = await pool.query<{ ms: number }>(`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`);
  if (row === undefined) throw new TypeError('the database gave no time');
  return row.ms;
}
