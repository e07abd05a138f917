/** The listening socket: limits on connections, headers and time, and an end that lets requests finish. */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { App } from './app.ts';
import { PROBLEM_TYPES, type ProblemCode, problemDocument } from './problems.ts';

export interface ServerOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host?: string;
  readonly limits?: Partial<ServerLimits>;
}

export interface ServerLimits {
  /** Connections at once; more are closed at once. */
  readonly connectionsMax: number;
  readonly headersTimeoutMs: number;
  /** For a whole request, an upload of a million rows included. Shorter waits are bounded where bodies are read. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly headerBytesMax: number;
  /** How often expired requests are looked for. */
  readonly checkIntervalMs: number;
}

export const SERVER_LIMITS: ServerLimits = {
  connectionsMax: 4_096,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 900_000,
  keepAliveTimeoutMs: 65_000,
  headerBytesMax: 16_384,
  checkIntervalMs: 5_000,
};

export interface RunningServer {
  readonly port: number;
  /** Takes no more connections, lets requests under way finish for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

/** @throws the socket's error (code EADDRINUSE, EACCES …) when it can't listen. */
export async function startServer(app: Pick<App, 'fetch' | 'direct'>, options: ServerOptions): Promise<RunningServer> {
  const limits = { ...SERVER_LIMITS, ...options.limits };
  let closing = false;
  const answer = getRequestListener(app.fetch, { errorHandler: malformed });
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      noDelay: true,
    },
    (incoming: IncomingMessage, outgoing: ServerResponse) => {
      if (closing) outgoing.shouldKeepAlive = false;
      if (!app.direct(incoming, outgoing)) void answer(incoming, outgoing);
    },
  );
  // So that a request is refused by its head before the client sends a body.
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (closing) outgoing.shouldKeepAlive = false;
    if (app.direct(incoming, outgoing)) return;
    outgoing.writeContinue();
    void answer(incoming, outgoing);
  });
  server.maxConnections = limits.connectionsMax;
  server.on('clientError', refuse);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (graceMs) => {
      closing = true;
      return closeServer(server, graceMs);
    },
  };
}

async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection that becomes idle after the call is closed by nobody else.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(cut);
}

/** What never became a request that the app could see: a Host header or a target that is no URL. */
function malformed(): Response {
  const { body, status, headers } = plain('malformed-request');
  return new Response(body, { status, headers });
}

/** What isn't HTTP at all, or broke a limit while it was parsed. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const { body, status, headers } = plain(codeOf(error.code));
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`, () => socket.destroy());
}

function codeOf(code: string | undefined): ProblemCode {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 'headers-too-large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'request-timeout';
    default:
      return 'malformed-request';
  }
}

function plain(code: ProblemCode) {
  const body = JSON.stringify(problemDocument(code, {}, undefined));
  return {
    body,
    status: PROBLEM_TYPES[code].status,
    headers: {
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(body)),
      connection: 'close',
    },
  };
}
