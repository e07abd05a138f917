/**
 * Crash points: instants between Tocsin and the outside that a proxy can name and stop at. Everything that a process
 * does durably or visibly crosses one of three sockets, so the list is read off a run and not kept by hand:
 *
 * - `sql`: each statement to PostgreSQL, before the server has it and after its answer left the server;
 * - `smpp`: each PDU of either direction, before and after its socket write;
 * - `http`: each request and each response.
 */
import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Reached {
  point: string;
  /** The backend that the statement ran on; null at a socket that is not PostgreSQL's. */
  backendPid: number | null;
  /** Which of several servers reached it. */
  unit: number;
}

/**
 * What happens at a point. True: what was about to pass there, and all after it on that connection, never does. `cut`: the
 * same, and the connection ends.
 */
export type Strike = (reached: Reached) => boolean | 'cut';

/** Which points were passed, and the one where something is to happen. */
export class CrashPoints {
  /** Every point passed so far and how often, in the order of the first time. */
  readonly passed = new Map<string, number>();
  /** Backends that the server is connected to. */
  readonly backends = new Set<number>();
  #armed: { point: string; strike: Strike } | null = null;

  /** `strike` is called the next time that `point` is reached, once. */
  arm(point: string, strike: Strike): void {
    this.#armed = { point, strike };
  }

  disarm(): void {
    this.#armed = null;
  }

  /** True when a fault strikes here that lets nothing more pass. */
  reach(point: string, unit: number, cut: () => void, backendPid: number | null = null): boolean {
    this.passed.set(point, (this.passed.get(point) ?? 0) + 1);
    if (this.#armed?.point !== point) return false;
    const { strike } = this.#armed;
    this.#armed = null;
    const struck = strike({ point, backendPid, unit });
    if (struck === 'cut') cut();
    return struck !== false;
  }
}

export interface CrashProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Passes each direction's bytes on, or swallows them from some point on. */
interface Relay {
  up(chunk: Buffer, upstream: Socket): void;
  down(chunk: Buffer, client: Socket): void;
}

async function listen(upstreamOf: () => Socket, relayOf: (cut: () => void) => Relay): Promise<CrashProxy> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = upstreamOf();
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
      // What PostgreSQL says at last (FATAL) must still arrive before the connection ends.
      socket.on('end', () => (socket === client ? upstream : client).end());
    }
    const relay = relayOf(() => {
      client.destroy();
      upstream.destroy();
    });
    client.on('data', (chunk) => relay.up(chunk, upstream));
    upstream.on('data', (chunk) => relay.down(chunk, client));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('the proxy has no port');
  return {
    port: address.port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Cuts a byte stream into frames; `lengthOf` tells a frame's length from its first bytes, or null to wait for more. */
function framer(lengthOf: (bytes: Buffer) => number | null): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const frames: Buffer[] = [];
    for (;;) {
      const length = lengthOf(rest);
      if (length === null || rest.length < length) return frames;
      frames.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  };
}

const CANCEL_REQUEST = 80_877_102;
/** Message types of PostgreSQL's protocol 3.0 that are read here. */
const to = { parse: 0x50, bind: 0x42, execute: 0x45, query: 0x51 } as const;
const from = { keyData: 0x4b, complete: 0x43, empty: 0x49, error: 0x45 } as const;

const cString = (bytes: Buffer, offset: number): string => bytes.toString('utf8', offset, bytes.indexOf(0, offset));

/** A proxy before PostgreSQL (no TLS) whose points are the statements that pass. */
export function sqlProxy(
  points: CrashPoints,
  target: { host: string; port: number },
  unit: number,
): Promise<CrashProxy> {
  const upstream = (): Socket =>
    target.host.startsWith('/') ? connect(`${target.host}/.s.PGSQL.${target.port}`) : connect(target.port, target.host);
  return listen(upstream, (cut) => {
    let started = false;
    let application = '';
    let pid: number | null = null;
    let last = '';
    let bound = '';
    let held = false;
    const prepared = new Map<string, string>();
    /** Statements sent whose answers have not come. */
    const open: string[] = [];
    const typed = (bytes: Buffer) => (bytes.length < 5 ? null : 1 + bytes.readUInt32BE(1));
    const requests = framer((bytes) => {
      if (started) return typed(bytes);
      return bytes.length < 4 ? null : bytes.readUInt32BE(0);
    });
    const answers = framer(typed);
    const name = (text: string): string => {
      const label = statementLabel(text);
      // A COMMIT is told apart by what it commits.
      const whole = label === 'commit' || label === 'rollback' ? `${label} after ${last}` : label;
      if (label !== 'begin' && label !== 'commit' && label !== 'rollback') last = label;
      return `sql ${application}: ${whole}`;
    };
    return {
      up(chunk, socket) {
        for (const frame of requests(chunk)) {
          if (held) return;
          if (!started) {
            // The startup packet alone has no type; nothing follows it before the server has answered.
            started = frame.readUInt32BE(4) !== CANCEL_REQUEST;
            const fields = frame.toString('utf8', 8).split('\0');
            application = (fields[fields.indexOf('application_name') + 1] ?? '').replace(/^tocsin /, '');
          } else if (frame[0] === to.parse) {
            const statement = cString(frame, 5);
            prepared.set(statement, cString(frame, 5 + Buffer.byteLength(statement) + 1));
          } else if (frame[0] === to.bind) {
            const portal = cString(frame, 5);
            bound = prepared.get(cString(frame, 5 + Buffer.byteLength(portal) + 1)) ?? '';
          } else if (frame[0] === to.execute || frame[0] === to.query) {
            const point = name(frame[0] === to.query ? cString(frame, 5) : bound);
            if (points.reach(`${point} — before`, unit, cut, pid)) {
              held = true;
              return;
            }
            open.push(point);
          }
          socket.write(frame);
        }
      },
      down(chunk, socket) {
        for (const frame of answers(chunk)) {
          if (frame[0] === from.keyData) {
            const backend = frame.readUInt32BE(5);
            pid = backend;
            points.backends.add(backend);
            socket.once('close', () => points.backends.delete(backend));
          }
          const done = frame[0] === from.complete || frame[0] === from.empty;
          if (done && !held) {
            const point = open.shift();
            if (point !== undefined && points.reach(`${point} — after`, unit, cut, pid)) held = true;
          }
          if (frame[0] === from.error) open.shift();
          // Once held, only the end of the session passes.
          if (!held || frame[0] === from.error) socket.write(frame);
        }
      },
    };
  });
}

/** `insert submission ·3fa2`: the verb, the table, and a mark that tells statements of one table apart. */
export function statementLabel(text: string): string {
  const plain = text
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase()
    // Batches differ in the number of their rows.
    .replace(/(\$\d+(::[a-z0-9[\] ]+)?(, ?)?)+/g, '$')
    .replace(/(\(\$\)(, ?)?)+/g, '($)')
    .replace(/'(?:[^']|'')*'/g, "'…'")
    .replace(/\b\d+\b/g, '#');
  const verb = plain.split(/[ ;]/, 1)[0] ?? '';
  if (['begin', 'commit', 'rollback'].includes(verb)) return verb;
  const target =
    /\b(?:insert into|(?<!for )update|delete from) ((?:only )?[\w".]+)/.exec(plain) ??
    /\bfrom ([\w".]+)/.exec(plain) ??
    /^select ([\w".]+)/.exec(plain);
  const does = /\b(insert(?= into)|(?<!for )update|delete(?= from))\b/.exec(plain)?.[1] ?? verb;
  const mark = createHash('sha1').update(plain).digest('hex').slice(0, 4);
  return `${does} ${(target?.[1] ?? '').replace(/pgboss\.(?:j[0-9a-f]{20,}|job_common)/, 'pgboss.job')} ·${mark}`;
}

const pduNames: Readonly<Record<number, string>> = {
  1: 'bind_receiver',
  2: 'bind_transmitter',
  4: 'submit_sm',
  5: 'deliver_sm',
  6: 'unbind',
  9: 'bind_transceiver',
  21: 'enquire_link',
};
const pduName = (frame: Buffer): string => {
  const id = frame.readUInt32BE(4);
  return `${pduNames[id & 0xff] ?? id.toString(16)}${id >= 0x8000_0000 ? '_resp' : ''}`;
};

/** A proxy before an SMSC whose points are the PDUs that pass. */
export function smppProxy(points: CrashPoints, target: { port: number }, unit: number): Promise<CrashProxy> {
  return listen(
    () => connect(target.port, '127.0.0.1'),
    (cut) => {
      let held = false;
      const pass = (by: string) => {
        const frames = framer((bytes) => (bytes.length < 16 ? null : bytes.readUInt32BE(0)));
        return (chunk: Buffer, socket: Socket): void => {
          for (const frame of frames(chunk)) {
            if (held) return;
            const point = `smpp ${by} ${pduName(frame)}`;
            if (points.reach(`${point} — before`, unit, cut)) {
              held = true;
              return;
            }
            socket.write(frame);
            if (points.reach(`${point} — after`, unit, cut)) held = true;
          }
        };
      };
      return { up: pass('ESME'), down: pass('SMSC') };
    },
  );
}

/** A proxy before the HTTP server whose points are the requests and the responses. */
export function httpProxy(points: CrashPoints, target: () => { port: number }, unit: number): Promise<CrashProxy> {
  return listen(
    () => connect(target().port, '127.0.0.1'),
    (cut) => {
      let held = false;
      const pass = (what: string) => (chunk: Buffer, socket: Socket) => {
        if (held || points.reach(`http ${what} — before`, unit, cut)) {
          held = true;
          return;
        }
        socket.write(chunk);
        if (points.reach(`http ${what} — after`, unit, cut)) held = true;
      };
      return { up: pass('request'), down: pass('response') };
    },
  );
}
