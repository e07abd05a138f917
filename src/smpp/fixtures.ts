/** What the tests of this room share: messages, a real SMSC on loopback, and events that can be awaited. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { BindCommand } from './bind-request.ts';
import { Framer } from './framing.ts';
import type { SubmitSm } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';
import { commandOf } from './pdus/table.ts';
import type { PduFields } from './requests.ts';
import { ServerSession, type ServerSessionHandlers, type ServerSessionOptions } from './server-session.ts';

export function messageOf(fields: Partial<SubmitSm> = {}): SubmitSm {
  return {
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
    tlvs: [],
    ...fields,
  };
}

/** Things that happened, taken one by one in their order; `next` waits for one that has not happened yet. */
export class Happenings<T> {
  private readonly past: T[] = [];
  private waiter: ((value: T) => void) | null = null;

  readonly push = (value: T): void => {
    const { waiter } = this;
    this.waiter = null;
    if (waiter !== null) waiter(value);
    else this.past.push(value);
  };

  next(): Promise<T> {
    if (this.past.length > 0) return Promise.resolve(this.past.shift() as T);
    return new Promise((resolve) => {
      this.waiter = resolve;
    });
  }

  async take(count: number): Promise<T[]> {
    const taken: T[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** What has happened and was not taken. */
  get waiting(): number {
    return this.past.length;
  }
}

export interface Listening {
  port: number;
  sockets: Socket[];
  close(): Promise<void>;
}

/** A plain TCP listener that does what the test says. */
export async function listen(onSocket: (socket: Socket) => void, port = 0): Promise<Listening> {
  const sockets: Socket[] = [];
  // Half-open, so that a test can end one direction alone.
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Smsc extends Listening {
  sessions: ServerSession<string>[];
}

/** An SMSC that takes every bind and answers every submit_sm with ids m1, m2 … unless told otherwise. */
export async function startSmsc(
  handlers: Partial<ServerSessionHandlers<string>> = {},
  options: Partial<Omit<ServerSessionOptions<string>, 'handlers'>> = {},
  port = 0,
): Promise<Smsc> {
  const sessions: ServerSession<string>[] = [];
  let id = 0;
  const listening = await listen((socket) => {
    sessions.push(
      new ServerSession<string>(socket, {
        systemId: 'SMSC',
        ...options,
        handlers: {
          onBind: () => 0,
          onIncoming: (incoming) => incoming.respond(0, `m${++id}`),
          onAnswer: () => {},
          onClosed: () => {},
          ...handlers,
        },
      }),
    );
  }, port);
  return { ...listening, sessions };
}

// peers that are not ours ------------------------------------------------------------------------------------------

export interface RawPdu {
  commandId: number;
  status: number;
  sequence: number;
  hex: string;
}

/** A plain socket, and the PDUs that come on it. */
export interface RawPeer {
  socket: Socket;
  pdus: Happenings<RawPdu>;
}

/** Reads PDUs off a plain socket. */
export function pdusOf(socket: Socket): Happenings<RawPdu> {
  const pdus = new Happenings<RawPdu>();
  const framer = new Framer((buffer, offset, length, commandId, status, sequence) =>
    pdus.push({ commandId, status, sequence, hex: buffer.toString('hex', offset, offset + length) }),
  );
  socket.on('data', (chunk: Buffer) => framer.push(chunk));
  return pdus;
}

export interface RawSmsc extends Listening {
  bound: Happenings<RawPeer & { bind: RawPdu }>;
}

/** An SMSC that takes each bind and then leaves the socket to the test. */
export async function startRawSmsc(fields: PduFields<`${BindCommand}_resp`> = {}, port = 0): Promise<RawSmsc> {
  const bound: RawSmsc['bound'] = new Happenings();
  const listening = await listen(async (socket) => {
    const pdus = pdusOf(socket);
    const bind = await pdus.next();
    const command = `${commandOf(bind.commandId) as BindCommand}_resp` as const;
    socket.write(encodePdu(pduOf(command, { sequence: bind.sequence, systemId: 'RAW', ...fields })));
    bound.push({ socket, pdus, bind });
  }, port);
  return { ...listening, bound };
}

/** A plain socket that has bound to an SMSC of ours. */
export async function connectRawEsme(
  port: number,
  bind: BindCommand = 'bind_transceiver',
  fields: PduFields<BindCommand> = {},
): Promise<RawPeer & { answer: RawPdu }> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  const pdus = pdusOf(socket);
  socket.write(encodePdu(pduOf(bind, { systemId: 'raw', password: 'x', ...fields })));
  return { socket, pdus, answer: await pdus.next() };
}
