/**
 * What is paused, as a value, and what that means for work in memory. No clock, no database.
 *
 * People pause an alert, a lane, a route or a bind; the last act of a scope counts. A pause holds back deliveries that are
 * not on the wire yet: a paused lane, route or bind is not fetched for, and what it had in memory goes back to its queue;
 * the chunks of a paused alert are parked, without a job, until it is resumed. Expiry and cancelling go on meanwhile.
 */
import type { LaneName } from '../policy/index.ts';

export const PAUSE_SCOPES = ['alert', 'lane', 'route', 'bind'] as const;
export type PauseScope = (typeof PAUSE_SCOPES)[number];
/** What operators pause; an alert is its organisation's. */
export const OPERATOR_SCOPES = ['lane', 'route', 'bind'] as const satisfies readonly PauseScope[];
export type OperatorScope = (typeof OPERATOR_SCOPES)[number];

export interface Paused {
  readonly scope: PauseScope;
  /** An alert's id, or a name of policy. */
  readonly name: string;
}

/** What a pause means for a delivery: its alert's chunk is `parked`, or it waits in its `queue`. */
export type Held = 'parked' | 'queue';

export interface Holdable {
  readonly alert: string;
  readonly chunk: { readonly lane: LaneName; readonly route: string };
}

export class Pauses {
  static readonly NONE = new Pauses([]);
  /** Whether anything is paused at all: spares the hot path the rest. */
  readonly any: boolean;
  readonly #names: Readonly<Record<PauseScope, ReadonlySet<string>>>;

  constructor(paused: readonly Paused[]) {
    const of = (scope: PauseScope) => new Set(paused.filter((each) => each.scope === scope).map(({ name }) => name));
    this.any = paused.length > 0;
    this.#names = { alert: of('alert'), lane: of('lane'), route: of('route'), bind: of('bind') };
  }

  has(scope: PauseScope, name: string): boolean {
    return this.#names[scope].has(name);
  }

  names(scope: PauseScope): ReadonlySet<string> {
    return this.#names[scope];
  }

  /** Whether nothing of this route and lane may go out through this bind. */
  holdsFeed(bind: string, route: string, lane: LaneName): boolean {
    return this.any && (this.has('bind', bind) || this.has('lane', lane) || this.has('route', route));
  }

  /**
   * Why this delivery may not go out through this bind; null when it may. An alert's pause comes first: when lane or bind
   * are resumed, what is parked stays so.
   */
  holds(bind: string, { alert, chunk }: Holdable): Held | null {
    if (!this.any) return null;
    if (this.has('alert', alert)) return 'parked';
    return this.holdsFeed(bind, chunk.route, chunk.lane) ? 'queue' : null;
  }

  /** What is paused now and was not `before`, and the other way round. */
  since(before: Pauses): { paused: Paused[]; resumed: Paused[] } {
    const missing = (from: Pauses, to: Pauses): Paused[] =>
      PAUSE_SCOPES.flatMap((scope) =>
        [...from.names(scope)].filter((name) => !to.has(scope, name)).map((name) => ({ scope, name })),
      );
    return { paused: missing(this, before), resumed: missing(before, this) };
  }
}

/** What becomes of the part of a chunk that is not claimed. */
export type ChunkPlan<Item> =
  | { readonly kind: 'keep' }
  /** The whole rest goes back to its queue, or is parked with the chunk's alert. */
  | { readonly kind: 'return'; readonly as: Held }
  /** Only some of its alerts are paused: their deliveries go into chunks of their own, and those are parked. */
  | { readonly kind: 'split'; readonly stay: readonly Item[]; readonly parked: ReadonlyMap<string, readonly Item[]> };

/** @param alert of the chunk, null when its deliveries are of several. */
export function planChunk<Item extends Holdable>(
  pauses: Pauses,
  bind: string,
  { alert, waiting }: { readonly alert: string | null; readonly waiting: readonly Item[] },
): ChunkPlan<Item> {
  const first = waiting[0];
  if (first === undefined || !pauses.any) return { kind: 'keep' };
  const parked = Map.groupBy(
    waiting.filter((item) => pauses.has('alert', item.alert)),
    (item) => item.alert,
  );
  if (alert !== null && parked.get(alert)?.length === waiting.length) return { kind: 'return', as: 'parked' };
  // As one: what of it is parked is found so when it is fetched again.
  if (pauses.holdsFeed(bind, first.chunk.route, first.chunk.lane)) return { kind: 'return', as: 'queue' };
  if (parked.size === 0) return { kind: 'keep' };
  return { kind: 'split', stay: waiting.filter((item) => !pauses.has('alert', item.alert)), parked };
}
