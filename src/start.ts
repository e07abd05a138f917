/** `npm start`: the server with a simulated carrier beside it, a test key made once, and a command to paste. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKey } from './access/index.ts';
import { createLog, readConfig } from './platform/index.ts';
import { startServer } from './server.ts';
import { type ArrivedMessage, forkSimulator } from './simulator/index.ts';

const SCOPES = ['alerts:write', 'alerts:read', 'deliveries:read', 'lists:write', 'lists:read', 'dispatch:read'];
const LANES = ['emergency', 'security', 'transaction', 'bulk'];

export async function start(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(process.env.LOG_LEVEL === undefined ? 'warn' : config.logLevel);
  const simulator = await forkSimulator(
    {
      accounts: [{ systemId: 'demo-a', password: 'demo', tps: 700, receipts: { delayMs: 500 } }],
      correlationTlv: 0x1400,
    },
    { onMessage: show },
  );
  const env = {
    ...process.env,
    TOCSIN_DEMO_A_PASSWORD: 'demo',
    TOCSIN_DEMO_A_HOST: '127.0.0.1',
    TOCSIN_DEMO_A_PORT: String(simulator.port),
  };
  const server = await startServer({ config, env, log }).catch(async (error: unknown) => {
    await simulator.stop();
    throw error;
  });
  server.shutdown.add('simulator', 50, () => simulator.stop());
  server.shutdown.onSignals((code) => process.exit(code));
  const keyFile = join(config.home, 'test-key');
  const kept = await readFile(keyFile, 'utf8').catch(() => null);
  const key =
    kept?.trim() ??
    (await createKey(server.database, { organisation: 'Test', producer: 'test', lanes: LANES, scopes: SCOPES }));
  if (kept === null) await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  console.log(`
Tocsin listens on ${server.url}
  API page   ${server.url}/docs
  test key   ${key}   (kept in ${keyFile})

Send an alert:

curl -s ${server.url}/v1/alerts -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\
  -d '{"lane":"transaction","content":{"text":"Your card was charged 42.10 EUR."},"target":{"recipients":[{"msisdn":"+12015550123"}]}}'

See what the carrier and the lanes are doing:

TOCSIN_URL=${server.url} TOCSIN_KEY='${key}' npm run tocsin -- top

Each message that reaches the simulated carrier is shown here. Ctrl-C stops.
`);
}

function show(message: ArrivedMessage): void {
  const parts = message.segments > 1 ? ` (${message.segments} segments)` : '';
  console.log(`→ ${message.to} from ${message.from}, priority ${message.priorityFlag}${parts}: ${message.text}`);
}
