/** The server as a process of its own, as in earnest: for the demo, for tests and for load. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_FLAGS } from './platform/index.ts';

export interface ChildServer {
  readonly pid: number;
  readonly url: string;
  readonly databaseUrl: string;
  readonly child: ChildProcess;
  /** Resolves when the process has ended, however it ended. */
  readonly exited: Promise<void>;
  /** Drains it; killed when that takes over 30 s. */
  stop(): Promise<void>;
}

/**
 * Starts `tocsin serve` on a free port with home, keyring and policies in `folder`.
 * @param env over the defaults: `DATABASE_URL` for a database that several processes share.
 * @throws when it has ended, or is not up within 60 s.
 */
export async function startChild(
  folder: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<ChildServer> {
  const child = fork(fileURLToPath(new URL('./main.ts', import.meta.url)), ['serve'], {
    execArgv: [...NODE_FLAGS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      NODE_ENV: 'demo',
      DATABASE_URL: '',
      HOST: '127.0.0.1',
      PORT: '0',
      TOCSIN_HOME: join(folder, 'home'),
      TOCSIN_KEYRING: join(folder, 'keyring'),
      TOCSIN_POLICIES: join(folder, 'policies'),
      TOCSIN_DEMO_PASSWORD: 'demo',
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'error',
      ...env,
    },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ready = await new Promise<{ url: string; databaseUrl: string }>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error('the server did not come up within 60 s'));
    }, 60_000);
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as { url: string; databaseUrl: string });
    });
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`the server ended with ${signal ?? `code ${code}`}`));
    });
  });
  return {
    ...ready,
    pid: child.pid ?? 0,
    child,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
      await exited;
      clearTimeout(timer);
    },
  };
}
