/** The ways in which Kannel takes messages that want a receipt told by HTTP, each measured until the last one is told. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KANNEL_USER, type Kannel, startKannel } from './boxes.ts';
import { barrage } from './http-client.ts';
import type { ReceiptSink } from './receipt-sink.ts';

export interface Way {
  readonly name: string;
  readonly smsboxes: number;
  /** HTTP connections, over all smsboxes; 0 for mtbatch, which speaks to bearerbox itself. */
  readonly connections: number;
  /** Recipients of each request. */
  readonly recipients: number;
  /** With Kannel's stores on disk. */
  readonly stored?: boolean;
}

export interface WayRun {
  /** Kannel's. */
  version: string;
  messages: number;
  seconds: number;
  /** Every request was taken, and every receipt was told once. */
  correct: boolean;
}

export interface WayOptions {
  folder: string;
  smscPort: number;
  systemId: string;
  password: string;
  sink: ReceiptSink;
  text: string;
  messages: number;
  withinMs: number;
}

const MTBATCH = '/usr/bin/mtbatch';
/** Delivered and failed: the states that end a message; those on the way would only cost. */
const DLR_MASK = 3;

export async function runWay(way: Way, options: WayOptions): Promise<WayRun> {
  const folder = await mkdtemp(join(options.folder, 'kannel-'));
  const kannel = await startKannel({ ...options, folder, smsboxes: way.smsboxes, stored: way.stored });
  const { sink } = options;
  // What each smsbox gets is whole requests.
  const unit = way.smsboxes * way.recipients;
  const messages = Math.max(1, Math.floor(options.messages / unit)) * unit;
  sink.reset(messages);
  try {
    const from = performance.now();
    const { taken, ms } =
      way.connections > 0
        ? await overHttp(way, kannel, messages, options)
        : await overMtbatch(kannel, folder, messages, options);
    // Connections are opened before the clock runs, on both sides of the comparison.
    const begin = Math.max(from, performance.now() - ms);
    await sink.all(options.withinMs);
    return {
      version: kannel.version,
      messages,
      seconds: (performance.now() - begin) / 1_000,
      correct: taken && sink.delivered === messages && sink.odd === 0,
    };
  } finally {
    await kannel.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** GET /cgi-bin/sendsms, as many as there are connections at once. */
async function overHttp(way: Way, { ports }: Kannel, messages: number, { sink, text, withinMs }: WayOptions) {
  const { connections, recipients } = way;
  const requests = messages / ports.length / recipients;
  const query = (fields: Record<string, string>): string => new URLSearchParams(fields).toString();
  // One recipient: our own number for it, without a look at the address. Several: %p is the address.
  const callback = (what: string): string => `http://127.0.0.1:${sink.port}/r?i=${what}&s=%d`;
  const fixed = query({ ...KANNEL_USER, from: 'Tocsin', text, 'dlr-mask': String(DLR_MASK) });
  const runs = await Promise.all(
    ports.map((port, box) =>
      barrage({
        host: '127.0.0.1',
        port,
        connections: Math.max(1, Math.floor(connections / ports.length)),
        requests,
        withinMs,
        requestOf: (index) => {
          const first = (box * requests + index) * recipients;
          const to = Array.from({ length: recipients }, (_, n) => msisdn(first + n)).join(' ');
          const url = callback(recipients === 1 ? String(first) : '%p');
          return `GET /cgi-bin/sendsms?${fixed}&${query({ to, 'dlr-url': url })} HTTP/1.1\r\nHost: kannel\r\n\r\n`;
        },
      }),
    ),
  );
  return {
    taken: runs.every(({ byStatus }) => byStatus.get(202) === requests && byStatus.size === 1),
    ms: Math.max(...runs.map(({ seconds }) => seconds)) * 1_000,
  };
}

/** Kannel's own program for lists: numbers from a file straight to bearerbox; an smsbox tells of the receipts. */
async function overMtbatch({ boxPort }: Kannel, folder: string, messages: number, options: WayOptions) {
  const content = join(folder, 'content');
  const receivers = join(folder, 'receivers');
  await writeFile(content, options.text);
  // It takes no number with a plus sign.
  await writeFile(receivers, Array.from({ length: messages }, (_, n) => `${msisdn(n).slice(1)}\n`).join(''));
  const from = performance.now();
  const child = spawn(
    MTBATCH,
    [
      ...['-v', '4', '-b', '127.0.0.1', '-p', String(boxPort), '-i', 'box0', '-f', 'Tocsin', '-D', String(DLR_MASK)],
      ...['-u', `http://127.0.0.1:${options.sink.port}/r?i=%p&s=%d`, content, receivers],
    ],
    { stdio: 'ignore', timeout: options.withinMs, killSignal: 'SIGKILL' },
  );
  const code = await new Promise<number | null>((resolve) => {
    child.once('exit', resolve).once('error', () => resolve(null));
  });
  return { taken: code === 0, ms: performance.now() - from };
}

/** The last eight digits are the number of the message. */
const msisdn = (index: number): string => `+4477${String(index).padStart(8, '0')}`;
