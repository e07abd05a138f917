/** One batch: its lines in, its answers out. The rules are told in batch.ts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access/index.ts';
import { LANES } from '../policy/index.ts';
import { type AlertDoor, checkedKey, parseAlert, type RequestHead } from './alert-door.ts';
import { tokenOf } from './auth.ts';
import { problemOf } from './faults.ts';
import { type Line, Lines } from './lines.ts';
import { PROBLEM_TYPES, type ProblemCode, ProblemError, problemDocument } from './problems.ts';
import type { Room } from './room.ts';
import { showAccepted } from './schemas/alert.ts';
import type { Services } from './services.ts';

export interface BatchLimits {
  /** Bytes of a line. */
  readonly lineBytesMax: number;
  /** Unanswered lines of one request. */
  readonly linesMax: number;
  /** Their bytes: one more line may be over it. */
  readonly bytesMax: number;
  /** Unanswered lines of all requests: less than what makes intake shed its least urgent lane. */
  readonly linesMaxOfAll: number;
  readonly streamsMax: number;
  /** Longest wait for the client: for its next bytes, or until it reads. */
  readonly idleMs: number;
  readonly totalMs: number;
  /** How often the key, the time and the client are looked at. */
  readonly checkMs: number;
}

export interface BatchRequest {
  readonly head: RequestHead;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly requestId: string;
  /** Tells a client that waits for it to send its body. */
  readonly goOn: () => void;
}

export interface BatchTools {
  readonly door: AlertDoor;
  readonly keys: Services['keys'];
  readonly limits: BatchLimits;
  readonly draining: () => boolean;
  /** What became of each line: the problem, or null. */
  readonly onLine: (problem: ProblemCode | null) => void;
  readonly onFault: (error: Error, requestId: string) => void;
}

/** The place of a line's answer among the others. */
interface Slot {
  /** Null until it is known. */
  text: string | null;
  readonly bytes: number;
}

/** For how long a stream that ended early is still read, so that its last line arrives before the connection closes. */
const LINGER_MS = 1_000;

export class BatchStream {
  readonly #request: BatchRequest;
  readonly #tools: BatchTools;
  readonly #room: Room;
  readonly #principal: Principal;
  readonly #token: string;
  /** The most urgent lane that the key may use, 0 for emergency. */
  readonly #rank: number;
  readonly #lines: Lines;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  /** Lines that are not answered yet, in order. */
  readonly #slots: Slot[] = [];
  #bytes = 0;
  #flushing = false;
  /** Resolved, and made anew, whenever something that a reader waits for may have changed. */
  #changed = Promise.withResolvers<void>();
  /** Why nothing more is taken. */
  #stopped: ProblemError | null = null;
  /** The client has gone, or was given up. */
  #gone = false;
  #checkedAt = performance.now();
  /** Since when the client has not read what it was told; null while it does. */
  #stalledSince: number | null = null;

  constructor(request: BatchRequest, principal: Principal, room: Room, tools: BatchTools) {
    this.#request = request;
    this.#principal = principal;
    this.#room = room;
    this.#tools = tools;
    this.#token = tokenOf(request.head.header('authorization')) ?? '';
    this.#rank = LANES.findIndex((lane) => principal.lanes.has(lane));
    this.#lines = new Lines(tools.limits.lineBytesMax);
  }

  async run(): Promise<void> {
    const { incoming, outgoing } = this.#request;
    const { checkMs, totalMs } = this.#tools.limits;
    const until = performance.now() + totalMs;
    const onClose = (): void => this.#giveUp();
    outgoing.on('close', onClose);
    outgoing.on('drain', () => {
      this.#stalledSince = null;
      this.#wake();
    });
    const timer = setInterval(() => void this.#look(until), checkMs);
    let early: ProblemError | null = null;
    try {
      await this.#read();
      early = this.#stopped;
      if (early !== null) this.#end(early);
      while (this.#slots.length > 0 && !this.#gone) await this.#change();
    } finally {
      clearInterval(timer);
    }
    if (this.#gone) return;
    // An answer that has ended closes too; its connection stays for the next request.
    outgoing.off('close', onClose).end();
    if (early !== null) {
      // What still comes is thrown away: a connection closed on unread bytes may take the last line with it.
      incoming
        .removeAllListeners('readable')
        .on('error', () => undefined)
        .resume();
      setTimeout(() => incoming.socket.destroy(), LINGER_MS).unref();
    }
  }

  /** Until the body has ended, or nothing more is to be taken. */
  async #read(): Promise<void> {
    const { incoming } = this.#request;
    const pieces = (incoming as AsyncIterable<Buffer> & typeof incoming).iterator({ destroyOnReturn: false });
    for (;;) {
      if (!(await this.#ready())) return;
      const piece = await this.#next(pieces);
      if (piece === null) break;
      for (const line of this.#lines.push(piece)) if (!(await this.#takeWhenReady(line))) return;
    }
    const last = this.#lines.end();
    if (last !== null) await this.#takeWhenReady(last);
  }

  /** The next bytes; null at the end, also when there is none to wait for any more. */
  async #next(pieces: AsyncIterator<Buffer>): Promise<Buffer | null> {
    const { idleMs } = this.#tools.limits;
    const timer = setTimeout(() => this.#stop(new ProblemError('request-timeout', { detail: IDLE })), idleMs);
    const next = pieces.next().then(
      ({ done, value }) => (done === true ? null : value),
      () => {
        this.#giveUp();
        return null;
      },
    );
    try {
      for (;;) {
        const piece = await Promise.race([next, this.#change()]);
        if (piece !== undefined) return piece;
        if (this.#stopped !== null || this.#gone) return null;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** True as soon as one more line may be taken. */
  async #ready(): Promise<boolean> {
    while (this.#isFull() && this.#stopped === null && !this.#gone) await this.#change();
    if (performance.now() - this.#checkedAt > this.#tools.limits.checkMs / 2) await this.#checkKey();
    return this.#stopped === null && !this.#gone;
  }

  #isFull(): boolean {
    const { linesMax, bytesMax } = this.#tools.limits;
    return this.#slots.length >= linesMax || this.#bytes >= bytesMax || this.#request.outgoing.writableNeedDrain;
  }

  async #takeWhenReady(line: Line): Promise<boolean> {
    const isFresh = performance.now() - this.#checkedAt <= this.#tools.limits.checkMs / 2;
    if (this.#stopped !== null || this.#gone || !isFresh || this.#isFull()) {
      if (!(await this.#ready())) return this.#notTaken(line);
    }
    if (!this.#room.tryTake()) {
      const place = this.#room.take(this.#rank);
      let taken = false;
      void place.taken.then(() => {
        taken = true;
        this.#wake();
      });
      while (!taken && this.#stopped === null && !this.#gone) await this.#change();
      if (this.#stopped !== null || this.#gone) {
        place.leave();
        return this.#notTaken(line);
      }
    }
    this.#take(line);
    return true;
  }

  /** The last line names the first that was not taken. */
  #firstNotTaken: number | null = null;
  #notTaken({ number }: Line): false {
    this.#firstNotTaken = number;
    return false;
  }

  /** Holds a place in the room until the line is answered. */
  #take({ number, bytes }: Line): void {
    if (bytes !== null && isBlank(bytes)) {
      this.#room.release();
      return;
    }
    const slot: Slot = { text: null, bytes: bytes?.length ?? 0 };
    this.#slots.push(slot);
    this.#bytes += slot.bytes;
    const answer = (text: string): void => {
      slot.text = text;
      this.#room.release();
      this.#flushSoon();
    };
    const refuse = (error: unknown): void => {
      const problem = problemOf(error as Error);
      if (problem.code === 'internal') this.#tools.onFault(error as Error, this.#request.requestId);
      this.#tools.onLine(problem.code);
      answer(problemLine(number, problem));
    };
    try {
      const { request, key } = this.#parse(bytes);
      this.#tools.door.submit(this.#principal, request, key).then((result) => {
        if (result.kind === 'problem') {
          refuse(ProblemError.of(result.problem));
          return;
        }
        this.#tools.onLine(null);
        const repeat = result.replay ? ',"replayed":true' : '';
        const alert = JSON.stringify(showAccepted(result.alert));
        answer(`{"line":${number},"status":202${repeat},"alert":${alert}}\n`);
      }, refuse);
    } catch (error) {
      refuse(error);
    }
  }

  #parse(bytes: Buffer | null) {
    const { lineBytesMax } = this.#tools.limits;
    if (bytes === null) throw new ProblemError('line-too-long', { detail: `A line may have ${lineBytesMax} bytes.` });
    let value: unknown;
    try {
      value = JSON.parse(this.#decoder.decode(bytes));
    } catch {
      throw new ProblemError('malformed-json', { detail: 'The line is not JSON in UTF-8.' });
    }
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, KEY_FIELD)) {
      return { request: parseAlert(value), key: null };
    }
    const { [KEY_FIELD]: key, ...alert } = value as Record<string, unknown>;
    return { request: parseAlert(alert), key: key === null ? null : checkedKey(key, KEY_FIELD) };
  }

  /** All that are known, in order, in one write a turn of the event loop. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      let text = '';
      let count = 0;
      for (const slot of this.#slots) {
        if (slot.text === null) break;
        text += slot.text;
        this.#bytes -= slot.bytes;
        count++;
      }
      if (count === 0) return;
      this.#slots.splice(0, count);
      const { outgoing } = this.#request;
      if (!this.#gone && !outgoing.write(text)) this.#stalledSince ??= performance.now();
      this.#wake();
    });
  }

  /** Each `checkMs`: what nothing else would notice. */
  async #look(until: number): Promise<void> {
    const now = performance.now();
    if (this.#stalledSince !== null && now - this.#stalledSince > this.#tools.limits.idleMs) this.#giveUp();
    if (now > until) this.#stop(new ProblemError('request-timeout', { detail: 'The batch took too long.' }));
    if (this.#tools.draining()) {
      this.#stop(new ProblemError('overloaded', { detail: 'The server is stopping.', retryAfterSeconds: 1 }));
    }
    await this.#checkKey();
  }

  /** A revoked key ends the stream; one that can't be looked up takes nothing either. */
  async #checkKey(): Promise<void> {
    if (this.#stopped !== null || this.#gone) return;
    try {
      const found = this.#tools.keys.authenticate(this.#token);
      const principal = found instanceof Promise ? await found : found;
      if (principal === null) this.#stop(new ProblemError('unauthenticated', { detail: 'The API key was revoked.' }));
      else this.#checkedAt = performance.now();
    } catch (error) {
      this.#stop(problemOf(error as Error));
    }
  }

  #stop(problem: ProblemError): void {
    this.#stopped ??= problem;
    this.#wake();
  }

  #giveUp(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#request.outgoing.destroy();
    this.#wake();
  }

  #end(problem: ProblemError): void {
    this.#slots.push({ text: problemLine(this.#firstNotTaken ?? this.#lines.next, problem, true), bytes: 0 });
    this.#flushSoon();
  }

  #change(): Promise<void> {
    return this.#changed.promise;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

const KEY_FIELD = 'idempotencyKey';
const IDLE = 'No line came for too long.';

/** JSON's white space. */
const isBlank = (bytes: Buffer): boolean => bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);

function problemLine(line: number, { code, options }: ProblemError, end = false): string {
  return `${JSON.stringify({
    line,
    status: PROBLEM_TYPES[code].status,
    ...(end ? { end } : {}),
    ...(options.retryAfterSeconds == null ? {} : { retryAfter: options.retryAfterSeconds }),
    problem: problemDocument(code, options, undefined),
  })}\n`;
}
