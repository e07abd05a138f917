/** Why a number leaves by the route that it does: the rules that fit, the one that won, and what each other lost by. Pure. */
import type { LaneName } from './lanes.ts';
import { matchOf, type Route, type RoutingPolicy } from './routing.ts';

export interface FittingRule {
  readonly route: string;
  readonly prefix: string;
  /** Whether the rule names the sender and the lane, or is for all. */
  readonly namesSender: boolean;
  readonly namesLane: boolean;
}

export interface RouteExplanation {
  readonly route: Route;
  readonly won: FittingRule;
  /** In the order of precedence, each with why the winner comes before it. */
  readonly lost: readonly (FittingRule & { readonly because: string })[];
}

/** @throws RangeError when `msisdn` is no `+` and digits. */
export function explainRoute(
  routing: RoutingPolicy,
  msisdn: string,
  lane: LaneName,
  sender: string | null,
): RouteExplanation {
  const { route } = matchOf(routing, msisdn, lane, sender);
  const [won, ...rest] = routing.routes.flatMap((each) => fitting(each, msisdn, lane, sender)).sort(byPrecedence);
  // One decides by tables, one by looking at every rule: they may never differ.
  if (won === undefined || won.route !== route.name) throw new TypeError('the tables and the rules disagree');
  return { route, won, lost: rest.map((rule) => ({ ...rule, because: whyNot(won, rule) })) };
}

function fitting(route: Route, msisdn: string, lane: LaneName, sender: string | null): FittingRule[] {
  if (route.lanes !== null && !route.lanes.includes(lane)) return [];
  if (route.senders !== null && (sender === null || !route.senders.includes(sender))) return [];
  return route.prefixes
    .filter((prefix) => msisdn.startsWith(prefix))
    .map((prefix) => ({
      route: route.name,
      prefix,
      namesSender: route.senders !== null,
      namesLane: route.lanes !== null,
    }));
}

function byPrecedence(a: FittingRule, b: FittingRule): number {
  return (
    b.prefix.length - a.prefix.length ||
    Number(b.namesSender) - Number(a.namesSender) ||
    Number(b.namesLane) - Number(a.namesLane)
  );
}

function whyNot(won: FittingRule, lost: FittingRule): string {
  if (won.prefix.length > lost.prefix.length) return `${won.prefix} is longer than ${lost.prefix}`;
  if (won.namesSender && !lost.namesSender) return `with the same prefix, '${won.route}' names the sender`;
  return `with the same prefix, '${won.route}' names the lane`;
}
