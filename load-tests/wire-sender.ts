/** The client of `wire` and `window`: sends all messages through one bind as fast as its window lets it, and keeps the books. */
import {
  type Answer,
  CarrierBind,
  type IncomingDeliver,
  MessageState,
  parseReceipt,
  Status,
  type SubmitOptions,
} from '../src/smpp/index.ts';
import { destinationOf, messageTo } from './wire-message.ts';

const GIVE_UP_AFTER_MS = 60_000;
const ORDINARY: SubmitOptions = { emergency: false };
const EMERGENCY: SubmitOptions = { emergency: true };

export interface WireSenderOptions {
  messages: number;
  systemId: string;
  port: number;
  window: number;
}

export class WireSender {
  private readonly messages: number;
  private readonly bind: CarrierBind<number>;
  private readonly done = Promise.withResolvers<void>();
  private readonly template = messageTo('');
  /** Accepted and without a receipt: message_id → number of the message. */
  private readonly awaited = new Map<string, number>();
  /** Answers and receipts that each message has had. */
  private readonly answers: Uint8Array;
  private readonly receipts: Uint8Array;
  // `performance.now()` of the first submit_sm and of the last answer.
  private from = 0;
  private answeredAt = 0;
  private sent = 0;
  private accepted = 0;
  private delivered = 0;
  /** Whatever is neither an acceptance nor a receipt that says delivered. */
  private wrong = 0;

  constructor({ messages, systemId, port, window }: WireSenderOptions) {
    this.messages = messages;
    this.answers = new Uint8Array(messages);
    this.receipts = new Uint8Array(messages);
    this.bind = new CarrierBind<number>({
      host: '127.0.0.1',
      port,
      mode: 'transceiver',
      systemId,
      password: '',
      sessions: 1,
      limits: { window },
      random: Math.random,
      handlers: {
        onAnswer: (number, answer) => this.onAnswer(number, answer),
        onDeliver: (incoming) => this.onDeliver(incoming),
        onRoom: () => this.send(),
        onSessionClosed: (reason) => this.done.reject(new Error(`the session was lost: ${reason}`)),
      },
    });
  }

  /** Seconds from the first submit_sm to the last answer, and to the last receipt. */
  async run(): Promise<{ toAnswers: number; toReceipts: number }> {
    const timer = setTimeout(
      () => this.done.reject(new Error(`not done after ${GIVE_UP_AFTER_MS} ms: ${this.delivered} receipts`)),
      GIVE_UP_AFTER_MS,
    );
    this.bind.start();
    await this.done.promise;
    clearTimeout(timer);
    const now = performance.now();
    return { toAnswers: (this.answeredAt - this.from) / 1_000, toReceipts: (now - this.from) / 1_000 };
  }

  unbind(): Promise<void> {
    return this.bind.unbind();
  }

  /** Whether each message was accepted once and reported delivered once, and nothing else came. */
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
    if (this.sent === 0) this.from = performance.now();
    // Both kinds wait: the part of the window that is kept for emergency is used by emergency.
    this.fill(this.bind.freeFor(false), ORDINARY);
    this.fill(this.bind.freeFor(true), EMERGENCY);
  }

  private fill(free: number, options: SubmitOptions): void {
    const { bind, template } = this;
    for (let room = free; room > 0 && this.sent < this.messages; room--) {
      template.destAddr = destinationOf(this.sent);
      if (!bind.submit(template, this.sent, options)) return;
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
    if (this.accepted === this.messages) this.answeredAt = performance.now();
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
