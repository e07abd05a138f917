import { randomBytes } from 'node:crypto';
import { afterAll, inject } from 'vitest';
import { type ConnectionTarget, type Database, openDatabase } from '../../src/platform/database.ts';
import { Session } from '../../src/platform/session.ts';
import { databaseUrl, parseDatabaseUrl } from '../../src/platform/target.ts';
import { templateDatabase } from './template.ts';

/** A database of one test file: migrated, with pg-boss's schema and today's partitions, and nothing in it. */
export interface TestDatabase {
  database: Database;
  target: ConnectionTarget;
  /** For child processes. */
  url: string;
  /** Runs `work` on a session of its own as superuser, outside the pools: what a tamperer or an operator would do. */
  asSuperuser<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** Ends backends of this database: all, or those whose application name begins with `name`. Returns how many. */
  terminateBackends(name?: string): Promise<number>;
}

async function onServer<T>(work: (session: Session) => Promise<T>): Promise<T> {
  const session = await Session.open(parseDatabaseUrl(inject('postgresUrl')), {
    applicationName: 'tocsin test',
    statementTimeoutMs: 60_000,
  });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/**
 * Makes a database from the template (some 60 ms). It is closed and dropped after the last test of the file: call it at the
 * top of a file or in a `beforeAll`. Or when `atEnd` says, for one test alone.
 */
export async function testDatabase(atEnd: (end: () => Promise<void>) => void = afterAll): Promise<TestDatabase> {
  const name = `tocsin_test_${randomBytes(6).toString('hex')}`;
  await onServer((session) => session.exec(`create database ${name} template ${templateDatabase} strategy file_copy`));
  const target: ConnectionTarget = { ...parseDatabaseUrl(inject('postgresUrl')), database: name };
  const database = await openDatabase({ target });
  atEnd(async () => {
    await database.close();
    await onServer((session) => session.exec(`drop database if exists ${name} with (force)`));
  });
  return {
    database,
    target,
    url: databaseUrl(target),
    asSuperuser: async (work) => {
      const session = await Session.open(target, { applicationName: 'superuser', statementTimeoutMs: 60_000 });
      try {
        return await work(session);
      } finally {
        await session.close();
      }
    },
    terminateBackends: (application = '') =>
      onServer(async (session) => {
        const { rows } = await session.query<{ ended: number }>(
          `select count(*) filter (where pg_terminate_backend(pid)) as ended from pg_stat_activity
           where datname = $1 and starts_with(application_name, $2) and pid <> pg_backend_pid()`,
          [name, application],
        );
        return rows[0]?.ended ?? 0;
      }),
  };
}
