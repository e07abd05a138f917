/** What a simulator in its own process and its parent say to each other over IPC. */
import type { CertificateKind } from './certificates.ts';
import type { FaultsChange } from './faults.ts';
import type { HandsetMessageInput } from './handset.ts';
import type { SimulatorInput } from './options.ts';
import type { ScriptInput } from './script.ts';
import type { CounterName, SimulatorStats } from './stats.ts';
import type { ArrivedMessage } from './view.ts';
import type { CounterTarget } from './waiters.ts';

/** The first message of the parent, unless the options came as the first argument. */
export interface StartMessage {
  start: SimulatorInput;
  /** Whether each message that arrives is to be told. */
  messages: boolean;
}

/** Everything a parent may ask for, with its arguments and its answer. */
export interface Commands {
  stats: { arguments: []; answer: SimulatorStats };
  setFaults: { arguments: [systemId: string, change: FaultsChange]; answer: null };
  setCertificate: { arguments: [kind: CertificateKind]; answer: null };
  runScript: { arguments: [script: ScriptInput | string]; answer: null };
  originate: { arguments: [systemId: string, message: HandsetMessageInput]; answer: number };
  alertNotification: { arguments: [systemId: string, handset: string, esme: string]; answer: number };
  outbind: { arguments: [host: string, port: number, systemId: string, password: string]; answer: null };
  release: { arguments: [systemId: string | null]; answer: number };
  disconnect: { arguments: [systemId: string | null]; answer: number };
  unbind: { arguments: [systemId: string | null]; answer: number };
  waitFor: {
    arguments: [systemId: string, counter: CounterName, target: CounterTarget, timeoutMs: number];
    answer: number;
  };
  flush: { arguments: []; answer: null };
  stop: { arguments: []; answer: null };
}

export type CommandName = keyof Commands;

export type CommandMessage = {
  [K in CommandName]: { id: number; command: K; arguments: Commands[K]['arguments'] };
}[CommandName];

export type ChildMessage =
  | { event: 'listening'; port: number; accounts: readonly string[]; authority: string | null }
  | { event: 'failed'; message: string }
  | { event: 'message'; message: ArrivedMessage }
  | { event: 'answer'; id: number; value: Commands[CommandName]['answer'] }
  | { event: 'refused'; id: number; message: string };
