import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DEFAULT_TABLE,
  fillBits,
  pack,
  packedSeptets,
  readSeptets,
  type Shifts,
  septetLength,
  shiftsOf,
  tableOf,
  unpack,
  writeSeptets,
} from './gsm7.ts';
import { NATIONAL_LANGUAGES } from './gsm7-tables.ts';

const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const EXTENSION = '\f^{}\\[~]|€';

const shifts = (locking: Shifts['locking'], single: Shifts['single']): Shifts => ({ locking, single });

function encode(text: string, tables: Shifts): Buffer {
  const out = Buffer.alloc(septetLength(text, tableOf(tables)));
  writeSeptets(out, 0, text, 0, text.length, tableOf(tables));
  return out;
}

describe('the GSM 7-bit default alphabet', () => {
  const none = shifts(null, null);

  it('has each character of 3GPP TS 23.038 at its place', () => {
    const landmarks: Record<number, string> = {
      ...{ 0: '@', 1: '£', 2: '$', 9: 'Ç', 10: '\n', 16: 'Δ', 17: '_', 28: 'Æ', 32: ' ', 36: '¤', 48: '0', 64: '¡' },
      ...{ 65: 'A', 91: 'Ä', 95: '§', 96: '¿', 97: 'a', 123: 'ä', 126: 'ü', 127: 'à' },
    };
    for (const [septet, character] of Object.entries(landmarks)) {
      expect(readSeptets([Number(septet)] as unknown as Uint8Array, DEFAULT_TABLE)).toBe(character);
    }
    expect(encode('€', none).toString('hex')).toBe('1b65');
    expect(encode('[~]', none).toString('hex')).toBe('1b3c1b3d1b3e');
    expect(new Set([...BASIC]).size).toBe(127);
  });

  it('counts an extension character as two septets, and says where a text leaves it', () => {
    expect(septetLength('a€b', DEFAULT_TABLE)).toBe(4);
    expect(septetLength('aç', DEFAULT_TABLE)).toBe(-2);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...BASIC, ...EXTENSION)), (characters) => {
        const text = characters.join('');
        expect(septetLength(text, DEFAULT_TABLE)).toBe(encode(text, none).length);
      }),
    );
  });

  it('reads an unknown extension as the character of the basic table, and nonsense as U+FFFD', () => {
    expect(readSeptets(Buffer.from('1b41', 'hex'), DEFAULT_TABLE)).toBe('A');
    expect(readSeptets(Buffer.from('1b1b80', 'hex'), DEFAULT_TABLE)).toBe('\ufffd\ufffd');
    expect(readSeptets(Buffer.from('611b', 'hex'), DEFAULT_TABLE)).toBe('a\ufffd');
  });
});

describe('national language tables', () => {
  // Septets as 3GPP TS 23.038 annex A has them.
  it.each<[string, Shifts, string, string]>([
    ['Turkish single shift (A.2.1)', shifts(null, 'turkish'), 'ĞİŞçğış€', '1b471b491b531b631b671b691b731b65'],
    ['Spanish single shift (A.2.2)', shifts(null, 'spanish'), 'çÁÍÓÚáíóú€', '1b091b411b491b4f1b551b611b691b6f1b751b65'],
    [
      'Portuguese single shift (A.2.3)',
      shifts(null, 'portuguese'),
      'êçÔôÁáÊÀÍÓÚÃÕÂíóúãõâ',
      '1b051b091b0b1b0c1b0e1b0f1b1f1b411b491b4f1b551b5b1b5c1b611b691b6f1b751b7b1b7c1b7f',
    ],
    ['Turkish locking shift (A.3.1)', shifts('turkish', null), '€ıĞğŞşİç^', '04070b0c1c1d40601b14'],
    [
      'Portuguese locking shift (A.3.3)',
      shifts('portuguese', null),
      'êúíóçÔôÁáªÇÀ∞^\\€Ó|ÂâÊºÍÃÕÚ~ãõ`{',
      '04060708090b0c0e0f121314151617181' + '91a1c1d1e24405b5c5d607b7c7d1b28',
    ],
    ['both', shifts('turkish', 'spanish'), 'ğá', '0c1b61'],
  ])('%s', (_, tables, text, hex) => {
    expect(encode(text, tables).toString('hex')).toBe(hex);
    expect(readSeptets(Buffer.from(hex, 'hex'), tableOf(tables))).toBe(text);
  });

  it('carry whatever they encode', () => {
    for (const tables of shiftsOf(NATIONAL_LANGUAGES)) {
      const { codes } = tableOf(tables);
      const all = Array.from(codes, (code, unit) => (code === 0xffff ? '' : String.fromCharCode(unit))).join('');
      expect(all.length).toBeGreaterThan(127);
      expect(readSeptets(encode(all, tables), tableOf(tables))).toBe(all);
    }
    // Not among them: a locking table with a single shift table that adds no letter to it.
    expect(shiftsOf(NATIONAL_LANGUAGES).map(({ locking, single }) => `${locking}/${single}`)).toEqual([
      ...['null/null', 'null/turkish', 'null/spanish', 'null/portuguese'],
      ...['turkish/null', 'turkish/spanish', 'turkish/portuguese'],
      ...['portuguese/null', 'portuguese/turkish', 'portuguese/portuguese'],
    ]);
    expect(() => tableOf(shifts('spanish', null))).toThrow(RangeError);
  });
});

describe('packing', () => {
  it.each([
    ['hellohello', 0, 'e8329bfd4697d9ec37'],
    ['', 0, ''],
    ['a', 0, '61'],
    ['a', 6, '4018'],
    // Eight septets are seven octets.
    ['12345678', 0, '31d98c56b3dd70'],
    // Seven leave seven bits, which would read as @: a CR fills them.
    ['1234567', 0, '31d98c56b3dd1a'],
    // A CR of its own that ends on an octet is followed by another.
    ['1234567\r', 0, '31d98c56b3dd1a0d'],
  ])('of %j after %i bits', (text, fill, hex) => {
    expect(pack(Buffer.from(text), fill).toString('hex')).toBe(hex);
  });

  it('fills up to the next septet after a header', () => {
    expect([0, 4, 6, 7, 9, 10, 12, 13].map(fillBits)).toEqual([0, 3, 1, 0, 5, 4, 2, 1]);
  });

  // Out of the test sequence of a phone's modem: the header, and its eight bits and septets from 3GPP TS 23.038.
  it.each([
    ['a single shift', 4, shifts(null, 'turkish'), '006ea6e0cd98b0991f36c7c5e6ccd824399b74675306', '¡Ş¿çèşìĞØğøİÆıæ€'],
    ['both shifts', 7, shifts('turkish', 'turkish'), 'c0cd14bc191336f3c3e6b8d89c199b246793ee6cca', 'İŞçç€şıĞĞğğİŞış€'],
  ])('reads Turkish behind the header of %s', (_, header, tables, hex, text) => {
    expect(readSeptets(unpack(Buffer.from(hex, 'hex'), fillBits(header)), tableOf(tables))).toBe(text);
  });

  it('gives the septets back: with one CR more only where the standard adds it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ max: 0x7f, maxLength: 200, size: 'max' }), fc.nat(6), (septets, fill) => {
        const packed = pack(septets, fill);
        const total = packedSeptets(septets.length, septets.at(-1) ?? 0, fill);
        expect(packed.length).toBe(total === 0 ? 0 : Math.ceil((fill + total * 7) / 8));
        const back = unpack(packed, fill);
        const doubled = total > septets.length && septets.at(-1) === 0x0d && (fill + septets.length * 7) % 8 === 0;
        expect([...back]).toEqual(doubled ? [...septets, 0x0d] : [...septets]);
      }),
      { numRuns: 1_000 },
    );
  });
});
