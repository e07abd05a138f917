/** GET /v1/deliveries, GET /v1/deliveries/{id}. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { authenticated } from '../auth.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import {
  deliveryDetail,
  deliveryPage,
  deliveryQuery,
  parseDeliveryId,
  showDetail,
  showPage,
} from '../schemas/delivery.ts';
import { problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

export function deliveryRoutes(app: OpenAPIHono<HttpEnv>, services: Services): void {
  const search = createRoute({
    method: 'get',
    path: '/v1/deliveries',
    tags: ['Deliveries'],
    summary: 'Search deliveries, newest first',
    description:
      'All given conditions hold at once. A page may hold fewer than `limit` deliveries while `next` is set: go on until it is null.',
    security: [{ apiKey: ['deliveries:read'] }],
    middleware: [authenticated(services.keys, 'deliveries:read')] as const,
    request: { query: deliveryQuery },
    responses: {
      200: { description: 'A page', content: { 'application/json': { schema: deliveryPage } } },
      ...problems('invalid-request', 'unknown-field', 'msisdn-not-possible'),
    },
  });
  app.openapi(search, async (c) => {
    const conditions = c.req.valid('query');
    const page = await services.deliveries.search({ ...conditions, organisation: c.get('principal').organisation });
    return c.json(showPage(page, conditions), 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/deliveries/{id}',
    tags: ['Deliveries'],
    summary: 'A delivery and its timeline of facts',
    security: [{ apiKey: ['deliveries:read'] }],
    middleware: [authenticated(services.keys, 'deliveries:read')] as const,
    request: { params: z.object({ id: z.string().openapi({ example: '20261124-4711' }) }) },
    responses: {
      200: { description: 'The delivery', content: { 'application/json': { schema: deliveryDetail } } },
      ...problems('not-found'),
    },
  });
  app.openapi(get, async (c) => {
    const key = parseDeliveryId(c.req.valid('param').id);
    const found = key === null ? null : await services.deliveries.get(c.get('principal').organisation, key);
    if (found === null) throw new ProblemError('not-found');
    return c.json(showDetail(found), 200);
  });
}
