/** Over real sockets: what can't be seen by calling the app. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { AppOptions } from './app.ts';
import { type RunningServer, type ServerLimits, startServer } from './server.ts';
import { alertBody, KEY, makeApp, type World } from './testing.ts';

const open: { server: RunningServer; sockets: Socket[] }[] = [];
afterEach(async () => {
  for (const { server, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await server.close(0);
  }
});

async function serve(app: AppOptions = {}, limits: Partial<ServerLimits> = {}) {
  const made = makeApp(app);
  const server = await startServer(made.app, { port: 0, host: '127.0.0.1', limits });
  const sockets: Socket[] = [];
  open.push({ server, sockets });
  /** A bare connection that gathers what it is told. */
  const dial = async () => {
    const socket = connect(server.port, '127.0.0.1');
    sockets.push(socket);
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString();
    });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const closed = once(socket, 'close').then(() => heard);
    const until = async (text: string): Promise<string> => {
      while (!heard.includes(text)) await once(socket, 'data');
      return heard;
    };
    return { socket, closed, until };
  };
  return { ...made, server, dial, url: `http://127.0.0.1:${server.port}` };
}

const head = (extra: string): string =>
  `POST /v1/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\n${extra}\r\n`;

describe('the server', () => {
  it('answers one request after the other on a connection', async () => {
    const { dial } = await serve();
    const { socket, until } = await dial();
    const body = JSON.stringify(alertBody);
    socket.write(`${head(`Content-Length: ${body.length}\r\n`)}${body}`);
    await until('/cancel"}}');
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await until('{"ok":true}')).toContain('HTTP/1.1 202');
  });

  it('counts the bytes of a body that does not say its length', async () => {
    const { dial, world } = await serve({ bodyLimits: { bytesMax: 1_000 } });
    const { socket, closed } = await dial();
    socket.write(head('Transfer-Encoding: chunked\r\n'));
    for (let i = 0; i < 5; i++) socket.write(`ff\r\n${'a'.repeat(255)}\r\n`);
    const answer = await closed;
    expect(answer).toContain('HTTP/1.1 413');
    expect(answer).toContain('/problems/body-too-large');
    expect(world.submitted).toEqual([]);
  });

  it('refuses a length over the limit at once, without waiting for the body', async () => {
    const { dial } = await serve();
    const { socket, closed } = await dial();
    socket.write(head('Content-Length: 99999999\r\n'));
    expect(await closed).toContain('HTTP/1.1 413');
  });

  it('does not wait for ever for a body', async () => {
    const { dial, world } = await serve({ bodyLimits: { timeoutMs: 50 } });
    const { socket, closed } = await dial();
    socket.write(`${head('Content-Length: 100\r\n')}{"lane":`);
    expect(await closed).toContain('/problems/request-timeout');
    expect(world.submitted).toEqual([]);
  });

  it('does not wait for ever for headers', async () => {
    const { dial } = await serve({}, { headersTimeoutMs: 60, checkIntervalMs: 20 });
    const { socket, closed } = await dial();
    socket.write('POST /v1/alerts HTTP/1.1\r\nHost: x\r\n');
    expect(await closed).toMatch(/HTTP\/1\.1 408.*request-timeout/s);
  });

  it('does not wait for ever for the rest of an upload', async () => {
    const { dial } = await serve({ uploadLimits: { idleMs: 50 } });
    const { socket, closed } = await dial();
    socket.write(
      `POST /v1/lists/city/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n` +
        'Content-Type: text/csv\r\nContent-Length: 100\r\n\r\nmsisdn\n',
    );
    expect(await closed).toContain('/problems/request-timeout');
  });

  it.each([
    ['bytes of another protocol', 'AMQP\x00\x00\x09\x01', '/problems/malformed-request'],
    ['a request without Host', 'GET /healthz HTTP/1.0\r\n\r\n', '/problems/malformed-request'],
    [
      'a Host that is none',
      'GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
      '/problems/malformed-request',
    ],
    [
      'headers over the limit',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
      '/problems/headers-too-large',
    ],
    ['two lengths', `${head('Content-Length: 5\r\nContent-Length: 6\r\n')}`, '/problems/malformed-request'],
    [
      'a length and chunks',
      `${head('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n')}`,
      '/problems/malformed-request',
    ],
  ])('answers %s with a problem, and lives', async (_, bytes, problem) => {
    const { dial, url } = await serve();
    const { socket, closed } = await dial();
    socket.write(bytes);
    expect(await closed).toContain(problem);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('takes no more than its number of connections', async () => {
    const { dial } = await serve({}, { connectionsMax: 1 });
    const first = await dial();
    const second = await dial();
    expect(await second.closed).toBe('');
    first.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await first.until('{"ok":true}');
  });

  it('streams the file of row errors', async () => {
    const { url } = await serve();
    const response = await fetch(`${url}/v1/lists/city/import`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'text/csv', accept: 'text/csv' },
      body: 'msisdn\n',
    });
    expect(response.headers.get('tocsin-import')).toBe('rows=3, added=1, duplicates=1, errors=1');
    expect(await response.text()).toBe('line,field,rule,message\n3,msisdn,msisdn-not-possible,x\n');
  });

  it('lets a request under way finish when it closes, and ends idle connections', async () => {
    const { server, dial, world } = await serve();
    const submit = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const { submit: answer } = world.alerts;
    Object.assign(world.alerts, {
      submit: async (...args: Parameters<World['alerts']['submit']>) => {
        asked.resolve();
        await submit.promise;
        return answer(...args);
      },
    });
    const idle = await dial();
    idle.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await idle.until('{"ok":true}');
    const busy = await dial();
    const body = JSON.stringify(alertBody);
    busy.socket.write(`${head(`Content-Length: ${body.length}\r\n`)}${body}`);
    await asked.promise;
    const closed = server.close(5_000);
    await idle.closed;
    submit.resolve();
    expect(await busy.closed).toContain('HTTP/1.1 202');
    await closed;
  });

  it('cuts what has not finished by the end of the grace', async () => {
    const { server, dial } = await serve();
    const { socket, closed } = await dial();
    socket.write(`${head('Content-Length: 100\r\n')}{`);
    await server.close(50);
    await closed;
  });

  it('says why it can not listen', async () => {
    const { server, app } = await serve();
    await expect(startServer(app, { port: server.port, host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
