/** All tables of facts, for whoever verifies them. */
import { ACCESS_TABLES } from './access/index.ts';
import { ALERT_TABLES } from './alerts/index.ts';
import { AUDIENCE_TABLES } from './audience/index.ts';
import { type AnyFactTable, chainWriter } from './audit/index.ts';
import { DISPATCH_TABLES } from './dispatch/index.ts';
import { FANOUT_TABLES } from './fanout/index.ts';
import { POLICY_TABLES } from './policy-load.ts';
import { RECORD_TABLES } from './records/index.ts';

export const FACT_TABLES: readonly AnyFactTable[] = [
  chainWriter,
  ...POLICY_TABLES,
  ...ACCESS_TABLES,
  ...AUDIENCE_TABLES,
  ...ALERT_TABLES,
  ...FANOUT_TABLES,
  ...RECORD_TABLES,
  ...DISPATCH_TABLES,
];
