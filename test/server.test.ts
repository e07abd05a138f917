/** What a server does beside its work: chores on timers, and what it says of itself. */
import { access, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { createLog, masterKey, readConfig, Vault } from '../src/platform/index.ts';
import { type RunningServer, startServer } from '../src/server.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { type Installation, install } from './support/flow.ts';

const DAY_MS = 86_400_000;
let db: TestDatabase;
let installation: Installation;
let server: RunningServer | undefined;

beforeAll(async () => {
  db = await testDatabase();
  installation = await install(db);
  return () => installation.remove();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server?.shutdown.run('the test is over');
  server = undefined;
});

/** A server whose chores (what it does once a minute or more rarely) are done when the test says so. */
async function start() {
  const log = createLog('silent');
  const errors = vi.spyOn(log, 'error');
  const timers = vi.spyOn(globalThis, 'setInterval');
  server = await startServer({ config: readConfig(installation.env), env: installation.env, log });
  const chores = timers.mock.calls.flatMap(([run, everyMs = 0]) => (everyMs >= 60_000 ? [run as () => void] : []));
  timers.mockRestore();
  const doChores = (): void => {
    for (const run of chores) run();
  };
  return { errors, doChores };
}

test('chores take away what is over', async () => {
  const { errors, doChores } = await start();
  const past = Date.now() - 40 * DAY_MS;
  const hour = new Date(past).toISOString().slice(0, 13);
  const key = join(installation.env.TOCSIN_KEYRING!, `${hour}.key`);
  const spooled = join(tmpdir(), `tocsin-import-${crypto.randomUUID()}.csv`);
  await db.asSuperuser(async (session) => {
    await session.exec(`
      insert into list (id, organisation, name, created_at) values (1, 1, '~replaced:${past}:1', 0);
      insert into body (id, organisation, key_ref, sealed) values (1, 1, 'epoch:${hour}', '\\x00');
      insert into idempotency_key (producer, key, fingerprint, fingerprint_key, day, alert, expires_at)
        values (1, 'k', '\\x00', 'master', '2026-01-01', gen_random_uuid(), ${past});
      do $$ declare last text := (select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'claim'::regclass);
      begin execute 'drop table ' || last; end $$`);
  });
  await writeFile(spooled, 'line\n');
  await utimes(spooled, past / 1_000, past / 1_000);
  await mkdir(installation.env.TOCSIN_KEYRING!, { recursive: true });
  await writeFile(key, Buffer.alloc(32));

  doChores();
  const left = async () => {
    const [row] = await db.database.pools.reader.query(
      `select (select count(*) from list) as lists, (select count(*) from body) as bodies,
         (select count(*) from idempotency_key) as keys,
         (select count(*) from pg_inherits where inhparent = 'claim'::regclass) as days`,
    );
    const exists = (file: string) =>
      access(file).then(
        () => true,
        () => false,
      );
    return { ...row, keyFile: await exists(key), spooled: await exists(spooled) };
  };
  await vi.waitFor(
    async () => expect(await left()).toEqual({ lists: 0, bodies: 0, keys: 0, days: 5, keyFile: false, spooled: false }),
    { timeout: 10_000 },
  );
  expect(errors).not.toHaveBeenCalled();
});

test('a chore that fails is said in the log, and the server lives', async () => {
  const { errors, doChores } = await start();
  vi.spyOn(server!.database.pools.control, 'query').mockRejectedValue(new Error('down'));
  vi.spyOn(server!.database.pools.control, 'run').mockRejectedValue(new Error('down'));
  vi.spyOn(server!.database.pools.reader, 'query').mockRejectedValue(new Error('down'));
  doChores();
  await vi.waitFor(() => {
    const said = errors.mock.calls.map(([, message]) => message);
    expect(said).toEqual(
      expect.arrayContaining([
        'days after this one have no partitions yet',
        'shredding keys',
        'sweeping idempotency keys',
        'sweeping lists',
      ]),
    );
  });
});

test('a master key that is not this database’s stops the start, and says what to type', async () => {
  await start();
  const { env } = installation;
  const vault = new Vault({
    pool: db.database.pools.control,
    masterKey: await masterKey(readConfig(env).masterKey, env.TOCSIN_HOME!),
    keyring: env.TOCSIN_KEYRING!,
  });
  await vault.seal({ organisation: 1, class: 'normal', text: 'x', expiresAt: DAY_MS });
  const other = { ...env, TOCSIN_MASTER_KEY: Buffer.alloc(32, 7).toString('base64') };
  await expect(startServer({ config: readConfig(other), env: other, log: createLog('silent') })).rejects.toThrow(
    /^the master key from TOCSIN_MASTER_KEY is not .*; start with the right one: TOCSIN_MASTER_KEY=… tocsin serve/,
  );
});

test('the version is that of the package', async () => {
  await start();
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  const document = (await (await fetch(`${server!.url}/openapi.json`)).json()) as { info: { version: string } };
  expect(document.info.version).toBe(version);
  expect(await installation.tocsin(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
});
