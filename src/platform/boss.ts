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
  return boss;
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
