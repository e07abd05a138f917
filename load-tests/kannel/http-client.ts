/**
 * The cheapest HTTP client that is fair: keep-alive connections, one request at a time on each, the next one leaves when
 * the answer has been read. Both sides of a comparison are loaded by it, so that what it costs is the same for both.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Barrage {
  host: string;
  port: number;
  connections: number;
  requests: number;
  /** The whole request, head and body; called once for each, in order. */
  requestOf(index: number): string;
  /** Ends it with an error when it is not over by then. */
  withinMs: number;
}

export interface Answers {
  /** How many answers had each status. */
  byStatus: Map<number, number>;
  /** From the first request to the last answer; the connections were open before. */
  seconds: number;
}

/** @throws Error when a connection ends early, an answer can't be read, or time is up. */
export async function barrage(options: Barrage): Promise<Answers> {
  const byStatus = new Map<number, number>();
  const sockets: Socket[] = [];
  let next = 0;
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {});
  const timer = setTimeout(
    () => reject(new Error(`HTTP requests were not answered within ${options.withinMs} ms`)),
    options.withinMs,
  );
  try {
    const { host, port, connections, requests } = options;
    // One after the other, and before the clock runs: Kannel's backlog is short, and a SYN that is dropped costs a second.
    for (let n = 0; n < Math.min(connections, requests); n++) {
      const socket = connect(port, host);
      sockets.push(socket);
      socket.setNoDelay(true);
      await Promise.race([once(socket, 'connect'), failed]);
    }
    const from = performance.now();
    const ends = sockets.map(async (socket) => {
      const { promise: done, resolve, reject: fail } = Promise.withResolvers<void>();
      const send = (): void => {
        if (next === requests) resolve();
        else socket.write(options.requestOf(next++));
      };
      const reader = new AnswerReader((status) => {
        byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
        send();
      });
      socket.setEncoding('latin1').on('data', (text: string) => {
        try {
          reader.read(text);
        } catch (error) {
          fail(error);
        }
      });
      socket.on('error', fail).on('close', () => fail(new Error('the server closed a connection')));
      send();
      await done;
    });
    await Promise.race([Promise.all(ends), failed]);
    return { byStatus, seconds: (performance.now() - from) / 1_000 };
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
  }
}

/** Finds where each answer ends; bodies are not looked at. */
export class AnswerReader {
  readonly #onAnswer: (status: number) => void;
  #text = '';

  constructor(onAnswer: (status: number) => void) {
    this.#onAnswer = onAnswer;
  }

  /** @throws Error at what is no HTTP/1.1 answer with a length. */
  read(text: string): void {
    this.#text += text;
    for (let end = this.#end(); end > 0; end = this.#end()) {
      const status = Number(this.#text.slice(9, 12));
      this.#text = this.#text.slice(end);
      this.#onAnswer(status);
    }
  }

  /** Where the first answer ends; 0 when it is not all here. */
  #end(): number {
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return 0;
    const fields = this.#text.slice(0, head).toLowerCase();
    if (!fields.startsWith('http/1.')) throw new Error(`no HTTP answer: ${this.#text.slice(0, 40)}`);
    const body = head + 4;
    const length = /\ncontent-length: *(\d+)/.exec(fields)?.[1];
    if (length !== undefined) return this.#text.length >= body + Number(length) ? body + Number(length) : 0;
    if (!/\ntransfer-encoding: *chunked/.test(fields)) throw new Error('an answer without a length');
    const last = this.#text.indexOf('0\r\n\r\n', body);
    return last < 0 ? 0 : last + 5;
  }
}
