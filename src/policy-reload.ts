/**
 * Policies that change while the process runs. The files are looked at each half second, and at once on SIGHUP. What they
 * say is checked as at the start: a mistake is logged with file, line, path and reason, and what was in force stays. What is
 * good is recorded in the chain and put in force, as far as it can be without a restart; the rest is named in the log.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { applyLive, type LivePolicies, type Policies, PolicyError } from './policy/index.ts';

export interface PolicyReloadOptions {
  readonly folder: string;
  readonly live: LivePolicies;
  /** Reads the folder and checks it. @throws PolicyError */
  load(): Policies;
  /** Writes down in the chain which files were loaded (policy-load.ts). */
  record(policies: Policies): Promise<void>;
  /** Makes what must be there before anything goes by them. */
  prepare(policies: Policies): Promise<void>;
  /** Tells whoever took values of the policies over. */
  apply(policies: Policies): void;
  readonly log: {
    info(details: object, message: string): void;
    warn(details: object, message: string): void;
    error(details: object, message: string): void;
  };
}

const LOOK_EACH_MS = 500;

export class PolicyReload {
  readonly #o: PolicyReloadOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #onSignal = (): void => void this.look({ always: true });
  /** The files as they were last loaded, or refused. */
  #seen: string;
  /** As the last look found them: what still changes is not read yet. */
  #last: string;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: PolicyReloadOptions) {
    this.#o = options;
    this.#seen = digestOf(options.live.files);
    this.#last = this.#seen;
    this.#timer = setInterval(() => void this.look(), LOOK_EACH_MS);
    process.on('SIGHUP', this.#onSignal);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    process.off('SIGHUP', this.#onSignal);
    await this.#looking;
  }

  /** Loads the files if they have changed and stand as the last look found them, or `always`. One look at a time. */
  look({ always = false } = {}): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look(always));
    return this.#looking;
  }

  async #look(always: boolean): Promise<void> {
    const found = await this.#read();
    const settled = found !== null && found === this.#last;
    this.#last = found ?? '';
    if (!always && (!settled || found === this.#seen)) return;
    try {
      await this.#load();
      this.#seen = found ?? '';
    } catch (error) {
      // The database did not take the record: the next look tries again.
      this.#o.log.error({ err: error }, 'policies were not loaded: they could not be recorded');
    }
  }

  async #load(): Promise<void> {
    const { live, log } = this.#o;
    let next: Policies;
    try {
      next = this.#o.load();
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      for (const { file, line, path, reason } of error.issues) {
        log.error({ file, line, path, reason }, 'the policies have a mistake: those in force stay; correct the file');
      }
      return;
    }
    const { policies, applied, restart } = applyLive(live, next);
    await this.#o.prepare(policies);
    await this.#o.record(next);
    live.put(policies);
    this.#o.apply(policies);
    log.info({ applied }, 'policies loaded');
    if (restart.length > 0) log.warn({ fields: restart }, 'these changes of policies need a restart of the service');
  }

  /** What the files say, as a digest; null while one can't be read. */
  async #read(): Promise<string | null> {
    try {
      const files = this.#o.live.files.map(async ({ name }) => ({
        name,
        digest: hash('sha256', await readFile(join(this.#o.folder, name)), 'buffer'),
      }));
      return digestOf(await Promise.all(files));
    } catch {
      return null;
    }
  }
}

function digestOf(files: Policies['files']): string {
  return files.map(({ name, digest }) => `${name} ${digest.toString('hex')}`).join(', ');
}
