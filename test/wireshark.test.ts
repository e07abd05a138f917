/**
 * Our octets before Wireshark's SMPP dissector: every PDU of the dumps field by field, any PDU and every TLV without a
 * complaint, and a real session with the simulator as it went over the loopback interface.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startSimulator } from '../src/simulator/index.ts';
import {
  Command,
  type DeliverSm,
  encodePdu,
  PDUS,
  type Pdu,
  type PduCommand,
  pduOf,
  readTlv,
  Session,
  type SubmitSm,
  TLVS,
  type TlvName,
  tlv,
} from '../src/smpp/index.ts';
import { DUMPS } from './support/pdu-dumps.ts';
import { namedTlv, pduWith, TLV_NAMES } from './support/pdus.ts';
import {
  Capture,
  complaintsOf,
  type Dissected,
  dissect,
  fieldsOf,
  mayCapture,
  tsharkVersion,
} from './support/wireshark.ts';

const absent = tsharkVersion === null ? ' (skipped: tshark is not installed, apt-get install tshark)' : '';
const deaf = mayCapture ? '' : ' (skipped: capturing on lo is not permitted, or no tshark)';

const COMMANDS = Object.keys(PDUS) as PduCommand[];
/**
 * TLVs that Wireshark 4.0 takes for one octet and so loses its place behind. It is wrong on both: SMPP 5.0 §4.8.4.13
 * gives broadcast_rep_num two octets, §4.8.4.41 gives ms_validity four where a period is told.
 */
const WIRESHARK_ERRS = (one: { tag: number; value: Buffer }) =>
  one.tag === TLVS.broadcast_rep_num.tag || (one.tag === TLVS.ms_validity.tag && one.value.length > 1);
/** Wireshark looks for TLVs in these alone; elsewhere, as for congestion_state in an enquire_link_resp, it does not. */
const READS_TLVS: ReadonlySet<PduCommand> = new Set<PduCommand>([
  ...(['bind_receiver_resp', 'bind_transmitter_resp', 'bind_transceiver_resp', 'alert_notification'] as const),
  ...(['submit_sm', 'submit_sm_resp', 'deliver_sm', 'deliver_sm_resp', 'data_sm', 'data_sm_resp'] as const),
  ...(['submit_multi', 'submit_multi_resp', 'replace_sm', 'broadcast_sm', 'broadcast_sm_resp'] as const),
  ...(['query_broadcast_sm', 'query_broadcast_sm_resp', 'cancel_broadcast_sm'] as const),
]);
const UDH_INDICATOR = 0x40;

/** Wireshark's fields for one of ours, where they are not `smpp.<name in the standard>`. */
const FIELDS: Record<string, (value: never) => Record<string, unknown>> = {
  esm_class: (value: number) => ({
    'smpp.esm.submit.msg_mode': value & 3,
    'smpp.esm.submit.msg_type': (value >> 2) & 15,
    'smpp.esm.submit.features': value >> 6,
  }),
  registered_delivery: (value: number) => ({
    'smpp.regdel.receipt': value & 3,
    'smpp.regdel.acks': (value >> 2) & 3,
    'smpp.regdel.notif': (value >> 4) & 1,
  }),
  short_message: (value: Buffer) => ({
    'smpp.sm_length': value.length,
    ...(value.length > 0 ? { 'smpp.message': value.toString('hex') } : {}),
  }),
  schedule_delivery_time: timeField('smpp.schedule_delivery_time'),
  validity_period: timeField('smpp.validity_period'),
  final_date: timeField('smpp.final_date'),
  dest_address: (value: readonly ({ kind: string } & Record<string, unknown>)[]) => {
    const to = (kind: string, key: string) => value.filter((each) => each.kind === kind).map((each) => each[key]);
    return {
      'smpp.dest_addr_ton': to('address', 'ton'),
      'smpp.dest_addr_npi': to('address', 'npi'),
      'smpp.destination_addr': to('address', 'addr'),
      'smpp.dl_name': to('distributionList', 'name'),
    };
  },
  unsuccess_sme: (value: readonly { ton: number; npi: number; addr: string; status: number }[]) => ({
    'smpp.dest_addr_ton': value.map(({ ton }) => ton),
    'smpp.dest_addr_npi': value.map(({ npi }) => npi),
    'smpp.destination_addr': value.map(({ addr }) => addr),
    'smpp.error_status_code': value.map(({ status }) => status),
  }),
};

/** The dumps have one absolute and one relative time; NULL is shown as zero seconds or not at all. */
function timeField(name: string): (value: string) => Record<string, unknown> {
  return (value) => {
    if (value === '261124120000000+') return { [name]: 'Nov 24, 2026 12:00:00.000000000 UTC' };
    return value === '000000010000000R' ? { [`${name}_r`]: '3600.000000000' } : {};
  };
}

function expectedOf(pdu: Exclude<Pdu, { command: 'unknown' }>): Record<string, unknown> {
  const isRequest = PDUS[pdu.command].id < 0x80000000;
  const expected: Record<string, unknown> = {
    'smpp.command_length': encodePdu(pdu).length,
    'smpp.command_id': PDUS[pdu.command].id,
    'smpp.sequence_number': pdu.sequence,
    ...(isRequest ? {} : { 'smpp.command_status': pdu.status }),
  };
  // Wireshark does not look at the body of an error.
  if (pdu.status !== 0) return expected;
  for (const { name, standard } of PDUS[pdu.command].fields) {
    const value = (pdu as unknown as Record<string, unknown>)[name];
    // Wireshark has no field for an empty string.
    if (value === null || value === '') continue;
    Object.assign(expected, FIELDS[standard]?.(value as never) ?? { [`smpp.${standard}`]: value });
  }
  return expected;
}

/** Wireshark's text for a value, made comparable with ours. */
function same(shown: unknown, value: unknown): unknown {
  if (Array.isArray(value)) {
    const list = shown === undefined ? [] : Array.isArray(shown) ? shown : [shown];
    return list.map((each, i) => same(each, value[i]));
  }
  if (typeof value === 'number') return Number(shown);
  return typeof shown === 'string' && /^[0-9a-f]{2}(:[0-9a-f]{2})*$/.test(shown) ? shown.replaceAll(':', '') : shown;
}

/** All fields wherever they stand, but those of TLVs. */
function flat(pdu: Dissected): Dissected {
  const { 'smpp.opt_params': _, 'smpp.dlist': list, 'smpp.dlist_resp': answers, ...rest } = pdu;
  return { ...rest, ...(list as Dissected | undefined), ...(answers as Dissected | undefined) };
}

function tlvsShown(pdu: Dissected | null): { tag: number; length: number; fields: Dissected }[] {
  const params = (pdu?.['smpp.opt_params'] as Dissected | undefined)?.['smpp.opt_param'] ?? [];
  return (Array.isArray(params) ? params : [params]).map((fields: Dissected) => ({
    tag: Number(fields['smpp.opt_param_tag']),
    length: Number(fields['smpp.opt_param_len']),
    fields,
  }));
}

/** What Wireshark should show of the TLVs. */
const tlvsOf = (pdu: Pdu) =>
  pdu.command === 'unknown' || pdu.status !== 0 || !READS_TLVS.has(pdu.command)
    ? []
    : pdu.tlvs.map(({ tag, value }) => ({ tag, length: value.length }));

const withoutErrors = <P extends Pdu>(pdu: P): P =>
  pdu.command === 'unknown' ? pdu : { ...pdu, tlvs: pdu.tlvs.filter((one) => !WIRESHARK_ERRS(one)) };

describe.skipIf(tsharkVersion === null)(`Wireshark's SMPP dissector${absent}`, () => {
  test('reads every PDU of the dumps as what it is, and has nothing against one of them', async () => {
    const pdus = DUMPS.map(({ pdu }) => withoutErrors(pdu)) as Exclude<Pdu, { command: 'unknown' }>[];
    const { pdus: shown, complaints } = await dissect(pdus.map(encodePdu));
    expect(complaints).toEqual([]);
    expect(shown).toHaveLength(DUMPS.length);
    pdus.forEach((pdu, i) => {
      const fields = flat(shown[i] ?? {});
      for (const [name, value] of Object.entries(expectedOf(pdu))) {
        expect({ pdu: pdu.command, [name]: same(fields[name], value) }).toEqual({ pdu: pdu.command, [name]: value });
      }
      expect({ pdu: pdu.command, tlvs: tlvsShown(shown[i] ?? {}).map(({ tag, length }) => ({ tag, length })) }).toEqual(
        {
          pdu: pdu.command,
          tlvs: tlvsOf(pdu),
        },
      );
    });
  });

  test('reads 30 of any PDU, each with its command, its sequence_number and its TLVs', async () => {
    const pdus = COMMANDS.flatMap((command) =>
      fc.sample(pduWith(command, undefined, 0x7f), { numRuns: 30, seed: 20_261_125 }).map((pdu) => {
        // A user data header of random octets is none: then Wireshark's GSM dissector complains.
        const plain = 'esmClass' in pdu ? { ...pdu, esmClass: pdu.esmClass & ~UDH_INDICATOR } : pdu;
        return withoutErrors(plain as Pdu);
      }),
    );
    const { pdus: shown, complaints } = await dissect(pdus.map(encodePdu));
    // The standard is against short_message beside message_payload, and Wireshark says so.
    const doubled = /can only appear once/;
    expect(complaints.filter((complaint) => !doubled.test(complaint))).toEqual([]);
    pdus.forEach((pdu, i) => {
      if (pdu.command === 'unknown') throw new Error('not from the table');
      expect(Number(shown[i]?.['smpp.command_id'])).toBe(PDUS[pdu.command].id);
      expect(Number(shown[i]?.['smpp.sequence_number'])).toBe(pdu.sequence);
      expect(Number(shown[i]?.['smpp.command_length'])).toBe(encodePdu(pdu).length);
      const tlvs = tlvsShown(shown[i] ?? {}).map(({ tag, length }) => ({ tag, length }));
      expect({ i, tlvs }).toEqual({ i, tlvs: tlvsOf(pdu) });
    });
  });

  test('reads six of every TLV, numbers and texts as they were meant', async () => {
    const named = TLV_NAMES.flatMap((name) => fc.sample(namedTlv(name, 0x7f), { numRuns: 6, seed: 20_261_125 })).filter(
      (one) => !WIRESHARK_ERRS(one.tlv),
    );
    // A TLV behind it shows that its length was understood.
    const pdus = named.map((one) => pduOf('data_sm', { tlvs: [one.tlv, tlv('user_response_code', 7)] }));
    const { pdus: shown, complaints } = await dissect(pdus.map(encodePdu));
    expect(complaints).toEqual([]);
    let compared = 0;
    named.forEach(({ name, value }, i) => {
      const [first, second] = tlvsShown(shown[i] ?? {});
      expect(`${name}: ${Number(second?.fields['smpp.user_response_code'])}`).toBe(`${name}: 7`);
      const field = `smpp.${name === 'sc_interface_version' ? 'SC_interface_version' : name}`;
      const seen = first?.fields[field];
      if (seen === undefined || (typeof value !== 'number' && typeof value !== 'string')) return;
      if (name === 'broadcast_end_time' || name.endsWith('node_id')) return;
      // Control characters are shown as escapes.
      if (typeof value === 'string' && !/^[ -~]+$/.test(value)) return;
      expect({ name, seen: same(seen, value) }).toEqual({ name, seen: value });
      compared++;
    });
    expect(compared).toBeGreaterThan(150);
  });

  test('complains of a PDU that is cut short: it does look', async () => {
    const whole = encodePdu(pduOf('query_sm', { messageId: 'a1b2', sourceAddr: 'BANK' }));
    const cut = Buffer.from(whole.subarray(0, whole.length - 3));
    cut.writeUInt32BE(cut.length, 0);
    const { complaints } = await dissect([whole, cut]);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(/^1: .*Malformed/);
  });
});

describe.skipIf(!mayCapture)(`a session on the loopback interface${deaf}`, () => {
  test('of ours with the simulator is SMPP to Wireshark from bind to unbind', async () => {
    const MESSAGES = 20;
    const folder = await mkdtemp(join(tmpdir(), 'tocsin-capture-'));
    const simulator = await startSimulator({
      // Long enough for enquire_link to go by.
      accounts: [{ systemId: 'bank', password: 'secret', receipts: { delayMs: 150 } }],
    });
    const file = join(folder, 'session.pcap');
    const capture = await Capture.start(simulator.port, file, Command.unbindResp);
    try {
      const ids: string[] = [];
      const receipts: DeliverSm[] = [];
      let done = () => {};
      const all = new Promise<void>((resolve) => {
        done = () => {
          if (ids.length === MESSAGES && receipts.length === MESSAGES) resolve();
        };
      });
      const session = await Session.connect<number>({
        host: '127.0.0.1',
        port: simulator.port,
        mode: 'transceiver',
        systemId: 'bank',
        password: 'secret',
        limits: { window: MESSAGES, enquireLinkMs: 50 },
        handlers: {
          onAnswer: (_, answer) => {
            if (answer.kind === 'answered' && answer.messageId !== null) ids.push(answer.messageId);
            done();
          },
          onIncoming: (incoming) => {
            receipts.push({
              ...incoming.pdu,
              tlvs: incoming.pdu.tlvs.map((one) => ({ ...one, value: Buffer.from(one.value) })),
            });
            incoming.respond(0);
            done();
          },
          onClosed: () => {},
        },
      });
      for (let i = 0; i < MESSAGES; i++) {
        expect(session.submit(message(i), i, { emergency: true })).toBe(true);
      }
      await all;
      await session.unbind();
      await capture.end();

      expect(complaintsOf(file, simulator.port)).toEqual([]);
      const [commands, statuses, messageIds, destinations, receipted] = [0, 1, 2, 3, 4].map((column) =>
        fieldsOf(file, simulator.port, [
          'smpp.command_id',
          'smpp.command_status',
          'smpp.message_id',
          'smpp.destination_addr',
          'smpp.receipted_message_id',
        ]).flatMap((frame) => frame[column] ?? []),
      ) as [string[], string[], string[], string[], string[]];
      const count = (id: number) => commands.filter((each) => Number(each) === id).length;
      const { bind_transceiver, bind_transceiver_resp, submit_sm, submit_sm_resp } = PDUS;
      expect(
        [bind_transceiver, bind_transceiver_resp, PDUS.unbind, PDUS.unbind_resp].map(({ id }) => count(id)),
      ).toEqual([1, 1, 1, 1]);
      expect([submit_sm, submit_sm_resp, PDUS.deliver_sm, PDUS.deliver_sm_resp].map(({ id }) => count(id))).toEqual(
        Array.from({ length: 4 }, () => MESSAGES),
      );
      expect(count(PDUS.enquire_link_resp.id)).toBeGreaterThan(0);
      // One may be on its way when the session ends.
      expect(count(PDUS.enquire_link.id) - count(PDUS.enquire_link_resp.id)).toBeLessThanOrEqual(1);
      expect(count(PDUS.generic_nack.id)).toBe(0);
      expect(statuses.every((status) => Number(status) === 0)).toBe(true);
      expect(messageIds.sort()).toEqual([...ids].sort());
      expect(destinations.filter((to) => to.startsWith('4477009001'))).toHaveLength(MESSAGES);
      const told = receipts.map((receipt) => readTlv(receipt, 'receipted_message_id'));
      expect(receipted.sort()).toEqual(told.filter((id) => id !== undefined).sort());
    } finally {
      capture.stop();
      await simulator.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** Plain, UCS-2 with a user data header, and message_payload with TLVs, in turn. */
function message(i: number): SubmitSm {
  const tlvs: [TlvName, never][] = [
    ['user_message_reference', i as never],
    ['more_messages_to_send', 1 as never],
  ];
  const plain = pduOf('submit_sm', {
    sourceTon: 5,
    sourceAddr: 'BANK',
    destTon: 1,
    destNpi: 1,
    destAddr: `4477009001${String(i).padStart(2, '0')}`,
    registeredDelivery: 1,
    validityPeriod: '000000010000000R',
    shortMessage: Buffer.from(`message ${i}`),
    tlvs: tlvs.map(([name, value]) => tlv(name, value)),
  });
  switch (i % 3) {
    case 0:
      return plain;
    case 1: {
      const header = Buffer.from([5, 0, 3, i, 1, 1]);
      const text = Buffer.from('0041006c00650072007400200021', 'hex');
      return { ...plain, esmClass: UDH_INDICATOR, dataCoding: 8, shortMessage: Buffer.concat([header, text]) };
    }
    default:
      return {
        ...plain,
        shortMessage: Buffer.alloc(0),
        tlvs: [...plain.tlvs, tlv('message_payload', Buffer.alloc(1_000, 0x61))],
      };
  }
}
