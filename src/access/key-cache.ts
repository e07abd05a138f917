import { timingSafeEqual } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { type Clock, type Database, Pool, TransactionFailed } from '../platform/index.ts';
import { isLaneName } from '../policy/index.ts';
import { hashOf, KEY_SCOPES, KEYS_CHANNEL, type Principal, prefixOf } from './key.ts';

interface KnownKey {
  readonly hash: Buffer;
  readonly principal: Principal;
  /** Monotonic. Until then the key may be taken from memory: it was not revoked {@link trustMs} earlier. */
  trustedUntil: number;
}

interface KeyRow {
  id: number;
  producer: number;
  organisation: number;
  hash: Buffer;
  lanes: string[];
  scopes: string[];
}

/** A revocation is in force at most this long after its commit, also when its NOTIFY is lost and the database is slow. */
const trustMs = 1_000;
const pollEveryMs = 400;
const knownMost = 10_000;
/** Longest wait for the key session, and for one statement of it. */
const databaseMs = 2_000;
/** Prefixes that no key has: kept, so that a wrong key in a loop doesn't cost a read each time. */
const unknownMost = 10_000;
const unknownMs = 1_000;
/** Reads of different keys under way; more are refused with 53300. */
const readingMost = 1_000;

/**
 * Keys in memory, for the hot path: about 1 µs for a key that is known.
 *
 * A known key is trusted for a second from the moment it was last seen without a revocation; a look at all known keys
 * each 400 ms renews that, and a NOTIFY ends it at once. So a database that does not answer makes keys unknown (and
 * callers wait for it), never a revoked key good.
 */
export class KeyCache {
  readonly #pool: Pool;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #known = new LRUCache<string, KnownKey>({ max: knownMost });
  /** Until when (monotonic) a prefix counts as unknown. */
  readonly #unknown = new LRUCache<string, number>({ max: unknownMost });
  readonly #reading = new Map<string, Promise<KnownKey | null>>();
  readonly #closed = new AbortController();
  #listener: { close(): Promise<void> } | undefined;
  #polling: Promise<void> | undefined;

  private constructor(database: Database, clock: Pick<Clock, 'monotonic'>) {
    // A session of its own: neither an auditor's slow search nor an import may keep an alert waiting at the door.
    this.#pool = new Pool({
      name: 'keys',
      size: 1,
      target: database.target,
      applicationName: 'tocsin',
      statementTimeoutMs: databaseMs,
      acquireTimeoutMs: databaseMs,
    });
    this.#clock = clock;
  }

  /** @throws TransactionFailed when the database can't be listened to. */
  static async open(options: { database: Database; clock?: Pick<Clock, 'monotonic'> }): Promise<KeyCache> {
    const { database, clock = { monotonic: () => performance.now() } } = options;
    const cache = new KeyCache(database, clock);
    cache.#listener = await database.listen(KEYS_CHANNEL, (prefix) => {
      if (prefix === '') cache.#known.clear();
      else cache.#known.delete(prefix);
    });
    cache.#polling = cache.#poll();
    return cache;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#listener?.close();
    await this.#polling;
    await this.#pool.close();
  }

  /**
   * The principal of a key; null when it is malformed, unknown or revoked. Answers at once when the key is known.
   * Rejects with TransactionFailed when the database can't be asked.
   */
  authenticate(text: string): Principal | null | Promise<Principal | null> {
    const prefix = prefixOf(text);
    if (prefix === null) return null;
    const known = this.#known.get(prefix);
    if (known !== undefined && this.#clock.monotonic() < known.trustedUntil) return principalFor(known, text);
    if (this.#clock.monotonic() < (this.#unknown.get(prefix) ?? 0)) return null;
    return this.#read(prefix).then((key) => (key === null ? null : principalFor(key, text)));
  }

  /** Callers that ask for the same key share one read. */
  #read(prefix: string): Promise<KnownKey | null> {
    const running = this.#reading.get(prefix);
    if (running !== undefined) return running;
    if (this.#reading.size >= readingMost) {
      return Promise.reject(
        new TransactionFailed('rolled-back', 'too many keys are being looked up', { code: '53300' }),
      );
    }
    const read = this.#readNow(prefix).finally(() => this.#reading.delete(prefix));
    this.#reading.set(prefix, read);
    return read;
  }

  async #readNow(prefix: string): Promise<KnownKey | null> {
    const askedAt = this.#clock.monotonic();
    const [row] = await this.#pool.query<KeyRow>(
      `select id, producer, organisation, hash, lanes, scopes from api_key
        where prefix = $1 and not exists (select from api_key_revocation where api_key = api_key.id)`,
      [prefix],
      { retries: 2 },
    );
    if (row === undefined) {
      this.#known.delete(prefix);
      this.#unknown.set(prefix, askedAt + unknownMs);
      return null;
    }
    const { id, organisation, producer, hash, lanes, scopes } = row;
    const key: KnownKey = {
      hash,
      principal: {
        organisation,
        producer,
        apiKey: id,
        lanes: new Set(lanes.filter(isLaneName)),
        scopes: new Set(KEY_SCOPES.filter((scope) => scopes.includes(scope))),
      },
      trustedUntil: askedAt + trustMs,
    };
    this.#known.set(prefix, key);
    return key;
  }

  async #poll(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      await sleep(pollEveryMs, undefined, { signal: this.#closed.signal, ref: false }).catch(() => undefined);
      // A failed look renews nothing: the keys stop being trusted by themselves.
      if (!this.#closed.signal.aborted) await this.#look().catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const keys = [...this.#known.entries()];
    if (keys.length === 0) return;
    const askedAt = this.#clock.monotonic();
    const rows = await this.#pool.query<{ api_key: number }>(
      'select api_key from api_key_revocation where api_key = any($1::bigint[])',
      [keys.map(([, { principal }]) => principal.apiKey)],
    );
    const revoked = new Set(rows.map((row) => row.api_key));
    for (const [prefix, key] of keys) {
      if (revoked.has(key.principal.apiKey)) this.#known.delete(prefix);
      else key.trustedUntil = Math.max(key.trustedUntil, askedAt + trustMs);
    }
  }
}

function principalFor(key: KnownKey, text: string): Principal | null {
  return timingSafeEqual(key.hash, hashOf(text)) ? key.principal : null;
}
