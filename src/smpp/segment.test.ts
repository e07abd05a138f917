import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextError } from './errors.ts';
import { shiftsOf } from './gsm7.ts';
import { NATIONAL_LANGUAGES } from './gsm7-tables.ts';
import { joinParts } from './join.ts';
import { CONCATENATIONS, type Concatenation, headerLength } from './layout.ts';
import { Tag } from './pdu.ts';
import { planText, TEXT_OPTIONS, type TextOptions } from './plan.ts';
import {
  readPart,
  readUserData,
  type Segments,
  segment,
  segmentBinary,
  segmentPlan,
  withReference,
} from './segment.ts';
import { TEXT_ALPHABETS } from './text.ts';

const lengths = (text: string, options: Partial<TextOptions> = {}): number[] =>
  segment(text, 1, { ...TEXT_OPTIONS, ...options }).parts.map((part) => part.length);
const pdusOf = ({ parts, tlvs, esmClass, dataCoding }: Segments) =>
  parts.map((shortMessage, i) => ({ shortMessage, tlvs: tlvs[i] ?? [], esmClass, dataCoding }));

describe('limits', () => {
  it('keep 160 septets or 70 UCS-2 units in one part', () => {
    expect(segment('a'.repeat(160), 1)).toMatchObject({ esmClass: 0, dataCoding: 0, parts: [{ length: 160 }] });
    expect(lengths('€'.repeat(80))).toEqual([160]);
    expect(lengths('€'.repeat(81))).toHaveLength(2);
    expect(segment('Ж'.repeat(70), 1)).toMatchObject({ esmClass: 0, dataCoding: 8, parts: [{ length: 140 }] });
    expect(segment('', 1).parts).toEqual([Buffer.alloc(0)]);
  });

  const languages = ['turkish'] as const;
  it.each<[string, string, Partial<TextOptions>, number[]]>([
    // 7 octets of header leave 133: 152 septets, 133 octets, 66 units of UCS-2.
    ['udh-16, GSM 7-bit', 'a'.repeat(161), {}, [7 + 152, 7 + 9]],
    ['udh-16, UCS-2', 'Ж'.repeat(71), {}, [7 + 132, 7 + 10]],
    ['udh-16, Latin-1', 'ê'.repeat(141), { alphabets: ['latin1'] }, [7 + 133, 7 + 8]],
    ['udh-8, GSM 7-bit', 'a'.repeat(161), { concatenation: 'udh-8' }, [6 + 153, 6 + 8]],
    ['udh-8, UCS-2', 'Ж'.repeat(71), { concatenation: 'udh-8' }, [6 + 134, 6 + 8]],
    ['udh-8, Latin-1', 'ê'.repeat(141), { alphabets: ['latin1'], concatenation: 'udh-8' }, [6 + 134, 6 + 7]],
    ['sar, GSM 7-bit', 'a'.repeat(161), { concatenation: 'sar' }, [160, 1]],
    ['sar, UCS-2', 'Ж'.repeat(71), { concatenation: 'sar' }, [140, 2]],
    ['sar of 134 octets', 'a'.repeat(161), { concatenation: 'sar', sarOctets: 134 }, [153, 8]],
    ['sar of 134 octets, whole', 'a'.repeat(160), { concatenation: 'sar', sarOctets: 134 }, [160]],
    ['payload', 'a'.repeat(161), { concatenation: 'payload' }, [0]],
    // One national table: 4 octets of header, 155 septets; with a reference 10, 148; or 9, 149.
    ['one table', 'ğ'.repeat(155), { languages }, [4 + 155]],
    ['one table, udh-16', 'ğ'.repeat(156), { languages }, [10 + 148, 10 + 8]],
    ['one table, udh-8', 'ğ'.repeat(156), { languages, concatenation: 'udh-8' }, [9 + 149, 9 + 7]],
    ['one table, sar', 'ğ'.repeat(156), { languages, concatenation: 'sar' }, [4 + 155, 4 + 1]],
    // Packed: eight septets are seven octets.
    ['packed', 'a'.repeat(160), { packed: true }, [140]],
    ['packed, udh-16', 'a'.repeat(161), { packed: true }, [140, 7 + 8]],
    ['packed, udh-8, with a bit to fill', 'a'.repeat(161), { packed: true, concatenation: 'udh-8' }, [140, 6 + 8]],
    // The CR that ends on the last octet needs a second one, which does not fit any more.
    ['packed, a CR at the very end', `${'a'.repeat(159)}\r`, { packed: true }, [7 + 133, 7 + 8]],
  ])('of %s', (_, text, options, expected) => {
    expect(lengths(text, options)).toEqual(expected);
  });

  it('take 255 parts, and refuse 256 with an error of its own', () => {
    expect(lengths('a'.repeat(152 * 255))).toHaveLength(255);
    const code = { code: 'too-many-parts' };
    expect(() => segment('a'.repeat(152 * 255 + 1), 1)).toThrow(expect.objectContaining(code));
    // One submit_sm, but the SMSC would have to make 256 of it.
    const payload: TextOptions = { ...TEXT_OPTIONS, concatenation: 'payload' };
    expect(segment('a'.repeat(153 * 255), 1, payload).parts).toHaveLength(1);
    expect(() => segment('a'.repeat(153 * 255 + 1), 1, payload)).toThrow(expect.objectContaining(code));
    expect(() => segment('x\udc00', 1)).toThrow(TextError);
  });
});

describe('what says that parts belong together', () => {
  const long = 'a'.repeat(400);
  const heads = (options: Partial<TextOptions>, octets: number) => {
    const { parts } = segment(long, 0xbeef, { ...TEXT_OPTIONS, ...options });
    return parts.map((part) => part.toString('hex', 0, octets));
  };

  it('is a header with a 16-bit reference: 06 08 04 ref ref total number', () => {
    expect(heads({}, 7)).toEqual(['060804beef0301', '060804beef0302', '060804beef0303']);
    expect(segment(long, 1).esmClass).toBe(0x40);
  });

  it('is a header with an 8-bit reference: 05 00 03 ref total number', () => {
    expect(heads({ concatenation: 'udh-8' }, 6)).toEqual(['050003ef0301', '050003ef0302', '050003ef0303']);
  });

  it('stands before the national tables in the same header: 25 01 locking, 24 01 single', () => {
    const options: TextOptions = { ...TEXT_OPTIONS, languages: ['turkish', 'portuguese'] };
    const both = segment(`${'ğış'.repeat(60)}${'ã'.repeat(20)}`, 0x0102, options);
    expect(both.parts.map((part) => part.toString('hex', 0, 13))).toEqual([
      '0c0804010202012501012' + '40103',
      '0c0804010202022501012' + '40103',
    ]);
    const [single] = segment('¿Yarın', 1, options).parts;
    expect(single?.toString('hex')).toBe('03240101' + '605961721b696e');
    const [locking] = segment('ığışığış', 1, options).parts;
    expect(locking?.toString('hex')).toBe('03250101' + '070c071d070c071d');
  });

  it('is three TLVs, and no header', () => {
    const { parts, tlvs, esmClass } = segment(long, 0xbeef, { ...TEXT_OPTIONS, concatenation: 'sar' });
    expect(esmClass).toBe(0);
    expect(parts.map((part) => part.length)).toEqual([160, 160, 80]);
    expect(tlvs.map((each) => each.map(({ tag, value }) => `${tag.toString(16)} ${value.toString('hex')}`))).toEqual([
      ['20c beef', '20e 03', '20f 01'],
      ['20c beef', '20e 03', '20f 02'],
      ['20c beef', '20e 03', '20f 03'],
    ]);
  });

  it('is nothing where message_payload holds the whole text', () => {
    const { parts, tlvs, esmClass } = segment(long, 1, { ...TEXT_OPTIONS, concatenation: 'payload' });
    expect({ parts, esmClass }).toEqual({ parts: [Buffer.alloc(0)], esmClass: 0 });
    expect(tlvs).toEqual([[{ tag: Tag.messagePayload, value: Buffer.from(long) }]]);
  });

  it('takes another reference without touching the parts that it was taken from', () => {
    for (const concatenation of ['udh-16', 'udh-8', 'sar'] as const) {
      const first = segment(long, 1, { ...TEXT_OPTIONS, concatenation });
      const other = withReference(first, 0x1234);
      expect(other).toEqual(segment(long, 0x1234, { ...TEXT_OPTIONS, concatenation }));
      expect(first).toEqual(segment(long, 1, { ...TEXT_OPTIONS, concatenation }));
    }
    const whole = segment('a', 1);
    expect(withReference(whole, 2)).toBe(whole);
  });
});

describe('a cut', () => {
  it('moves a pair that it would part whole into the next part', () => {
    expect(lengths(`${'a'.repeat(151)}€${'b'.repeat(20)}`)).toEqual([7 + 151, 7 + 22]);
    expect(lengths(`${'Ж'.repeat(65)}😀${'Ж'.repeat(10)}`)).toEqual([7 + 130, 7 + 24]);
    expect(lengths(`${'a'.repeat(151)}\r\n${'b'.repeat(20)}`)).toEqual([7 + 151, 7 + 22]);
  });

  it.each([
    ['a letter and its marks', 'e\u0301\u0323'],
    ['a flag', '🇹🇷'],
    ['a family', '👩‍👩‍👧‍👦'],
    ['a Hangul syllable in parts', '\u1100\u1161\u11a8'],
    ['a Devanagari conjunct', 'क्षि'],
  ])('keeps %s together', (_, cluster) => {
    for (let before = 66 - cluster.length; before <= 66; before++) {
      const text = `${'Ж'.repeat(before)}${cluster}${'Ж'.repeat(30)}`;
      const cuts = planText(text, TEXT_OPTIONS).cuts;
      const [first] = cuts;
      expect(cuts).toHaveLength(2);
      expect(first).toBe(before + cluster.length <= 66 ? 66 : before);
    }
  });

  it('parts what is longer than a part itself, but no surrogate pair', () => {
    const zalgo = `Ж${'\u0301'.repeat(200)}`;
    expect(lengths(`ab${zalgo}`)).toEqual([7 + 4, 7 + 132, 7 + 132, 7 + 132, 7 + 6]);
    const chain = `a${'😀'.repeat(1)}${'\u200d😀'.repeat(60)}`;
    for (const { shortMessage } of pdusOf(segment(chain, 1))) {
      expect(Buffer.from(shortMessage.subarray(7)).swap16().toString('utf16le').isWellFormed()).toBe(true);
    }
  });
});

describe('any text, by any policy', () => {
  const characters = fc.oneof(
    fc.constantFrom(...'abc @£\r\né€[]~^'),
    fc.constantFrom(...'ığşçİáíóúãõâêÁ`ª∞'),
    fc.constantFrom('\u0301'.repeat(80), '😀', '🇬🇧', 'Ж', 'e\u0301', '\u0301', '👩‍👩‍👧', '’', '\u00a0', 'ł', '\r\n'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
  );
  // From few characters each, so that long texts stay in one alphabet.
  const palettes = [
    'abc @£\r\né€[]~^',
    'abcéÿê\r\n',
    'aàè ığşç',
    'aêãóìØ',
    'ığáí',
    'ãõğ',
    'ãõΦ',
    'áíèØ€',
    'abğışçíóúãõâê€\r',
  ];
  const plain = fc.constantFrom(...palettes).chain((palette) => {
    const unit = fc.constantFrom(...palette);
    return fc.oneof(
      fc.string({ unit, maxLength: 160, size: 'max' }),
      fc.string({ unit, minLength: 120, maxLength: 700, size: 'max' }),
    );
  });
  const texts = fc.oneof(plain, plain, fc.string({ unit: characters, maxLength: 300, size: 'max' }));
  const policies: fc.Arbitrary<TextOptions> = fc.record({
    alphabets: fc
      .subarray([...TEXT_ALPHABETS], { minLength: 1 })
      .chain((some) => fc.shuffledSubarray(some, { minLength: some.length })),
    languages: fc.subarray([...NATIONAL_LANGUAGES]),
    packed: fc.boolean(),
    concatenation: fc.constantFrom(...CONCATENATIONS),
    sarOctets: fc.integer({ min: 100, max: 140 }),
    transliterate: fc.constantFrom('none', 'punctuation', 'gsm7'),
    marking: fc.option(fc.constant({ kind: 'class', class: 0 } as const), { freq: 4 }),
  });

  /** The cut goes before CR LF, and leaves a CR that ends on an octet. */
  const crBeforeLineEnd: [string, TextOptions, number] = [
    `${'a'.repeat(151)}\r\r\n${'a'.repeat(16)}`,
    {
      ...{ alphabets: ['gsm7'], languages: [], packed: true, concatenation: 'sar', sarOctets: 134 },
      ...{ transliterate: 'none', marking: null },
    },
    0,
  ];

  it('gives parts within limits that join to the text, with no pair or character parted', () => {
    const reached = new Set<string>();
    fc.assert(
      fc.property(texts, policies, fc.nat(0xffff), (text, options, reference) => {
        const plan = planOrNull(text, options);
        if (plan === null) return;
        const { encoding, cuts } = plan;
        const segments = segmentPlan(plan, reference, options.packed);
        const { parts, concatenation, dataCoding } = segments;
        expect(parts.length).toBe(cuts.length);
        reached.add(`${encoding.alphabet}/${encoding.locking}/${encoding.single}`);
        reached.add(
          `${encoding.alphabet === 'gsm7' && options.packed ? 'packed' : encoding.alphabet}/${concatenation}`,
        );

        for (const [i, pdu] of pdusOf(segments).entries()) {
          const read = readPart(pdu);
          if (concatenation !== null && concatenation !== 'payload') {
            const own = concatenation === 'udh-8' ? reference & 0xff : reference;
            expect(read.concatenation).toEqual({ reference: own, total: parts.length, number: i + 1 });
          }
          if (concatenation === 'payload') continue;
          const octets = concatenation === 'sar' ? options.sarOctets : 140;
          expect(
            octetsOnAir(read.header, read.octets.length, encoding.alphabet === 'gsm7' && !options.packed),
          ).toBeLessThanOrEqual(octets);
          if (encoding.alphabet === 'gsm7' && !options.packed) expect(read.octets.at(-1)).not.toBe(0x1b);
        }

        const joined = joinParts(pdusOf(segments), { packed: options.packed });
        if (joined.kind !== 'whole') throw new Error(joined.kind);
        // The standard's second CR: only at the very end, only packed.
        if (options.packed && dataCoding !== 8 && plan.text.endsWith('\r')) {
          expect([plan.text, `${plan.text}\r`]).toContain(joined.text);
        } else expect(joined.text).toBe(plan.text);
        if (plan.changes.length === 0) expect(plan.text).toBe(text);

        const octets = concatenation === 'sar' ? options.sarOctets : 140;
        expectNoCharacterParted(plan.text, cuts, Math.floor((octets - headerLength(encoding, concatenation)) / 2));
      }),
      { numRuns: 5_000, examples: [crBeforeLineEnd] },
    );
    for (const alphabet of ['gsm7', 'packed', 'latin1', 'ucs2']) {
      for (const each of [...CONCATENATIONS, null]) expect(reached).toContain(`${alphabet}/${each}`);
    }
    for (const { locking, single } of shiftsOf(NATIONAL_LANGUAGES))
      expect(reached).toContain(`gsm7/${locking}/${single}`);
  });

  function planOrNull(text: string, options: TextOptions) {
    try {
      return planText(text, options);
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      if (error.code !== 'not-in-alphabet') return null;
      if (error.culprit === null) {
        expect(options).toMatchObject({ alphabets: ['latin1'], marking: { kind: 'class' } });
        return null;
      }
      const { character, position } = error.culprit;
      expect([...text][position]).toBe(character);
      // National tables and the SMSC's own parts do not go together: a longer text can be sent by fewer tables.
      if (options.concatenation === 'payload' && options.languages.length > 0) return null;
      // What is before it can be sent, and with it no more.
      const upTo = (end: number) => [...text].slice(0, end).join('');
      const unchanged: TextOptions = { ...options, transliterate: 'none', concatenation: 'sar' };
      expect(planText(upTo(position), unchanged).cuts.length).toBeGreaterThan(0);
      expect(() => planText(upTo(position + 1), unchanged)).toThrow(TextError);
      return null;
    }
  }

  const octetsOnAir = (header: number, body: number, unpacked: boolean): number =>
    unpacked ? Math.ceil((Math.ceil((header * 8) / 7) * 7 + body * 7) / 8) : header + body;

  /** @param limit of a part, in UTF-16 units of UCS-2. */
  function expectNoCharacterParted(text: string, cuts: readonly number[], limit: number): void {
    if (cuts.length === 1) return;
    const clusters = [...new Intl.Segmenter('und', { granularity: 'grapheme' }).segment(text)];
    const starts = new Set(clusters.map(({ index }) => index));
    for (const cut of cuts.slice(0, -1)) {
      if (starts.has(cut)) continue;
      expect(clusters.findLast(({ index }) => index < cut)?.segment.length).toBeGreaterThan(limit);
      expect(text.slice(0, cut).isWellFormed()).toBe(true);
    }
  }
});

describe('binary content', () => {
  it.each<[Concatenation, number[]]>([
    ['udh-16', [140, 140, 7 + 34]],
    ['udh-8', [140, 140, 6 + 32]],
    ['sar', [140, 140, 20]],
    ['payload', [0]],
  ])('in parts by %s', (concatenation, expected) => {
    const octets = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 0xff));
    const segments = segmentBinary(octets, 7, { concatenation, sarOctets: 140, marking: null });
    expect(segments.dataCoding).toBe(4);
    expect(segments.parts.map((part) => part.length)).toEqual(expected);
    expect(joinParts(pdusOf(segments).reverse(), { packed: false })).toEqual({
      ...{ kind: 'whole', alphabet: 'binary', text: null, octets },
    });
  });

  it('may have a class, and has an end', () => {
    const policy = { concatenation: 'udh-16', sarOctets: 140, marking: { kind: 'class', class: 1 } } as const;
    expect(segmentBinary(Buffer.alloc(140), 1, policy)).toMatchObject({ dataCoding: 0xf5, esmClass: 0 });
    expect(() => segmentBinary(Buffer.alloc(133 * 255 + 1), 1, policy)).toThrow(TextError);
  });
});

describe('a header that comes in', () => {
  it('is read whoever wrote it', () => {
    expect(readUserData(0x40, Buffer.from('05000312020141', 'hex'))).toMatchObject({
      concatenation: { reference: 0x12, total: 2, number: 1 },
      octets: Buffer.from('A'),
    });
    // Ports, then tables, then a reference.
    const mixed = readUserData(0x40, Buffer.from('11050423f40000' + '240102' + '250103' + '00030102' + '0241', 'hex'));
    expect(mixed).toMatchObject({
      ...{ locking: 'portuguese', single: 'spanish', header: 18, octets: Buffer.from('A') },
      concatenation: { reference: 1, total: 2, number: 2 },
    });
  });

  it('says nothing where it makes no sense, and never throws', () => {
    expect(readUserData(0x40, Buffer.from('ff00', 'hex')).concatenation).toBe(null);
    expect(readUserData(0x40, Buffer.from('0500031202004141', 'hex')).concatenation).toBe(null);
    expect(readUserData(0x40, Buffer.from('0500031202034141', 'hex')).concatenation).toBe(null);
    expect(readUserData(0x40, Buffer.from('0325010241', 'hex'))).toMatchObject({ locking: null });
    fc.assert(fc.property(fc.uint8Array(), (octets) => void readUserData(0x40, Buffer.from(octets))));
  });
});
