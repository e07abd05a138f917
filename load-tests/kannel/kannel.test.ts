import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startSimulator } from '../../src/simulator/index.ts';
import { AnswerReader, barrage } from './http-client.ts';
import { startReceiptSink } from './receipt-sink.ts';
import { runWay } from './ways.ts';

const missing = existsSync('/usr/sbin/smsbox') ? '' : ' (skipped: apt-get install kannel kannel-extras)';

describe('the client', () => {
  const plain = (body: string): string => `HTTP/1.1 202 Accepted\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const chunked = 'HTTP/1.1 429 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';

  test('finds every answer, however the octets are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(chunked), fc.string({ unit: 'grapheme-ascii' }).map(plain)), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
        (answers, cuts) => {
          const statuses: number[] = [];
          const reader = new AnswerReader((status) => statuses.push(status));
          let rest = answers.join('');
          for (let n = 0; rest !== ''; n++) {
            const cut = cuts[n % cuts.length] as number;
            reader.read(rest.slice(0, cut));
            rest = rest.slice(cut);
          }
          expect(statuses).toEqual(answers.map((answer) => Number(answer.slice(9, 12))));
        },
      ),
    );
  });

  test('sends every request once, over as many connections as it was told, and counts the answers', async () => {
    const seen: string[] = [];
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket
        .on('error', () => {})
        .on('data', (data) => {
          seen.push(data.toString());
          socket.write(plain(''));
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const wish = { host: '127.0.0.1', port, connections: 3, withinMs: 5_000 };
    const { byStatus } = await barrage({ ...wish, requests: 20, requestOf: (index) => `${index}` });
    expect(byStatus).toEqual(new Map([[202, 20]]));
    expect(seen.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(connections).toBe(3);
    server.close();
  });

  test('gives up in time on a server that says nothing', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const silent = barrage({
      host: '127.0.0.1',
      port,
      connections: 1,
      requests: 1,
      requestOf: () => 'x',
      withinMs: 50,
    });
    await expect(silent).rejects.toThrow('not answered within 50 ms');
    server.close();
  });
});

test('the sink counts each message once, and what is told twice or otherwise as odd', async () => {
  const sink = await startReceiptSink();
  sink.reset(3);
  const tell = (query: string): Promise<Response> => fetch(`http://127.0.0.1:${sink.port}/${query}`);
  for (const query of ['r?i=0&s=1', 'r?i=0&s=1', 'r?i=%2B447700000001&s=1', 'r?i=2&s=2', 'x']) await tell(query);
  expect([sink.delivered, sink.odd]).toEqual([2, 3]);
  await expect(sink.all(20)).rejects.toThrow('2 of 3 receipts were told within 20 ms');
  await tell('r?i=2&s=1');
  await sink.all(1_000);
  await sink.close();
});

describe.skipIf(missing !== '')(`Kannel${missing}`, () => {
  test.each([
    { name: 'HTTP', smsboxes: 2, connections: 4, recipients: 3 },
    { name: 'mtbatch', smsboxes: 1, connections: 0, recipients: 1 },
    { name: 'HTTP with stores on disk', smsboxes: 1, connections: 4, recipients: 1, stored: true },
  ])('$name: every message is taken by the carrier, and its receipt told of once', async (way) => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-kannel-'));
    const sim = await startSimulator({ accounts: [{ systemId: 'k', password: 'demo' }] });
    const sink = await startReceiptSink();
    const setting = { folder, smscPort: sim.port, systemId: 'k', password: 'demo', sink, text: 'A & B' };
    const run = await runWay(way, { ...setting, messages: 60, withinMs: 10_000 });
    expect(run).toMatchObject({ messages: 60, correct: true, version: expect.stringMatching(/^\d+\.\d+/) });
    expect(sim.stats().accounts[0]).toMatchObject({ accepted: 60, receipts: { created: 60 } });
    await sink.close();
    await sim.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});
