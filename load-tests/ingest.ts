/**
 * Alerts to one number each, as a bank's core system posts them, through to final state: HTTP, intake, dispatch, a
 * simulated carrier with immediate receipts, journal and chain, and the client itself, all on this machine.
 *
 * | phase | what | figure |
 * |---|---|---|
 * | singles | POSTs on keep-alive connections, each with an Idempotency-Key, as fast as they are answered | `messagesPerSecond`, first POST to last final state |
 * | paced | POSTs at half that rate | `acceptMs`: from when a POST was due to its 202 |
 * | batch | POST /v1/alerts/batch, a few streams | `batchPerSecond`, first line to last final state |
 *
 * Every alert has a text, a number and a key of its own, and no number was known before. Each one answered 202 must have
 * reached the carrier once and be final.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type CpuPerMessage, watchCpu } from './cpu.ts';
import { type ProcessFigures, round } from './gauges.ts';
import type { ClientJob, ClientResult } from './ingest-client.ts';
import { openRig, type Rig } from './rig.ts';

export interface IngestFigures extends ProcessFigures {
  scenario: 'ingest';
  correct: boolean;
  messages: number;
  seconds: number;
  /** Single POSTs, through to final state. */
  messagesPerSecond: number;
  /** Single POSTs, answered 202. */
  acceptedPerSecond: number;
  batchPerSecond: number;
  /** At half of `messagesPerSecond`. */
  acceptMs: { p50: number; p95: number; p99: number; max: number };
  cpuUsPerMessage: { singles: CpuUs; paced: CpuUs; batch: CpuUs };
}

type CpuUs = CpuPerMessage & { client: number };

const WARM_UP = 4_000;
const PACED_S = 8;
const WITHIN_MS = 60_000;
const CLIENT_MS = 60_000;

export async function ingest(options: Record<string, string>): Promise<IngestFigures> {
  const messages = Number(options.messages ?? 40_000);
  const connections = Number(options.connections ?? 256);
  const streams = Number(options.streams ?? 4);
  const rig = await openRig({
    accounts: [{ systemId: 'load' }],
    carriers: { load: { tps: 200_000, window: 2_000, claimLimit: 8_000 } },
  });
  const client = fork(fileURLToPath(new URL('./ingest-client.ts', import.meta.url)), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const from = performance.now();
    const key = await rig.key(['transaction']);
    const common = { port: Number(new URL(rig.servers[0]?.url ?? '').port), key, connections };
    const pids = {
      gateway: rig.servers.map(({ pid }) => pid),
      dataDirectory: rig.postgres.dataDirectory,
      simulator: rig.sim.pid,
    };
    const ids: string[] = [];
    /** Runs a job, and waits until what it sent is final. */
    const phase = async (job: Omit<ClientJob, 'port' | 'key' | 'first'>) => {
      const used = await watchCpu(pids);
      const started = performance.now();
      const result = await ask(client, { ...common, ...job, first: ids.length });
      if (result.ids.length !== job.count) throw new Error(`refused: ${JSON.stringify(result.refused)}`);
      ids.push(...result.ids);
      await rig.untilFinal(ids.length, WITHIN_MS);
      const perSecond = job.count / ((performance.now() - started) / 1_000);
      const cpuUs = { ...(await used(job.count)), client: round(result.cpuUs / job.count) };
      return { ...result, perSecond, cpuUs };
    };
    await phase({ kind: 'single', count: WARM_UP, connections, perSecond: null });
    const singles = await phase({ kind: 'single', count: messages, connections, perSecond: null });
    const half = singles.perSecond / 2;
    const paced = await phase({ kind: 'single', count: Math.round(half * PACED_S), connections, perSecond: half });
    const batch = await phase({ kind: 'batch', count: messages, connections: streams, perSecond: null });
    const figures = await rig.figures();
    return {
      scenario: 'ingest',
      correct: (await eachOnce(rig, ids)) && (await rig.verified()),
      messages: ids.length,
      seconds: round((performance.now() - from) / 1_000),
      messagesPerSecond: Math.round(singles.perSecond),
      acceptedPerSecond: Math.round(messages / singles.seconds),
      batchPerSecond: Math.round(batch.perSecond),
      acceptMs: percentiles(paced.acceptMs),
      cpuUsPerMessage: { singles: singles.cpuUs, paced: paced.cpuUs, batch: batch.cpuUs },
      ...figures,
    };
  } finally {
    client.disconnect();
    await rig.close();
  }
}

function ask(client: ChildProcess, job: ClientJob): Promise<ClientResult> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the client did not finish in time')), CLIENT_MS);
    const onExit = (): void => reject(new Error('the client ended before it was done'));
    client.once('exit', onExit);
    client.once('message', (result: ClientResult) => {
      clearTimeout(timer);
      client.off('exit', onExit);
      resolve(result);
    });
    client.send(job);
  });
}

/** Every alert that was answered 202 has one delivery, which is final and reached the carrier once; and no other did. */
async function eachOnce(rig: Rig, ids: readonly string[]): Promise<boolean> {
  const rows = await rig.database.pools.control.query<{ alert: string; id: number }>(
    'SELECT d.alert, d.id FROM delivery d JOIN final_state f ON f.day = d.day AND f.delivery = d.id',
  );
  const final = new Map(rows.map(({ id, alert }) => [id, alert]));
  const accepted = new Set(ids);
  const sent = new Set<number>();
  let strangers = 0;
  await rig.submits(({ delivery }) => {
    const alert = delivery === null ? undefined : final.get(delivery);
    if (alert === undefined || !accepted.has(alert) || sent.has(delivery as number)) strangers++;
    else sent.add(delivery as number);
  });
  return accepted.size === ids.length && rows.length === ids.length && sent.size === ids.length && strangers === 0;
}

function percentiles(sorted: readonly number[]): IngestFigures['acceptMs'] {
  const at = (share: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: round(sorted.at(-1) ?? 0) };
}
