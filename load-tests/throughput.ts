/**
 * A list, posted as one bulk alert, through to final state: fan-out, dispatch, a simulated carrier with immediate
 * receipts, journal and chain, all on this machine. Every delivery is compared with the simulator's ledger.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKey } from '../src/access/index.ts';
import { verify } from '../src/audit/index.ts';
import { startChild } from '../src/demo.ts';
import { FACT_TABLES } from '../src/facts.ts';
import { openDatabase, parseDatabaseUrl } from '../src/platform/index.ts';
import { forkSimulator, readLedger } from '../src/simulator/index.ts';
import { ledgerBaseline, smppPackageBaseline } from './baselines.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface ThroughputFigures {
  scenario: 'throughput';
  messages: number;
  seconds: number;
  messagesPerSecond: number;
  baseline: { smppPackagePerSecond: number; ledgerPerSecond: number };
  correct: boolean;
  rssMbMax: number;
}

export async function throughput(options: Record<string, string>): Promise<ThroughputFigures> {
  const messages = Number(options.messages ?? 200_000);
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-load-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const baseline = {
      smppPackagePerSecond: await smppPackageBaseline(50_000),
      ledgerPerSecond: await ledgerBaseline(join(folder, 'ledger'), 100_000),
    };
    const ledger = join(folder, 'submits');
    const sim = await forkSimulator({
      accounts: [{ systemId: 'load', password: 'demo' }],
      correlationTlv: 0x1400,
      ledger,
    });
    ends.push(() => sim.stop());
    await policies(join(folder, 'policies'), sim.port);
    const server = await startChild(folder);
    ends.push(server.stop);
    const database = await openDatabase({ target: parseDatabaseUrl(server.databaseUrl) });
    ends.push(() => database.close());
    const key = await createKey(database, {
      organisation: 'Load',
      producer: 'load',
      lanes: ['bulk'],
      scopes: ['alerts:write', 'alerts:read', 'lists:write'],
    });
    const headers = { authorization: `Bearer ${key}` };
    // Numbers that never leave this machine: the simulated carrier listens on loopback alone.
    const rows = Array.from({ length: messages }, (_, index) => `+447700${String(index).padStart(6, '0')}`);
    const put = await fetch(`${server.url}/v1/lists/all/import`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'text/csv' },
      body: `msisdn\n${rows.join('\n')}\n`,
    });
    if (!put.ok) throw new Error(`the list was answered ${put.status}: ${await put.text()}`);
    let rssMbMax = 0;
    const watch = setInterval(() => void rssMb(server.pid).then((mb) => (rssMbMax = Math.max(rssMbMax, mb))), 200);
    ends.push(async () => clearInterval(watch));
    const from = performance.now();
    const post = await fetch(`${server.url}/v1/alerts`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({
        lane: 'bulk',
        content: { text: 'Your statement is ready in the app.' },
        target: { lists: ['all'] },
        validFor: 'PT1H',
      }),
    });
    if (post.status !== 202) throw new Error(`the alert was answered ${post.status}: ${await post.text()}`);
    let finals = 0;
    while (finals < messages && performance.now() - from < 180_000) {
      await sleep(100);
      const [row] = await database.pools.reader.query<{ n: number }>('SELECT count(*) AS n FROM final_state');
      finals = row?.n ?? 0;
    }
    const seconds = (performance.now() - from) / 1_000;
    await sim.flush();
    const sent = new Set<number>();
    let repeats = 0;
    await readLedger(ledger, ({ delivery }) => {
      if (delivery === null) return;
      if (sent.has(delivery)) repeats++;
      sent.add(delivery);
    });
    const report = await verify(database, FACT_TABLES);
    const correct = finals === messages && sent.size === messages && repeats === 0 && report.verified;
    return {
      scenario: 'throughput',
      messages,
      seconds: Math.round(seconds * 100) / 100,
      messagesPerSecond: Math.round(messages / seconds),
      baseline,
      correct,
      rssMbMax: Math.round(rssMbMax),
    };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function policies(folder: string, port: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'lanes.yaml'), await readFile(new URL('../policies/lanes.yaml', import.meta.url)));
  await writeFile(join(folder, 'routing.yaml'), `routes:\n  - name: default\n    prefixes: ['+']\n    binds: [load]\n`);
  await writeFile(
    join(folder, 'carriers.yaml'),
    `carriers:
  load:
    host: 127.0.0.1
    port: ${port}
    systemId: load
    password: { env: TOCSIN_DEMO_PASSWORD }
    tps: 200000
    window: 2000
    claimLimit: 8000
    correlationTlv: 0x1400
    defaultSender: Tocsin
`,
  );
}

/** Resident memory of a process in MB; 0 where the system doesn't tell. */
async function rssMb(pid: number): Promise<number> {
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '');
  return (Number(statm.split(' ')[1] ?? 0) * 4_096) / 1e6;
}
