/** Who may: the API key in `Authorization: Bearer …`, and the scope that a route wants. Runs before the body is read. */
import type { MiddlewareHandler } from 'hono';
import type { KEY_SCOPES, Principal } from '../access/index.ts';
import type { HttpEnv } from './context.ts';
import { ProblemError } from './problems.ts';
import type { Services } from './services.ts';

export type Scope = (typeof KEY_SCOPES)[number];

/** What a scope lets a key do, for the API's description. */
export const SCOPES: Readonly<Record<Scope, string>> = {
  'alerts:write': 'Submit, pause, resume and cancel alerts',
  'alerts:read': 'Read alerts and their progress',
  'deliveries:read': 'Search deliveries and read their timeline',
  'lists:write': 'Change lists and recipients',
  'lists:read': 'Read lists and recipients',
  'audit:read': 'Read the audit chain',
  'dispatch:read': 'See what the carriers and lanes are doing, of all organisations',
  'dispatch:control': 'Pause and resume lanes, routes and binds, of all organisations',
};

/** A Bearer token as RFC 6750 writes it; the length bounds what is hashed. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]{8,256})$/i;

/** The Bearer token of a request; null when there is none that could be a key. */
export const tokenOf = (authorization: string | undefined): string | null =>
  BEARER.exec(authorization ?? '')?.[1] ?? null;

/** At once when the key is known. @throws ProblemError unauthenticated, scope-missing. */
export function principalOf(
  keys: Services['keys'],
  authorization: string | undefined,
  scope: Scope,
): Principal | Promise<Principal> {
  const token = tokenOf(authorization);
  const found = token === null ? null : keys.authenticate(token);
  return found instanceof Promise ? found.then((principal) => checked(principal, scope)) : checked(found, scope);
}

function checked(principal: Principal | null, scope: Scope): Principal {
  if (principal === null) {
    throw new ProblemError('unauthenticated', {
      detail: 'Send a valid API key as "Authorization: Bearer <key>".',
      headers: { 'www-authenticate': 'Bearer realm="tocsin"', connection: 'close' },
    });
  }
  if (!principal.scopes.has(scope)) {
    throw new ProblemError('scope-missing', {
      detail: `The API key needs the scope ${scope}.`,
      errors: [{ field: null, rule: 'scope-missing', message: `needs the scope ${scope}` }],
      headers: { 'www-authenticate': `Bearer realm="tocsin", error="insufficient_scope", scope="${scope}"` },
    });
  }
  return principal;
}

export function authenticated(keys: Services['keys'], scope: Scope): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const found = principalOf(keys, c.req.header('authorization'), scope);
    c.set('principal', found instanceof Promise ? await found : found);
    return next();
  };
}
