import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { commitmentOf } from './commitment.ts';

it('a commitment is the HMAC-SHA-256 of the number under its salt', () => {
  const salts = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(salts, fc.stringMatching(/^\+\d{0,31}$/), (salt, text) => {
      expect(commitmentOf(salt, text)).toEqual(createHmac('sha256', salt).update(text).digest());
    }),
  );
});

it('refuses what it was not made for', () => {
  expect(() => commitmentOf(Buffer.alloc(16), '+447700900123')).toThrow(RangeError);
  expect(() => commitmentOf(Buffer.alloc(32), '1'.repeat(33))).toThrow(RangeError);
});
