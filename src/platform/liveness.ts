import { Session } from './session.ts';
import type { ConnectionTarget } from './target.ts';

const statementTimeoutMs = 5_000;

/**
 * Locks that say "a living process works on this". They are advisory locks of one session, so PostgreSQL itself lets them
 * go when the process dies, however it dies, with nothing to time out and nothing to clean up. They hold nobody up: who
 * finds a piece of work marked as taken and can lock it knows that nobody works on it any more.
 *
 * When only the session is lost, the locks go while the work goes on. So such a lock saves from waiting, never from doing
 * a thing twice: what it guards must be safe by its own keys. A lock is two 32-bit numbers: what kind, and a hash of which.
 */
export class Liveness {
  readonly #target: ConnectionTarget;
  readonly #applicationName: string;
  readonly #held = new Set<string>();
  #session: Promise<Session> | undefined;
  #closed = false;

  constructor(target: ConnectionTarget, applicationName = 'tocsin') {
    this.#target = target;
    this.#applicationName = applicationName;
  }

  /** Opens the session ahead of the first lock. @throws TransactionFailed */
  async open(): Promise<void> {
    await this.#live();
  }

  /**
   * True when the lock is ours now, or already was. False when another living process has it.
   * @throws TransactionFailed when the database can't be asked.
   */
  async tryLock(kind: number, name: string): Promise<boolean> {
    const key = `${kind}/${name}`;
    const session = await this.#live();
    // A session may lock the same twice and must then let go twice: ask only once.
    if (this.#held.has(key)) return true;
    const { rows } = await session.query<{ mine: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as mine', [
      kind,
      name,
    ]);
    const mine = rows[0]?.mine === true;
    if (mine) this.#held.add(key);
    return mine;
  }

  /** Lets go. A lost session has done so already. */
  async unlock(kind: number, name: string): Promise<void> {
    if (!this.#held.delete(`${kind}/${name}`) || this.#session === undefined) return;
    const session = await this.#session.catch(() => undefined);
    await session?.query('select pg_advisory_unlock($1, hashtext($2))', [kind, name]).catch(() => session.discard());
  }

  async close(): Promise<void> {
    this.#closed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  #live(): Promise<Session> {
    if (this.#closed) return Promise.reject(new TypeError('the locks are closed'));
    this.#session ??= this.#connect();
    return this.#session;
  }

  async #connect(): Promise<Session> {
    try {
      const session = await Session.open(this.#target, {
        applicationName: `${this.#applicationName} alive`,
        statementTimeoutMs,
      });
      session.onEnd(() => {
        this.#held.clear();
        this.#session = undefined;
      });
      return session;
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
  }
}
