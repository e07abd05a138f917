/**
 * Several servers that share a database and a carrier's accounts, under a steady load of alerts, each on a link of its own
 * to PostgreSQL. Faults strike them one at a time; how long each account then goes without a bind attempt and without a
 * submit_sm is measured at the carrier.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { migrate } from '../db/migrate.ts';
import type { ChildServer } from '../src/child-server.ts';
import { databaseUrl } from '../src/platform/index.ts';
import { FaultyLink } from './faulty-link.ts';
import { msisdn } from './numbers.ts';
import { openRig, type Rig } from './rig.ts';
import type { Seeded } from './seeded.ts';

export const ACCOUNTS = ['north', 'east', 'south', 'west'] as const;
/** Most deliveries of a bind in doubt at once. */
export const K = 20;
const TPS = 60;
const LISTED = 2_000;
/** Bulk that waits is kept above this: there is always something unsent. */
const BACKLOG_MIN = 1_500;
const RECOVERED_WITHIN_MS = 20_000;
const POST_MS = 5_000;
/** Its key is being stored by another try; more urgent lanes go first. */
const AGAIN: ReadonlySet<number> = new Set([409, 429]);

export interface Unit {
  readonly number: number;
  readonly link: FaultyLink;
  server: ChildServer | null;
  /** It stands still: nothing is posted to it. */
  frozen: boolean;
}

/** How an account came back after a fault at `at` (epoch ms). */
export interface Recovery {
  account: number;
  fault: string;
  at: number;
  /** From the fault to the first bind attempt; null when its sessions stood. */
  bindMs: number | null;
}

export interface Accepted {
  id: string;
  lane: string;
  recipients: number;
  shortLived: boolean;
}

export class Cluster {
  readonly rig: Rig;
  readonly units: Unit[] = [];
  readonly accepted: Accepted[] = [];
  readonly recoveries: Recovery[] = [];
  /** When PostgreSQL was away, epoch ms. */
  readonly outages: { from: number; to: number }[] = [];
  readonly #keys: { fast: string; bulk: string };
  readonly #random: Seeded;
  #posting: Promise<void>[] = [];
  #stopped = false;
  #posted = 0;

  private constructor(rig: Rig, keys: { fast: string; bulk: string }, random: Seeded) {
    this.rig = rig;
    this.#keys = keys;
    this.#random = random;
  }

  static async open(servers: number, random: Seeded): Promise<Cluster> {
    const carrier = {
      tps: TPS,
      window: 10,
      claimLimit: K,
      responseTimeout: 'PT3S',
      reconnectFirst: 'PT0.1S',
      reconnectMax: 'PT1S',
    };
    const rig = await openRig({
      accounts: ACCOUNTS.map((systemId) => ({
        systemId,
        sessions: 8,
        receipts: { delayMs: 50, redeliverAfterMs: 500 },
      })),
      carriers: Object.fromEntries(ACCOUNTS.map((name) => [name, carrier])),
      servers: 0,
    });
    try {
      await migrate(rig.target);
      const keys = { fast: await rig.key(['emergency', 'transaction', 'security']), bulk: await rig.key(['bulk']) };
      const cluster = new Cluster(rig, keys, random);
      for (let number = 0; number < servers; number++) {
        const unit = { number, link: await FaultyLink.open(rig.target), server: null, frozen: false };
        cluster.units.push(unit);
        await cluster.start(unit);
      }
      await rig.list('all', keys.bulk, LISTED);
      return cluster;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.stopLoad();
    for (const { server, frozen } of this.units) if (frozen) server?.child.kill('SIGCONT');
    await this.rig.close();
    for (const { link } of this.units) link.close();
  }

  /** Starts a unit's server, again and again while the database is away. */
  async start(unit: Unit): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        const env = {
          DATABASE_URL: databaseUrl(unit.link.target),
          TOCSIN_NODE: `node-${unit.number}`,
          LOG_LEVEL: 'fatal',
        };
        unit.server = await this.rig.addServer(env);
        return;
      } catch (error) {
        if (tries === 5) throw error;
        await sleep(500);
      }
    }
  }

  /** Units whose server runs and is not frozen. */
  get running(): Unit[] {
    return this.units.filter(({ server, frozen }) => server !== null && !frozen);
  }

  /** Indexes of the accounts that a unit's server holds now. */
  async heldBy(unit: Unit): Promise<number[]> {
    const rows = await this.rig.database.pools.reader.query<{ name: string }>(
      `SELECT b.name FROM bind_lease l JOIN bind b ON b.id = l.bind
       WHERE l.until > clock_timestamp() AND l.process = (SELECT max(id) FROM process WHERE pid = $1)`,
      [unit.server?.pid ?? 0],
      { retries: 3 },
    );
    return rows.map(({ name }) => ACCOUNTS.indexOf(name as (typeof ACCOUNTS)[number]));
  }

  /** Waits until every account is bound by a holder, and work waits. */
  async settled(): Promise<void> {
    const until = performance.now() + RECOVERED_WITHIN_MS;
    for (;;) {
      const held = await this.#held();
      const stats = await this.rig.sim.stats();
      if (held === ACCOUNTS.length && stats.accounts.every(({ now }) => now.sessions > 0)) return;
      if (performance.now() > until)
        throw new Error(`${held} of ${ACCOUNTS.length} accounts are held, after ${RECOVERED_WITHIN_MS} ms`);
      await sleep(50);
    }
  }

  async #held(): Promise<number> {
    const rows = await this.rig.database.pools.reader
      .query<{ n: number }>('SELECT count(*) AS n FROM bind_lease WHERE until > clock_timestamp()')
      .catch(() => []);
    return rows[0]?.n ?? 0;
  }

  /** Lets a fault strike, and waits until each of these accounts was tried to be bound again. @returns when it struck */
  async strike(fault: string, accounts: readonly number[], act: () => Promise<void> | void): Promise<number> {
    const attempts = async (): Promise<number[]> =>
      (await this.rig.sim.stats()).accounts.map(({ binds, bindsRefused }) => binds + bindsRefused);
    const before = await attempts();
    const at = performance.timeOrigin + performance.now();
    await act();
    const open = new Set(accounts);
    while (open.size > 0) {
      const now = await attempts();
      const took = performance.timeOrigin + performance.now() - at;
      for (const account of [...open]) {
        if ((now[account] ?? 0) <= (before[account] ?? 0) && took < RECOVERED_WITHIN_MS) continue;
        open.delete(account);
        this.recoveries.push({ account, fault, at, bindMs: Math.round(took) });
      }
      await sleep(20);
    }
    return at;
  }

  // load -------------------------------------------------------------------------------------------------------------

  /** One-recipient alerts in three lanes, some of them short-lived, and broadcasts whenever little waits. */
  startLoad(): void {
    this.#stopped = false;
    this.#posting = [
      this.#every(200, () => this.#single('emergency', { content: { text: 'Flood warning: leave the river bank.' } })),
      this.#every(150, () => this.#single('transaction', { content: { text: 'Your card was charged 42.10 EUR.' } })),
      this.#every(400, () =>
        this.#single('transaction', { content: { text: 'Short-lived.' }, validFor: 'PT4S' }, true),
      ),
      this.#every(500, () => this.#broadcast()),
    ];
    // Heard when the load is stopped: until then what the scenario stands on must stay in its hands.
    for (const posting of this.#posting) posting.catch(() => undefined);
  }

  async stopLoad(): Promise<void> {
    this.#stopped = true;
    const posting = this.#posting;
    this.#posting = [];
    await Promise.all(posting);
  }

  async #every(ms: number, work: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await work();
      await sleep(ms);
    }
  }

  async #single(lane: string, alert: object, shortLived = false): Promise<void> {
    const n = ++this.#posted;
    const target = { recipients: [{ msisdn: msisdn(10_000_000 + n) }] };
    await this.#post(`single-${n}`, this.#keys.fast, { lane, target, ...alert }, { lane, recipients: 1, shortLived });
  }

  async #broadcast(): Promise<void> {
    const rows = await this.rig.database.pools.reader
      .query<{ n: number }>('SELECT coalesce(sum(deliveries - claimed_to), 0) AS n FROM chunk WHERE NOT settled')
      .catch(() => [{ n: BACKLOG_MIN }]);
    if ((rows[0]?.n ?? 0) >= BACKLOG_MIN) return;
    const alert = { lane: 'bulk', content: { text: 'Our branch opens at nine.' }, target: { lists: ['all'] } };
    const kind = { lane: 'bulk', recipients: LISTED, shortLived: false };
    await this.#post(`bulk-${++this.#posted}`, this.#keys.bulk, alert, kind);
    // Its fan-out takes its time: the next look would find as little.
    await sleep(2_000);
  }

  /** Posts until it is accepted, to one server after another, under one Idempotency-Key. */
  async #post(idempotencyKey: string, key: string, alert: object, kind: Omit<Accepted, 'id'>): Promise<void> {
    for (;;) {
      const unit = this.running.length === 0 ? null : this.#random.pick(this.running);
      const answer =
        unit?.server == null
          ? null
          : await fetch(`${unit.server.url}/v1/alerts`, {
              method: 'POST',
              headers: {
                authorization: `Bearer ${key}`,
                'content-type': 'application/json',
                'idempotency-key': idempotencyKey,
              },
              body: JSON.stringify(alert),
              signal: AbortSignal.timeout(POST_MS),
            }).then(
              async (response) => ({ status: response.status, body: (await response.json()) as { id: string } }),
              () => null,
            );
      if (answer?.status === 202) {
        this.accepted.push({ id: answer.body.id, ...kind });
        return;
      }
      if (answer !== null && answer.status < 500 && !AGAIN.has(answer.status))
        throw new Error(`an alert was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      await sleep(50);
    }
  }
}
