/**
 * A list, posted as one bulk alert, through to final state: fan-out, dispatch, a simulated carrier with immediate
 * receipts, journal and chain, all on this machine, after a smaller one for warm-up. Every delivery is compared with the
 * simulator's ledger.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ledgerBaseline, rawWireBaseline, smppPackageBaseline } from './baselines.ts';
import { type CpuPerMessage, watchCpu } from './cpu.ts';
import { atEnd } from './ends.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { openRig } from './rig.ts';

export interface ThroughputFigures extends ProcessFigures {
  scenario: 'throughput';
  correct: boolean;
  messages: number;
  seconds: number;
  messagesPerSecond: number;
  /** From the POST to the last final state. */
  cpuUsPerMessage: CpuPerMessage;
  /** `ledgerPerSecond` by one connection, as `ledger-limit` has it unless told otherwise. */
  baseline: {
    ledgerPerSecond: number;
    ledgerTwoConnectionsPerSecond: number;
    smppPackagePerSecond: number;
    wirePerSecond: number;
  };
}

const WITHIN_MS = 180_000;
const WARM_UP = 30_000;

export async function throughput(options: Record<string, string>): Promise<ThroughputFigures> {
  const messages = Number(options.messages ?? 500_000);
  const baseline = await baselines(messages);
  const rig = await openRig({
    accounts: [{ systemId: 'load' }],
    carriers: { load: { tps: 200_000, window: 2_000, sessions: 2, claimLimit: 8_000 } },
  });
  try {
    const key = await rig.key(['bulk']);
    await rig.list('warm-up', key, WARM_UP, messages);
    await rig.list('all', key, messages);
    const send = (list: string): Promise<unknown> =>
      rig.post('/v1/alerts', key, {
        lane: 'bulk',
        content: { text: 'Your statement is ready in the app.' },
        target: { lists: [list] },
        validFor: 'PT1H',
      });
    await send('warm-up');
    await rig.untilFinal(WARM_UP, WITHIN_MS);
    const used = await watchCpu({
      gateway: rig.servers.map(({ pid }) => pid),
      dataDirectory: rig.postgres.dataDirectory,
      simulator: rig.sim.pid,
    });
    const from = performance.now();
    await send('all');
    await rig.untilFinal(WARM_UP + messages, WITHIN_MS);
    const seconds = (performance.now() - from) / 1_000;
    const cpuUsPerMessage = await used(messages);
    const figures = await rig.figures();
    const sent = new Set<number>();
    let repeats = 0;
    await rig.submits(({ delivery }) => {
      if (delivery === null) return;
      if (sent.has(delivery)) repeats++;
      sent.add(delivery);
    });
    return {
      scenario: 'throughput',
      correct: sent.size === WARM_UP + messages && repeats === 0 && (await rig.verified()),
      messages,
      seconds: round(seconds),
      messagesPerSecond: Math.round(messages / seconds),
      cpuUsPerMessage,
      baseline,
      ...figures,
    };
  } finally {
    await rig.close();
  }
}

/** One after the other, and each alone on the machine. */
async function baselines(messages: number): Promise<ThroughputFigures['baseline']> {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-ledger-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  const forget = atEnd(remove);
  try {
    return {
      ledgerPerSecond: await ledgerBaseline(join(folder, 'one'), messages, 1),
      ledgerTwoConnectionsPerSecond: await ledgerBaseline(join(folder, 'two'), messages, 2),
      smppPackagePerSecond: await smppPackageBaseline(50_000),
      wirePerSecond: await rawWireBaseline(500_000),
    };
  } finally {
    forget();
    await remove();
  }
}
