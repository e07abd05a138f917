/** /v1/recipients/{msisdn}: what the organisation knows about one number. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { type Msisdn, parseMsisdn } from '../../audience/index.ts';
import { authenticated } from '../auth.ts';
import { type BodyLimits, jsonBody } from '../body.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import { recipientChange, recipientView, showRecipient } from '../schemas/list.ts';
import { BODY_PROBLEMS, problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

const msisdnParam = z.object({ msisdn: z.string().openapi({ example: '+447700900123' }) });

export function recipientRoutes(app: OpenAPIHono<HttpEnv>, services: Services, limits: BodyLimits): void {
  const oneRecipient = { description: 'The recipient', content: { 'application/json': { schema: recipientView } } };

  const get = createRoute({
    method: 'get',
    path: '/v1/recipients/{msisdn}',
    tags: ['Recipients'],
    summary: 'A recipient, its language and lists',
    security: [{ apiKey: ['lists:read'] }],
    middleware: [authenticated(services.keys, 'lists:read')] as const,
    request: { params: msisdnParam },
    responses: { 200: oneRecipient, ...problems('msisdn-not-possible', 'not-found') },
  });
  app.openapi(get, async (c) => {
    const msisdn = msisdnOr422(c.req.valid('param').msisdn);
    const recipient = await services.recipients.get(c.get('principal').organisation, msisdn);
    if (recipient === null) throw new ProblemError('not-found');
    return c.json(showRecipient(recipient), 200);
  });

  const put = createRoute({
    method: 'put',
    path: '/v1/recipients/{msisdn}',
    tags: ['Recipients'],
    summary: "Set a recipient's language",
    description: 'Makes the recipient when the organisation does not know the number.',
    security: [{ apiKey: ['lists:write'] }],
    middleware: [authenticated(services.keys, 'lists:write'), jsonBody(limits)] as const,
    request: {
      params: msisdnParam,
      body: { required: true, content: { 'application/json': { schema: recipientChange } } },
    },
    responses: { 200: oneRecipient, ...problems(...BODY_PROBLEMS, 'msisdn-not-possible') },
  });
  app.openapi(put, async (c) => {
    const msisdn = msisdnOr422(c.req.valid('param').msisdn);
    const { language } = c.req.valid('json');
    const recipient = await services.recipients.setLanguage(c.get('principal').organisation, msisdn, language);
    return c.json(showRecipient(recipient), 200);
  });
}

function msisdnOr422(text: string): Msisdn {
  const msisdn = parseMsisdn(text);
  if (msisdn !== null) return msisdn;
  const message = 'must be a possible number in E.164 form';
  throw new ProblemError('msisdn-not-possible', {
    errors: [{ field: 'msisdn', rule: 'msisdn-not-possible', message }],
  });
}
