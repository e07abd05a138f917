/** API keys: made once, shown once, stored as a hash; revoked within a second everywhere. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import { type Database, DatabaseClock, IdAllocator, readDatabaseTime, StartError, type Tx } from '../platform/index.ts';
import { isLaneName, LANES, type LaneName } from '../policy/index.ts';
import { apiKey, apiKeyRevocation, organisation, producer } from './tables.ts';

export const KEY_SCOPES = [
  'alerts:write',
  'alerts:read',
  'deliveries:read',
  'lists:write',
  'lists:read',
  'audit:read',
] as const;

/** Who calls: a key's producer and organisation, and what the key may do. */
export interface Principal {
  readonly organisation: number;
  readonly producer: number;
  readonly apiKey: number;
  readonly lanes: ReadonlySet<LaneName>;
  readonly scopes: ReadonlySet<string>;
}

export interface KeyRequest {
  organisation: string;
  producer: string;
  lanes: readonly string[];
  scopes: readonly string[];
}

const KEYS_CHANNEL = 'tocsin_keys';
const FORM = /^tocsin_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/;
/** Revocations are looked for at least this often, should a NOTIFY be lost. */
const POLL_MS = 500;
const UNKNOWN_KEPT_MS = 1_000;

/** Makes a key, and its organisation and producer when they are new. The plaintext is returned and never stored. */
export async function createKey(database: Database, request: KeyRequest): Promise<string> {
  for (const lane of request.lanes) {
    if (!isLaneName(lane)) throw new StartError(`--lanes: there is no lane "${lane}"; choose from ${LANES.join(', ')}`);
  }
  for (const scope of request.scopes) {
    if (!(KEY_SCOPES as readonly string[]).includes(scope)) {
      throw new StartError(`--scope: there is no scope "${scope}"; choose from ${KEY_SCOPES.join(', ')}`);
    }
  }
  const prefix = randomBytes(6).toString('hex');
  const plain = `tocsin_${prefix}_${randomBytes(32).toString('base64url')}`;
  await act(database, async (tx, entry, id, now) => {
    const parts: Part[] = [];
    const owner = await findOrMake(
      tx,
      'SELECT id FROM organisation WHERE name = $1',
      [request.organisation],
      async () => {
        const row = { id: id(), name: request.organisation, createdAt: now };
        parts.push(...(await insertFacts(tx, organisation, [row], entry, { onConflict: 'error' })).parts);
        return row.id;
      },
    );
    const account = await findOrMake(
      tx,
      'SELECT id FROM producer WHERE organisation = $1 AND name = $2',
      [owner, request.producer],
      async () => {
        const row = { id: id(), organisation: owner, name: request.producer, createdAt: now };
        parts.push(...(await insertFacts(tx, producer, [row], entry, { onConflict: 'error' })).parts);
        return row.id;
      },
    );
    const row = {
      id: id(),
      producer: account,
      organisation: owner,
      prefix,
      hash: hashOf(plain),
      lanes: [...request.lanes],
      scopes: [...request.scopes],
      createdAt: now,
    };
    parts.push(...(await insertFacts(tx, apiKey, [row], entry, { onConflict: 'ignore' })).parts);
    return parts;
  });
  return plain;
}

/** @throws StartError when no key has this prefix. */
export async function revokeKey(database: Database, prefix: string): Promise<void> {
  await act(database, async (tx, entry, _id, now) => {
    const [row] = await tx.query<{ id: number }>('SELECT id FROM api_key WHERE prefix = $1', [prefix]);
    if (row === undefined)
      throw new StartError(`no key has the prefix "${prefix}"; it is the part between tocsin_ and the next _`);
    const { parts } = await insertFacts(tx, apiKeyRevocation, [{ apiKey: row.id, at: now }], entry, {
      onConflict: 'ignore',
    });
    await tx.query('SELECT pg_notify($1, $2)', [KEYS_CHANNEL, prefix]);
    return [...parts];
  });
}

async function findOrMake(tx: Tx, text: string, params: unknown[], make: () => Promise<number>): Promise<number> {
  const [row] = await tx.query<{ id: number }>(text, params);
  return row?.id ?? (await make());
}

/** One act in a chain of its own, under a lock so that two commands don't make the same organisation twice. */
async function act(
  database: Database,
  work: (tx: Tx, entry: number, id: () => number, now: number) => Promise<Part[]>,
): Promise<void> {
  const pool = database.pools.control;
  const clock = await DatabaseClock.open(() => readDatabaseTime(pool));
  try {
    const first = await new IdAllocator(pool).take(10);
    const [row] = await pool.query<{ id: number }>(
      `INSERT INTO process (host, pid, started_at) VALUES ('', $1, $2) RETURNING id`,
      [process.pid, clock.now()],
    );
    const writer = await ChainWriter.open(pool, clock, row?.id ?? 0, 'acts');
    await writer.append(async (tx, entry) => {
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('tocsin access'))`);
      let next = first;
      return { value: undefined, parts: await work(tx, entry, () => next++, clock.now()) };
    });
  } finally {
    clock.close();
  }
}

interface KeyRow {
  id: number;
  producer: number;
  organisation: number;
  prefix: string;
  hash: Buffer;
  lanes: string[];
  scopes: string[];
}

/** Keys in memory, for the hot path. */
export class KeyCache {
  readonly #database: Database;
  readonly #known = new LRUCache<string, { hash: Buffer; principal: Principal }>({ max: 10_000 });
  readonly #unknown = new LRUCache<string, true>({ max: 10_000, ttl: UNKNOWN_KEPT_MS });
  #listener: { close(): Promise<void> } | null = null;
  #poll: NodeJS.Timeout | null = null;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async open({ database }: { database: Database }): Promise<KeyCache> {
    const cache = new KeyCache(database);
    cache.#listener = await database.listen(KEYS_CHANNEL, (prefix) => {
      if (prefix === '') cache.#known.clear();
      else cache.#known.delete(prefix);
    });
    cache.#poll = setInterval(() => void cache.#dropRevoked(), POLL_MS);
    return cache;
  }

  async close(): Promise<void> {
    if (this.#poll !== null) clearInterval(this.#poll);
    await this.#listener?.close();
  }

  /** The principal of a key, or null when it is malformed, unknown or revoked. */
  authenticate(token: string): Principal | null | Promise<Principal | null> {
    const prefix = FORM.exec(token)?.[1];
    if (prefix === undefined) return null;
    const known = this.#known.get(prefix);
    if (known !== undefined) return timingSafeEqual(known.hash, hashOf(token)) ? known.principal : null;
    return this.#unknown.has(prefix) ? null : this.#read(prefix, token);
  }

  async #read(prefix: string, token: string): Promise<Principal | null> {
    const [row] = await this.#database.pools.reader.query<KeyRow>(
      `SELECT k.id, k.producer, k.organisation, k.prefix, k.hash, k.lanes, k.scopes FROM api_key k
       WHERE k.prefix = $1 AND NOT EXISTS (SELECT 1 FROM api_key_revocation r WHERE r.api_key = k.id)`,
      [prefix],
      { retries: 2 },
    );
    if (row === undefined) {
      this.#unknown.set(prefix, true);
      return null;
    }
    const principal: Principal = {
      organisation: row.organisation,
      producer: row.producer,
      apiKey: row.id,
      lanes: new Set(row.lanes.filter(isLaneName)),
      scopes: new Set(row.scopes),
    };
    this.#known.set(prefix, { hash: row.hash, principal });
    return timingSafeEqual(row.hash, hashOf(token)) ? principal : null;
  }

  async #dropRevoked(): Promise<void> {
    const prefixes = [...this.#known.keys()];
    if (prefixes.length === 0) return;
    try {
      const rows = await this.#database.pools.reader.query<{ prefix: string }>(
        `SELECT k.prefix FROM api_key k JOIN api_key_revocation r ON r.api_key = k.id WHERE k.prefix = ANY($1::text[])`,
        [prefixes],
      );
      for (const { prefix } of rows) this.#known.delete(prefix);
    } catch {
      // Whether a key was revoked can't be seen just now: none is trusted from memory.
      this.#known.clear();
    }
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
