import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { area, namedTlv, pduWith, refusal, TLV_NAMES } from '../../../test/support/pdus.ts';
import { encodeBind } from '../bind-request.ts';
import { FieldError, PduError } from '../errors.ts';
import { type BroadcastArea, decodeArea, encodeArea, type Point } from './area.ts';
import { type ByName, decodeByTable, decodePdu, encodeByTable, encodePdu, pduOf } from './codec.ts';
import { PDUS, type Pdu, type PduCommand } from './table.ts';
import { readTlv, readTlvsOf, TLVS, type TlvName, tlv, tlvName } from './tlvs.ts';

const COMMANDS = Object.keys(PDUS) as PduCommand[];
const isAnswer = (command: PduCommand) => PDUS[command].id >= 0x80000000;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
/** A header of its own length before a body. */
function bodied(command: PduCommand, body: string, status = 0): Buffer {
  const octets = hex(body);
  const out = Buffer.alloc(16 + octets.length);
  out.writeUInt32BE(out.length, 0);
  out.writeUInt32BE(PDUS[command].id, 4);
  out.writeUInt32BE(status, 8);
  out.writeUInt32BE(1, 12);
  out.set(octets, 16);
  return out;
}
function statusOf(decode: () => unknown): [number, string] | null {
  try {
    decode();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(PduError);
    return [(error as PduError).status, (error as PduError).field];
  }
}

describe('what is written is read back', () => {
  test.each(COMMANDS)('%s, anywhere in a buffer', (command) => {
    fc.assert(
      fc.property(pduWith(command), fc.nat(40), (pdu, offset) => {
        const encoded = encodePdu(pdu);
        expect(encoded.readUInt32BE(0)).toBe(encoded.length);
        const around = Buffer.concat([Buffer.alloc(offset, 0x41), encoded, Buffer.alloc(7, 0x42)]);
        expect(decodePdu(around, offset)).toEqual(pdu);
        expect(decodePdu(around, offset, encoded.length)).toEqual(pdu);
      }),
      { numRuns: 200 },
    );
  });

  test.each(COMMANDS.filter(isAnswer))('%s with an error is a header and no more', (command) => {
    fc.assert(
      fc.property(refusal(command), (pdu) => {
        const encoded = encodePdu(pdu);
        expect(encoded.length).toBe(16);
        expect(decodePdu(encoded)).toEqual(pdu);
      }),
      { numRuns: 30 },
    );
  });

  test.each(TLV_NAMES)('TLV %s', (name) => {
    fc.assert(
      fc.property(namedTlv(name), ({ value, tlv: made }) => {
        const [fewest, most] = TLVS[name].kind.octets;
        expect(made.value.length).toBeGreaterThanOrEqual(fewest);
        expect(made.value.length).toBeLessThanOrEqual(most);
        const pdu = decodePdu(encodePdu(pduOf('data_sm', { tlvs: [made, made] })));
        if (pdu.command !== 'data_sm') throw new Error('not a data_sm');
        expect(readTlv(pdu, name)).toEqual(value);
        expect(readTlvsOf(pdu, name)).toEqual([value, value]);
      }),
      { numRuns: 100 },
    );
  });

  it('a PDU whose command_id is in no standard, as it is', () => {
    const pdu: Pdu = { command: 'unknown', commandId: 0x00010200, status: 4, sequence: 0xffffffff, body: hex('0102') };
    expect(encodePdu(pdu).toString('hex')).toBe('00000012 00010200 00000004 ffffffff 0102'.replaceAll(' ', ''));
    expect(decodePdu(encodePdu(pdu))).toEqual(pdu);
  });
});

describe('the types', () => {
  it('are told apart by command, and hold the names of the standard to their values', () => {
    const read = (pdu: Pdu): string => {
      switch (pdu.command) {
        case 'query_sm_resp':
          return `${pdu.messageId} ${pdu.messageState.toFixed(0)}`;
        case 'submit_multi':
          return pdu.destinations.map((to) => (to.kind === 'address' ? to.addr : to.name)).join();
        case 'unknown':
          return pdu.commandId.toString(16);
        default:
          return pdu.command;
      }
    };
    expect(read(pduOf('query_sm_resp', { messageId: 'a1', messageState: 2 }))).toBe('a1 2');
    expect(read(pduOf('unbind'))).toBe('unbind');
    // @ts-expect-error: a query_sm has no text
    expect(() => encodePdu({ ...pduOf('query_sm', { shortMessage: '' }), messageId: 'x' })).not.toThrow();
    // @ts-expect-error: a number, not a text
    expect(() => tlv('user_message_reference', '7')).toThrow(FieldError);
    // @ts-expect-error: octets, not a text, which would go out as zeros
    expect(() => encodePdu(pduOf('replace_sm', { shortMessage: 'new' }))).toThrow(FieldError);
    // @ts-expect-error: octets, not a text
    expect(() => tlv('message_payload', 'new')).toThrow(FieldError);
    const state: number | undefined = readTlv({ tlvs: [tlv('message_state', 2)] }, 'message_state');
    expect(state).toBe(2);
  });
});

describe('the hand-written codec', () => {
  const hot = ['submit_sm', 'deliver_sm', 'submit_sm_resp', 'deliver_sm_resp'] as const;
  test.each(hot)('of %s is that of its descriptor', (command) => {
    fc.assert(
      fc.property(pduWith(command), (pdu) => {
        const encoded = encodePdu(pdu);
        expect(encoded).toEqual(encodeByTable(PDUS[command], pdu as unknown as ByName));
        expect(decodePdu(encoded)).toEqual(decodeByTable(command, pdu, encoded, 0, encoded.length));
      }),
      { numRuns: 300 },
    );
  });
});

describe('an area', () => {
  const METRES_PER_DEGREE = 111_320;
  const near = (a: Point, b: Point) => {
    expect(Math.abs(a.latitude - b.latitude) * METRES_PER_DEGREE).toBeLessThan(1.2);
    expect(Math.abs(a.longitude - b.longitude) * METRES_PER_DEGREE).toBeLessThan(2.4);
  };
  it('is read back within one step, and then does not move any more', () => {
    fc.assert(
      fc.property(area, (given) => {
        const octets = encodeArea(given);
        const back = decodeArea(octets) as BroadcastArea;
        expect(encodeArea(back)).toEqual(octets);
        if (given.format === 'alias' || given.format === 'other') expect(back).toEqual(given);
        if (given.format === 'polygon' && back.format === 'polygon') {
          expect(back.points).toHaveLength(given.points.length);
          given.points.forEach((point, i) => {
            near(point, back.points[i] as Point);
          });
        }
        if (given.format === 'circle') {
          if (back.format !== 'circle') throw new Error('no circle came back');
          near(given.centre, back.centre);
          // Never smaller: nobody in the circle is left out. One step is 10 %.
          expect(back.radius).toBeGreaterThanOrEqual(given.radius * (1 - 1e-9));
          expect(back.radius).toBeLessThan(given.radius * 1.1 + 1 + 1e-6);
        }
        if (given.format === 'ellipsoidArc' && back.format === 'ellipsoidArc') {
          expect(given.arc.innerRadius - back.arc.innerRadius).toBeLessThan(5);
          expect(given.arc.offsetAngle - back.arc.offsetAngle).toBeLessThan(2);
          expect(back.arc.includedAngle - given.arc.includedAngle).toBeLessThanOrEqual(2);
          expect(back.arc.confidence).toBe(given.arc.confidence);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('that can not be told is refused', () => {
    const at = (latitude: number, longitude: number): Point => ({ latitude, longitude });
    const areas: BroadcastArea[] = [
      { format: 'alias', name: '' },
      { format: 'alias', name: 'x'.repeat(101) },
      { format: 'alias', name: 'Ω' },
      { format: 'polygon', points: [at(0, 0), at(1, 1)] },
      { format: 'polygon', points: Array.from({ length: 16 }, () => at(0, 0)) },
      { format: 'circle', centre: at(90.1, 0), radius: 1 },
      { format: 'circle', centre: at(0, 180.1), radius: 1 },
      { format: 'circle', centre: at(Number.NaN, 0), radius: 1 },
      { format: 'circle', centre: at(0, 0), radius: 2_000_000 },
      { format: 'circle', centre: at(0, 0), radius: -1 },
      { format: 'other', octet: 3, details: Buffer.alloc(101) },
    ];
    for (const area of areas) {
      expect(() => tlv('broadcast_area_identifier', area)).toThrow(
        expect.objectContaining({ name: 'FieldError', field: 'broadcast_area_identifier' }),
      );
    }
  });

  it('of a shape that is not known, or cut short, is read as octets', () => {
    for (const octets of [
      '01',
      '01 10 000000 000000',
      '02 52 000000000000 000000000000',
      '02 53 00',
      '07 0102',
      '01 a0 000000 000000 0000 00 b4 00 00',
    ]) {
      expect(decodeArea(hex(octets))).toMatchObject({ format: 'other' });
    }
    expect(decodeArea(Buffer.alloc(0))).toBeUndefined();
  });
});

describe("the standard's limits", () => {
  const refused = (field: string, encode: () => unknown) => {
    expect(encode).toThrow(FieldError);
    expect(encode).toThrow(expect.objectContaining({ field }));
  };

  it('name the field that breaks them, before any octet leaves', () => {
    const address = (addr: string) => ({ kind: 'address', ton: 1, npi: 1, addr }) as const;
    const cases: [field: string, pdu: Pdu][] = [
      ['system_id', pduOf('bind_receiver', { systemId: 'x'.repeat(16) })],
      ['password', pduOf('bind_transmitter', { password: '123456789' })],
      ['system_type', pduOf('bind_transceiver', { systemType: 'x'.repeat(13) })],
      ['address_range', pduOf('bind_transceiver', { addressRange: 'x'.repeat(41) })],
      ['interface_version', pduOf('bind_transceiver', { interfaceVersion: 256 })],
      ['password', pduOf('outbind', { password: '123456789' })],
      ['service_type', pduOf('data_sm', { serviceType: 'TOOLNG' })],
      ['source_addr', pduOf('query_sm', { sourceAddr: '1'.repeat(21) })],
      ['source_addr', pduOf('data_sm', { sourceAddr: '1'.repeat(65) })],
      ['destination_addr', pduOf('cancel_sm', { destAddr: '1'.repeat(21) })],
      ['esme_addr', pduOf('alert_notification', { esmeAddr: '1'.repeat(65) })],
      ['message_id', pduOf('replace_sm', { messageId: 'x'.repeat(65) })],
      ['message_id', pduOf('data_sm_resp', { messageId: 'x'.repeat(65) })],
      ['message_id', { ...pduOf('deliver_sm_resp'), messageId: 'x' }],
      ['short_message', pduOf('replace_sm', { shortMessage: Buffer.alloc(255) })],
      ['validity_period', pduOf('replace_sm', { validityPeriod: '1' })],
      ['final_date', pduOf('query_sm_resp', { finalDate: '26-11-24T12:00:0' })],
      ['number_of_dests', pduOf('submit_multi')],
      ['number_of_dests', pduOf('submit_multi', { destinations: Array.from({ length: 255 }, () => address('1')) })],
      ['destination_addr', pduOf('submit_multi', { destinations: [address('1'.repeat(21))] })],
      ['dl_name', pduOf('submit_multi', { destinations: [{ kind: 'distributionList', name: 'x'.repeat(21) }] })],
      ['error_status_code', pduOf('submit_multi_resp', { unsuccesses: [{ ton: 0, npi: 0, addr: '', status: -1 }] })],
      ['priority_flag', pduOf('broadcast_sm', { priorityFlag: 5 })],
      ['replace_if_present_flag', pduOf('submit_multi', { destinations: [address('1')], replaceIfPresent: 2 })],
      ['sequence_number', pduOf('enquire_link', { sequence: 0 })],
      ['sequence_number', pduOf('enquire_link', { sequence: 0x80000000 })],
      ['sequence_number', pduOf('enquire_link_resp', { sequence: 1.5 })],
      ['command_status', pduOf('query_sm', { status: 8 })],
      ['command_status', pduOf('query_sm_resp', { status: -1 })],
      [
        'command_length',
        pduOf('data_sm', { tlvs: Array.from({ length: 2 }, () => tlv('message_payload', Buffer.alloc(60_000))) }),
      ],
      ['broadcast_area_identifier', pduOf('broadcast_sm')],
      ['message_state', pduOf('query_broadcast_sm_resp')],
      ['command', { ...pduOf('unbind'), command: 'submit' } as never],
    ];
    for (const [field, pdu] of cases) {
      const withRequired =
        field === 'priority_flag' && pdu.command === 'broadcast_sm'
          ? {
              ...pdu,
              tlvs: [
                tlv('broadcast_area_identifier', { format: 'alias', name: 'x' }),
                tlv('broadcast_content_type', { network: 0, contentType: 1 }),
                tlv('broadcast_frequency_interval', { unit: 0, count: 0 }),
              ],
            }
          : pdu;
      refused(field, () => encodePdu(withRequired));
    }
  });

  it('hold for TLVs', () => {
    const cases: [TlvName, unknown][] = [
      ['dest_addr_subunit', 5],
      ['user_message_reference', 0x10000],
      ['user_message_reference', -1],
      ['sar_total_segments', 0],
      ['number_of_messages', 100],
      ['congestion_state', 101],
      ['broadcast_area_success', 101],
      ['receipted_message_id', 'x'.repeat(65)],
      ['receipted_message_id', 'a\0'],
      ['source_network_id', '12345'],
      ['source_node_id', '12345a'],
      ['broadcast_end_time', '000000010000000R'],
      ['message_payload', Buffer.alloc(65_536)],
      ['source_subaddress', { type: 0x80, address: Buffer.alloc(0) }],
      ['callback_num', { digitMode: 2, ton: 0, npi: 0, digits: Buffer.from('1') }],
      ['callback_num', { digitMode: 1, ton: 0, npi: 0, digits: Buffer.alloc(17) }],
      ['broadcast_frequency_interval', { unit: 1, count: 1 }],
      ['broadcast_content_type', { network: 4, contentType: 1 }],
      ['ms_validity', { behaviour: 4, period: null }],
      ['ms_validity', { behaviour: 1, period: { unit: 0, count: 1 } }],
      ['its_session_info', { session: 0, sequence: 128, end: false }],
      ['alert_on_message_delivery', 4],
      ['dest_addr_np_country', Buffer.alloc(4)],
    ];
    for (const [name, value] of cases) refused(name, () => tlv(name, value as never));
    refused('tlv', () => tlv('toString' as TlvName, 1 as never));
  });
});

describe('a request that can not be read is answered', () => {
  const status = (command: PduCommand, body: string) => {
    const octets = bodied(command, body);
    return statusOf(() => decodePdu(octets));
  };
  it.each([
    ['no fields at all', 'query_sm', '', [0x02, 'message_id']],
    ['a string without an end', 'query_sm', '6131', [0x02, 'message_id']],
    ['an octet that is missing', 'query_sm', '613100 05', [0x02, 'source_addr_npi']],
    ['a message longer than the PDU', 'replace_sm', '6100 00 00 00 00 00 01 00 05 6162', [0x01, 'sm_length']],
    ['a TLV longer than the PDU', 'query_sm', '6100 00 00 00 0204 0003 01', [0xc0, 'tlv']],
    ['no destinations', 'submit_multi', '00 00 00 00 00', [0x33, 'number_of_dests']],
    ['a destination of no kind', 'submit_multi', '00 00 00 00 01 03 6100', [0x40, 'dest_flag']],
    ['fewer destinations than told', 'submit_multi', '00 00 00 00 02 02 6100', [0x02, 'dest_flag']],
  ] as const)('%s', (_, command, body, expected) => {
    expect(status(command, body)).toEqual(expected);
  });

  it('also when its length is not one', () => {
    for (const [octets, offset, length] of [
      ['', 0, undefined],
      ['000000', 0, undefined],
      ['0000000f 00000015 00000000 00000001', 0, undefined],
      ['00000011 00000015 00000000 00000001', 0, undefined],
      ['00000010 00000015 00000000 00000001', 1, 16],
      ['00000010 00000015 00000000 00000001', -1, 16],
      ['00000010 00000015 00000000 00000001', 20, undefined],
    ] as const) {
      expect(statusOf(() => decodePdu(hex(octets), offset, length))).toEqual([0x02, 'command_length']);
    }
  });
});

describe('an answer is read for what it is worth', () => {
  const read = (command: PduCommand, body: string, status = 0) => decodePdu(bodied(command, body, status));

  it.each([
    ['a bind without system_id', read('bind_transceiver_resp', ''), { systemId: '', tlvs: [] }],
    ['a bind with a long one', read('bind_transmitter_resp', `${'61'.repeat(30)}00`), { systemId: 'a'.repeat(30) }],
    ['no message_id beside an error', read('data_sm_resp', '', 8), { status: 8, messageId: null }],
    ['a message_id beside an error', read('data_sm_resp', '613100', 8), { status: 8, messageId: 'a1' }],
    ['a message_id without its NUL', read('data_sm_resp', '6131'), { messageId: 'a1' }],
    [
      'a message_id that is too long',
      read('submit_multi_resp', `${'61'.repeat(80)}00 00`),
      { messageId: 'a'.repeat(80) },
    ],
    ['a message_id in deliver_sm_resp', read('deliver_sm_resp', '613100'), { messageId: 'a1' }],
    ['no no_unsuccess', read('submit_multi_resp', '613100'), { messageId: 'a1', unsuccesses: [] }],
    [
      'an unsuccess_sme that is cut off',
      read('submit_multi_resp', '613100 02 0101 3100 00000008 0101 3200 0000'),
      { unsuccesses: [{ ton: 1, npi: 1, addr: '1', status: 8 }] },
    ],
    [
      'a query that ends early',
      read('query_sm_resp', '613100 00 02'),
      { finalDate: '', messageState: 2, errorCode: 0 },
    ],
    [
      'a date of another kind',
      read('query_sm_resp', '613100 3236313132343132303000 02 00'),
      { finalDate: '2611241200' },
    ],
    ['a TLV that is cut off', read('cancel_sm_resp', '0428 0001 50 0425 0004'), { tlvs: [{ tag: 0x428 }] }],
    ['octets after a header', read('unbind', 'ff'), { tlvs: [] }],
  ])('%s', (_, pdu, expected) => {
    expect(pdu).toMatchObject(expected);
  });

  it('and so are TLVs', () => {
    const of = (tag: number, value: string) => ({ tlvs: [{ tag, value: hex(value) }] });
    expect(readTlv(of(0x0427, '0002'), 'message_state')).toBe(2);
    expect(readTlv(of(0x0204, '07'), 'user_message_reference')).toBe(7);
    expect(readTlv(of(0x0427, ''), 'message_state')).toBeUndefined();
    expect(readTlv(of(0x0427, '0102030405'), 'message_state')).toBeUndefined();
    expect(readTlv(of(0x001e, '6131'), 'receipted_message_id')).toBe('a1');
    expect(readTlv(of(0x001e, '61310062'), 'receipted_message_id')).toBe('a1');
    expect(readTlv(of(0x0423, '03'), 'network_error_code')).toBeUndefined();
    expect(readTlv(of(0x0381, '01'), 'callback_num')).toBeUndefined();
    expect(readTlv(of(0x0427, '02'), 'congestion_state')).toBeUndefined();
    expect(readTlvsOf({ tlvs: [...of(0x0427, '').tlvs, ...of(0x0427, '02').tlvs] }, 'message_state')).toEqual([2]);
    expect(tlvName(0x1400)).toBeNull();
  });
});

it('a bind carries the long password that a carrier gave, which the typed door refuses', () => {
  const bind = {
    ...{ systemId: 'a-system-id-of-the-carrier', password: 'longer than eight', systemType: '' },
    ...{ interfaceVersion: 0x34, addressTon: 0, addressNpi: 0, addressRange: '' },
  };
  const octets = encodeBind(1, { mode: 'transmitter', ...bind });
  expect(decodePdu(octets)).toEqual({ ...pduOf('bind_transmitter', bind) });
  expect(() => encodePdu(pduOf('bind_transmitter', bind))).toThrow(FieldError);
  expect(() => encodeBind(1, { mode: 'receiver', ...bind, password: 'é' })).toThrow(FieldError);
});
