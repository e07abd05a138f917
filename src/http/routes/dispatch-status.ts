/** GET /v1/dispatch/status: for `tocsin top` and machines that watch. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { authenticated } from '../auth.ts';
import type { HttpEnv } from '../context.ts';
import { dispatchStatus, showStatus } from '../schemas/dispatch-status.ts';
import { problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

export function dispatchStatusRoutes(app: OpenAPIHono<HttpEnv>, services: Services): void {
  const get = createRoute({
    method: 'get',
    path: '/v1/dispatch/status',
    tags: ['Dispatch'],
    summary: 'What each bind and lane is doing right now',
    description:
      'Binds and rates are those of the process that answers; a bind sends in the one process where `held` is true. What waits is that of all processes and organisations, counted each second.',
    security: [{ apiKey: ['dispatch:read'] }],
    middleware: [authenticated(services.keys, 'dispatch:read')] as const,
    responses: {
      200: { description: 'Numbers only', content: { 'application/json': { schema: dispatchStatus } } },
      ...problems(),
    },
  });
  app.openapi(get, (c) => c.json(showStatus(services.dispatchStatus()), 200, { 'cache-control': 'no-store' }));
}
