/**
 * What the client layer alone bears: one bind without a TPS, submit_sm → response → receipt → response, with its window,
 * its timers, a context kept per message, every receipt parsed and matched to its message. No database, no dispatch.
 * Beside it, in the same run: the same flow with nothing but framing, and with the npm package `smpp` on both ends.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type Answer,
  CarrierBind,
  type IncomingDeliver,
  MessageState,
  parseReceipt,
  Status,
} from '../src/smpp/index.ts';
import { rawWireBaseline, smppPackageBaseline } from './baselines.ts';
import { type ProcessFigures, round, watchProcess } from './gauges.ts';
import { destinationOf, MESSAGES_MAX, messageTo } from './wire-message.ts';
import type { SmscCounts, SmscSays } from './wire-smsc.ts';

const program = fileURLToPath(new URL('./wire-smsc.ts', import.meta.url));
/** As in both baselines. */
const WINDOW = 500;
const GIVE_UP_AFTER_MS = 60_000;

export interface WireFigures extends ProcessFigures {
  scenario: 'wire';
  correct: boolean;
  messages: number;
  seconds: number;
  messagesPerSecond: number;
  baseline: { wirePerSecond: number; smppPackagePerSecond: number };
}

export async function wire(options: Record<string, string>): Promise<WireFigures> {
  const messages = Number(options.messages ?? 600_000);
  if (!(messages >= 1 && messages <= MESSAGES_MAX)) throw new RangeError(`--messages goes from 1 to ${MESSAGES_MAX}`);
  const baseline = {
    wirePerSecond: await rawWireBaseline(500_000),
    smppPackagePerSecond: await smppPackageBaseline(50_000),
  };
  const smsc = await startSmsc(messages);
  try {
    const watch = watchProcess();
    const sender = new Sender(messages, smsc.port);
    const seconds = await sender.run();
    const figures = watch.stop();
    await sender.end();
    const correct = sender.correct && agrees(await smsc.counts, messages);
    return {
      scenario: 'wire',
      correct,
      messages,
      seconds: round(seconds),
      messagesPerSecond: Math.round(messages / seconds),
      baseline,
      ...figures,
    };
  } finally {
    smsc.stop();
  }
}

/** Sends all messages through one bind as fast as its window lets it, and keeps the books. */
class Sender {
  private readonly messages: number;
  private readonly bind: CarrierBind<number>;
  private readonly done = Promise.withResolvers<void>();
  private readonly template = messageTo('');
  /** Accepted and without a receipt: message_id → number of the message. */
  private readonly awaited = new Map<string, number>();
  /** Answers and receipts that each message has had. */
  private readonly answers: Uint8Array;
  private readonly receipts: Uint8Array;
  private sent = 0;
  private accepted = 0;
  private delivered = 0;
  /** Whatever is neither an acceptance nor a receipt that says delivered. */
  private wrong = 0;

  constructor(messages: number, port: number) {
    this.messages = messages;
    this.answers = new Uint8Array(messages);
    this.receipts = new Uint8Array(messages);
    this.bind = new CarrierBind<number>({
      host: '127.0.0.1',
      port,
      mode: 'transceiver',
      systemId: 'load',
      password: 'load',
      sessions: 1,
      limits: { window: WINDOW },
      random: Math.random,
      handlers: {
        onAnswer: (number, answer) => this.onAnswer(number, answer),
        onDeliver: (incoming) => this.onDeliver(incoming),
        onRoom: () => this.send(),
        onSessionClosed: (reason) => this.done.reject(new Error(`the session was lost: ${reason}`)),
      },
    });
  }

  /** Seconds from the start of the dial to the last receipt. */
  async run(): Promise<number> {
    const timer = setTimeout(
      () => this.done.reject(new Error(`not done after ${GIVE_UP_AFTER_MS} ms: ${this.delivered} receipts`)),
      GIVE_UP_AFTER_MS,
    );
    const from = performance.now();
    this.bind.start();
    await this.done.promise;
    clearTimeout(timer);
    return (performance.now() - from) / 1_000;
  }

  async end(): Promise<void> {
    await this.bind.unbind();
  }

  get correct(): boolean {
    const once = (times: number): boolean => times === 1;
    const { sent, answered, received, timedOut, unexpected, answeredBusy, malformed } = this.bind.stats().counters;
    return (
      this.wrong === 0 &&
      this.awaited.size === 0 &&
      this.answers.every(once) &&
      this.receipts.every(once) &&
      [sent, answered, received].every((count) => count === this.messages) &&
      [timedOut, unexpected, answeredBusy, malformed].every((count) => count === 0)
    );
  }

  private send(): void {
    const { bind, template } = this;
    for (let free = bind.free; free > 0 && this.sent < this.messages; free--) {
      template.destAddr = destinationOf(this.sent);
      if (!bind.submit(template, this.sent)) return;
      this.sent++;
    }
  }

  private onAnswer(number: number, answer: Answer): void {
    (this.answers[number] as number)++;
    if (answer.kind !== 'answered' || answer.status !== Status.ok || answer.messageId === null) {
      this.wrong++;
      return;
    }
    this.accepted++;
    this.awaited.set(answer.messageId, number);
  }

  private onDeliver(incoming: IncomingDeliver): void {
    const receipt = parseReceipt(incoming.pdu);
    const number = receipt === null ? undefined : this.awaited.get(receipt.messageId);
    if (receipt === null || number === undefined || receipt.state !== MessageState.delivered) {
      this.wrong++;
    } else {
      this.awaited.delete(receipt.messageId);
      (this.receipts[number] as number)++;
      this.delivered++;
    }
    incoming.respond(Status.ok);
    if (this.delivered + this.wrong >= this.messages && this.accepted + this.wrong >= this.messages) {
      // Our last response is still gathered: it leaves at the end of this turn.
      setImmediate(() => this.done.resolve());
    }
  }
}

function agrees(counts: SmscCounts, messages: number): boolean {
  const { received, distinct, receiptsAccepted, receiptsElse, malformed } = counts;
  return (
    [received, distinct, receiptsAccepted].every((count) => count === messages) && receiptsElse === 0 && malformed === 0
  );
}

async function startSmsc(messages: number): Promise<{ port: number; counts: Promise<SmscCounts>; stop(): void }> {
  const child = fork(program, [String(messages)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exit = once(child, 'exit').then(() => {
    throw new Error('the SMSC has ended');
  });
  exit.catch(() => {});
  const said = async (): Promise<SmscSays> => (await Promise.race([once(child, 'message'), exit]))[0];
  const first = await said();
  if (!('port' in first)) throw new Error('the SMSC did not say its port');
  const counts = said().then((last) => {
    if (!('counts' in last)) throw new Error('the SMSC did not say its counts');
    return last.counts;
  });
  counts.catch(() => {});
  return { port: first.port, counts, stop: () => (child.connected ? child.disconnect() : undefined) };
}
