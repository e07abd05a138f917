/**
 * What a scenario stands on: a PostgreSQL of its own, simulated carriers in processes of their own, and one or more
 * servers as in earnest, all on loopback and in a temporary folder. `close` ends everything and removes the folder.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { createKey } from '../src/access/index.ts';
import { verify } from '../src/audit/index.ts';
import { type ChildServer, startChild } from '../src/child-server.ts';
import { FACT_TABLES } from '../src/facts.ts';
import {
  type ConnectionTarget,
  type Database,
  databaseUrl,
  type EmbeddedServer,
  openDatabase,
  startEmbedded,
} from '../src/platform/index.ts';
import type { LaneName } from '../src/policy/index.ts';
import { forkSimulator, type LedgerRecord, readLedger, type SimulatorProcess } from '../src/simulator/index.ts';
import { atEnd } from './ends.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { msisdn } from './numbers.ts';
import { keepWritingBack } from './write-back.ts';

/** The optional parameter in which submit_sm carry `delivery.attempt.segment`, for comparison message by message. */
export const CORRELATION_TLV = 0x1400;

export interface RigOptions {
  /** Accounts of the simulated SMSC; each needs a carrier of the same name. The password of all is `demo`. */
  accounts: readonly ({ systemId: string } & Record<string, unknown>)[];
  /** Fields of carriers.yaml by carrier, over the defaults below. */
  carriers: Readonly<Record<string, Record<string, unknown>>>;
  /** routing.yaml's routes; one for every number and all carriers when absent. */
  routes?: readonly Record<string, unknown>[];
  /** Changes lanes.yaml (a copy of policies/lanes.yaml, parsed). */
  lanes?: (lanes: Record<string, Record<string, unknown>>) => void;
  /** Servers that share the database. Default 1. */
  servers?: number;
  /** Environment of every server. */
  env?: Readonly<Record<string, string>>;
  /**
   * Segments of WAL that are there to be used again, as in a database that has been at work for a while: in a new one each
   * is made and filled when it is needed, and every commit waits for it.
   */
  recycledWal?: number;
  /** The disk gets what is written within a second (write-back.ts). */
  writeBack?: boolean;
  /** PostgreSQL's settings, over those of the embedded one: to measure with others, or to ask for more statistics. */
  settings?: Record<string, string>;
}

export interface Rig {
  readonly folder: string;
  readonly sim: SimulatorProcess;
  readonly servers: ChildServer[];
  readonly postgres: EmbeddedServer;
  readonly target: ConnectionTarget;
  /** For the scenario's own questions. */
  readonly database: Database;
  /** One more server on the same database. */
  addServer(env?: Readonly<Record<string, string>>): Promise<ChildServer>;
  key(lanes: readonly LaneName[]): Promise<string>;
  /** POSTs JSON to the first server (or `to`) with a key; throws unless it is answered 2xx. */
  post(path: string, key: string, body: unknown, to?: ChildServer): Promise<unknown>;
  /** Imports `count` numbers, from `first` on, as a list. Numbers never leave this machine. */
  list(name: string, key: string, count: number, first?: number): Promise<void>;
  /** Resolves as soon as `count` deliveries are final, or throws. */
  untilFinal(count: number, withinMs: number): Promise<void>;
  /** Every submit_sm that the SMSC accepted, in the order of their arrival. */
  submits(each: (record: Readonly<LedgerRecord>) => void): Promise<void>;
  /** All chains and facts agree. */
  verified(): Promise<boolean>;
  /** Memory and delay of the event loop of the worst server since the rig stands. */
  figures(): Promise<ProcessFigures>;
  close(): Promise<void>;
}

const WATCH_MS = 250;
/** Of WAL, in a database made by initdb. */
const SEGMENT_MB = 16;

/** Uses so many segments and gives them back. */
async function makeWal(target: ConnectionTarget, segments: number): Promise<void> {
  const database = await openDatabase({ target, applicationName: 'load' });
  try {
    const { control } = database.pools;
    for (let n = 0; n < segments; n++) {
      await control.query("SELECT pg_logical_emit_message(false, 'load', 'a segment')");
      await control.query('SELECT pg_switch_wal()');
    }
    await control.query('CHECKPOINT');
  } finally {
    await database.close();
  }
}

export async function openRig(options: RigOptions): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-load-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  let closed = false;
  const close = async (): Promise<void> => {
    closed = true;
    forget();
    const failures: unknown[] = [];
    for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  const forget = atEnd(close);
  /** Waits until something is open; `close` ends it too when it comes only then. */
  const open = async <T>(opening: Promise<T>, end: (opened: T) => Promise<unknown>): Promise<T> => {
    ends.push(() => opening.then(end, () => {}));
    const opened = await opening;
    if (closed) throw new Error('the run was ended');
    return opened;
  };
  try {
    const ledger = join(folder, 'submits');
    const accounts = options.accounts.map((account) => ({ password: 'demo', ...account }));
    const sim = await open(forkSimulator({ accounts, correlationTlv: CORRELATION_TLV, ledger }), (each) => each.stop());
    await writePolicies(join(folder, 'policies'), sim.port, options);
    const { recycledWal = 0 } = options;
    // Filled when they are made: what is used again has all its blocks.
    const wal: Record<string, string> =
      recycledWal === 0 ? {} : { min_wal_size: `${recycledWal * SEGMENT_MB}MB`, wal_init_zero: 'on' };
    const settings = { settings: { ...wal, ...options.settings } };
    const log = { info: () => {}, warn: () => {} };
    const postgres = await open(startEmbedded({ home: join(folder, 'database'), log, ...settings }), (each) =>
      each.destroy(),
    );
    const { target } = postgres;
    if (recycledWal > 0) await makeWal(target, recycledWal);
    if (options.writeBack === true) ends.push(keepWritingBack(postgres.dataDirectory));
    const servers: ChildServer[] = [];
    const starts: Promise<ChildServer>[] = [];
    ends.push(() =>
      Promise.all(
        starts.map((start) =>
          start.then(
            (server) => server.stop(),
            () => {},
          ),
        ),
      ),
    );
    const addServer = async (env: Readonly<Record<string, string>> = {}): Promise<ChildServer> => {
      const start = startChild(folder, { DATABASE_URL: databaseUrl(target), ...options.env, ...env });
      starts.push(start);
      const server = await start;
      if (closed) throw new Error('the run was ended');
      servers.push(server);
      return server;
    };
    for (let n = 0; n < (options.servers ?? 1); n++) await addServer();
    const database = await openDatabase({ target });
    ends.push(() => database.close());
    const gauge = watchServers(servers);
    ends.push(async () => gauge.stop());
    const rig: Rig = {
      folder,
      sim,
      servers,
      postgres,
      target,
      database,
      addServer,
      key: (lanes) =>
        createKey(database, {
          organisation: 'Load',
          producer: `load ${lanes.join(' ')}`,
          lanes: [...lanes],
          scopes: ['alerts:write', 'alerts:read', 'lists:write'],
        }),
      post: async (path, key, body, to = servers[0] as ChildServer) => {
        const answer = await fetch(`${to.url}${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
        return await answer.json();
      },
      list: async (name, key, count, first = 0) => {
        const rows = Array.from({ length: count }, (_, index) => msisdn(first + index));
        const put = await fetch(`${servers[0]?.url}/v1/lists/${name}/import`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'text/csv' },
          body: `msisdn\n${rows.join('\n')}\n`,
        });
        if (!put.ok) throw new Error(`the list was answered ${put.status}: ${await put.text()}`);
      },
      untilFinal: async (count, withinMs) => {
        const from = performance.now();
        let final = await finals(database);
        while (final < count) {
          const took = performance.now() - from;
          if (took > withinMs) throw new Error(`${final} of ${count} deliveries were final in time`);
          // Counting is load of its own: seldom while the end is far.
          const leftMs = final === 0 ? 1_000 : (took / final) * (count - final);
          await sleep(Math.min(5_000, Math.max(50, leftMs / 2)));
          final = await finals(database);
        }
      },
      submits: async (each) => {
        await sim.flush();
        await readLedger(ledger, each);
      },
      verified: async () => (await verify(database, FACT_TABLES)).verified,
      figures: gauge.read,
      close,
    };
    return rig;
  } catch (error) {
    await close();
    throw error;
  }
}

async function finals(database: Database): Promise<number> {
  const [row] = await database.pools.reader.query<{ n: number }>('SELECT count(*) AS n FROM final_state');
  return row?.n ?? 0;
}

async function writePolicies(folder: string, port: number, options: RigOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const lanes = parse(await readFile(new URL('../policies/lanes.yaml', import.meta.url), 'utf8'));
  options.lanes?.(lanes.lanes);
  const carriers = Object.fromEntries(
    Object.entries(options.carriers).map(([name, fields]) => [
      name,
      {
        host: '127.0.0.1',
        port,
        systemId: name,
        password: { env: 'TOCSIN_DEMO_PASSWORD' },
        correlationTlv: CORRELATION_TLV,
        defaultSender: 'Tocsin',
        ...fields,
      },
    ]),
  );
  const routes = options.routes ?? [{ name: 'default', prefixes: ['+'], binds: Object.keys(carriers) }];
  // YAML as JSON: every string is quoted.
  await writeFile(join(folder, 'lanes.yaml'), JSON.stringify(lanes));
  await writeFile(join(folder, 'carriers.yaml'), JSON.stringify({ carriers }));
  await writeFile(join(folder, 'routing.yaml'), JSON.stringify({ routes }));
}

/** Memory from the system, the delay of the event loop from what each server says of itself. */
function watchServers(servers: readonly ChildServer[]): { read(): Promise<ProcessFigures>; stop(): void } {
  let rssMb = 0;
  const delay = { p99: 0, max: 0 };
  const look = async (): Promise<void> => {
    await Promise.all(
      servers.map(async ({ url, pid }) => {
        rssMb = Math.max(rssMb, await rssOf(pid));
        const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })
          .then((answer) => answer.text())
          .catch(() => '');
        const of = (quantile: string): number =>
          1_000 * Number(text.match(`tocsin_event_loop_delay_seconds{quantile="${quantile}"} (\\S+)`)?.[1] ?? 0);
        delay.p99 = Math.max(delay.p99, of('0.99'));
        delay.max = Math.max(delay.max, of('1'));
      }),
    );
  };
  let last = performance.now();
  const timer = setInterval(() => {
    for (const { pid } of servers) void rssOf(pid).then((mb) => (rssMb = Math.max(rssMb, mb)));
    // The servers' windows are of ten seconds: asked half as often, nothing is missed, and asking costs nothing.
    if (performance.now() - last < 5_000) return;
    last = performance.now();
    void look();
  }, WATCH_MS);
  return {
    read: async () => {
      await look();
      return { rssMbMax: Math.round(rssMb), eventLoopDelayMs: { p99: round(delay.p99), max: round(delay.max) } };
    },
    stop: () => clearInterval(timer),
  };
}

/** Resident memory of a process in MB; 0 where the system doesn't tell, or when it has ended. */
export async function rssOf(pid: number): Promise<number> {
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '');
  return (Number(statm.split(' ')[1] ?? 0) * 4_096) / 1e6;
}
