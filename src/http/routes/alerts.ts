/** POST /v1/alerts, GET /v1/alerts/{id}, POST /v1/alerts/{id}/cancel, …/pause, …/resume. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ALERT_PROBLEM_CODES, type CancelResult, type PauseResult } from '../../alerts/index.ts';
import { authenticated } from '../auth.ts';
import { type BodyLimits, jsonBody } from '../body.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import { acceptedAlert, alertRequest, alertView, showAccepted, showAlert } from '../schemas/alert.ts';
import { parseUuid } from '../schemas/common.ts';
import { BODY_PROBLEMS, problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';

const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/;

const idParam = z.object({ id: z.string().openapi({ format: 'uuid' }) });

export function alertRoutes(app: OpenAPIHono<HttpEnv>, services: Services, limits: BodyLimits): void {
  const submit = createRoute({
    method: 'post',
    path: '/v1/alerts',
    tags: ['Alerts'],
    summary: 'Submit an alert',
    description:
      'The answer comes after the alert is durable. Send an Idempotency-Key and repeat the request until it is answered: ' +
      'the same key with the same body gives the first answer again and never a second alert.',
    security: [{ apiKey: ['alerts:write'] }],
    // By hand: a header schema would make the validator copy every header of every request.
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        required: false,
        schema: { type: 'string', minLength: 1, maxLength: 255, pattern: IDEMPOTENCY_KEY.source },
        description: 'Chosen by the producer, one for each alert. Kept for 7 days.',
      },
    ],
    middleware: [authenticated(services.keys, 'alerts:write'), jsonBody(limits)] as const,
    request: { body: { required: true, content: { 'application/json': { schema: alertRequest } } } },
    responses: {
      202: { description: 'Durable', content: { 'application/json': { schema: acceptedAlert } } },
      ...problems(...BODY_PROBLEMS, ...ALERT_PROBLEM_CODES),
    },
  });
  app.openapi(submit, async (c) => {
    const result = await services.alerts.submit(
      c.get('principal'),
      c.req.valid('json'),
      idempotencyKey(c.req.header('idempotency-key')),
    );
    if (result.kind === 'problem') throw ProblemError.of(result.problem);
    if (result.replay) c.header('idempotency-replayed', 'true');
    c.header('location', `/v1/alerts/${result.alert.id}`);
    return c.json(showAccepted(result.alert), 202);
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

  const cancel = createRoute({
    method: 'post',
    path: '/v1/alerts/{id}/cancel',
    tags: ['Alerts'],
    summary: 'Cancel what has not been handed over',
    description:
      'Needs no body. What a carrier has accepted already comes to its own end, unless policy has it asked back by cancel_sm.',
    security: [{ apiKey: ['alerts:write'] }],
    middleware: [authenticated(services.keys, 'alerts:write')] as const,
    request: { params: idParam },
    responses: {
      200: { description: 'Cancelled, now or before', content: { 'application/json': { schema: alertView } } },
      ...problems('not-found', 'already-final', 'lane-not-allowed'),
    },
  });
  app.openapi(cancel, async (c) => {
    const result = await services.alerts.cancel(c.get('principal'), uuidOr404(c.req.valid('param').id));
    return c.json(showAlert(cancelled(result)), 200);
  });

  const pause = createRoute({
    method: 'post',
    path: '/v1/alerts/{id}/pause',
    tags: ['Alerts'],
    summary: 'Hold back what has not been handed over',
    description:
      'Needs no body. In force everywhere within a second. Nothing is lost, and what expires meanwhile is never sent. ' +
      'An alert that is paused already stays so.',
    security: [{ apiKey: ['alerts:write'] }],
    middleware: [authenticated(services.keys, 'alerts:write')] as const,
    request: { params: idParam },
    responses: {
      200: { description: 'Paused, now or before', content: { 'application/json': { schema: alertView } } },
      ...problems('not-found', 'already-final', 'lane-not-allowed'),
    },
  });
  app.openapi(pause, async (c) => {
    const result = await services.alerts.pause(c.get('principal'), uuidOr404(c.req.valid('param').id));
    return c.json(showAlert(cancelled(result)), 200);
  });

  const resume = createRoute({
    method: 'post',
    path: '/v1/alerts/{id}/resume',
    tags: ['Alerts'],
    summary: 'Hand over what was held back',
    description: 'Needs no body. An alert that is not paused stays as it is.',
    security: [{ apiKey: ['alerts:write'] }],
    middleware: [authenticated(services.keys, 'alerts:write')] as const,
    request: { params: idParam },
    responses: {
      200: { description: 'Not paused any more', content: { 'application/json': { schema: alertView } } },
      ...problems('not-found', 'lane-not-allowed'),
    },
  });
  app.openapi(resume, async (c) => {
    const result = await services.alerts.resume(c.get('principal'), uuidOr404(c.req.valid('param').id));
    return c.json(showAlert(cancelled(result)), 200);
  });
}

function cancelled(result: CancelResult | PauseResult) {
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

/** Null without the header. */
function idempotencyKey(header: string | undefined): string | null {
  if (header === undefined) return null;
  if (IDEMPOTENCY_KEY.test(header)) return header;
  const message = 'must be 1 to 255 printable ASCII characters';
  throw new ProblemError('invalid-request', {
    errors: [{ field: 'header.Idempotency-Key', rule: 'idempotency-key', message }],
  });
}

/** What can't be an id is an id of nothing. */
function uuidOr404(text: string): string {
  const id = parseUuid(text);
  if (id === null) throw new ProblemError('not-found');
  return id;
}
