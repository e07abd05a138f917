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

/** How many there are by the statistics that {@link lookUpByKey} writes. */
const QUEUES = 100;

/**
 * Has fetches and completions find a job by its key. Their joins look for `name` and `id`; where the name alone seems to
 * find one row or none, both look alike to the planner, and each call walks through all jobs of the queue that are not yet
 * deleted (761 of them: 0.7 ms and 740 pages instead of 0.1 ms and 10). It seems so by statistics from when the queue was
 * empty, and to a session that made its plan, which it keeps, while the table was.
 *
 * So nobody gathers statistics of the name; from PostgreSQL 18 on they can be written, and say that there are a hundred
 * queues: then the whole key is the better way in a table that is empty too, and a queue's own index still is to one who
 * asks whether it has work at all. (With one queue the table itself seemed to be: it would have any row at once.) Before,
 * without any, it is assumed that a name finds a two-hundredth of the table.
 */
async function lookUpByKey(db: Db): Promise<void> {
  const { rows } = (await db.executeSql(
    `SELECT attstattarget AS target, current_setting('server_version_num')::int AS version,
            (SELECT n_distinct FROM pg_stats
             WHERE schemaname = 'pgboss' AND tablename = 'job_common' AND pg_stats.attname = 'name') AS kinds
     FROM pg_attribute WHERE attrelid = 'pgboss.job_common'::regclass AND attname = 'name'`,
  )) as { rows: { target: number | null; version: number; kinds: number | null }[] };
  const [name] = rows;
  if (name === undefined) return;
  if (name.target !== 0) await db.executeSql('ALTER TABLE pgboss.job_common ALTER COLUMN name SET STATISTICS 0');
  if (name.version >= 180_000 && name.kinds !== QUEUES) {
    await db.executeSql(`SELECT pg_clear_attribute_stats('pgboss', 'job_common', 'name', false)`);
    await db.executeSql(
      `SELECT pg_restore_attribute_stats('schemaname', 'pgboss', 'relname', 'job_common', 'attname', 'name',
         'inherited', false, 'null_frac', 0::real, 'avg_width', 32, 'n_distinct', ${QUEUES}::real)`,
    );
  }
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
