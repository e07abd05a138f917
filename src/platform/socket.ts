import { EventEmitter } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { ConnectionTarget, Host } from './target.ts';

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * The socket that one `postgres` instance gets, for the whole of its one connection.
 *
 * postgres.js reconnects by itself, forgets what it was doing, and writes to a null socket when a backend dies at the
 * wrong moment (porsager/postgres #1155, #1186, #1189). So it is never told that its socket closed: it gets an error,
 * which rejects what is in flight, and what it writes afterwards goes nowhere. Whoever owns the instance hears of the
 * end through `onEnd` and throws the instance away.
 */
export class SingleUseSocket extends EventEmitter {
  readonly #socket: net.Socket;
  readonly #onEnd: (error: Error & { code?: string }) => void;
  #ended = false;
  #gathering = false;

  constructor(socket: net.Socket, onEnd: (error: Error & { code?: string }) => void) {
    super();
    this.#socket = socket;
    this.#onEnd = onEnd;
    socket.on('data', (chunk) => {
      if (!this.#ended) this.emit('data', chunk);
    });
    socket.on('drain', () => this.emit('drain'));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(Object.assign(new Error('the connection closed'), { code: '08006' })));
  }

  get readyState(): string {
    return this.#ended ? 'closed' : this.#socket.readyState;
  }

  /**
   * What is written in one turn goes out in one piece: statements that wait for nothing would each be a write of their own
   * otherwise, and each wakes the backend.
   */
  write(chunk: Buffer, done?: () => void): boolean {
    if (this.#ended) return true;
    if (!this.#gathering) {
      this.#gathering = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#gathering = false;
        this.#socket.uncork();
      });
    }
    return this.#socket.write(chunk, done);
  }

  /** postgres.js says goodbye: nothing is in flight any more. */
  end(chunk: Buffer): void {
    if (!this.#ended) this.#socket.end(chunk);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#end(Object.assign(new Error('the connection was given up'), { code: '08006' }));
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #end(error: Error & { code?: string }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(error);
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }
}

/**
 * Opens a plain or encrypted socket to one host within `timeoutMs`: Nagle's algorithm off (postgres.js leaves it on, and
 * a COPY of 500 rows then takes 88 ms instead of 12), keep-alive after 10 s of silence.
 */
export function connectSocket(host: Host, target: ConnectionTarget, timeoutMs: number): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>();
  const local = host.host.startsWith('/');
  const plain = local
    ? net.connect({ path: `${host.host}/.s.PGSQL.${host.port}` })
    : net.connect({ host: host.host, port: host.port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 });
  let current = plain;
  const fail = (error: Error): void => {
    clearTimeout(timer);
    current.destroy();
    plain.destroy();
    reject(error);
  };
  const closed = (): void => fail(Object.assign(new Error('the connection closed'), { code: '08001' }));
  const timer = setTimeout(() => fail(Object.assign(new Error('no connection in time'), { code: '08001' })), timeoutMs);
  const done = (): void => {
    clearTimeout(timer);
    current.removeListener('error', fail);
    current.removeListener('close', closed);
    resolve(current);
  };
  plain.on('error', fail);
  plain.on('close', closed);
  plain.once('connect', () => {
    if (local || target.ssl === 'disable') return done();
    plain.write(sslRequest);
    plain.once('data', (answer) => {
      if (answer.length !== 1 || answer[0] !== 83 /* S */) {
        return fail(Object.assign(new Error('the server offers no encryption'), { code: '08001' }));
      }
      plain.removeListener('error', fail);
      plain.removeListener('close', closed);
      const options: tls.ConnectionOptions = { socket: plain, rejectUnauthorized: target.ssl === 'verify-full' };
      if (net.isIP(host.host) === 0) options.servername = host.host;
      else options.host = host.host;
      if (target.sslRootCertificates !== undefined) options.ca = target.sslRootCertificates;
      const encrypted = tls.connect(options);
      current = encrypted;
      encrypted.on('error', fail);
      encrypted.on('close', closed);
      encrypted.once('secureConnect', done);
    });
  });
  return promise;
}
