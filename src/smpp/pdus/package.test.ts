/**
 * Our codec against that of the `smpp` package: octet for octet on every PDU and TLV that both can carry, and a table of
 * all on which they do not agree, each with who is right by the standard.
 */
import fc from 'fast-check';
import smpp from 'smpp';
import { describe, expect, it, test } from 'vitest';
import { type NamedTlv, namedTlv, namedTlvs, pduWith, refusal } from '../../../test/support/pdus.ts';
import { decodePdu, encodePdu, pduOf } from './codec.ts';
import type { Destination, Field, Unsuccess } from './fields.ts';
import { PDUS, type Pdu, type PduCommand } from './table.ts';
import { readTlv, TLVS, type TlvName, tlv } from './tlvs.ts';

const COMMANDS = Object.keys(PDUS) as PduCommand[];
/** The package reads strings as 7-bit characters. */
const LAST_CHARACTER = 0x7f;
/** What the package turns into a Date or a text when it reads. */
const REWRITTEN = new Set(['schedule_delivery_time', 'validity_period', 'final_date', 'short_message']);

/** TLVs on which the two do not agree; why is in the table at the end. */
const DISAGREED: readonly TlvName[] = [
  'alert_on_message_delivery',
  'broadcast_area_success',
  'broadcast_end_time',
  'dest_addr_np_country',
  'source_telematics_id',
];
const AGREED = (Object.keys(TLVS) as TlvName[]).filter((name) => !DISAGREED.includes(name));
/** Ours by the 3.4's spelling, the package's by the 5.0's. */
const PACKAGE_NAMES: Partial<Record<TlvName, string>> = { destination_port: 'dest_port' };
const packageName = (name: TlvName) => PACKAGE_NAMES[name] ?? name;

/** A mandatory field as the package wants it. */
function packageValue(standard: string, value: unknown): unknown {
  if (standard === 'dest_address') {
    return (value as readonly Destination[]).map((to) =>
      to.kind === 'address'
        ? { dest_addr_ton: to.ton, dest_addr_npi: to.npi, destination_addr: to.addr }
        : { dl_name: to.name },
    );
  }
  if (standard === 'unsuccess_sme') {
    return (value as readonly Unsuccess[]).map(({ ton, npi, addr, status }) => ({
      ...{ dest_addr_ton: ton, dest_addr_npi: npi, destination_addr: addr, error_status_code: status },
    }));
  }
  return value ?? '';
}

/** A TLV's value as the package wants it: numbers and texts, and the octets of all else. */
function packageTlv({ value, tlv: made }: NamedTlv): unknown {
  return typeof value === 'number' || typeof value === 'string' ? value : made.value;
}

function packageOptions(pdu: Pdu, tlvs: readonly NamedTlv[]): Record<string, unknown> {
  if (pdu.command === 'unknown') throw new Error('the package has no PDU for it');
  const byName = pdu as unknown as Record<string, unknown>;
  const options: Record<string, unknown> = { command_status: pdu.status, sequence_number: pdu.sequence };
  for (const { name, standard } of PDUS[pdu.command].fields as readonly Field<string, unknown>[]) {
    options[standard] = packageValue(standard, byName[name]);
  }
  for (const one of tlvs) {
    const name = packageName(one.name);
    if (!TLVS[one.name].repeats) options[name] = packageTlv(one);
    else options[name] = [...((options[name] as unknown[] | undefined) ?? []), packageTlv(one)];
  }
  return options;
}

/** The TLVs that a PDU of this command must have, as named ones; none of them is disagreed on but one. */
const requiredOf = (command: PduCommand) => PDUS[command].requires.filter((name) => AGREED.includes(name));

describe('the two agree, octet for octet', () => {
  // query_broadcast_sm_resp must have broadcast_area_success: that one is in the table.
  test.each(COMMANDS.filter((command) => command !== 'query_broadcast_sm_resp'))('on %s', (command) => {
    const least = fc.tuple(...requiredOf(command).map((name) => namedTlv(name, LAST_CHARACTER)));
    const fields: readonly string[] = PDUS[command].fields.map(({ standard }) => standard);
    const rest = namedTlvs(
      AGREED.filter((name) => !requiredOf(command).includes(name) && !fields.includes(name)),
      LAST_CHARACTER,
    );
    fc.assert(
      fc.property(pduWith(command, fc.constant([]), LAST_CHARACTER), least, rest, (bare, first, then) => {
        const tlvs = [...first, ...then];
        const pdu = { ...bare, tlvs: tlvs.map((one) => one.tlv) } as Pdu;
        const theirs = new smpp.PDU(command, packageOptions(pdu, tlvs)).toBuffer();
        const ours = encodePdu(pdu);
        expect(ours.toString('hex')).toBe(theirs.toString('hex'));
        expect(decodePdu(theirs)).toEqual(pdu);

        const read = new smpp.PDU(Buffer.from(ours));
        expect(read).toMatchObject({ command, command_status: pdu.status, sequence_number: pdu.sequence });
        for (const [name, value] of Object.entries(packageOptions(pdu, []))) {
          if (!REWRITTEN.has(name)) expect(read[name], name).toEqual(value);
        }
        for (const { name, value } of tlvs) {
          if (typeof value === 'number' && !TLVS[name].repeats) expect(read[packageName(name)], name).toBe(value);
        }
      }),
      { numRuns: 100 },
    );
  });

  test.each(COMMANDS.filter((command) => PDUS[command].id >= 0x80000000))('on %s with an error', (command) => {
    fc.assert(
      fc.property(refusal(command), (pdu) => {
        const theirs = new smpp.PDU(command, packageOptions(pdu, [])).toBuffer();
        expect(encodePdu(pdu)).toEqual(theirs);
        expect(decodePdu(theirs)).toEqual(pdu);
        expect(new smpp.PDU(encodePdu(pdu))).toMatchObject({ command, command_status: pdu.status });
      }),
      { numRuns: 30 },
    );
  });

  it('on the tags of all TLVs, and on all command_ids', () => {
    for (const name of Object.keys(TLVS) as TlvName[]) expect(smpp.tlvs[packageName(name)]?.id).toBe(TLVS[name].tag);
    for (const command of COMMANDS) expect(smpp.commands[command]?.id).toBe(PDUS[command].id);
    expect(Object.keys(smpp.commands).sort()).toEqual([...COMMANDS].sort());
  });

  it('on how the parts of a TLV are read', () => {
    const read = (name: TlvName, value: never) =>
      new smpp.PDU(encodePdu(pduOf('data_sm', { tlvs: [tlv(name, value)] })))[name];
    const octets = Buffer.from('0102', 'hex');
    const as = (value: unknown) => value as never;
    expect(read('broadcast_content_type', as({ network: 1, contentType: 0x0102 }))).toEqual({
      ...{ network: 1, content_type: 0x0102 },
    });
    expect(read('broadcast_frequency_interval', as({ unit: 9, count: 300 }))).toEqual({ unit: 9, interval: 300 });
    expect(read('billing_identification', as({ format: 7, data: octets }))).toEqual({ format: 7, data: octets });
    expect(read('callback_num_atag', as({ dataCoding: 3, display: octets }))).toEqual([
      { encoding: 3, display: octets },
    ]);
    expect(read('callback_num', as({ digitMode: 1, ton: 1, npi: 1, digits: Buffer.from('55') }))).toEqual([
      { digit_mode: 1, ton: 1, npi: 1, number: '55' },
    ]);
    expect(read('broadcast_area_identifier', as({ format: 'alias', name: 'north' }))).toEqual([
      { format: 0, data: 'north' },
    ]);
  });
});

// ------------------------------------------------------------------------------------------------------------------

const hex = (octets: Buffer) => octets.toString('hex');
const dataSm = (name: TlvName, value: unknown) => pduOf('data_sm', { tlvs: [tlv(name, value as never)] });
/** What stands behind the mandatory fields of a data_sm without addresses. */
const tlvsOf = (octets: Buffer) => hex(octets.subarray(16 + 10));
const theirDataSm = (options: Record<string, unknown>) =>
  new smpp.PDU('data_sm', { data_coding: 0, sequence_number: 1, ...options }).toBuffer();
const thrown = (run: () => unknown): string => {
  try {
    run();
    return 'nothing';
  } catch (error) {
    return (error as Error).name;
  }
};

interface Disagreement {
  on: string;
  right: 'ours' | 'both by a version' | 'neither is told';
  why: string;
  ours(): unknown;
  theirs(): unknown;
  expected: { ours: unknown; theirs: unknown };
}

const DISAGREEMENTS: readonly Disagreement[] = [
  {
    on: 'dest_addr_np_country',
    right: 'ours',
    why: '5.0 §4.8.4.20 gives it five octets; the package writes a number of four',
    ours: () => tlvsOf(encodePdu(dataSm('dest_addr_np_country', Buffer.from('3434000000', 'hex')))),
    theirs: () => tlvsOf(theirDataSm({ dest_addr_np_country: 0x34340000 })),
    expected: { ours: '061300053434000000', theirs: '0613000434340000' },
  },
  {
    on: 'alert_on_message_delivery without a value',
    right: 'ours',
    why: '3.4 §5.3.2.41 has no value and 5.0 §4.8.4.2 may have one; the package reads the octet behind it, or throws',
    ours: () =>
      readTlv(decodePdu(encodePdu(dataSm('alert_on_message_delivery', null))) as never, 'alert_on_message_delivery'),
    theirs: () => thrown(() => new smpp.PDU(encodePdu(dataSm('alert_on_message_delivery', null)))),
    expected: { ours: null, theirs: 'RangeError' },
  },
  {
    on: 'broadcast_end_time',
    right: 'neither is told',
    why: '5.0 §4.8.4.9 calls it a C-octet string of 16 octets, but §4.7.23.4 takes 16 characters and a NUL; the package leaves the NUL out. Both are read here',
    ours: () => tlvsOf(encodePdu(dataSm('broadcast_end_time', '261124120000000+'))),
    theirs: () => tlvsOf(theirDataSm({ broadcast_end_time: '261124120000000+' })),
    expected: {
      ours: `06090011${hex(Buffer.from('261124120000000+'))}00`,
      theirs: `06090010${hex(Buffer.from('261124120000000+'))}`,
    },
  },
  {
    on: 'source_telematics_id',
    right: 'both by a version',
    why: '3.4 §5.3.2.8 has one octet, as Wireshark reads it; the package writes two. Both are read here',
    ours: () => tlvsOf(encodePdu(dataSm('source_telematics_id', 0x24))),
    theirs: () => tlvsOf(theirDataSm({ source_telematics_id: 0x24 })),
    expected: { ours: '0010000124', theirs: '001000020024' },
  },
  {
    on: 'broadcast_area_success of several areas',
    right: 'ours',
    why: '5.0 §4.6.1.3 has one for each area; the package keeps the last',
    ours: () => {
      const pdu = pduOf('data_sm', { tlvs: [50, 100].map((value) => tlv('broadcast_area_success', value)) });
      return (decodePdu(encodePdu(pdu)) as typeof pdu).tlvs.map((one) => one.value[0]);
    },
    theirs: () =>
      new smpp.PDU(
        encodePdu(pduOf('data_sm', { tlvs: [50, 100].map((value) => tlv('broadcast_area_success', value)) })),
      ).broadcast_area_success,
    expected: { ours: [50, 100], theirs: 100 },
  },
  {
    on: 'the TLV message_state in a query_sm_resp',
    right: 'ours',
    why: 'it is not the field of that name (3.4 §4.8.2, §5.3.2.35); the package has one place for both',
    ours: () => encodePdu(pduOf('query_sm_resp', { messageState: 1, tlvs: [tlv('message_state', 2)] })).length,
    theirs: () => new smpp.PDU('query_sm_resp', { message_state: 2 }).toBuffer().length,
    expected: { ours: 16 + 4 + 5, theirs: 16 + 4 },
  },
  {
    on: "a vendor's TLV",
    right: 'ours',
    why: '3.4 §5.3.1 reserves 0x1400..0x3FFF for them; the package reads them and does not write them',
    ours: () => tlvsOf(encodePdu(pduOf('data_sm', { tlvs: [{ tag: 0x1400, value: Buffer.from([7]) }] }))),
    theirs: () => tlvsOf(theirDataSm({ 5120: Buffer.from([7]) })),
    expected: { ours: '1400000107', theirs: '' },
  },
  {
    on: 'TLVs beside an error',
    right: 'ours',
    why: '3.4 §4.7.2 and 5.0 §4.2.5 have TLVs that say why it failed; the package writes none of them',
    ours: () => encodePdu(pduOf('data_sm_resp', { status: 0xfe, tlvs: [tlv('delivery_failure_reason', 1)] })).length,
    theirs: () => new smpp.PDU('data_sm_resp', { command_status: 0xfe, delivery_failure_reason: 1 }).toBuffer().length,
    expected: { ours: 22, theirs: 16 },
  },
  {
    on: 'a string that is too long',
    right: 'ours',
    why: '3.4 §4.4.1: service_type has at most 6 octets; the package writes any number',
    ours: () => thrown(() => encodePdu(pduOf('submit_sm', { serviceType: 'TOOLONG' }))),
    theirs: () => thrown(() => new smpp.PDU('submit_sm', { service_type: 'TOOLONG', data_coding: 0 }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a NUL inside a string',
    right: 'ours',
    why: '3.4 §3.1: a C-octet string ends with its NUL; with the package all fields behind it shift',
    ours: () => thrown(() => encodePdu(pduOf('submit_sm', { sourceAddr: 'A\0B' }))),
    theirs: () => thrown(() => new smpp.PDU('submit_sm', { source_addr: 'A\0B', data_coding: 0 }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a short_message of 255 octets',
    right: 'both by a version',
    why: '3.4 §5.2.22 ends at 254, 5.0 §4.7.25 at 255: we write what both take, and read both',
    ours: () => thrown(() => encodePdu(pduOf('submit_sm', { shortMessage: Buffer.alloc(255) }))),
    theirs: () => thrown(() => new smpp.PDU('submit_sm', { short_message: Buffer.alloc(255) }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a time of 12 characters or fewer',
    right: 'ours',
    why: '3.4 §7.1.1: a time has 16 characters; the package pads it to a relative one',
    ours: () => thrown(() => encodePdu(pduOf('replace_sm', { validityPeriod: '100' }))),
    theirs: () => {
      const octets = new smpp.PDU('replace_sm', { validity_period: '100' }).toBuffer();
      return octets.toString('latin1').includes('000000000100000R');
    },
    expected: { ours: 'FieldError', theirs: true },
  },
  {
    on: 'characters from U+0080',
    right: 'ours',
    why: '3.4 §3.1 means ASCII, and a peer that sends more means Latin-1: the package takes the high bit off',
    ours: () => decodePdu(encodePdu(pduOf('query_sm', { messageId: 'é' }))),
    theirs: () => new smpp.PDU(encodePdu(pduOf('query_sm', { messageId: 'é' }))).message_id,
    expected: { ours: pduOf('query_sm', { messageId: 'é' }), theirs: 'i' },
  },
  {
    on: 'a request that ends before its fields do',
    right: 'ours',
    why: '3.4 §3.2: every mandatory field is there, ESME_RINVCMDLEN otherwise; the package leaves them undefined',
    ours: () => thrown(() => decodePdu(Buffer.from('00000011000000030000000000000001' + '00', 'hex'))),
    theirs: () => new smpp.PDU(Buffer.from('00000011000000030000000000000001' + '00', 'hex')).source_addr,
    expected: { ours: 'PduError', theirs: undefined },
  },
  {
    on: 'an sm_length beyond the PDU',
    right: 'ours',
    why: '3.4 §5.2.21: ESME_RINVMSGLEN; the package takes what there is for the message',
    ours: () => thrown(() => decodePdu(cutShort())),
    theirs: () => thrown(() => new smpp.PDU(cutShort())),
    expected: { ours: 'PduError', theirs: 'nothing' },
  },
  {
    on: 'a destination of no kind',
    right: 'ours',
    why: '3.4 §5.2.25: dest_flag is 1 or 2, ESME_RINVDESTFLAG otherwise; the package takes it for a list',
    ours: () => thrown(() => decodePdu(flagged(3))),
    theirs: () => thrown(() => new smpp.PDU(flagged(3))),
    expected: { ours: 'PduError', theirs: 'nothing' },
  },
  {
    on: 'a submit_multi to nobody',
    right: 'ours',
    why: '3.4 §5.2.24: number_of_dests is 1..254',
    ours: () => thrown(() => encodePdu(pduOf('submit_multi'))),
    theirs: () => thrown(() => new smpp.PDU('submit_multi', { dest_address: [], data_coding: 0 }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a broadcast_sm without an area',
    right: 'ours',
    why: '5.0 §4.4.1.1: broadcast_area_identifier, _content_type and _frequency_interval are mandatory',
    ours: () => thrown(() => encodePdu(pduOf('broadcast_sm'))),
    theirs: () => thrown(() => new smpp.PDU('broadcast_sm', { data_coding: 0 }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a message_id in deliver_sm_resp',
    right: 'ours',
    why: '3.4 §4.6.2: unused and set to NULL. Read all the same',
    ours: () => thrown(() => encodePdu({ ...pduOf('deliver_sm_resp'), messageId: 'x' })),
    theirs: () => thrown(() => new smpp.PDU('deliver_sm_resp', { message_id: 'x' }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'a sequence_number of 0 or above 0x7FFFFFFF in a request',
    right: 'ours',
    why: '3.4 §5.1.4: 1..0x7FFFFFFF',
    ours: () => thrown(() => encodePdu(pduOf('enquire_link', { sequence: 0x80000000 }))),
    theirs: () => thrown(() => new smpp.PDU('enquire_link', { sequence_number: 0x80000000 }).toBuffer()),
    expected: { ours: 'FieldError', theirs: 'nothing' },
  },
  {
    on: 'interface_version that is not told',
    right: 'neither is told',
    why: 'the package says 5.0, pduOf 0; who binds says what it speaks',
    ours: () => pduOf('bind_transceiver').interfaceVersion,
    theirs: () => new smpp.PDU('bind_transceiver').interface_version,
    expected: { ours: 0, theirs: 0x50 },
  },
  {
    on: 'a message_payload above 16 KiB',
    right: 'ours',
    why: '3.4 §5.3.2.32: up to 64 KiB; the package refuses every PDU above 16,384 octets',
    ours: () => (decodePdu(encodePdu(dataSm('message_payload', Buffer.alloc(20_000)))) as Pdu).command,
    theirs: () => thrown(() => new smpp.PDU(encodePdu(dataSm('message_payload', Buffer.alloc(20_000))))),
    expected: { ours: 'data_sm', theirs: 'Error' },
  },
  {
    on: 'message_payload that is no text',
    right: 'ours',
    why: '3.4 §5.3.2.32: user data, whatever data_coding says; the package hands on a text that it guessed',
    ours: () =>
      hex(
        readTlv(
          decodePdu(encodePdu(dataSm('message_payload', Buffer.from([0x80])))) as never,
          'message_payload',
        ) as Buffer,
      ),
    theirs: () => {
      const read = new smpp.PDU(encodePdu(dataSm('message_payload', Buffer.from([0x80]))));
      return (read.message_payload as { message: unknown }).message;
    },
    expected: { ours: '80', theirs: ' ' },
  },
];

/** A replace_sm whose sm_length says five octets more than there are. */
function cutShort(): Buffer {
  const octets = encodePdu(pduOf('replace_sm', { shortMessage: Buffer.from('hello world') }));
  const short = Buffer.from(octets.subarray(0, octets.length - 5));
  short.writeUInt32BE(short.length, 0);
  return short;
}

/** A submit_multi with this dest_flag. */
function flagged(flag: number): Buffer {
  const octets = encodePdu(pduOf('submit_multi', { destinations: [{ kind: 'distributionList', name: 'L' }] }));
  octets[16 + 5] = flag;
  return octets;
}

describe('the two do not agree', () => {
  test.each(DISAGREEMENTS.map((one) => [one.on, one.right, one.why, one] as const))(
    'on %s; right: %s (%s)',
    (...row) => {
      const { ours, theirs, expected } = row[3];
      expect({ ours: ours(), theirs: theirs() }).toEqual(expected);
    },
  );

  it('on no other TLV: each that is left out of the comparison above has its row', () => {
    for (const name of DISAGREED) expect(DISAGREEMENTS.some(({ on }) => on.startsWith(name))).toBe(true);
  });
});
