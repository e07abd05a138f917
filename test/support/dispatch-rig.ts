/**
 * Processes' dispatch over one database and one simulated carrier, under one policy: each test has a route of its own, each
 * process one bind of each of its routes. What the carrier took is kept by number, with its times.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { ChainWriter } from '../../src/audit/index.ts';
import type { BindDispatcher } from '../../src/dispatch/bind-dispatcher.ts';
import { connectCarrier } from '../../src/dispatch/carrier-wire.ts';
import { Dispatch } from '../../src/dispatch/dispatch.ts';
import { type PauseState, setPaused } from '../../src/dispatch/pause-acts.ts';
import type { PauseScope } from '../../src/dispatch/pauses.ts';
import { type Boss, type Planted, Planter } from '../../src/dispatch/testing.ts';
import { type Database, DatabaseClock, type openDatabase, readDatabaseTime } from '../../src/platform/index.ts';
import { type LaneName, loadPolicies, Names, type Policies } from '../../src/policy/index.ts';
import { type ArrivedMessage, type Simulator, type SimulatorInput, startSimulator } from '../../src/simulator/index.ts';
import { PROTOCOL } from '../../src/smpp/index.ts';
import type { TestDatabase } from './database.ts';

export interface RigRoute {
  /** Of each bind. */
  tps: number;
  /** Which of the processes, from 1, have a bind of it: `<route>-<process>`. Default the first alone. */
  processes?: readonly number[];
  /** Default all. */
  lanes?: readonly LaneName[];
  /** More fields of each carrier, as YAML in braces. */
  carrier?: string;
  account?: Partial<SimulatorInput['accounts'][number]>;
}

export interface RigOptions {
  /** By name. */
  routes: Readonly<Record<string, RigRoute>>;
  /** A process (from 1) to which no NOTIFY of these channels comes. */
  deaf?: { process: number; channels: readonly string[] };
}

export class DispatchRig {
  readonly arrived: ArrivedMessage[] = [];
  readonly processes: Dispatch[] = [];
  readonly warnings: string[] = [];
  sim!: Simulator;
  planter!: Planter;
  names!: Names;
  clock!: Awaited<ReturnType<typeof DatabaseClock.open>>;
  /** NOTIFYs that were kept from the deaf process, as `channel payload`. */
  readonly dropped = new Set<string>();
  /** Of this rig alone: the processes of another policy would route its work anew. */
  readonly db: TestDatabase;
  readonly #boss: Boss;
  readonly #options: RigOptions;
  readonly #ends: (() => unknown)[] = [];
  #writer!: ChainWriter;
  #folder = '';

  private constructor(db: TestDatabase, boss: Boss, options: RigOptions) {
    this.db = db;
    this.#boss = boss;
    this.#options = options;
  }

  static async start(db: TestDatabase, boss: Boss, options: RigOptions): Promise<DispatchRig> {
    const rig = new DispatchRig(db, boss, options);
    const { control } = db.database.pools;
    const binds = rig.#binds();
    rig.sim = await startSimulator(
      {
        accounts: binds.map(({ name, account }) => ({ systemId: name, password: 'pw', ...account })),
        correlationTlv: 0x1400,
      },
      { onMessage: (message) => rig.arrived.push(message) },
    );
    rig.#ends.push(() => rig.sim.stop());
    rig.clock = await DatabaseClock.open(() => readDatabaseTime(control));
    rig.#ends.push(() => rig.clock.close());
    rig.#folder = rig.#writePolicies();
    for (const process of [...new Set(binds.map((bind) => bind.process))].sort()) await rig.startProcess(process);
    return rig;
  }

  #binds() {
    return Object.entries(this.#options.routes).flatMap(([route, { processes = [1], ...rest }]) =>
      processes.map((process) => ({ ...rest, route, process, name: `${route}-${process}` })),
    );
  }

  #writePolicies(): string {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-pause-'));
    this.#ends.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
    const all = this.#binds();
    const carriers = all.map(
      ({ name, process, tps, carrier = '' }) =>
        `  ${name}: { host: 127.0.0.1, port: ${this.sim.port}, systemId: ${name}, password: { env: PW }, window: 50, ` +
        `tps: ${tps}, nodes: ['${process}'], correlationTlv: 0x1400, defaultSender: Tocsin${carrier} }\n`,
    );
    writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n${carriers.join('')}`);
    // What is planted names its route: prefixes only keep one from hiding another.
    const routes = Object.entries(this.#options.routes).map(([name, { lanes }], index) => {
      const binds = all.filter(({ route }) => route === name).map((bind) => bind.name);
      return { name, prefixes: [`+9${index}`], binds, ...(lanes === undefined ? {} : { lanes }) };
    });
    const rest = { name: 'rest', prefixes: ['+'], binds: all.slice(0, 1).map(({ name }) => name) };
    writeFileSync(join(folder, 'routing.yaml'), JSON.stringify({ routes: [...routes, rest] }));
    return folder;
  }

  /** Starts process `number`, from 1, anew. */
  async startProcess(number: number): Promise<Dispatch> {
    const { control } = this.db.database.pools;
    const policies = loadPolicies(this.#folder, { PW: 'pw' }, PROTOCOL);
    const names = await Names.register(control, policies);
    const [row] = await control.query<{ id: number }>(
      `INSERT INTO process (host, pid, started_at) VALUES ('test', $2, $1) RETURNING id`,
      [this.clock.now(), number],
    );
    const process = row?.id ?? 0;
    if (this.planter === undefined) {
      this.names = names;
      const tools = { database: this.db.database, boss: this.#boss, clock: this.clock, names, process };
      this.planter = await Planter.open(tools);
      this.#writer = await ChainWriter.open(control, this.clock, process, 'acts');
    }
    const log = {
      info: () => {},
      warn: (_: object, message: string) => this.warnings.push(message),
      error: () => {},
    };
    const dispatch = await Dispatch.start({
      database: this.#hearing(number),
      ...{ boss: this.#boss, clock: this.clock, policies, names, process, node: String(number), log },
      texts: this.planter.source,
      connect: (bind, handlers) =>
        connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
    });
    this.processes[number - 1] = dispatch;
    let stopped: Promise<void> | null = null;
    const stop = dispatch.stop.bind(dispatch);
    dispatch.stop = (timeoutMs) => (stopped ??= stop(timeoutMs));
    this.#ends.push(() => dispatch.stop(9_000));
    const own = this.#binds().filter((bind) => bind.process === number);
    await vi.waitFor(
      () => {
        for (const { name } of own) expect(this.bind(name, number)).toMatchObject({ up: true, held: true });
      },
      { timeout: 15_000, interval: 20 },
    );
    return dispatch;
  }

  /** What process `number` has of the bind. */
  bind(name: string, number = Number(name.at(-1))): BindDispatcher {
    return this.processes[number - 1]?.binds.find((bind) => bind.name === name) as BindDispatcher;
  }

  #hearing(process: number): Awaited<ReturnType<typeof openDatabase>> {
    const { database } = this.db;
    const { deaf } = this.#options;
    if (deaf?.process !== process) return database;
    const listen: Database['listen'] = (channel, onNotify) =>
      database.listen(channel, (payload) => {
        if (deaf.channels.includes(channel)) this.dropped.add(`${channel} ${payload}`);
        else onNotify(payload);
      });
    const { target, pools, notify } = database;
    return { target, pools, notify, close: () => database.close(), listen };
  }

  async pause(scope: PauseScope, of: Planted | string, paused = true): Promise<PauseState> {
    const alert = typeof of === 'string' ? {} : { day: of.day, organisation: 1, until: this.clock.now() + 3_600_000 };
    const name = typeof of === 'string' ? of : of.alert;
    const wish = { scope, name, paused, why: paused ? 'a test' : null, who: 'test', ...alert };
    return (await setPaused(this.#writer, this.clock, wish)) as PauseState;
  }

  resume(scope: PauseScope, of: Planted | string): Promise<PauseState> {
    return this.pause(scope, of, false);
  }

  /** What came for deliveries of these, oldest first. */
  arrivalsOf(...all: Planted[]): ArrivedMessage[] {
    const numbers = new Set(all.flatMap(({ deliveries }) => deliveries.map((id) => String(447_000_000_000 + id))));
    return this.arrived.filter(({ to }) => numbers.has(to));
  }

  async arrives(count: number, ...of: Planted[]): Promise<void> {
    await vi.waitFor(() => expect(this.arrivalsOf(...of).length).toBeGreaterThanOrEqual(count), {
      timeout: 15_000,
      interval: 5,
    });
  }

  /** Each of so many binds has sent so many of these. */
  async allSend(count: number, of: Planted, binds = 2): Promise<void> {
    await vi.waitFor(
      () => {
        const by = Map.groupBy(this.arrivalsOf(of), ({ account }) => account);
        expect(by.size).toBe(binds);
        for (const sent of by.values()) expect(sent.length).toBeGreaterThanOrEqual(count);
      },
      { timeout: 15_000, interval: 5 },
    );
  }

  /** How many of its deliveries ended in which final state, once all did. */
  async ends({ day, deliveries }: Planted, timeout = 20_000): Promise<Record<string, number>> {
    return await vi.waitFor(
      async () => {
        const rows = await this.query<{ state: number; n: number }>(
          `SELECT state, count(*) AS n FROM final_state
           WHERE day = $1::date AND delivery = ANY($2::bigint[]) GROUP BY state`,
          [day, deliveries],
        );
        expect(rows.reduce((sum, { n }) => sum + n, 0)).toBe(deliveries.length);
        return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
      },
      { timeout, interval: 50 },
    );
  }

  query<T extends object>(text: string, params: readonly unknown[] = []): Promise<T[]> {
    return this.db.database.pools.reader.query<T>(text, params);
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.stop(9_000)));
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
