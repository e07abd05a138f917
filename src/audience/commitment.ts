/** The commitment to a number: HMAC-SHA-256 under a salt of its own. */
import { hmacSha256 } from '../platform/index.ts';

export const SALT_BYTES = 32;

/**
 * @param salt of `SALT_BYTES`. @param text at most 32 ASCII characters.
 * @throws RangeError for another salt or text.
 */
export function commitmentOf(salt: Buffer, text: string): Buffer {
  if (salt.length !== SALT_BYTES || text.length > 32) throw new RangeError('a salt of 32 bytes, a text of at most 32');
  return hmacSha256(salt, Buffer.from(text, 'latin1'));
}
