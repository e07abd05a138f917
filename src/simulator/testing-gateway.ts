/**
 * The gateway's side, for the tests of faults: a `CarrierBind` as dispatch uses it, with all that it reported, and what
 * the simulator says arrived. Every message goes to a number of its own, so that an answer can be held against it.
 */
import {
  type Answer,
  CarrierBind,
  type CarrierBindOptions,
  type DeliverSm,
  parseReceipt,
  type Receipt,
  Status,
  type SubmitSm,
} from '../smpp/index.ts';
import type { FaultsChange, FiredName } from './faults.ts';
import type { SimulatorInput } from './options.ts';
import { type Simulator, startSimulator } from './simulator.ts';
import { submitSm } from './testing-esme.ts';
import type { ArrivedMessage } from './view.ts';

type AccountInput = SimulatorInput['accounts'][number];

type BindOptions = Partial<CarrierBindOptions<number>>;

export interface GatewayOptions {
  account?: Partial<AccountInput>;
  simulator?: Partial<SimulatorInput>;
  /** What is known only when the simulator runs (its authority) comes from a function. */
  bind?: BindOptions | ((simulator: Simulator) => BindOptions);
}

const waitMs = 8_000;
/** Quick enough for a test, slow enough for a machine that does something else. */
export const responseTimeoutMs = 300;

export class Gateway {
  readonly simulator: Simulator;
  readonly bind: CarrierBind<number>;
  /** By context; the second answer to a message would be a bug, and throws. */
  readonly answers = new Map<number, Answer>();
  readonly receipts: Receipt[] = [];
  readonly messages: DeliverSm[] = [];
  /** Reasons for which sessions closed, and the contexts that were in flight. */
  readonly closed: { reason: string; inFlight: number[]; detail: string | null }[] = [];
  readonly dialFailures: { code: string; status: number | null; message: string }[] = [];
  readonly #arrived: Map<string, ArrivedMessage>;
  readonly #watchers = new Set<() => void>();
  #context = 0;

  private constructor(simulator: Simulator, arrived: Map<string, ArrivedMessage>, options: BindOptions) {
    this.simulator = simulator;
    this.#arrived = arrived;
    this.bind = new CarrierBind<number>({
      hosts: [{ host: '127.0.0.1', port: simulator.port }],
      mode: 'transceiver',
      systemId: 'bank',
      password: '',
      sessions: 1,
      backoff: { firstMs: 10, factor: 2, maxMs: 40, healthyMs: 60_000 },
      random: () => 0.5,
      bindTimeoutMs: 200,
      ...options,
      limits: { window: 10, responseTimeoutMs, ...options.limits },
      handlers: {
        onAnswer: (context, answer) => {
          if (this.answers.has(context)) throw new Error(`message ${context} was answered twice`);
          this.answers.set(context, answer);
          this.#notify();
        },
        onDeliver: (incoming) => {
          const receipt = parseReceipt(incoming.pdu);
          if (receipt !== null) this.receipts.push(receipt);
          else this.messages.push({ ...incoming.pdu, shortMessage: Buffer.from(incoming.pdu.shortMessage) });
          incoming.respond(Status.ok);
          this.#notify();
        },
        onUp: () => this.#notify(),
        onDown: () => this.#notify(),
        onRoom: () => this.#notify(),
        onDialFailed: ({ error }) => {
          this.dialFailures.push({ code: error.code, status: error.status, message: error.message });
          this.#notify();
        },
        onSessionClosed: (reason, inFlight, detail) => {
          this.closed.push({ reason, inFlight, detail });
          this.#notify();
        },
      },
    });
    this.bind.start();
  }

  /** A simulator with one account `bank`, and the gateway's bind to it, which may not be up yet. */
  static async start({ account, simulator: options, bind = {} }: GatewayOptions = {}): Promise<Gateway> {
    const arrived = new Map<string, ArrivedMessage>();
    const simulator = await startSimulator(
      { accounts: [{ systemId: 'bank', ...account }], ...options },
      { onMessage: (message) => arrived.set(message.to, message) },
    );
    return new Gateway(simulator, arrived, typeof bind === 'function' ? bind(simulator) : bind);
  }

  /** The same, once the bind is up. */
  static async up(options: GatewayOptions = {}): Promise<Gateway> {
    const gateway = await Gateway.start(options);
    await gateway.until(() => gateway.bind.up, 'the bind is up');
    return gateway;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.bind.close();
    await this.simulator.stop();
  }

  faults(change: FaultsChange): void {
    this.simulator.setFaults('bank', change);
  }

  fired(name: FiredName): number {
    return this.simulator.stats().accounts[0]!.fired[name];
  }

  static numberOf(context: number): string {
    return String(447_700_900_000 + context);
  }

  /** Sends so many messages as soon as there is room; returns their contexts. */
  async send(count = 1, fields: Partial<SubmitSm> = {}): Promise<number[]> {
    const contexts: number[] = [];
    for (let i = 0; i < count; i += 1) {
      await this.until(() => this.bind.free > 0, 'there is room');
      this.#context += 1;
      const pdu = submitSm({ destAddr: Gateway.numberOf(this.#context), ...fields });
      if (!this.bind.submit(pdu, this.#context)) throw new Error('room that was none');
      contexts.push(this.#context);
    }
    return contexts;
  }

  /** The answers to these messages, in their order, once all are there. */
  async answersOf(contexts: readonly number[]): Promise<Answer[]> {
    await this.until(() => contexts.every((context) => this.answers.has(context)), 'every message has its answer');
    return contexts.map((context) => this.answers.get(context)!);
  }

  /** Sends and waits for the answers. */
  async submit(count = 1, fields: Partial<SubmitSm> = {}): Promise<Answer[]> {
    return await this.answersOf(await this.send(count, fields));
  }

  /** The command_statuses of answers; null where there was none. */
  static statuses(answers: readonly Answer[]): (number | null)[] {
    return answers.map((answer) => (answer.kind === 'answered' ? answer.status : null));
  }

  static ids(answers: readonly Answer[]): (string | null)[] {
    return answers.map((answer) => (answer.kind === 'answered' ? answer.messageId : null));
  }

  /** What message_id the simulator gave to the message of this context. */
  arrivedId(context: number): string | null {
    return this.#arrived.get(Gateway.numberOf(context))?.messageId ?? null;
  }

  /** @throws after 8 s */
  async until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        clearInterval(poll);
        this.#watchers.delete(watcher);
      };
      const watcher = () => {
        if (!condition()) return;
        finish();
        resolve();
      };
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`not within ${waitMs} ms: ${what}`));
      }, waitMs);
      // What the simulator counts comes without an event here.
      const poll = setInterval(watcher, 5);
      this.#watchers.add(watcher);
    });
  }

  /** Sends one message more: its answer is ESME_ROK, its message_id is its own, and its receipt comes. */
  async isHealthy(): Promise<boolean> {
    const [context] = await this.send();
    const [answer] = await this.answersOf([context!]);
    if (answer!.kind !== 'answered' || answer!.status !== Status.ok) return false;
    const { messageId } = answer!;
    await this.until(() => this.receipts.some((receipt) => receipt.messageId === messageId), 'its receipt has come');
    return messageId === this.arrivedId(context!);
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
