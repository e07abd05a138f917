/** /metrics of a real server with a real carrier: the values are those of what was sent. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { testDatabase } from '../test/support/database.ts';
import { createKey } from './access/index.ts';
import { createLog, readConfig } from './platform/index.ts';
import { type RunningServer, startServer } from './server.ts';
import { type Simulator, startSimulator } from './simulator/index.ts';

const SCOPES = ['alerts:write', 'alerts:read', 'lists:write'];
const LIST = Array.from({ length: 7 }, (_, index) => `+1201555010${index}`);
const TWO_SEGMENTS = 'Your card ending 4417 was charged 42.10 EUR. '.repeat(5);

let server: RunningServer;
let carrier: Simulator;
let key: string;
let keyOfBulk: string;
let keyOfWatch: string;
const folder = mkdtempSync(join(tmpdir(), 'tocsin-metrics-'));

beforeAll(async () => {
  const db = await testDatabase();
  carrier = await startSimulator({ accounts: [{ systemId: 'a', password: 'demo' }], correlationTlv: 0x1400 });
  writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml'));
  writeFileSync(
    join(folder, 'routing.yaml'),
    "routes:\n  - { name: default, prefixes: ['+'], binds: [near] }\n  - { name: island, prefixes: ['+44'], binds: [far] }\n",
  );
  const account = (name: string, port: number): string => `  ${name}:
    host: 127.0.0.1
    port: ${port}
    systemId: a
    password: { env: PW }
    tps: 900
    window: 50
    claimLimit: 60
    correlationTlv: 0x1400
    responseTimeout: PT1S
    defaultSender: Tocsin\n`;
  // Nobody listens on port 1.
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n${account('near', carrier.port)}${account('far', 1)}`);
  const env = { DATABASE_URL: db.url, PORT: '0', TOCSIN_HOME: folder, TOCSIN_POLICIES: folder, PW: 'demo' };
  server = await startServer({ config: readConfig(env), env, log: createLog('silent') });
  const lanes = ['emergency', 'security', 'transaction'];
  key = await createKey(db.database, { organisation: 'Bank', producer: 'core', lanes, scopes: SCOPES });
  keyOfBulk = await createKey(db.database, { organisation: 'Bank', producer: 'shop', lanes: ['bulk'], scopes: SCOPES });
  const scopes = ['dispatch:read'];
  keyOfWatch = await createKey(db.database, {
    organisation: 'Carrier desk',
    producer: 'watch',
    lanes: ['bulk'],
    scopes,
  });
}, 60_000);
afterAll(async () => {
  await server.shutdown.run('the end of the test');
  await carrier.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('counts what was accepted, refused, sent, answered and reported, by lane and bind', async () => {
  expect((await post('/v1/lists/area/import', `msisdn\n${LIST.join('\n')}\n`, { 'content-type': 'text/csv' })).ok).toBe(
    true,
  );
  await value('tocsin_bind_up{bind="near"}', 1);
  carrier.setFaults('a', { throttleNext: 1 });

  for (let n = 0; n < 4; n++) expect(await alert('transaction', `+120155501${20 + n}`)).toBe(202);
  expect(await alert('transaction', '+12015550130', { text: TWO_SEGMENTS, key: 'tx-1' })).toBe(202);
  expect(await alert('transaction', '+12015550130', { text: TWO_SEGMENTS, key: 'tx-1' })).toBe(202);
  expect(await alert('transaction', '+447700900001')).toBe(202);
  const flood = { lane: 'emergency', content: { text: 'Flood.' }, target: { lists: ['area'] } };
  expect((await post('/v1/alerts', JSON.stringify(flood))).status).toBe(202);
  expect((await post('/v1/alerts', '{"lane":')).status).toBe(400);
  expect((await post('/v1/alerts', '{}', { authorization: '' })).status).toBe(401);
  expect(await alert('transaction', '+12015550130', { bearer: keyOfBulk })).toBe(403);
  expect(await alert('security', '+12015550130', { bearer: keyOfBulk })).toBe(403);

  await value('tocsin_receipts_total{bind="near",state="delivered"}', 13);
  await value('tocsin_bind_claimed_deliveries{bind="near"}', 0);
  await value('tocsin_backlog_deliveries{route="island",lane="transaction"}', 1);
  await value('tocsin_journal_waiting_operations', 0);
  const metrics = await scrape();
  expect(metrics).toMatchObject({
    'tocsin_alerts_accepted_total{lane="emergency"}': 1,
    'tocsin_alerts_accepted_total{lane="security"}': 0,
    'tocsin_alerts_accepted_total{lane="transaction"}': 6,
    'tocsin_alerts_replayed_total{lane="transaction"}': 1,
    'tocsin_alerts_refused_total{problem="malformed-json"}': 1,
    'tocsin_alerts_refused_total{problem="unauthenticated"}': 1,
    'tocsin_alerts_refused_total{problem="lane-not-allowed"}': 2,
    'tocsin_alerts_refused_total{problem="overloaded"}': 0,
    tocsin_alert_accept_seconds_count: 8,
    'tocsin_alert_accept_seconds_bucket{le="+Inf"}': 8,
    tocsin_intake_waiting_alerts: 0,
    'tocsin_fanout_pages_total{lane="emergency"}': 1,
    'tocsin_fanout_deliveries_total{lane="emergency"}': 7,
    tocsin_fanout_running: 0,
    'tocsin_backlog_deliveries{route="default",lane="emergency"}': 0,
    'tocsin_bind_submissions_total{bind="near",lane="emergency",outcome="accepted"}': 7,
    'tocsin_bind_submissions_total{bind="near",lane="transaction",outcome="accepted"}': 6,
    'tocsin_bind_submissions_total{bind="near",lane="bulk",outcome="accepted"}': 0,
    'tocsin_bind_submissions_total{bind="far",lane="transaction",outcome="accepted"}': 0,
    'tocsin_bind_response_seconds_count{bind="near"}': 14,
    'tocsin_bind_up{bind="near"}': 1,
    'tocsin_bind_up{bind="far"}': 0,
    'tocsin_bind_sessions{bind="near"}': 1,
    'tocsin_bind_lease_held{bind="near"}': 1,
    'tocsin_bind_window_size{bind="near"}': 50,
    'tocsin_bind_window_size{bind="far"}': 0,
    'tocsin_bind_window_used{bind="near"}': 0,
    'tocsin_bind_claim_limit{bind="near"}': 60,
    'tocsin_bind_tps_contract{bind="near"}': 900,
    'tocsin_bind_buffered_deliveries{bind="near",lane="transaction"}': 0,
    'tocsin_receipts_total{bind="near",state="undeliverable"}': 0,
    tocsin_journal_waiting_operations: 0,
    'tocsin_database_sessions_waiting{pool="intake"}': 0,
  });
  expect(
    sum(metrics, 'tocsin_bind_submissions_total', 'outcome="throttled"'),
    'the fault of the carrier fired once',
  ).toBe(1);
  expect(metrics['tocsin_backlog_oldest_seconds{route="island",lane="transaction"}']).toBeGreaterThan(0.5);
  expect(metrics['tocsin_backlog_oldest_seconds{route="default",lane="transaction"}']).toBe(0);
  expect(metrics['tocsin_bind_tokens{bind="near"}']).toBeGreaterThan(0);
  expect(metrics.tocsin_alert_accept_seconds_sum).toBeGreaterThan(0);
  expect(metrics['tocsin_database_sessions{pool="control"}']).toBeGreaterThan(0);
  expect(metrics.tocsin_nodejs_eventloop_lag_p99_seconds).toBeGreaterThan(0);
  expect(metrics.tocsin_journal_lag_seconds).toBeLessThan(5);
});

test('tells the same to who watches: numbers only, and only to a key that may', async () => {
  const status = await dispatchStatus();
  expect(status.binds).toMatchObject([
    {
      bind: 'near',
      state: 'up',
      held: true,
      sessions: 1,
      tps: { contract: 900 },
      window: { size: 50, used: 0 },
      throttled: { total: 1 },
      unanswered: { total: 0, last10s: 0 },
      inDoubt: { claimed: 0, limit: 60 },
    },
    { bind: 'far', state: 'connecting', held: true, sessions: 0, roundTripMs: null, window: { size: 0, used: 0 } },
  ]);
  const [near] = status.binds;
  // 13 accepted and one throttled, in the ten seconds since the test began or a little before.
  expect(near.tps.over10s).toBeGreaterThan(0);
  expect(near.roundTripMs.p50).toBeGreaterThan(0);
  expect(near.roundTripMs.p99).toBeGreaterThanOrEqual(near.roundTripMs.p50);
  const laneOf = (route: string, lane: string) =>
    status.lanes.find((each: { route: string; lane: string }) => each.route === route && each.lane === lane);
  expect(laneOf('island', 'transaction')).toMatchObject({ waiting: 1, inDoubt: 0, rate: { over1s: 0, over10s: 0 } });
  expect(laneOf('island', 'transaction').oldestMs).toBeGreaterThan(500);
  expect(laneOf('default', 'emergency').rate.over10s).toBeGreaterThan(0);
  expect(laneOf('default', 'bulk').rate.over10s).toBe(0);
  const metrics = await scrape();
  expect(metrics['tocsin_bind_submit_rate{bind="near",over="10s"}']).toBeGreaterThan(0);
  expect(metrics['tocsin_bind_submit_rate{bind="far",over="10s"}']).toBe(0);
  expect(metrics['tocsin_lane_submit_rate{route="default",lane="emergency",over="10s"}']).toBeGreaterThan(0);
  expect(metrics['tocsin_bind_round_trip_seconds{bind="near",quantile="0.5"}']).toBeGreaterThan(0);
  expect(metrics).not.toHaveProperty('tocsin_bind_round_trip_seconds{bind="far",quantile="0.5"}');
  expect(JSON.stringify(status)).not.toMatch(/1201555\d{4}|447700900|Flood|card ending/);
  const without = await fetch(`${server.url}/v1/dispatch/status`, { headers: { authorization: `Bearer ${key}` } });
  expect(without.status).toBe(403);
});

test('tells how much of what waits may have been sent before', async () => {
  await value('tocsin_backlog_in_doubt_deliveries{route="island",lane="transaction"}', 0);
  // As dispatch leaves it after a submit_sm without an answer.
  const { pools } = server.database;
  await pools.control.query('UPDATE chunk SET possible_duplicate = true WHERE NOT settled');
  await value('tocsin_backlog_in_doubt_deliveries{route="island",lane="transaction"}', 1);
});

test('counts what a carrier leaves unanswered, and receipts that match nothing', async () => {
  carrier.setFaults('a', { silent: 'submit' });
  expect(await alert('security', '+12015550140')).toBe(202);
  // Sent, sent once more, and then said to be unknown. The carrier took both, and reports on ids that it never told.
  await value('tocsin_bind_submissions_total{bind="near",lane="security",outcome="unanswered"}', 2);
  await value('tocsin_receipts_unmatched_total{bind="near"}', 2);
  const [near] = (await dispatchStatus()).binds;
  expect(near.unanswered).toEqual({ total: 2, last10s: 2 });
  carrier.setFaults('a', { silent: 'none' });
});

test('says that a link is down', async () => {
  await carrier.stop();
  await value('tocsin_bind_up{bind="near"}', 0);
});

test('has only labels that the policies and the code bound, and a line of help for each metric', async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  expect(text).not.toMatch(/1201555\d{4}|447700900|Flood|card ending/);
  const ours = text.split('\n').filter((line) => /^tocsin_(?!nodejs_|process_)/.test(line));
  const labels = new Set(ours.flatMap((line) => [...line.matchAll(/[{,](\w+)="/g)].map(([, name]) => name)));
  expect([...labels].sort()).toEqual([
    ...[
      'bind',
      'class',
      'form',
      'kind',
      'lane',
      'le',
      'name',
      'outcome',
      'over',
      'pool',
      'problem',
      'quantile',
      'route',
      'scope',
      'state',
      'status',
    ],
  ]);
  for (const line of ours) {
    const name = line.replace(/(_bucket|_sum|_count)?[{ ].*/, '');
    expect(text, name).toMatch(new RegExp(`^# HELP ${name} \\S.*[^.]$`, 'm'));
  }
});

async function alert(
  lane: string,
  msisdn: string,
  options: { text?: string; key?: string; bearer?: string } = {},
): Promise<number> {
  const headers = {
    ...(options.key === undefined ? {} : { 'idempotency-key': options.key }),
    ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }),
  };
  const body = { lane, content: { text: options.text ?? 'Card charged.' }, target: { recipients: [{ msisdn }] } };
  return (await post('/v1/alerts', JSON.stringify(body), headers)).status;
}

async function post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  const usual = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return await fetch(`${server.url}${path}`, { method: 'POST', body, headers: { ...usual, ...headers } });
}

// biome-ignore lint/suspicious/noExplicitAny: an answer, read as a client does
async function dispatchStatus(): Promise<any> {
  const headers = { authorization: `Bearer ${keyOfWatch}` };
  const answer = await fetch(`${server.url}/v1/dispatch/status`, { headers });
  expect(answer.status).toBe(200);
  return await answer.json();
}

async function scrape(): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

const sum = (metrics: Record<string, number>, name: string, label: string): number =>
  Object.entries(metrics)
    .filter(([key]) => key.startsWith(`${name}{`) && key.includes(label))
    .reduce((total, [, each]) => total + each, 0);

/** Waits until the metric has the value. */
const value = (name: string, wanted: number): Promise<void> =>
  vi.waitFor(async () => expect((await scrape())[name], name).toBe(wanted), { timeout: 20_000, interval: 50 });
