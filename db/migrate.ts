import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PgBoss } from 'pg-boss';
import { addDays } from '../src/platform/clock.ts';
import { StartError } from '../src/platform/errors.ts';
import { pgConfig } from '../src/platform/pg-config.ts';
import type { Pool } from '../src/platform/pool.ts';
import { Session } from '../src/platform/session.ts';
import type { ConnectionTarget } from '../src/platform/target.ts';

/** Held by whoever changes the schema. The number is `tocsin` as bytes. */
const migrationLock = 0x746f6373696e;
/** Longest wait for another process that migrates. */
const lockTimeoutMs = 60_000;
const folder = new URL('./migrations/', import.meta.url);

/** Days before and after today that have partitions at every moment: late receipts, and work for later. */
export const partitionDays = { before: 1, after: 3 } as const;

interface Journal {
  entries: { idx: number; tag: string }[];
}

/**
 * Brings the database to the schema of this version: our migrations, pg-boss's schema, and the partitions of yesterday
 * to three days ahead. Several processes may call it at once: one works, the others wait. Running it again does nothing.
 *
 * drizzle's own migrator takes no lock and runs in drizzle's `transaction`, so the few lines here replace it; the files
 * and their journal are drizzle's.
 *
 * @throws StartError when the database is of a newer version, or an applied migration was edited.
 */
export async function migrate(target: ConnectionTarget): Promise<void> {
  const session = await Session.open(target, {
    applicationName: 'tocsin migrate',
    statementTimeoutMs: lockTimeoutMs + 5_000,
    searchPath: 'public',
  });
  try {
    await session.exec(`set lock_timeout = ${lockTimeoutMs}`);
    await session.query('select pg_advisory_lock($1::bigint)', [migrationLock]);
    await session.exec('set lock_timeout = 0');
    await applyMigrations(session);
    await createBossSchema(target);
    const { rows } = await session.query<{ today: string }>(
      `select (clock_timestamp() at time zone 'UTC')::date as today`,
    );
    const today = rows[0]?.today ?? '';
    for (let day = -partitionDays.before; day <= partitionDays.after; day++) {
      await session.query('select tocsin.make_day($1::date)', [addDays(today, day)]);
    }
    await session.query('select pg_advisory_unlock($1::bigint)', [migrationLock]);
  } finally {
    await session.close();
  }
}

async function applyMigrations(session: Session): Promise<void> {
  await session.exec(`create schema if not exists tocsin;
    create table if not exists tocsin.migration (idx integer primary key, tag text not null, sha256 text not null, applied_at bigint not null)`);
  const { rows } = await session.query<{ idx: number; tag: string; sha256: string }>(
    'select idx, tag, sha256 from tocsin.migration order by idx',
  );
  const applied = new Map(rows.map((row) => [row.idx, row]));
  const journal = JSON.parse(await readFile(new URL('meta/_journal.json', folder), 'utf8')) as Journal;
  for (const row of rows) {
    if (!journal.entries.some((entry) => entry.idx === row.idx && entry.tag === row.tag)) {
      throw new StartError(
        `the database has the migration ${row.tag}, which this version does not know; start the newer version`,
      );
    }
  }
  for (const { idx, tag } of journal.entries) {
    const text = await readFile(new URL(`${tag}.sql`, folder), 'utf8');
    const sha256 = createHash('sha256').update(text).digest('hex');
    const before = applied.get(idx);
    if (before !== undefined) {
      if (before.sha256 !== sha256)
        throw new StartError(
          `db/migrations/${tag}.sql was changed after this database applied it; write a new migration`,
        );
      continue;
    }
    await session.exec('begin; set local search_path to tocsin');
    for (const statement of text.split('--> statement-breakpoint')) await session.exec(statement);
    await session.query(
      `insert into tocsin.migration values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000)::bigint)`,
      [idx, tag, sha256],
    );
    const { command } = await session.exec('commit');
    if (command !== 'COMMIT') throw new StartError(`db/migrations/${tag}.sql was rolled back`);
  }
}

async function createBossSchema(target: ConnectionTarget): Promise<void> {
  const boss = new PgBoss({
    ...pgConfig(target),
    application_name: 'tocsin migrate boss',
    schema: 'pgboss',
    max: 1,
    migrate: true,
    supervise: false,
    schedule: false,
    registerInstance: false,
    openTelemetry: { enabled: false },
  });
  let failure: unknown;
  boss.on('error', (error) => {
    failure = error;
  });
  await boss.start();
  await boss.stop({ graceful: false });
  if (failure !== undefined) throw new StartError('pg-boss could not make its schema');
}

/**
 * Makes the partitions up to `ahead` days after `today` (`YYYY-MM-DD`). Each day is one short transaction that waits at
 * most 1 s for its locks, so that it never holds up intake; a day that could not be made is tried at the next call.
 *
 * @returns the last day for which partitions are there; nothing is missing when it is `today + ahead`.
 */
export async function makeDaysAhead(pool: Pool, today: string, ahead: number = partitionDays.after): Promise<string> {
  let last = addDays(today, -1);
  for (let days = 0; days <= ahead; days++) {
    const day = addDays(today, days);
    try {
      await pool.run(async (tx) => {
        await tx.exec(`set local lock_timeout = '1s'`);
        await tx.query('select pg_advisory_xact_lock($1::bigint)', [migrationLock]);
        await tx.query('select make_day($1::date)', [day]);
      });
      last = day;
    } catch {
      return last;
    }
  }
  return last;
}
