/** One process of Tocsin: every room opened in order, and closed in reverse. */
import { hostname, tmpdir } from 'node:os';
import { makeDaysAhead, migrate, partitionDays } from '../db/migrate.ts';
import { KeyCache } from './access/index.ts';
import { Alerts, FreshWork, HttpPortability, Intake, Pressure, sweepBodies } from './alerts/index.ts';
import { Lists, Recipients } from './audience/index.ts';
import { ChainWriter } from './audit/index.ts';
import {
  Backlog,
  connectCarrier,
  Dispatch,
  DispatchNews,
  DispatchWatch,
  type MeteredWire,
  meterCarriers,
  meterPauses,
  meterReceipts,
  PauseDesk,
  type Sent,
} from './dispatch/index.ts';
import { EmergencyGate, Fanout } from './fanout/index.ts';
import { createApp, startServer as startHttp, sweepSpool } from './http/index.ts';
import { Refusals, registerMetrics, Traffic } from './metrics.ts';
import {
  addDays,
  type Config,
  type ConnectionTarget,
  chance,
  createMetrics,
  type Database,
  DatabaseClock,
  IdAllocator,
  keepHeapSmall,
  type Log,
  LoopDelayMonitor,
  masterKey,
  masterKeyPath,
  openBoss,
  openDatabase,
  readDatabaseTime,
  Shutdown,
  StartError,
  startEmbedded,
  utcDay,
  Vault,
} from './platform/index.ts';
import { type LaneName, LivePolicies, loadPolicies, Names, type Policies } from './policy/index.ts';
import { recordPolicies } from './policy-load.ts';
import { PolicyReload } from './policy-reload.ts';
import { DeliveryReader } from './records/index.ts';
import { PROTOCOL, STATUS_MAX, statusName } from './smpp/index.ts';
import { textSource } from './texts.ts';
import { version } from './version.ts';

export interface ServerOptions {
  config: Config;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
  onSent?: (bind: string, lane: LaneName, sent: Sent) => void;
}

export interface RunningServer {
  readonly port: number;
  readonly url: string;
  readonly database: Database;
  readonly policies: Policies;
  readonly dispatch: Dispatch;
  readonly shutdown: Shutdown;
}

const DAY_CHECK_MS = 600_000;
const SHRED_MS = 300_000;
const SWEEP_MS = 60_000;
const LEFTOVERS_MS = 600_000;

/** The database of this configuration: the one named, or the embedded one. `stop` is the last step of a shutdown. */
export async function databaseTarget(
  config: Config,
  log: Log,
): Promise<{ target: ConnectionTarget; stop: () => Promise<void> }> {
  if (config.database !== null) return { target: config.database, stop: async () => {} };
  const embedded = await startEmbedded({ home: config.home, log });
  return {
    target: embedded.target,
    stop: async () => {
      await embedded.stop();
    },
  };
}

export async function startServer({ config, env, log, onSent }: ServerOptions): Promise<RunningServer> {
  keepHeapSmall();
  // A mistake in a policy stops the start before anything is opened.
  const load = () => loadPolicies(config.policies, env, PROTOCOL);
  const policies = new LivePolicies(load());
  const shutdown = new Shutdown(log);
  try {
    return await open({ config, env, log, ...(onSent === undefined ? {} : { onSent }) }, policies, load, shutdown);
  } catch (error) {
    await shutdown.run('the start failed');
    throw error;
  }
}

async function open(
  { config, log, onSent }: ServerOptions,
  policies: LivePolicies,
  load: () => Policies,
  shutdown: Shutdown,
): Promise<RunningServer> {
  const { target, stop } = await databaseTarget(config, log);
  shutdown.add('database server', 90, stop);
  await migrate(target);
  const database = await openDatabase({ target }, log);
  shutdown.add('database', 80, () => database.close());
  const { pools } = database;
  const traffic = new Traffic();
  const clock = await DatabaseClock.open(() => readDatabaseTime(pools.control));
  shutdown.add('clock', 70, async () => clock.close());
  const boss = await openBoss({ target, onError: (err) => log.error({ err }, 'pg-boss') });
  shutdown.add('pg-boss', 70, () => boss.stop({ graceful: false }));
  const [row] = await pools.control.query<{ id: number }>(
    'INSERT INTO process (host, pid, started_at) VALUES ($1, $2, $3) RETURNING id',
    [hostname(), process.pid, clock.now()],
  );
  if (row === undefined) throw new TypeError('a process row has an id');
  const names = await Names.register(pools.control, policies);
  const vault = new Vault({
    pool: pools.control,
    masterKey: await masterKey(config.masterKey, config.home),
    keyring: config.keyring,
  });
  if (!(await vault.fits())) {
    const from = config.masterKey === null ? masterKeyPath(config.home) : 'TOCSIN_MASTER_KEY';
    throw new StartError(
      `the master key from ${from} is not the one that the texts in this database were sealed under; ` +
        'start with the right one: TOCSIN_MASTER_KEY=… tocsin serve, or name another database: DATABASE_URL=…',
    );
  }
  const chain = (room: string, pool = pools.control) => ChainWriter.open(pool, clock, row.id, room);
  // Ids are taken while transactions of other pools are open. No session of the readers' is held over a wait.
  const ids = new IdAllocator(pools.reader);
  const acts = await chain('acts');
  await recordPolicies({ writer: acts, clock, process: row.id, policies });
  const keys = await KeyCache.open({ database });
  shutdown.add('keys', 60, () => keys.close());
  const recipients = new Recipients({ pool: pools.reader, writer: await chain('recipients'), ids });
  const backlog = new Backlog(pools.reader, names);
  backlog.start();
  shutdown.add('backlog', 20, async () => backlog.stop());
  const fresh = new FreshWork(clock);
  const news = new DispatchNews(database);
  const intake = new Intake({
    news,
    writers: [await chain('intake', pools.intake), await chain('intake', pools.intake)],
    urgentWriters: [await chain('intake', pools.intake)],
    boss,
    clock,
    ids,
    policies,
    names,
    recipients,
    fresh,
    onTrouble: (err) => log.error({ err }, 'alerts could not be stored'),
  });
  const wires = new Map<string, MeteredWire>();
  const refusals = new Refusals();
  const gate = new EmergencyGate({
    clock,
    journalLagMs: () => dispatch.journal.lagMs(),
    sendsHere: () => dispatch.binds.some((bind) => bind.up),
  });
  const dispatch: Dispatch = await Dispatch.start({
    database,
    boss,
    clock,
    policies,
    names,
    process: row.id,
    node: config.node,
    texts: textSource(vault, fresh.texts),
    fresh: fresh.deliveries,
    connect: (name, handlers) => {
      const carrier = policies.carriers[name] as Policies['carriers'][string];
      const wire = connectCarrier(name, carrier, handlers, log, chance);
      wires.set(name, wire);
      return wire;
    },
    log,
    // A status that the protocol reserves may be any of four billion: they share one name.
    onRefused: (bind, kind, status) => refusals.add(bind, kind, status > STATUS_MAX ? 'reserved' : statusName(status)),
    onSent: (bind, lane, sent) => {
      if (lane === 'emergency') gate.sent();
      onSent?.(bind, lane, sent);
    },
  });
  shutdown.add('dispatch', 40, (leftMs) => dispatch.stop(Math.min(18_000, leftMs - 3_000)));
  const reload = new PolicyReload({
    folder: config.policies,
    live: policies,
    load,
    record: (next) => recordPolicies({ writer: acts, clock, process: row.id, policies: next }),
    prepare: (next) => dispatch.prepare(next),
    apply: (next) => dispatch.apply(next),
    log,
  });
  shutdown.add('policies', 10, () => reload.close());
  const lists = new Lists({
    pool: pools.reader,
    writer: await chain('lists'),
    ids: new IdAllocator(pools.control),
    clock,
    recipients,
  });
  const networks = new HttpPortability(() => policies.routing.portability, clock);
  const alerts = new Alerts({
    pool: pools.reader,
    intake,
    writer: acts,
    vault,
    clock,
    policies,
    names,
    backlog,
    lists,
    networks,
    gate,
  });
  const fanout = await Fanout.start({
    news,
    database,
    boss,
    clock,
    ids: new IdAllocator(pools.fanout),
    policies,
    names,
    gate,
    process: row.id,
    onPage: (page) => traffic.page(page),
    onTrouble: (err) => log.error({ err }, 'a fan-out was interrupted and will be tried again'),
  });
  shutdown.add('fan-out', 30, () => fanout.stop());
  shutdown.add('intake', 20, () => intake.drain());
  const pressure = new Pressure({ clock, intake, journalLagMs: () => dispatch.journal.lagMs() });
  shutdown.add('pressure', 20, async () => pressure.close());
  const metrics = createMetrics();
  const loop = new LoopDelayMonitor();
  shutdown.add('event loop', 10, async () => loop.close());
  registerMetrics(metrics, {
    networks,
    traffic,
    refusals,
    dispatch,
    intake,
    fanout,
    backlog,
    pools,
    policies,
    clock,
    loop,
  });
  meterCarriers(metrics, wires);
  meterReceipts(metrics, dispatch.binds);
  const watch = new DispatchWatch({ dispatch, backlog, policies, wires, process: row.id, clock });
  watch.register(metrics);
  watch.start();
  shutdown.add('watch', 10, async () => watch.stop());
  meterPauses(metrics, dispatch, policies);
  const spoolDir = tmpdir();
  const every = (ms: number, what: string, chore: () => Promise<unknown>): NodeJS.Timeout =>
    setInterval(() => void chore().catch((err: unknown) => log.error({ err }, what)), ms);
  const timers = [
    every(DAY_CHECK_MS, 'making partitions ahead', async () => {
      const today = utcDay(clock.now());
      const last = await makeDaysAhead(pools.control, today);
      if (last < addDays(today, partitionDays.after)) log.error({ last }, 'days after this one have no partitions yet');
    }),
    every(SHRED_MS, 'shredding keys', async () => {
      await vault.shred(clock.now());
      await sweepBodies(pools.control, clock.now());
    }),
    every(SWEEP_MS, 'sweeping idempotency keys', () => alerts.sweep(pools.control)),
    every(LEFTOVERS_MS, 'sweeping lists', () => lists.sweep()),
    every(LEFTOVERS_MS, 'sweeping files of imports', async () => sweepSpool(spoolDir, clock.now())),
  ];
  shutdown.add('timers', 10, async () => timers.forEach(clearInterval));
  let draining = false;
  const app = createApp(
    {
      keys,
      pressure: () => pressure.read(),
      alerts: traffic.counting(alerts),
      deliveries: new DeliveryReader(pools.reader, names),
      lists,
      recipients,
      dispatchStatus: () => watch.read(),
      pauses: new PauseDesk({ writer: acts, clock, pool: pools.reader }),
      async readiness() {
        try {
          await pools.control.query('SELECT 1');
          return { ready: true, reasons: [], bindsDown: dispatch.bindsDown };
        } catch {
          return { ready: false, reasons: ['the database does not answer'], bindsDown: dispatch.bindsDown };
        }
      },
      metrics: async () => ({ contentType: metrics.contentType, body: await metrics.text() }),
    },
    {
      log,
      version,
      spoolDir,
      draining: () => draining,
      observe: (request) => traffic.request(request),
      observeLine: (problem) => traffic.line(problem),
    },
  );
  const http = await startHttp(app, { host: config.host, port: config.port });
  shutdown.add('http', 10, async () => {
    draining = true;
    await http.close(8_000);
  });
  return { port: http.port, url: `http://${config.host}:${http.port}`, database, policies, dispatch, shutdown };
}
