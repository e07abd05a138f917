/** Files of row errors: written during an import, sent, and removed; a process that is killed leaves them behind. */
import { randomUUID } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EpochMs } from '../platform/index.ts';

/** Longer than any import takes between two rows that are wrong: until then the file may be some process's own. */
const KEEP_MS = 86_400_000;
const NAME = /^tocsin-import-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.csv$/;

/** A new file's name. The folder may be everyone's, so the name says whose it is. */
export const spoolFile = (folder: string): string => join(folder, `tocsin-import-${randomUUID()}.csv`);

/** Removes files of a day ago and older. Gives how many. For a timer. */
export async function sweepSpool(folder: string, now: EpochMs): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    if (!NAME.test(name)) continue;
    const path = join(folder, name);
    const file = await lstat(path).catch(() => null);
    if (file === null || !file.isFile() || now - file.mtimeMs <= KEEP_MS) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}
