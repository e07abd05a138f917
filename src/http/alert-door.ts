/**
 * What comes in as an alert, whichever way it came: the steps from a request's head to alerts' answer, in the order of
 * what they cost. Who may, is it let in now, is it JSON of the right form, is its own lane let in; only then alerts.
 */
import type { Principal } from '../access/index.ts';
import type { AlertRequest, SubmitResult } from '../alerts/index.ts';
import { type Known, whenKnown } from '../platform/index.ts';
import { principalOf } from './auth.ts';
import { type BodyLimits, type BodySource, JsonBodies } from './body.ts';
import { problemOfIssues } from './issues.ts';
import { ProblemError } from './problems.ts';
import { alertRequest, showAccepted } from './schemas/alert.ts';
import type { Services } from './services.ts';
import { mustBeLetIn } from './shedding.ts';

/** A request before its body. Names of headers are in lower case. */
export interface RequestHead {
  header(name: string): string | undefined;
}

/** The 202. */
export interface AcceptedAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/;
export const IDEMPOTENCY_KEY_PATTERN = IDEMPOTENCY_KEY.source;

export class AlertDoor {
  readonly #services: Services;
  readonly #bodies: JsonBodies;

  constructor(services: Services, limits: BodyLimits) {
    this.#services = services;
    this.#bodies = new JsonBodies(limits);
  }

  /** The key's principal, when some lane of it is let in now. Reads nothing of the body. @throws ProblemError. */
  enter(head: RequestHead): Known<Principal> {
    return whenKnown(principalOf(this.#services.keys, head.header('authorization'), 'alerts:write'), (principal) => {
      const length = head.header('content-length');
      mustBeLetIn(this.#services.pressure(), principal.lanes, length === undefined ? null : Number(length));
      return principal;
    });
  }

  /** POST /v1/alerts. @throws ProblemError. */
  async post(head: RequestHead, body: BodySource, onBody: () => void): Promise<AcceptedAnswer> {
    const entering = this.enter(head);
    const principal = entering instanceof Promise ? await entering : entering;
    this.#bodies.check(head.header('content-type'), head.header('content-length'));
    const key = head.header('idempotency-key');
    onBody();
    const request = parseAlert(parseJson(await this.#bodies.read(body)));
    const own = key === undefined ? null : checkedKey(key, 'header.Idempotency-Key');
    const result = await this.submit(principal, request, own);
    if (result.kind === 'problem') throw ProblemError.of(result.problem);
    const headers: Record<string, string> = { location: `/v1/alerts/${result.alert.id}` };
    if (result.replay) headers['idempotency-replayed'] = 'true';
    return { headers, body: JSON.stringify(showAccepted(result.alert)) };
  }

  /** @throws ProblemError when the alert's own lane is not let in now, or what the rooms throw. */
  submit(principal: Principal, request: AlertRequest, key: string | null): Promise<SubmitResult> {
    mustBeLetIn(this.#services.pressure(), new Set([request.lane]), 0);
    return this.#services.alerts.submit(principal, request, key);
  }
}

/** @throws ProblemError malformed-json. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProblemError('malformed-json');
  }
}

/** @throws ProblemError that names each field and rule. */
export function parseAlert(value: unknown): AlertRequest {
  const parsed = alertRequest.safeParse(value);
  if (parsed.success) return parsed.data;
  throw problemOfIssues(parsed.error.issues, value, null);
}

/** @throws ProblemError invalid-request. */
export function checkedKey(key: unknown, field: string): string {
  if (typeof key === 'string' && IDEMPOTENCY_KEY.test(key)) return key;
  const message = 'must be 1 to 255 printable ASCII characters';
  throw new ProblemError('invalid-request', { errors: [{ field, rule: 'idempotency-key', message }] });
}
