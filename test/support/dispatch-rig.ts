/**
 * Several processes' dispatch over one database and one simulated carrier: each has a bind of its own, all serve one route.
 * What the carrier took is kept by number, with its times.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { ChainWriter } from '../../src/audit/index.ts';
import { connectCarrier } from '../../src/dispatch/carrier-wire.ts';
import { Dispatch } from '../../src/dispatch/dispatch.ts';
import { type PauseState, setPaused } from '../../src/dispatch/pause-acts.ts';
import type { PauseScope } from '../../src/dispatch/pauses.ts';
import { type Boss, type Planted, Planter } from '../../src/dispatch/testing.ts';
import { type Database, DatabaseClock, type openDatabase, readDatabaseTime } from '../../src/platform/index.ts';
import { loadPolicies, Names, type Policies } from '../../src/policy/index.ts';
import { type ArrivedMessage, type Simulator, type SimulatorInput, startSimulator } from '../../src/simulator/index.ts';
import { PROTOCOL } from '../../src/smpp/index.ts';
import type { TestDatabase } from './database.ts';

export interface RigOptions {
  /** Name of the route; binds are `<route>-1`, `<route>-2` … */
  route: string;
  processes?: number;
  /** Of each bind. */
  tps: number;
  /** More fields of each carrier, as YAML in braces. */
  carrier?: string;
  account?: Partial<SimulatorInput['accounts'][number]>;
  /** Processes (from 1) to which no NOTIFY of these channels comes. */
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
  /** NOTIFYs that were kept from the deaf process. */
  dropped = 0;
  /** Of no other rig at the same time: its processes would route this one's work anew. */
  readonly db: TestDatabase;
  readonly #boss: Boss;
  readonly #options: RigOptions;
  readonly #ends: (() => unknown)[] = [];
  #writer!: ChainWriter;
  #folders: string[] = [];

  private constructor(db: TestDatabase, boss: Boss, options: RigOptions) {
    this.db = db;
    this.#boss = boss;
    this.#options = options;
  }

  static async start(db: TestDatabase, boss: Boss, options: RigOptions): Promise<DispatchRig> {
    const rig = new DispatchRig(db, boss, options);
    const { control } = db.database.pools;
    const binds = Array.from({ length: options.processes ?? 1 }, (_, index) => `${options.route}-${index + 1}`);
    rig.sim = await startSimulator(
      {
        accounts: binds.map((systemId) => ({ systemId, password: 'pw', ...options.account })),
        correlationTlv: 0x1400,
      },
      { onMessage: (message) => rig.arrived.push(message) },
    );
    rig.#ends.push(() => rig.sim.stop());
    rig.clock = await DatabaseClock.open(() => readDatabaseTime(control));
    rig.#ends.push(() => rig.clock.close());
    for (const bind of binds) rig.#folders.push(rig.#writePolicies(bind));
    for (const number of binds.keys()) await rig.startProcess(number + 1);
    return rig;
  }

  #writePolicies(bind: string): string {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-pause-'));
    this.#ends.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml', 'utf8'));
    writeFileSync(
      join(folder, 'carriers.yaml'),
      `carriers:
  ${bind}: { host: 127.0.0.1, port: ${this.sim.port}, systemId: ${bind}, password: { env: PW }, window: 50, tps: ${this.#options.tps}, correlationTlv: 0x1400, defaultSender: Tocsin${this.#options.carrier ?? ''} }
`,
    );
    writeFileSync(
      join(folder, 'routing.yaml'),
      `routes: [{ name: ${this.#options.route}, prefixes: ['+'], binds: [${bind}] }]\n`,
    );
    return folder;
  }

  /** Starts process `number`, from 1, anew. */
  async startProcess(number: number): Promise<Dispatch> {
    const { control } = this.db.database.pools;
    const policies = loadPolicies(this.#folders[number - 1] as string, { PW: 'pw' }, PROTOCOL);
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
      ...{ boss: this.#boss, clock: this.clock, policies, names, process, node: 'test', log },
      texts: this.planter.source,
      connect: (bind, handlers) =>
        connectCarrier(bind, policies.carriers[bind] as Policies['carriers'][string], handlers, log, Math.random),
    });
    this.processes[number - 1] = dispatch;
    let stopped: Promise<void> | null = null;
    const stop = dispatch.stop.bind(dispatch);
    dispatch.stop = (timeoutMs) => (stopped ??= stop(timeoutMs));
    this.#ends.push(() => dispatch.stop(9_000));
    await vi.waitFor(() => expect(dispatch.binds[0]).toMatchObject({ up: true, held: true }), { timeout: 15_000 });
    return dispatch;
  }

  #hearing(process: number): Awaited<ReturnType<typeof openDatabase>> {
    const { database } = this.db;
    const { deaf } = this.#options;
    if (deaf?.process !== process) return database;
    const listen: Database['listen'] = (channel, onNotify) =>
      database.listen(channel, (payload) => {
        if (deaf.channels.includes(channel)) this.dropped++;
        else onNotify(payload);
      });
    return { target: database.target, pools: database.pools, close: () => database.close(), listen };
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

  /** Every process has sent so many of these. */
  async allSend(count: number, of: Planted): Promise<void> {
    await vi.waitFor(
      () => {
        const by = Map.groupBy(this.arrivalsOf(of), ({ account }) => account);
        expect(by.size).toBe(this.processes.length);
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
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
