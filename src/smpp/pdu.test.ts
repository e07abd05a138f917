import fc from 'fast-check';
import smpp from 'smpp';
import { describe, expect, it } from 'vitest';
import { decodeCold } from './cold.ts';
import { FieldError, PduError } from './errors.ts';
import { messageOf } from './fixtures.ts';
import {
  decodeDeliverSm,
  decodeDeliverSmResp,
  decodeSubmitSm,
  decodeSubmitSmResp,
  encodeDeliverSm,
  encodeDeliverSmResp,
  encodeSubmitSm,
  encodeSubmitSmResp,
  type SubmitSm,
  type Tlv,
} from './pdu.ts';

const octet = fc.integer({ min: 0, max: 255 });
const sequence = fc.integer({ min: 1, max: 0x7fffffff });
const octets = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
/** The package reads strings as 7-bit ASCII, so that is what both can carry. */
const string = (maxLength: number, last = 0x7f) =>
  fc.array(fc.integer({ min: 1, max: last }), { maxLength }).map((units) => String.fromCharCode(...units));
const time = fc.constantFrom('', '261124120000000+', '000000010000000R', '991231235959948-');

const KNOWN_TLVS: fc.Arbitrary<{ ours: Tlv; name: string; theirs: unknown }> = fc.oneof(
  octets(40).map((value) => ({ ours: { tag: 0x0202, value }, name: 'source_subaddress', theirs: value })),
  octets(40).map((value) => ({ ours: { tag: 0x0424, value }, name: 'message_payload', theirs: value })),
  octets(3).map((value) => ({ ours: { tag: 0x0423, value }, name: 'network_error_code', theirs: value })),
  octet.map((value) => ({ ours: { tag: 0x0427, value: Buffer.from([value]) }, name: 'message_state', theirs: value })),
  fc.integer({ min: 0, max: 0xffff }).map((value) => ({
    ours: { tag: 0x0204, value: Buffer.from([value >> 8, value & 0xff]) },
    name: 'user_message_reference',
    theirs: value,
  })),
  string(64).map((value) => ({
    ours: { tag: 0x001e, value: Buffer.from(`${value}\0`, 'latin1') },
    name: 'receipted_message_id',
    theirs: value,
  })),
);
const tlvSets = fc.uniqueArray(KNOWN_TLVS, { maxLength: 4, selector: (tlv) => tlv.name });

const message = (tlvs: fc.Arbitrary<Tlv[]>, last = 0x7f): fc.Arbitrary<SubmitSm> =>
  fc.record({
    serviceType: string(5, last),
    sourceTon: octet,
    sourceNpi: octet,
    sourceAddr: string(20, last),
    destTon: octet,
    destNpi: octet,
    destAddr: string(20, last),
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

function packageFields(pdu: SubmitSm): Record<string, unknown> {
  return {
    service_type: pdu.serviceType,
    source_addr_ton: pdu.sourceTon,
    source_addr_npi: pdu.sourceNpi,
    source_addr: pdu.sourceAddr,
    dest_addr_ton: pdu.destTon,
    dest_addr_npi: pdu.destNpi,
    destination_addr: pdu.destAddr,
    esm_class: pdu.esmClass,
    protocol_id: pdu.protocolId,
    priority_flag: pdu.priorityFlag,
    schedule_delivery_time: pdu.scheduleDeliveryTime,
    validity_period: pdu.validityPeriod,
    registered_delivery: pdu.registeredDelivery,
    replace_if_present_flag: pdu.replaceIfPresent,
    data_coding: pdu.dataCoding,
    sm_default_msg_id: pdu.smDefaultMsgId,
    short_message: pdu.shortMessage,
  };
}

/** Fields that the package turns into something else when decoding: Dates and guessed texts. */
const REWRITTEN = ['schedule_delivery_time', 'validity_period', 'short_message'];

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

  it('writes submit_sm and deliver_sm as the smpp package does, octet for octet', () => {
    fc.assert(
      fc.property(message(fc.constant([])), tlvSets, sequence, (fields, tlvs, number) => {
        const pdu = { ...fields, tlvs: tlvs.map((tlv) => tlv.ours) };
        const options: Record<string, unknown> = { ...packageFields(pdu), sequence_number: number };
        for (const tlv of tlvs) options[tlv.name] = tlv.theirs;
        expect(encodeSubmitSm(number, pdu)).toEqual(new smpp.PDU('submit_sm', { ...options }).toBuffer());
        expect(encodeDeliverSm(number, pdu)).toEqual(new smpp.PDU('deliver_sm', { ...options }).toBuffer());
      }),
      { numRuns: 500 },
    );
  });

  it('reads what the smpp package writes, and the package reads what we write', () => {
    fc.assert(
      fc.property(message(fc.constant([])), tlvSets, sequence, (fields, tlvs, number) => {
        const pdu = { ...fields, tlvs: tlvs.map((tlv) => tlv.ours) };
        const options: Record<string, unknown> = { ...packageFields(pdu), sequence_number: number };
        for (const tlv of tlvs) options[tlv.name] = tlv.theirs;
        const theirs = new smpp.PDU('deliver_sm', { ...options }).toBuffer();
        expect(decodeDeliverSm(theirs, 0, theirs.length)).toEqual(pdu);

        const read = new smpp.PDU(encodeSubmitSm(number, pdu));
        expect(read.command).toBe('submit_sm');
        for (const [field, value] of Object.entries(packageFields(pdu))) {
          if (!REWRITTEN.includes(field)) expect(read[field]).toEqual(value);
        }
        for (const tlv of tlvs) if (tlv.name !== 'message_payload') expect(read[tlv.name]).toEqual(tlv.theirs);
      }),
      { numRuns: 300 },
    );
  });

  it('agrees with the smpp package on both responses in both directions', () => {
    const status = fc.constantFrom(0, 0x08, 0x14, 0x58, 0x0412);
    fc.assert(
      fc.property(status, string(64), sequence, (command_status, message_id, sequence_number) => {
        const ours = encodeSubmitSmResp(sequence_number, { status: command_status, messageId: message_id, tlvs: [] });
        const options = { command_status, message_id, sequence_number };
        expect(ours).toEqual(new smpp.PDU('submit_sm_resp', { ...options }).toBuffer());
        const messageId = command_status === 0 && message_id !== '' ? message_id : null;
        expect(decodeSubmitSmResp(ours, 0, ours.length)).toEqual({ status: command_status, messageId, tlvs: [] });
        expect(encodeDeliverSmResp(sequence_number, { status: command_status, tlvs: [] })).toEqual(
          new smpp.PDU('deliver_sm_resp', { command_status, sequence_number }).toBuffer(),
        );
      }),
    );
  });

  it('gives back what it was given, anywhere in a buffer', () => {
    fc.assert(
      fc.property(message(anyTlvs, 0xff), sequence, fc.nat(40), (pdu, number, offset) => {
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

  it('never throws anything but its own error, whatever the octets', () => {
    const mutated = fc.tuple(message(anyTlvs), fc.array(fc.tuple(fc.nat(600), octet), { maxLength: 8 }), fc.nat(600));
    const anyPdu = fc.oneof(
      octets(200).map((body) => Buffer.concat([Buffer.alloc(16), body])),
      mutated.map(([pdu, changes, cut]) => {
        const encoded = encodeSubmitSm(1, pdu);
        for (const [at, value] of changes) if (at < encoded.length) encoded[at] = value;
        return encoded.subarray(0, Math.max(16, encoded.length - (cut % encoded.length)));
      }),
    );
    const commandId = fc.oneof(
      fc.constantFrom(...Object.keys(smpp.commandsById).map(Number)),
      fc.integer({ min: 0, max: 0xffffffff }),
    );
    fc.assert(
      fc.property(anyPdu, commandId, (pdu, id) => {
        pdu.writeUInt32BE(pdu.length, 0);
        pdu.writeUInt32BE(id, 4);
        for (const decode of [decodeSubmitSm, decodeDeliverSm, decodeCold]) {
          try {
            decode(pdu, 0, pdu.length);
          } catch (error) {
            expect(error).toBeInstanceOf(PduError);
          }
        }
        decodeSubmitSmResp(pdu, 0, pdu.length);
        decodeDeliverSmResp(pdu, 0, pdu.length);
      }),
      { numRuns: 3_000 },
    );
  });
});
