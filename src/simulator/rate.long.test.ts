/**
 * What one core of the simulator bears: a bare client in this process, the simulator in its own. The rate counts its
 * processor time and not the clock on the wall, so that another program on the same two cores does not change it much.
 */
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { expect, test } from 'vitest';
import { forkSimulator } from './child.ts';
import type { SimulatorInput } from './options.ts';
import { load } from './testing-load.ts';

const goal = 60_000;
const ticksPerSecond = 100;

async function cpuSeconds(pid: number): Promise<number> {
  // After the name in parentheses: state is field 3, utime and stime are 14 and 15 (proc(5)).
  const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

const accounts: [string, Partial<SimulatorInput['accounts'][number]>][] = [
  ['receipts in text and TLVs', {}],
  ['receipts in text', { receipts: { form: 'text' } }],
  ['a TPS limit that is not reached', { tps: 900_000 }],
  ['receipts after 100 ms', { receipts: { delayMs: 100 } }],
  ['answers after 20 ms', { faults: { slowMs: 20 } }],
  ['answers out of order, ids in hex and decimal', { faults: { reorder: 10, idForm: 'hex-decimal' } }],
  ['a dialect, every receipt twice', { faults: { receiptDialect: 'four-digit-years', receiptsTwice: true } }],
];

test.skipIf(process.platform !== 'linux').each(accounts)(
  `takes ${goal} submit_sm a second and core, with their receipts: %s`,
  { timeout: 120_000 },
  async (name, account) => {
    await using ends = new AsyncDisposableStack();
    const simulator = await forkSimulator({ accounts: [{ systemId: 'load', ...account }] });
    ends.defer(() => simulator.stop());
    const receipts = account.faults?.receiptsTwice === true ? 2 : 1;
    await load(simulator.port, { messages: 50_000, window: 1_000, receipts });
    const before = await cpuSeconds(simulator.pid);
    const result = await load(simulator.port, { messages: 300_000, window: 1_000, receipts });
    const cpu = (await cpuSeconds(simulator.pid)) - before;
    const perCore = Math.round(result.messages / cpu);
    console.log(
      JSON.stringify({
        name,
        messagesPerCoreSecond: perCore,
        messagesPerSecond: Math.round(result.messages / result.seconds),
        cpuUsPerMessage: Math.round((cpu / result.messages) * 1e7) / 10,
        loadAverage: os.loadavg()[0]?.toFixed(2),
        cores: os.cpus().length,
      }),
    );
    const [stats] = (await simulator.stats()).accounts;
    expect(stats).toMatchObject({ received: 350_000, accepted: 350_000, receipts: { answered: 350_000 * receipts } });
    expect(perCore).toBeGreaterThanOrEqual(goal);
  },
);
