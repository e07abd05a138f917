/**
 * A bank's core system as a process of its own: many keep-alive connections, one request at a time on each, and streams of
 * NDJSON. Bare sockets and prepared bytes, for it shares the cores with what it measures: it reads of an answer what it
 * must, its status, its length and the alert's id.
 *
 * Speaks over IPC: gets one {@link ClientJob} after another, answers each with a {@link ClientResult}.
 */
import { connect, type Socket } from 'node:net';

export interface ClientJob {
  readonly kind: 'single' | 'batch';
  readonly port: number;
  readonly key: string;
  /** Number of the first alert; its recipient, text and idempotency key follow from it. */
  readonly first: number;
  readonly count: number;
  readonly connections: number;
  /** Alerts a second, evenly; null: each connection sends as soon as it was answered. Only for `single`. */
  readonly perSecond: number | null;
}

export interface ClientResult {
  /** Ids of the alerts that were answered 202, in the order of the answers. */
  readonly ids: readonly string[];
  /** Other answers: status → how many. */
  readonly refused: Readonly<Record<number, number>>;
  readonly seconds: number;
  /** Processor time of this process, µs. */
  readonly cpuUs: number;
  /** From when an alert was due to be sent to its 202; sorted, ms. */
  readonly acceptMs: readonly number[];
}

const HOST = '127.0.0.1';

/** One movement on an account: no two have the same number, text or key. */
export function alertJson(n: number, idempotencyKey?: string): string {
  const amount = (((n * 7_919) % 90_000) / 100 + 1).toFixed(2);
  const own = idempotencyKey === undefined ? '' : `"idempotencyKey":"${idempotencyKey}",`;
  return (
    `{${own}"lane":"transaction","reference":"txn-${n}","content":{"text":"Your card ending ${1_000 + (n % 9_000)} was ` +
    `charged ${amount} EUR at shop ${n}. Not you? Call us."},"target":{"recipients":[{"msisdn":"+4477${String(n).padStart(8, '0')}"}]}}`
  );
}

async function run(job: ClientJob): Promise<ClientResult> {
  return job.kind === 'single' ? await runSingles(job) : await runBatches(job);
}

class Tally {
  readonly ids: string[] = [];
  readonly refused: Record<number, number> = {};
  readonly acceptMs: number[] = [];
  readonly #cpu = process.cpuUsage();

  add(status: number, text: string, since: number): void {
    if (status !== 202) {
      this.refused[status] = (this.refused[status] ?? 0) + 1;
      return;
    }
    this.acceptMs.push(performance.now() - since);
    const at = text.indexOf('"id":"') + 6;
    this.ids.push(text.slice(at, at + 36));
  }

  result(from: number): ClientResult {
    const { ids, refused, acceptMs } = this;
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      ids,
      refused,
      cpuUs: user + system,
      seconds: (performance.now() - from) / 1_000,
      acceptMs: acceptMs.sort((a, b) => a - b),
    };
  }
}

/** One connection: a request, its answer, the next. */
class Connection {
  readonly socket: Socket;
  since = 0;
  #heard = '';
  #onAnswer: (connection: Connection, status: number, text: string) => void;

  constructor(port: number, onAnswer: (connection: Connection, status: number, text: string) => void) {
    this.#onAnswer = onAnswer;
    this.socket = connect({ host: HOST, port, noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => this.#hear(text));
  }

  send(key: string, n: number, since: number): void {
    const body = alertJson(n);
    this.since = since;
    this.socket.write(
      `POST /v1/alerts HTTP/1.1\r\nHost: ${HOST}\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n` +
        `Idempotency-Key: load-${n}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      'latin1',
    );
  }

  #hear(text: string): void {
    this.#heard = this.#heard === '' ? text : this.#heard + text;
    const end = this.#heard.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#heard)?.[1] ?? 0);
    if (this.#heard.length < end + 4 + length) return;
    const answer = this.#heard;
    this.#heard = '';
    this.#onAnswer(this, Number(answer.slice(9, 12)), answer.slice(end + 4));
  }
}

async function runSingles(job: ClientJob): Promise<ClientResult> {
  const { first, count, key, port } = job;
  const tally = new Tally();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let answered = 0;
  let next = 0;
  const idle: Connection[] = [];
  let from = performance.now();
  const dueAt = (n: number): number =>
    job.perSecond === null ? performance.now() : from + (n / job.perSecond) * 1_000;
  const sendNext = (connection: Connection): void => {
    const due = next < count ? dueAt(next) : Number.POSITIVE_INFINITY;
    if (due > performance.now()) {
      idle.push(connection);
      return;
    }
    connection.send(key, first + next, due);
    next++;
  };
  const onAnswer = (connection: Connection, status: number, text: string): void => {
    tally.add(status, text, connection.since);
    answered++;
    if (answered === count) resolve();
    else sendNext(connection);
  };
  const connections = await Promise.all(
    Array.from({ length: Math.min(job.connections, count) }, async () => {
      const connection = new Connection(port, onAnswer);
      await new Promise<void>((up, down) => connection.socket.once('connect', up).once('error', down));
      connection.socket.on('close', () => reject(new Error('the server closed a connection')));
      return connection;
    }),
  );
  from = performance.now();
  idle.push(...connections);
  // What is due goes to a connection that is free; what finds none counts from when it was due.
  const tick = (): void => {
    for (let free = idle.pop(); free !== undefined; free = idle.pop()) {
      const before = idle.length;
      sendNext(free);
      if (idle.length > before) return;
    }
  };
  tick();
  const timer = job.perSecond === null ? undefined : setInterval(tick, 1);
  try {
    await promise;
    return tally.result(from);
  } finally {
    clearInterval(timer);
    for (const { socket } of connections) socket.removeAllListeners('close').destroy();
  }
}

/** Lines written at once. */
const PIECE = 200;

async function runBatches(job: ClientJob): Promise<ClientResult> {
  const tally = new Tally();
  const from = performance.now();
  const share = Math.ceil(job.count / job.connections);
  const streams = Array.from({ length: job.connections }, (_, index) => {
    const first = job.first + index * share;
    return runBatch(job, first, Math.min(share, job.first + job.count - first), tally);
  });
  await Promise.all(streams);
  return tally.result(from);
}

async function runBatch({ port, key }: ClientJob, first: number, count: number, tally: Tally): Promise<void> {
  const socket = connect({ host: HOST, port, noDelay: true });
  socket.setEncoding('latin1');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const from = performance.now();
  let answered = 0;
  let rest = '';
  let inBody = false;
  socket.on('data', (piece: string) => {
    // The lines of chunked coding stand between those of the answer and begin with no brace.
    rest += piece;
    if (!inBody) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!rest.startsWith('HTTP/1.1 200')) return reject(new Error(`the batch was answered ${rest.slice(9, 12)}`));
      rest = rest.slice(end + 4);
      inBody = true;
    }
    const text = rest;
    let at = 0;
    for (;;) {
      const start = text.indexOf('{"line":', at);
      if (start < 0) break;
      const end = text.indexOf('}\n', start);
      if (end < 0) break;
      const line = text.slice(start, end + 1).replace(/\r\n[0-9a-f]+\r\n/g, '');
      tally.add(Number(/"status":(\d+)/.exec(line)?.[1] ?? 0), line, from);
      answered++;
      at = end + 2;
    }
    rest = text.slice(at);
    if (answered === count) resolve();
  });
  socket.on('close', () => reject(new Error(`a batch ended after ${answered} of ${count} answers`)));
  socket.on('error', reject);
  socket.write(
    `POST /v1/alerts/batch HTTP/1.1\r\nHost: ${HOST}\r\nAuthorization: Bearer ${key}\r\n` +
      'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  for (let at = 0; at < count; at += PIECE) {
    let piece = '';
    for (let n = at; n < Math.min(at + PIECE, count); n++) piece += `${alertJson(first + n, `load-${first + n}`)}\n`;
    const written = socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`, 'latin1');
    if (!written) await Promise.race([new Promise((drained) => socket.once('drain', drained)), promise]);
  }
  socket.write('0\r\n\r\n');
  try {
    await promise;
  } finally {
    socket.removeAllListeners('close').destroy();
  }
}

if (process.send !== undefined) {
  process.on('message', (job: ClientJob) => {
    run(job).then(
      (result) => process.send?.(result),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit());
}
