import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf } from './fixtures.ts';
import { MessageState, parseReceipt } from './receipt.ts';
import { encodeText, UCS2 } from './text.ts';

const receiptOf = (text: string, fields: Parameters<typeof messageOf>[0] = {}) =>
  messageOf({ esmClass: 0x04, shortMessage: Buffer.from(text, 'latin1'), ...fields });
const id = (value: string) => ({ tag: 0x001e, value: Buffer.from(`${value}\0`) });
const state = (value: number) => ({ tag: 0x0427, value: Buffer.from([value]) });

describe('receipts', () => {
  const APPENDIX_B =
    'id:0a1f sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 stat:DELIVRD err:000 text:Your card';
  const dialects: [name: string, text: string, expected: [id: string, state: number, error: string | null]][] = [
    ['appendix B', APPENDIX_B, ['0a1f', MessageState.delivered, '000']],
    [
      'years of four digits, with seconds',
      'id:7 sub:001 dlvrd:000 submit date:20261124120000 done date:20261124120100 stat:EXPIRED err:0A1 text:',
      ['7', MessageState.expired, '0A1'],
    ],
    ['capitals', 'ID:AB12 SUB:001 DLVRD:001 STAT:UNDELIV ERR:034 TEXT:x', ['AB12', MessageState.undeliverable, '034']],
    ['another order', 'stat:REJECTD err:9 id:5-6_7@x done date:2611241201', ['5-6_7@x', MessageState.rejected, '9']],
    ['spaces after the colons', 'id: 12 stat: DELIVRD err: 1', ['12', MessageState.delivered, '1']],
    ['no err, no text', 'id:12 stat:ACCEPTD', ['12', MessageState.accepted, null]],
    ['fields that end in NUL', 'id:12\0 stat:DELIVRD err:000\0', ['12', MessageState.delivered, '000']],
    ['the word in full', 'id:12 stat:delivered err:0', ['12', MessageState.delivered, '0']],
    ['a word nobody knows', 'id:12 stat:WHATEVER err:0', ['12', MessageState.unknown, '0']],
    [
      'a body that looks like fields',
      'id:12 stat:UNDELIV err:1 text:id:99 stat:DELIVRD err:0',
      ['12', MessageState.undeliverable, '1'],
    ],
    [
      'a body right behind the error',
      'id:12 stat:UNDELIV err:001;text:493021',
      ['12', MessageState.undeliverable, '001;'],
    ],
    ['only a body that looks like fields', 'id:12 text:stat:DELIVRD', ['12', MessageState.unknown, null]],
    ['nothing to match by', 'delivered ok', ['', MessageState.unknown, null]],
    ['submit and done date do not pass for an id', 'submit id:3 stat:DELETED err:0', ['3', MessageState.deleted, '0']],
  ];
  it.each(dialects)('in text: %s', (_name, text, [messageId, stateValue, error]) => {
    expect(parseReceipt(receiptOf(text))).toEqual({ messageId, state: stateValue, error, intermediate: false });
  });

  it('in TLVs, which come before the text', () => {
    const pdu = receiptOf(APPENDIX_B, {
      tlvs: [id('TLV-1'), state(5), { tag: 0x0423, value: Buffer.from([3, 1, 2]) }],
    });
    expect(parseReceipt(pdu)).toEqual({ messageId: 'TLV-1', state: 5, error: '3:258', intermediate: false });
  });

  it('takes what the TLVs leave out from the text', () => {
    expect(parseReceipt(receiptOf(APPENDIX_B, { tlvs: [state(8)] }))).toMatchObject({
      messageId: '0a1f',
      state: 8,
      error: '000',
    });
    expect(parseReceipt(receiptOf(APPENDIX_B, { tlvs: [id('x')] }))).toMatchObject({ messageId: 'x', state: 2 });
  });

  it('is known by the TLV alone where esm_class says nothing', () => {
    expect(
      parseReceipt(messageOf({ esmClass: 0, tlvs: [id('9'), state(2)], shortMessage: Buffer.alloc(0) })),
    ).toMatchObject({ messageId: '9', state: 2 });
  });

  it('is not a message: a text that reads like a receipt stays a message', () => {
    expect(parseReceipt(receiptOf(APPENDIX_B, { esmClass: 0 }))).toBe(null);
    expect(parseReceipt(receiptOf(APPENDIX_B, { esmClass: 0x40 }))).toBe(null);
    expect(parseReceipt(receiptOf(APPENDIX_B, { esmClass: 0x08, tlvs: [id('1')] }))).toBe(null);
  });

  it('is intermediate by esm_class or by a state on the way', () => {
    expect(parseReceipt(receiptOf('id:1 stat:ENROUTE'))).toMatchObject({ intermediate: true });
    expect(parseReceipt(receiptOf('id:1 stat:DELIVRD', { esmClass: 0x20 }))).toMatchObject({
      intermediate: true,
      state: 2,
    });
  });

  it('is found in UCS-2, behind a user data header, and in message_payload', () => {
    expect(
      parseReceipt(
        receiptOf('', {
          dataCoding: 8,
          shortMessage: encodeText('id:1 stat:DELIVRD err:0', UCS2),
        }),
      ),
    ).toMatchObject({ messageId: '1', state: 2 });
    expect(parseReceipt(receiptOf('\x05\x00\x03\x01\x01\x01id:2 stat:DELIVRD', { esmClass: 0x44 }))).toMatchObject({
      messageId: '2',
    });
    expect(
      parseReceipt(receiptOf('', { tlvs: [{ tag: 0x0424, value: Buffer.from('id:3 stat:EXPIRED') }] })),
    ).toMatchObject({ messageId: '3', state: 3 });
  });

  it('never throws, whatever the octets', () => {
    const tlv = fc.record({
      tag: fc.constantFrom(0x1e, 0x423, 0x424, 0x427),
      value: fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value)),
    });
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.nat(255),
        fc.nat(255),
        fc.array(tlv, { maxLength: 4 }),
        (octets, esmClass, dataCoding, tlvs) => {
          parseReceipt(messageOf({ esmClass, dataCoding, tlvs, shortMessage: Buffer.from(octets) }));
        },
      ),
    );
  });
});
