/** The Hono app: what every request goes through, and the error path that all refusals take. */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { ErrorHandler, NotFoundHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import { ChainBusy } from '../audit/index.ts';
import { type Log, TransactionFailed } from '../platform/index.ts';
import { SCOPES } from './auth.ts';
import { BODY_LIMITS, type BodyLimits } from './body.ts';
import type { HttpEnv } from './context.ts';
import { docsRoutes } from './docs.ts';
import { problemOfIssues } from './issues.ts';
import { PROBLEM_TYPES, type ProblemCode, ProblemError, problemResponse } from './problems.ts';
import { alertRoutes } from './routes/alerts.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { dispatchStatusRoutes } from './routes/dispatch-status.ts';
import { listRoutes } from './routes/lists.ts';
import { pauseRoutes } from './routes/pauses.ts';
import { recipientRoutes } from './routes/recipients.ts';
import { systemRoutes } from './routes/system.ts';
import type { Services } from './services.ts';
import { UPLOAD_LIMITS, type UploadLimits } from './upload.ts';

export interface AppOptions {
  /** For faults of the server. Bodies, keys and numbers never reach it: it gets the route's pattern and the error's class. */
  readonly log?: Pick<Log, 'error'>;
  /** Shown in the API's description. */
  readonly version?: string;
  /** Called at the end of each request; `route` is a pattern such as `/v1/alerts/:id`. */
  readonly observe?: (request: ObservedRequest) => void;
  readonly bodyLimits?: Partial<BodyLimits>;
  readonly uploadLimits?: Partial<UploadLimits>;
  /** Where files of row errors wait until they are sent; the system's temporary folder by default. */
  readonly spoolDir?: string;
  /** True while the process drains: /readyz says 503. */
  readonly draining?: () => boolean;
}

export interface ObservedRequest {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  /** What it was refused with; null when it was not. */
  readonly problem: ProblemCode | null;
}

export type App = OpenAPIHono<HttpEnv>;

export function createApp(services: Services, options: AppOptions = {}): App {
  const bodyLimits = { ...BODY_LIMITS, ...options.bodyLimits };
  const app: App = new OpenAPIHono<HttpEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      throw problemOfIssues(result.error.issues, (result as { data?: unknown }).data, WHERE[result.target] ?? null);
    },
  });

  const { observe } = options;
  app.use('*', async (c, next) => {
    const given = c.req.header('x-request-id');
    const id = given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
    c.set('requestId', id);
    c.header('x-request-id', id);
    if (observe === undefined) return next();
    const start = performance.now();
    await next();
    const ms = performance.now() - start;
    const problem = c.error === undefined ? null : problemOf(c.error).code;
    observe({ method: c.req.method, route: routePath(c, -1), status: c.res.status, ms, problem });
  });

  alertRoutes(app, services, bodyLimits);
  deliveryRoutes(app, services);
  listRoutes(app, services, {
    body: bodyLimits,
    upload: { ...UPLOAD_LIMITS, ...options.uploadLimits },
    spoolDir: options.spoolDir ?? tmpdir(),
  });
  recipientRoutes(app, services, bodyLimits);
  dispatchStatusRoutes(app, services);
  pauseRoutes(app, services, bodyLimits);
  systemRoutes(app, services, options.draining ?? (() => false));
  describe(app, options.version ?? '0.0.0');
  docsRoutes(app);

  app.notFound(notFoundOf(app));
  app.onError(errorHandler(options.log));
  return app;
}

/** Paths of errors outside the body begin with where they are. */
const WHERE: Readonly<Record<string, string | null>> = { query: 'query', param: 'path', header: 'header', json: null };

const REQUEST_ID = /^[A-Za-z0-9._:-]{8,64}$/;

function describe(app: App, version: string): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'http',
    scheme: 'bearer',
    description: `An API key. Scopes: ${Object.entries(SCOPES)
      .map(([scope, meaning]) => `\`${scope}\` (${meaning})`)
      .join(', ')}.`,
  });
  let document: string | undefined;
  app.get('/openapi.json', (c) => {
    document ??= JSON.stringify(
      app.getOpenAPI31Document({
        openapi: '3.1.0',
        info: {
          title: 'Tocsin',
          version,
          description: 'Emergency and banking alerts with priority lanes and a tamper-evident record.',
          license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
        },
        servers: [{ url: '/' }],
      }),
    );
    return c.body(document, 200, { 'content-type': 'application/json', 'cache-control': 'no-cache' });
  });
}

/** A path that some other method knows is 405 with Allow; any other is 404. */
function notFoundOf(app: App): NotFoundHandler<HttpEnv> {
  const known = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  for (const { method, path } of app.routes) {
    if (method === 'ALL') continue;
    const entry = known.get(path) ?? {
      pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:[A-Za-z]+/g, '[^/]+')}$`),
      methods: new Set<string>(),
    };
    entry.methods.add(method);
    if (method === 'GET') entry.methods.add('HEAD');
    known.set(path, entry);
  }
  return (c) => {
    const methods = [...known.values()]
      .filter(({ pattern }) => pattern.test(c.req.path))
      .flatMap((each) => [...each.methods]);
    if (methods.length === 0) throw new ProblemError('not-found');
    throw new ProblemError('method-not-allowed', { headers: { allow: [...new Set(methods)].sort().join(', ') } });
  };
}

function errorHandler(log: AppOptions['log']): ErrorHandler<HttpEnv> {
  return (error, c) => {
    const problem = problemOf(error);
    if (PROBLEM_TYPES[problem.code].status === 500) {
      log?.error(
        { err: error, requestId: c.get('requestId'), method: c.req.method, route: routePath(c, -1) },
        'request failed',
      );
    }
    return problemResponse(problem.code, problem.options, c.get('requestId'));
  };
}

function problemOf(error: Error): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof TransactionFailed) {
    const detail =
      error.outcome === 'uncertain'
        ? 'The database did not say whether it committed. Repeat the request with the same Idempotency-Key.'
        : 'The database could not commit. Nothing was stored; try again.';
    return new ProblemError('storage-unavailable', { detail, retryAfterSeconds: 1 });
  }
  if (error instanceof ChainBusy) return new ProblemError('overloaded', { retryAfterSeconds: 1 });
  if (error instanceof HTTPException) {
    if (error.status === 400) return new ProblemError('malformed-json');
    if (error.status === 415) return new ProblemError('unsupported-media-type');
  }
  return new ProblemError('internal', { detail: 'The fault is on our side and has been logged.' });
}
