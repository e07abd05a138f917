/** The Hono app: what every request goes through, and the error path that all refusals take. */
import { tmpdir } from 'node:os';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { ErrorHandler, NotFoundHandler } from 'hono';
import { routePath } from 'hono/route';
import type { Log } from '../platform/index.ts';
import { AlertDoor } from './alert-door.ts';
import { SCOPES } from './auth.ts';
import { BATCH_LIMITS, Batches } from './batch.ts';
import type { BatchLimits } from './batch-stream.ts';
import { BODY_LIMITS, type BodyLimits } from './body.ts';
import type { HttpEnv, ObservedRequest } from './context.ts';
import { type Direct, directRoutes } from './direct.ts';
import { docsRoutes } from './docs.ts';
import { problemOf } from './faults.ts';
import { problemOfIssues } from './issues.ts';
import { PROBLEM_TYPES, type ProblemCode, ProblemError, problemResponse } from './problems.ts';
import { requestIdOf } from './request-id.ts';
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
  /** Called for each line of a batch; null when its alert is durable. */
  readonly observeLine?: (problem: ProblemCode | null) => void;
  readonly bodyLimits?: Partial<BodyLimits>;
  readonly batchLimits?: Partial<BatchLimits>;
  readonly uploadLimits?: Partial<UploadLimits>;
  /** Where files of row errors wait until they are sent; the system's temporary folder by default. */
  readonly spoolDir?: string;
  /** True while the process drains: /readyz says 503. */
  readonly draining?: () => boolean;
}

export interface App extends OpenAPIHono<HttpEnv> {
  /** The requests that don't go through Hono. */
  readonly direct: Direct;
}

export function createApp(services: Services, options: AppOptions = {}): App {
  const bodyLimits = { ...BODY_LIMITS, ...options.bodyLimits };
  const app = new OpenAPIHono<HttpEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      throw problemOfIssues(result.error.issues, (result as { data?: unknown }).data, WHERE[result.target] ?? null);
    },
  });

  const { observe } = options;
  app.use('*', async (c, next) => {
    const id = requestIdOf(c.req.header('x-request-id'));
    c.set('requestId', id);
    c.header('x-request-id', id);
    if (observe === undefined) return next();
    const start = performance.now();
    await next();
    const ms = performance.now() - start;
    const problem = c.error === undefined ? null : problemOf(c.error).code;
    observe({ method: c.req.method, route: routePath(c, -1), status: c.res.status, ms, problem });
  });

  const door = new AlertDoor(services, bodyLimits);
  const onFault = (err: Error, requestId: string, route: string): void =>
    options.log?.error({ err, requestId, method: 'POST', route }, 'request failed');
  const batches = new Batches({
    door,
    keys: services.keys,
    limits: { ...BATCH_LIMITS, ...options.batchLimits },
    draining: options.draining ?? (() => false),
    onLine: options.observeLine ?? (() => undefined),
    onFault: (error, requestId) => onFault(error, requestId, '/v1/alerts/batch'),
  });
  alertRoutes(app, services, door, batches);
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
  return Object.assign(app, { direct: directRoutes({ door, batches, observe, onFault }) });
}

/** Paths of errors outside the body begin with where they are. */
const WHERE: Readonly<Record<string, string | null>> = { query: 'query', param: 'path', header: 'header', json: null };

function describe(app: OpenAPIHono<HttpEnv>, version: string): void {
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
function notFoundOf(app: OpenAPIHono<HttpEnv>): NotFoundHandler<HttpEnv> {
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
