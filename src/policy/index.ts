/**
 * policies/*.yaml → typed values. Read at start, where a mistake stops the start with file, line, path and
 * reason, and again when they change.
 *
 * - lanes.yaml: the four priority classes. - carriers.yaml: the accounts at carriers ("binds"). - routing.yaml: MSISDN
 * prefix and lane → binds. `Names` gives lanes, routes and binds the numbers by which facts refer to them.
 *
 * This room knows no other but platform: it says what is allowed and wanted, and does nothing.
 */
export {
  ALERT_TLV_NAME,
  alertTlvs,
  type CarrierFieldPolicy,
  type SenderPolicy,
  type TlvPolicy,
} from './carrier-fields.ts';
export type { TpsWindow } from './carrier-limits.ts';
export { mayHold } from './carrier-nodes.ts';
export type { CarrierReceiptPolicy } from './carrier-receipts.ts';
export type { CarrierText, TextPolicy } from './carrier-text.ts';
export type { BindName, CarrierPolicy } from './carriers.ts';
export { policyCheck } from './check.ts';
export { DAY_MS, formatDuration, parseDuration } from './duration.ts';
export { PolicyError, type PolicyIssue } from './error.ts';
export type { Environment } from './fields.ts';
export { isLaneName, LANES, type LaneName, type LanePolicy, type RetryPolicy } from './lanes.ts';
export { applyLive, type LiveChange, LivePolicies } from './live.ts';
export { loadPolicies, type Policies } from './load.ts';
export { Names } from './names.ts';
export type { Protocol, Refusal, ValueType } from './protocol.ts';
export {
  compileRouting,
  type NoRoute,
  type PortabilityPolicy,
  type Route,
  type RoutingPolicy,
  routeCase,
  routeOf,
  routesOfLane,
} from './routing.ts';
export { explainRoute, type RouteExplanation } from './routing-explain.ts';
export { policySchemas } from './schemas.ts';
