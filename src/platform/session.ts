import postgres from 'postgres';
import { ChurnMap } from './churn-map.ts';
import { lostConnection, TransactionFailed } from './errors.ts';
import { connectSocket, SingleUseSocket } from './socket.ts';
import type { ConnectionTarget, Host } from './target.ts';
import { encodeParameter, postgresTypes } from './values.ts';

/**
 * A session that stays idle inside a transaction this long is ended by the server: its process froze. With the longest
 * wait for a lock (`lockTimeoutMs` of the pools that share rows, 1.5 s) it makes 4 s, the TTL of a lease: the locks of a
 * frozen owner don't outlive its lease.
 */
const idleInTransactionMs = 2_500;
/** Of the server's end of a TCP connection, where a host has vanished or reads nothing: seconds, and milliseconds. */
const tcp = { tcp_keepalives_idle: 2, tcp_keepalives_interval: 1, tcp_keepalives_count: 2, tcp_user_timeout: 3_000 };
const connectTimeoutMs = 5_000;

export interface SessionOptions {
  applicationName: string;
  /** Longest time for one statement; the session is given up beyond it. COMMIT has its own, longer limit. */
  statementTimeoutMs: number;
  /** Longest wait for a lock, the server's; none unless told otherwise. */
  lockTimeoutMs?: number | undefined;
  searchPath?: string;
  onNotify?: (channel: string, payload: string) => void;
}

/** What a statement gave back: its rows, and PostgreSQL's command tag (`INSERT`, `COMMIT`, `ROLLBACK`). */
export interface Answer<T> {
  rows: T[];
  command: string;
}

/** What postgres.js's errors carry beside their message. */
interface ServerError {
  code?: string;
  severity?: string;
  message: string;
  constraint_name?: string;
  table_name?: string;
}

/**
 * One connection to PostgreSQL, over one `postgres` instance that lives exactly as long as its socket. Statements run in
 * the order of the calls; those that nobody waits for in between go out together, without a round trip each. After the
 * socket's end, a timeout, or `discard` every call is refused; nothing ever reconnects.
 */
export class Session {
  readonly backendPid: number;
  /** True when this server is a standby and takes no writes. */
  readonly standby: boolean;
  readonly openedAt = performance.now();
  readonly #sql: postgres.Sql;
  readonly #socket: SingleUseSocket;
  readonly #options: SessionOptions;
  readonly #state: LifeState;

  private constructor(
    sql: postgres.Sql,
    socket: SingleUseSocket,
    options: SessionOptions,
    state: LifeState,
    pid: number,
    standby: boolean,
  ) {
    this.#sql = sql;
    this.#socket = socket;
    this.#options = options;
    this.#state = state;
    this.backendPid = pid;
    this.standby = standby;
  }

  /**
   * Opens a session on the first host that answers and, where several are named, takes writes.
   * @throws TransactionFailed (`rolled-back`, 08001 or the server's SQLSTATE) when none does.
   */
  static async open(target: ConnectionTarget, options: SessionOptions): Promise<Session> {
    let failure: unknown;
    for (const host of target.hosts) {
      try {
        const session = await Session.#openOn(host, target, options);
        if (!session.standby || target.hosts.length === 1) return session;
        session.discard();
        failure = new TransactionFailed('rolled-back', 'every server that answers is a standby', { code: '25006' });
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  static async #openOn(host: Host, target: ConnectionTarget, options: SessionOptions): Promise<Session> {
    const socket = await connectSocket(host, target, connectTimeoutMs).catch((error: Error & { code?: string }) => {
      throw new TransactionFailed('rolled-back', `no connection to PostgreSQL (${error.code ?? 'unknown'})`, {
        code: '08001',
      });
    });
    const state = new LifeState();
    const single = new SingleUseSocket(socket, (error) => state.end(error));
    const sql = postgres({
      host: host.host,
      port: host.port,
      database: target.database,
      user: target.user,
      pass: target.password ?? '',
      ssl: false,
      max: 1,
      fetch_types: false,
      idle_timeout: 0,
      connect_timeout: 0,
      max_lifetime: null,
      keep_alive: 0,
      debug: false,
      types: postgresTypes,
      onnotice: () => undefined,
      onnotify: options.onNotify,
      socket: () => single,
      connection: {
        application_name: options.applicationName,
        search_path: options.searchPath ?? 'tocsin',
        idle_in_transaction_session_timeout: idleInTransactionMs,
        lock_timeout: options.lockTimeoutMs ?? 0,
        ...tcp,
        // Not the server's clock but ours ends a statement: its own would also cut a COMMIT short, which then answers
        // "committed" before a synchronous standby has it.
        statement_timeout: '0',
        timezone: 'UTC',
        datestyle: 'ISO, MDY',
        bytea_output: 'hex',
      },
    } as unknown as postgres.Options<Record<string, never>>);
    const timer = setTimeout(() => single.destroy(), connectTimeoutMs);
    try {
      const first = sql.unsafe<{ pid: number; standby: boolean }[]>(
        'select pg_backend_pid() as pid, pg_is_in_recovery() as standby',
      );
      const [row] = await state.race(first);
      if (row === undefined) throw new Error('no answer');
      // The server looks each 2 s whether we are still there, also while it works or waits for a lock, so that giving
      // up a session ends its statement. Windows can't.
      await state.race(sql.unsafe("set client_connection_check_interval = '2s'")).catch(() => state.check());
      return new Session(sql, single, options, state, row.pid, row.standby);
    } catch (error) {
      single.destroy();
      throw failed(error, 'rolled-back', 'no session');
    } finally {
      clearTimeout(timer);
    }
  }

  get dead(): boolean {
    return this.#state.ended;
  }

  /** Called once when the session ends, at once when it has. */
  onEnd(listener: () => void): void {
    this.#state.onEnd(listener);
  }

  /** One prepared statement. @throws TransactionFailed `rolled-back`, or `uncertain` when no answer came. */
  query<T extends object>(text: string, params: readonly unknown[] = []): Promise<Answer<T>> {
    return this.#send<T>(text, params, 'objects', this.#options.statementTimeoutMs);
  }

  /** Like `query`, rows as arrays in column order. */
  values(text: string, params: readonly unknown[] = []): Promise<Answer<unknown[]>> {
    return this.#send<unknown[]>(text, params, 'arrays', this.#options.statementTimeoutMs);
  }

  /** Statements without parameters in one go (simple protocol); `timeoutMs` is for all of them. */
  exec(text: string, timeoutMs = this.#options.statementTimeoutMs): Promise<Answer<never>> {
    return this.#send<never>(text, undefined, 'objects', timeoutMs);
  }

  /** Ends the session now; what is in flight is rejected. */
  discard(): void {
    this.#socket.destroy();
  }

  /** Ends an idle session politely. */
  async close(): Promise<void> {
    if (this.dead) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.onEnd(resolve);
    const timer = setTimeout(() => this.discard(), 1000);
    void this.#sql.end({ timeout: 1 });
    await promise;
    clearTimeout(timer);
  }

  async #send<T>(
    text: string,
    params: readonly unknown[] | undefined,
    shape: 'objects' | 'arrays',
    timeoutMs: number,
  ): Promise<Answer<T>> {
    if (this.dead) throw new TransactionFailed('rolled-back', 'the session has ended', { code: '08006' });
    const encoded = params?.map(encodeParameter);
    const timer = setTimeout(() => {
      this.#state.end(Object.assign(new Error('timeout'), { code: '57014' }));
      this.#socket.destroy();
    }, timeoutMs);
    try {
      const query =
        encoded === undefined
          ? this.#sql.unsafe(text)
          : this.#sql.unsafe(text, encoded as never[], { prepare: true, simple: false } as postgres.UnsafeQueryOptions);
      const result = await this.#state.race(shape === 'arrays' ? query.values() : query);
      return { rows: result as unknown as T[], command: result.command };
    } catch (error) {
      throw failed(error, 'uncertain', `statement "${label(text)}" failed`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Whether a session still lives, and a way to wait for an answer that is never outlived by it. */
class LifeState {
  ended = false;
  #error: unknown;
  readonly #listeners = new ChurnMap<number, () => void>();
  #lastListener = 0;

  end(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.#error = error;
    const listeners = this.#listeners.values();
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  /** @returns its key among the listeners. */
  onEnd(listener: () => void): number {
    const id = ++this.#lastListener;
    if (this.ended) listener();
    else this.#listeners.set(id, listener);
    return id;
  }

  check(): void {
    if (this.ended) throw this.#error;
  }

  race<T>(answer: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const over = this.onEnd(() => reject(this.#error));
      answer.then(
        (value) => {
          this.#listeners.delete(over);
          resolve(value);
        },
        (error: unknown) => {
          this.#listeners.delete(over);
          reject(error);
        },
      );
    });
  }
}

/** The beginning of a statement, to find it in the code, without what may be a value in it. */
function label(text: string): string {
  return text
    .trimStart()
    .replace(/'(?:[^']|'')*'?/g, "'…'")
    .replace(/\d{5,}/g, '…')
    .replace(/\s+/g, ' ')
    .slice(0, 60);
}

/** Classes of SQLSTATE whose message texts hold identifiers at most, never a value of a row or a parameter. */
const harmlessText = /^(?:3D|3F|40|42|53|55|57)/;

/**
 * The error of a statement as the rest of the house may see it: no values. A server's ERROR means that the statement did
 * nothing; when the session ended instead, the outcome is `whenLost`.
 */
function failed(error: unknown, whenLost: 'rolled-back' | 'uncertain', what: string): TransactionFailed {
  if (error instanceof TransactionFailed) return error;
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) {
    // An answer came and could not be read here: the statement was done.
    return new TransactionFailed(whenLost, `${what}: the answer could not be read`, { code: '22000' });
  }
  const { code = '08006', severity, message, constraint_name, table_name } = error as ServerError;
  // Every SQLSTATE has a digit; EPIPE, the socket's own, looks like one otherwise.
  const sqlState = /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : '08006';
  const outcome = severity === 'ERROR' && !lostConnection(sqlState) ? 'rolled-back' : whenLost;
  const words = [
    severity === undefined ? undefined : harmlessText.test(sqlState) ? message : undefined,
    constraint_name,
  ];
  const reason = words.filter((word) => word !== undefined).join(', ');
  return new TransactionFailed(outcome, `${what}: ${sqlState}${reason === '' ? '' : ` (${reason})`}`, {
    code: sqlState,
    constraint: constraint_name,
    table: table_name,
  });
}
