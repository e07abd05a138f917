import { setTimeout as sleep } from 'node:timers/promises';
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import type postgres from 'postgres';
import { TransactionFailed } from './errors.ts';
import { type Answer, Session } from './session.ts';
import type { ConnectionTarget } from './target.ts';

/** A transaction that is open. Statements go strictly one after another, in the order of the calls. */
export interface Tx {
  /** One prepared statement. Arrays go to `$1::bigint[]` and the like. @throws TransactionFailed: the whole transaction is over. */
  query<T extends object = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<T[]>;
  /** Statements without parameters, several if need be, in one round trip (simple protocol). */
  exec(text: string): Promise<void>;
  readonly backendPid: number;
  /** drizzle over this very transaction, for control-plane statements. Its own `transaction` must not be used, and throws. */
  readonly drizzle: PostgresJsDatabase;
}

export interface PoolOptions {
  name: string;
  /** Sessions at most; they are opened when first needed. */
  size: number;
  target: ConnectionTarget;
  /** Longest time for one statement, COMMIT apart. */
  statementTimeoutMs: number;
  /** Longest wait for a lock; a statement that waits longer fails with 55P03. None unless told otherwise. */
  lockTimeoutMs?: number | undefined;
  applicationName: string;
  /** Longest wait for a free session before a transaction fails with 53300. Default 10 s. */
  acquireTimeoutMs?: number;
  /** Transactions that may wait for a session; more fail at once with 53300. Default 10,000. */
  queueLimit?: number;
}

export interface RunOptions {
  /** How often the work is run again after a deadlock, a serialization failure, or a connection lost before COMMIT. Default 3. */
  retries?: number;
  /**
   * False: COMMIT answers before the disk has it. For what may be lost in a crash of the server as long as all that is
   * built on it is lost too, or is durable later: the log is written in order. Default true; `Tx.exec` can turn it on.
   */
  durable?: boolean;
}

/** What a pool is doing right now, for metrics. */
export interface PoolStats {
  sessions: number;
  busy: number;
  waiting: number;
}

const defaultRetries = 3;
/** COMMIT waits for a synchronous standby as long as this; beyond it the outcome is `uncertain`. */
const commitTimeoutMs = 60_000;
const rollbackTimeoutMs = 5_000;
/** A session is replaced at this age when it comes back idle: caches of plans and of old partitions grow in it. */
const sessionAgeMs = 3_600_000;
const reconnectMs = { first: 50, most: 1_000 };

interface Waiter {
  resolve: (session: Session) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

/**
 * Sessions of one purpose, and the only way to run a transaction in this house.
 *
 * It is our own because `sql.begin` is not atomic when a backend dies (docs/decisions/0002): one `postgres` instance per
 * session, our own BEGIN and COMMIT, every statement refused once the session ended, and a session that saw any failure
 * is thrown away.
 */
export class Pool {
  readonly name: string;
  readonly #options: PoolOptions;
  readonly #idle: Session[] = [];
  readonly #waiters: Waiter[] = [];
  #sessions = 0;
  #opening = 0;
  #failures = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(options: PoolOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get stats(): PoolStats {
    return {
      sessions: this.#sessions,
      busy: this.#sessions - this.#idle.length - this.#opening,
      waiting: this.#waiters.length,
    };
  }

  /**
   * Runs `work` in one transaction (READ COMMITTED) and commits. When `work` throws, everything is rolled back and its
   * error is thrown on; when the database fails, a {@link TransactionFailed} is. `work` may be run again (see `retries`),
   * so all that it does outside the transaction must bear that. A statement that fails ends the transaction, also when
   * `work` catches the error. Never settles while `work` still runs.
   */
  async run<T>(work: (tx: Tx) => Promise<T>, options: RunOptions = {}): Promise<T> {
    const retries = options.retries ?? defaultRetries;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#runOnce(work, options.durable ?? true);
      } catch (error) {
        const again = error instanceof TransactionFailed && error.outcome === 'rolled-back' && error.mayRetry;
        if (!again || attempt >= retries || this.#closing !== undefined) throw error;
        await sleep(5 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  /**
   * One statement on its own, committed when it answers. Not retried unless the caller says so: a write that failed may
   * be `uncertain`. `retries` is for reads and for writes that may be done twice.
   */
  async query<T extends object = Record<string, unknown>>(
    text: string,
    params?: readonly unknown[],
    options: RunOptions = {},
  ): Promise<T[]> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#queryOnce<T>(text, params);
      } catch (error) {
        const again = error instanceof TransactionFailed && error.mayRetry && attempt < (options.retries ?? 0);
        if (!again || this.#closing !== undefined) throw error;
        await sleep(5 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  async #queryOnce<T extends object>(text: string, params?: readonly unknown[]): Promise<T[]> {
    const session = await this.#acquire();
    try {
      const { rows } = await session.query<T>(text, params);
      this.#release(session);
      return rows;
    } catch (error) {
      this.#drop(session);
      throw error;
    }
  }

  /** Refuses new work, lets what runs come to its end, closes the sessions. */
  async close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers<void>();
      for (const waiter of this.#waiters.splice(0)) this.#refuse(waiter);
      for (const session of this.#idle.splice(0)) void session.close().finally(() => this.#gone());
      if (this.#sessions === 0) this.#closing.resolve();
    }
    await this.#closing.promise;
  }

  async #runOnce<T>(work: (tx: Tx) => Promise<T>, durable: boolean): Promise<T> {
    const session = await this.#acquire();
    const tx = new Transaction(session);
    let keep = false;
    try {
      await tx.begin(durable);
      const value = await work(tx);
      await tx.commit();
      keep = true;
      return value;
    } catch (error) {
      keep = await tx.rollback();
      // drizzle wraps what we throw in an error of its own, whose message lists the parameters.
      if (tx.failure !== undefined && (error as Error | undefined)?.cause === tx.failure) throw tx.failure;
      throw error;
    } finally {
      if (keep) this.#release(session);
      else this.#drop(session);
    }
  }

  #acquire(): Promise<Session> {
    if (this.#closing !== undefined) {
      return Promise.reject(new TransactionFailed('rolled-back', `pool ${this.name} is closed`, { code: '57P03' }));
    }
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (!session.dead) return Promise.resolve(session);
    }
    if (this.#waiters.length >= (this.#options.queueLimit ?? 10_000)) {
      return Promise.reject(
        new TransactionFailed('rolled-back', `pool ${this.name}: too many wait`, { code: '53300' }),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    const timer = setTimeout(() => {
      const i = this.#waiters.indexOf(waiter);
      if (i >= 0) this.#waiters.splice(i, 1);
      reject(
        new TransactionFailed('rolled-back', `pool ${this.name}: no session became free in time`, { code: '53300' }),
      );
    }, this.#options.acquireTimeoutMs ?? 10_000);
    const waiter: Waiter = { resolve, reject, timer };
    this.#waiters.push(waiter);
    this.#grow();
    return promise;
  }

  #release(session: Session): void {
    if (session.dead) return;
    if (this.#closing !== undefined || performance.now() - session.openedAt > sessionAgeMs) {
      void session.close();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#idle.push(session);
      return;
    }
    clearTimeout(waiter.timer);
    waiter.resolve(session);
  }

  #drop(session: Session): void {
    session.discard();
  }

  /** Opens one more session when someone waits who is not served by those already on their way. */
  #grow(): void {
    if (this.#closing !== undefined || this.#waiters.length <= this.#opening || this.#sessions >= this.#options.size)
      return;
    this.#sessions++;
    this.#opening++;
    void this.#open();
  }

  async #open(): Promise<void> {
    const { target, applicationName, statementTimeoutMs, lockTimeoutMs, name } = this.#options;
    for (;;) {
      if (this.#failures > 0) {
        const wait = Math.min(reconnectMs.first * 2 ** (this.#failures - 1), reconnectMs.most);
        await sleep(wait * (0.5 + Math.random() / 2));
      }
      // Nobody waits any more (they timed out, or another session served them): a later call opens one.
      if (this.#closing !== undefined || this.#waiters.length === 0) {
        this.#opening--;
        this.#gone();
        return;
      }
      try {
        const session = await Session.open(target, {
          applicationName: `${applicationName} ${name}`,
          statementTimeoutMs,
          lockTimeoutMs,
        });
        this.#failures = 0;
        this.#opening--;
        session.onEnd(() => this.#lost(session));
        this.#release(session);
        this.#grow();
        return;
      } catch {
        this.#failures = Math.min(this.#failures + 1, 10);
      }
    }
  }

  #lost(session: Session): void {
    const i = this.#idle.indexOf(session);
    if (i >= 0) this.#idle.splice(i, 1);
    this.#gone();
  }

  #gone(): void {
    this.#sessions--;
    if (this.#closing === undefined) this.#grow();
    else if (this.#sessions === 0) this.#closing.resolve();
  }

  #refuse(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    waiter.reject(new TransactionFailed('rolled-back', `pool ${this.name} is closed`, { code: '57P03' }));
  }
}

/** One transaction on one session, from BEGIN to its end. */
class Transaction implements Tx {
  readonly #session: Session;
  #state: 'idle' | 'open' | 'over' = 'idle';
  #pending = 0;
  #settled: (() => void) | undefined;
  #drizzle: PostgresJsDatabase | undefined;
  /** The first failure of a statement: nothing of this transaction can be committed after it. */
  failure: TransactionFailed | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  get backendPid(): number {
    return this.#session.backendPid;
  }

  get drizzle(): PostgresJsDatabase {
    this.#drizzle ??= drizzle(drizzleClient(this) as postgres.Sql);
    return this.#drizzle;
  }

  async begin(durable: boolean): Promise<void> {
    const text = durable ? 'begin' : 'begin; set local synchronous_commit to off';
    await this.#statement(() => this.#session.exec(text));
    this.#state = 'open';
  }

  async query<T extends object = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<T[]> {
    this.#mustBeOpen();
    return (await this.#statement(() => this.#session.query<T>(text, params))).rows;
  }

  async values(text: string, params?: readonly unknown[]): Promise<unknown[][]> {
    this.#mustBeOpen();
    return (await this.#statement(() => this.#session.values(text, params))).rows;
  }

  async exec(text: string): Promise<void> {
    this.#mustBeOpen();
    await this.#statement(() => this.#session.exec(text));
  }

  /** @throws TransactionFailed `rolled-back` when a statement failed before or the server refused, else `uncertain`. */
  async commit(): Promise<void> {
    await this.#quiet();
    if (this.failure !== undefined) throw this.failure;
    if (this.#session.dead)
      throw this.#fail(new TransactionFailed('rolled-back', 'the session ended before COMMIT', { code: '08006' }));
    this.#state = 'over';
    try {
      const { command } = await this.#session.exec('commit', commitTimeoutMs);
      if (command === 'COMMIT') return;
      throw new TransactionFailed('rolled-back', `COMMIT was answered ${command}`, { code: '25P02' });
    } catch (error) {
      if (error instanceof TransactionFailed && error.outcome === 'uncertain') {
        throw this.#fail(new TransactionFailed('uncertain', 'the answer to COMMIT was lost', { code: '08007' }));
      }
      throw this.#fail(error as TransactionFailed);
    }
  }

  /** Undoes what is open. True when the session is as good as new. */
  async rollback(): Promise<boolean> {
    const wasOpen = this.#state === 'open';
    this.#state = 'over';
    await this.#quiet();
    if (!wasOpen || this.failure !== undefined || this.#session.dead) return false;
    try {
      const { command } = await this.#session.exec('rollback', rollbackTimeoutMs);
      return command === 'ROLLBACK';
    } catch {
      return false;
    }
  }

  #mustBeOpen(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.#state !== 'open')
      throw new TransactionFailed('rolled-back', 'the transaction is over', { code: '25000' });
  }

  async #statement<T>(send: () => Promise<Answer<T>>): Promise<Answer<T>> {
    this.#pending++;
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof TransactionFailed)) {
        this.#fail(new TransactionFailed('rolled-back', 'a statement could not be sent', { code: '22000' }));
        throw error;
      }
      // COMMIT was never sent, so nothing of it can stay.
      const { message, code, constraint, table } = error;
      this.#fail(new TransactionFailed('rolled-back', message, { code, constraint, table }));
      // Of statements that went out together the first that failed says why: those behind it only that one did (25P02).
      throw this.failure;
    } finally {
      if (--this.#pending === 0) this.#settled?.();
    }
  }

  /** Waits for statements that `work` did not wait for. */
  async #quiet(): Promise<void> {
    if (this.#pending === 0) return;
    await new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
  }

  #fail(failure: TransactionFailed): TransactionFailed {
    this.failure ??= failure;
    return failure;
  }
}

/** The part of a postgres.js client that drizzle uses, over an open transaction. */
function drizzleClient(tx: Transaction): unknown {
  const refuse = (): never => {
    throw new TypeError('a transaction is opened by Pool.run alone');
  };
  return {
    options: { parsers: {}, serializers: {} },
    begin: refuse,
    savepoint: refuse,
    unsafe(text: string, params?: readonly unknown[]) {
      let rows: Promise<unknown[]> | undefined;
      return {
        values: () => tx.values(text, params),
        // drizzle awaits the query itself when it wants rows as objects.
        // biome-ignore lint/suspicious/noThenProperty: postgres.js queries are lazy thenables
        then: (resolve: (value: unknown[]) => unknown, reject: (error: unknown) => unknown) => {
          rows ??= tx.query(text, params);
          return rows.then(resolve, reject);
        },
      };
    },
  };
}
