/** From what the holders of a route's binds last said: who takes its work at this moment, and who next. Pure. */
import type { EpochMs } from '../platform/index.ts';
import type { Route } from '../policy/index.ts';
import { type BindStateRow, isAble } from './bind-state.ts';
import { weakBinds } from './health.ts';
import { type Pull, pullOf } from './tiers.ts';

export interface BindNow {
  readonly bind: string;
  /** 1-based. */
  readonly tier: number;
  readonly able: boolean;
  readonly weak: boolean;
  readonly pull: Pull;
}

/** In the order of the tiers. A bind without a row, or with an old one, is taken as not able. */
export function pullsNow(route: Route, rows: ReadonlyMap<string, BindStateRow>, now: EpochMs): BindNow[] {
  const able = (bind: string): boolean => {
    const row = rows.get(bind);
    return row !== undefined && isAble(row, now);
  };
  const excesses = new Map(route.binds.filter(able).map((bind) => [bind, rows.get(bind)?.excess ?? null]));
  const weak = weakBinds(excesses, new Set());
  const standing = (bind: string) => ({ able: able(bind), lately: able(bind), weak: weak.has(bind) });
  return route.tiers.flatMap((tier, index) =>
    tier.map((bind) => ({
      bind,
      tier: index + 1,
      able: able(bind),
      weak: weak.has(bind),
      pull: pullOf(route.tiers, bind, standing),
    })),
  );
}

/** Of those that take all, the one with the most tokens. */
export function nextTaker(binds: readonly BindNow[], rows: ReadonlyMap<string, BindStateRow>): string | null {
  const taking = binds.filter(({ pull }) => pull === 'all');
  const tokens = (bind: string): number => rows.get(bind)?.tokens ?? 0;
  return taking.toSorted((a, b) => tokens(b.bind) - tokens(a.bind))[0]?.bind ?? null;
}
