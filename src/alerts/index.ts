/** What a producer says: intake and the life of an alert. */
export * from './types.ts';
