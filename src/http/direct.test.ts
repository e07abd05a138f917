/** What comes over a socket is answered as through the app; what is shed is not read. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Principal } from '../access/index.ts';
import { NO_LOAD, WORST } from '../alerts/index.ts';
import type { ObservedRequest } from './context.ts';
import { type RunningServer, startServer } from './server.ts';
import { alertBody, KEY, makeApp } from './testing.ts';

const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

async function serve() {
  const observed: ObservedRequest[] = [];
  const error = vi.fn();
  const made = makeApp({ observe: (request) => observed.push(request), log: { error } as never });
  const server = await startServer(made.app, { port: 0, host: '127.0.0.1' });
  servers.push(server);
  const dial = async () => {
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (piece) => {
      heard += piece.toString();
    });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    return { socket, closed, heard: () => heard };
  };
  return { ...made, observed, error, dial, url: `http://127.0.0.1:${server.port}` };
}

describe('a request over a socket', () => {
  it.each<[string, unknown, Record<string, string>]>([
    ['a good alert', alertBody, { 'idempotency-key': 'k', 'x-request-id': 'given-1234' }],
    ['a request id that can not be', alertBody, { 'x-request-id': 'a b' }],
    ['a field that is wrong', { ...alertBody, lane: 'gold' }, {}],
    ['what is no JSON', '{', {}],
    ['a key of idempotency that can not be', alertBody, { 'idempotency-key': 'x'.repeat(256) }],
    ['another media type', alertBody, { 'content-type': 'text/plain' }],
    ['no API key', alertBody, { authorization: 'Basic x' }],
    ['a wrong API key', alertBody, { authorization: `Bearer ${KEY}x` }],
  ])('is answered as through the app: %s', async (_, value, extra) => {
    const { app, url, world, observed } = await serve();
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...extra };
    const body = typeof value === 'string' ? value : JSON.stringify(value);
    const shown = async (response: Response) => {
      const json = (await response.json()) as Record<string, unknown>;
      expect(response.headers.get('x-request-id')).toMatch(/^[\w-]{8,36}$/);
      if (json.requestId !== undefined) expect(json.requestId).toBe(response.headers.get('x-request-id'));
      const names = [...response.headers.keys()].filter(
        (name) => !['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding'].includes(name),
      );
      const given = extra['x-request-id'] === response.headers.get('x-request-id');
      const kept = names.map((name) => [name, name === 'x-request-id' ? given : response.headers.get(name)]);
      return { status: response.status, json: { ...json, requestId: undefined }, headers: Object.fromEntries(kept) };
    };
    const direct = await shown(await fetch(`${url}/v1/alerts`, { method: 'POST', headers, body }));
    const through = await shown(await app.request('/v1/alerts', { method: 'POST', headers, body }));
    expect(direct).toEqual(through);
    expect(world.submitted[1]).toEqual(world.submitted[0]);
    await vi.waitFor(() => expect(observed).toHaveLength(2));
    expect({ ...observed[0], ms: 0 }).toEqual({ ...observed[1], ms: 0 });
  });

  it('tells a fault of the server, and logs it', async () => {
    const { url, world, error } = await serve();
    world.answer = new TypeError('broken');
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/alerts`, { method: 'POST', headers, body: JSON.stringify(alertBody) });
    expect([answer.status, ((await answer.json()) as { type: string }).type]).toEqual([500, '/problems/internal']);
    expect(error).toHaveBeenCalledOnce();
    expect(JSON.stringify(error.mock.calls)).not.toContain('447700900123');
  });
});

describe('under load', () => {
  const head = (extra: string): string =>
    `POST /v1/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\n${extra}\r\n`;
  /** More than transactions are let in with. */
  const busy = { ...NO_LOAD, journalLagMs: 0.8 * WORST.journalLagMs };

  it('sheds by the lanes of the key, before the body has come, and says when to come back', async () => {
    const { dial, world } = await serve();
    world.load = busy;
    const { socket, closed, heard } = await dial();
    socket.write(head('Content-Length: 100000\r\n'));
    await closed;
    expect(heard()).toMatch(/^HTTP\/1.1 429 /);
    expect(heard()).toMatch(/\r\nretry-after: 4\r\n/);
    expect(heard()).toContain('"type":"/problems/lane-shed"');
    expect(heard()).toContain('application/problem+json');
    expect(world.submitted).toEqual([]);
  });

  it('reads nothing of a body that it sheds: what the client goes on to send stays in its own hands', async () => {
    const { dial, world } = await serve();
    world.load = busy;
    const { socket, closed } = await dial();
    socket.write(head('Transfer-Encoding: chunked\r\n'));
    const piece = `10000\r\n${'a'.repeat(65_536)}\r\n`;
    for (let i = 0; i < 1_000; i++) socket.write(piece);
    await closed;
    // Some pieces stand in the buffers of the system; the rest was never taken.
    expect(socket.bytesWritten - socket.writableLength).toBeLessThan(40e6);
    expect(world.submitted).toEqual([]);
  });

  it('keeps the connection when the body is small', async () => {
    const { dial, world } = await serve();
    world.load = busy;
    const { socket, heard } = await dial();
    const body = JSON.stringify(alertBody);
    socket.write(`${head(`Content-Length: ${body.length}\r\n`)}${body}`);
    await vi.waitFor(() => expect(heard()).toContain('HTTP/1.1 429'));
    world.load = NO_LOAD;
    socket.write(`${head(`Content-Length: ${body.length}\r\n`)}${body}`);
    await vi.waitFor(() => expect(heard()).toContain('HTTP/1.1 202'));
    socket.destroy();
  });

  it('does not ask a client that waits for it to send its body', async () => {
    const { dial, world } = await serve();
    const expecting = head('Content-Length: 400\r\nExpect: 100-continue\r\n');
    const first = await dial();
    first.socket.write(expecting);
    await vi.waitFor(() => expect(first.heard()).toContain('HTTP/1.1 100 Continue'));
    world.load = busy;
    const second = await dial();
    second.socket.write(expecting);
    await vi.waitFor(() => expect(second.heard()).toContain('HTTP/1.1 429'));
    expect(second.heard()).not.toContain('100 Continue');
    for (const { socket } of [first, second]) socket.destroy();
  });

  it('lets a key in that may use a more urgent lane, and sheds the alert by its own', async () => {
    const { url, world } = await serve();
    const principal = world.keys.authenticate(KEY) as Principal;
    const lanes = new Set(['emergency', 'transaction']);
    world.keys.authenticate = (token) => (token === KEY ? ({ ...principal, lanes } as never) : null);
    world.load = busy;
    const post = async (lane: string) => {
      const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
      const body = JSON.stringify({ ...alertBody, lane });
      return (await fetch(`${url}/v1/alerts`, { method: 'POST', headers, body })).status;
    };
    expect([await post('transaction'), await post('emergency')]).toEqual([429, 202]);
    expect(world.submitted.map(({ request }) => request.lane)).toEqual(['emergency']);
    world.load = { ...NO_LOAD, urgentShare: 1 };
    expect([await post('transaction'), await post('emergency')]).toEqual([503, 503]);
  });

  it('sheds a batch before it begins', async () => {
    const { dial, world } = await serve();
    world.load = busy;
    const { socket, closed, heard } = await dial();
    socket.write(
      head('Transfer-Encoding: chunked\r\n').replace('/v1/alerts', '/v1/alerts/batch').replace('json', 'x-ndjson'),
    );
    await closed;
    expect(heard()).toMatch(/^HTTP\/1.1 429 /);
    await sleep(1);
    expect(world.submitted).toEqual([]);
  });
});
