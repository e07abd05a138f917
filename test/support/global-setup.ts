import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../db/migrate.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/platform/embedded.ts';
import { Session } from '../../src/platform/session.ts';
import { databaseUrl } from '../../src/platform/target.ts';
import { templateDatabase } from './template.ts';

const prefix = 'tocsin-test-';
const quiet = { info: () => undefined, warn: (_: object, message: string) => console.warn(message) };

/** Stops and removes what runs left behind that were killed before their end. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = path.join(tmpdir(), name);
    const home = path.join(folder, 'home');
    const text = await readFile(path.join(home, 'postgres.json'), 'utf8').catch(() => '');
    const owner = text === '' ? null : (JSON.parse(text) as { owner: { pid: number } | null }).owner;
    if (owner === null || isRunning(owner.pid)) continue;
    await startEmbedded({ home, log: quiet }).then(
      (server) => server.destroy(),
      () => undefined,
    );
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Starts one PostgreSQL for the whole run, migrates the template once, and removes both at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await sweep();
  const folder = await mkdtemp(path.join(tmpdir(), prefix));
  await chmod(folder, 0o711);
  let server: EmbeddedServer | undefined;
  const teardown = async (): Promise<void> => {
    await server?.destroy();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    server = await startEmbedded({
      home: path.join(folder, 'home'),
      log: quiet,
      // No test pulls the plug of the machine, and several have a database of their own at once; all else is as in earnest.
      settings: { fsync: 'off', full_page_writes: 'off', shared_buffers: '256MB', max_connections: '300' },
    });
    const admin = { ...server.target, database: 'postgres' };
    const session = await Session.open(admin, { applicationName: 'tocsin test setup', statementTimeoutMs: 30_000 });
    await session.exec(`create database ${templateDatabase}`);
    await migrate({ ...server.target, database: templateDatabase });
    await session.exec(`alter database ${templateDatabase} is_template true`);
    await session.close();
    project.provide('postgresUrl', databaseUrl(admin));
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}
