/** Operators' pauses of lanes, routes and binds: who asks is named, and every act is a fact. */
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, EpochMs, Pool } from '../platform/index.ts';
import { isLaneName } from '../policy/index.ts';
import { listPauses, type OperatorPause, setPaused } from './pause-acts.ts';
import type { OperatorScope } from './pauses.ts';

/** Where a lane, route or bind stands, and the act that put it there; nulls when there never was one. */
export interface OperatorState {
  readonly scope: OperatorScope;
  readonly name: string;
  readonly paused: boolean;
  readonly why: string | null;
  readonly who: string | null;
  readonly since: EpochMs | null;
}

export interface PauseService {
  /** All that is paused, by scope and name. */
  list(): Promise<OperatorPause[]>;
  /** What is paused already stays so, with the reason given first. Null when there is no such lane, route or bind. */
  pause(scope: OperatorScope, name: string, why: string, who: string): Promise<OperatorState | null>;
  /** What is not paused stays as it is. Null when there is no such lane, route or bind. */
  resume(scope: OperatorScope, name: string, who: string): Promise<OperatorState | null>;
}

export class PauseDesk implements PauseService {
  readonly #o: { writer: ChainWriter; clock: Pick<Clock, 'now'>; pool: Pool };

  constructor(options: { writer: ChainWriter; clock: Pick<Clock, 'now'>; pool: Pool }) {
    this.#o = options;
  }

  list(): Promise<OperatorPause[]> {
    return listPauses(this.#o.pool);
  }

  pause(scope: OperatorScope, name: string, why: string, who: string): Promise<OperatorState | null> {
    return this.#set(scope, name, true, why, who);
  }

  resume(scope: OperatorScope, name: string, who: string): Promise<OperatorState | null> {
    return this.#set(scope, name, false, null, who);
  }

  async #set(
    scope: OperatorScope,
    name: string,
    paused: boolean,
    why: string | null,
    who: string,
  ): Promise<OperatorState | null> {
    if (!(await this.#exists(scope, name))) return null;
    const act = await setPaused(this.#o.writer, this.#o.clock, { scope, name, paused, why, who });
    return { scope, name, paused, why: act?.why ?? null, who: act?.who ?? null, since: act?.at ?? null };
  }

  /** Names that policy has, or once had: work of a route that is gone may still be waiting. */
  async #exists(scope: OperatorScope, name: string): Promise<boolean> {
    if (scope === 'lane') return isLaneName(name);
    const table = scope === 'route' ? 'route' : 'bind';
    const rows = await this.#o.pool.query(`SELECT id FROM ${table} WHERE name = $1`, [name], { retries: 2 });
    return rows.length > 0;
  }
}
