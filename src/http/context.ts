/** What travels with a request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access/index.ts';

export interface HttpEnv {
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    requestId: string;
    /** Set by `authenticated`. */
    principal: Principal;
  };
}
