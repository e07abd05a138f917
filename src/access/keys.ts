/** API keys: made once, shown once, stored as a hash. Each act is a fact in a chain of its own. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import {
  type Database,
  DatabaseClock,
  type EpochMs,
  IdAllocator,
  readDatabaseTime,
  StartError,
  type Tx,
} from '../platform/index.ts';
import { LANES, type LaneName } from '../policy/index.ts';
import { hashOf, KEY_SCOPES, KEYS_CHANNEL, type KeyScope, keyText } from './key.ts';
import { apiKey, apiKeyRevocation, organisation, producer } from './tables.ts';

export interface KeyRequest {
  /** Made when it is new. 1–200 characters, as `producer`. */
  readonly organisation: string;
  /** Made when it is new. Default `default`. */
  readonly producer?: string;
  /** At least one of policy's lanes. */
  readonly lanes: readonly string[];
  /** At least one of {@link KEY_SCOPES}. */
  readonly scopes: readonly string[];
}

/** What may be shown of a key: not the key. */
export interface KeyInfo {
  /** Names the key, to revoke it by. */
  readonly prefix: string;
  readonly organisation: string;
  readonly producer: string;
  readonly lanes: readonly LaneName[];
  readonly scopes: readonly KeyScope[];
  readonly createdAt: EpochMs;
  readonly revokedAt: EpochMs | null;
}

/**
 * Makes a key, and its organisation and producer when they are new. Gives the plaintext, `tocsin_<prefix>_<secret>` with
 * 256 random bits: it is stored nowhere and can't be had again.
 * @throws StartError naming the option that is wrong.
 */
export async function createKey(database: Database, request: KeyRequest): Promise<string> {
  const { organisation: ownerName, producer: accountName = 'default' } = request;
  mustBeName('--organisation', ownerName);
  mustBeName('--producer', accountName);
  const lanes = someOf('--lanes', 'lane', request.lanes, LANES);
  const scopes = someOf('--scope', 'scope', request.scopes, KEY_SCOPES);
  const prefix = randomBytes(6).toString('hex');
  const plain = keyText(prefix, randomBytes(32));
  await act(database, async ({ tx, entry, takeId, now }) => {
    const parts: Part[] = [];
    const [owner] = await tx.query<{ id: number }>('select id from organisation where name = $1', [ownerName]);
    const ownerId = owner?.id ?? takeId();
    if (owner === undefined) {
      const row = { id: ownerId, name: ownerName, createdAt: now };
      parts.push(...(await insertFacts(tx, organisation, [row], entry, { onConflict: 'error' })).parts);
    }
    const [account] = await tx.query<{ id: number }>('select id from producer where organisation = $1 and name = $2', [
      ownerId,
      accountName,
    ]);
    const accountId = account?.id ?? takeId();
    if (account === undefined) {
      const row = { id: accountId, organisation: ownerId, name: accountName, createdAt: now };
      parts.push(...(await insertFacts(tx, producer, [row], entry, { onConflict: 'error' })).parts);
    }
    const key = {
      id: takeId(),
      producer: accountId,
      organisation: ownerId,
      prefix,
      hash: hashOf(plain),
      lanes,
      scopes,
      createdAt: now,
    };
    parts.push(...(await insertFacts(tx, apiKey, [key], entry, { onConflict: 'error' })).parts);
    return parts;
  });
  return plain;
}

/**
 * Ends a key. Every process refuses it within a second. A second revocation changes nothing.
 * @throws StartError when no key has this prefix.
 */
export async function revokeKey(database: Database, prefix: string): Promise<void> {
  await act(database, async ({ tx, entry, now }) => {
    const [key] = await tx.query<{ id: number }>('select id from api_key where prefix = $1', [prefix]);
    if (key === undefined) {
      throw new StartError('no key has this prefix; it is the part of a key between tocsin_ and the next _');
    }
    const revocation = { apiKey: key.id, at: now };
    const { parts } = await insertFacts(tx, apiKeyRevocation, [revocation], entry, { onConflict: 'ignore' });
    await tx.query('select pg_notify($1, $2)', [KEYS_CHANNEL, prefix]);
    return parts;
  });
}

/** All keys, revoked ones too, by organisation, producer and age. */
export async function listKeys(database: Database): Promise<KeyInfo[]> {
  return await database.pools.reader.query<KeyInfo>(
    `select key.prefix, organisation.name as organisation, producer.name as producer, key.lanes, key.scopes,
        key.created_at as "createdAt", revocation.at as "revokedAt"
      from api_key as key
      join organisation on organisation.id = key.organisation
      join producer on producer.id = key.producer
      left join api_key_revocation as revocation on revocation.api_key = key.id
      order by organisation.name, producer.name, key.id`,
    [],
    { retries: 2 },
  );
}

interface Act {
  tx: Tx;
  entry: number;
  /** One of ten ids that are kept for this act, the same again when it is run again. */
  takeId: () => number;
  now: EpochMs;
}

/** One act in a chain of its own, under a lock so that two commands don't make the same organisation twice. */
async function act(database: Database, work: (act: Act) => Promise<readonly Part[]>): Promise<void> {
  const pool = database.pools.control;
  const clock = await DatabaseClock.open(() => readDatabaseTime(pool));
  try {
    const firstId = await new IdAllocator(pool).take(10);
    const [process_] = await pool.query<{ id: number }>(
      'insert into process (host, pid, started_at) values ($1, $2, $3) returning id',
      [hostname(), process.pid, clock.now()],
    );
    if (process_ === undefined) throw new TypeError('the database gave no process id');
    const writer = await ChainWriter.open(pool, clock, process_.id, 'access');
    await writer.append(async (tx, entry) => {
      await tx.query(`select pg_advisory_xact_lock(hashtext('tocsin access'))`);
      let next = firstId;
      return { value: undefined, parts: await work({ tx, entry, takeId: () => next++, now: clock.now() }) };
    });
  } finally {
    clock.close();
  }
}

function mustBeName(option: string, name: string): void {
  if (!/^(?=\S)[^\p{C}]{1,200}(?<=\S)$/u.test(name)) {
    throw new StartError(
      `${option}: write a name of 1 to 200 characters, without control characters or space at its ends`,
    );
  }
}

/** The given words without repeats, in the order of `all`. */
function someOf<Word extends string>(
  option: string,
  what: string,
  given: readonly string[],
  all: readonly Word[],
): Word[] {
  const wrong = given.find((word) => !all.some((each) => each === word));
  if (wrong !== undefined)
    throw new StartError(`${option}: there is no ${what} "${wrong}"; choose from ${all.join(', ')}`);
  if (given.length === 0) throw new StartError(`${option}: name at least one ${what} of ${all.join(', ')}`);
  return all.filter((word) => given.includes(word));
}
