import serialize from 'canonicalize';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LANES } from '../policy/index.ts';
import { canonicalize } from './idempotency.ts';
import { ALERT_STATUSES, type AlertRequest } from './types.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const time = orNull(fc.integer({ min: 0, max: 4e12 }));
const request = fc.record(
  {
    validForMs: orNull(fc.integer({ min: 1, max: 1e10 })),
    texts: fc.array(fc.record({ text, language: orNull(fc.constantFrom('en', 'fr')) }), { minLength: 1, maxLength: 3 }),
    lane: fc.constantFrom(...LANES),
    status: fc.constantFrom(...ALERT_STATUSES),
    secret: fc.boolean(),
    sender: orNull(text),
    target: fc.record({
      recipients: fc.array(fc.record({ reference: orNull(text), msisdn: text }), { maxLength: 3 }),
      lists: fc.array(text, { maxLength: 3 }),
    }),
    reference: orNull(text),
    expiresAt: time,
    notBefore: time,
    tlvs: fc.dictionary(fc.stringMatching(/^[a-z][A-Za-z]{0,8}$/), fc.oneof(text, fc.nat()), { maxKeys: 4 }),
  },
  {
    requiredKeys: [
      'validForMs',
      'texts',
      'lane',
      'status',
      'secret',
      'sender',
      'target',
      'reference',
      'expiresAt',
      'notBefore',
    ],
  },
) as unknown as fc.Arbitrary<AlertRequest>;

test('a request’s canonical JSON is that of RFC 8785, so that the fingerprints of stored keys stay as they were', () => {
  fc.assert(
    fc.property(request, (value) => {
      expect(canonicalize(value)).toBe(serialize(value));
    }),
    { numRuns: 500 },
  );
});
