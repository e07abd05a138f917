/** /v1/dispatch/pauses: what operators hold back, of all organisations. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { authenticated } from '../auth.ts';
import { type BodyLimits, jsonBody } from '../body.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import { pauseList, pauseParams, pauseRequest, pauseState, showList, showState } from '../schemas/pause.ts';
import { BODY_PROBLEMS, problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

const SCOPE = 'dispatch:control';
const UNKNOWN = 'The policies have no lane, route or bind of this name.';

export function pauseRoutes(app: OpenAPIHono<HttpEnv>, services: Services, limits: BodyLimits): void {
  const path = '/v1/dispatch/pauses/{scope}/{name}';
  const common = { tags: ['Dispatch'], security: [{ apiKey: [SCOPE] }] };
  const one = { description: 'How it stands', content: { 'application/json': { schema: pauseState } } };
  const who = ({ apiKey }: { apiKey: number }): string => `api-key ${apiKey}`;

  const list = createRoute({
    ...common,
    method: 'get',
    path: '/v1/dispatch/pauses',
    summary: 'Lanes, routes and binds that are paused',
    middleware: [authenticated(services.keys, SCOPE)] as const,
    responses: {
      200: { description: 'By scope and name', content: { 'application/json': { schema: pauseList } } },
      ...problems(),
    },
  });
  app.openapi(list, async (c) => c.json(showList(await services.pauses.list()), 200));

  const pause = createRoute({
    ...common,
    method: 'put',
    path,
    summary: 'Pause a lane, route or bind',
    description:
      'In force everywhere within a second, on all that is not on the wire. Nothing is lost; what expires meanwhile is never ' +
      'sent. What is paused already stays as it is, with the reason that was given first.',
    middleware: [authenticated(services.keys, SCOPE), jsonBody(limits)] as const,
    request: {
      params: pauseParams,
      body: { required: true, content: { 'application/json': { schema: pauseRequest } } },
    },
    responses: { 200: one, ...problems(...BODY_PROBLEMS, 'not-found') },
  });
  app.openapi(pause, async (c) => {
    const { scope, name } = c.req.valid('param');
    const state = await services.pauses.pause(scope, name, c.req.valid('json').why, who(c.get('principal')));
    if (state === null) throw new ProblemError('not-found', { detail: UNKNOWN });
    return c.json(showState(state), 200);
  });

  const resume = createRoute({
    ...common,
    method: 'delete',
    path,
    summary: 'Resume a lane, route or bind',
    description: 'What is not paused stays as it is.',
    middleware: [authenticated(services.keys, SCOPE)] as const,
    request: { params: pauseParams },
    responses: { 200: one, ...problems('invalid-request', 'not-found') },
  });
  app.openapi(resume, async (c) => {
    const { scope, name } = c.req.valid('param');
    const state = await services.pauses.resume(scope, name, who(c.get('principal')));
    if (state === null) throw new ProblemError('not-found', { detail: UNKNOWN });
    return c.json(showState(state), 200);
  });
}
