/**
 * HMAC-SHA-256 (RFC 2104) over one-shot hashes. For a key that is used once, as the salt of a commitment: 2.5 µs where
 * node's Hmac takes 4.4 with the KeyObject that it wants (and more with a Buffer), and no native objects to collect.
 */
import { hash } from 'node:crypto';

const BLOCK = 64;
const DIGEST = 32;
/** Filled anew by each call. */
const outer = Buffer.alloc(BLOCK + DIGEST);

/** @param key of at most 64 octets. */
export function hmacSha256(key: Uint8Array, data: Buffer): Buffer {
  if (key.length > BLOCK) throw new RangeError('a key of more than 64 octets is hashed first, which nobody here needs');
  const inner = Buffer.allocUnsafe(BLOCK + data.length);
  for (let i = 0; i < BLOCK; i++) {
    const octet = key[i] ?? 0;
    inner[i] = octet ^ 0x36;
    outer[i] = octet ^ 0x5c;
  }
  data.copy(inner, BLOCK);
  hash('sha256', inner, 'buffer').copy(outer, BLOCK);
  return hash('sha256', outer, 'buffer');
}
