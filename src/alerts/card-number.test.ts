import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasCardNumber, isLuhnValid } from './card-number.ts';

/** A number of `length` digits that ends in its right check digit. */
const cardNumbers = fc
  .tuple(fc.integer({ min: 12, max: 18 }), fc.stringMatching(/^[1-9]\d{17}$/))
  .map(([length, digits]) => withCheckDigit(digits.slice(0, length)));

function withCheckDigit(digits: string): string {
  for (let check = 0; check < 10; check++) if (isLuhnValid(`${digits}${check}`)) return `${digits}${check}`;
  throw new Error('one of ten check digits is right');
}

const wrongLast = (card: string): string => card.slice(0, -1) + ((Number(card.at(-1)) + 1) % 10);

describe('a card number in a text', () => {
  it.each([
    ['in one group', 'Your card 4111111111111111 was charged.'],
    ['in fours with spaces', 'Card 4111 1111 1111 1111'],
    ['with dashes', '4111-1111-1111-1111 is blocked'],
    ['with narrow spaces and long dashes', 'No 4111\u202f1111–1111\u00a01111'],
    ['of American Express', '3782 822463 10005'],
    ['of 13 digits', 'old 4222222222222.'],
    ['of 19 digits', `card ${withCheckDigit('630495060000000000')}`],
    ['followed by its security code', '4111 1111 1111 1111 123'],
    ['after another number', 'ref 12 4111 1111 1111 1111'],
    ['in fullwidth digits', 'カード４１１１１１１１１１１１１１１１'],
    ['in Arabic digits', 'بطاقة ٤١١١١١١١١١١١١١١١'],
  ])('is found %s', (_, text) => {
    expect(hasCardNumber(text)).toBe(true);
  });

  it.each([
    ['no digits', 'Take shelter now.'],
    ['the first six and last four', 'Card 411111******1111: 42.10 EUR'],
    ['the last four', 'Your card ending 1111 was charged 42.10 EUR at 12:30 on 24-11-2026'],
    ['a wrong check digit', '4111 1111 1111 1112'],
    ['twelve digits', '411111111111'],
    ['twenty digits without a break', '41111111111111111111'],
    ['a telephone number', 'Call +44 7700 900123 or +44 7700 900456'],
    ['numbers apart from each other', 'On 2026/11/24 we saw 4111 then 1111 then 1111 then 1111'],
    ['an amount, a time and a balance', 'EUR 1,204.50 at 08:15, balance EUR 10,233.91'],
  ])('is not seen in %s', (_, text) => {
    expect(hasCardNumber(text)).toBe(false);
  });

  it('is found wherever it stands and however it is grouped', () => {
    fc.assert(
      fc.property(
        cardNumbers,
        fc.array(fc.integer({ min: 2, max: 8 }), { minLength: 10, maxLength: 10 }),
        fc.constantFrom('', ' ', '-', ' - ', '\u00a0', '\u2011'),
        fc.stringMatching(/^[a-z ,.:]{0,20}$/),
        (card, sizes, separator, around) => {
          const groups: string[] = [];
          for (let at = 0, i = 0; at < card.length; i++) {
            groups.push(card.slice(at, at + sizes[i]!));
            at += sizes[i]!;
          }
          expect(hasCardNumber(`${around}x${groups.join(separator)}x${around}`)).toBe(true);
        },
      ),
    );
  });

  it('is not seen in an unbroken number whose check digit is wrong', () => {
    fc.assert(
      fc.property(cardNumbers, (card) => {
        expect(hasCardNumber(`ref ${wrongLast(card)}.`)).toBe(false);
      }),
    );
  });

  it('takes linear time to look for in a long text of digits', () => {
    const text = '4111 1111 1111 1112 '.repeat(2_000);
    const started = performance.now();
    hasCardNumber(text);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
