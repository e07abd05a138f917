import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_TABLE, septetLength } from './gsm7.ts';
import { type Transliteration, transliterate } from './transliterate.ts';

const carries = (text: string): boolean => septetLength(text, DEFAULT_TABLE) >= 0;
const gsm = (text: string, policy: Transliteration) => transliterate(text, policy, carries);

describe('transliteration', () => {
  it.each<[Transliteration, string, string | null]>([
    ['none', 'It’s', null],
    ['none', 'Its', 'Its'],
    ['punctuation', '‘a’ “b” – c — d… 5\u00a0000\u202f€\u00ad', '\'a\' "b" - c - d... 5 000 €'],
    ['punctuation', 'ā', null],
    // Composed, it is in the alphabet: nothing is lost.
    ['punctuation', 'cafe\u0301', 'café'],
    ['gsm7', 'Zażółć gęślą jaźń, „Łódź”', 'Zazolc gesla jazn, "Lodz"'],
    ['gsm7', 'Český ďáblík, Œuvre, naïve, ĳs', 'Cesky dablik, OEuvre, naive, ijs'],
    ['gsm7', '₺100 ™ ©', 'TRY100 (TM) (c)'],
    // A mark that no composed letter has.
    ['gsm7', 'x\u0323', 'x'],
    ['gsm7', 'Ж', null],
    ['gsm7', '🚨', null],
    // What counts is never touched.
    ['gsm7', '10²', null],
    ['gsm7', '1½', null],
    ['gsm7', '１２', null],
    ['gsm7', '1\u0336', null],
    ['gsm7', '≮', null],
    ['gsm7', '1️⃣', null],
  ])('%s of %s', (policy, text, expected) => {
    expect(gsm(text, policy)?.text ?? null).toBe(expected);
  });

  it('says what it changed into what, how often, and where first, counted in code points', () => {
    expect(gsm('€’a’ 日', 'gsm7')).toBe(null);
    expect(transliterate('😀’a\u0304’ e\u0301', 'gsm7', (text) => carries(text) || text === '😀')).toEqual({
      text: "😀'a' é",
      changes: [
        { character: '’', replacement: "'", count: 2, position: 1 },
        { character: 'a\u0304', replacement: 'a', count: 1, position: 2 },
        { character: 'e\u0301', replacement: 'é', count: 1, position: 6 },
      ],
    });
  });

  it('leaves what is carried alone, and gives only what is carried', () => {
    const characters = fc.oneof(
      fc.constantFrom(...'abc123€é–’āłœ\u0301²'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: characters, maxLength: 30, size: 'max' }),
        fc.constantFrom<Transliteration>('none', 'punctuation', 'gsm7'),
        (text, policy) => {
          const result = gsm(text, policy);
          if (carries(text)) expect(result).toEqual({ text, changes: [] });
          if (result === null) return;
          expect(carries(result.text)).toBe(true);
          const digits = /\p{N}/gu;
          expect(result.text.match(digits)).toEqual(text.match(digits));
          // Undoing nothing: what was not changed is there in the same order.
          if (result.changes.length === 0) expect(result.text).toBe(text);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
