/** POST /v1/alerts/batch over real sockets. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { createKey, KeyCache } from '../access/index.ts';
import type { AlertRequest, SubmitResult } from '../alerts/index.ts';
import { openDatabase } from '../platform/index.ts';
import type { AppOptions } from './app.ts';
import type { BatchLimits } from './batch-stream.ts';
import { type RunningServer, startServer } from './server.ts';
import { ALERT_ID, alertBody, alertView, KEY, makeApp } from './testing.ts';

interface AnswerLine {
  line: number;
  status: number;
  alert?: { id: string };
  replayed?: boolean;
  end?: boolean;
  retryAfter?: number;
  problem?: { type: string; detail: string; errors: { field: string | null; rule: string }[] };
}

const open: { server: RunningServer; sockets: Socket[] }[] = [];
afterEach(async () => {
  for (const { server, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await server.close(0);
  }
});

async function serve(batchLimits: Partial<BatchLimits> = {}, options: AppOptions = {}) {
  const made = makeApp({ ...options, batchLimits: { checkMs: 20, ...batchLimits } });
  const server = await startServer(made.app, { port: 0, host: '127.0.0.1' });
  const sockets: Socket[] = [];
  open.push({ server, sockets });
  /** Opens a batch; its lines are written one by one, its answers gathered. */
  const batch = async (key = KEY) => {
    const socket = connect(server.port, '127.0.0.1');
    sockets.push(socket);
    let heard = '';
    socket.on('data', (piece) => {
      heard += piece.toString();
    });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write(
      `POST /v1/alerts/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
        'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const send = (text: string | Buffer) =>
      socket.write(
        Buffer.concat([`${Buffer.byteLength(text).toString(16)}\r\n`, text, '\r\n'].map((part) => Buffer.from(part))),
      );
    const lines = (): AnswerLine[] =>
      heard
        .replaceAll(/\r\n[0-9a-f]+\r\n/g, '')
        .split('\n')
        .filter((text) => text.startsWith('{"line"') && text.endsWith('}'))
        .map((text) => JSON.parse(text));
    const until = async (count: number): Promise<AnswerLine[]> => {
      await vi.waitFor(() => expect(lines().length).toBeGreaterThanOrEqual(count), { timeout: 4_000, interval: 5 });
      return lines();
    };
    return { socket, closed, send, lines, until, end: () => socket.write('0\r\n\r\n'), heard: () => heard };
  };
  return { ...made, server, batch, url: `http://127.0.0.1:${server.port}` };
}

const line = (change: Record<string, unknown> = {}): string => `${JSON.stringify({ ...alertBody, ...change })}\n`;
const typeOf = ({ problem }: AnswerLine): string | undefined => problem?.type;
const accepted: SubmitResult = { kind: 'accepted', replay: false, alert: alertView };

describe('a batch', () => {
  it('is answered line by line, in order, each with its own key', async () => {
    const { batch, world } = await serve();
    const { send, end, until, heard, socket } = await batch();
    send(line({ idempotencyKey: 'k 1' }) + line({ reference: 'b' }));
    send(line({ idempotencyKey: null }).slice(0, 20));
    send(line({ idempotencyKey: null }).slice(20).trimEnd());
    end();
    const answers = await until(3);
    expect(heard()).toMatch(/^HTTP\/1.1 200 OK\r\n(?:.*\r\n)*content-type: application\/x-ndjson\r\n/);
    await vi.waitFor(() => expect(heard()).toMatch(/\r\n0\r\n\r\n$/));
    expect(answers.map((each) => [each.line, each.status, each.alert?.id])).toEqual(
      [1, 2, 3].map((number) => [number, 202, ALERT_ID]),
    );
    expect(world.submitted.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['k 1', null, null]);
    expect(world.submitted.map(({ request }) => request.reference)).toEqual(['txn-1', 'b', 'txn-1']);
    expect(world.submitted[0]!.request).not.toHaveProperty('idempotencyKey');
    // The connection stays for the next request.
    await sleep(20);
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await vi.waitFor(() => expect(heard()).toContain('{"ok":true}'));
  });

  it('answers a line as soon as its alert is durable, and none before one that stands earlier', async () => {
    const { batch, world } = await serve();
    const durable: ((result: SubmitResult) => void)[] = [];
    world.alerts.submit = () => new Promise((resolve) => durable.push(resolve));
    const { send, until, lines } = await batch();
    send(line());
    await vi.waitFor(() => expect(durable).toHaveLength(1));
    durable[0]!(accepted);
    expect(await until(1)).toHaveLength(1);
    send(line() + line());
    await vi.waitFor(() => expect(durable).toHaveLength(3));
    durable[2]!({ ...accepted, replay: true } as SubmitResult);
    await sleep(30);
    expect(lines()).toHaveLength(1);
    durable[1]!(accepted);
    const answers = await until(3);
    expect(answers.map(({ replayed }) => replayed)).toEqual([undefined, undefined, true]);
  });

  it('names a bad line and stops no other', async () => {
    const refused: unknown[] = [];
    const { batch, world } = await serve({ lineBytesMax: 1_000 }, { observeLine: (problem) => refused.push(problem) });
    world.alerts.submit = async (_, { reference }) =>
      reference === 'late'
        ? { kind: 'problem', problem: { code: 'cannot-meet-expiry', field: null, message: 'x', retryAfterSeconds: 7 } }
        : accepted;
    const { send, end, until, heard } = await batch();
    send(`${line()}{"lane":\n${line({ colour: 'red' })}\n  \r\n${line({ content: { text: 'a'.repeat(1_000) } })}`);
    send(`${line({ idempotencyKey: 'é' }) + line({ idempotencyKey: 5 })}7\n${line({ reference: 'late' })}${line()}`);
    send(Buffer.from([0x22, 0xff, 0x22, 0x0a]));
    end();
    const answers = await until(10);
    expect(answers.map((each) => [each.line, each.status, typeOf(each), each.problem?.errors[0]?.field])).toEqual([
      [1, 202, undefined, undefined],
      [2, 400, '/problems/malformed-json', undefined],
      [3, 400, '/problems/unknown-field', 'colour'],
      [6, 413, '/problems/line-too-long', undefined],
      [7, 400, '/problems/invalid-request', 'idempotencyKey'],
      [8, 400, '/problems/invalid-request', 'idempotencyKey'],
      [9, 400, '/problems/invalid-request', null],
      [10, 503, '/problems/cannot-meet-expiry', null],
      [11, 202, undefined, undefined],
      [12, 400, '/problems/malformed-json', undefined],
    ]);
    expect(answers[7]?.retryAfter).toBe(7);
    expect(refused).toHaveLength(10);
    await vi.waitFor(() => expect(heard()).toMatch(/\r\n0\r\n\r\n$/));
  });

  it('tells a fault of the server as such, line by line', async () => {
    const error = vi.fn();
    const { batch, world } = await serve({}, { log: { error } as never });
    world.answer = new TypeError('broken');
    const { send, until } = await batch();
    send(line() + line());
    expect((await until(2)).map(typeOf)).toEqual(['/problems/internal', '/problems/internal']);
    expect(error).toHaveBeenCalledTimes(2);
  });

  it('reads no more than so many unanswered lines, of one batch and of all', async () => {
    const { batch, world } = await serve({ linesMax: 10, linesMaxOfAll: 15 });
    const waiting: ((result: SubmitResult) => void)[] = [];
    world.alerts.submit = () => new Promise((resolve) => waiting.push(resolve));
    const [first, second] = [await batch(), await batch()];
    first.send(line().repeat(30));
    await vi.waitFor(() => expect(waiting).toHaveLength(10));
    second.send(line().repeat(30));
    await sleep(50);
    expect(waiting).toHaveLength(15);
    let answered = 0;
    await vi.waitFor(() => {
      for (const resolve of waiting.splice(0)) {
        resolve(accepted);
        answered++;
      }
      expect(answered).toBe(60);
    });
    expect((await first.until(30)).map((each) => each.line)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    await second.until(30);
  });

  it('gives a client that stops reading up, having taken a bounded number of its lines', async () => {
    const { batch, world } = await serve({ idleMs: 300, linesMax: 50 });
    const { socket, closed, send } = await batch();
    socket.pause();
    // Nobody reads the answers: some MB fit into the buffers of the system, then nothing more is taken.
    let sent = 0;
    const writing = setInterval(() => {
      for (let i = 0; i < 20 && !socket.writableNeedDrain; i++, sent += 100) send(line().repeat(100));
    }, 1);
    let taken = 0;
    await vi.waitFor(
      async () => {
        const before = world.submitted.length;
        await sleep(100);
        taken = world.submitted.length;
        expect(taken).toBeGreaterThan(0);
        expect(taken).toBe(before);
      },
      { timeout: 5_000 },
    );
    clearInterval(writing);
    expect(sent).toBeGreaterThan(taken);
    await sleep(400);
    socket.resume();
    await closed;
    expect(world.submitted.length).toBe(taken);
  });

  it('takes nothing more from a client that hangs up', async () => {
    const { batch, world, url } = await serve({ linesMax: 5 });
    const waiting: ((result: SubmitResult) => void)[] = [];
    world.alerts.submit = () => new Promise((resolve) => waiting.push(resolve));
    const { socket, send } = await batch();
    send(line().repeat(20));
    await vi.waitFor(() => expect(waiting).toHaveLength(5));
    socket.destroy();
    await sleep(50);
    for (const resolve of waiting) resolve(accepted);
    await sleep(50);
    expect(waiting).toHaveLength(5);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it.each<[string, Partial<BatchLimits>]>([
    ['sends nothing for too long', { idleMs: 60 }],
    ['takes too long as a whole', { totalMs: 60 }],
  ])('says in a last line that the client %s', async (_, limits) => {
    const { batch } = await serve(limits);
    const { send, until, closed } = await batch();
    send(line());
    const answers = await until(2);
    expect(answers[1]).toMatchObject({ line: 2, status: 408, end: true });
    await closed;
  });

  it('ends with a last line when the server stops', async () => {
    let draining = false;
    const { batch } = await serve({}, { draining: () => draining });
    const { send, until } = await batch();
    send(line());
    await until(1);
    draining = true;
    expect((await until(2))[1]).toMatchObject({ line: 2, status: 503, end: true, retryAfter: 1 });
  });

  it('takes so many batches at a time', async () => {
    const { batch } = await serve({ streamsMax: 1 });
    const first = await batch();
    first.send(line());
    await first.until(1);
    const second = await batch();
    await vi.waitFor(() => expect(second.heard()).toContain('HTTP/1.1 503'));
    first.end();
    await vi.waitFor(() => expect(first.heard()).toMatch(/0\r\n\r\n$/));
    const third = await batch();
    third.send(line());
    await third.until(1);
  });

  it('wants its media type', async () => {
    const { url } = await serve();
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/alerts/batch`, { method: 'POST', headers, body: line() });
    expect([answer.status, answer.headers.get('accept')]).toEqual([415, 'application/x-ndjson']);
  });

  it('is read by an ordinary client that writes all before it reads, also behind a query', async () => {
    const { url } = await serve();
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/x-ndjson' };
    for (const path of ['/v1/alerts/batch', '/v1/alerts/batch?x=1']) {
      const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: line().repeat(500) });
      expect((await answer.text()).trimEnd().split('\n')).toHaveLength(500);
    }
  });

  it('sheds each line by its own lane', async () => {
    const { batch, world } = await serve();
    const lanes: string[] = [];
    world.alerts.submit = async (_, request: AlertRequest) => {
      lanes.push(request.lane);
      return accepted;
    };
    const { send, until } = await batch();
    send(line());
    await until(1);
    world.load = { ...world.load, journalLagMs: 3_000 };
    send(line({ lane: 'bulk' }) + line());
    const answers = await until(3);
    expect(answers.map(({ status, retryAfter }) => [status, retryAfter])).toEqual([
      [202, undefined],
      [429, 10],
      [202, undefined],
    ]);
    expect(lanes).toEqual(['transaction', 'transaction']);
  });
});

describe('a key that is revoked while its batch runs', () => {
  it.each(['its NOTIFY comes', 'the listener had just lost its connection'])(
    'ends it within a second when %s',
    async (how) => {
      const { database, target, terminateBackends, asSuperuser } = await testDatabase();
      const other = await openDatabase({ target, applicationName: 'other' });
      const cache = await KeyCache.open({ database: other });
      const key = await createKey(database, { organisation: 'Bank', lanes: ['transaction'], scopes: ['alerts:write'] });
      try {
        const { batch, world } = await serve();
        world.keys.authenticate = (token) => cache.authenticate(token);
        const { send, lines, until } = await batch(key);
        send(line());
        await until(1);
        const times: number[] = [];
        const submit = world.alerts.submit;
        world.alerts.submit = (...args) => {
          times.push(performance.now());
          return submit(...args);
        };
        const writing = setInterval(() => send(line().repeat(5)), 5);
        try {
          await vi.waitFor(() => expect(times.length).toBeGreaterThan(20));
          if (how !== 'its NOTIFY comes') expect(await terminateBackends('other listen')).toBe(1);
          // Without a NOTIFY: as one that nobody was there to hear.
          await asSuperuser((session) => session.query('insert into api_key_revocation select id, 0, 0 from api_key'));
          const revokedAt = performance.now();
          if (how === 'its NOTIFY comes') {
            await database.pools.control.query('select pg_notify($1, $2)', ['tocsin_keys', key.split('_')[1]]);
          }
          await vi.waitFor(() => expect(lines().at(-1)?.end).toBe(true), { timeout: 3_000, interval: 5 });
          const last = lines().at(-1)!;
          expect(last).toMatchObject({ status: 401, problem: { type: '/problems/unauthenticated' } });
          expect(last.line).toBe(lines().length);
          expect(Math.max(...times) - revokedAt).toBeLessThan(how === 'its NOTIFY comes' ? 300 : 1_000);
          expect(
            lines()
              .slice(0, -1)
              .every(({ status }) => status === 202),
          ).toBe(true);
        } finally {
          clearInterval(writing);
        }
      } finally {
        await cache.close();
        await other.close();
      }
    },
  );
});
