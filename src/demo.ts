/**
 * `npm run demo`: the main job on real parts, in a temporary folder on free ports, compared message by message.
 *
 * Two simulated carriers of 700 TPS; 20,000 subscribers from a CSV; a bank posts one transaction alert to each; when
 * 2,000 of those are out, an emergency broadcast to 5,000 must overtake the rest.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import logUpdate from 'log-update';
import { Pool as HttpPool } from 'undici';
import { createKey } from './access/index.ts';
import { verify } from './audit/index.ts';
import { startChild } from './child-server.ts';
import { type DemoTimes, measureDemo } from './demo-figures.ts';
import { type DemoProgress, type DemoSnapshot, liveLine, liveLines, readSnapshot, summary } from './demo-view.ts';
import { FACT_TABLES } from './facts.ts';
import { type Database, openDatabase, parseDatabaseUrl } from './platform/index.ts';
import { forkSimulator, type SimulatorProcess } from './simulator/index.ts';

export interface DemoOptions {
  json: boolean;
  subscribers?: number;
  emergency?: number;
  /** Bank alerts on the wire before the emergency is posted. */
  emergencyAfter?: number;
}

const TPS = 700;
const BINDS = ['carrier-a', 'carrier-b'] as const;
const TIME_LIMIT_MS = 150_000;
const POST_CONNECTIONS = 32;

/** Numbers kept for fiction in North America: 555-0100 to 555-0199 in each area code. */
export function fictionalNumbers(count: number): string[] {
  const numbers: string[] = [];
  for (let area = 201; numbers.length < count && area < 990; area++) {
    if (area % 100 === 11 || Math.floor(area / 10) % 10 === 9) continue;
    for (let line = 100; line < 200 && numbers.length < count; line++) numbers.push(`+1${area}5550${line}`);
  }
  return numbers;
}

/** @returns the exit code: 0 only when everything accepted is final, records and simulator agree, and the chain verifies. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const subscribers = options.subscribers ?? 20_000;
  const emergency = options.emergency ?? 5_000;
  const after = options.emergencyAfter ?? Math.min(2_000, subscribers / 2);
  const say = (text: string): void => {
    if (!options.json) console.log(text);
  };
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-demo-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const started = performance.now();
  try {
    const log = join(folder, 'simulator.jsonl');
    const sim = await forkSimulator({
      accounts: BINDS.map((systemId) => ({
        systemId,
        password: 'demo',
        tps: TPS,
        failedReceipts: { share: 0.01 },
        receipts: { delayMs: 300 },
      })),
      correlationTlv: 0x1400,
      log,
    });
    ends.push(() => sim.stop());
    await writePolicies(join(folder, 'policies'), sim.port);
    const server = await startChild(folder);
    ends.push(server.stop);
    const database = await openDatabase({ target: parseDatabaseUrl(server.databaseUrl) });
    ends.push(() => database.close());
    const key = await createKey(database, {
      organisation: 'Demo Bank',
      producer: 'demo',
      lanes: ['emergency', 'transaction'],
      scopes: ['alerts:write', 'alerts:read', 'deliveries:read', 'lists:write', 'lists:read'],
    });
    const http = new HttpPool(server.url, { connections: POST_CONNECTIONS, pipelining: 1 });
    ends.push(() => http.close());
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };

    say(`${subscribers} subscribers are imported from a CSV`);
    const numbers = fictionalNumbers(subscribers);
    const csv = `msisdn,language\n${numbers
      .slice(0, emergency)
      .map((n) => `${n},en`)
      .join('\n')}\n`;
    await request(http, 'POST', '/v1/lists/flood-area/import', { ...headers, 'content-type': 'text/csv' }, csv);
    await request(
      http,
      'POST',
      '/v1/lists/customers/import',
      { ...headers, 'content-type': 'text/csv' },
      `msisdn\n${numbers.join('\n')}\n`,
    );

    // The binds' throttles count what was sent before they came up as unknown: one window passes first.
    const times: DemoTimes = { startedAt: clockNow(), emergencyPostedAt: 0, bankAccepted: 0, emergencyAccepted: 0 };
    let posted = 0;
    const bank = (async () => {
      let next = 0;
      await Promise.all(
        Array.from({ length: POST_CONNECTIONS }, async () => {
          while (next < numbers.length) {
            const index = next++;
            await request(
              http,
              'POST',
              '/v1/alerts',
              { ...headers, 'idempotency-key': `tx-${index}` },
              JSON.stringify({
                lane: 'transaction',
                content: {
                  text: `Your card ending ${1000 + (index % 9000)} was charged ${(index % 900) + 1}.50 EUR. Not you? Call the number on your card.`,
                },
                target: { recipients: [{ msisdn: numbers[index], reference: `tx-${index}` }] },
                validFor: 'PT1H',
              }),
            );
            posted++;
          }
        }),
      );
      times.bankAccepted = posted;
    })();
    const view = showProgress(
      () => snapshot(server.url, database),
      () => ({ accepted: posted, total: subscribers, tps: TPS }),
      options.json,
    );
    ends.push(async () => view.stop());
    const limit = performance.now() + TIME_LIMIT_MS;
    while ((await received(sim)) < after && performance.now() < limit) await sleep(5);
    times.emergencyPostedAt = clockNow();
    await request(
      http,
      'POST',
      '/v1/alerts',
      { ...headers, 'idempotency-key': 'flood-1' },
      JSON.stringify({
        lane: 'emergency',
        content: {
          texts: {
            en: 'FLOOD WARNING. The river will top its banks within the hour. Move to high ground now.',
            fr: 'ALERTE INONDATION. Gagnez les hauteurs maintenant.',
          },
        },
        target: { lists: ['flood-area'] },
        validFor: 'PT30M',
      }),
    );
    times.emergencyAccepted = emergency;
    await bank;
    say('all alerts are accepted; the carriers take what their contracts allow');
    let finals = 0;
    while (performance.now() < limit) {
      const [row] = await database.pools.reader.query<{ n: number }>('SELECT count(*) AS n FROM final_state');
      finals = row?.n ?? 0;
      if (finals >= subscribers + emergency) break;
      await sleep(100);
    }
    await view.stop();
    await sim.flush();
    const report = await verify(database, FACT_TABLES);
    const figures = await measureDemo(database, log, times, BINDS, TPS);
    figures.throttled = (await sim.stats()).accounts.reduce((sum, account) => sum + account.throttled, 0);
    figures.chain = { entries: report.entries, facts: report.facts, verified: report.disagreements.length === 0 };
    figures.seconds = Math.round((performance.now() - started) / 100) / 10;
    const good =
      figures.final === figures.deliveries &&
      figures.deliveries === subscribers + emergency &&
      figures.mismatches === 0 &&
      figures.duplicates === 0 &&
      figures.chain.verified;
    console.log(options.json ? JSON.stringify(figures) : summary(figures, good));
    return good ? 0 : 1;
  } finally {
    for (const end of ends.reverse()) await end().catch((error: unknown) => console.error(String(error)));
  }
}

async function writePolicies(folder: string, port: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'lanes.yaml'), await readFile(new URL('../policies/lanes.yaml', import.meta.url)));
  await writeFile(
    join(folder, 'routing.yaml'),
    `routes:\n  - name: default\n    prefixes: ['+']\n    binds: [${BINDS.join(', ')}]\n`,
  );
  const carriers = BINDS.map(
    (name) => `  ${name}:
    host: 127.0.0.1
    port: ${port}
    systemId: ${name}
    password: { env: TOCSIN_DEMO_PASSWORD }
    tps: ${TPS}
    guard: PT0.03S
    window: 200
    claimLimit: 400
    correlationTlv: 0x1400
    defaultSender: Tocsin
`,
  );
  await writeFile(join(folder, 'carriers.yaml'), `carriers:\n${carriers.join('')}`);
}

async function request(
  pool: HttpPool,
  method: 'POST',
  path: string,
  headers: Record<string, string>,
  body: string,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const answer = await pool.request({ method, path, headers, body });
    const text = await answer.body.text();
    if (answer.statusCode < 300) return;
    if (answer.statusCode !== 503 || attempt > 50)
      throw new Error(`${method} ${path} was answered ${answer.statusCode}: ${text}`);
    await sleep(200);
  }
}

async function received(sim: SimulatorProcess): Promise<number> {
  return (await sim.stats()).accounts.reduce((sum, account) => sum + account.received, 0);
}

/** Shows how far it has come until `stop`: in place on a terminal, else a line each second, on stderr beside JSON. */
function showProgress(
  look: () => Promise<DemoSnapshot>,
  progress: () => DemoProgress,
  json: boolean,
): { stop: () => Promise<void> } {
  // A terminal that does not know its height would show nothing.
  const inPlace = !json && process.stdout.isTTY && process.stdout.rows > 0;
  const end = new AbortController();
  const running = (async () => {
    let before: DemoSnapshot | null = null;
    while (!end.signal.aborted) {
      // A look that fails is not worth ending the demo: the next one shows the state.
      const now = await look().catch(() => null);
      if (now !== null) {
        if (inPlace) logUpdate(liveLines(now, before, progress()).join('\n'));
        else (json ? console.error : console.log)(liveLine(now, before, progress()));
        before = now;
      }
      await sleep(inPlace ? 500 : 1_000, end.signal);
    }
    if (inPlace) logUpdate.done();
  })();
  return {
    stop: async () => {
      end.abort();
      await running;
    },
  };
}

async function snapshot(url: string, database: Database): Promise<DemoSnapshot> {
  const finals = await database.pools.reader.query<{ lane: string; n: number }>(
    `SELECT l.name AS lane, count(*) AS n FROM final_state f
     JOIN delivery d ON d.day = f.day AND d.id = f.delivery JOIN lane l ON l.id = d.lane GROUP BY l.name`,
  );
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return readSnapshot(metrics, new Map(finals.map(({ lane, n }) => [lane, n])), clockNow());
}

/** Ends early when `signal` is given and aborted. */
const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  wait(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
const clockNow = (): number => performance.timeOrigin + performance.now();
