/** Facts of a delivery's life and what they add up to. */
export * from './journal.ts';
export * from './progress.ts';
export * from './queries.ts';
export * from './state.ts';
export * from './tables.ts';
