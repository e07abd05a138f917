import fc from 'fast-check';
import smpp from 'smpp';
import { describe, expect, it, test } from 'vitest';
import { FieldError } from './errors.ts';
import { TLVS } from './pdus/tlvs.ts';
import { SUBMIT_TLVS, submitTag, submitTlv, TLV_TYPES } from './submit-tlvs.ts';

describe('a tag', () => {
  it('is a standard name, or a number of one, or one of the vendors', () => {
    expect(submitTag('source_port')).toBe(0x020a);
    expect(submitTag('0x020A')).toBe(0x020a);
    expect(submitTag(0x020a)).toBe(0x020a);
    expect(submitTag('5120')).toBe(0x1400);
    expect(submitTag(0x3fff)).toBe(0x3fff);
  });

  test.each([
    ['unknown', 'no_such_tlv'],
    ['reserved', 0x0700],
    ['before the vendors', 0x13ff],
    ['after the vendors', 0x4000],
    ['not a number of 16 bits', 0x10400],
    ['a fraction', 5120.5],
    ["the sender's own: message_payload", 0x0424],
    ["the sender's own: sar_msg_ref_num", 'sar_msg_ref_num'],
    ["the sender's own: user_message_reference", 0x0204],
    ["the sender's own: more_messages_to_send", 0x0426],
    ["the SMSC's: receipted_message_id", 0x001e],
    ["the SMSC's: message_state", 'message_state'],
  ])('that is %s is refused', (_, tag) => {
    expect(() => submitTag(tag)).toThrow(FieldError);
    if (typeof tag === 'number') expect(() => submitTlv(tag, 'hex', '00')).toThrow(FieldError);
  });

  it('has the number that the package gives its name', () => {
    // The package calls it dest_port.
    const named = (name: string) => smpp.tlvs[name === 'destination_port' ? 'dest_port' : name];
    for (const name of SUBMIT_TLVS) expect([name, named(name)?.id]).toEqual([name, submitTag(name)]);
    expect(SUBMIT_TLVS).toHaveLength(38);
  });
});

describe('a value', () => {
  test.each([
    [0x1400, 'string', '1101234567890123456', '31313031323334353637383930313233343536'],
    [0x1401, 'cstring', '110', '31313000'],
    [0x1402, 'int8', 255, 'ff'],
    [0x1402, 'int16', 258, '0102'],
    [0x1402, 'int32', 0xfffefdfc, 'fffefdfc'],
    [0x1402, 'hex', '00fFA0', '00ffa0'],
    [0x1402, 'hex', '', ''],
    [0x020a, 'int16', 5099, '13eb'],
    [0x1204, 'int8', 3, '03'],
    [0x130c, 'hex', '', ''],
    [0x0381, 'hex', '01010134343737', '01010134343737'],
  ] as const)('of tag %i as %s, %j, is %s', (tag, type, value, hex) => {
    expect(submitTlv(tag, type, value)).toEqual({ tag, value: Buffer.from(hex, 'hex') });
  });

  test.each([
    [0x1402, 'int8', 256, 'tag 0x1402', /0\.\.255/],
    [0x1402, 'int8', -1, 'tag 0x1402', /0\.\.255/],
    [0x1402, 'int16', 1.5, 'tag 0x1402', /0\.\.65535/],
    [0x1402, 'int32', 2 ** 32, 'tag 0x1402', /0\.\.4294967295/],
    [0x1402, 'int8', '7', 'tag 0x1402', /integer/],
    [0x1402, 'string', 7, 'tag 0x1402', /text/],
    [0x1402, 'string', 'a\0b', 'tag 0x1402', /U\+0001/],
    [0x1402, 'cstring', 'Ж', 'tag 0x1402', /U\+00FF/],
    [0x1402, 'hex', '0', 'tag 0x1402', /hexadecimal/],
    [0x1402, 'hex', 'xy', 'tag 0x1402', /hexadecimal/],
    [0x1402, 'string', 'x'.repeat(1025), 'tag 0x1402', /0 to 1024 octets/],
    [0x020a, 'int8', 5, 'source_port', /takes 2 octets, and not 1/],
    [0x0381, 'string', '123', 'callback_num', /4 to 19/],
    [0x060d, 'cstring', 'n'.repeat(65), 'source_network_id', /7 to 65 octets, and not 66/],
  ] as const)('of tag %i as %s, %j, is refused at %s', (tag, type, value, field, rule) => {
    const refused = () => submitTlv(tag, type, value);
    expect(refused).toThrow(FieldError);
    expect(refused).toThrow(rule);
    expect(refused).toThrow(expect.objectContaining({ field }));
  });

  test.each(SUBMIT_TLVS)('of %s is as long as its row says', (name) => {
    const { tag, kind } = TLVS[name];
    const [fewest, most] = kind.octets;
    for (const length of [fewest, most]) expect(submitTlv(tag, 'hex', '00'.repeat(length)).value).toHaveLength(length);
    for (const length of [fewest - 1, most + 1].filter((each) => each >= 0)) {
      expect(() => submitTlv(tag, 'hex', '00'.repeat(length))).toThrow(expect.objectContaining({ field: name }));
    }
  });

  it('that does not fit ends in a FieldError that does not hold it, and nothing else', () => {
    const values = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.double(), fc.integer());
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 0x10000 }), fc.constantFrom(...TLV_TYPES), values, (tag, type, value) => {
        try {
          const tlv = submitTlv(tag, type, value);
          expect(tlv.value.length).toBeLessThanOrEqual(1024);
        } catch (error) {
          expect(error).toBeInstanceOf(FieldError);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
