/**
 * POST /v1/alerts/batch: a stream of alerts, one JSON object a line (NDJSON), and a stream of answers, one line for each,
 * in their order, each as soon as its alert is durable.
 *
 * | line | answer |
 * |---|---|
 * | an alert, with its `idempotencyKey` | `{"line":3,"status":202,"alert":{…}}`, with `"replayed":true` for a repeat |
 * | anything else | `{"line":4,"status":422,"problem":{…}}`; no other line suffers |
 * | blank | none; it is counted |
 *
 * What ends a stream before its end (the key was revoked, the time is over, the server stops) is said in a last line with
 * `"end":true`: neither that line nor any after it was taken.
 *
 * **Bounds.** So many lines and bytes of one request, and lines of all requests together, may be unanswered; beyond that
 * nothing is read, and TCP slows the client. The same while the client does not read its answers: when it reads none for
 * `idleMs`, or sends none, the stream ends. Memory does not grow with the number of lines, which has no limit.
 */
import { type BatchLimits, type BatchRequest, BatchStream, type BatchTools } from './batch-stream.ts';
import { ProblemError } from './problems.ts';
import { Room } from './room.ts';

export const BATCH_LIMITS: BatchLimits = {
  lineBytesMax: 1_048_576,
  linesMax: 1_000,
  bytesMax: 4_194_304,
  linesMaxOfAll: 2_000,
  streamsMax: 64,
  idleMs: 30_000,
  totalMs: 600_000,
  checkMs: 100,
};

const NDJSON_TYPE = /^application\/(?:x-)?ndjson\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

export class Batches {
  readonly #tools: BatchTools;
  readonly #room: Room;
  #streams = 0;

  constructor(tools: BatchTools) {
    this.#tools = tools;
    this.#room = new Room(tools.limits.linesMaxOfAll);
  }

  /** Resolves when the stream is over, however it ended. @throws ProblemError before the first byte of the answer. */
  async run(request: BatchRequest): Promise<void> {
    const { door, limits } = this.#tools;
    const { head, outgoing, requestId } = request;
    const principal = await door.enter(head);
    if (!NDJSON_TYPE.test(head.header('content-type') ?? '')) {
      throw new ProblemError('unsupported-media-type', {
        detail: 'The body must be application/x-ndjson in UTF-8: one JSON object a line.',
        headers: { connection: 'close', accept: 'application/x-ndjson' },
      });
    }
    if (this.#streams >= limits.streamsMax) {
      throw new ProblemError('overloaded', {
        detail: `There are ${limits.streamsMax} batches already.`,
        retryAfterSeconds: 5,
        headers: { connection: 'close' },
      });
    }
    this.#streams++;
    try {
      request.goOn();
      outgoing.writeHead(200, {
        'content-type': 'application/x-ndjson',
        'cache-control': 'no-store',
        'x-request-id': requestId,
      });
      outgoing.flushHeaders();
      await new BatchStream(request, principal, this.#room, this.#tools).run();
    } finally {
      this.#streams--;
    }
  }
}
