import { connect, createServer, type Socket } from 'node:net';
import { afterAll } from 'vitest';
import type { ConnectionTarget } from '../../src/platform/target.ts';

/**
 * What happens to the next COMMIT that passes.
 *
 * - `lose-answer`: it is carried out, the answer never comes.
 * - `lose-commit`: it never reaches the server; the session ends.
 * - `none`: nothing.
 * - `delay`: the session ends for the client at once; the server gets the COMMIT `delayMs` later.
 */
export type CommitFault =
  | { kind: 'lose-answer' }
  | { kind: 'lose-commit' }
  | { kind: 'none' }
  | { kind: 'delay'; delayMs: number };

export interface CommitProxy {
  /** The same database, through the proxy. */
  target: ConnectionTarget;
  /** Faults for the next COMMITs, the first first. */
  faults: CommitFault[];
  /** Faults that came true: prove by it that the test tested something. */
  readonly fired: number;
  /** True: no new connection gets through. */
  refuse: boolean;
}

// PostgreSQL's simple query message: 'Q', length, text, NUL.
const commit = Buffer.from('Q\0\0\0\u000bcommit\0', 'latin1');

/** A proxy before PostgreSQL that loses the answers to COMMITs on demand. Closed after the last test of the file. */
export async function commitProxy(target: ConnectionTarget): Promise<CommitProxy> {
  const [{ host, port }] = target.hosts;
  const sockets = new Set<Socket>();
  let fired = 0;
  const server = createServer((client) => {
    if (proxy.refuse) {
      client.destroy();
      return;
    }
    const backend = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
    }
    const endBoth = (): void => {
      client.destroy();
      backend.destroy();
    };
    let onAnswer = (chunk: Buffer): void => void client.write(chunk);
    let lingering = false;
    client.on('data', (chunk) => {
      const fault = chunk.includes(commit) ? proxy.faults.shift() : undefined;
      if (fault === undefined || fault.kind === 'none') {
        backend.write(chunk);
        return;
      }
      fired++;
      if (fault.kind === 'lose-commit') {
        endBoth();
      } else if (fault.kind === 'lose-answer') {
        onAnswer = endBoth;
        backend.write(chunk);
      } else {
        lingering = true;
        onAnswer = endBoth;
        client.destroy();
        setTimeout(() => backend.write(chunk), fault.delayMs);
      }
    });
    backend.on('data', (chunk) => onAnswer(chunk));
    client.on('close', () => {
      if (!lingering) backend.destroy();
    });
    backend.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('the proxy has no port');
  afterAll(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const proxy = {
    target: { ...target, hosts: [{ host: '127.0.0.1', port: address.port }] } satisfies ConnectionTarget,
    faults: [] as CommitFault[],
    refuse: false,
    get fired() {
      return fired;
    },
  };
  return proxy;
}
