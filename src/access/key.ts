/** What a key looks like, and what it may be good for. */
import { hash } from 'node:crypto';
import type { LaneName } from '../policy/index.ts';

export const KEY_SCOPES = [
  'alerts:write',
  'alerts:read',
  'deliveries:read',
  'lists:write',
  'lists:read',
  'audit:read',
  'dispatch:read',
  'dispatch:control',
] as const;
export type KeyScope = (typeof KEY_SCOPES)[number];

/** Who calls: a key's producer and organisation, and what the key may do. */
export interface Principal {
  readonly organisation: number;
  readonly producer: number;
  readonly apiKey: number;
  readonly lanes: ReadonlySet<LaneName>;
  readonly scopes: ReadonlySet<KeyScope>;
}

/** Hears the prefix of each key that is revoked. */
export const KEYS_CHANNEL = 'tocsin_keys';

const form = /^tocsin_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

/** `prefix`: 12 hex digits, names the key; `secret`: 32 bytes. */
export const keyText = (prefix: string, secret: Buffer): string => `tocsin_${prefix}_${secret.toString('base64url')}`;

/** The prefix of a well-formed key, else null. */
export const prefixOf = (text: string): string | null => form.exec(text)?.[1] ?? null;

/** What is stored of a key. No salt and no slow hash: its 256 random bits can't be guessed. */
export const hashOf = (text: string): Buffer => hash('sha256', text, 'buffer');
