import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hmacSha256 } from './hmac.ts';

test('the HMAC is that of node:crypto, for every length of key and data', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ maxLength: 300 }), (key, data) => {
      expect(hmacSha256(key, Buffer.from(data))).toEqual(createHmac('sha256', key).update(data).digest());
    }),
    { numRuns: 500 },
  );
});

test('a longer key is refused rather than used in another way', () => {
  expect(() => hmacSha256(Buffer.alloc(65), Buffer.alloc(1))).toThrow(RangeError);
});
