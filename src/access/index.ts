/**
 * The access room: who may.
 *
 * An *organisation* owns everything that can be read; a *producer* is an account of it; an *API key* lets a producer in,
 * for some lanes and scopes. A key is made once, shown once, and stored as a hash; it ends by a *revocation*, which is in
 * force on every process within a second. All four are facts.
 */
export { KEY_SCOPES, type KeyScope, type Principal } from './key.ts';
export { KeyCache } from './key-cache.ts';
export { createKey, type KeyInfo, type KeyRequest, listKeys, revokeKey } from './keys.ts';
export { ACCESS_TABLES } from './tables.ts';
