import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FieldError, type PduError } from './errors.ts';
import { messageOf } from './fixtures.ts';
import {
  decodeDeliverSmResp,
  decodeSubmitSm,
  decodeSubmitSmResp,
  encodeSubmitSm,
  encodeSubmitSmResp,
  type SubmitSm,
  type Tlv,
} from './pdu.ts';

const octet = fc.integer({ min: 0, max: 255 });
const sequence = fc.integer({ min: 1, max: 0x7fffffff });
const octets = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
const string = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 0xff }), { maxLength }).map((units) => String.fromCharCode(...units));
const time = fc.constantFrom('', '261124120000000+', '000000010000000R', '991231235959948-');

const message = (tlvs: fc.Arbitrary<Tlv[]>): fc.Arbitrary<SubmitSm> =>
  fc.record({
    serviceType: string(5),
    sourceTon: octet,
    sourceNpi: octet,
    sourceAddr: string(20),
    destTon: octet,
    destNpi: octet,
    destAddr: string(20),
    esmClass: octet,
    protocolId: octet,
    priorityFlag: fc.integer({ min: 0, max: 4 }),
    scheduleDeliveryTime: time,
    validityPeriod: time,
    registeredDelivery: octet,
    replaceIfPresent: fc.integer({ min: 0, max: 1 }),
    dataCoding: octet,
    smDefaultMsgId: octet,
    shortMessage: octets(254),
    tlvs,
  });
const anyTlvs = fc.array(fc.record({ tag: fc.integer({ min: 0, max: 0xffff }), value: octets(300) }), { maxLength: 5 });

describe('the hot codec', () => {
  it('lays submit_sm out as SMPP 3.4 §4.4.1 says, octet by octet', () => {
    const pdu = messageOf({
      serviceType: 'CMT',
      esmClass: 0x40,
      protocolId: 0x11,
      priorityFlag: 3,
      scheduleDeliveryTime: '261124120000000+',
      validityPeriod: '000000010000000R',
      replaceIfPresent: 1,
      dataCoding: 8,
      smDefaultMsgId: 7,
      shortMessage: Buffer.from('0041', 'hex'),
      tlvs: [{ tag: 0x1400, value: Buffer.from('beef', 'hex') }],
    });
    const hex = [
      '00000064 00000004 00000000 0000002a', // command_length, command_id, command_status, sequence_number
      '434d5400', // service_type
      '05 00 42414e4b00', // source_addr_ton, source_addr_npi, source_addr
      '01 01 34343737303039303031323300', // dest_addr_ton, dest_addr_npi, destination_addr
      '40 11 03', // esm_class, protocol_id, priority_flag
      '3236313132343132303030303030302b00', // schedule_delivery_time
      '3030303030303031303030303030305200', // validity_period
      '01 01 08 07', // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
      '02 0041', // sm_length, short_message
      '1400 0002 beef', // TLV
    ]
      .join('')
      .replaceAll(' ', '');
    const encoded = encodeSubmitSm(42, pdu);
    expect(encoded.toString('hex')).toBe(`${(hex.length / 2).toString(16).padStart(8, '0')}${hex.slice(8)}`);
    expect(decodeSubmitSm(encoded, 0, encoded.length)).toEqual(pdu);
  });

  it('leaves the body out of a submit_sm_resp whose status is not 0, unless TLVs explain it', () => {
    const refused = encodeSubmitSmResp(5, { status: 0x58, messageId: 'abc', tlvs: [] });
    expect(refused.toString('hex')).toBe('00000010800000040000005800000005');
    const taken = encodeSubmitSmResp(5, { status: 0, messageId: 'abc', tlvs: [] });
    expect(taken.toString('hex')).toBe('0000001480000004000000000000000561626300');
    // congestion_state beside ESME_RTHROTTLED (SMPP 5.0 §4.2.5).
    const slow = encodeSubmitSmResp(5, {
      status: 0x58,
      messageId: null,
      tlvs: [{ tag: 0x0428, value: Buffer.from([95]) }],
    });
    expect(slow.toString('hex')).toBe('0000001680000004000000580000000500042800015f');
  });

  it('gives back what it was given, anywhere in a buffer', () => {
    fc.assert(
      fc.property(message(anyTlvs), sequence, fc.nat(40), (pdu, number, offset) => {
        const encoded = encodeSubmitSm(number, pdu);
        const shifted = Buffer.concat([Buffer.alloc(offset, 0x41), encoded, Buffer.alloc(7, 0x42)]);
        expect(decodeSubmitSm(shifted, offset, encoded.length)).toEqual(pdu);
        expect(encoded.readUInt32BE(0)).toBe(encoded.length);
        expect(encoded.readUInt32BE(12)).toBe(number);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses what can not be carried before any octet leaves, and names the field but not the value', () => {
    const cases: [string, Partial<SubmitSm>][] = [
      ['service_type', { serviceType: 'TOOLONG' }],
      ['source_addr', { sourceAddr: 'Ω' }],
      ['destination_addr', { destAddr: '4477009001234567890123' }],
      ['destination_addr', { destAddr: '4477\u00000' }],
      ['priority_flag', { priorityFlag: 5 }],
      ['replace_if_present_flag', { replaceIfPresent: 2 }],
      ['registered_delivery', { registeredDelivery: 256 }],
      ['data_coding', { dataCoding: -1 }],
      ['esm_class', { esmClass: 0.5 }],
      ['validity_period', { validityPeriod: '2611241200' }],
      ['validity_period', { validityPeriod: '26112412000000.+' }],
      ['schedule_delivery_time', { scheduleDeliveryTime: '261124120000000Z' }],
      ['short_message', { shortMessage: Buffer.alloc(255) }],
      ['tag', { tlvs: [{ tag: 0x10000, value: Buffer.alloc(0) }] }],
      ['tag 0x1400', { tlvs: [{ tag: 0x1400, value: Buffer.alloc(0x10000) }] }],
    ];
    for (const [field, change] of cases) {
      const encode = () => encodeSubmitSm(1, messageOf(change));
      expect(encode).toThrow(FieldError);
      expect(encode).toThrow(expect.objectContaining({ field }));
      expect(encode).not.toThrow(/4477/);
    }
    expect(() => encodeSubmitSmResp(1, { status: 0, messageId: 'x'.repeat(65), tlvs: [] })).toThrow(FieldError);
  });

  it('answers a malformed body with the status the standard gives', () => {
    const whole = encodeSubmitSm(1, messageOf({ tlvs: [{ tag: 0x1400, value: Buffer.alloc(4) }] }));
    const status = (length: number, change?: (pdu: Buffer) => void) => {
      const pdu = Buffer.from(whole);
      change?.(pdu);
      try {
        decodeSubmitSm(pdu, 0, length);
      } catch (error) {
        return (error as PduError).status;
      }
      return null;
    };
    expect(status(whole.length)).toBe(null);
    expect(status(whole.length - 1)).toBe(0xc0); // inside a TLV
    expect(status(whole.length - 6)).toBe(0xc0); // inside a TLV's head
    expect(status(whole.length - 9)).toBe(0x01); // inside short_message
    expect(status(20)).toBe(0x02); // inside source_addr
    expect(status(16)).toBe(0x02);
    expect(status(whole.length, (pdu) => pdu.fill(0x41, 16))).toBe(0x02); // no NUL anywhere
  });

  it('reads odd answers for what they are worth: an odd field must not drop the link (jasmin #1124)', () => {
    const answer = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const odd = answer('00000014 80000005 00000000 00000001 61626300');
    expect(decodeDeliverSmResp(odd, 0, odd.length)).toEqual({ status: 0, tlvs: [] });
    const bare = answer('00000010 80000004 00000000 00000001');
    expect(decodeSubmitSmResp(bare, 0, bare.length)).toEqual({ status: 0, messageId: null, tlvs: [] });
    const unterminated = answer('00000012 80000004 00000000 00000001 6162');
    expect(decodeSubmitSmResp(unterminated, 0, unterminated.length).messageId).toBe('ab');
    const idBesideError = answer('00000013 80000004 00000045 00000001 616200');
    expect(decodeSubmitSmResp(idBesideError, 0, idBesideError.length)).toMatchObject({ status: 0x45, messageId: 'ab' });
    const brokenTlv = answer('00000017 80000004 00000000 00000001 6100 0424 00ff 01');
    expect(decodeSubmitSmResp(brokenTlv, 0, brokenTlv.length)).toEqual({ status: 0, messageId: 'a', tlvs: [] });
  });
});
