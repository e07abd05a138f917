/** A server in a process of its own, `main.ts serve`, with policies that a test wrote. */
import { fork } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ServedOptions {
  /** Everything of the server is in here: `home`, `keyring`, `policies`, and `server.log` with all that it wrote. */
  folder: string;
  /** The accounts of carriers.yaml; their password is `demo`. */
  carriers: Readonly<Record<string, object>>;
  /** The routes of routing.yaml. */
  routes: readonly object[];
  /** '' for the embedded PostgreSQL of `folder`/home. */
  databaseUrl: string;
  logLevel?: string;
  /** Shows what it writes to stderr here as it comes, and not in `server.log`. */
  showStderr?: boolean;
}

export interface Served {
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** Ends it as an operator would; by force after 20 s. @returns its exit code, or the signal that ended it. */
  stop(): Promise<number | string | null>;
  /** kill -9. @returns 'SIGKILL', or how it had ended before. */
  kill(): Promise<number | string | null>;
  /** SIGSTOP, or SIGCONT. */
  freeze(): void;
  thaw(): void;
}

const START_MS = 30_000;
const STOP_MS = 20_000;

/**
 * The lanes are those of the repository. A folder may be served again, after the end of the server before.
 *
 * @throws Error with what the server wrote when it does not come up
 */
export async function serve(options: ServedOptions): Promise<Served> {
  const { folder } = options;
  const policies = join(folder, 'policies');
  await mkdir(policies, { recursive: true });
  await writeFile(join(policies, 'lanes.yaml'), await readFile(new URL('../../policies/lanes.yaml', import.meta.url)));
  const carriers = Object.entries(options.carriers).map(([name, fields]) => [
    name,
    { systemId: name, password: { env: 'PW' }, ...fields },
  ]);
  // JSON is YAML.
  await writeFile(join(policies, 'carriers.yaml'), JSON.stringify({ carriers: Object.fromEntries(carriers) }));
  await writeFile(join(policies, 'routing.yaml'), JSON.stringify({ routes: options.routes }));
  const logFile = join(folder, 'server.log');
  const log = openSync(logFile, 'a', 0o600);
  const child = fork(fileURLToPath(new URL('../../src/main.ts', import.meta.url)), ['serve'], {
    execArgv: [],
    stdio: ['ignore', log, options.showStderr === true ? 'inherit' : log, 'ipc'],
    env: {
      ...process.env,
      NODE_ENV: 'test',
      DATABASE_URL: options.databaseUrl,
      HOST: '127.0.0.1',
      PORT: '0',
      TOCSIN_HOME: join(folder, 'home'),
      TOCSIN_KEYRING: join(folder, 'keyring'),
      TOCSIN_POLICIES: policies,
      PW: 'demo',
      LOG_LEVEL: options.logLevel ?? 'error',
    },
  });
  closeSync(log);
  const ended = new Promise<number | string | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  );
  const stop = async (): Promise<number | string | null> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const end = await ended;
    clearTimeout(timer);
    return end;
  };
  const kill = async (): Promise<number | string | null> => {
    child.kill('SIGKILL');
    return await ended;
  };
  const ready = Promise.withResolvers<{ url: string }>();
  const timer = setTimeout(() => ready.reject(new Error(`it was not up within ${START_MS} ms`)), START_MS);
  child.once('message', (message) => ready.resolve(message as { url: string }));
  void ended.then((end) => ready.reject(new Error(`it ended with ${end}`)));
  try {
    const { url } = await ready.promise;
    const freeze = (): void => void child.kill('SIGSTOP');
    const thaw = (): void => void child.kill('SIGCONT');
    return { url, pid: child.pid ?? 0, logFile, stop, kill, freeze, thaw };
  } catch (error) {
    await stop();
    throw new Error(`no server: ${(error as Error).message}\n${await readFile(logFile, 'utf8')}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
