/**
 * A real server process between proxies (crash-points.ts): PostgreSQL on one side, a simulated carrier and a producer on
 * the others. It runs the main job in rounds, lets one fault strike in each, and says what came of it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKey } from '../../src/access/index.ts';
import { verify } from '../../src/audit/index.ts';
import { FACT_TABLES } from '../../src/facts.ts';
import { databaseUrl } from '../../src/platform/index.ts';
import { FINAL } from '../../src/records/index.ts';
import { type LoggedSubmit, readSubmitLog, type Simulator, startSimulator } from '../../src/simulator/index.ts';
import { decodeCorrelation } from '../../src/smpp/index.ts';
import { CrashPoints, type CrashProxy, httpProxy, type Reached, smppProxy, sqlProxy } from './crash-points.ts';
import { testDatabase } from './database.ts';
import { type Served, serve } from './served.ts';

/**
 * `kill`: kill -9 of the server, which is then started again. `backend`: the end of the statement's backend, or of all.
 * `answer`: the connection is cut there, so that before the point a request, and after it an answer is lost.
 * `freeze`: SIGSTOP for longer than the lease, a COMMIT held back with all its locks; needs a second server.
 */
export type Strike = 'kill' | 'backend' | 'answer' | 'freeze';

/** Most deliveries whose fate is open after a crash. */
export const K = 20;
const LISTED = 30;
const roundTimeoutMs = 30_000;
const upkeepMs = 2_500;
/** LEASE_TTL_MS and the longest that another process needs to notice. */
const frozenMs = 5_500;
/** What was written before a freeze has arrived by then. */
const inSocketsMs = 200;
/** The carrier's points are of whichever server holds the bind. */
const HOLDER = -1;

/** While the holder of the bind stood still, epoch ms. */
interface Frozen {
  from: number;
  to: number;
}

interface Unit {
  served: Served | null;
  databaseUrl: string;
  /** Where producers find it. */
  url: string;
}

export interface Round {
  /** Null when nothing was armed, or when it never fired. */
  fired: Reached | null;
  /** From the strike to the first submit_sm after it; null when nothing was left to send. */
  recoveredMs: number | null;
  /** Deliveries of which the carrier got a second copy. */
  copies: number;
  /** Socket writes with a submit_sm in them that a frozen holder of the bind did when it woke. */
  lateWrites: number;
  /** deliver_sm that the carrier sent again. */
  redelivered: number;
  /** All that is not as it must be. */
  faults: string[];
}

export class CrashRig {
  readonly points = new CrashPoints();
  readonly #folder: string;
  readonly #database: Awaited<ReturnType<typeof testDatabase>>;
  readonly #simulator: Simulator;
  readonly #proxies: CrashProxy[] = [];
  #key = '';
  #carrierPort = 0;
  readonly #units: Unit[] = [];
  /** The unit that holds the bind, as seen last. */
  #holder = 0;
  /** Deliveries of earlier rounds. */
  readonly #past = new Set<number>();
  #round = 0;

  private constructor(folder: string, database: Awaited<ReturnType<typeof testDatabase>>, simulator: Simulator) {
    this.#folder = folder;
    this.#database = database;
    this.#simulator = simulator;
  }

  /** @param servers that share the database and the carrier's account */
  static async open(servers = 1): Promise<CrashRig> {
    const folder = await mkdtemp(join(tmpdir(), 'tocsin-crash-'));
    const database = await testDatabase();
    const simulator = await startSimulator({
      accounts: [{ systemId: 'a', password: 'demo', receipts: { delayMs: 20, redeliverAfterMs: 500 } }],
      correlationTlv: 0x1400,
      log: join(folder, 'log.jsonl'),
    });
    const rig = new CrashRig(folder, database, simulator);
    try {
      await rig.#prepare(servers);
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const { served } of this.#units) {
      served?.thaw();
      await served?.stop();
    }
    for (const proxy of this.#proxies) await proxy.close();
    await this.#simulator.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /**
   * One round: an emergency broadcast to the list, a secret one-time password and a bulk alert to new recipients, all
   * posted until they are answered, all waited for until they are final, and both sides compared. With `arm`, the fault
   * strikes when that point is reached.
   */
  async round(arm?: { point: string; strike: Strike }): Promise<Round> {
    const faults: string[] = [];
    const round = ++this.#round;
    let fired: Reached | null = null;
    let struckAt = 0;
    let restarted: Promise<void> = Promise.resolve();
    const redelivered = () => this.#simulator.stats().accounts[0]?.receipts.redelivered ?? 0;
    const redeliveredBefore = redelivered();
    const received = () => this.#simulator.stats().accounts[0]?.received ?? 0;
    let receivedBefore = Number.POSITIVE_INFINITY;
    let restartedAt = 0;
    let frozen: Frozen | null = null;
    if (arm !== undefined) {
      this.points.arm(arm.point, (reached) => {
        fired = reached;
        struckAt = performance.now();
        const struck = this.#strike(arm.strike, reached);
        // What still lay in sockets when the server was killed is none of the next one's work.
        const settled = arm.strike === 'freeze' ? sleep(inSocketsMs) : struck;
        restarted = settled.then(async () => {
          receivedBefore = received();
          restartedAt = performance.now();
          await struck;
          if (arm.strike === 'freeze' && [HOLDER, this.#holder].includes(reached.unit)) {
            frozen = { from: performance.timeOrigin + struckAt, to: performance.timeOrigin + performance.now() };
          }
        });
        if (arm.strike === 'answer') return 'cut';
        // What was written before the freeze is on its way, but a transaction stays open with its locks.
        if (arm.strike === 'freeze') return /: commit .* — before$/.test(reached.point);
        // With its backend gone a statement or its answer is lost; the other sockets have lost nothing.
        return arm.strike === 'kill' || reached.backendPid !== null;
      });
    }
    this.#holder = await this.#findHolder();
    const alerts = await this.#post(round);
    let recoveredMs: number | null = null;
    let afterRestartMs = 0;
    const until = performance.now() + roundTimeoutMs;
    let open = Number.POSITIVE_INFINITY;
    while (open > 0 && performance.now() < until) {
      await sleep(20);
      if (fired !== null && recoveredMs === null && received() > receivedBefore) {
        recoveredMs = Math.round(performance.now() - struckAt);
        afterRestartMs = performance.now() - restartedAt;
      }
      open = await this.#open(alerts);
    }
    // A point of the upkeep comes by its own clock, not by that of the alerts.
    const patience = performance.now() + upkeepMs;
    while (arm !== undefined && fired === null && performance.now() < patience) await sleep(20);
    this.points.disarm();
    await restarted;
    if (open > 0) faults.push(`${open} deliveries are not final`);
    if (afterRestartMs > 10_000) faults.push(`on the wire again only ${afterRestartMs} ms after the restart`);
    const { copies, lateWrites } = await this.#compare(alerts, faults, frozen);
    const report = await verify(this.#database.database, FACT_TABLES);
    if (!report.verified) faults.push(`the chain does not verify: ${JSON.stringify(report.disagreements.slice(0, 3))}`);
    return { fired, recoveredMs, copies, lateWrites, redelivered: redelivered() - redeliveredBefore, faults };
  }

  /** Ends that backend, or all that the server has. */
  async #terminate(pid: number | null): Promise<void> {
    const pids = pid === null ? [...this.points.backends] : [pid];
    await this.#database.asSuperuser((session) =>
      session.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [pids]),
    );
  }

  #strike(strike: Strike, { backendPid, unit }: Reached): Promise<void> {
    const struck = this.#units[unit === HOLDER ? this.#holder : unit] as Unit;
    switch (strike) {
      case 'kill':
        return this.#restart(struck);
      case 'backend':
        return this.#terminate(backendPid);
      case 'answer':
        return Promise.resolve();
      case 'freeze':
        struck.served?.freeze();
        return sleep(frozenMs).then(() => struck.served?.thaw());
      default:
        return strike satisfies never;
    }
  }

  async #findHolder(): Promise<number> {
    const rows = await this.#database.database.pools.reader.query<{ pid: number }>(
      'SELECT p.pid FROM bind_lease l JOIN process p ON p.id = l.process WHERE l.until > clock_timestamp()',
    );
    const found = this.#units.findIndex(({ served }) => served?.pid === rows[0]?.pid);
    return Math.max(0, found);
  }

  async #restart(unit: Unit): Promise<void> {
    const gone = unit.served;
    unit.served = null;
    if (gone !== null && (await gone.kill()) !== 'SIGKILL') throw new Error('the server was gone before');
    await this.#start(unit);
  }

  async #prepare(servers: number): Promise<void> {
    const [host] = this.#database.target.hosts;
    const smpp = await smppProxy(this.points, { port: this.#simulator.port }, HOLDER);
    this.#proxies.push(smpp);
    this.#carrierPort = smpp.port;
    for (let number = 0; number < servers; number++) {
      const sql = await sqlProxy(this.points, host, number);
      const port = () => ({ port: Number(new URL(unit.served?.url ?? 'http://127.0.0.1:1').port) });
      const http = await httpProxy(this.points, port, number);
      this.#proxies.push(sql, http);
      const unit: Unit = {
        served: null,
        databaseUrl: databaseUrl({ ...this.#database.target, hosts: [{ host: '127.0.0.1', port: sql.port }] }),
        url: `http://127.0.0.1:${http.port}`,
      };
      this.#units.push(unit);
      await this.#start(unit);
    }
    await this.#join('O');
  }

  /** Starts the server anew, and goes on as another organisation: what is read or made once comes again. */
  async renew(): Promise<void> {
    for (const unit of this.#units) await this.#restart(unit);
    await this.#join(`O${this.#round}`);
  }

  async #join(organisation: string): Promise<void> {
    this.#key = await createKey(this.#database.database, {
      organisation,
      producer: 'p',
      lanes: ['emergency', 'security', 'bulk'],
      scopes: ['alerts:write', 'lists:write'],
    });
    const put = await fetch(`${this.#units[0]?.url}/v1/lists/l/import`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'text/csv' },
      body: `msisdn\n${Array.from({ length: LISTED }, (_, index) => `+120155501${String(index).padStart(2, '0')}`).join('\n')}\n`,
    });
    if (put.status !== 200) throw new Error(`the list was answered ${put.status}: ${await put.text()}`);
  }

  async #start(unit: Unit): Promise<void> {
    unit.served = await serve({
      folder: this.#folder,
      databaseUrl: unit.databaseUrl,
      carriers: {
        a: {
          host: '127.0.0.1',
          port: this.#carrierPort,
          tps: 700,
          window: 10,
          claimLimit: K,
          correlationTlv: 0x1400,
          defaultSender: 'Tocsin',
          reconnectFirst: 'PT0.1S',
          responseTimeout: 'PT2S',
        },
      },
      routes: [{ name: 'default', prefixes: ['+'], binds: ['a'] }],
      logLevel: 'fatal',
      showStderr: true,
    });
  }

  /** Posts the round's alerts at once, each again and again under one Idempotency-Key until it is accepted. */
  #post(round: number): Promise<string[]> {
    const fresh = (index: number): string => {
      const n = round * 3 + index;
      return `+1${202 + Math.floor(n / 100)}55501${String(n % 100).padStart(2, '0')}`;
    };
    return Promise.all([
      this.#postOne(`emergency-${round}`, {
        lane: 'emergency',
        content: {
          text: `Flood warning: leave the river bank now and go to higher ground. ${'Do not wait. '.repeat(8)}`,
        },
        target: { lists: ['l'] },
      }),
      this.#postOne(`security-${round}`, {
        lane: 'security',
        secret: true,
        content: { text: `Your code is ${100_000 + round}` },
        target: { recipients: [{ msisdn: fresh(0) }] },
      }),
      this.#postOne(`bulk-${round}`, {
        lane: 'bulk',
        content: { text: 'Our branch opens at nine.' },
        target: { recipients: [{ msisdn: fresh(1) }, { msisdn: fresh(2) }] },
      }),
    ]);
  }

  async #postOne(key: string, alert: object): Promise<string> {
    const until = performance.now() + roundTimeoutMs;
    for (let tries = this.#round; ; tries++) {
      const { url } = this.#units[tries % this.#units.length] as Unit;
      const answer = await fetch(`${url}/v1/alerts`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${this.#key}`,
          'content-type': 'application/json',
          'idempotency-key': key,
          connection: 'close',
        },
        body: JSON.stringify(alert),
        signal: AbortSignal.timeout(5_000),
      }).then(
        async (response) => ({ status: response.status, body: (await response.json()) as { id: string } }),
        () => null,
      );
      if (answer?.status === 202) return answer.body.id;
      // 409: the first try is under way still; 429: a server that was frozen says that it is late.
      if (answer !== null && answer.status < 500 && answer.status !== 409 && answer.status !== 429) {
        throw new Error(`${key} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      }
      if (performance.now() > until) throw new Error(`${key} was not accepted: ${JSON.stringify(answer)}`);
      await sleep(50);
    }
  }

  /** Deliveries of these alerts without a final state, those counted that are not made yet. */
  async #open(alerts: readonly string[]): Promise<number> {
    const [row] = await this.#database.database.pools.reader.query<{ n: number }>(
      `SELECT count(*) AS n FROM delivery d JOIN final_state f ON f.day = d.day AND f.delivery = d.id
       WHERE d.alert = ANY($1::uuid[])`,
      [alerts],
    );
    return LISTED + 3 - (row?.n ?? 0);
  }

  /** Compares what the carrier got in this round with the records. Returns how many deliveries it got twice. */
  async #compare(
    alerts: readonly string[],
    faults: string[],
    frozen: Frozen | null,
  ): Promise<{ copies: number; lateWrites: number }> {
    const { reader } = this.#database.database.pools;
    const deliveries = await reader.query<{ id: number; state: number; lane: string; marked: boolean }>(
      `SELECT d.id, f.state, l.name AS lane,
         EXISTS (SELECT FROM submission s WHERE s.day = d.day AND s.delivery = d.id AND s.possible_duplicate) AS marked
       FROM delivery d JOIN lane l ON l.id = d.lane LEFT JOIN final_state f ON f.day = d.day AND f.delivery = d.id
       WHERE d.alert = ANY($1::uuid[])`,
      [alerts],
    );
    await this.#simulator.flush();
    const got = new Map<number, LoggedSubmit[]>();
    const before = new Set<number>();
    const late = new Set<number>();
    for await (const line of readSubmitLog(join(this.#folder, 'log.jsonl'))) {
      if (frozen !== null && line.time < frozen.from) before.add(line.session);
      else if (frozen !== null && line.time > frozen.to && before.has(line.session)) late.add(line.monotonic_us);
      const hex = line.tlvs.find(({ tag }) => tag === 0x1400)?.hex ?? '';
      const correlation = decodeCorrelation(Buffer.from(hex, 'hex'));
      if (correlation === null) faults.push('a submit_sm without its correlation');
      else if (!this.#past.has(correlation.delivery)) {
        got.set(correlation.delivery, [...(got.get(correlation.delivery) ?? []), line]);
      }
    }
    const known = new Set(deliveries.map(({ id }) => id));
    for (const id of got.keys())
      if (!known.has(id)) faults.push(`the carrier got delivery ${id}, which is of no alert`);
    let copies = 0;
    for (const { id, state, lane, marked } of deliveries) {
      const parts = (got.get(id) ?? []).map(({ short_message }) => short_message);
      const twice = new Set(parts).size < parts.length;
      if (twice) copies++;
      if (twice && !marked) faults.push(`delivery ${id} went out twice and is not marked`);
      // After one crash only a lane that holds what is in doubt may leave a delivery unknown; all else arrives.
      const held = lane === 'bulk' && state === FINAL.unknown;
      if (twice && lane === 'bulk') faults.push(`delivery ${id} went out twice, in a lane that holds what is in doubt`);
      if (state !== FINAL.delivered && !held) faults.push(`delivery ${id} of ${lane} ended in state ${state}`);
      if (parts.length === 0 && !held) faults.push(`delivery ${id} of ${lane} was never sent`);
    }
    if (copies > K) faults.push(`${copies} second copies, more than K = ${K}`);
    if (late.size > 1) faults.push(`a frozen holder woke and wrote ${late.size} times`);
    for (const id of known) this.#past.add(id);
    return { copies, lateWrites: late.size };
  }
}
