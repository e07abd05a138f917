/** pg-boss on our database: queues of work, one job per chunk or alert, never one per message. */
import { type Db, PgBoss } from 'pg-boss';
import { pgConfig } from './pg-config.ts';
import type { Tx } from './pool.ts';
import type { ConnectionTarget } from './target.ts';

/** Connections of pg-boss's own `pg` pool: maintenance and what runs outside our transactions. */
export const bossPoolSize = 3;

export interface BossOptions {
  target: ConnectionTarget;
  onError: (error: Error) => void;
  onWarning?: (warning: object) => void;
}

/**
 * Starts pg-boss in schema `pgboss`, which the migrations have made. Maintenance runs each minute: finished jobs are
 * many and short-lived here.
 */
export async function openBoss({ target, onError, onWarning }: BossOptions): Promise<PgBoss> {
  const boss = new PgBoss({
    ...pgConfig(target),
    schema: 'pgboss',
    application_name: 'tocsin boss',
    max: bossPoolSize,
    migrate: true,
    createSchema: true,
    supervise: true,
    schedule: false,
    superviseIntervalSeconds: 60,
    maintenanceIntervalSeconds: 60,
    monitorIntervalSeconds: 60,
    // Our queues are deep by design; depth is in the metrics.
    warningQueueSize: 1_000_000_000,
  });
  boss.on('error', onError);
  boss.on('warning', (warning) => onWarning?.(warning));
  await boss.start();
  await lookUpByKey(boss.getDb());
  return boss;
}

/**
 * Has fetches and completions find a job by its key. Their joins look for `name` and `id`; statistics from when a queue was
 * empty say that its name alone finds nothing, and then each call walks through all jobs of the queue that are not yet
 * deleted (761 of them: 0.7 ms and 740 pages instead of 0.1 ms and 10). Without statistics of the name PostgreSQL assumes
 * that it finds a two-hundredth of the table, and takes the whole key.
 */
async function lookUpByKey(db: Db): Promise<void> {
  const { rows } = (await db.executeSql(
    `SELECT attstattarget AS target, current_setting('server_version_num')::int AS version FROM pg_attribute
     WHERE attrelid = 'pgboss.job_common'::regclass AND attname = 'name'`,
  )) as { rows: { target: number | null; version: number }[] };
  const [name] = rows;
  if (name === undefined || name.target === 0) return;
  await db.executeSql('ALTER TABLE pgboss.job_common ALTER COLUMN name SET STATISTICS 0');
  // What was gathered before stays until it is cleared.
  if (name.version >= 180_000)
    await db.executeSql(`SELECT pg_clear_attribute_stats('pgboss', 'job_common', 'name', false)`);
}

/** pg-boss's calls inside one of our transactions: `boss.insert(queue, jobs, { db: bossTx(tx) })`. */
export function bossTx(tx: Tx): Db {
  return {
    executeSql: async (text: string, values?: unknown[]) => ({
      rows: await tx.query(
        text,
        values?.map((value) => value ?? null),
      ),
    }),
  };
}
