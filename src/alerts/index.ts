/**
 * What a producer says: intake (rules, group commit, idempotency), the life of an alert, its progress.
 *
 * | state | meaning |
 * |---|---|
 * | `accepted` | stored; nothing was handed over yet |
 * | `scheduled` | stored; `notBefore` is ahead |
 * | `sending` | deliveries are being made or handed over |
 * | `complete` | fanned out, and every delivery has its final state |
 * | `cancelled` | cancelled by its producer; what was handed over still comes to its own end |
 */

export { Fresh, FreshWork } from './fresh.ts';
export { INTAKE_LIMITS, Intake, type IntakeLimits, type IntakeOptions } from './intake.ts';
export { HttpPortability, type LookupOutcome, type NetworkLookup } from './portability.ts';
export type { Backlog } from './predict.ts';
export { Pressure, type PressureOptions } from './pressure.ts';
export { dayOf } from './reader.ts';
export { Alerts, type AlertsOptions } from './service.ts';
export { type Load, letIn, NO_LOAD, pressureOf, type Verdict, WORST } from './shed.ts';
export { sweepBodies } from './sweep-bodies.ts';
export { ALERT_TABLES } from './tables.ts';
export * from './types.ts';
export { verifyBodies } from './verify-bodies.ts';
