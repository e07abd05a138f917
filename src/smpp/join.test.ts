import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinParts, type Part } from './join.ts';
import { Tag } from './pdu.ts';
import { TEXT_OPTIONS } from './plan.ts';
import { type Segments, segment } from './segment.ts';

const part = (hex: string, change: Partial<Part> = {}): Part => ({
  ...{ esmClass: 0x40, dataCoding: 0, tlvs: [], shortMessage: Buffer.from(hex.replaceAll(' ', ''), 'hex') },
  ...change,
});
const partsOf = ({ parts, tlvs, esmClass, dataCoding }: Segments): Part[] =>
  parts.map((shortMessage, i) => ({ shortMessage, tlvs: tlvs[i] ?? [], esmClass, dataCoding }));
const unpacked = { packed: false };

describe('parts that came in', () => {
  it.each([
    ['one that is whole', [part('4142', { esmClass: 0 })], 'AB'],
    ['an 8-bit reference, out of order', [part('050003070202 42'), part('050003070201 41')], 'AB'],
    ['a 16-bit reference', [part('06080400070201 41'), part('06080400070202 42')], 'AB'],
    ['one that came twice', [part('050003070201 41'), part('050003070201 58'), part('050003070202 42')], 'AB'],
    [
      'a character cut in two by the phone',
      [part('050003070201 d83d', { dataCoding: 8 }), part('050003070202 de00', { dataCoding: 8 })],
      '😀',
    ],
    ['an escape cut from what it leads to', [part('050003070201 1b'), part('050003070202 65')], '€'],
    ['parts in alphabets of their own', [part('050003070201 41'), part('050003070202 0416', { dataCoding: 8 })], 'AЖ'],
    ['a national table in one part', [part('080003070201240101 1b73'), part('050003070202 1b73')], 'şs'],
    ['a part number that can not be', [part('050003070203 41')], 'A'],
  ])('%s', (_, parts, text) => {
    expect(joinParts(parts, unpacked)).toMatchObject({ kind: 'whole', text });
  });

  it('by SAR TLVs, and in message_payload', () => {
    const sar = (number: number, value: string): Part => ({
      ...{ esmClass: 0, dataCoding: 0, shortMessage: Buffer.alloc(0) },
      tlvs: [
        { tag: Tag.sarMsgRefNum, value: Buffer.from([0, 9]) },
        { tag: Tag.sarTotalSegments, value: Buffer.from([2]) },
        { tag: Tag.sarSegmentSeqnum, value: Buffer.from([number]) },
        { tag: Tag.messagePayload, value: Buffer.from(value) },
      ],
    });
    expect(joinParts([sar(2, 'B'), sar(1, 'A')], unpacked)).toMatchObject({ kind: 'whole', text: 'AB' });
  });

  it('say which are missing', () => {
    expect(joinParts([], unpacked)).toEqual({ kind: 'incomplete', missing: [1] });
    expect(joinParts([part('050003070302 41')], unpacked)).toEqual({ kind: 'incomplete', missing: [1, 3] });
  });

  it('are not joined with those of another message', () => {
    const other = [part('050003080202 42'), part('050003070302 42'), part('42', { esmClass: 0 })];
    for (const each of other) {
      expect(joinParts([part('050003070201 41'), each], unpacked)).toEqual({ kind: 'mixed' });
    }
    expect(joinParts([part('41', { esmClass: 0 }), part('42', { esmClass: 0 })], unpacked).kind).toBe('mixed');
  });

  it('join in any order, packed or not', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'abğış€ãÁ'), minLength: 200, maxLength: 500, size: 'max' }),
        fc.boolean(),
        fc.infiniteStream(fc.nat()),
        (text, packed, order) => {
          const options = { ...TEXT_OPTIONS, packed, languages: ['turkish', 'portuguese'] } as const;
          const parts = partsOf(segment(text, 5, options));
          const shuffled = parts.map((each) => ({ each, at: order.next().value as number }));
          shuffled.sort((a, b) => a.at - b.at);
          const joined = joinParts(
            shuffled.map(({ each }) => each),
            { packed },
          );
          expect(joined).toMatchObject({ kind: 'whole', text });
        },
      ),
    );
  });

  it('never throw', () => {
    const any = fc.record({
      esmClass: fc.constantFrom(0, 0x40),
      dataCoding: fc.nat(255),
      shortMessage: fc.uint8Array({ maxLength: 20 }).map((octets) => Buffer.from(octets)),
      tlvs: fc.constant([]),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 3 }), fc.boolean(), (parts, packed) => void joinParts(parts, { packed })),
    );
  });
});
