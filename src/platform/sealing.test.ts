import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { hourlyKeyOf, KeyGone, lastShredded, masterKey, Vault } from './sealing.ts';

const { database } = await testDatabase();
const pool = database.pools.control;
const home = await mkdtemp(path.join(tmpdir(), 'tocsin-sealing-'));
const keyring = path.join(home, 'keyring');
afterAll(() => rm(home, { recursive: true, force: true }));

const master = randomBytes(32);
const vault = (options: { masterKey?: Buffer; keyring?: string } = {}): Vault =>
  new Vault({ pool, masterKey: master, keyring, ...options });
const hour = 3_600_000;
const expiresAt = Date.UTC(2026, 10, 24, 16, 30);
const normal = { organisation: 1, class: 'normal', expiresAt } as const;
const secret = { organisation: 1, class: 'secret', expiresAt } as const;

test('what is sealed opens to the same text, and its commitment is the HMAC under the sealed salt', async () => {
  const v = vault();
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), fc.boolean(), async (text, isSecret) => {
      const { keyRef, sealed, commitment } = await v.seal({ ...(isSecret ? secret : normal), text });
      const opened = await v.open(keyRef, sealed);
      expect(opened.text).toBe(Buffer.from(text).toString());
      expect(createHmac('sha256', opened.salt).update(opened.text).digest()).toEqual(commitment);
      expect(keyRef).toMatch(isSecret ? /^epoch:2026-11-24T16$/ : /^dk:\d+$/);
    }),
    { numRuns: 50 },
  );
});

test('the same text is sealed differently each time, under another salt', async () => {
  const v = vault();
  const [one, two] = await Promise.all([v.seal({ ...normal, text: '123456' }), v.seal({ ...normal, text: '123456' })]);
  expect(one.sealed.equals(two.sealed)).toBe(false);
  expect(one.commitment.equals(two.commitment)).toBe(false);
});

test('a blob with any bit changed, or under another key, does not open', async () => {
  const v = vault();
  const { keyRef, sealed } = await v.seal({ ...normal, text: 'the card ends in 4711' });
  const other = await v.seal({ ...normal, organisation: 2, text: 'x' });
  await fc.assert(
    fc.asyncProperty(fc.nat(sealed.length * 8 - 1), async (bit) => {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(v.open(keyRef, changed)).rejects.toThrow();
    }),
    { numRuns: 60 },
  );
  await expect(v.open(other.keyRef, sealed)).rejects.toThrow();
  await expect(v.open(keyRef, sealed.subarray(0, 20))).rejects.toThrow();
});

test('another node opens it; without the master key nobody does', async () => {
  const { keyRef, sealed } = await vault().seal({ ...normal, text: 'hello' });
  expect((await vault().open(keyRef, sealed)).text).toBe('hello');
  await expect(vault({ masterKey: randomBytes(32) }).open(keyRef, sealed)).rejects.toThrow();
  const [row] = await pool.query<{ wrapped: Buffer }>('select wrapped from data_key where id = $1', [
    Number(keyRef.slice(3)),
  ]);
  expect(row?.wrapped.length).toBe(1 + 12 + 32 + 16);
});

test('nodes that need a new key at the same moment agree on one', async () => {
  const nodes = Array.from({ length: 8 }, () => vault());
  for (const [request, pattern] of [
    [{ ...normal, organisation: 77 }, /^dk:/],
    [{ ...secret, expiresAt: expiresAt + 5 * hour }, /^epoch:2026-11-24T21$/],
  ] as const) {
    const sealed = await Promise.all(nodes.map((node, i) => node.seal({ ...request, text: `from ${i}` })));
    expect(new Set(sealed.map(({ keyRef }) => keyRef)).size).toBe(1);
    expect(sealed[0]?.keyRef).toMatch(pattern);
    for (const [i, one] of sealed.entries()) {
      const reader = nodes[(i + 1) % nodes.length] ?? vault();
      expect((await reader.open(one.keyRef, one.sealed)).text).toBe(`from ${i}`);
    }
  }
  expect((await readdir(keyring)).filter((file) => !/^[\dT-]{13}\.key$/.test(file))).toEqual([]);
});

test('a secret text is gone, for every node, once its hour is over', async () => {
  const folder = path.join(home, 'shredded');
  const [one, two] = [vault({ keyring: folder }), vault({ keyring: folder })];
  const { keyRef, sealed } = await one.seal({ ...secret, text: 'your code is 493817' });
  const later = await one.seal({ ...secret, expiresAt: expiresAt + hour, text: 'next hour' });
  expect((await two.open(keyRef, sealed)).text).toBe('your code is 493817');
  const file = path.join(folder, '2026-11-24T16.key');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const key = await readFile(file);

  const end = Date.UTC(2026, 10, 24, 17);
  expect(await one.shred(end)).toEqual([]);
  expect(await one.shred(end + hour / 2)).toEqual(['2026-11-24T16']);
  expect(await two.shred(end + hour / 2)).toEqual([]);
  for (const node of [one, two, vault({ keyring: folder })]) {
    await expect(node.open(keyRef, sealed)).rejects.toBeInstanceOf(KeyGone);
    expect((await node.open(later.keyRef, later.sealed)).text).toBe('next hour');
  }
  for (const left of await readdir(folder)) expect((await readFile(path.join(folder, left))).includes(key)).toBe(false);
  const [row] = await pool.query<{ n: number }>(`select count(*) as n from data_key where class = 'secret'`);
  expect(row?.n).toBe(0);
});

test('an hour is among the shredded ones from the moment on that its key is', () => {
  for (const at of [expiresAt, expiresAt + hour - 1, expiresAt + 17 * hour]) {
    const { keyRef, shreddedFrom } = hourlyKeyOf(at);
    expect(lastShredded(shreddedFrom)).toBe(keyRef);
    expect(lastShredded(shreddedFrom - 1) < keyRef).toBe(true);
  }
});

test('a repeat is recognised by its fingerprint, by no one once the secret key is gone', async () => {
  const folder = path.join(home, 'fingerprints');
  const v = vault({ keyring: folder });
  const plain = await v.fingerprint('{"a":1}', null);
  expect(await vault().fingerprint('{"a":1}', null)).toEqual(plain);
  expect((await v.fingerprint('{"a":2}', null))?.digest.equals(plain?.digest ?? Buffer.alloc(0))).toBe(false);
  const keyRef = await v.secretKeyRef(expiresAt);
  const kept = await v.fingerprint('{"a":1}', keyRef);
  expect(kept?.digest.equals(plain?.digest ?? Buffer.alloc(0))).toBe(false);
  expect(await vault({ keyring: folder }).fingerprint('{"a":1}', keyRef)).toEqual(kept);
  await v.shred(expiresAt + 2 * hour);
  expect(await v.fingerprint('{"a":1}', keyRef)).toBeNull();
});

test('the master key is made once, whoever comes first, and must stay private', async () => {
  const folder = path.join(home, 'master');
  const keys = await Promise.all(Array.from({ length: 8 }, () => masterKey(null, folder)));
  for (const key of keys) expect(key).toEqual(keys[0]);
  expect(await readdir(folder)).toEqual(['master.key']);
  expect(await masterKey(master, folder)).toBe(master);
  await writeFile(path.join(folder, 'master.key'), 'short');
  await expect(masterKey(null, folder)).rejects.toThrow('restore it');
});

test('sealing keeps up with intake', async () => {
  const v = vault();
  const count = 2_000;
  const text = 'Your card ending 4711 was charged 12.50 EUR at Corner Shop.';
  await v.seal({ ...normal, text });
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, () => v.seal({ ...normal, text })));
  const perSecond = count / ((performance.now() - start) / 1000);
  console.log(`${Math.round(perSecond)} sealed per second`);
  expect(perSecond).toBeGreaterThan(2_000);
});
