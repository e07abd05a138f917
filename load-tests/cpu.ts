/** CPU time of the processes that carry a scenario: beside other work on the machine it says more than a rate does. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { round } from './gauges.ts';

/** USER_HZ: what Linux counts in /proc in, on every architecture that Node runs on. */
const TICK_US = 10_000;

/** Microseconds of CPU, user and system, a message. 0 where the system doesn't tell. */
export interface CpuPerMessage {
  /** All servers together. */
  gateway: number;
  /** PostgreSQL with all its processes, those that have ended included. */
  database: number;
  simulator: number;
}

export interface CpuPids {
  readonly gateway: readonly number[];
  readonly dataDirectory: string;
  readonly simulator: number;
}

/** Reads the clocks now; what is called later gives what was used since, for `messages`. */
export async function watchCpu(pids: CpuPids): Promise<(messages: number) => Promise<CpuPerMessage>> {
  const postmaster = Number((await readFile(join(pids.dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const read = async (): Promise<CpuPerMessage> => {
    const gateway = await Promise.all(pids.gateway.map(usedBy));
    return {
      gateway: gateway.reduce((sum, { own }) => sum + own, 0),
      database: await usedByTree(postmaster),
      simulator: (await usedBy(pids.simulator)).own,
    };
  };
  const from = await read();
  return async (messages) => {
    const to = await read();
    const per = (name: keyof CpuPerMessage): number => round((to[name] - from[name]) / messages);
    return { gateway: per('gateway'), database: per('database'), simulator: per('simulator') };
  };
}

/** Of one process and of its children that it has seen the end of, microseconds; proc(5). */
async function usedBy(pid: number): Promise<{ parent: number; own: number; ended: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the name, and may hold anything; behind its bracket the third field follows.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const at = (field: number): number => Number(fields[field - 3] ?? 0);
  return { parent: at(4), own: (at(14) + at(15)) * TICK_US, ended: (at(16) + at(17)) * TICK_US };
}

async function usedByTree(parent: number): Promise<number> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const children = (await Promise.all(pids.map(usedBy))).filter((each) => each.parent === parent);
  const { own, ended } = await usedBy(parent);
  return children.reduce((sum, child) => sum + child.own, own + ended);
}
