// A carrier's policy, from the file to the octets: what each field of the link changes on a plain socket.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createMetrics } from '../platform/index.ts';
import { loadPolicies } from '../policy/index.ts';
import {
  type BindCommand,
  commandOf,
  encodeDeliverSm,
  encodeHeader,
  encodePdu,
  encodeSubmitSm,
  Framer,
  PROTOCOL,
  pduOf,
  type SubmitSm,
  tlv,
} from '../smpp/index.ts';
import { meterCarriers } from './carrier-metrics.ts';
import { connectCarrier, type MeteredWire } from './carrier-wire.ts';
import type { DispatchLog } from './types.ts';
import type { WireHandlers } from './wire.ts';

let folder: string;
const opened: (() => unknown)[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'carrier-wire-'));
  const lanes = readFileSync(join(import.meta.dirname, '../../policies/lanes.yaml'));
  writeFileSync(join(folder, 'lanes.yaml'), lanes);
  writeFileSync(
    join(folder, 'routing.yaml'),
    JSON.stringify({ routes: [{ name: 'all', prefixes: ['+'], binds: ['a'] }] }),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  for (const end of opened.splice(0).reverse()) await end();
});

interface Peer {
  socket: Socket;
  /** The next PDU, in hex. */
  next(): Promise<string>;
}

interface Smsc {
  port: number;
  /** The next connection that has sent its bind, answered. */
  bound(): Promise<Peer & { bind: string }>;
}

/** Things in their order, which can be waited for. */
function queue<T>(): { push(value: T): void; next(): Promise<T> } {
  const values: T[] = [];
  const waiters: ((value: T) => void)[] = [];
  return {
    push: (value) => {
      const waiter = waiters.shift();
      if (waiter === undefined) values.push(value);
      else waiter(value);
    },
    next: () =>
      values.length > 0 ? Promise.resolve(values.shift() as T) : new Promise((resolve) => waiters.push(resolve)),
  };
}

function peerOf(socket: Socket): Peer {
  const pdus = queue<string>();
  const framer = new Framer((buffer, offset, length) => pdus.push(buffer.toString('hex', offset, offset + length)));
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => framer.push(chunk));
  return { socket, next: pdus.next };
}

/** Of a PDU in hex. */
const sequenceOf = (pdu: string) => Number.parseInt(pdu.slice(24, 32), 16);

async function smsc(answer: { status?: number; version?: number } = {}, tls?: object): Promise<Smsc> {
  const bound = queue<Peer & { bind: string }>();
  const sockets = new Set<Socket>();
  const onSocket = async (socket: Socket) => {
    sockets.add(socket);
    const peer = peerOf(socket);
    const bind = await peer.next();
    const { status = 0, version } = answer;
    const command = `${commandOf(Number.parseInt(bind.slice(8, 16), 16)) as BindCommand}_resp` as const;
    const tlvs = version === undefined ? [] : [tlv('sc_interface_version', version)];
    socket.write(encodePdu(pduOf(command, { status, sequence: sequenceOf(bind), systemId: 'S', tlvs })));
    bound.push({ ...peer, bind });
  };
  const server: Server = tls === undefined ? createServer(onSocket) : createTlsServer(tls, onSocket);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, bound: bound.next };
}

async function deadPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Log extends DispatchLog {
  lines: [details: Record<string, unknown>, message: string][];
}

function quiet(): Log {
  const lines: Log['lines'] = [];
  const keep = (details: object, message: string) => void lines.push([details as Record<string, unknown>, message]);
  return { lines, info: keep, warn: keep, error: keep };
}

function wire(fields: object, handlers: Partial<WireHandlers> = {}, log: DispatchLog = quiet()): MeteredWire {
  const common = { host: '127.0.0.1', systemId: 'bank', password: { env: 'PW' }, tps: 10, responseTimeout: 'PT0.2S' };
  writeFileSync(join(folder, 'carriers.yaml'), JSON.stringify({ carriers: { a: { ...common, ...fields } } }));
  const carrier = loadPolicies(folder, { PW: 'secret', OUT: 'let-in' }, PROTOCOL).carriers.a;
  if (carrier === undefined) throw new Error('there is a carrier a');
  const nothing = { onAnswer: () => {}, onIncoming: () => {}, onRoom: () => {}, onUp: () => {}, onDown: () => {} };
  const own = connectCarrier('a', carrier, { ...nothing, ...handlers }, log, () => 0.5);
  opened.push(() => own.close());
  own.start();
  return own;
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

const message: SubmitSm = {
  serviceType: '',
  sourceTon: 5,
  sourceNpi: 0,
  sourceAddr: 'BANK',
  destTon: 1,
  destNpi: 1,
  destAddr: '447700900123',
  esmClass: 0,
  protocolId: 0,
  priorityFlag: 1,
  scheduleDeliveryTime: '',
  validityPeriod: '',
  registeredDelivery: 1,
  replaceIfPresent: 0,
  dataCoding: 0,
  smDefaultMsgId: 0,
  shortMessage: Buffer.from('hello'),
  tlvs: [{ tag: 0x1400, value: Buffer.from('07', 'hex') }],
};

describe('the bind', () => {
  it('says what policy says: version, type, and the addresses that the receiver serves', async () => {
    const { port, bound } = await smsc();
    const said = { systemType: 'VMA', interfaceVersion: '5.0', addressTon: 1, addressNpi: 1, addressRange: '^4477' };
    wire({ port, ...said });
    const { bind } = await bound();
    expect(bind.slice(32)).toBe(
      [
        '62616e6b00', // system_id: bank
        '73656372657400', // password: secret
        '564d4100', // system_type: VMA
        '50', // interface_version
        '0101', // addr_ton, addr_npi
        '5e3434373700', // address_range: ^4477
      ].join(''),
    );
  });

  it('is one transmitter and one receiver for each session, where bindMode says so', async () => {
    const { port, bound } = await smsc();
    const received = queue<number>();
    const own = wire(
      { port, bindMode: 'transmitter-receiver', sessions: 2, window: 1 },
      { onIncoming: (incoming) => received.push(incoming.sequence) },
    );
    const peers = [await bound(), await bound(), await bound(), await bound()];
    const kind = ({ bind }: { bind: string }) => Number.parseInt(bind.slice(8, 16), 16);
    expect(peers.map(kind).sort()).toEqual([1, 1, 2, 2]);
    await until(() => own.stats().state === 'up');
    expect([own.boundSessions, own.freeFor(true)]).toEqual([2, 2]);
    peers.find((peer) => kind(peer) === 1)?.socket.write(encodeDeliverSm(5, { ...message, esmClass: 4 }));
    expect(await received.next()).toBe(5);
  });

  it.each([
    [{}, 0x33, false],
    [{ optionalParameters: 'always' }, 0x33, true],
    [{ optionalParameters: 'never' }, 0x34, false],
    [{ interfaceVersion: '3.3' }, 0x34, false],
    [{}, 0x34, true],
  ])('%o with an SMSC of version %i: optional parameters %s', async (fields, version, sent) => {
    const { port, bound } = await smsc({ version });
    const up = queue<void>();
    const log = quiet();
    const own = wire({ port, ...fields }, { onUp: () => up.push() }, log);
    await up.next();
    own.submit(encodeSubmitSm(0, message), {} as never, false);
    expect((await (await bound()).next()).endsWith('1400000107')).toBe(sent);
    const warned = log.lines.some(([, text]) => text.includes('older than SMPP 3.4'));
    expect(warned).toBe(
      !sent && own.stats().bySession[0]?.peerVersion === version && !('optionalParameters' in fields),
    );
  });
});

describe('where the carrier is', () => {
  it('goes on to the next of hosts, and comes back after returnAfter', async () => {
    const { port: second, bound } = await smsc();
    const first = await deadPort();
    const log = quiet();
    const own = wire({ port: first, hosts: [{ host: '127.0.0.1', port: second }], returnAfter: 'PT1S' }, {}, log);
    await bound();
    await until(() => own.boundSessions === 1);
    expect(own.stats().bySession[0]?.host).toEqual({ host: '127.0.0.1', port: second });
    expect(log.lines).toContainEqual([
      expect.objectContaining({ bind: 'a', host: '127.0.0.1', port: first, retryInMs: 0 }),
      'the carrier could not be bound',
    ]);
    const back = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (bind: Buffer) =>
        socket.write(encodePdu(pduOf('bind_transceiver_resp', { sequence: bind.readUInt32BE(12), systemId: 'S' }))),
      );
    });
    back.listen(first, '127.0.0.1');
    opened.push(() => back.close());
    await until(() => own.stats().bySession.some(({ host }) => host?.port === first));
  });

  it('asks again after alreadyBoundRetry when its former session still stands, and says so once a minute', async () => {
    const { port, bound } = await smsc({ status: 0x05 });
    const log = quiet();
    wire({ port, alreadyBoundRetry: 'PT0.1S', reconnectFirst: 'PT30S', reconnectMax: 'PT30S' }, {}, log);
    const start = performance.now();
    for (let n = 0; n < 4; n++) await bound();
    expect(performance.now() - start).toBeGreaterThanOrEqual(290);
    const failures = log.lines.filter(([, text]) => text === 'the carrier could not be bound');
    expect(failures.map(([details]) => details)).toMatchObject([{ failures: 1, retryInMs: 100 }]);
  });

  it('lets a carrier in that calls by outbind', async () => {
    const { port } = await smsc();
    const listenPort = await deadPort();
    const received = queue<number>();
    const up = queue<void>();
    const outbind = { port: listenPort, systemId: 'CARRIER', password: { env: 'OUT' } };
    wire({ port, outbind }, { onUp: () => up.push(), onIncoming: ({ sequence }) => received.push(sequence) });
    await up.next();
    const socket = connect(listenPort, '127.0.0.1');
    opened.push(() => socket.destroy());
    const { next } = peerOf(socket);
    socket.write(encodePdu(pduOf('outbind', { systemId: 'CARRIER', password: 'let-in' })));
    const bind = await next();
    expect(bind.slice(8, 16)).toBe('00000001');
    socket.write(encodePdu(pduOf('bind_receiver_resp', { sequence: sequenceOf(bind), systemId: 'C' })));
    socket.write(encodeDeliverSm(9, { ...message, esmClass: 4 }));
    expect(await received.next()).toBe(9);
  });

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)(
    'is spoken to over TLS; without verification only with a warning that says why',
    async () => {
      const files = [
        '-keyout',
        'key.pem',
        '-out',
        'cert.pem',
        '-subj',
        '/CN=x',
        '-addext',
        'subjectAltName=DNS:s.example',
      ];
      const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
      execFileSync('openssl', ['req', '-x509', '-days', '2', ...ec, ...files], { cwd: folder, stdio: 'pipe' });
      const pem = { cert: readFileSync(join(folder, 'cert.pem')), key: readFileSync(join(folder, 'key.pem')) };
      const up = queue<void>();
      const { port } = await smsc({}, pem);
      wire({ port, tls: { ca: 'cert.pem', serverName: 's.example' } }, { onUp: () => up.push() });
      await up.next();

      const log = quiet();
      const other = wire({ port, tls: {} }, {}, log);
      await until(() => other.stats().dialFailures > 0);
      expect(other.stats().lastError).toMatch(/put the CA certificate that the carrier gives into tls\.ca/);

      const because = 'the lab has no certificates';
      wire({ port, tls: { verify: { none: because } } }, { onUp: () => up.push() }, log);
      await up.next();
      expect(log.lines).toContainEqual([{ bind: 'a', because }, expect.stringMatching(/is not verified/)]);

      const asks = await smsc(
        {},
        { ...pem, requestCert: true, rejectUnauthorized: true, ca: pem.cert, minVersion: 'TLSv1.3' },
      );
      const client = { cert: 'cert.pem', key: 'key.pem', minVersion: 'TLSv1.3' };
      wire({ port: asks.port, tls: { ca: 'cert.pem', serverName: 's.example', ...client } }, { onUp: () => up.push() });
      await up.next();
    },
  );
});

it('a quiet carrier is not cut off, however seldom it is asked whether it lives', async () => {
  const { port, bound } = await smsc();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const own = wire({ port, enquireLink: 'PT5M', responseTimeout: 'PT5M' });
    const { socket, next } = await bound();
    await until(() => own.boundSessions === 1);
    // Two minutes without an octet once were the end, with five to go until the first question.
    for (let minute = 0; minute < 4; minute++) {
      vi.advanceTimersByTime(60_000);
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(own.boundSessions).toBe(1);
    vi.advanceTimersByTime(61_000);
    expect((await next()).slice(8, 16)).toBe('00000015');
    socket.destroy();
    await until(() => own.boundSessions === 0);
  } finally {
    vi.useRealTimers();
  }
});

it('tells Prometheus what the sessions do', async () => {
  const { port, bound } = await smsc();
  const answered = queue<void>();
  const up = queue<void>();
  const own = wire({ port, window: 4 }, { onUp: () => up.push(), onAnswer: () => answered.push() });
  const metrics = createMetrics();
  meterCarriers(metrics, new Map([['a', own]]));
  const { socket, next } = await bound();
  await up.next();
  for (let n = 0; n < 3; n++) own.submit(encodeSubmitSm(0, message), {} as never, false);
  const sequences = [await next(), await next(), await next()].map((pdu) => Number.parseInt(pdu.slice(24, 32), 16));
  socket.write(encodeHeader(0x80000004, 0x58, sequences[0] as number));
  socket.write(encodeHeader(0x80000004, 0, sequences[1] as number));
  expect(own.unanswered).toBe(3);
  await answered.next();
  await answered.next();
  expect(own.unanswered).toBe(1);
  const text = await metrics.text();
  for (const line of [
    'tocsin_bind_state{bind="a",state="up"} 1',
    'tocsin_bind_state{bind="a",state="connecting"} 0',
    'tocsin_bind_odd_pdus_total{bind="a",kind="malformed"} 0',
    'tocsin_bind_binds_total{bind="a"} 1',
    'tocsin_bind_dial_failures_total{bind="a"} 0',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
});
