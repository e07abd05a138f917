import { readFile } from 'node:fs/promises';

/** One process: its id alone may be another's by now; with its start it is this one. */
export interface ProcessMark {
  pid: number;
  startedAt: string;
}

/** What Linux says of a process: its name, and the instant of its start. Undefined elsewhere, and when it is gone. */
async function statOf(pid: number): Promise<{ name: string; startedAt: string } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state = '', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Z: dead, and its parent has not asked yet; where process 1 never asks (some containers) it stays so for ever.
  if (text === '' || state === 'Z' || state === 'X') return undefined;
  return { name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')), startedAt: fields[18] ?? '' };
}

/** Whether the process is a living PostgreSQL. Where that can't be seen, any living process counts. */
export async function isPostgres(pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return isRunning(pid);
  return (await statOf(pid))?.name.startsWith('postgres') === true;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return code(error) === 'EPERM';
  }
}

export async function markOf(pid: number): Promise<ProcessMark> {
  return { pid, startedAt: (await statOf(pid))?.startedAt ?? '' };
}

export async function alive(mark: ProcessMark | null): Promise<boolean> {
  if (mark === null) return false;
  if (process.platform !== 'linux') return isRunning(mark.pid);
  return (await statOf(mark.pid))?.startedAt === mark.startedAt;
}

const code = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';
