/** `tocsin top` against a real server with a real carrier. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tocsin } from '../test/support/cli.ts';
import { testDatabase } from '../test/support/database.ts';
import { createKey } from './access/index.ts';
import { createLog, readConfig, StartError } from './platform/index.ts';
import { type RunningServer, startServer } from './server.ts';
import { type Simulator, startSimulator } from './simulator/index.ts';
import { top } from './top.ts';

let server: RunningServer;
let carrier: Simulator;
let key: string;
let keyOfOthers: string;
/** Where nobody listens. */
let nobody: string;
const folder = mkdtempSync(join(tmpdir(), 'tocsin-top-'));

beforeAll(async () => {
  const db = await testDatabase();
  carrier = await startSimulator({ accounts: [{ systemId: 'near', password: 'demo' }] });
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml'));
  writeFileSync(join(folder, 'routing.yaml'), "routes: [{ name: uk, prefixes: ['+'], binds: [near] }]\n");
  writeFileSync(
    join(folder, 'carriers.yaml'),
    `carriers:\n  near: { host: 127.0.0.1, port: ${carrier.port}, systemId: near, password: { env: PW }, tps: 500, window: 20, defaultSender: T }\n`,
  );
  const env = { DATABASE_URL: db.url, PORT: '0', TOCSIN_HOME: folder, TOCSIN_POLICIES: folder, PW: 'demo' };
  server = await startServer({ config: readConfig(env), env, log: createLog('silent') });
  const make = (scopes: string[]) => createKey(db.database, { organisation: 'O', lanes: ['transaction'], scopes });
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  nobody = `http://127.0.0.1:${(gone.address() as AddressInfo).port}`;
  gone.close();
  key = await make(['dispatch:read', 'alerts:write']);
  keyOfOthers = await make(['alerts:write']);
  await vi.waitFor(() => expect(server.dispatch.binds[0]?.up).toBe(true), { timeout: 5_000, interval: 20 });
  for (let n = 0; n < 5; n++) await post(`+12015550${100 + n}`);
  const sent = () => server.dispatch.binds[0]?.counts.submissions.transaction.accepted;
  await vi.waitFor(() => expect(sent()).toBe(5), { timeout: 5_000, interval: 20 });
}, 60_000);
afterAll(async () => {
  await server.shutdown.run('the end of the test');
  await carrier.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function post(msisdn: string): Promise<void> {
  const body = { lane: 'transaction', content: { text: 'Card charged.' }, target: { recipients: [{ msisdn }] } };
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const answer = await fetch(`${server.url}/v1/alerts`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(answer.status).toBe(202);
}

/** A terminal of 80 columns on which somebody can type. */
function terminal(isTTY = true) {
  const input = Object.assign(new PassThrough(), {
    isTTY,
    raw: [] as boolean[],
    setRawMode: (on: boolean) => input.raw.push(on),
  });
  const output = Object.assign(new PassThrough(), { isTTY, columns: 80, rows: 24, text: '' });
  output.on('data', (data: Buffer) => {
    output.text += data.toString();
  });
  return { input, output, colour: isTTY };
}

test('--once --json is one line with the status; --once is the same for people, without colours', async () => {
  const env = { TOCSIN_URL: server.url, TOCSIN_KEY: key };
  const [json, plain] = await Promise.all([tocsin(['top', '--once', '--json'], env), tocsin(['top', '--once'], env)]);
  expect(json).toMatchObject({ code: 0, err: '' });
  expect(json.out.trimEnd().split('\n')).toHaveLength(1);
  const status = JSON.parse(json.out);
  expect(status.binds).toMatchObject([{ bind: 'near', state: 'up', held: true, tps: { contract: 500 } }]);
  expect(status.binds[0].roundTripMs.p50).toBeGreaterThan(0);
  expect(plain).toMatchObject({ code: 0, err: '' });
  expect(plain.out).toMatch(/^near +up +\d\S*\/500 +0\/20 +\S+\/\S+ +0 +0\/40$/m);
  expect(plain.out).toMatch(/^uk +transaction +0 +- +0 /m);
  expect(plain.out).not.toContain('\u001b');
});

test.each([
  ['q', 'q'],
  ['Ctrl-C', '\u0003'],
])('in a terminal it draws once a second until %s, and gives the terminal back', async (_, pressed) => {
  const on = terminal();
  const run = top({ url: [server.url], key, once: false, json: false }, on, new AbortController().signal);
  const drawn = () => on.output.text.split('TPS/contract').length - 1;
  await vi.waitFor(() => expect(drawn()).toBeGreaterThanOrEqual(2), { timeout: 5_000, interval: 50 });
  expect(on.output.text).toContain('\u001b[');
  on.input.write(pressed);
  await run;
  expect(on.input.raw).toEqual([true, false]);
  expect(on.input.listenerCount('data')).toBe(0);
});

test('a server that goes away is said to, and it goes on asking', async () => {
  const on = terminal(false);
  const end = new AbortController();
  const run = top({ url: [nobody, server.url], key, once: false, json: false }, on, end.signal);
  await vi.waitFor(() => expect(on.output.text.split('ECONNREFUSED').length).toBeGreaterThan(2), { timeout: 5_000 });
  expect(on.output.text).toMatch(/^near +up/m);
  end.abort();
  await run;
});

test('as a process it ends with 0 at SIGINT and when its reader has gone', async () => {
  const start = () =>
    spawn(process.execPath, ['src/main.ts', 'top', '--json', '--url', server.url], {
      env: { PATH: process.env.PATH, TOCSIN_KEY: key },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const [told, piped] = [start(), start()];
  const ended = [told, piped].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  told.stdout.once('data', () => told.kill('SIGINT'));
  piped.stdout.once('data', () => piped.stdout.destroy());
  expect(await Promise.all(ended)).toEqual([0, 0]);
});

test('what is wrong is told in a line, and the exit code is 1', async () => {
  const env = { TOCSIN_URL: server.url, TOCSIN_KEY: keyOfOthers };
  const ended = await tocsin(['top', '--once'], env);
  expect(ended).toMatchObject({ code: 1, out: '' });
  expect(ended.err).toMatch(/refuses the key \(403\).*--scope dispatch:read\n$/);
  expect(ended.err).not.toContain(keyOfOthers);
  const look = (options: { url?: string[]; key?: string }) =>
    top({ url: [server.url], key, once: true, json: false, ...options }, terminal(false), new AbortController().signal);
  await expect(look({ url: [nobody] })).rejects.toThrow(`${nobody} can not be asked: ECONNREFUSED`);
  await expect(look({ key: '' })).rejects.toThrow(/^a key is needed: TOCSIN_KEY=…/);
  await expect(look({ url: ['ftp://x'] })).rejects.toThrow(/^--url is a server's address/);
  await expect(look({ url: [server.url, nobody] })).rejects.toThrow(StartError);
});

test('a base path before /v1 is kept, as behind a proxy', async () => {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(502).end();
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/warn`;
  const run = top({ url: [url], key, once: true, json: false }, terminal(false), new AbortController().signal);
  await expect(run).rejects.toThrow('it answered 502');
  expect(asked).toEqual(['/warn/v1/dispatch/status']);
  proxy.close();
});
