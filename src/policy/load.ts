/** Reads the policies' folder, holds the files against each other and gives typed values, or says all that is wrong. */
import { hash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { z } from 'zod';
import { type BindName, type CarrierFields, type CarrierPolicy, carriersFile, resolveCarrier } from './carriers.ts';
import { PolicyDocument } from './document.ts';
import { DAY_MS, formatDuration } from './duration.ts';
import { PolicyError, type PolicyIssue } from './error.ts';
import type { Environment } from './fields.ts';
import { LANES, type LaneName, type LanePolicy, lanesFile } from './lanes.ts';
import type { Protocol } from './protocol.ts';
import {
  bindPath,
  checkRoutes,
  compileRouting,
  type Route,
  type RoutingFields,
  type RoutingPolicy,
  resolvePortability,
  resolveRoutes,
  routingFile,
} from './routing.ts';

export interface Policies {
  readonly lanes: Readonly<Record<LaneName, LanePolicy>>;
  readonly carriers: Readonly<Record<BindName, CarrierPolicy>>;
  readonly routing: RoutingPolicy;
  /** By name, with the SHA-256 of each as it was read. What comes from the environment is not in it. */
  readonly files: readonly { readonly name: string; readonly digest: Buffer }[];
}

/** The files, with the schema of each: loadPolicies reads them, the editors' JSON Schemas are generated from them. */
export const POLICY_FILES = { lanes: lanesFile, carriers: carriersFile, routing: routingFile } as const;

/**
 * Reads `lanes.yaml`, `carriers.yaml` and `routing.yaml` in `dir`.
 *
 * @throws PolicyError that names every mistake with file, line, path and reason. Mistakes between the files are looked
 *   for only when each file is well-formed by itself.
 * @param protocol the tables that carriers.yaml is held against: `PROTOCOL` of the SMPP room.
 */
export function loadPolicies(dir: string, env: Environment, protocol: Protocol): Policies {
  const issues: PolicyIssue[] = [];
  const documents = {
    lanes: read(join(dir, 'lanes.yaml'), lanesFile, issues),
    carriers: read(join(dir, 'carriers.yaml'), carriersFile, issues),
    routing: read(join(dir, 'routing.yaml'), routingFile, issues),
  };
  const { lanes, carriers, routing } = documents;
  if (lanes === null || carriers === null || routing === null) throw new PolicyError(issues);

  const resolved = resolveCarriers(carriers, env, protocol, issues);
  const routes = checkRouting(routing, resolved, protocol, issues);
  checkHorizons(lanes.value, carriers, routes, issues);
  if (issues.length > 0) throw new PolicyError(issues);
  return {
    lanes: lanes.value,
    carriers: resolved,
    routing: compileRouting(routes, resolvePortability(routing.value.portability)),
    files: [carriers, lanes, routing].map(({ document: { file, bytes } }) => ({
      name: basename(file),
      digest: hash('sha256', bytes, 'buffer'),
    })),
  };
}

interface Read<T> {
  document: PolicyDocument;
  value: T;
}

function read<S extends z.ZodType>(file: string, schema: S, issues: PolicyIssue[]): Read<z.output<S>> | null {
  try {
    const document = new PolicyDocument(file);
    return { document, value: document.parse(schema) };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    issues.push(...error.issues);
    return null;
  }
}

function resolveCarriers(
  { document, value }: Read<Record<string, CarrierFields>>,
  env: Environment,
  protocol: Protocol,
  issues: PolicyIssue[],
): Record<BindName, CarrierPolicy> {
  return Object.fromEntries(
    Object.entries(value).map(([name, fields]) => [
      name,
      resolveCarrier(fields, env, dirname(document.file), protocol, (path, reason) =>
        issues.push(document.issue(['carriers', name, ...path], reason)),
      ),
    ]),
  );
}

function checkRouting(
  { document, value }: Read<RoutingFields>,
  carriers: Readonly<Record<BindName, CarrierPolicy>>,
  protocol: Protocol,
  issues: PolicyIssue[],
): Route[] {
  const mistake = (path: (string | number)[], reason: string) =>
    issues.push(document.issue(['routes', ...path], reason));
  const routes = resolveRoutes(value.routes, protocol, mistake);
  for (const [index, route] of routes.entries()) {
    for (const at of route.prefixes.keys()) {
      // '+' alone is text even without quotes, '+44' is a number: one rule for all is easier to keep.
      if (!document.isQuoted(['routes', index, 'prefixes', at])) {
        mistake([index, 'prefixes', at], 'a prefix must stand in quotes');
      }
    }
    for (const [at, bind] of route.binds.entries()) {
      if (!Object.hasOwn(carriers, bind)) {
        mistake([index, ...bindPath(route, at)], `carriers.yaml has no carrier '${bind}'`);
      }
    }
  }
  checkRoutes(routes, mistake);
  return routes;
}

/** A receipt that comes later than the horizon is never matched, so the horizon must outlast what is waited for. */
function checkHorizons(
  lanes: Readonly<Record<LaneName, LanePolicy>>,
  { document, value }: Read<Record<string, CarrierFields>>,
  routes: readonly Route[],
  issues: PolicyIssue[],
): void {
  for (const [name, carrier] of Object.entries(value)) {
    if (carrier.receipts === 'none') continue;
    for (const lane of LANES) {
      const served = routes.some((route) => route.binds.includes(name) && (route.lanes?.includes(lane) ?? true));
      const awaitedMs = lanes[lane].longestValidityMs + lanes[lane].unknownGraceMs;
      if (!served || awaitedMs <= carrier.receiptHorizonDays * DAY_MS) continue;
      const reason = `${carrier.receiptHorizonDays} days are shorter than lane ${lane}'s longestValidity + unknownGrace (${formatDuration(awaitedMs)}): later receipts would never be matched`;
      issues.push(document.issue(['carriers', name, 'receiptHorizonDays'], reason));
    }
  }
}
