/**
 * Group commit: arrivals of a few milliseconds become one transaction, so that a durable answer costs a fraction of a
 * commit each.
 *
 * A bounded queue, and writers with a chain and a session each. An alert that comes alone is taken at once. Where several
 * came together lately, or another writer is at work, a writer waits until as many have gathered as the last time, or
 * something has waited `lingerMs`: a group of one costs nearly as much as one of thirty. Emergencies are taken at once and
 * among themselves, by a writer that is kept for them or by any other that is free: none waits for a group of other lanes.
 *
 * | a group fails | what follows |
 * |---|---|
 * | a row is refused (SQLSTATE 22, 23), a key's row stays locked (55P03), or our own code threw | it is split until that alert alone is refused |
 * | rolled back for another reason (lost connection, no session) | all are told to try again: nothing was stored |
 * | COMMIT unanswered, and no way to find out | the same, but whether they are stored is not known |
 */
import { ChainBusy, type ChainWriter } from '../audit/index.ts';
import { type Clock, type IdAllocator, TransactionFailed } from '../platform/index.ts';
import { type Arrival, type GroupOutcome, type GroupTools, idsOf, writeGroup } from './group.ts';
import type { KnownKey } from './idempotency.ts';

/** What became of one arrival. */
export type Outcome =
  | { readonly kind: 'new' }
  /** Its key was used before. `row` is null when that row went away meanwhile. */
  | { readonly kind: 'known'; readonly row: KnownKey | null }
  /** Another process writes the same key, and took long. */
  | { readonly kind: 'key-locked' }
  /** Not stored (`rolled-back`), or not known whether (`uncertain`). */
  | { readonly kind: 'unavailable'; readonly outcome: 'rolled-back' | 'uncertain' };

export interface IntakeOptions extends GroupTools {
  clock: Clock;
  /** Must not fetch its blocks from the writers' pool. */
  ids: IdAllocator;
  writers: readonly ChainWriter[];
  /** Kept for emergencies. */
  urgentWriters?: readonly ChainWriter[];
  /** After each transaction that took its turn, durable or not. */
  onGroup?: ((group: { alerts: number; ms: number; failed: boolean }) => void) | undefined;
  onTrouble: (error: unknown) => void;
  limits?: Partial<IntakeLimits> | undefined;
}

export interface IntakeLimits {
  /** Alerts in one transaction. */
  groupMax: number;
  /** Rows (texts and named recipients) in one transaction; a larger alert goes alone. */
  rowsMax: number;
  lingerMs: number;
  /** So many are a good group, however many there were the last time. */
  groupGood: number;
  /** Alerts that may wait; emergencies have as much room again. */
  queueMax: number;
}

export const INTAKE_LIMITS: IntakeLimits = {
  groupMax: 500,
  rowsMax: 5_000,
  lingerMs: 10,
  groupGood: 100,
  queueMax: 5_000,
};

/** For how long after a group of several the next alert is expected to have company too. */
const COMPANY_MS = 50;

interface Waiting {
  readonly arrival: Arrival;
  readonly since: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

export class Intake {
  readonly #o: IntakeOptions;
  readonly #limits: IntakeLimits;
  readonly #idle: ChainWriter[];
  readonly #idleUrgent: ChainWriter[];
  readonly #urgent: Waiting[] = [];
  readonly #rest: Waiting[] = [];
  #scheduled = false;
  /** When a group of more than one was last taken, and how many it had. */
  #companyAt = Number.NEGATIVE_INFINITY;
  #company = 0;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;
  #drained: (() => void)[] = [];

  constructor(options: IntakeOptions) {
    this.#o = options;
    this.#limits = { ...INTAKE_LIMITS, ...options.limits };
    this.#idle = [...options.writers];
    this.#idleUrgent = [...(options.urgentWriters ?? [])];
  }

  get waiting(): number {
    return this.#urgent.length + this.#rest.length;
  }

  /** How full it is, and how late. */
  load(): { waitingShare: number; urgentShare: number; storeLagMs: number } {
    const { queueMax } = this.#limits;
    const oldest = Math.min(
      this.#urgent[0]?.since ?? Number.POSITIVE_INFINITY,
      this.#rest[0]?.since ?? Number.POSITIVE_INFINITY,
    );
    return {
      waitingShare: this.#closing ? 1 : this.#rest.length / queueMax,
      urgentShare: this.#closing ? 1 : this.#urgent.length / queueMax,
      storeLagMs: Number.isFinite(oldest) ? this.#o.clock.monotonic() - oldest : 0,
    };
  }

  /** False: one more would be refused. Ask before the work of sealing is done. */
  hasRoom(urgent: boolean): boolean {
    return !this.#closing && (urgent ? this.#urgent : this.#rest).length < this.#limits.queueMax;
  }

  /** Resolves after the commit. Rejects with what is a bug: a row that the database refuses. */
  add(arrival: Arrival): Promise<Outcome> {
    const urgent = arrival.checked.request.lane === 'emergency';
    if (!this.hasRoom(urgent)) return Promise.resolve({ kind: 'unavailable', outcome: 'rolled-back' });
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const waiting = { arrival, since: this.#o.clock.monotonic(), resolve, reject };
    (urgent ? this.#urgent : this.#rest).push(waiting);
    this.#schedule();
    return promise;
  }

  /** Refuses new arrivals and resolves when all that wait are answered. */
  async drain(): Promise<void> {
    this.#closing = true;
    if (this.waiting === 0 && this.#still) return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** After this turn of the event loop, so that all requests read in it are in one group. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  /** Nothing is being written. */
  get #still(): boolean {
    const { writers, urgentWriters = [] } = this.#o;
    return this.#idle.length === writers.length && this.#idleUrgent.length === urgentWriters.length;
  }

  #dispatch(): void {
    clearTimeout(this.#timer);
    while (this.#urgent.length > 0) {
      const idle = this.#idleUrgent.length > 0 ? this.#idleUrgent : this.#idle;
      if (idle.length === 0) break;
      this.#start(idle, this.#take(this.#urgent));
    }
    while (this.#idle.length > 0 && this.#rest.length > 0) {
      const now = this.#o.clock.monotonic();
      const waited = now - (this.#rest[0] as Waiting).since;
      const alone = this.#idle.length === this.#o.writers.length && now - this.#companyAt > COMPANY_MS;
      const good = Math.min(this.#limits.groupGood, Math.max(this.#company, 2));
      const due = alone || this.#rest.length >= good;
      if (!due && waited < this.#limits.lingerMs) {
        this.#timer = setTimeout(() => this.#dispatch(), this.#limits.lingerMs - waited);
        return;
      }
      const group = this.#take(this.#rest);
      if (group.length > 1) this.#companyAt = now;
      this.#company = group.length;
      this.#start(this.#idle, group);
    }
  }

  #start(idle: ChainWriter[], group: Waiting[]): void {
    const writer = idle.pop() as ChainWriter;
    void this.#write(writer, group).finally(() => {
      idle.push(writer);
      if (this.waiting > 0) this.#dispatch();
      else if (this.#still) for (const done of this.#drained.splice(0)) done();
    });
  }

  /** The next group of a queue. */
  #take(queue: Waiting[]): Waiting[] {
    let rows = 0;
    let taken = 0;
    for (const { arrival } of queue) {
      rows += arrival.texts.length + arrival.named.length;
      if (taken > 0 && (taken >= this.#limits.groupMax || rows > this.#limits.rowsMax)) break;
      taken++;
    }
    return queue.splice(0, taken);
  }

  /** Writes a group and answers it; never rejects. */
  async #write(writer: ChainWriter, group: readonly Waiting[]): Promise<void> {
    const started = this.#o.clock.monotonic();
    try {
      const outcome = await this.#commit(writer, group);
      this.#report(group, started, false);
      for (const { arrival, resolve } of group) resolve(outcome.get(arrival) ?? { kind: 'new' });
    } catch (error) {
      this.#report(group, started, true);
      await this.#failed(writer, group, error);
    }
  }

  async #commit(writer: ChainWriter, group: readonly Waiting[]): Promise<GroupOutcome> {
    const arrivals = group.map(({ arrival }) => arrival);
    const firstId = await this.#o.ids.take(idsOf(arrivals));
    const write = (numbers: 'mostly-new' | 'contested') =>
      writer.append((tx, entry) => writeGroup(tx, entry, arrivals, firstId, this.#o, numbers));
    const result = await write('mostly-new').catch((error: unknown) => {
      if (!isTaken(error)) throw error;
      return write('contested');
    });
    this.#o.recipients.remember(result.recipients);
    const { fresh, news } = this.#o;
    if (fresh !== undefined) {
      for (const [body, text] of result.texts) fresh.texts.add(body, text);
      for (const [chunk, deliveries] of result.deliveries) fresh.deliveries.add(chunk, deliveries);
    }
    news.announce(result.woken);
    return result.outcome;
  }

  async #failed(writer: ChainWriter, group: readonly Waiting[], error: unknown): Promise<void> {
    const unavailable = unavailability(error);
    if (unavailable !== null) {
      this.#o.onTrouble(error);
      for (const { resolve } of group) resolve({ kind: 'unavailable', outcome: unavailable });
      return;
    }
    if (group.length > 1) {
      const half = group.length >> 1;
      await this.#write(writer, group.slice(0, half));
      await this.#write(writer, group.slice(half));
      return;
    }
    const [only] = group;
    if (isLocked(error) && only?.arrival.idempotency !== null) only?.resolve({ kind: 'key-locked' });
    else only?.reject(error);
  }

  #report(group: readonly Waiting[], started: number, failed: boolean): void {
    this.#o.onGroup?.({ alerts: group.length, ms: this.#o.clock.monotonic() - started, failed });
  }
}

/** Null when the fault lies in a row, or in our own code: then all others of the group can be stored without it. */
function unavailability(error: unknown): 'rolled-back' | 'uncertain' | null {
  if (error instanceof ChainBusy) return 'rolled-back';
  if (!(error instanceof TransactionFailed)) return null;
  if (error.outcome === 'uncertain') return 'uncertain';
  return /^2[23]/.test(error.code ?? '') || isLocked(error) ? null : 'rolled-back';
}

/** unique_violation: as a rule somebody else made a number at the same time. */
const isTaken = (error: unknown): boolean =>
  error instanceof TransactionFailed && error.outcome === 'rolled-back' && error.code === '23505';

/** lock_not_available: `lock_timeout` ran out. */
const isLocked = (error: unknown): boolean => error instanceof TransactionFailed && error.code === '55P03';
