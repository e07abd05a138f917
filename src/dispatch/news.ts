/**
 * Tells the fetch loops of all processes that work was committed: after the commit, by a transaction of its own.
 *
 * A NOTIFY inside a transaction takes a lock of the whole server that is held until its commit is on disk, so that
 * notifications come in the order of commits. All who notify stand in line for it, each for a flush of its own: half of
 * what an emergency's commit waited for while lists fanned out and alerts came in. Emergencies are told of inside their
 * transaction all the same: nobody waits long for them, and none is missed. What a crash keeps from being told is found
 * half a second later, when the loops look anyway.
 */
import type { Database } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { DISPATCH_CHANNEL, payloadOf } from './chunks.ts';

export interface Woken {
  readonly route: string;
  readonly lane: LaneName;
}

/** What of this is told inside its transaction, and what after the commit. */
export function partNews(due: readonly Woken[]): { inside: Woken[]; after: Woken[] } {
  const inside: Woken[] = [];
  const after: Woken[] = [];
  for (const { route, lane } of due) (lane === 'emergency' ? inside : after).push({ route, lane });
  return { inside, after };
}

export class DispatchNews {
  readonly #database: Pick<Database, 'notify'>;
  readonly #waiting = new Map<string, Woken>();
  #telling = false;

  constructor(database: Pick<Database, 'notify'>) {
    this.#database = database;
  }

  /** Call it after the commit. What comes while something is being told is told together. */
  announce(woken: readonly Woken[]): void {
    for (const { route, lane } of woken) this.#waiting.set(`${route}.${lane}`, { route, lane });
    if (!this.#telling && this.#waiting.size > 0) void this.#tell();
  }

  async #tell(): Promise<void> {
    this.#telling = true;
    while (this.#waiting.size > 0) {
      const payload = payloadOf([...this.#waiting.values()]);
      this.#waiting.clear();
      await this.#database.notify(DISPATCH_CHANNEL, payload);
    }
    this.#telling = false;
  }
}
