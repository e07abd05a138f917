/**
 * The sessions of a bind from tenure to tenure: a carrier sees those of the process that holds the lease, and no others.
 * Each tenure has a `CarrierBind` of its own, dialled at its beginning and unbound at its end; counts go on over all.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type CarrierBind, type CarrierBindStats, LinkCounters } from '../smpp/index.ts';
import type { Sent } from './wire.ts';

/** What a former tenure has in flight may keep its sessions up this long when the next one wants to dial. */
const LINGER_MS = 1_000;

export class Tenures {
  readonly #open: (isCurrent: () => boolean) => CarrierBind<Sent>;
  /** Made already, for the next tenure: names that can not be carried are found out at the start. */
  #next: CarrierBind<Sent> | null;
  #current: CarrierBind<Sent> | null = null;
  #leaving: CarrierBind<Sent> | null = null;
  #left: Promise<void> = Promise.resolve();
  #wanted = false;
  readonly #past = { binds: 0, dialFailures: 0, counters: new LinkCounters(), lastError: null as string | null };

  /** @param open makes the sessions of one tenure; `isCurrent` is false before it begins and after it has ended. */
  constructor(open: (isCurrent: () => boolean) => CarrierBind<Sent>) {
    this.#open = open;
    this.#next = this.#make();
  }

  get current(): CarrierBind<Sent> | null {
    return this.#current;
  }

  /** submit_sm in flight, those of the tenure before included. */
  get unanswered(): number {
    return (this.#current?.unanswered ?? 0) + (this.#leaving?.unanswered ?? 0);
  }

  /** Dials, when the sessions of the tenure before are gone: at once, or within a second. */
  dial(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    if (this.#leaving === null) this.#dialNow();
    else void Promise.race([this.#left, sleep(LINGER_MS)]).then(() => this.#dialNow());
  }

  /** Unbinds what is up. Bounded by the time that an answer may take. */
  hangUp(): Promise<void> {
    this.#wanted = false;
    const bind = this.#current;
    if (bind === null) return this.#left;
    this.#current = null;
    this.#leaving = bind;
    this.#left = bind.unbind().then(() => this.#gone(bind));
    return this.#left;
  }

  stats(): CarrierBindStats {
    const { binds, dialFailures, counters, lastError } = this.#past;
    const live = [this.#current, this.#leaving].filter((bind) => bind !== null).map((bind) => bind.stats());
    const all = new LinkCounters().add(counters);
    for (const stats of live) all.add(stats.counters);
    const sum = (read: (stats: CarrierBindStats) => number): number =>
      live.reduce((total, stats) => total + read(stats), 0);
    return {
      state: live[0]?.state ?? 'closed',
      sessions: sum(({ sessions }) => sessions),
      unanswered: sum(({ unanswered }) => unanswered),
      waiting: sum(({ waiting }) => waiting),
      binds: binds + sum((stats) => stats.binds),
      dialFailures: dialFailures + sum((stats) => stats.dialFailures),
      counters: all,
      roundTripMs: live[0]?.roundTripMs ?? null,
      lastError: live[0]?.lastError ?? lastError,
      bySession: live.flatMap(({ bySession }) => bySession),
    };
  }

  #make(): CarrierBind<Sent> {
    const bind: CarrierBind<Sent> = this.#open(() => this.#current === bind);
    return bind;
  }

  #dialNow(): void {
    if (!this.#wanted || this.#current !== null) return;
    // Its answers are overdue: they are in doubt, as after a crash.
    this.#leaving?.close();
    if (this.#leaving !== null) this.#gone(this.#leaving);
    this.#current = this.#next ?? this.#make();
    this.#next = null;
    this.#current.start();
  }

  #gone(bind: CarrierBind<Sent>): void {
    if (this.#leaving !== bind) return;
    this.#leaving = null;
    const { binds, dialFailures, counters, lastError } = bind.stats();
    this.#past.binds += binds;
    this.#past.dialFailures += dialFailures;
    this.#past.counters.add(counters);
    this.#past.lastError = lastError;
  }
}
