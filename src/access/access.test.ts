import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test, vi } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { tamper } from '../../test/support/tamper.ts';
import { chainWriter, verify } from '../audit/index.ts';
import { openDatabase, StartError } from '../platform/index.ts';
import { ACCESS_TABLES, createKey, KeyCache, type KeyRequest, listKeys, revokeKey } from './index.ts';

const testing = await testDatabase();
const { database, target } = testing;
const pool = database.pools.control;

const request: KeyRequest = {
  organisation: 'Bank',
  producer: 'core',
  lanes: ['transaction', 'security', 'transaction'],
  scopes: ['alerts:write', 'alerts:read'],
};
const prefixOf = (key: string) => key.split('_')[1]!;
/** A cache in a process of its own: its own connections, its own LISTEN. */
const cacheOn = async (options: { clock?: { monotonic(): number } } = {}) => {
  const other = await openDatabase({ target });
  const cache = await KeyCache.open({ database: other, ...options });
  let open = true;
  const close = async () => {
    if (!open) return;
    open = false;
    await cache.close();
    await other.close();
  };
  afterAll(close);
  return { cache, close };
};

test('a key lets its producer in, with its lanes and scopes, and is stored as a hash only', async () => {
  const { cache } = await cacheOn();
  const key = await createKey(database, request);
  expect(key).toMatch(/^tocsin_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
  const principal = await cache.authenticate(key);
  expect(principal).toEqual({
    organisation: expect.any(Number),
    producer: expect.any(Number),
    apiKey: expect.any(Number),
    lanes: new Set(['security', 'transaction']),
    scopes: new Set(['alerts:write', 'alerts:read']),
  });
  // Known now: answered at once.
  expect(cache.authenticate(key)).toBe(principal);
  const secret = key.split('_').slice(2).join('_');
  const stored = await pool.query<{ row: string }>('select to_jsonb(api_key)::text as row from api_key');
  expect(stored).toHaveLength(1);
  expect(stored[0]!.row).not.toContain(secret);
  expect(stored[0]!.row).not.toContain(Buffer.from(secret).toString('hex'));
});

test('organisations and producers are made once, also when two commands run at once', async () => {
  const keys = await Promise.all([1, 2, 3].map(() => createKey(database, { ...request, organisation: 'Twice' })));
  await createKey(database, { organisation: 'Twice', lanes: ['bulk'], scopes: ['lists:read'] });
  const { cache } = await cacheOn();
  const principals = await Promise.all(keys.map((key) => cache.authenticate(key)));
  expect(new Set(principals.map((each) => `${each?.organisation} ${each?.producer}`)).size).toBe(1);
  expect(new Set(principals.map((each) => each?.apiKey)).size).toBe(3);
  const listed = (await listKeys(database)).filter(({ organisation }) => organisation === 'Twice');
  expect(listed.map(({ producer }) => producer)).toEqual(['core', 'core', 'core', 'default']);
  expect(listed[3]).toEqual({
    prefix: expect.stringMatching(/^[0-9a-f]{12}$/),
    organisation: 'Twice',
    producer: 'default',
    lanes: ['bulk'],
    scopes: ['lists:read'],
    createdAt: expect.any(Number),
    revokedAt: null,
  });
});

test('a key that is malformed, unknown or has a wrong secret lets nobody in', async () => {
  const { cache } = await cacheOn();
  const key = await createKey(database, request);
  const secret = key.slice(-43);
  const wrong = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`;
  for (const known of [false, true]) {
    for (const text of [
      '',
      'tocsin_',
      `${key}x`,
      ` ${key}`,
      key.toUpperCase(),
      `tocsin_${'0'.repeat(12)}_${secret}`,
      wrong,
      `${key}\n`,
    ]) {
      expect(await cache.authenticate(text), `${text.slice(0, 20)} ${known}`).toBeNull();
    }
    expect(await cache.authenticate(key)).not.toBeNull();
  }
});

test('an unknown prefix is looked up once a second, and then found if a key was made meanwhile', async () => {
  let now = 1_000;
  const { cache } = await cacheOn({ clock: { monotonic: () => now } });
  const key = await createKey(database, request);
  const { rows } = await testing.asSuperuser((session) =>
    session.query('delete from api_key where prefix = $1 returning *', [prefixOf(key)]),
  );
  expect(await cache.authenticate(key)).toBeNull();
  await testing.asSuperuser((session) =>
    session.query('insert into api_key select * from json_populate_record(null::api_key, $1)', [
      JSON.stringify({ ...(rows[0] as object), hash: `\\x${(rows[0] as { hash: Buffer }).hash.toString('hex')}` }),
    ]),
  );
  expect(cache.authenticate(key)).toBeNull();
  now += 1_500;
  expect(await cache.authenticate(key)).not.toBeNull();
});

test('a revoked key is refused by every process within a second', async () => {
  const caches = (await Promise.all([cacheOn(), cacheOn()])).map(({ cache }) => cache);
  const key = await createKey(database, request);
  for (const cache of caches) expect(await cache.authenticate(key)).not.toBeNull();
  await revokeKey(database, prefixOf(key));
  const revokedAt = performance.now();
  for (const cache of caches) {
    while ((await cache.authenticate(key)) !== null) await sleep(5);
  }
  expect(performance.now() - revokedAt).toBeLessThan(300);
  const { revokedAt: first } = (await listKeys(database)).find(({ prefix }) => prefix === prefixOf(key))!;
  expect(first).toEqual(expect.any(Number));
  await revokeKey(database, prefixOf(key));
  expect((await listKeys(database)).find(({ prefix }) => prefix === prefixOf(key))!.revokedAt).toBe(first);
});

test('a revocation whose NOTIFY never came is in force within a second', async () => {
  const { cache } = await cacheOn();
  const key = await createKey(database, request);
  const principal = await cache.authenticate(key);
  expect(principal).not.toBeNull();
  const revokedAt = performance.now();
  await testing.asSuperuser((session) =>
    session.query('insert into api_key_revocation values ($1, 0, 0)', [principal!.apiKey]),
  );
  while ((await cache.authenticate(key)) !== null) await sleep(5);
  expect(performance.now() - revokedAt).toBeLessThan(1_100);
  await testing.asSuperuser((session) =>
    session.query('delete from api_key_revocation where api_key = $1', [principal!.apiKey]),
  );
});

test('a revocation is in force within a second on a process whose listening connection was just cut', async () => {
  const other = await openDatabase({ target, applicationName: 'cut off' });
  const cache = await KeyCache.open({ database: other });
  const key = await createKey(database, request);
  const principal = await cache.authenticate(key);
  expect(principal).not.toBeNull();
  try {
    expect(await testing.terminateBackends('cut off listen')).toBe(1);
    const revokedAt = performance.now();
    // In the same moment, and no NOTIFY that a new connection could still hear.
    await testing.asSuperuser((session) =>
      session.query('insert into api_key_revocation values ($1, 0, 0)', [principal!.apiKey]),
    );
    while ((await cache.authenticate(key)) !== null) await sleep(5);
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
  } finally {
    await cache.close();
    await other.close();
    await testing.asSuperuser((session) =>
      session.query('delete from api_key_revocation where api_key = $1', [principal!.apiKey]),
    );
  }
});

test('a database that does not answer makes no revoked key good: after a second a known key is asked for again', async () => {
  const key = await createKey(database, request);
  const { cache } = await cacheOn();
  const principal = await cache.authenticate(key);
  await testing.asSuperuser(async (session) => {
    // Every look for revocations, and every read of a key, waits behind this lock.
    await session.exec('set idle_in_transaction_session_timeout = 0');
    await session.exec('begin; lock table api_key_revocation in access exclusive mode');
    await session.query('insert into api_key_revocation values ($1, 0, 0)', [principal!.apiKey]);
    const lockedAt = performance.now();
    let answer = cache.authenticate(key);
    for (; answer === principal; answer = cache.authenticate(key)) await sleep(5);
    expect(performance.now() - lockedAt).toBeLessThan(1_100);
    await expect(answer).rejects.toMatchObject({ name: 'TransactionFailed' });
    await session.exec('rollback');
  });
  await vi.waitFor(async () => expect(await cache.authenticate(key)).not.toBeNull(), { timeout: 5_000 });
});

test('a key that stays in use stays known: no read for each request', async () => {
  const key = await createKey(database, request);
  const { cache } = await cacheOn();
  const principal = await cache.authenticate(key);
  const until = performance.now() + 1_500;
  while (performance.now() < until) {
    expect(cache.authenticate(key)).toBe(principal);
    await sleep(20);
  }
  const startedAt = performance.now();
  for (let i = 0; i < 20_000; i++) void cache.authenticate(key);
  expect(((performance.now() - startedAt) / 20_000) * 1_000).toBeLessThan(20);
});

test('bad requests are refused by name, and leave nothing behind', async () => {
  const before = await pool.query('select count(*) as keys from api_key');
  const refused = (change: Partial<KeyRequest>, message: string) =>
    expect(createKey(database, { ...request, ...change })).rejects.toThrow(new StartError(message));
  await refused(
    { lanes: ['fast'] },
    '--lanes: there is no lane "fast"; choose from emergency, security, transaction, bulk',
  );
  await refused({ lanes: [] }, '--lanes: name at least one lane of emergency, security, transaction, bulk');
  await refused(
    { scopes: ['root'] },
    '--scope: there is no scope "root"; choose from alerts:write, alerts:read, deliveries:read, lists:write, lists:read, audit:read, dispatch:read, dispatch:control',
  );
  for (const organisation of ['', ' x', 'x\n', 'a\u0000b', 'x'.repeat(201)]) {
    await refused(
      { organisation },
      '--organisation: write a name of 1 to 200 characters, without control characters or space at its ends',
    );
  }
  await expect(revokeKey(database, 'ffffffffffff')).rejects.toThrow('no key has this prefix');
  expect(await pool.query('select count(*) as keys from api_key')).toEqual(before);
});

test('every act is covered by the chain, and tampering with it is named', async () => {
  const other = await createKey(database, { ...request, organisation: 'Other' });
  await revokeKey(database, prefixOf(other));
  const report = await verify(database, ACCESS_TABLES);
  expect(report).toMatchObject({ verified: true, disagreements: [], unchecked: {} });
  const [stored] = await pool.query<{ facts: number }>(
    `select (select count(*) from organisation) + (select count(*) from producer) + (select count(*) from api_key)
      + (select count(*) from api_key_revocation) + (select count(*) from chain_writer) as facts`,
  );
  expect(report.facts).toBe(stored!.facts);
  for (const table of [...ACCESS_TABLES, chainWriter]) await tamper(testing, table);
});
