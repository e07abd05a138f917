/**
 * Kannel's processes: one bearerbox (SMPP) and any number of smsboxes (HTTP), set to be fast: no store file, no access log,
 * nothing logged below a panic, no throughput limit, a window of 500, receipts kept in memory. Or with its stores on disk,
 * so that its own end loses nothing (a file each, which it does not sync). Debian: kannel, kannel-extras.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { atEnd } from '../ends.ts';

export interface KannelOptions {
  /** For its configuration. */
  folder: string;
  /** The SMSC on 127.0.0.1, and the account there. */
  smscPort: number;
  systemId: string;
  password: string;
  smsboxes: number;
  /** Messages and receipts are kept in files until they have ended. */
  stored?: boolean | undefined;
}

export interface Kannel {
  readonly version: string;
  /** Where bearerbox listens for boxes. */
  readonly boxPort: number;
  /** Where each smsbox takes /cgi-bin/sendsms. */
  readonly ports: readonly number[];
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export const KANNEL_USER = { username: 'load', password: 'load' };
/** Unanswered submit_sm: Kannel's own default is 10. */
const WINDOW = 500;
/** A level above all of its messages but panics. */
const QUIET = '4';
const BEARERBOX = '/usr/sbin/bearerbox';
const SMSBOX = '/usr/sbin/smsbox';
const INSTALL_MS = 180_000;
const UP_MS = 15_000;
const STOP_MS = 5_000;
/** Folders of what is stored. */
const STORES = ['messages', 'receipts'] as const;

/**
 * Installs it where it is missing and that is possible.
 * @returns why it can not be used here; null when it can.
 */
export async function installKannel(): Promise<string | null> {
  if (existsSync(BEARERBOX) && existsSync(SMSBOX)) return null;
  const type = 'type as root, on Debian or Ubuntu: apt-get install kannel kannel-extras';
  if (process.platform !== 'linux' || !existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0)
    return `Kannel is not on this machine; ${type}`;
  try {
    await promisify(execFile)(
      'apt-get',
      ['install', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=30', 'kannel', 'kannel-extras'],
      { timeout: INSTALL_MS, killSignal: 'SIGKILL', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
    );
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    const last = stderr.trim().split('\n').at(-1);
    return `Kannel could not be installed (${last === undefined || last === '' ? message : last}); ${type}`;
  }
  return existsSync(BEARERBOX) && existsSync(SMSBOX) ? null : `apt-get installed no ${BEARERBOX}; ${type}`;
}

/** @throws Error when it does not come up. */
export async function startKannel(options: KannelOptions): Promise<Kannel> {
  const admin = await freePort();
  const boxPort = await freePort();
  const ports: number[] = [];
  for (let n = 0; n < options.smsboxes; n++) ports.push(await freePort());
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    forget();
    // The smsboxes first: a bearerbox waits for them.
    for (const child of children.splice(0).reverse()) await end(child);
  };
  const forget = atEnd(stop);
  const start = async (program: string, name: string, config: string): Promise<void> => {
    const path = join(options.folder, name);
    await writeFile(path, config, { mode: 0o600 });
    const child = spawn(program, ['-v', QUIET, path], { stdio: ['ignore', 'ignore', 'ignore'] });
    child.on('error', () => {});
    children.push(child);
  };
  try {
    if (options.stored === true) {
      for (const store of STORES) await mkdir(join(options.folder, store));
    }
    const core = coreConfig(admin, boxPort, options);
    // Each reads what is meant for it; bearerbox does not start without a group for some smsbox.
    const configs = ports.map((port, n) => `${core}\n${smsboxConfig(boxPort, port, n)}`);
    await start(BEARERBOX, 'bearerbox.conf', configs[0] as string);
    await listens(boxPort);
    for (const [n, config] of configs.entries()) await start(SMSBOX, `smsbox-${n}.conf`, config);
    for (const port of ports) await listens(port);
    await online(admin);
    const { stdout, stderr } = await promisify(execFile)(BEARERBOX, ['--version']).catch((error) => error);
    return {
      version: /version `([\d.]+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown',
      boxPort,
      ports,
      pids: children.flatMap(({ pid }) => pid ?? []),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function coreConfig(admin: number, boxPort: number, options: KannelOptions): string {
  const { smscPort, systemId, password } = options;
  return `group = core
admin-port = ${admin}
admin-interface = 127.0.0.1
admin-password = ${KANNEL_USER.password}
smsbox-port = ${boxPort}
smsbox-interface = 127.0.0.1
smsbox-max-pending = 1000
box-allow-ip = "127.0.0.1"
${options.stored === true ? spools(options.folder) : 'dlr-storage = internal'}
log-level = ${QUIET}

group = smsc
smsc = smpp
smsc-id = sim
host = 127.0.0.1
port = ${smscPort}
transceiver-mode = true
smsc-username = ${systemId}
smsc-password = ${password}
system-type = ""
interface-version = 34
max-pending-submits = ${WINDOW}
enquire-link-interval = 30
log-level = ${QUIET}
`;
}

function spools(folder: string): string {
  const [messages, receipts] = STORES.map((store) => join(folder, store));
  return `store-type = spool
store-location = "${messages}"
store-dump-freq = 1
dlr-storage = spool
dlr-spool = "${receipts}"`;
}

function smsboxConfig(boxPort: number, port: number, n: number): string {
  return `group = smsbox
smsbox-id = box${n}
bearerbox-host = 127.0.0.1
bearerbox-port = ${boxPort}
sendsms-port = ${port}
sendsms-interface = 127.0.0.1
max-pending-requests = 1000
log-level = ${QUIET}

group = sendsms-user
username = ${KANNEL_USER.username}
password = ${KANNEL_USER.password}
max-messages = 10
`;
}

/** Until bearerbox says that its link to the SMSC is up. */
async function online(admin: number): Promise<void> {
  for (const until = performance.now() + UP_MS; performance.now() < until; await sleep(100)) {
    const text = await fetch(`http://127.0.0.1:${admin}/status.txt?password=${KANNEL_USER.password}`)
      .then((answer) => answer.text())
      .catch(() => '');
    if (/\(online \d+s/.test(text)) return;
  }
  throw new Error('Kannel did not bind to the SMSC in time');
}

async function listens(port: number): Promise<void> {
  for (const until = performance.now() + UP_MS; performance.now() < until; await sleep(50)) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      const over = (result: boolean): void => {
        socket.destroy();
        resolve(result);
      };
      socket.once('connect', () => over(true)).once('error', () => over(false));
    });
    if (up) return;
  }
  throw new Error(`Kannel does not listen on ${port}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
