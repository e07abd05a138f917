import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { type EmbeddedOptions, type EmbeddedServer, startEmbedded } from './embedded.ts';
import { findBinaries, type Machine, thisMachine } from './embedded-binaries.ts';
import { StartError, TransactionFailed } from './errors.ts';
import { Session } from './session.ts';
import type { ConnectionTarget } from './target.ts';

const root = process.getuid?.() === 0;
const nobody = 65_534;
const childFile = fileURLToPath(new URL('../../test/support/embedded-child.ts', import.meta.url));

const top = await mkdtemp(path.join(tmpdir(), 'tocsin-embedded-'));
await chmod(top, 0o711);
const servers: EmbeddedServer[] = [];
const children = new Set<ChildProcessWithoutNullStreams>();
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(servers.map((server) => server.destroy()));
  await rm(top, { recursive: true, force: true });
});

/** Starts in this process; destroyed at the end of the file if the test did not. */
async function start(home: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedServer> {
  const log = { info: () => undefined, warn: () => undefined };
  const server = await startEmbedded({ home, log, settings: { fsync: 'off', shared_buffers: '16MB' }, ...options });
  servers.push(server);
  return server;
}

/** Starts in a process of its own: what it said first, and what it says when it is asked to stop. */
async function startChild(home: string, uid = 'root', binaries = '-') {
  const child = spawn(process.execPath, [childFile, home, uid, binaries]);
  children.add(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async (): Promise<Record<string, unknown>> => {
    const line = await lines.next();
    if (line.done === true)
      throw new Error(`the child said nothing: ${(await child.stderr.toArray()).join('').slice(0, 500)}`);
    return JSON.parse(line.value) as Record<string, unknown>;
  };
  return {
    child,
    said: await read(),
    stop: () => {
      child.stdin.end();
      return read();
    },
  };
}

async function ask<T extends object>(target: ConnectionTarget, text: string): Promise<T | undefined> {
  const session = await Session.open(target, { applicationName: 'test', statementTimeoutMs: 5_000 });
  try {
    return (await session.query<T>(text)).rows[0];
  } finally {
    await session.close();
  }
}

const postmasterPid = async (server: EmbeddedServer): Promise<number> =>
  Number((await readFile(path.join(server.dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);

const isGone = async (file: string): Promise<boolean> =>
  stat(file).then(
    () => false,
    () => true,
  );

test('it is durable, sorts by code point, takes no TCP, and keeps values out of its log', async () => {
  const server = await start(path.join(top, 'plain'), { settings: {} });
  expect(server.joined).toBe(false);
  const setting = `select current_setting('fsync') || current_setting('synchronous_commit') || current_setting('full_page_writes') as durable,
    current_setting('listen_addresses') as tcp, current_setting('max_prepared_transactions') as prepared, current_setting('shared_buffers') as memory,
    (select datlocprovider::text || datlocale from pg_database where datname = current_database()) as locale, pg_encoding_to_char(6) as encoding`;
  expect(await ask(server.target, setting)).toEqual({
    durable: 'ononon',
    tcp: '',
    prepared: '0',
    memory: '512MB',
    locale: 'bC.UTF-8',
    encoding: 'UTF8',
  });
  const canary = 'canary-553311';
  for (const text of [
    `select '${canary}'::int`,
    `select * from ${canary.replace('-', '_')}`,
    `do $$ begin raise exception '${canary}'; end $$`,
  ]) {
    await expect(ask(server.target, text)).rejects.toBeInstanceOf(TransactionFailed);
  }
  const session = await Session.open(server.target, { applicationName: 'test', statementTimeoutMs: 5_000 });
  await session.exec('create table public.secret (code text primary key)');
  await session.query('insert into public.secret values ($1)', [canary]);
  await expect(session.query('insert into public.secret values ($1)', [canary])).rejects.toThrow('secret_pkey');
  await expect(session.query('select $1::text::int', [canary])).rejects.toThrow('22P02');
  await session.close();
  const log = await readFile(server.logFile, 'utf8');
  expect(log).toContain('ready to accept connections');
  expect(log).not.toMatch(/canary/);
  expect(await server.stop()).toBe('stopped');
});

test.runIf(root)('root starts it as another user, below a folder that only root can enter', async () => {
  const locked = await mkdtemp(path.join(tmpdir(), 'tocsin-embedded-'));
  expect((await stat(locked)).mode & 0o777).toBe(0o700);
  const server = await start(path.join(locked, 'home'));
  expect(server.dataDirectory).toMatch(/^\/var\/tmp\/tocsin-/);
  expect((await stat(server.dataDirectory)).uid).not.toBe(0);
  expect(await ask(server.target, 'select 1 as one')).toEqual({ one: 1 });
  expect(await server.stop()).toBe('stopped');
  // The pointer in the home leads the next start to the same data.
  const again = await start(path.join(locked, 'home'));
  expect(again.dataDirectory).toBe(server.dataDirectory);
  expect(await again.stop()).toBe('stopped');
  // A temporary home that is gone takes its data with it, at the next such start.
  await rm(locked, { recursive: true });
  const next = await mkdtemp(path.join(tmpdir(), 'tocsin-embedded-'));
  const other = await start(path.join(next, 'home'));
  expect(await isGone(server.dataDirectory)).toBe(true);
  await other.destroy();
  expect(await isGone(path.dirname(other.dataDirectory))).toBe(true);
  await rm(next, { recursive: true });
});

test.runIf(root)('a user starts it as himself, and another user is told whose it is', async () => {
  const home = path.join(top, 'user');
  await mkdir(home);
  await chmod(home, 0o777);
  // The user need not reach this checkout: the binaries are copied to where he can.
  const { native } = await findBinaries(thisMachine());
  const binaries = path.join(top, 'binaries');
  await mkdir(binaries);
  for (const part of ['package.json', 'native']) {
    await cp(path.join(path.dirname(native), part), path.join(binaries, part), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  const user = await startChild(home, String(nobody), binaries);
  expect(user.said).toMatchObject({ joined: false });
  expect((await stat(path.join(home, 'postgres', 'data'))).uid).toBe(nobody);
  expect(await user.stop()).toEqual({ stopped: 'stopped' });

  await rm(path.join(home, 'postgres.json'));
  await chmod(path.join(home, 'postgres'), 0o711);
  const other = await startChild(home, '1', binaries);
  expect(other.said).toMatchObject({
    error: 'StartError',
    message: expect.stringContaining('belongs to another user (65534)'),
  });
});

test('it survives kill -9 of its parent; the next start joins it and stops it', async () => {
  const home = path.join(top, 'killed');
  const parent = await startChild(home);
  expect(parent.said).toMatchObject({ joined: false });
  parent.child.kill('SIGKILL');
  await new Promise((resolve) => parent.child.once('exit', resolve));
  const next = await start(home);
  expect(next.joined).toBe(true);
  expect(await ask(next.target, 'select 1 as one')).toEqual({ one: 1 });
  expect(await next.stop()).toBe('stopped');
});

test('of processes that start at once one starts it and all use it; it stops with the last', async () => {
  const home = path.join(top, 'shared');
  const [first, second, mine] = await Promise.all([startChild(home), startChild(home), start(home)]);
  const all = [first.said.joined, second.said.joined, mine.joined];
  expect(all).toContain(true);
  expect(new Set([first.said.url, second.said.url, mine.url]).size).toBe(1);
  const left = [await mine.stop(), (await first.stop()).stopped];
  expect(left).toEqual(['left running', 'left running']);
  expect(await ask(mine.target, 'select 1 as one')).toEqual({ one: 1 });
  await second.stop();
  // Whoever comes last finds it running or stopped, by who had started it; in both cases it goes with him.
  const last = await start(home);
  expect(await last.stop()).toBe('stopped');
  await expect(ask(last.target, 'select 1')).rejects.toMatchObject({ code: '08001' });
});

test('it comes back by itself when the whole server is killed, with what was committed', async () => {
  const server = await start(path.join(top, 'revived'));
  await ask(server.target, 'create table public.kept as select 1 as one');
  const pid = await postmasterPid(server);
  process.kill(pid, 'SIGKILL');
  const answer = (): Promise<unknown> => ask(server.target, 'select one from public.kept').catch(() => undefined);
  await expect.poll(answer, { timeout: 20_000, interval: 50 }).toEqual({ one: 1 });
  expect(await postmasterPid(server)).not.toBe(pid);
  expect(await server.stop()).toBe('stopped');
  // After a crash of the machine postmaster.pid may name a process that is something else by now.
  await writeFile(
    path.join(server.dataDirectory, 'postmaster.pid'),
    `${process.pid}\n${server.dataDirectory}\n0\n5432\n\n\n\n`,
  );
  const again = await start(path.join(top, 'revived'));
  expect(again.joined).toBe(false);
  expect(await ask(again.target, 'select one from public.kept')).toEqual({ one: 1 });
});

test('over TCP two servers take two free ports and ask for a password', async () => {
  const [one, two] = await Promise.all([
    start(path.join(top, 'tcp1'), { transport: 'tcp' }),
    start(path.join(top, 'tcp2'), { transport: 'tcp' }),
  ]);
  expect(one.target.hosts[0]).toMatchObject({ host: '127.0.0.1' });
  expect(one.target.hosts[0].port).not.toBe(two.target.hosts[0].port);
  expect(await ask(one.target, 'select 1 as one')).toEqual({ one: 1 });
  await expect(ask({ ...one.target, password: 'guess' }, 'select 1')).rejects.toMatchObject({ code: '28P01' });
});

test('a home with a long path gets a short one for its socket, removed with the rest', async () => {
  const home = path.join(top, 'x'.repeat(60), 'y'.repeat(60));
  await mkdir(path.dirname(home), { mode: 0o711 });
  const server = await start(home);
  const [{ host }] = server.target.hosts;
  expect(host).toMatch(/^\/tmp\/tocsin-/);
  expect((await stat(host)).mode & 0o777).toBe(0o700);
  expect(await ask(server.target, 'select 1 as one')).toEqual({ one: 1 });
  await server.destroy();
  expect(await isGone(host)).toBe(true);
  expect(await readdir(home)).toEqual([]);
});

test('a platform without an embedded PostgreSQL is told what to do instead', async () => {
  const machine = (part: Partial<Machine>): Machine => ({
    platform: 'linux',
    arch: 'x64',
    glibc: '2.36',
    resolve: () => '',
    ...part,
  });
  const missing = () => {
    throw new Error('Cannot find module');
  };
  const message = async (part: Partial<Machine>): Promise<string> => {
    const error: unknown = await findBinaries(machine(part)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StartError);
    return (error as StartError).message;
  };
  for (const part of [
    { platform: 'freebsd' },
    { arch: 'riscv64' },
    { platform: 'win32', arch: 'arm64' },
    { glibc: undefined },
    { resolve: missing },
  ]) {
    expect(await message(part)).toContain('DATABASE_URL=postgres://');
  }
  expect(await message({ glibc: undefined })).toContain('glibc');
  expect(await message({ resolve: missing })).toContain('npm ci --include=optional');
});

test('a home that is a file is named with its variable', async () => {
  const file = path.join(top, 'file');
  await writeFile(file, '');
  await expect(start(path.join(file, 'home'))).rejects.toThrow(/TOCSIN_HOME.*ENOTDIR/);
});
