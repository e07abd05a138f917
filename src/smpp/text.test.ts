import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextError } from './errors.ts';
import { chooseEncoding, decodeText, encodeText, gsm7Length } from './text.ts';

const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const EXTENSION = '\f^{}\\[~]|€';

describe('text', () => {
  it('puts each character of 3GPP TS 23.038 at its place', () => {
    const at = (septet: number) => decodeText(Buffer.from([septet]), 0);
    const landmarks: Record<number, string> = {
      0: '@',
      1: '£',
      2: '$',
      9: 'Ç',
      10: '\n',
      16: 'Δ',
      17: '_',
      28: 'Æ',
      32: ' ',
      36: '¤',
      48: '0',
      64: '¡',
      65: 'A',
      91: 'Ä',
      95: '§',
      96: '¿',
      97: 'a',
      123: 'ä',
      126: 'ü',
      127: 'à',
    };
    for (const [septet, character] of Object.entries(landmarks)) expect(at(Number(septet))).toBe(character);
    expect(encodeText('€', 'gsm7').toString('hex')).toBe('1b65');
    expect(encodeText('[~]', 'gsm7').toString('hex')).toBe('1b3c1b3d1b3e');
    expect(new Set([...BASIC]).size).toBe(127);
  });

  it('chooses the cheapest alphabet, with data_coding 0 and not 1 for GSM 7-bit', () => {
    expect(chooseEncoding(BASIC + EXTENSION)).toEqual({ alphabet: 'gsm7', dataCoding: 0 });
    expect(chooseEncoding('')).toEqual({ alphabet: 'gsm7', dataCoding: 0 });
    for (const text of ['ç', '’', '`', '\t', 'Ж', '😀', '\u0000', '\u001b']) {
      expect(chooseEncoding(`Code 4417 ${text}`)).toEqual({ alphabet: 'ucs2', dataCoding: 8 });
    }
  });

  it('never replaces a character: what an alphabet can not carry is an error', () => {
    expect(() => encodeText('na ïve', 'gsm7')).toThrow(TextError);
    expect(() => encodeText('half \ud83d', 'ucs2')).toThrow(expect.objectContaining({ code: 'not-well-formed' }));
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const { alphabet, dataCoding } = chooseEncoding(text);
        expect(decodeText(encodeText(text, alphabet), dataCoding)).toBe(text);
      }),
    );
  });

  it('counts an extension character as two septets', () => {
    expect(gsm7Length('a€b')).toBe(4);
    expect(gsm7Length('aç')).toBe(-1);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...BASIC, ...EXTENSION)), (characters) => {
        const text = characters.join('');
        expect(gsm7Length(text)).toBe(encodeText(text, 'gsm7').length);
      }),
    );
  });

  it('sends UCS-2 big-endian, astral characters as surrogate pairs', () => {
    expect(encodeText('Ж😀', 'ucs2').toString('hex')).toBe('0416d83dde00');
  });

  it('decodes whatever comes in without throwing', () => {
    expect(decodeText(Buffer.from('d83d', 'hex'), 8)).toBe('\ud83d');
    expect(decodeText(Buffer.from('004100', 'hex'), 8)).toBe('A\ufffd');
    expect(decodeText(Buffer.from('1b1b80', 'hex'), 0)).toBe('\ufffd\ufffd');
    expect(decodeText(Buffer.from('e9', 'hex'), 3)).toBe('é');
    expect(decodeText(Buffer.from('00', 'hex'), 0xf0)).toBe('@');
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(255), (octets, dataCoding) => {
        expect(typeof decodeText(Buffer.from(octets), dataCoding)).toBe('string');
      }),
    );
  });
});
