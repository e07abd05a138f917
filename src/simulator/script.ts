/**
 * A script: what is to go wrong, and when, so that the same trouble can be had again and again.
 *
 *     steps:
 *       - at: PT2S                      # after the script's start
 *         account: demo-a               # every account when left out
 *         fault: { slowMs: 500 }
 *         for: PT5S                     # then the former values come back
 *       - after: 1000 submits           # of that account, since the script's start
 *         fault: { throttle: true }
 *         for: 200 submits
 *       - at: PT10S
 *         do: disconnect
 *
 * A step's time and count are independent of those of other steps. Nothing here has a timer: the simulator asks what is
 * due (`tick`) and tells when a count is reached (`onReceived`).
 */
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { type CertificateKind, certificateKinds } from './certificates.ts';
import { type Faults, type FaultsChange, faultsChangeSchema } from './faults.ts';
import { type HandsetMessage, handsetMessageSchema } from './handset.ts';
import { SimulatorOptionsError } from './options.ts';

/** ISO 8601, days to seconds; to milliseconds. */
const duration = z
  .string()
  .regex(/^P(?=\d|T\d)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/, 'is no duration such as PT2.5S')
  .transform((text) => {
    const amount = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
    const hours = amount(/(\d+)D/) * 24 + amount(/(\d+)H/);
    return { kind: 'time' as const, ms: (hours * 3_600 + amount(/T.*?(\d+)M/) * 60 + amount(/([\d.]+)S/)) * 1_000 };
  });
const submits = z
  .string()
  .regex(/^\d{1,12} submits?$/, 'is no count such as "100 submits"')
  .transform((text) => ({ kind: 'submits' as const, count: Number.parseInt(text, 10) }));

const stepSchema = z
  .strictObject({
    at: duration.optional(),
    after: submits.optional(),
    account: z.string().optional(),
    fault: faultsChangeSchema.optional(),
    certificate: z.enum(certificateKinds).optional(),
    do: z.enum(['disconnect', 'unbind', 'release']).optional(),
    message: handsetMessageSchema.optional(),
    for: z.union([duration, submits], { error: 'is neither a duration nor a count of submits' }).optional(),
  })
  .refine((step) => (step.at === undefined) !== (step.after === undefined), {
    error: 'has exactly one of at and after',
  })
  .refine((step) => step.for === undefined || step.fault !== undefined || step.certificate !== undefined, {
    path: ['for'],
    error: 'goes with fault or certificate',
  })
  .refine((step) => [step.fault, step.certificate, step.do, step.message].some((what) => what !== undefined), {
    error: 'says nothing of what to do: fault, certificate, do or message',
  });

export const scriptSchema = z.strictObject({ steps: z.array(stepSchema).min(1).max(10_000) });
export type Script = z.output<typeof scriptSchema>;
export type ScriptInput = z.input<typeof scriptSchema>;
type Step = Script['steps'][number];

/** @throws SimulatorOptionsError naming each field and what is wrong with it */
export function parseScript(input: unknown): Script {
  const parsed = scriptSchema.safeParse(input);
  if (!parsed.success) throw new SimulatorOptionsError(parsed.error.issues);
  return parsed.data;
}

/** Of a file or a request's body, YAML or JSON. @throws SimulatorOptionsError */
export function parseScriptText(text: string): Script {
  try {
    return parseScript(parseYaml(text));
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const line = error.linePos?.[0].line ?? 1;
    throw new SimulatorOptionsError([{ path: ['script'], message: `is not YAML at line ${line}` }]);
  }
}

/** What a script does things with. */
export interface ScriptHost {
  readonly accounts: readonly string[];
  faultsOf(account: string): Faults;
  setFaults(account: string, change: FaultsChange): void;
  readonly certificate: CertificateKind | null;
  setCertificate(kind: CertificateKind): void;
  disconnect(account: string): void;
  unbind(account: string): void;
  release(account: string): void;
  originate(account: string, message: HandsetMessage): void;
  /** How many messages have come to that account. */
  received(account: string): number;
  /** Asks for `onReceived` when it has come to this, or infinity for never. */
  markAt(account: string, received: number): void;
}

export interface ScriptProgress {
  steps: number;
  /** Steps of which something has begun; of those, how many are over. Without `for` a step is over at once. */
  begun: number;
  over: number;
}

/** Something to do: a step's beginning or its end, for one account (or the listener). */
interface Event {
  step: number;
  account: string;
  dueUs: number;
  dueReceived: number;
  run(nowUs: number): void;
}

export class ScriptRun {
  readonly #host: ScriptHost;
  #events: Event[] = [];
  /** What undoes the steps that are not over. */
  readonly #open = new Map<Event, () => void>();
  readonly #script: Script;
  readonly #begun = new Set<number>();
  readonly #notOver = new Map<number, number>();

  /** @throws SimulatorOptionsError when a step names an account that is not there */
  constructor(script: Script, host: ScriptHost) {
    this.#host = host;
    for (const [index, step] of script.steps.entries()) {
      if (step.account !== undefined && !host.accounts.includes(step.account)) {
        throw new SimulatorOptionsError([{ path: ['steps', index, 'account'], message: `no account ${step.account}` }]);
      }
      if (step.certificate !== undefined && host.certificate === null) {
        throw new SimulatorOptionsError([
          { path: ['steps', index, 'certificate'], message: 'this simulator speaks no TLS' },
        ]);
      }
    }
    this.#script = script;
  }

  /** From now on its times and counts run. Call once. */
  start(nowUs: number): void {
    for (const [index, step] of this.#script.steps.entries()) {
      const accounts = step.account === undefined ? this.#host.accounts : [step.account];
      for (const account of accounts) this.#begin(index, step, account, account === accounts[0], nowUs);
    }
    this.tick(nowUs);
    this.#mark();
  }

  get progress(): ScriptProgress {
    const open = [...this.#notOver.values()].filter((count) => count > 0).length;
    const steps = this.#script.steps.length;
    return { steps, begun: this.#begun.size, over: steps - open };
  }

  /** When `tick` has something to do. */
  get nextUs(): number {
    return this.#events.reduce((next, event) => Math.min(next, event.dueUs), Number.POSITIVE_INFINITY);
  }

  /** Does what is due by time. */
  tick(nowUs: number): void {
    this.#runWhere((event) => event.dueUs <= nowUs, nowUs);
  }

  /** Does what is due by the number of messages that came to this account. */
  onReceived(account: string, nowUs: number): void {
    const received = this.#host.received(account);
    this.#runWhere((event) => event.account === account && event.dueReceived <= received, nowUs);
  }

  /** Ends it: what its steps changed and has not come back yet comes back now. */
  stop(): void {
    this.#events = [];
    for (const undo of this.#open.values()) undo();
    this.#open.clear();
    this.#mark();
  }

  #begin(index: number, step: Step, account: string, first: boolean, nowUs: number): void {
    this.#notOver.set(index, (this.#notOver.get(index) ?? 0) + 1);
    this.#add(index, account, step.at ?? step.after!, nowUs, (atUs) => {
      this.#begun.add(index);
      const undo = this.#act(step, account, first);
      if (step.for === undefined) {
        this.#over(index);
        return;
      }
      const end = this.#add(index, account, step.for, atUs, () => {
        this.#open.delete(end);
        undo();
        this.#over(index);
      });
      this.#open.set(end, undo);
    });
  }

  #add(
    step: number,
    account: string,
    when: NonNullable<Step['for']>,
    nowUs: number,
    run: (nowUs: number) => void,
  ): Event {
    const event: Event = {
      step,
      account,
      dueUs: when.kind === 'time' ? nowUs + when.ms * 1_000 : Number.POSITIVE_INFINITY,
      dueReceived: when.kind === 'submits' ? this.#host.received(account) + when.count : Number.POSITIVE_INFINITY,
      run,
    };
    this.#events.push(event);
    return event;
  }

  /** @param first whether this is the step's first account: the listener is there once. @returns what undoes it */
  #act(step: Step, account: string, first: boolean): () => void {
    const host = this.#host;
    const undo: (() => void)[] = [];
    if (step.fault !== undefined) {
      const before = host.faultsOf(account);
      const former = Object.fromEntries(Object.keys(step.fault).map((name) => [name, before[name as keyof Faults]]));
      host.setFaults(account, step.fault);
      undo.push(() => host.setFaults(account, former));
    }
    if (step.certificate !== undefined && first) {
      const former = host.certificate;
      host.setCertificate(step.certificate);
      if (former !== null) undo.push(() => host.setCertificate(former));
    }
    if (step.message !== undefined) host.originate(account, step.message);
    switch (step.do) {
      case undefined:
        break;
      case 'disconnect':
        host.disconnect(account);
        break;
      case 'unbind':
        host.unbind(account);
        break;
      case 'release':
        host.release(account);
        break;
      default:
        step.do satisfies never;
    }
    return () => {
      for (const each of undo) each();
    };
  }

  #over(index: number): void {
    this.#notOver.set(index, (this.#notOver.get(index) ?? 1) - 1);
  }

  #runWhere(due: (event: Event) => boolean, nowUs: number): void {
    const now = this.#events.filter(due);
    if (now.length === 0) return;
    this.#events = this.#events.filter((event) => !due(event));
    for (const event of now) event.run(nowUs);
    this.#mark();
  }

  #mark(): void {
    for (const account of this.#host.accounts) {
      const next = this.#events
        .filter((event) => event.account === account)
        .reduce((least, event) => Math.min(least, event.dueReceived), Number.POSITIVE_INFINITY);
      this.#host.markAt(account, next);
    }
  }
}
