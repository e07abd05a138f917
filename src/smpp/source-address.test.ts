import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { FieldError } from './errors.ts';
import { DEFAULT_TABLE, septetLength } from './gsm7.ts';
import { defaultSenderRules, type SenderRule, senderForm, sourceAddress } from './source-address.ts';

test.each([
  ['', 'none'],
  ['Tocsin', 'alphanumeric'],
  ['My Bank 24', 'alphanumeric'],
  ['ElevenChars', 'alphanumeric'],
  ['Ten[Chars', 'alphanumeric'],
  ['A', 'alphanumeric'],
  ['123', 'short-code'],
  ['12345678', 'short-code'],
  ['123456789', 'national'],
  ['07700900123', 'national'],
  ['+447700900123', 'international'],
  ['TwelveCharss', null],
  // Brackets take two septets each.
  ['[Ten]Chars', null],
  ['`quoted`', null],
  ['Größe', null],
  ['12', null],
  ['+1', null],
  ['+44 7700', null],
  ['123456789012345678901', null],
  ['a\0b', null],
  ['🚨', null],
] as const)('%j is of form %s', (sender, form) => {
  expect(senderForm(sender)).toBe(form);
  if (form === null) expect(() => sourceAddress(sender, defaultSenderRules())).toThrow(FieldError);
});

describe('the rules', () => {
  it('give each form its type and plan when the carrier has none of its own', () => {
    const of = (sender: string) => Object.values(sourceAddress(sender, defaultSenderRules({ ton: 1, npi: 1 })));
    expect(of('')).toEqual([0, 0, '']);
    expect(of('Tocsin')).toEqual([5, 0, 'Tocsin']);
    expect(of('72100')).toEqual([3, 0, '72100']);
    expect(of('07700900123')).toEqual([2, 1, '07700900123']);
    expect(of('+447700900123')).toEqual([1, 1, '447700900123']);
  });

  it('are tried in their order, by form and by how the sender begins', () => {
    const rule = (rest: Partial<SenderRule>): SenderRule => ({
      ...{ form: null, prefix: '', ton: 9, npi: 9, plus: false },
      ...rest,
    });
    const rules = [
      rule({ form: 'international', prefix: '+91', ton: 4, npi: 6, plus: true }),
      rule({ form: 'short-code', prefix: '7', ton: 6, npi: 9 }),
      rule({ prefix: 'My', ton: 5, npi: 8 }),
      ...defaultSenderRules(),
      rule({ ton: 0 }),
    ];
    expect(sourceAddress('+919876543210', rules)).toEqual({ ton: 4, npi: 6, address: '+919876543210' });
    expect(sourceAddress('+447700900123', rules)).toEqual({ ton: 1, npi: 1, address: '447700900123' });
    expect(sourceAddress('72100', rules)).toEqual({ ton: 6, npi: 9, address: '72100' });
    expect(sourceAddress('82100', rules)).toEqual({ ton: 3, npi: 0, address: '82100' });
    expect(sourceAddress('MyBank', rules)).toEqual({ ton: 5, npi: 8, address: 'MyBank' });
    expect(() => sourceAddress('MyBank', [])).toThrow(FieldError);
    // With its plus sign it is one character longer than the field.
    expect(() => sourceAddress(`+91${'1'.repeat(18)}`, rules)).toThrow(/20 characters/);
  });
});

it('never lets through what does not fit the field or the screen', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), (sender) => {
      const form = senderForm(sender);
      if (form === null) return;
      const { address, ton } = sourceAddress(sender, defaultSenderRules());
      expect(address).toMatch(/^[\x20-\x7e]{0,20}$/);
      if (ton === 5) expect(septetLength(address, DEFAULT_TABLE)).toBeLessThanOrEqual(11);
      else expect(address).toMatch(/^\d*$/);
    }),
    { numRuns: 2_000 },
  );
});
