/**
 * Writes a database's tables and indexes to the disk each second. It stands in for a kernel that is told to write early.
 *
 * With Linux's own settings they wait for 30 s, and then half a gigabyte is written at once: each commit of the log waits
 * behind that, 100 to 200 ms once or twice a run (docs/performance.md).
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 1_000;

/** @param dataDirectory PostgreSQL's. @returns ends it; rejects when something could not be written. */
export function keepWritingBack(dataDirectory: string): () => Promise<void> {
  const stopping = new AbortController();
  const running = run(join(dataDirectory, 'base'), stopping.signal);
  running.catch(() => {});
  return async () => {
    stopping.abort();
    await running;
  };
}

async function run(folder: string, stopped: AbortSignal): Promise<void> {
  /** When each file had last changed when it was last written. */
  const written = new Map<string, number>();
  while (!stopped.aborted) {
    for (const file of await unlessGone(readdir(folder, { recursive: true }), [])) {
      if (stopped.aborted) return;
      await unlessGone(writeBack(join(folder, file), written), undefined);
    }
    await sleep(EVERY_MS, undefined, { signal: stopped }).catch(() => {});
  }
}

async function writeBack(path: string, written: Map<string, number>): Promise<void> {
  const found = await stat(path);
  if (!found.isFile() || written.get(path) === found.mtimeMs) return;
  const file = await open(path, 'r+');
  await file.datasync().finally(() => file.close());
  written.set(path, found.mtimeMs);
}

/** PostgreSQL removes files and folders of its own at any time. */
async function unlessGone<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
}
