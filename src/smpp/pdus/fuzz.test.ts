import { expect, test } from 'vitest';
import { fuzz } from '../../../test/support/pdu-fuzz.ts';

test('100,000 cases of random and mutated octets are read or refused, and nothing else', () => {
  const result = fuzz(100_000, 20_261_125);
  expect(result.faults).toEqual([]);
  // It looked: both outcomes, and every way of refusing.
  expect(result.read).toBeGreaterThan(30_000);
  expect(result.again).toBeGreaterThan(1_000);
  for (const code of ['truncated', 'unterminated-string', 'short-message-length', 'tlv-stream', 'malformed']) {
    expect(`${code}: ${(result.refused[code] ?? 0) > 50}`).toBe(`${code}: true`);
  }
});
