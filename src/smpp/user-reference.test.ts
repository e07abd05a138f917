import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FieldError } from './errors.ts';
import {
  matchUserReference,
  readUserReference,
  type Sent,
  userReferenceOf,
  userReferenceTlv,
} from './user-reference.ts';

const deliveries = fc.oneof(fc.integer({ min: 0, max: 2 ** 31 }), fc.maxSafeNat());
const sent: fc.Arbitrary<Sent> = fc.record({
  delivery: deliveries,
  attempt: fc.integer({ min: 1, max: 127 }),
  segment: fc.integer({ min: 1, max: 255 }),
});

it('is found again in the TLV that carried it', () => {
  fc.assert(
    fc.property(sent, (each) => {
      const tlv = userReferenceTlv(each);
      expect(tlv).toMatchObject({ tag: 0x0204 });
      expect(tlv.value).toHaveLength(2);
      expect(readUserReference([{ tag: 0x1400, value: Buffer.alloc(2) }, tlv])).toBe(userReferenceOf(each));
      expect(userReferenceOf(each)).toBeGreaterThan(0);
    }),
  );
  expect(readUserReference([])).toBe(null);
  for (const hex of ['', '00', '0000', '000001'])
    expect(readUserReference([{ tag: 0x0204, value: Buffer.from(hex, 'hex') }])).toBe(null);
});

it('is another one for each segment and attempt of a delivery', () => {
  fc.assert(
    fc.property(deliveries, (delivery) => {
      const seen = new Set<number>();
      for (let attempt = 1; attempt <= 127; attempt += 6) {
        for (let segment = 1; segment <= 255; segment++) seen.add(userReferenceOf({ delivery, attempt, segment }));
      }
      expect(seen.size).toBe(22 * 255);
    }),
    { numRuns: 20 },
  );
});

it('tells apart what is open to one number, and leaves in doubt what it can not tell apart', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(sent, { minLength: 1, maxLength: 8, selector: (each) => JSON.stringify(each) }),
      (open) => {
        for (const each of open) {
          const reference = userReferenceOf(each);
          const twins = open.filter((other) => userReferenceOf(other) === reference).length;
          expect(matchUserReference(reference, open)).toBe(twins === 1 ? each : null);
        }
      },
    ),
  );
  expect(matchUserReference(1, [])).toBe(null);
});

it('of a hundred neighbouring deliveries is a hundred references', () => {
  const first = 7_000_000;
  const references = Array.from({ length: 100 }, (_, i) =>
    userReferenceOf({ delivery: first + i, attempt: 1, segment: 1 }),
  );
  expect(new Set(references).size).toBe(100);
});

it('refuses numbers that no submission has', () => {
  for (const wrong of [{ delivery: -1 }, { delivery: 2 ** 53 }, { attempt: 128 }, { segment: 0 }, { segment: 256 }]) {
    expect(() => userReferenceOf({ delivery: 1, attempt: 1, segment: 1, ...wrong })).toThrow(FieldError);
  }
});
