/** POST /v1/alerts, POST /v1/alerts/batch, GET /v1/alerts/{id}, POST /v1/alerts/{id}/cancel, …/pause, …/resume. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ALERT_PROBLEM_CODES, type CancelResult, type PauseResult } from '../../alerts/index.ts';
import { type AlertDoor, IDEMPOTENCY_KEY_PATTERN } from '../alert-door.ts';
import { authenticated } from '../auth.ts';
import type { Batches } from '../batch.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import { acceptedAlert, alertRequest, alertView, showAlert } from '../schemas/alert.ts';
import { alertLine, lineAnswer } from '../schemas/batch.ts';
import { parseUuid } from '../schemas/common.ts';
import { BODY_PROBLEMS, problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

const idParam = z.object({ id: z.string().openapi({ format: 'uuid' }) });

export function alertRoutes(app: OpenAPIHono<HttpEnv>, services: Services, door: AlertDoor, batches: Batches): void {
  const submit = createRoute({
    method: 'post',
    path: '/v1/alerts',
    tags: ['Alerts'],
    summary: 'Submit an alert',
    description:
      'The answer comes after the alert is durable. Send an Idempotency-Key and repeat the request until it is answered: ' +
      'the same key with the same body gives the first answer again and never a second alert.',
    security: [{ apiKey: ['alerts:write'] }],
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        required: false,
        schema: { type: 'string', minLength: 1, maxLength: 255, pattern: IDEMPOTENCY_KEY_PATTERN },
        description: 'Chosen by the producer, one for each alert. Kept for 7 days.',
      },
    ],
    request: { body: { required: true, content: { 'application/json': { schema: alertRequest } } } },
    responses: {
      202: { description: 'Durable', content: { 'application/json': { schema: acceptedAlert } } },
      ...problems(...BODY_PROBLEMS, 'lane-shed', ...ALERT_PROBLEM_CODES),
    },
  });
  app.openAPIRegistry.registerPath(submit);
  app.post('/v1/alerts', async (c) => {
    const source = { incoming: c.env?.incoming, stream: () => c.req.raw.body };
    const { headers, body } = await door.post({ header: (name) => c.req.header(name) }, source, () => undefined);
    return c.body(body, 202, { ...headers, 'content-type': 'application/json' });
  });

  app.openAPIRegistry.registerPath({
    method: 'post',
    path: '/v1/alerts/batch',
    tags: ['Alerts'],
    summary: 'Submit a stream of alerts',
    description:
      'One alert a line, as for POST /v1/alerts, with `idempotencyKey` as a field. The answer is a line for each, in order, ' +
      'as soon as its alert is durable: read it while you write. A line that is wrong is answered with its problem and ' +
      'stops no other; a blank line is counted and not answered. A line with `"end":true` says why the stream ended early: ' +
      'neither its line nor any after it was taken. Wait at most 30 s between lines; a stream may last 10 minutes.',
    security: [{ apiKey: ['alerts:write'] }],
    request: { body: { required: true, content: { 'application/x-ndjson': { schema: alertLine } } } },
    responses: {
      200: { description: 'A line for each alert', content: { 'application/x-ndjson': { schema: lineAnswer } } },
      ...problems('malformed-request', 'unsupported-media-type', 'lane-shed', 'overloaded'),
    },
  });
  app.post('/v1/alerts/batch', async (c) => {
    const { incoming, outgoing } = c.env ?? {};
    if (incoming === undefined || outgoing === undefined) throw new TypeError('a batch needs a socket');
    const head = { header: (name: string) => c.req.header(name) };
    await batches.run({ head, incoming, outgoing, requestId: c.get('requestId'), goOn: () => undefined });
    return RESPONSE_ALREADY_SENT;
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/alerts/{id}',
    tags: ['Alerts'],
    summary: 'An alert and its progress',
    security: [{ apiKey: ['alerts:read'] }],
    middleware: [authenticated(services.keys, 'alerts:read')] as const,
    request: { params: idParam },
    responses: {
      200: { description: 'The alert', content: { 'application/json': { schema: alertView } } },
      ...problems('not-found'),
    },
  });
  app.openapi(get, async (c) => {
    const alert = await services.alerts.get(c.get('principal').organisation, uuidOr404(c.req.valid('param').id));
    if (alert === null) throw new ProblemError('not-found');
    return c.json(showAlert(alert), 200);
  });

  for (const { act, done, also, ...words } of STEPS) {
    const step = createRoute({
      method: 'post',
      path: `/v1/alerts/{id}/${act}`,
      tags: ['Alerts'],
      ...words,
      security: [{ apiKey: ['alerts:write'] }],
      middleware: [authenticated(services.keys, 'alerts:write')] as const,
      request: { params: idParam },
      responses: {
        200: { description: done, content: { 'application/json': { schema: alertView } } },
        ...problems('not-found', 'lane-not-allowed', ...also),
      },
    });
    app.openapi(step, async (c) => {
      const result = await services.alerts[act](c.get('principal'), uuidOr404(c.req.valid('param').id));
      return c.json(showAlert(alertAfter(result)), 200);
    });
  }
}

/** What a producer may do with an alert that was accepted; each needs no body, and doing it twice changes nothing. */
const STEPS = [
  {
    act: 'cancel',
    summary: 'Cancel what has not been handed over',
    description:
      'Needs no body. What a carrier has accepted already comes to its own end, unless policy has it asked back by cancel_sm.',
    done: 'Cancelled, now or before',
    also: ['already-final'],
  },
  {
    act: 'pause',
    summary: 'Hold back what has not been handed over',
    description:
      'Needs no body. In force everywhere within a second. Nothing is lost, and what expires meanwhile is never sent. ' +
      'An alert that is paused already stays so.',
    done: 'Paused, now or before',
    also: ['already-final'],
  },
  {
    act: 'resume',
    summary: 'Hand over what was held back',
    description: 'Needs no body. An alert that is not paused stays as it is.',
    done: 'Not paused any more',
    also: [],
  },
] as const;

function alertAfter(result: CancelResult | PauseResult) {
  switch (result.kind) {
    case 'cancelled':
    case 'done':
      return result.alert;
    case 'already-final':
      throw new ProblemError('already-final', {
        detail: 'Every delivery has its final state, or the alert has expired or was cancelled.',
      });
    case 'unknown':
      throw new ProblemError('not-found');
    case 'problem':
      throw ProblemError.of(result.problem);
    default:
      return result satisfies never;
  }
}

/** What can't be an id is an id of nothing. */
function uuidOr404(text: string): string {
  const id = parseUuid(text);
  if (id === null) throw new ProblemError('not-found');
  return id;
}
