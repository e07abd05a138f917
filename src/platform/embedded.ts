import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Machine, runProgram, thisMachine } from './embedded-binaries.ts';
import {
  code,
  exists,
  give,
  hash,
  initialise,
  lastLine,
  type Postmaster,
  prepareSite,
  readPointer,
  readPostmaster,
  type Site,
  user,
  writePointer,
} from './embedded-site.ts';
import { StartError, TransactionFailed } from './errors.ts';
import { alive, isPostgres, markOf } from './processes.ts';
import { Session } from './session.ts';
import { type ConnectionTarget, databaseUrl } from './target.ts';

/** What the embedded server says of itself. */
export interface EmbeddedLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface EmbeddedOptions {
  /** `TOCSIN_HOME`. Made when it is not there. */
  home: string;
  log: EmbeddedLog;
  /** Where it listens. Default: a Unix socket, TCP on 127.0.0.1 on Windows. */
  transport?: 'socket' | 'tcp';
  /** The machine whose binaries are looked for; tests put another one here. */
  machine?: Machine;
  /** Settings of PostgreSQL that differ from ours, for tests: `{ fsync: 'off' }`. */
  settings?: Record<string, string>;
}

export interface EmbeddedServer {
  readonly target: ConnectionTarget;
  /** The same as a URL, for child processes. */
  readonly url: string;
  /** True when the server was running already. */
  readonly joined: boolean;
  readonly dataDirectory: string;
  readonly logFile: string;
  /**
   * Leaves the server; the last step of a shutdown. Whoever started it (or joined it when that process is dead) also
   * stops it, unless another process is connected.
   */
  stop(): Promise<'stopped' | 'left running'>;
  /** Stops it whoever is connected, and removes all its files. For temporary homes. */
  destroy(): Promise<void>;
}

/** Beside what each setting is for, DESIGN §5 and docs/decisions/0003 say how the numbers came about. */
const settings: Record<string, string> = {
  max_connections: '100',
  shared_buffers: '512MB',
  effective_cache_size: '1GB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  wal_compression: 'pglz',
  max_prepared_transactions: '0',
  synchronous_commit: 'on',
  random_page_cost: '1.1',
  jit: 'off',
  // A commit that needs a new segment would wait until it is filled (docs/decisions/0019).
  wal_init_zero: 'off',
  deadlock_timeout: '200ms',
  timezone: 'UTC',
  // Facts are inserted and never changed: vacuum has little to do on them, pg-boss's tables are small and busy.
  autovacuum_naptime: '15s',
  autovacuum_vacuum_scale_factor: '0.05',
  autovacuum_vacuum_insert_threshold: '1000000',
  autovacuum_vacuum_insert_scale_factor: '0.5',
  autovacuum_vacuum_cost_limit: '1000',
  // No value of a row or a parameter may reach PostgreSQL's log: errors are not logged at all (their texts can hold
  // values; the caller gets them), nor statements, details, parameters.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_statement: 'none',
  log_checkpoints: 'off',
  log_autovacuum_min_duration: '-1',
};

const database = 'tocsin';
const socketPort = 5432;
/** sockaddr_un holds 107 bytes on Linux, 103 on macOS. */
const longestSocketPath = 103;
const startTimeoutMs = 90_000;
const stopTimeoutS = 20;

/**
 * Starts the PostgreSQL of this home, or joins it when it runs. It lives on when this process is killed; the next start
 * finds it. Several processes may start at once: PostgreSQL's own lock on its data folder decides who does.
 *
 * @throws StartError, saying what to type next: unsupported platform, a folder of another user, a server that won't start.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const site = await prepareSite(options.home, options.machine ?? thisMachine());
  let running = await bringUp(site, options);
  let presence = await announce(running.target);
  const joined = running.joined;
  if (!joined || !(await alive((await readPointer(site.home))?.owner ?? null))) {
    await writePointer(site.home, { base: site.base, owner: await markOf(process.pid) });
  }
  options.log.info(
    { joined, folder: site.base },
    joined ? 'joined the embedded PostgreSQL' : 'started the embedded PostgreSQL',
  );

  let leaving = false;
  let destroyed = false;
  let reviving: Promise<void> | undefined;
  const watch = (): void =>
    presence.onEnd(() => {
      if (!leaving) reviving = revive();
    });
  const revive = async (): Promise<void> => {
    for (let wait = 100; !leaving; wait = Math.min(2 * wait, 5_000)) {
      try {
        running = await bringUp(site, options);
        presence = await announce(running.target);
        if (!running.joined) options.log.warn({ folder: site.base }, 'the embedded PostgreSQL was gone; it runs again');
        return watch();
      } catch {
        await sleep(wait, undefined, { ref: false });
      }
    }
  };
  watch();

  const halt = async (): Promise<void> => {
    await pgCtl(site, ['stop', '-m', 'fast', '-w', '-t', String(stopTimeoutS)], stopTimeoutS * 1000 + 5_000);
    await writePointer(site.home, { base: site.base, owner: null });
  };
  return {
    get target() {
      return running.target;
    },
    get url() {
      return databaseUrl(running.target);
    },
    joined,
    dataDirectory: site.data,
    logFile: site.log,
    stop: async () => {
      leaving = true;
      await reviving;
      const mine = await isOwner(site.home);
      const others = mine ? await countOthers(presence) : 0;
      await presence.close();
      if (!mine || others > 0) return 'left running';
      await halt();
      return 'stopped';
    },
    destroy: async () => {
      if (destroyed) return;
      destroyed = true;
      leaving = true;
      await reviving;
      presence.discard();
      const postmaster = await readPostmaster(site.data);
      if (await exists(site.data)) await halt();
      if (postmaster?.socketDirectory.startsWith('/tmp/tocsin-')) {
        await rm(postmaster.socketDirectory, { recursive: true, force: true });
      }
      await rm(site.base, { recursive: true, force: true });
      await rm(path.join(site.home, 'postgres.json'), { force: true });
      await rm(path.join(site.home, 'postgres.password'), { force: true });
    },
  };
}

/** The running server, started when there is none. */
async function bringUp(site: Site, options: EmbeddedOptions): Promise<{ target: ConnectionTarget; joined: boolean }> {
  await initialise(site);
  const deadline = performance.now() + startTimeoutMs;
  let joined = true;
  let trouble = '';
  for (let wait = 20; performance.now() < deadline; wait = Math.min(2 * wait, 500)) {
    const postmaster = await readPostmaster(site.data);
    if (postmaster === undefined || !(await isPostgres(postmaster.pid))) {
      // After a crash of the machine another program may have the number that postmaster.pid names.
      if (postmaster !== undefined) await rm(path.join(site.data, 'postmaster.pid'), { force: true });
      joined = false;
      trouble = await start(site, options);
    } else {
      const target = targetOf(site, postmaster);
      try {
        const session = await Session.open(
          { ...target, database: 'postgres' },
          { applicationName: 'tocsin start', statementTimeoutMs: 30_000 },
        );
        try {
          await makeDatabase(session);
        } finally {
          await session.close();
        }
        return { target, joined };
      } catch (error) {
        // 57P03: it starts, recovers, or stops. 08xxx: not there yet, or no longer.
        if (!(error instanceof TransactionFailed) || !(error.code === '57P03' || error.code?.startsWith('08') === true))
          throw error;
      }
    }
    await sleep(wait);
  }
  throw new StartError(
    `the embedded PostgreSQL does not start: ${trouble === '' ? await lastLog(site) : trouble}; its log is ${site.log}`,
  );
}

/** Starts the server detached from us. @returns what went wrong, '' when nothing did. */
async function start(site: Site, options: EmbeddedOptions): Promise<string> {
  const transport = options.transport ?? (process.platform === 'win32' ? 'tcp' : 'socket');
  const listen: Record<string, string> =
    transport === 'socket'
      ? {
          listen_addresses: '',
          port: String(socketPort),
          unix_socket_directories: await socketDirectory(site),
          unix_socket_permissions: '0700',
        }
      : { listen_addresses: '127.0.0.1', port: String(await freePort()), unix_socket_directories: '' };
  const lines = Object.entries({ ...settings, ...listen, ...options.settings }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  );
  const file = path.join(site.data, 'tocsin.conf');
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, `# Written at each start.\n${lines.join('\n')}\n`, { mode: 0o600 });
  await give(site, draft);
  await rename(draft, file);
  await (await open(site.log, 'a', 0o600)).close();
  await give(site, site.log);
  const { code: exit, output } = await pgCtl(site, ['start', '-l', site.log, '-w', '-t', '75'], 80_000);
  return exit === 0 ? '' : (await lastLog(site)) || lastLine(output);
}

function pgCtl(site: Site, args: readonly string[], timeoutMs: number): ReturnType<typeof runProgram> {
  return runProgram(site.native, 'pg_ctl', [...args, '-s', '-D', site.data], site.account, timeoutMs);
}

/** A folder for the socket whose path is short enough, which none but PostgreSQL's user (and root) can enter. */
async function socketDirectory(site: Site): Promise<string> {
  const fits = (folder: string): boolean => Buffer.byteLength(`${folder}/.s.PGSQL.${socketPort}`) <= longestSocketPath;
  const inBase = path.join(site.base, 'run');
  const short = `/tmp/tocsin-${hash(site.base)}`;
  const candidates = fits(inBase) ? [inBase] : [short, ...Array.from({ length: 9 }, (_, i) => `${short}-${i + 1}`)];
  const uid = site.account?.uid ?? process.getuid?.() ?? 0;
  for (const folder of candidates) {
    try {
      await mkdir(folder, { mode: 0o700 });
      await give(site, folder);
    } catch (error) {
      if (code(error) !== 'EEXIST') throw error;
    }
    const found = await lstat(folder);
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return folder;
  }
  throw new StartError(
    `no folder for PostgreSQL's socket: ${short} belongs to someone else; remove it, or set TOCSIN_HOME to a shorter path`,
  );
}

async function makeDatabase(session: Session): Promise<void> {
  const { rows } = await session.query('select 1 from pg_database where datname = $1', [database]);
  if (rows.length > 0) return;
  try {
    await session.exec(`create database ${database}`);
  } catch (error) {
    // Another process was quicker.
    if (!(error instanceof TransactionFailed) || (error.code !== '42P04' && error.code !== '23505')) throw error;
  }
}

const presencePrefix = 'tocsin presence';

/** Each process holds one session by which the others see that it is there. */
function announce(target: ConnectionTarget): Promise<Session> {
  return Session.open(
    { ...target, database: 'postgres' },
    { applicationName: `${presencePrefix} ${process.pid}`, statementTimeoutMs: 5_000 },
  );
}

async function countOthers(presence: Session): Promise<number> {
  try {
    const { rows } = await presence.query<{ others: number }>(
      `select count(*) as others from pg_stat_activity where starts_with(application_name, $1) and pid <> pg_backend_pid()`,
      [presencePrefix],
    );
    return rows[0]?.others ?? 0;
  } catch {
    return 0;
  }
}

function targetOf(site: Site, { port, socketDirectory: folder }: Postmaster): ConnectionTarget {
  const host = folder === '' ? '127.0.0.1' : folder;
  return {
    hosts: [{ host, port }],
    database,
    user,
    ssl: 'disable',
    ...(folder === '' ? { password: site.password } : {}),
  };
}

async function isOwner(home: string): Promise<boolean> {
  const owner = (await readPointer(home))?.owner ?? null;
  return owner?.pid === process.pid || !(await alive(owner));
}

/** A TCP port of 127.0.0.1 that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}

async function lastLog(site: Site): Promise<string> {
  return lastLine(await readFile(site.log, 'utf8').catch(() => ''));
}
