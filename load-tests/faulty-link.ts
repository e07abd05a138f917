/**
 * The way of one server to PostgreSQL, on which faults strike on demand: a COMMIT whose answer is lost, a server frozen in
 * the middle of a transaction, a link that is open and dead, a NOTIFY that never comes. It counts each that came true.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ConnectionTarget } from '../src/platform/index.ts';

/** PostgreSQL's simple query message: 'Q', length, text, NUL. */
const COMMIT = Buffer.from('Q\0\0\0\u000bcommit\0', 'latin1');
const NOTIFICATION = 0x41;

export class FaultyLink {
  readonly fired = { lostAnswer: 0, heldCommit: 0, halfOpen: 0, lostNotify: 0 };
  readonly #server: Server;
  readonly #target: ConnectionTarget;
  readonly #pairs = new Set<{ client: Socket; backend: Socket }>();
  #port = 0;
  /** The next COMMIT of a session of this pool loses its answer, or strikes. */
  #commit: { pool: string; how: 'lose-answer' | (() => void) } | null = null;
  #notifiesLostUntil = 0;
  #dead = false;

  private constructor(target: ConnectionTarget) {
    this.#target = target;
    this.#server = createServer((client) => this.#onClient(client));
  }

  static async open(target: ConnectionTarget): Promise<FaultyLink> {
    const link = new FaultyLink(target);
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve));
    const address = link.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('the link has no port');
    link.#port = address.port;
    return link;
  }

  /** The same database, by this link. */
  get target(): ConnectionTarget {
    return { ...this.#target, hosts: [{ host: '127.0.0.1', port: this.#port }] };
  }

  /** The next COMMIT of a pool is carried out, and the session ends before its answer. */
  loseAnswer(pool: string): void {
    this.#commit = { pool, how: 'lose-answer' };
  }

  /** Calls back when a COMMIT of a pool is about to leave; it stays here, its transaction open. */
  onCommit(pool: string, strike: () => void): void {
    this.#commit = { pool, how: strike };
  }

  disarm(): void {
    this.#commit = null;
  }

  loseNotifies(forMs: number): void {
    this.#notifiesLostUntil = performance.now() + forMs;
  }

  /** Nothing passes any more, and nobody is told; after `forMs` the connections end, and new ones pass. */
  async halfOpen(forMs: number): Promise<void> {
    if (this.#pairs.size > 0) this.fired.halfOpen++;
    this.#dead = true;
    const pairs = [...this.#pairs];
    for (const { client, backend } of pairs) for (const socket of [client, backend]) socket.pause();
    await new Promise((resolve) => setTimeout(resolve, forMs));
    this.#dead = false;
    for (const { client, backend } of [...this.#pairs]) for (const socket of [client, backend]) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const { client, backend } of this.#pairs) for (const socket of [client, backend]) socket.destroy();
  }

  #onClient(client: Socket): void {
    const [{ host, port }] = this.#target.hosts;
    const backend = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    const pair = { client, backend };
    this.#pairs.add(pair);
    let losing = false;
    let application = '';
    for (const socket of [client, backend]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('end', () => (socket === client ? backend : client).end());
      socket.on('close', () => {
        this.#pairs.delete(pair);
        client.destroy();
        backend.destroy();
      });
      if (this.#dead) socket.pause();
    }
    client.on('data', (chunk: Buffer) => {
      if (application === '') application = applicationOf(chunk);
      const armed = this.#commit;
      if (armed !== null && application.endsWith(` ${armed.pool}`) && chunk.includes(COMMIT)) {
        this.#commit = null;
        if (armed.how === 'lose-answer') losing = true;
        else {
          this.fired.heldCommit++;
          armed.how();
          // It never arrives: whoever sent it stands still, and its transaction with it.
          return;
        }
      }
      backend.write(chunk);
    });
    const frames = frameReader();
    backend.on('data', (chunk: Buffer) => {
      if (losing) {
        this.fired.lostAnswer++;
        client.destroy();
        return;
      }
      if (!application.endsWith(' listen')) {
        client.write(chunk);
        return;
      }
      for (const frame of frames(chunk)) {
        if (frame[0] === NOTIFICATION && performance.now() < this.#notifiesLostUntil) this.fired.lostNotify++;
        else client.write(frame);
      }
    });
  }
}

/** From the startup packet: `application_name\0tocsin journal\0`. */
function applicationOf(startup: Buffer): string {
  const fields = startup.toString('utf8', 8).split('\0');
  return fields[fields.indexOf('application_name') + 1] ?? '';
}

/** Cuts what a server says into its messages. The first octet may be a single one, in answer to a wish for encryption. */
function frameReader(): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const frames: Buffer[] = [];
    while (rest.length >= 5 && rest.length >= 1 + rest.readUInt32BE(1)) {
      const length = 1 + rest.readUInt32BE(1);
      frames.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    return frames;
  };
}
