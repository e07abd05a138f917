/** The parent's side of a simulator in its own process: the same calls as `Simulator`, with promises. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CertificateKind } from './certificates.ts';
import type { FaultsChange } from './faults.ts';
import type { HandsetMessageInput } from './handset.ts';
import type { SimulatorInput } from './options.ts';
import type { ChildMessage, CommandName, Commands, StartMessage } from './protocol.ts';
import type { ScriptInput } from './script.ts';
import type { CounterName, SimulatorStats } from './stats.ts';
import type { ArrivedMessage } from './view.ts';
import type { CounterTarget } from './waiters.ts';

const startWithinMs = 15_000;
const answerWithinMs = 30_000;
const program = fileURLToPath(new URL('./process.ts', import.meta.url));

export class SimulatorProcessError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SimulatorProcessError';
  }
}

export interface SimulatorProcess {
  readonly port: number;
  readonly accounts: readonly string[];
  /** The certificate (PEM) that a client must trust; null without TLS, or where key and certificate were given. */
  readonly authority: string | null;
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stats(): Promise<SimulatorStats>;
  setFaults(systemId: string, change: FaultsChange): Promise<void>;
  setCertificate(kind: CertificateKind): Promise<void>;
  runScript(script: ScriptInput | string): Promise<void>;
  originate(systemId: string, message: HandsetMessageInput): Promise<number>;
  alertNotification(systemId: string, handset: string, esme: string): Promise<number>;
  outbind(host: string, port: number, systemId: string, password: string): Promise<void>;
  release(systemId?: string): Promise<number>;
  disconnect(systemId?: string): Promise<number>;
  unbind(systemId?: string): Promise<number>;
  waitFor(systemId: string, counter: CounterName, target: CounterTarget, timeoutMs: number): Promise<number>;
  flush(): Promise<void>;
  /** Ends it in order: sessions ended, log and ledger written out. Resolves when the process is gone. */
  stop(): Promise<void>;
  /** Ends it as a power cut does. Resolves when the process is gone. */
  kill(): Promise<void>;
}

/**
 * Starts a simulator in a process of its own, which ends with this one.
 * @throws SimulatorProcessError when it does not come up: wrong options, port in use, …
 */
export async function forkSimulator(
  input: SimulatorInput,
  hooks: { onMessage?: (message: ArrivedMessage) => void } = {},
): Promise<SimulatorProcess> {
  const child = fork(program, [], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const remote = new Remote(child, hooks.onMessage);
  const message: StartMessage = { start: input, messages: hooks.onMessage !== undefined };
  child.send(message, () => {});
  try {
    return remote.calls(await remote.listening);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

type Listening = Pick<SimulatorProcess, 'port' | 'accounts' | 'authority'>;

interface Pending {
  resolve(value: never): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

class Remote {
  readonly listening: Promise<Listening>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #gone = false;

  constructor(child: ChildProcess, onMessage: ((message: ArrivedMessage) => void) | undefined) {
    this.#child = child;
    const started = Promise.withResolvers<Listening>();
    this.listening = started.promise;
    const timer = setTimeout(
      () => started.reject(new SimulatorProcessError(`the simulator was not up after ${startWithinMs} ms`)),
      startWithinMs,
    );
    const exited = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
    this.#exited = exited.promise;
    child.on('message', (message: ChildMessage) => {
      switch (message.event) {
        case 'listening':
          clearTimeout(timer);
          started.resolve(message);
          return;
        case 'failed':
          clearTimeout(timer);
          started.reject(new SimulatorProcessError(message.message));
          return;
        case 'message':
          onMessage?.(message.message);
          return;
        case 'answer':
          this.#settle(message.id, (pending) => pending.resolve(message.value as never));
          return;
        case 'refused':
          this.#settle(message.id, (pending) => pending.reject(new SimulatorProcessError(message.message)));
          return;
        default:
          message satisfies never;
      }
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      started.reject(new SimulatorProcessError(error.message));
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      this.#gone = true;
      const error = new SimulatorProcessError(`the simulator's process has ended (${signal ?? code})`);
      started.reject(error);
      for (const id of [...this.#pending.keys()]) this.#settle(id, (pending) => pending.reject(error));
      exited.resolve({ code, signal });
    });
  }

  calls({ port, accounts, authority }: Listening): SimulatorProcess {
    const exited = this.#exited;
    return {
      port,
      accounts,
      authority,
      pid: this.#child.pid ?? 0,
      exited,
      stats: () => this.#ask('stats', []),
      setFaults: async (systemId, change) => {
        await this.#ask('setFaults', [systemId, change]);
      },
      setCertificate: async (kind) => {
        await this.#ask('setCertificate', [kind]);
      },
      runScript: async (script) => {
        await this.#ask('runScript', [script]);
      },
      originate: (systemId, message) => this.#ask('originate', [systemId, message]),
      alertNotification: (systemId, handset, esme) => this.#ask('alertNotification', [systemId, handset, esme]),
      outbind: async (host, port, systemId, password) => {
        await this.#ask('outbind', [host, port, systemId, password]);
      },
      release: (systemId) => this.#ask('release', [systemId ?? null]),
      disconnect: (systemId) => this.#ask('disconnect', [systemId ?? null]),
      unbind: (systemId) => this.#ask('unbind', [systemId ?? null]),
      waitFor: (systemId, counter, target, timeoutMs) =>
        this.#ask('waitFor', [systemId, counter, target, timeoutMs], timeoutMs + answerWithinMs),
      flush: async () => {
        await this.#ask('flush', []);
      },
      stop: async () => {
        if (!this.#gone) await this.#ask('stop', []);
        await exited;
      },
      kill: async () => {
        this.#child.kill('SIGKILL');
        await exited;
      },
    };
  }

  #ask<K extends CommandName>(
    command: K,
    args: Commands[K]['arguments'],
    withinMs = answerWithinMs,
  ): Promise<Commands[K]['answer']> {
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(new SimulatorProcessError("the simulator's process has ended"));
        return;
      }
      this.#lastId += 1;
      const id = this.#lastId;
      const late = new SimulatorProcessError(`the simulator did not answer ${command} within ${withinMs} ms`);
      const timer = setTimeout(() => this.#settle(id, (pending) => pending.reject(late)), withinMs);
      this.#pending.set(id, { resolve, reject, timer });
      // A channel that closes while we send shows as the exit of the child.
      this.#child.send({ id, command, arguments: args }, () => {});
    });
  }

  #settle(id: number, settle: (pending: Pending) => void): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    settle(pending);
  }
}
