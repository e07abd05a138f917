/** The protocol's tables as policy wants them: carriers.yaml is held against these when it is loaded. */
import type { Protocol } from '../policy/index.ts';
import { senderForm } from './source-address.ts';
import { parseStatus } from './status.ts';
import { submitTag, submitTlv } from './submit-tlvs.ts';

export const PROTOCOL: Protocol = { parseStatus, submitTag, submitTlv, senderForm };
