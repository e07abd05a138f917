/**
 * What a producer says: intake (form, rules, group commit), the life of an alert, its progress.
 *
 * `accepted → sending → complete`, or `scheduled` first when it is for later, or `cancelled`.
 */

export { dayOf } from './day.ts';
export { Intake } from './intake.ts';
export type { RecipientBook } from './recipients.ts';
export { Alerts } from './service.ts';
export { ALERT_TABLES } from './tables.ts';
export * from './types.ts';
