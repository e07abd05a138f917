import fc from 'fast-check';
import metadata from 'libphonenumber-js/metadata.min';
import { describe, expect, it } from 'vitest';
import { isPossible, parseMsisdn } from './msisdn.ts';

const callingCodes = [...Object.keys(metadata.country_calling_codes), ...Object.keys(metadata.nonGeographic)];

describe('an MSISDN', () => {
  it.each(['+447700900123', '+12025550143', '+33639980123', '+4915112345678', '+390612345678', '+80012345678'])(
    'is taken when it is a possible E.164 number: %s',
    (text) => {
      expect(parseMsisdn(text)).toBe(text);
    },
  );

  it.each([
    ['no plus', '447700900123'],
    ['a leading zero', '+0447700900123'],
    ['too short', '+44770090'],
    ['too long', '+4477009001234567'],
    ['an unknown calling code', '+9991234567'],
    ['the trunk zero', '+4407700900123'],
    ['separators', '+44 7700 900123'],
    ['a tel: URI', 'tel:+447700900123'],
    ['an extension', '+447700900123;ext=5'],
    ['Arabic digits', '+٤٤٧٧٠٠٩٠٠١٢٣'],
    ['text around it', 'call +447700900123 now'],
    ['a line feed at its end', '+447700900123\n'],
    ['nothing', ''],
  ])('is refused with %s', (_, text) => {
    expect(parseMsisdn(text)).toBeNull();
  });

  it('is judged as libphonenumber-js judges it, whatever the calling code, length and first digits', () => {
    let possible = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...callingCodes),
        fc.constantFrom('', '0', '1', '8', '9', '15', '02', '044'),
        fc.stringMatching(/^\d{3,13}$/),
        (code, prefix, rest) => {
          const text = `+${code}${prefix}${rest}`.slice(0, 16);
          const expected = /^\+\d{7,15}$/.test(text) && isPossible(text);
          if (expected) possible += 1;
          expect(parseMsisdn(text) !== null).toBe(expected);
        },
      ),
      { numRuns: 20_000 },
    );
    expect(possible).toBeGreaterThan(2_000);
  });
});
