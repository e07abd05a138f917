/** Processes that dispatch over several carriers by the routes of a test: a real database, pg-boss, and plain SMSCs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { connectCarrier } from '../../src/dispatch/carrier-wire.ts';
import { Dispatch } from '../../src/dispatch/dispatch.ts';
import { type Boss, Planter } from '../../src/dispatch/testing.ts';
import { DatabaseClock, type Pool, readDatabaseTime } from '../../src/platform/index.ts';
import { loadPolicies, Names, type Policies } from '../../src/policy/index.ts';
import { PROTOCOL } from '../../src/smpp/index.ts';
import type { TestDatabase } from './database.ts';
import { type PlainSmsc, type PlainSmscOptions, startPlainSmsc } from './plain-smsc.ts';

export interface Carrier {
  smsc: PlainSmsc;
  tps?: number;
  /** Default PT2S. */
  responseTimeout?: string;
  /** Further lines of carriers.yaml. */
  lines?: string[];
}

export interface Process {
  clock: DatabaseClock;
  dispatch: Dispatch;
  planter: Planter;
  policies: Policies;
  names: Names;
  /** Errors that were logged. */
  errors: { message: string; details: object }[];
  bind(name: string): Dispatch['binds'][number];
  stop(): Promise<void>;
}

const planters = new Set<Planter>();
export async function smscOf(options: PlainSmscOptions = {}): Promise<PlainSmsc> {
  const smsc = await startPlainSmsc({ receipts: true, ...options });
  onTestFinished(() => smsc.close().catch(() => undefined));
  return smsc;
}

/** @param routes routing.yaml */
export function policiesOf(accounts: Readonly<Record<string, Carrier>>, routes: string): Policies {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-routed-'));
  try {
    writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml'));
    const entries = Object.entries(accounts).map(
      ([name, { smsc, tps = 1_000, responseTimeout = 'PT2S', lines = [] }]) =>
        [
          `  ${name}: { host: 127.0.0.1, port: ${smsc.port}, systemId: ${name}, password: { env: PW }, window: 20, tps: ${tps},`,
          `    ${[`responseTimeout: ${responseTimeout}`, 'reconnectFirst: PT0.1S', 'reconnectMax: PT0.2S', 'defaultSender: Tocsin', ...lines].join(', ')} }`,
        ].join('\n'),
    );
    writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n${entries.join('\n')}\n`);
    writeFileSync(join(folder, 'routing.yaml'), routes);
    return loadPolicies(folder, { PW: 'secret' }, PROTOCOL);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param owns the binds that this process may hold; all when left out. */
export async function startProcess(
  db: TestDatabase,
  boss: Boss,
  policies: Policies,
  owns: readonly string[] = Object.keys(policies.carriers),
): Promise<Process> {
  const { control } = db.database.pools;
  const clock = await DatabaseClock.open(() => readDatabaseTime(control));
  const names = await Names.register(control, policies);
  const [row] = await control.query<{ id: number }>(
    `INSERT INTO process (host, pid, started_at) VALUES ('test', 1, $1) RETURNING id`,
    [clock.now()],
  );
  const process = row?.id ?? 0;
  const planter = await Planter.open({ database: db.database, boss, clock, names, process });
  planters.add(planter);
  const errors: Process['errors'] = [];
  const log = {
    info: () => {},
    warn: () => {},
    error: (details: object, message: string) => void errors.push({ details, message }),
  };
  const held = Object.fromEntries(Object.entries(policies.carriers).filter(([name]) => owns.includes(name)));
  const dispatch = await Dispatch.start({
    ...{ database: db.database, boss, clock, names, process, log, node: 'test' },
    policies: { ...policies, carriers: held },
    texts: { texts: textsOf },
    connect: (name, handlers) =>
      connectCarrier(name, policies.carriers[name] as Policies['carriers'][string], handlers, log, Math.random),
  });
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopped ??= dispatch.stop(9_000).finally(() => clock.close());
    return stopped;
  };
  onTestFinished(stop);
  const bind = (name: string) => {
    const found = dispatch.binds.find((each) => each.name === name);
    if (found === undefined) throw new Error(`no bind ${name}`);
    return found;
  };
  await vi.waitFor(
    () => {
      for (const { up, held, name } of dispatch.binds) if (!up || !held) throw new Error(`${name} is not ready`);
    },
    { timeout: 10_000, interval: 20 },
  );
  return { clock, dispatch, planter, policies, names, errors, bind, stop };
}

/** Whoever planted it, whichever process sends it. */
async function textsOf(bodies: readonly number[], pool: Pool): Promise<Map<number, string | null>> {
  const texts = new Map<number, string | null>();
  for (const { source } of planters) for (const [body, text] of await source.texts(bodies, pool)) texts.set(body, text);
  return texts;
}
