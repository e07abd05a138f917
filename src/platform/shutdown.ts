/** One way to end: steps in order, each bounded, 25 s in all. */
export interface ShutdownLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

interface Step {
  name: string;
  order: number;
  run: (timeoutMs: number) => Promise<void>;
}

export const shutdownTimeoutMs = 25_000;

export class Shutdown {
  readonly #log: ShutdownLog;
  readonly #steps: Step[] = [];
  #running: Promise<boolean> | null = null;

  constructor(log: ShutdownLog) {
    this.#log = log;
  }

  /** Lower orders run first; steps of one order run together. `run` gets the milliseconds that are left. */
  add(name: string, order: number, run: (timeoutMs: number) => Promise<void>): void {
    this.#steps.push({ name, order, run });
  }

  /** Runs the steps once, however often it is called. False when a step failed or the time ran out. */
  run(reason: string): Promise<boolean> {
    this.#running ??= this.#runSteps(reason);
    return this.#running;
  }

  /** SIGTERM and SIGINT end the process after the steps; a second signal ends it at once. */
  onSignals(exit: (code: number) => void): void {
    let signals = 0;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (++signals > 1) exit(1);
        void this.run(signal).then((clean) => exit(clean ? 0 : 1));
      });
    }
  }

  async #runSteps(reason: string): Promise<boolean> {
    this.#log.info({ reason }, 'stopping');
    const until = performance.now() + shutdownTimeoutMs;
    let clean = true;
    const orders = [...new Set(this.#steps.map((step) => step.order))].sort((a, b) => a - b);
    for (const order of orders) {
      const steps = this.#steps.filter((step) => step.order === order);
      const results = await Promise.all(steps.map((step) => this.#runStep(step, until - performance.now())));
      clean &&= results.every(Boolean);
    }
    return clean;
  }

  async #runStep(step: Step, leftMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(resolve, Math.max(0, leftMs), false);
    try {
      const done = await Promise.race([step.run(Math.max(0, leftMs)).then(() => true as const), promise]);
      if (!done) this.#log.error({ step: step.name }, 'a step of the shutdown took too long');
      return done;
    } catch (err) {
      this.#log.error({ step: step.name, err }, 'a step of the shutdown failed');
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}
