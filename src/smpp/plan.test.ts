import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextError } from './errors.ts';
import { NATIONAL_LANGUAGES } from './gsm7-tables.ts';
import { CONCATENATIONS } from './layout.ts';
import { planText, TEXT_OPTIONS, type TextOptions } from './plan.ts';
import { encodeText, GSM7, TEXT_ALPHABETS, UCS2 } from './text.ts';

const BASIC_AND_EXTENSION =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà\f^{}\\[~]|€';

const all: TextOptions = { ...TEXT_OPTIONS, alphabets: TEXT_ALPHABETS, languages: NATIONAL_LANGUAGES };
const chosen = (text: string, options: Partial<TextOptions> = {}) => {
  const { encoding, dataCoding, cuts } = planText(text, { ...all, ...options });
  return [encoding.alphabet, encoding.locking, encoding.single, dataCoding, cuts.length];
};

describe('the cheapest alphabet', () => {
  it('is the default alphabet, with data_coding 0 and not 1, as soon as it carries the text', () => {
    expect(chosen(BASIC_AND_EXTENSION)).toEqual(['gsm7', null, null, 0, 1]);
    expect(chosen('')).toEqual(['gsm7', null, null, 0, 1]);
    for (const text of ['ç', '’', '`', '\t', 'Ж', '😀', '\u0000', '\u001b']) {
      expect(planText(`Code 4417 ${text}`, TEXT_OPTIONS)).toMatchObject({ encoding: UCS2, dataCoding: 8 });
    }
  });

  it.each<[string, string, Partial<TextOptions>, unknown[]]>([
    ['Turkish, with a letter that only the default alphabet has', 'Yarın çok ìyi', {}, ['', 'gsm7', null, 'turkish']],
    ['Turkish', 'Yarın yağmur', {}, ['', 'gsm7', 'turkish', null]],
    ['Spanish', '¿Qué día? Mañana', { alphabets: ['gsm7', 'ucs2'] }, ['', 'gsm7', null, 'spanish']],
    ['Portuguese', 'Atenção: inundação, não saia', { alphabets: ['gsm7', 'ucs2'] }, ['', 'gsm7', 'portuguese', null]],
    ['French, where Latin-1 is taken', 'être à là-bas', { languages: [] }, ['', 'latin1', null, null]],
    ['French, where it is not', 'être', { languages: [], alphabets: ['gsm7', 'ucs2'] }, ['', 'ucs2', null, null]],
    ['Turkish with Portuguese', 'ış não, ão ão ão ão', {}, ['', 'gsm7', 'portuguese', 'turkish']],
    ['Cyrillic', 'Внимание', {}, ['', 'ucs2', null, null]],
    [
      'flash, which Latin-1 can not be',
      'être',
      { languages: [], marking: { kind: 'class', class: 0 } },
      ['', 'ucs2', null, null],
    ],
  ])('of %s', (_, text, options, [, alphabet, locking, single]) => {
    expect(chosen(text, options).slice(0, 3)).toEqual([alphabet, locking, single]);
  });

  it('leaves the default alphabet for another only where that saves a part', () => {
    const brackets = '[]'.repeat(60);
    expect(chosen(brackets, { languages: [] })).toEqual(['latin1', null, null, 3, 1]);
    expect(chosen(brackets, { languages: [], alphabets: ['gsm7', 'ucs2'] })).toEqual(['gsm7', null, null, 0, 2]);
    // € is one septet in the locking tables.
    expect(chosen('€'.repeat(100), { alphabets: ['gsm7', 'ucs2'] }).slice(0, 2)).toEqual(['gsm7', 'turkish']);
    expect(chosen('€'.repeat(80))).toEqual(['gsm7', null, null, 0, 1]);
  });

  it('says class and waiting in data_coding', () => {
    expect(chosen('Hello', { marking: { kind: 'class', class: 0 } })[3]).toBe(0xf0);
    expect(chosen('Привет', { marking: { kind: 'class', class: 0 } })[3]).toBe(0x18);
    const waiting = { kind: 'waiting', type: 'voicemail', active: true, store: false } as const;
    expect(chosen('Hello', { marking: waiting })[3]).toBe(0xc8);
    expect(() => planText('Привет', { ...all, marking: waiting })).toThrow(TextError);
  });
});

describe('what can not be carried', () => {
  const refused = (text: string, options: Partial<TextOptions> = {}) => {
    try {
      planText(text, { ...TEXT_OPTIONS, ...options });
    } catch (error) {
      const { code, culprit } = error as TextError;
      return { code, ...culprit };
    }
    return null;
  };

  it('is an error that names the character, its code point and how many code points are before it', () => {
    expect(refused('na ïve', { alphabets: ['gsm7'] })).toEqual({
      ...{ code: 'not-in-alphabet', character: 'ï', codePoint: 0xef, position: 3 },
    });
    expect(refused('ï 🚨 Ж', { alphabets: ['latin1', 'gsm7'] })).toEqual({
      ...{ code: 'not-in-alphabet', character: '🚨', codePoint: 0x1f6a8, position: 2 },
    });
    expect(refused('🚨half \ud83d')).toEqual({
      ...{ code: 'not-well-formed', character: '\ud83d', codePoint: 0xd83d, position: 6 },
    });
    expect(refused('a\ud83d', { alphabets: ['gsm7'] })?.code).toBe('not-well-formed');
    expect(() => encodeText('na ïve', GSM7)).toThrow(TextError);
  });

  it('does not stand in the message of the error, which may be logged', () => {
    const error = new Error();
    try {
      planText('secret ï', { ...TEXT_OPTIONS, alphabets: ['gsm7'] });
    } catch (thrown) {
      error.message = (thrown as Error).message;
    }
    expect(error.message).toBe('the text holds a character that no alphabet of the carrier has');
  });
});

describe('transliteration in a plan', () => {
  const plan = (text: string, options: Partial<TextOptions>) => planText(text, { ...TEXT_OPTIONS, ...options });

  it('happens where it makes the text one for GSM 7-bit, and is told', () => {
    expect(plan('It’s 5\u00a0€', { transliterate: 'punctuation' })).toMatchObject({
      text: "It's 5 €",
      encoding: GSM7,
      changes: [
        { character: '’', replacement: "'", count: 1, position: 2 },
        { character: '\u00a0', replacement: ' ', count: 1, position: 6 },
      ],
    });
  });

  it.each<[string, string, Partial<TextOptions>]>([
    ['policy says none', 'It’s', {}],
    ['something else needs UCS-2 anyway', 'It’s Ж', { transliterate: 'gsm7' }],
    ['another alphabet of the carrier has the character', 'être', { transliterate: 'gsm7', alphabets: TEXT_ALPHABETS }],
    ['a national table has it', 'ağaç', { transliterate: 'gsm7', languages: ['turkish'] }],
    ['the default alphabet carries it', 'É à', { transliterate: 'gsm7' }],
  ])('does not happen where %s', (_, text, options) => {
    expect(plan(text, options)).toMatchObject({ text, changes: [] });
  });

  it('changes as little as the tables allow', () => {
    expect(plan('ağaç – “ş”', { transliterate: 'gsm7', languages: ['turkish'] })).toMatchObject({
      text: 'ağaç - "ş"',
      encoding: { locking: 'turkish' },
    });
  });

  it('is refused where it would not do', () => {
    expect(() => plan('Ж’', { transliterate: 'gsm7', alphabets: ['gsm7'] })).toThrow(TextError);
  });
});

describe('a choice among alphabets', () => {
  const characters = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...'abc de[]€') },
    { weight: 2, arbitrary: fc.constantFrom(...'ığşçİáíóúãõâêÁ`ª|\r\n') },
  );
  const rare = fc.oneof(characters, characters, fc.constantFrom('Ж', '😀', 'ÿ'));
  const texts = fc.oneof(
    fc.string({ unit: characters, maxLength: 400, size: 'max' }),
    fc.string({ unit: characters, minLength: 140, maxLength: 165, size: 'max' }),
    fc.string({ unit: rare, maxLength: 200, size: 'max' }),
  );

  it('never takes more parts than any of them alone', () => {
    fc.assert(
      fc.property(
        texts,
        fc.subarray([...TEXT_ALPHABETS], { minLength: 1 }),
        fc.subarray([...NATIONAL_LANGUAGES]),
        fc.constantFrom(...CONCATENATIONS),
        fc.boolean(),
        (text, alphabets, languages, concatenation, packed) => {
          const options = { ...all, alphabets, languages, concatenation, packed };
          const parts = partsOf(text, options);
          for (const alphabet of alphabets) {
            expect(parts).toBeLessThanOrEqual(partsOf(text, { ...options, alphabets: [alphabet], languages: [] }));
            for (const language of languages) {
              const alone = partsOf(text, { ...options, alphabets: [alphabet], languages: [language] });
              expect(parts).toBeLessThanOrEqual(alone);
            }
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  function partsOf(text: string, options: TextOptions): number {
    try {
      return planText(text, options).cuts.length;
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      return Number.POSITIVE_INFINITY;
    }
  }
});
