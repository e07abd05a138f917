/**
 * routing.yaml: which group of binds a number's alerts leave by.
 *
 * Of the routes whose prefix begins the number and which serve the lane, the longest prefix wins; of two with the same
 * prefix, the one that names the lane wins over the one for every lane. routeOf decides for one number; routeCase writes
 * the same decision as SQL for fan-out, which routes a page of recipients in one statement.
 */
import { z } from 'zod';
import { name } from './fields.ts';
import { LANES, type LaneName } from './lanes.ts';

export interface Route {
  readonly name: string;
  /** Each `+` and digits; `+` alone is every number. */
  readonly prefixes: readonly string[];
  /** The lanes that the route serves; null for all. */
  readonly lanes: readonly LaneName[] | null;
  /** Names of carriers, in the order of the file. */
  readonly binds: readonly string[];
}

export interface RoutingPolicy {
  readonly routes: readonly Route[];
  /** For each lane, the route of each prefix that is written in the file. */
  readonly byPrefix: Readonly<Record<LaneName, ReadonlyMap<string, Route>>>;
}

/** `+` and up to the 15 digits of E.164. */
export const PREFIX = /^\+\d{0,15}$/;

const prefix = z
  .string({ error: "expected a quoted prefix such as '+44' (unquoted, YAML reads a number)" })
  .regex(PREFIX, "a prefix is '+' and up to 15 digits");

export const routingFile = z
  .strictObject({
    routes: z
      .array(
        z.strictObject({
          name,
          prefixes: z.array(prefix).min(1, 'names no prefix').max(10_000),
          lanes: z
            .array(z.enum(LANES))
            .min(1, 'names no lane')
            .optional()
            .describe('The lanes served; all when absent.'),
          binds: z.array(name).min(1, 'names no carrier').max(100).describe('Names from carriers.yaml.'),
        }),
      )
      .min(1, 'names no route')
      .max(1_000),
  })
  .transform(({ routes }) => routes.map((route): Route => ({ ...route, lanes: route.lanes ?? null })));

/** Where in `routes` a rule is broken, and why. */
export type RoutingMistake = (path: (string | number)[], reason: string) => void;

/** Names every route that repeats or contradicts another, and every lane that some number has no route for. */
export function checkRoutes(routes: readonly Route[], mistake: RoutingMistake): void {
  const names = new Set<string>();
  const taken = new Map<string, string>();
  for (const [index, route] of routes.entries()) {
    if (names.has(route.name)) mistake([index, 'name'], `a route named '${route.name}' stands above`);
    names.add(route.name);
    repeated(route.binds, (at) => mistake([index, 'binds', at], 'names the same carrier twice'));
    repeated(route.lanes ?? [], (at) => mistake([index, 'lanes', at], 'names the same lane twice'));
    for (const [at, text] of route.prefixes.entries()) {
      for (const lane of route.lanes ?? ['every lane']) {
        const holder = taken.get(`${text} ${lane}`);
        if (holder !== undefined)
          mistake([index, 'prefixes', at], `'${text}' for ${lane} is taken by route '${holder}'`);
        taken.set(`${text} ${lane}`, route.name);
      }
    }
  }
  for (const lane of LANES) {
    if (!taken.has('+ every lane') && !taken.has(`+ ${lane}`)) {
      mistake([], `lane ${lane} has no route with the prefix '+', which takes the numbers that no other prefix does`);
    }
  }
}

/** Makes the tables that routeOf looks into. `routes` have passed checkRoutes. */
export function compileRouting(routes: readonly Route[]): RoutingPolicy {
  const byPrefix = Object.fromEntries(LANES.map((lane) => [lane, routesOf(routes, lane)]));
  return { routes, byPrefix: byPrefix as Record<LaneName, Map<string, Route>> };
}

/** The route of `msisdn` (`+` and digits) in `lane`: at most 16 look-ups. */
export function routeOf(routing: RoutingPolicy, msisdn: string, lane: LaneName): Route {
  const table = routing.byPrefix[lane];
  for (let length = Math.min(msisdn.length, 16); length > 0; length--) {
    const route = table.get(msisdn.slice(0, length));
    if (route !== undefined) return route;
  }
  // checkRoutes has seen a '+' for every lane, so this is no E.164 number. It is not named: it may be someone's.
  throw new RangeError('no route: not an E.164 number with a leading +');
}

/**
 * The same decision as a SQL expression of type smallint: the id of the route of the number in `column`.
 *
 * Built from validated prefixes (`+` and digits) and integer ids alone; `column` is a plain, maybe qualified, name.
 * Prefixes that would change nothing are left out, so that a table with one route costs nothing.
 */
export function routeCase(
  routing: RoutingPolicy,
  lane: LaneName,
  column: string,
  idOf: (route: string) => number,
): string {
  if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(column)) throw new RangeError('not a plain column name');
  const table = routing.byPrefix[lane];
  const longestFirst = [...table].sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1));
  const arms = longestFirst
    .filter(([text, route]) => text !== '+' && shorter(table, text) !== route)
    .map(([text, route]) => ` WHEN starts_with(${column}, '${checked(text)}') THEN ${id(idOf, route)}`);
  const rest = table.get('+');
  if (rest === undefined) throw new RangeError('no route with the prefix +');
  if (arms.length === 0) return `${id(idOf, rest)}::smallint`;
  return `(CASE${arms.join('')} ELSE ${id(idOf, rest)} END)::smallint`;
}

function routesOf(routes: readonly Route[], lane: LaneName): Map<string, Route> {
  const table = new Map<string, Route>();
  const general = routes.filter((route) => route.lanes === null);
  const specific = routes.filter((route) => route.lanes?.includes(lane));
  for (const route of [...general, ...specific]) {
    for (const text of route.prefixes) table.set(text, route);
  }
  return table;
}

/** The route that a number with this prefix would have if the prefix were not in the table. */
function shorter(table: ReadonlyMap<string, Route>, text: string): Route | undefined {
  for (let length = text.length - 1; length > 0; length--) {
    const route = table.get(text.slice(0, length));
    if (route !== undefined) return route;
  }
  return undefined;
}

function checked(text: string): string {
  if (!PREFIX.test(text)) throw new RangeError('not a prefix');
  return text;
}

function id(idOf: (route: string) => number, route: Route): number {
  const value = idOf(route.name);
  if (!Number.isInteger(value)) throw new RangeError(`route ${route.name} has no id`);
  return value;
}

function repeated(values: readonly string[], found: (index: number) => void): void {
  for (const [index, value] of values.entries()) if (values.indexOf(value) < index) found(index);
}
