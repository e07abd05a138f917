/** Policies that change under a running server, with a real carrier: what holds at once, what stays, what is on record. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { testDatabase } from '../test/support/database.ts';
import { createKey } from './access/index.ts';
import { verify } from './audit/index.ts';
import { FACT_TABLES } from './facts.ts';
import { createLog, readConfig } from './platform/index.ts';
import { type RunningServer, startServer } from './server.ts';
import { type Simulator, startSimulator } from './simulator/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-reload-'));
const log = createLog('silent');
const logged = { info: vi.spyOn(log, 'info'), warn: vi.spyOn(log, 'warn'), error: vi.spyOn(log, 'error') };
let server: RunningServer;
let carrier: Simulator;
let key: string;

beforeAll(async () => {
  const db = await testDatabase();
  carrier = await startSimulator({ accounts: [{ systemId: 'a', password: 'demo' }], correlationTlv: 0x1400 });
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml'));
  writeFileSync(join(folder, 'routing.yaml'), "routes:\n  - { name: default, prefixes: ['+'], binds: [a] }\n");
  writeCarrier('    tps: 10');
  const env = { DATABASE_URL: db.url, PORT: '0', TOCSIN_HOME: folder, TOCSIN_POLICIES: folder, PW: 'demo' };
  server = await startServer({ config: readConfig(env), env, log });
  key = await createKey(db.database, {
    organisation: 'Bank',
    producer: 'core',
    lanes: ['transaction'],
    scopes: ['alerts:write'],
  });
}, 60_000);
afterAll(async () => {
  await server.shutdown.run('the end of the test');
  await carrier.stop();
  rmSync(folder, { recursive: true, force: true });
});

function writeCarrier(fields: string): void {
  const about = `    host: 127.0.0.1\n    port: ${carrier.port}\n    systemId: a\n    password: { env: PW }\n    defaultSender: Tocsin`;
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n  a:\n${about}\n    correlationTlv: 0x1400\n${fields}\n`);
}

const post = async (count: number) => {
  const recipients = Array.from({ length: count }, (_, index) => ({ msisdn: `+1201556${1000 + index}` }));
  const answer = await fetch(`${server.url}/v1/alerts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ lane: 'transaction', content: { text: 'Paid.' }, target: { recipients } }),
  });
  expect(answer.status).toBe(202);
};
const submits = () => carrier.stats().accounts[0]?.accepted ?? 0;
const said = (level: keyof typeof logged, message: RegExp) =>
  logged[level].mock.calls.filter(([, text]) => message.test(String(text))).map(([details]) => details as object);
const loads = () =>
  server.database.pools.reader.query<{ entry: number }>('SELECT DISTINCT entry FROM policy_load ORDER BY entry');

test('a new TPS holds within two seconds, the session standing, and is on record', async () => {
  await post(600);
  await expect.poll(submits, { timeout: 10_000 }).toBeGreaterThan(2);
  const [before, at] = [submits(), performance.now()];
  await sleep(1_000);
  expect(submits() - before).toBeLessThanOrEqual(Math.ceil((10 * (performance.now() - at)) / 1_000) + 2);
  const sessions = carrier.stats().connections;
  writeCarrier('    tps: 500');
  await expect
    .poll(() => said('info', /^policies loaded/), { timeout: 2_000 })
    .toEqual([{ applied: ['carriers.a.tps'] }]);
  await expect.poll(submits, { timeout: 4_000 }).toBe(600);
  expect(carrier.stats().connections).toBe(sessions);
  expect(server.policies.carriers.a?.tps).toBe(500);
  expect((await loads()).length).toBe(2);
  expect((await verify(server.database, FACT_TABLES)).disagreements).toEqual([]);
});

test('a mistake is named with file, line, path and reason, and what was in force stays', async () => {
  writeCarrier('    tps: fast');
  await expect
    .poll(() => said('error', /mistake/), { timeout: 2_000 })
    .toEqual([
      { file: join(folder, 'carriers.yaml'), line: 9, path: 'carriers.a.tps', reason: expect.stringMatching(/number/) },
    ]);
  // Once, not at each look.
  await sleep(1_200);
  expect(said('error', /mistake/)).toHaveLength(1);
  expect(server.policies.carriers.a?.tps).toBe(500);
  expect((await loads()).length).toBe(2);
});

test('SIGHUP loads at once; what can not change under way is named, and the rest of the file holds', async () => {
  writeCarrier("    tps: 300\n    window: 7\n    senderLimits: [{ sender: '4477009', tps: 1 }]");
  process.kill(process.pid, 'SIGHUP');
  await expect.poll(() => said('warn', /restart/), { timeout: 1_000 }).toEqual([{ fields: ['carriers.a.window'] }]);
  expect(server.policies.carriers.a).toMatchObject({ tps: 300, window: 100 });
  expect(server.policies.carriers.a?.senderLimits.get('4477009')).toBe(1);
  expect((await loads()).length).toBe(3);
});

test('changed routes hold at once: what waits by the old one and what comes goes by the new one, each once', async () => {
  const before = submits();
  writeCarrier('    tps: 100');
  await expect.poll(() => server.policies.carriers.a?.tps, { timeout: 2_000 }).toBe(100);
  await post(400);
  await expect.poll(submits, { timeout: 5_000 }).toBeGreaterThan(before + 20);
  writeFileSync(join(folder, 'routing.yaml'), "routes:\n  - { name: changed, prefixes: ['+'], binds: [a] }\n");
  await expect.poll(() => said('info', /^policies loaded/).at(-1), { timeout: 2_000 }).toEqual({ applied: ['routes'] });
  expect(submits()).toBeLessThan(before + 380);
  await post(20);
  await expect.poll(submits, { timeout: 8_000 }).toBe(before + 420);
  const [row] = await server.database.pools.reader.query<{ moved: number; settled: boolean }>(
    `SELECT count(*) FILTER (WHERE r.name = 'changed') AS moved, bool_and(c.settled) AS settled
     FROM chunk c JOIN route r ON r.id = c.route`,
  );
  expect(row?.moved).toBeGreaterThan(1);
  expect((await verify(server.database, FACT_TABLES)).disagreements).toEqual([]);
});
