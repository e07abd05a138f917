/**
 * Requests that are answered on node:http itself: POST /v1/alerts and POST /v1/alerts/batch.
 *
 * The same steps as through Hono (`AlertDoor`, and the same problems), without what it makes for each request: a
 * third of a small request's time in this process. All else, also these paths with a query, goes through Hono.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AlertDoor } from './alert-door.ts';
import type { Batches } from './batch.ts';
import type { ObservedRequest } from './context.ts';
import { problemOf } from './faults.ts';
import { PROBLEM_TYPES, type ProblemCode, type ProblemError, problemDocument, problemHeaders } from './problems.ts';
import { requestIdOf } from './request-id.ts';

export interface DirectOptions {
  readonly door: AlertDoor;
  readonly batches: Batches;
  readonly observe: ((request: ObservedRequest) => void) | undefined;
  /** A fault of the server. */
  readonly onFault: (error: Error, requestId: string, route: string) => void;
}

/** True when it takes the request, and then answers it. */
export type Direct = (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;

export function directRoutes({ door, batches, observe, onFault }: DirectOptions): Direct {
  const answer = async (route: string, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const start = performance.now();
    const requestId = requestIdOf(headerOf(incoming, 'x-request-id'));
    const head = { header: (name: string) => headerOf(incoming, name) };
    // With `Expect: 100-continue` the client sends no body until it is told to.
    const goOn = (): void => {
      if (incoming.headers.expect !== undefined) outgoing.writeContinue();
    };
    let status = 200;
    let problem: ProblemCode | null = null;
    try {
      if (route === BATCH) {
        await batches.run({ head, incoming, outgoing, requestId, goOn });
      } else {
        const { headers, body } = await door.post(head, { incoming, stream: () => null }, goOn);
        status = 202;
        outgoing.writeHead(status, {
          'content-type': 'application/json',
          'x-request-id': requestId,
          ...headers,
          'content-length': Buffer.byteLength(body),
        });
        outgoing.end(body);
      }
    } catch (error) {
      const found = problemOf(error as Error);
      problem = found.code;
      status = PROBLEM_TYPES[problem].status;
      if (status === 500) onFault(error as Error, requestId, route);
      sendProblem(outgoing, found, requestId);
    }
    observe?.({ method: 'POST', route, status, ms: performance.now() - start, problem });
  };
  return (incoming, outgoing) => {
    const { method, url } = incoming;
    if (method !== 'POST' || (url !== SINGLE && url !== BATCH)) return false;
    void answer(url, incoming, outgoing);
    return true;
  };
}

const SINGLE = '/v1/alerts';
const BATCH = '/v1/alerts/batch';

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

/** The client may have gone, or the head of a batch may have been sent: then the connection just ends. */
function sendProblem(outgoing: ServerResponse, { code, options }: ProblemError, requestId: string): void {
  if (outgoing.headersSent || outgoing.destroyed) {
    outgoing.destroy();
    return;
  }
  const body = JSON.stringify(problemDocument(code, options, requestId));
  outgoing.writeHead(PROBLEM_TYPES[code].status, {
    ...problemHeaders(options, requestId),
    'content-length': Buffer.byteLength(body),
  });
  outgoing.end(body);
}
