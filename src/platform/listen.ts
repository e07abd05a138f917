import { setTimeout as sleep } from 'node:timers/promises';
import { Session, type SessionOptions } from './session.ts';
import type { ConnectionTarget } from './target.ts';

const heartbeatMs = 10_000;
const heartbeatTimeoutMs = 5_000;
const reconnectMs = { first: 50, most: 1_000 };

/** What hears a channel: the payload of each NOTIFY, and '' after each reconnect, when something may have been missed. */
export type OnNotify = (payload: string) => void;

/** One session that listens for the whole process, on any number of channels; it reconnects for ever. */
export class Listener {
  readonly #target: ConnectionTarget;
  readonly #applicationName: string;
  readonly #channels = new Map<string, Set<OnNotify>>();
  #session: Promise<Session> | undefined;
  #closed = new AbortController();

  constructor(target: ConnectionTarget, applicationName: string) {
    this.#target = target;
    this.#applicationName = applicationName;
  }

  /**
   * Hears `channel` (lower-case letters, digits, `_`). Resolves when LISTEN is in force.
   * @throws TransactionFailed when the first connection fails; later losses are repaired without a word.
   */
  async listen(channel: string, onNotify: OnNotify): Promise<{ close(): Promise<void> }> {
    if (!/^[a-z][a-z0-9_]{0,62}$/.test(channel)) throw new TypeError('a channel is lower-case letters, digits and _');
    const listeners = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, listeners);
    listeners.add(onNotify);
    try {
      this.#session ??= this.#connect();
      await (await this.#session).exec(`listen ${channel}`);
    } catch (error) {
      listeners.delete(onNotify);
      throw error;
    }
    return {
      close: async () => {
        listeners.delete(onNotify);
        if (listeners.size > 0 || this.#channels.get(channel) !== listeners) return;
        this.#channels.delete(channel);
        const session = await this.#session?.catch(() => undefined);
        await session?.exec(`unlisten ${channel}`).catch(() => undefined);
      },
    };
  }

  /**
   * Tells a channel of what is committed already. It waits for no disk; where there is no session, or it ends, nothing is
   * told: whoever listens looks from time to time.
   */
  async notify(channel: string, payload: string): Promise<void> {
    const session = await this.#session?.catch(() => undefined);
    await session
      ?.query("SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)", [channel, payload])
      .catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  async #connect(): Promise<Session> {
    const options: SessionOptions = {
      applicationName: `${this.#applicationName} listen`,
      statementTimeoutMs: heartbeatTimeoutMs,
      onNotify: (channel, payload) => {
        for (const listener of this.#channels.get(channel) ?? []) listener(payload);
      },
    };
    try {
      const session = await Session.open(this.#target, options);
      for (const channel of this.#channels.keys()) await session.exec(`listen ${channel}`);
      // A connection that died silently (a host that vanished) is only noticed by speaking.
      const heartbeat = setInterval(() => void session.exec('select 1').catch(() => session.discard()), heartbeatMs);
      heartbeat.unref();
      session.onEnd(() => {
        clearInterval(heartbeat);
        this.#session = undefined;
        if (!this.#closed.signal.aborted) void this.#reconnect();
      });
      return session;
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
  }

  async #reconnect(): Promise<void> {
    for (let wait = reconnectMs.first; !this.#closed.signal.aborted; wait = Math.min(wait * 2, reconnectMs.most)) {
      try {
        this.#session ??= this.#connect();
        await this.#session;
        for (const listeners of this.#channels.values()) for (const listener of listeners) listener('');
        return;
      } catch {
        await sleep(wait * (0.5 + Math.random() / 2), undefined, { signal: this.#closed.signal, ref: false }).catch(
          () => undefined,
        );
      }
    }
  }
}
