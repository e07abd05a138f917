/** Asking which network a number belongs to, of a real HTTP server that is late, wrong, gone and back. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../platform/index.ts';
import type { PortabilityPolicy } from '../policy/index.ts';
import { HttpPortability } from './portability.ts';

interface Service {
  url: string;
  asked: string[];
  /** What becomes of a request. */
  answer: (response: ServerResponse, request: IncomingMessage) => void;
}

async function service(): Promise<Service> {
  const held: ServerResponse[] = [];
  const self: Service = { url: '', asked: [], answer: (response) => void held.push(response) };
  const server = createServer((request, response) => {
    self.asked.push(request.url ?? '');
    self.answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/numbers/{msisdn}`;
  return self;
}

const says =
  (body: string, status = 200) =>
  (response: ServerResponse): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(body);

function lookup(url: string, change: Partial<PortabilityPolicy> = {}) {
  const clock = new ManualClock();
  const policy: PortabilityPolicy = {
    ...{ url, timeoutMs: 100, concurrency: 4, cacheMax: 100, cacheMs: 60_000, failuresMax: 3, restMs: 5_000 },
    ...change,
  };
  return { networks: new HttpPortability(() => policy, clock), clock };
}

test('the network that the service names stands for the number; one that stayed decides itself; both are remembered', async () => {
  const at = await service();
  at.answer = (response, { url }) => {
    if (url?.endsWith('1') === true) says('{"network":"+44770"}')(response);
    else if (url?.endsWith('2') === true) says('{"network":null}')(response);
    else says('{}', 404)(response);
  };
  const { networks } = lookup(at.url);
  expect(networks.knownNetworkOf('+447700900001')).toBe(null);
  for (let round = 0; round < 2; round++) {
    expect(await networks.networkOf('+447700900001')).toBe('+44770');
    expect(await networks.networkOf('+447700900002')).toBe(null);
    expect(await networks.networkOf('+447700900003')).toBe(null);
  }
  expect(networks.knownNetworkOf('+447700900001')).toBe('+44770');
  expect(at.asked).toEqual(['1', '2', '3'].map((last) => `/numbers/%2B44770090000${last}`));
  expect(networks.counts).toMatchObject({ found: 1, stayed: 2, cached: 3 });
});

test('alerts to the same number ask once', async () => {
  const at = await service();
  at.answer = (response) => void setTimeout(() => says('{"network":"+1"}')(response), 20);
  const { networks } = lookup(at.url, { timeoutMs: 5_000 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => networks.networkOf('+447700900001')));
  expect(answers).toEqual(Array(10).fill('+1'));
  expect(at.asked.length).toBe(1);
});

test('a service that is late holds nothing up for longer than the time it has', async () => {
  const at = await service();
  const { networks } = lookup(at.url, { timeoutMs: 60 });
  const begun = performance.now();
  expect(await networks.networkOf('+447700900001')).toBe(null);
  expect(performance.now() - begun).toBeLessThan(500);
  // An answer that begins and does not end is late, too.
  at.answer = (response) => void response.writeHead(200).write('{"network":');
  expect(await networks.networkOf('+447700900002')).toBe(null);
  expect(networks.counts).toMatchObject({ late: 2 });
  expect(at.asked.length).toBe(2);
});

test.each([
  ['a status', (response: ServerResponse) => says('{"network":"+1"}', 500)(response)],
  ['no JSON', says('<html>')],
  ['no network', says('{"operator":"x"}')],
  ['no prefix', says('{"network":"44; drop"}')],
  ['too much', says(`{"network":"+1","more":"${'x'.repeat(10_000)}"}`)],
  [
    'another address',
    (response: ServerResponse) => void response.writeHead(302, { location: 'http://[::1]:1/' }).end(),
  ],
])('an answer with %s leaves the number to decide', async (_, answer) => {
  const at = await service();
  at.answer = answer;
  const { networks } = lookup(at.url);
  expect(await networks.networkOf('+447700900001')).toBe(null);
  expect(networks.counts).toMatchObject({ failed: 1 });
});

test('after failures in a row it rests, and tries one again before it asks for all', async () => {
  const at = await service();
  at.answer = says('', 503);
  const { networks, clock } = lookup(at.url);
  const ask = (n: number) => networks.networkOf(`+44770090000${n}`);
  for (let n = 0; n < 5; n++) expect(await ask(n)).toBe(null);
  expect(at.asked.length).toBe(3);
  expect(networks.counts).toMatchObject({ failed: 3, resting: 2 });
  clock.advance(5_001);
  expect(await ask(5)).toBe(null);
  expect(await ask(6)).toBe(null);
  expect(at.asked.length).toBe(4);
  clock.advance(5_001);
  at.answer = says('{"network":"+49"}');
  expect(await ask(7)).toBe('+49');
  expect(await ask(8)).toBe('+49');
});

test('no more are asked at once than policy allows', async () => {
  const at = await service();
  const { networks } = lookup(at.url, { concurrency: 2, failuresMax: 100 });
  const answers = Array.from({ length: 6 }, (_, n) => networks.networkOf(`+44770090000${n}`));
  expect(await Promise.all(answers)).toEqual(Array(6).fill(null));
  expect(at.asked.length).toBe(2);
  expect(networks.counts).toMatchObject({ busy: 4, late: 2 });
});

test('without a policy nobody is asked, and another policy begins with nothing known', async () => {
  const at = await service();
  at.answer = says('{"network":"+1"}');
  let policy: PortabilityPolicy | null = null;
  const networks = new HttpPortability(() => policy, new ManualClock());
  expect(await networks.networkOf('+447700900001')).toBe(null);
  const first = { url: at.url, timeoutMs: 500, concurrency: 1, cacheMax: 9, cacheMs: 9_000, failuresMax: 1, restMs: 1 };
  policy = first;
  expect(await networks.networkOf('+447700900001')).toBe('+1');
  policy = { ...first };
  expect(networks.knownNetworkOf('+447700900001')).toBe('+1');
  policy = { ...first, url: `${at.url}?v=2` };
  expect(networks.knownNetworkOf('+447700900001')).toBe(null);
});
