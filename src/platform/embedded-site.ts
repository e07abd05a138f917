/** Where the embedded PostgreSQL keeps its files, whose they are, and which process has to stop it. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Account, findBinaries, type Machine, runProgram, usableBinaries } from './embedded-binaries.ts';
import { StartError } from './errors.ts';
import { isPostgres, type ProcessMark } from './processes.ts';

/** Begins the name of a folder for a home that PostgreSQL's user can't reach; hash of the home and a random part follow. */
const elsewhere = '/var/tmp/tocsin';
/** PostgreSQL's superuser, and ours. */
export const user = 'tocsin';

/** `TOCSIN_HOME/postgres.json`: where the server's files are, and which process has to stop it. */
export interface Pointer {
  base: string;
  owner: ProcessMark | null;
}

/** What `postmaster.pid` says. */
export interface Postmaster {
  pid: number;
  port: number;
  socketDirectory: string;
}

/** Where everything of one server is. */
export interface Site {
  home: string;
  base: string;
  data: string;
  log: string;
  native: string;
  account: Account | undefined;
  password: string;
}

/**
 * Finds or makes the folders of a home, the binaries that can be run there, and the user to run them as.
 * @throws StartError, saying what to type next.
 */
export async function prepareSite(named: string, machine: Machine): Promise<Site> {
  const binaries = await findBinaries(machine);
  const root = process.getuid?.() === 0;
  let home: string;
  try {
    // PostgreSQL runs as another user when we are root, and must be able to pass through.
    await mkdir(named, { recursive: true, mode: root ? 0o711 : 0o700 });
    home = await realpath(named);
  } catch (error) {
    throw new StartError(
      `TOCSIN_HOME: the folder ${named} can not be made (${code(error)}); set TOCSIN_HOME to a folder of yours`,
    );
  }
  const pointer = await readPointer(home);
  const inHome = path.join(home, 'postgres');
  let base = pointer?.base ?? inHome;
  const owner = await ownerOf(path.join(base, 'data'));
  let account: Account | undefined;
  if (root) {
    account = owner === undefined || owner.uid === 0 ? unprivileged() : owner;
    if (!(await passable(path.dirname(base), account))) {
      if (owner !== undefined) {
        throw new StartError(
          `the user ${account.uid}, whom the database in ${base} belongs to, can not get there; type: chmod o+x on the folders above it`,
        );
      }
      // As `mktemp -d` makes it: only root can pass. The server lives in /var/tmp then.
      base = `${elsewhere}-${hash(home)}-${randomBytes(3).toString('hex')}`;
      await sweepElsewhere();
    }
  } else if (owner !== undefined && process.getuid !== undefined && owner.uid !== process.getuid()) {
    throw new StartError(
      `the database in ${base} belongs to another user (${owner.uid}); start as that user, or set TOCSIN_HOME to another folder`,
    );
  }
  try {
    await mkdir(base, { mode: root ? 0o711 : 0o700, recursive: true });
    if (base.startsWith(elsewhere)) await writeFile(path.join(base, 'home'), home);
    if (pointer?.base !== base) await writePointer(home, { base, owner: pointer?.owner ?? null });
  } catch (error) {
    throw new StartError(
      `TOCSIN_HOME: the folder ${base} can not be written (${code(error)}); set TOCSIN_HOME to a folder of yours`,
    );
  }
  const passwordFile = path.join(home, 'postgres.password');
  // `wx`: the first of several processes makes it, the others read it.
  await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return {
    home,
    base,
    data: path.join(base, 'data'),
    log: path.join(base, 'postgres.log'),
    native: await usableBinaries(binaries, base, account),
    account,
    password: await readFile(passwordFile, 'utf8'),
  };
}

/** Removes what homes left in /var/tmp that lay in the temporary folder and are gone: no one comes back to them. */
async function sweepElsewhere(): Promise<void> {
  for (const name of await readdir(path.dirname(elsewhere))) {
    const base = path.join(path.dirname(elsewhere), name);
    if (!base.startsWith(elsewhere) || (await ownerOf(base))?.uid !== 0) continue;
    const home = await readFile(path.join(base, 'home'), 'utf8').catch(() => '');
    if (!home.startsWith(`${tmpdir()}/`) || (await exists(home))) continue;
    const postmaster = await readPostmaster(path.join(base, 'data'));
    if (postmaster !== undefined && (await isPostgres(postmaster.pid))) continue;
    await rm(base, { recursive: true, force: true });
  }
}

/** Makes the data folder where there is none: in a draft that is renamed, so that a half-made one is never used. */
export async function initialise(site: Site): Promise<void> {
  if (await exists(site.data)) return;
  const draft = path.join(site.base, `data.${randomBytes(4).toString('hex')}`);
  const passwordFile = `${draft}.password`;
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordFile, site.password, { mode: 0o600 });
  await give(site, draft);
  await give(site, passwordFile);
  const options = [
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth-local=trust',
    '--auth-host=scram-sha-256',
  ];
  const { code: exit, output } = await runProgram(
    site.native,
    'initdb',
    ['-D', draft, '-U', user, `--pwfile=${passwordFile}`, '--no-instructions', '--no-sync', ...options],
    site.account,
    60_000,
  );
  await rm(passwordFile, { force: true });
  if (exit !== 0) {
    await rm(draft, { recursive: true, force: true });
    throw new StartError(`PostgreSQL could not make its data folder in ${site.base}: ${lastLine(output)}`);
  }
  await appendFile(path.join(draft, 'postgresql.conf'), `\ninclude 'tocsin.conf'\n`);
  try {
    await rename(draft, site.data);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(site.data))) throw error;
  }
}

export async function readPostmaster(data: string): Promise<Postmaster | undefined> {
  const text = await readFile(path.join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid = '', , , port = '', socketDirectory = ''] = text.split('\n');
  if (!/^-?\d+$/.test(pid)) return undefined;
  return { pid: Math.abs(Number(pid)), port: Number(port), socketDirectory };
}

export async function readPointer(home: string): Promise<Pointer | undefined> {
  const text = await readFile(path.join(home, 'postgres.json'), 'utf8').catch(() => '');
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as Pointer;
  } catch {
    throw new StartError(
      `${path.join(home, 'postgres.json')} is not readable; it says where the database is, restore it or remove ${home}`,
    );
  }
}

/** Written aside and renamed: a reader sees the old one or the new one. */
export async function writePointer(home: string, pointer: Pointer): Promise<void> {
  const file = path.join(home, 'postgres.json');
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, `${JSON.stringify(pointer)}\n`, { mode: 0o600 });
  await rename(draft, file);
}

/** An unprivileged user that exists: PostgreSQL looks itself up in the user list. */
function unprivileged(): Account {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid = '', gid = '']) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid }) => Number.isInteger(uid) && uid > 0);
  for (const wanted of ['nobody', 'daemon', 'postgres']) {
    const found = users.find(({ name }) => name === wanted);
    if (found !== undefined) return { uid: found.uid, gid: found.gid };
  }
  throw new StartError(
    'PostgreSQL refuses to run as root, and there is no user nobody or daemon; start as another user',
  );
}

async function ownerOf(folder: string): Promise<Account | undefined> {
  const found = await stat(folder).catch(() => undefined);
  return found === undefined ? undefined : { uid: found.uid, gid: found.gid };
}

/** Whether `account` may pass through `folder` and all that is above it. */
async function passable(folder: string, { uid, gid }: Account): Promise<boolean> {
  for (let at = folder; ; at = path.dirname(at)) {
    const { mode, uid: owner, gid: group } = await stat(at);
    const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** Gives a file to the user that PostgreSQL runs as. */
export async function give({ account }: Site, file: string): Promise<void> {
  if (account === undefined) return;
  await chown(file, account.uid, account.gid);
  if ((await stat(file)).isDirectory()) await chmod(file, 0o700);
}

export const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
export const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
/** Short name of a path. */
export const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
/** The code of a system error, for messages: ENOENT, EACCES. */
export const code = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';
