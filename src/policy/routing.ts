/**
 * routing.yaml: which group of binds a number's alerts leave by.
 *
 * Of the routes whose prefix begins the number and which serve the lane and the alert's sender, one wins:
 *
 *   1. the longest prefix,
 *   2. of these, a route that names the sender before one for every sender,
 *   3. of these, a route that names the lane before one for every lane.
 *
 * An alert without a sender meets only routes for every sender. routeOf decides for one number; routeCase writes the same
 * decision as SQL for fan-out, which routes a page of recipients in one statement; explainRoute says why.
 */
import { z } from 'zod';
import { ascii, duration, name } from './fields.ts';
import { LANES, type LaneName } from './lanes.ts';
import type { Protocol } from './protocol.ts';

export interface Route {
  readonly name: string;
  /** Each `+` and digits; `+` alone is every number. None: only what another route's `onNoRoute` brings. */
  readonly prefixes: readonly string[];
  /** The lanes that the route serves; null for all. */
  readonly lanes: readonly LaneName[] | null;
  /** Senders as alerts name them; null for all, and for alerts without one. */
  readonly senders: readonly string[] | null;
  /** Names of carriers: those of a later tier take work only while no bind of an earlier one is able to. */
  readonly tiers: readonly (readonly string[])[];
  /** All of them, in the order of the file. */
  readonly binds: readonly string[];
  /** Where a delivery goes, once, when the carrier says that it has no way to the number; null: nowhere. */
  readonly noRoute: NoRoute | null;
}

export interface NoRoute {
  readonly route: string;
  /** command_status values that say so; null: those of class `address`. */
  readonly statuses: ReadonlySet<number> | null;
  /** Values of `err:` in a receipt of a failure that say so. */
  readonly errors: ReadonlySet<string>;
}

/** The routes of one lane by the prefixes that are written in the file. */
export interface LaneTable {
  readonly everySender: ReadonlyMap<string, Route>;
  /** Only those that name the sender. */
  readonly bySender: ReadonlyMap<string, ReadonlyMap<string, Route>>;
}

export interface RoutingPolicy {
  readonly routes: readonly Route[];
  readonly tables: Readonly<Record<LaneName, LaneTable>>;
  readonly portability: PortabilityPolicy | null;
}

/** Where the network of a number that was taken along is asked for. */
export interface PortabilityPolicy {
  /** `{msisdn}` stands for the number, `+` and digits, percent-encoded. */
  readonly url: string;
  readonly timeoutMs: number;
  /** Lookups under way at once; more are not made. */
  readonly concurrency: number;
  /** Answers kept, and for how long. */
  readonly cacheMax: number;
  readonly cacheMs: number;
  /** So many failures in a row, and none is made for `restMs`. */
  readonly failuresMax: number;
  readonly restMs: number;
}

/** `+` and up to the 15 digits of E.164. */
export const PREFIX = /^\+\d{0,15}$/;

const prefix = z
  .string({ error: "expected a quoted prefix such as '+44' (unquoted, YAML reads a number)" })
  .regex(PREFIX, "a prefix is '+' and up to 15 digits");

const tier = z.array(name).min(1, 'names no carrier').max(100);

const route = z
  .strictObject({
    name,
    prefixes: z
      .array(prefix)
      .min(1, 'names no prefix')
      .max(10_000)
      .optional()
      .describe("Absent only where another route's onNoRoute leads here."),
    lanes: z.array(z.enum(LANES)).min(1, 'names no lane').optional().describe('The lanes served; all when absent.'),
    senders: z
      .array(ascii(20).min(1, 'must not be empty'))
      .min(1, 'names no sender')
      .max(1_000)
      .optional()
      .describe('The senders served, as alerts name them; all when absent.'),
    binds: tier.optional().describe('Names from carriers.yaml, which share the work.'),
    tiers: z
      .array(tier)
      .min(1, 'names no tier')
      .max(10)
      .optional()
      .describe('In place of binds: a later tier takes work only while no bind of an earlier one is able to.'),
    onNoRoute: name
      .optional()
      .describe('The route that is tried once when a carrier of this one says that it has no way to the number.'),
    noRouteStatuses: z
      .array(z.union([z.string(), z.int()]))
      .min(1, 'names no status')
      .max(100)
      .optional()
      .describe('Names or numbers of command_status that say so; those of class address when absent.'),
    noRouteErrors: z
      .array(ascii(20).min(1, 'must not be empty'))
      .min(1, 'names no error')
      .max(100)
      .optional()
      .describe("Values of 'err:' in a receipt of a failure that say so."),
  })
  .refine((fields) => (fields.binds === undefined) !== (fields.tiers === undefined), {
    error: "needs either 'binds' or 'tiers'",
    path: ['binds'],
  });

export type RouteFields = z.output<typeof route>;

const HTTP_URL = /^https?:\/\/[^\s]+$/;

const portability = z
  .strictObject({
    url: z
      .string()
      .regex(HTTP_URL, "expected 'http://…' or 'https://…'")
      .refine((url) => url.split('{msisdn}').length === 2, 'must name {msisdn} once'),
    timeout: duration(10, 2_000).prefault('PT0.2S').describe('Then the prefix decides.'),
    concurrency: z.int().min(1).max(1_000).default(50).describe('Lookups at once; beyond them the prefix decides.'),
    cacheSize: z.int().min(1).max(1_000_000).default(100_000),
    cacheTime: duration(1_000, 30 * 86_400_000).prefault('P1D'),
    failures: z.int().min(1).max(1_000).default(5).describe('In a row, and lookups rest.'),
    rest: duration(100, 3_600_000).prefault('PT30S'),
  })
  .describe('Asks which network a number belongs to now; for alerts to one number.');

export const routingFile = z.strictObject({
  routes: z.array(route).min(1, 'names no route').max(1_000),
  portability: portability.optional(),
});

export type RoutingFields = z.output<typeof routingFile>;

/** Where in `routes` a rule is broken, and why. */
export type RoutingMistake = (path: (string | number)[], reason: string) => void;

/** The routes of the file, its statuses read by the protocol's tables. */
export function resolveRoutes(fields: readonly RouteFields[], protocol: Protocol, mistake: RoutingMistake): Route[] {
  return fields.map((own, index) => {
    const tiers = own.tiers ?? [own.binds ?? []];
    const statuses = new Set<number>();
    for (const [at, text] of (own.noRouteStatuses ?? []).entries()) {
      const status = protocol.parseStatus(String(text));
      if (status !== undefined) statuses.add(status);
      else {
        const reason = 'is no command_status: expected a name such as ESME_RINVDSTADR, or 0x0001–0x04FF';
        mistake([index, 'noRouteStatuses', at], reason);
      }
    }
    if (own.onNoRoute === undefined) {
      for (const field of ['noRouteStatuses', 'noRouteErrors'] as const) {
        if (own[field] !== undefined) mistake([index, field], "needs 'onNoRoute', the route that is tried then");
      }
    }
    return {
      name: own.name,
      prefixes: own.prefixes ?? [],
      lanes: own.lanes ?? null,
      senders: own.senders ?? null,
      tiers,
      binds: tiers.flat(),
      noRoute:
        own.onNoRoute === undefined
          ? null
          : {
              route: own.onNoRoute,
              statuses: own.noRouteStatuses === undefined ? null : statuses,
              errors: new Set(own.noRouteErrors ?? []),
            },
    };
  });
}

export function resolvePortability(fields: RoutingFields['portability']): PortabilityPolicy | null {
  if (fields === undefined) return null;
  return {
    url: fields.url,
    timeoutMs: fields.timeout,
    concurrency: fields.concurrency,
    cacheMax: fields.cacheSize,
    cacheMs: fields.cacheTime,
    failuresMax: fields.failures,
    restMs: fields.rest,
  };
}

const EVERY_LANE = 'every lane';
const EVERY_SENDER = 'every sender';

/** Names every route that repeats or contradicts another, and every lane that some number has no route for. */
export function checkRoutes(routes: readonly Route[], mistake: RoutingMistake): void {
  const byName = new Map<string, Route>();
  const taken = new Map<string, string>();
  for (const [index, route] of routes.entries()) {
    if (byName.has(route.name)) mistake([index, 'name'], `a route named '${route.name}' stands above`);
    else byName.set(route.name, route);
    repeated(route.binds, (at) => mistake([index, ...bindPath(route, at)], 'names the same carrier twice'));
    repeated(route.lanes ?? [], (at) => mistake([index, 'lanes', at], 'names the same lane twice'));
    repeated(route.senders ?? [], (at) => mistake([index, 'senders', at], 'names the same sender twice'));
    for (const [at, text] of route.prefixes.entries()) {
      for (const lane of route.lanes ?? [EVERY_LANE]) {
        for (const sender of route.senders ?? [EVERY_SENDER]) {
          // A sender may be called like the word that stands for all of them.
          const key = JSON.stringify([text, lane, route.senders === null, sender]);
          const holder = taken.get(key);
          const whose = route.senders === null ? '' : ` and sender '${sender}'`;
          if (holder !== undefined)
            mistake([index, 'prefixes', at], `'${text}' for ${lane}${whose} is taken by route '${holder}'`);
          taken.set(key, route.name);
        }
      }
    }
  }
  checkNoRoutes(routes, byName, mistake);
  const everyone = (lane: string) => taken.has(JSON.stringify(['+', lane, true, EVERY_SENDER]));
  for (const lane of LANES) {
    if (!everyone(EVERY_LANE) && !everyone(lane)) {
      mistake([], `lane ${lane} has no route with the prefix '+', which takes the numbers that no other prefix does`);
    }
  }
}

/** Where the bind at this place of `binds` stands in the file. */
export function bindPath({ tiers }: Pick<Route, 'tiers'>, at: number): (string | number)[] {
  if (tiers.length === 1) return ['binds', at];
  let first = 0;
  for (const [index, { length }] of tiers.entries()) {
    if (at < first + length) return ['tiers', index, at - first];
    first += length;
  }
  throw new RangeError('the route has no such bind');
}

function checkNoRoutes(routes: readonly Route[], byName: ReadonlyMap<string, Route>, mistake: RoutingMistake): void {
  const targets = new Set(routes.map(({ noRoute }) => noRoute?.route));
  for (const [index, route] of routes.entries()) {
    if (route.prefixes.length === 0 && !targets.has(route.name)) {
      mistake([index, 'prefixes'], "is missing, and no other route's onNoRoute leads here");
    }
    if (route.noRoute === null) continue;
    const at = [index, 'onNoRoute'];
    const target = byName.get(route.noRoute.route);
    if (target === undefined) mistake(at, `there is no route '${route.noRoute.route}'`);
    else if (target === route) mistake(at, 'leads to the route itself');
    else if (target.lanes !== null && (route.lanes ?? LANES).some((lane) => !target.lanes?.includes(lane))) {
      mistake(at, `route '${target.name}' does not serve all lanes of this one`);
    }
  }
}

/** Makes the tables that routeOf looks into. `routes` have passed checkRoutes. */
export function compileRouting(routes: readonly Route[], portability: PortabilityPolicy | null = null): RoutingPolicy {
  const tables = Object.fromEntries(LANES.map((lane) => [lane, tableOf(routes, lane)]));
  return { routes, tables: tables as Record<LaneName, LaneTable>, portability };
}

/** The route of `msisdn` (`+` and digits) in `lane`: at most 32 look-ups. */
export function routeOf(routing: RoutingPolicy, msisdn: string, lane: LaneName, sender: string | null = null): Route {
  return matchOf(routing, msisdn, lane, sender).route;
}

/** The route, and the prefix by which it won. @throws RangeError */
export function matchOf(
  { tables }: RoutingPolicy,
  msisdn: string,
  lane: LaneName,
  sender: string | null,
): { route: Route; prefix: string } {
  const { everySender, bySender } = tables[lane];
  const own = sender === null ? undefined : bySender.get(sender);
  for (let length = Math.min(msisdn.length, 16); length > 0; length--) {
    const text = msisdn.slice(0, length);
    const route = own?.get(text) ?? everySender.get(text);
    if (route !== undefined) return { route, prefix: text };
  }
  // checkRoutes has seen a '+' for every lane, so this is no E.164 number. It is not named: it may be someone's.
  throw new RangeError('no route: not an E.164 number with a leading +');
}

/** Every route that some number may take in this lane, by name, sorted. */
export function routesOfLane(routing: RoutingPolicy, lane: LaneName, sender: string | null): string[] {
  return [...new Set([...prefixesOf(routing, lane, sender).values()].map(({ name }) => name))].sort();
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
  sender: string | null = null,
): string {
  if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(column)) throw new RangeError('not a plain column name');
  const table = prefixesOf(routing, lane, sender);
  const longestFirst = [...table].sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1));
  const arms = longestFirst
    .filter(([text, route]) => text !== '+' && shorter(table, text) !== route)
    .map(([text, route]) => ` WHEN starts_with(${column}, '${checked(text)}') THEN ${id(idOf, route)}`);
  const rest = table.get('+');
  if (rest === undefined) throw new RangeError('no route with the prefix +');
  if (arms.length === 0) return `${id(idOf, rest)}::smallint`;
  return `(CASE${arms.join('')} ELSE ${id(idOf, rest)} END)::smallint`;
}

/** The route of each prefix, for alerts of one sender. */
function prefixesOf({ tables }: RoutingPolicy, lane: LaneName, sender: string | null): ReadonlyMap<string, Route> {
  const { everySender, bySender } = tables[lane];
  const own = sender === null ? undefined : bySender.get(sender);
  return own === undefined ? everySender : new Map([...everySender, ...own]);
}

function tableOf(routes: readonly Route[], lane: LaneName): LaneTable {
  const everySender = new Map<string, Route>();
  const bySender = new Map<string, Map<string, Route>>();
  const general = routes.filter((route) => route.lanes === null);
  const specific = routes.filter((route) => route.lanes?.includes(lane));
  // The later of the same prefix and sender counts: one that names the lane.
  for (const route of [...general, ...specific]) {
    for (const sender of route.senders ?? [null]) {
      let table = everySender;
      if (sender !== null) {
        table = bySender.get(sender) ?? new Map();
        bySender.set(sender, table);
      }
      for (const text of route.prefixes) table.set(text, route);
    }
  }
  return { everySender, bySender };
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
