/** Who may: organisations, producers and their API keys. */
export { createKey, KEY_SCOPES, KeyCache, type KeyRequest, type Principal, revokeKey } from './keys.ts';
export { ACCESS_TABLES } from './tables.ts';
