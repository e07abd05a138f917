import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextError } from './errors.ts';
import { countSegments, readUserData, segment, setReference } from './segment.ts';
import { decodeText } from './text.ts';

const gsm = fc.string({ unit: fc.constantFrom(...'abc @£\né€[]~^'), maxLength: 1_200 });
const unicode = fc.string({
  unit: fc.oneof(fc.constantFrom('😀', '🇬🇧', 'Ж', 'a'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
  maxLength: 400,
});

describe('segmentation', () => {
  it('keeps 160 septets or 70 UCS-2 units in one part, and goes to 152 and 67 beyond', () => {
    expect(segment('a'.repeat(160), 1)).toMatchObject({ esmClass: 0, dataCoding: 0, parts: [{ length: 160 }] });
    expect(segment('a'.repeat(161), 1).parts.map((part) => part.length)).toEqual([159, 7 + 9]);
    expect(segment('€'.repeat(80), 1).parts).toHaveLength(1);
    expect(segment('€'.repeat(81), 1).parts).toHaveLength(2);
    expect(segment('Ж'.repeat(70), 1)).toMatchObject({ esmClass: 0, dataCoding: 8, parts: [{ length: 140 }] });
    expect(segment('Ж'.repeat(71), 1).parts.map((part) => part.length)).toEqual([7 + 134, 7 + 8]);
    expect(segment('', 1).parts).toEqual([Buffer.alloc(0)]);
  });

  it('writes the header of a 16-bit reference: 06 08 04 ref ref total number', () => {
    const { esmClass, parts } = segment('a'.repeat(400), 0xbeef);
    expect(esmClass).toBe(0x40);
    expect(parts.map((part) => part.subarray(0, 7).toString('hex'))).toEqual([
      '060804beef0301',
      '060804beef0302',
      '060804beef0303',
    ]);
    setReference(parts[2] as Buffer, 0x0102);
    expect(readUserData(0x40, parts[2] as Buffer).concatenation).toEqual({ reference: 0x0102, total: 3, number: 3 });
  });

  it('gives parts within limits that join to the text, with no split pair', () => {
    fc.assert(
      fc.property(fc.oneof(gsm, unicode), fc.nat(0xffff), (text, reference) => {
        const { alphabet, dataCoding, esmClass, parts } = segment(text, reference);
        expect(parts.length).toBe(countSegments(text));
        const texts = parts.map((part, i) => {
          const { concatenation, octets } = readUserData(esmClass, part);
          if (parts.length > 1) expect(concatenation).toEqual({ reference, total: parts.length, number: i + 1 });
          const limit = alphabet === 'gsm7' ? (parts.length > 1 ? 152 : 160) : parts.length > 1 ? 134 : 140;
          expect(octets.length).toBeLessThanOrEqual(limit);
          expect(part.length).toBeLessThanOrEqual(254);
          if (alphabet === 'gsm7') expect(octets.at(-1)).not.toBe(0x1b);
          return decodeText(octets, dataCoding);
        });
        for (const part of texts) expect(part.isWellFormed()).toBe(true);
        expect(texts.join('')).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  it('moves a pair that would be cut whole into the next part', () => {
    const escaped = segment(`${'a'.repeat(151)}€${'b'.repeat(20)}`, 1);
    expect(escaped.parts.map((part) => part.length - 7)).toEqual([151, 22]);
    const emoji = segment(`${'Ж'.repeat(66)}😀${'Ж'.repeat(10)}`, 1);
    expect(emoji.parts.map((part) => part.length - 7)).toEqual([132, 24]);
  });

  it('takes 255 parts and refuses 256 with an error of its own', () => {
    expect(segment('a'.repeat(152 * 255), 1).parts).toHaveLength(255);
    expect(() => segment('a'.repeat(152 * 255 + 1), 1)).toThrow(expect.objectContaining({ code: 'too-many-parts' }));
    expect(countSegments('a'.repeat(152 * 255 + 1))).toBe(256);
  });

  it('refuses half a surrogate pair', () => {
    expect(() => segment('x\udc00', 1)).toThrow(TextError);
  });

  it('reads foreign headers without throwing', () => {
    expect(readUserData(0x40, Buffer.from('05000312020141', 'hex'))).toEqual({
      concatenation: { reference: 0x12, total: 2, number: 1 },
      octets: Buffer.from('A'),
    });
    expect(readUserData(0x40, Buffer.from('ff00', 'hex')).concatenation).toBe(null);
    fc.assert(fc.property(fc.uint8Array(), (octets) => void readUserData(0x40, Buffer.from(octets))));
  });
});
