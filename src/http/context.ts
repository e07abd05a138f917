/** What travels with a request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access/index.ts';
import type { ProblemCode } from './problems.ts';

export interface HttpEnv {
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    requestId: string;
    /** Set by `authenticated`. */
    principal: Principal;
  };
}

export interface ObservedRequest {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  /** What it was refused with; null when it was not. */
  readonly problem: ProblemCode | null;
}
