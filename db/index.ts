/** The tables as drizzle knows them, by room. */
export * from './access.ts';
export * from './alerts.ts';
export * from './audience.ts';
export * from './audit.ts';
export * from './dispatch.ts';
export * from './fanout.ts';
export * from './platform.ts';
export * from './policy.ts';
export * from './records.ts';
