/** All binds of this process, and what they share: the journal, the receipts' index, the sweeper, the wake-ups. */
import type { PgBoss } from 'pg-boss';
import { ChainWriter } from '../audit/index.ts';
import { type Clock, type Database, IdAllocator } from '../platform/index.ts';
import {
  LANES,
  type LaneName,
  mayHold,
  type Names,
  type NoRoute,
  type Policies,
  type RoutingPolicy,
} from '../policy/index.ts';
import { Journal } from '../records/index.ts';
import { BindDispatcher } from './bind-dispatcher.ts';
import { BIND_STATE_CHANNEL, BindStates } from './bind-state.ts';
import { createDispatchQueues, DISPATCH_CHANNEL, scheduleOf } from './chunks.ts';
import { applyExtras, IdStock } from './extras.ts';
import type { FreshDeliveries, TextSource } from './hold.ts';
import { Later } from './later.ts';
import { takeOverOrphans } from './orphans.ts';
import { LEASE_CHANNEL, Ownership } from './ownership.ts';
import { parkAlert, unpark, unparkLeft } from './parking.ts';
import type { Cancelled } from './pause-acts.ts';
import { PauseBoard } from './pause-board.ts';
import type { Paused, PauseScope } from './pauses.ts';
import { ReceiptIndex } from './receipts.ts';
import { RouteWatch, type Unread } from './route-watch.ts';
import { leadingOn, secondRouteOf } from './second-route.ts';
import type { RefusedKind } from './sender.ts';
import { Sweeper } from './sweeper.ts';
import type { DispatchExtra, DispatchLog, Item } from './types.ts';
import type { CarrierWire, Sent, WireHandlers } from './wire.ts';

/** Of what is given from memory nobody asks the database whether it was cancelled: what the board knows must be young. */
const BOARD_KNOWN_MS = 1_000;

/** Tells dispatch that an alert was cancelled; the payload is `day/alert`, or empty after a lost connection. */
export const CANCEL_CHANNEL = 'tocsin_cancel';

export interface DispatchOptions {
  database: Database;
  boss: PgBoss;
  clock: Clock;
  policies: Policies;
  names: Names;
  process: number;
  /** The name of this node: carriers may say which nodes may hold them. */
  node: string;
  texts: TextSource;
  /** What this process accepted itself a moment ago. */
  fresh?: FreshDeliveries;
  connect: (carrier: string, handlers: WireHandlers) => CarrierWire;
  log: DispatchLog;
  onSent?: (bind: string, lane: LaneName, sent: Sent) => void;
  /** A submit_sm was refused, for good or for now. */
  onRefused?: (bind: string, kind: RefusedKind, status: number) => void;
}

/** Message ids kept in memory; older ones are found in the database. */
const RECEIPTS_IN_MEMORY = 200_000;
const JOURNAL_WRITERS = 2;
/** Cancelled alerts that are remembered: what was read of one before is sent, or ends, long before so many more come. */
const CANCELLED_MAX = 50_000;

/** Of all that policies name: other processes may have those that this one has not. */
function namesOfBinds({ carriers, routing }: Policies, names: Names): Map<number, string> {
  const all = new Set([...Object.keys(carriers), ...routing.routes.flatMap(({ binds }) => binds)]);
  return new Map([...all].map((name) => [names.bindId(name), name]));
}

/** The second routes of today: asked for each message, on the hot path. */
class RoutesInForce {
  #routing: RoutingPolicy;
  #leadingOn: ReadonlySet<string> = new Set();
  /** By number. A delivery may have one that policy no longer has, or that only another process knows. */
  #nameOf: ReadonlyMap<number, string> = new Map();
  readonly #names: Names;

  constructor(routing: RoutingPolicy, names: Names) {
    this.#routing = routing;
    this.#names = names;
    this.use(routing);
  }

  use(routing: RoutingPolicy): void {
    this.#routing = routing;
    this.#leadingOn = leadingOn(routing);
    this.#nameOf = new Map(routing.routes.map(({ name }) => [this.#names.routeId(name), name]));
  }

  secondRoute({ chunk, msisdn, sender, firstRoute }: Item): NoRoute | null {
    const { lane, route, possibleDuplicate } = chunk;
    if (!this.#leadingOn.has(route)) return null;
    const first = this.#nameOf.get(firstRoute) ?? null;
    return secondRouteOf(this.#routing, { msisdn, sender, lane, route, possibleDuplicate, firstRoute: first });
  }
}

const routesOfBind = ({ routing }: Policies, bind: string) =>
  routing.routes
    .filter(({ binds }) => binds.includes(bind))
    .map(({ name, lanes }) => ({ name, lanes: lanes ?? LANES }));

export class Dispatch {
  readonly binds: readonly BindDispatcher[];
  readonly journal: Journal<DispatchExtra>;
  /** What is known of all binds, those of other processes too. */
  readonly states: BindStates;
  readonly #sweeper: Sweeper;
  readonly #watch: RouteWatch;
  readonly #inForce: RoutesInForce;
  readonly #ownership: Ownership;
  readonly #later: Later;
  readonly #options: DispatchOptions;
  readonly #cancelled: Set<string>;
  readonly #board: PauseBoard;
  /** Parking and the end of it, one after the other. */
  #parking: Promise<unknown> = Promise.resolve();
  readonly #listeners: { close(): Promise<void> }[] = [];

  private constructor(
    options: DispatchOptions,
    binds: BindDispatcher[],
    journal: Journal<DispatchExtra>,
    sweeper: Sweeper,
    ownership: Ownership,
    { states, watch, inForce, later }: { states: BindStates; watch: RouteWatch; inForce: RoutesInForce; later: Later },
    cancelled: Set<string>,
    board: PauseBoard,
  ) {
    this.#options = options;
    this.#cancelled = cancelled;
    this.#board = board;
    this.binds = binds;
    this.journal = journal;
    this.#sweeper = sweeper;
    this.states = states;
    this.#watch = watch;
    this.#inForce = inForce;
    this.#ownership = ownership;
    this.#later = later;
  }

  static async start(options: DispatchOptions): Promise<Dispatch> {
    const { database, boss, clock, policies, names, log } = options;
    const { pools } = database;
    const routes = policies.routing.routes;
    await createDispatchQueues(boss, [...new Set(routes.map((route) => route.name))], [...LANES]);
    const trouble = (what: string) => (error: unknown) =>
      log.error({ what, err: error }, 'the database did not do what dispatch asked');
    const ids = new IdAllocator(pools.dispatch);
    const idStock = await IdStock.open(ids, trouble('ids'));
    const open = (room: string, pool = pools.control) => ChainWriter.open(pool, clock, options.process, room);
    const writers = [];
    for (let n = 0; n < JOURNAL_WRITERS; n++) writers.push(await open('journal', pools.journal));
    const journal = new Journal<DispatchExtra>({
      writers,
      applyExtras: applyExtras({
        boss,
        clock,
        laneId: (lane) => names.laneId(lane),
        routeId: (route) => names.routeId(route),
      }),
      onRefused: trouble('journal refused a row'),
      onTrouble: trouble('journal'),
      monotonic: () => clock.monotonic(),
    });
    const lookups = {
      laneName: (id: number) => names.laneName(id),
      routeName: (id: number) => names.routeName(id),
      laneId: (lane: LaneName) => names.laneId(lane),
    };
    const receipts = new ReceiptIndex(RECEIPTS_IN_MEMORY);
    const cancelled = new Set<string>();
    const started: { dispatch: Dispatch | null } = { dispatch: null };
    const early: Cancelled[] = [];
    const board = await PauseBoard.open({
      ...{ database, clock, log },
      onChange: (change) => {
        if (started.dispatch !== null) started.dispatch.#onPauses(change);
      },
      onCancelled: (alerts) => {
        if (started.dispatch === null) early.push(...alerts);
        else void started.dispatch.#onCancelled(alerts);
      },
    });
    const binds: BindDispatcher[] = [];
    const inForce = new RoutesInForce(policies.routing, names);
    const states = new BindStates(
      {
        pool: pools.control,
        clock,
        process: options.process,
        own: () => binds.map((bind) => bind.ownState),
        onChange: () => {
          for (const bind of binds) bind.wake(null);
        },
        onTrouble: trouble('bind states'),
      },
      routes,
      namesOfBinds(policies, names),
    );
    for (const [name, carrier] of Object.entries(policies.carriers)) {
      binds.push(
        new BindDispatcher({
          bind: { id: names.bindId(name), name },
          carrier,
          lanes: policies.lanes,
          routes: routesOfBind(policies, name),
          process: options.process,
          clock,
          pools: {
            urgent: pools.urgent,
            dispatch: pools.dispatch,
            control: pools.control,
            reader: pools.reader,
            lease: pools.lease,
          },
          boss,
          ids,
          idStock,
          journal,
          claimWriters: {
            emergency: await open(`urgent claims ${name}`, pools.urgent),
            others: await open(`claims ${name}`, pools.claims),
          },
          takeoverWriter: await open(`takeover ${name}`),
          texts: options.texts,
          fresh: options.fresh === undefined ? null : whileBoardIsKnown(options.fresh, board, clock),
          receipts,
          cancelled,
          pauses: board,
          ...lookups,
          pull: (route) => states.pull(route, name),
          othersAble: (routes) => states.othersAble(routes, name),
          secondRoute: (item) => inForce.secondRoute(item),
          onCondition: () => states.changed(),
          connect: (handlers) => options.connect(name, handlers),
          elsewhere: () => ownership.elsewhere(names.bindId(name)),
          log,
          onRefused: (kind, status) => options.onRefused?.(name, kind, status),
          ...(options.onSent === undefined
            ? {}
            : { onSent: (lane: LaneName, sent: Sent) => options.onSent?.(name, lane, sent) }),
        }),
      );
    }
    const chores = {
      pool: pools.control,
      writer: await open('sweeper'),
      boss,
      clock,
      ...lookups,
      lanes: policies.lanes,
    };
    const ownership = new Ownership({
      pool: pools.lease,
      clock,
      process: options.process,
      node: options.node,
      binds: binds.filter(({ name }) => mayHold(policies.carriers[name], options.node)),
      onTrouble: trouble('ownership'),
    });
    const sweeper = new Sweeper({
      ...chores,
      unpark: () => dispatch.#unpark(null),
      orphans: () => takeOverOrphans({ ...chores, ids }, options.process, ownership.wanted),
      quietBinds: Object.entries(policies.carriers)
        .filter(([, carrier]) => carrier.receiptsOn === 'failure')
        .map(([name]) => names.bindId(name)),
      onTrouble: trouble('sweeper'),
    });
    const later = new Later({ ...chores, onTrouble: trouble('work for later') });
    const watch = new RouteWatch(
      { ...{ pool: pools.control, boss, ids, clock, names, states, log }, onTrouble: trouble('routes') },
      policies,
    );
    const parts = { states, watch, inForce, later };
    const dispatch = new Dispatch(options, binds, journal, sweeper, ownership, parts, cancelled, board);
    started.dispatch = dispatch;
    dispatch.#remember(early);
    dispatch.#listeners.push(
      await database.listen(DISPATCH_CHANNEL, (payload) => {
        const queues = payload === '' ? null : new Set(payload.split(','));
        for (const bind of binds) bind.wake(queues);
      }),
      await database.listen(CANCEL_CHANNEL, (payload) => void dispatch.#onCancel(payload)),
      await database.listen(BIND_STATE_CHANNEL, (payload) => {
        if (payload !== String(options.process)) void states.refresh();
      }),
      await database.listen(LEASE_CHANNEL, () => ownership.look()),
    );
    await states.start();
    ownership.start();
    sweeper.start();
    watch.start();
    later.start();
    return dispatch;
  }

  /** What must be there before anything is routed by these policies: numbers of their names, and queues. */
  async prepare(policies: Pick<Policies, 'carriers' | 'routing'>): Promise<void> {
    const { boss, names, database } = this.#options;
    await names.add(database.pools.control, policies);
    await createDispatchQueues(boss, [...new Set(policies.routing.routes.map(({ name }) => name))], [...LANES]);
  }

  /**
   * Puts policies in force that can take effect while it runs, after `prepare`; those of binds that they do not name stay.
   * Binds read the queues of today's routes, and what waits in others is routed anew.
   */
  apply(policies: Policies): void {
    const { carriers, lanes, routing } = policies;
    for (const bind of this.binds) bind.apply(carriers[bind.name] ?? bind.carrier, lanes);
    this.states.use(routing.routes, namesOfBinds(policies, this.#options.names));
    for (const bind of this.binds) bind.useRoutes(routesOfBind(policies, bind.name));
    this.#inForce.use(routing);
    this.#watch.use(policies);
  }

  /** Names of binds without a session, those left out that another process holds: that one looks after them. */
  get bindsDown(): string[] {
    return this.binds.filter((bind) => !bind.up && !bind.elsewhere).map((bind) => bind.name);
  }

  /** Queues in which work waits that no bind could take, for longer than a reconnect takes. */
  get unread(): readonly Unread[] {
    return this.#watch.unread;
  }

  /** Stops taking work, lets claimed work out, writes everything down, gives the leases back. Bounded by `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    for (const listener of this.#listeners) await listener.close();
    await Promise.all([this.#sweeper.stop(), this.#later.stop(), this.#watch.stop()]);
    await this.#ownership.stop();
    const share = timeoutMs / 3;
    await Promise.all(
      this.binds.map(async (bind) => {
        // Another process takes it at once; it need not wait for the binds that take longer.
        if (await bind.drain(share)) await bind.release();
      }),
    );
    await this.states.close();
    if (!(await this.journal.drain(share))) {
      this.#options.log.error(
        { operations: this.journal.backlog },
        'the journal could not be written before the end: what is open is in doubt',
      );
    }
    await Promise.all(this.binds.map((bind) => bind.release()));
    await this.#board.close();
    await this.#parking;
  }

  /** Whether nothing of this alert, lane or route, or through this bind, goes out until it is resumed. */
  isPaused(scope: PauseScope, name: string): boolean {
    return this.#board.now.has(scope, name);
  }

  /** Alerts that are paused now. */
  get pausedAlerts(): number {
    return this.#board.now.names('alert').size;
  }

  #onPauses({ paused, resumed }: { paused: Paused[]; resumed: Paused[] }): void {
    for (const bind of this.binds) bind.onPauses();
    const alerts = (changed: Paused[]) => changed.filter(({ scope }) => scope === 'alert').map(({ name }) => name);
    const { pools } = this.#options.database;
    for (const alert of alerts(paused)) {
      const tools = { ...this.#chores(), pool: pools.control };
      this.#park(() => parkAlert(tools, alert, () => this.isPaused('alert', alert)));
    }
    for (const alert of alerts(resumed)) this.#park(() => this.#unpark(alert));
  }

  #park(work: () => Promise<unknown>): void {
    // What fails here is made good: chunks are parked when they are fetched, and the sweeper ends what is parked in vain.
    this.#parking = this.#parking.then(work).catch((error: unknown) => {
      this.#options.log.error({ what: 'parking', err: error }, 'the database did not do what dispatch asked');
    });
  }

  #unpark(alert: string | null): Promise<number> {
    const { database, clock, policies } = this.#options;
    const holdsHere = (route: string) => scheduleOf(policies, route) === 'hold';
    const tools = { ...this.#chores(), pool: database.pools.control, holdsHere };
    return alert === null ? unparkLeft(tools, clock.now()) : unpark(tools, clock.now(), alert);
  }

  #chores() {
    const { boss, names } = this.#options;
    return {
      boss,
      laneName: (id: number) => names.laneName(id),
      routeName: (id: number) => names.routeName(id),
    };
  }

  async #onCancel(payload: string): Promise<void> {
    try {
      if (payload === '') {
        this.#board.refresh();
        this.#cancel(await this.#cancelledMeanwhile());
        return;
      }
      const [day, alert] = payload.split('/');
      if (day === undefined || alert === undefined) return;
      await this.#onCancelled([{ day, alert, at: this.#options.clock.now() }]);
    } catch (error) {
      this.#cancelTrouble(error);
    }
  }

  async #onCancelled(alerts: readonly Cancelled[]): Promise<void> {
    const fresh = alerts.filter(({ alert }) => !this.#cancelled.has(alert));
    if (fresh.length === 0) return;
    this.#remember(fresh);
    try {
      for (const { day, alert } of fresh) await this.#sweeper.cancelled(day, alert);
    } catch (error) {
      this.#cancelTrouble(error);
    }
  }

  /** Those of before the start too: receipts and carriers may still be waiting for them. */
  #remember(alerts: readonly Cancelled[]): void {
    this.#cancel(alerts.map(({ alert }) => alert));
    for (const bind of this.binds) bind.recall(alerts);
  }

  #cancelTrouble(error: unknown): void {
    this.#options.log.error({ what: 'cancel', err: error }, 'the database did not do what dispatch asked');
  }

  #cancel(alerts: readonly string[]): void {
    for (const alert of alerts) this.#cancelled.add(alert);
    for (const oldest of this.#cancelled) {
      if (this.#cancelled.size <= CANCELLED_MAX) break;
      this.#cancelled.delete(oldest);
    }
    for (const bind of this.binds) bind.cancel();
  }

  /** Which alerts of what waits in memory are cancelled: nobody may have listened when they were. */
  async #cancelledMeanwhile(): Promise<string[]> {
    const here = new Map(this.binds.flatMap((bind) => [...bind.alerts()]));
    if (here.size === 0) return [];
    const rows = await this.#options.database.pools.control.query<{ alert: string }>(
      `SELECT alert FROM alert_cancel c JOIN unnest($1::date[], $2::uuid[]) AS h(day, id)
       ON c.day = h.day AND c.alert = h.id`,
      [[...here.values()], [...here.keys()]],
      { retries: 2 },
    );
    return rows.map(({ alert }) => alert);
  }
}

function whileBoardIsKnown(fresh: FreshDeliveries, board: PauseBoard, clock: Clock): FreshDeliveries {
  return {
    take: (chunk) => (clock.monotonic() - board.readAt < BOARD_KNOWN_MS ? fresh.take(chunk) : undefined),
  };
}
