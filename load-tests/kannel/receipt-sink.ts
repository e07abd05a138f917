/** Where Kannel tells of receipts: `GET /r?i=<number of the message>&s=<state>`, answered at once. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface ReceiptSink {
  readonly port: number;
  /** Messages that were told to be delivered, each counted once. */
  readonly delivered: number;
  /** Told again, told otherwise, or not to be read. */
  readonly odd: number;
  /** Forgets all, before messages are counted from 0 again. */
  reset(messages: number): void;
  /** Resolves when every message was told of. @throws Error when that is not so by then. */
  all(withinMs: number): Promise<void>;
  close(): Promise<void>;
}

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n';
/** Kannel's `%d`: 1 is delivered. */
const DELIVERED = '1';

export async function startReceiptSink(): Promise<ReceiptSink> {
  let seen = new Uint8Array(0);
  let delivered = 0;
  let odd = 0;
  let whole = Promise.withResolvers<void>();
  const told = (index: number, state: string): void => {
    if (state !== DELIVERED || seen[index] !== 0) odd++;
    else {
      seen[index] = 1;
      if (++delivered === seen.length) whole.resolve();
    }
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.setNoDelay(true);
    socket.setEncoding('latin1').on('data', (more: string) => {
      text += more;
      let answers = '';
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const found = /^GET \/r\?i=\S*?(\d{1,8})&s=(\d+) /.exec(text);
        if (found === null) odd++;
        else told(Number(found[1]), found[2] as string);
        text = text.slice(end + 4);
        answers += ANSWER;
      }
      if (answers !== '') socket.write(answers);
    });
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get delivered() {
      return delivered;
    },
    get odd() {
      return odd;
    },
    reset: (messages) => {
      seen = new Uint8Array(messages);
      delivered = 0;
      odd = 0;
      whole = Promise.withResolvers<void>();
    },
    all: async (withinMs) => {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => reject(new Error(`${delivered} of ${seen.length} receipts were told within ${withinMs} ms`)),
        withinMs,
      );
      await Promise.race([whole.promise, late]).finally(() => clearTimeout(timer));
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
