/** What operators and machines ask without a key: health, readiness, metrics, the description, the problem registry. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { HttpEnv } from '../context.ts';
import { PROBLEM_CODES, PROBLEM_TYPES, ProblemError, problemUri } from '../problems.ts';
import type { Readiness, Services } from '../services.ts';

const READINESS_MS = 2_000;

export function systemRoutes(app: OpenAPIHono<HttpEnv>, services: Services, draining: () => boolean): void {
  /** The process lives: its event loop turns. Says nothing about the database. */
  app.get('/healthz', (c) => c.json({ ok: true }, 200, { 'cache-control': 'no-store' }));

  app.get('/readyz', async (c) => {
    const readiness = draining() ? { ready: false, reasons: ['draining'], bindsDown: [] } : await readinessOf(services);
    return c.json(readiness, readiness.ready ? 200 : 503, { 'cache-control': 'no-store' });
  });

  app.get('/metrics', async (c) => {
    const { contentType, body } = await services.metrics();
    return c.body(body, 200, { 'content-type': contentType, 'cache-control': 'no-store' });
  });

  app.get('/problems/:code', (c) => {
    const code = PROBLEM_CODES.find((each) => each === c.req.param('code'));
    if (code === undefined) throw new ProblemError('not-found');
    return c.json({ type: problemUri(code), ...PROBLEM_TYPES[code] }, 200);
  });
}

async function readinessOf(services: Services): Promise<Readiness> {
  const { promise: late, resolve } = Promise.withResolvers<Readiness>();
  const timer = setTimeout(() => resolve({ ready: false, reasons: ['timeout'], bindsDown: [] }), READINESS_MS);
  try {
    return await Promise.race([services.readiness(), late]);
  } catch {
    return { ready: false, reasons: ['error'], bindsDown: [] };
  } finally {
    clearTimeout(timer);
  }
}
