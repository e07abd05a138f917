/**
 * Bytes against the standard: every PDU and every TLV, written and read, against octets written down by hand from SMPP
 * 3.4 §4 and §5.3 and 5.0 §4 and §4.8 (test/support/pdu-dumps.ts and the table below).
 */
import { describe, expect, it, test } from 'vitest';
import { bytesOf, DUMPS } from '../../../test/support/pdu-dumps.ts';
import { decodePdu, encodePdu } from './codec.ts';
import { PDUS } from './table.ts';
import { readTlv, TLVS, type TlvName, type TlvValue, tlv, tlvName } from './tlvs.ts';

describe('the dumps', () => {
  it('are of every PDU in the table', () => {
    expect(new Set(DUMPS.map(({ pdu }) => pdu.command))).toEqual(new Set(Object.keys(PDUS)));
    expect(Object.keys(PDUS)).toHaveLength(33);
  });

  it('have every field at its offset and a command_length that is theirs', () => {
    for (const { section, octets } of DUMPS) {
      let at = 0;
      for (const [offset, hex, meaning] of octets) {
        expect(`${section} ${meaning} at ${offset}`).toBe(`${section} ${meaning} at ${at}`);
        at += hex.replaceAll(' ', '').length / 2;
      }
      expect(`${section}: ${bytesOf(octets).readUInt32BE(0)}`).toBe(`${section}: ${at}`);
    }
  });

  test.each(DUMPS.map((dump) => [dump.pdu.command, dump.section, dump] as const))('%s, %s', (_, __, dump) => {
    const bytes = bytesOf(dump.octets);
    expect(encodePdu(dump.pdu).toString('hex')).toBe(bytes.toString('hex'));
    expect(decodePdu(bytes)).toEqual(dump.pdu);
  });
});

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
/** Keeps the value's type to its name. */
const t = <N extends TlvName>(name: N, value: TlvValue<N>, octets: string) => [name, value, octets] as const;

const TLV_DUMPS = [
  t('dest_addr_subunit', 3, '0005 0001 03'),
  t('dest_network_type', 1, '0006 0001 01'),
  t('dest_bearer_type', 4, '0007 0001 04'),
  t('dest_telematics_id', 0x2400, '0008 0002 2400'),
  t('source_addr_subunit', 1, '000d 0001 01'),
  t('source_network_type', 8, '000e 0001 08'),
  t('source_bearer_type', 8, '000f 0001 08'),
  t('source_telematics_id', 0x24, '0010 0001 24'),
  t('qos_time_to_live', 86_400, '0017 0004 00015180'),
  t('payload_type', 1, '0019 0001 01'),
  t('additional_status_info_text', 'full', '001d 0005 66756c6c 00'),
  t('receipted_message_id', 'a1b2', '001e 0005 61316232 00'),
  t('ms_msg_wait_facilities', 0x81, '0030 0001 81'),
  t('privacy_indicator', 3, '0201 0001 03'),
  t('source_subaddress', { type: 0x80, address: hex('0102') }, '0202 0003 80 0102'),
  t('dest_subaddress', { type: 0xa0, address: hex('05') }, '0203 0002 a0 05'),
  t('user_message_reference', 0xbeef, '0204 0002 beef'),
  t('user_response_code', 255, '0205 0001 ff'),
  t('source_port', 9_200, '020a 0002 23f0'),
  t('destination_port', 2_948, '020b 0002 0b84'),
  t('sar_msg_ref_num', 0x0102, '020c 0002 0102'),
  t('language_indicator', 5, '020d 0001 05'),
  t('sar_total_segments', 255, '020e 0001 ff'),
  t('sar_segment_seqnum', 1, '020f 0001 01'),
  t('sc_interface_version', 0x50, '0210 0001 50'),
  t('callback_num_pres_ind', 0x0b, '0302 0001 0b'),
  t('callback_num_atag', { dataCoding: 3, display: hex('4d65') }, '0303 0003 03 4d65'),
  t('number_of_messages', 99, '0304 0001 63'),
  t('callback_num', { digitMode: 1, ton: 1, npi: 1, digits: hex('3535') }, '0381 0005 01 01 01 3535'),
  t('dpf_result', 1, '0420 0001 01'),
  t('set_dpf', 0, '0421 0001 00'),
  t('ms_availability_status', 2, '0422 0001 02'),
  t('network_error_code', { type: 3, code: 0x0115 }, '0423 0003 03 0115'),
  t('message_payload', hex('cafe'), '0424 0002 cafe'),
  t('delivery_failure_reason', 3, '0425 0001 03'),
  t('more_messages_to_send', 1, '0426 0001 01'),
  t('message_state', 9, '0427 0001 09'),
  t('congestion_state', 100, '0428 0001 64'),
  t('ussd_service_op', 0x12, '0501 0001 12'),
  t('broadcast_channel_indicator', 1, '0600 0001 01'),
  t('broadcast_content_type', { network: 3, contentType: 0x0100 }, '0601 0003 03 0100'),
  t('broadcast_content_type_info', hex('01'), '0602 0001 01'),
  t('broadcast_message_class', 3, '0603 0001 03'),
  t('broadcast_rep_num', 0, '0604 0002 0000'),
  t('broadcast_frequency_interval', { unit: 0x0e, count: 1 }, '0605 0003 0e 0001'),
  t('broadcast_area_identifier', { format: 'alias', name: 'Z1' }, '0606 0003 00 5a31'),
  t('broadcast_error_status', 0x10d, '0607 0004 0000010d'),
  t('broadcast_area_success', 255, '0608 0001 ff'),
  t('broadcast_end_time', '261124120000048-', '0609 0011 323631313234313230303030 3034382d 00'),
  t('broadcast_service_group', hex('0102'), '060a 0002 0102'),
  t('billing_identification', { format: 0x81, data: hex('aa') }, '060b 0002 81 aa'),
  t('source_network_id', '123456', '060d 0007 313233343536 00'),
  t('dest_network_id', 'ABCDEF', '060e 0007 414243444546 00'),
  t('source_node_id', '000123', '060f 0006 303030313233'),
  t('dest_node_id', '999999', '0610 0006 393939393939'),
  t('dest_addr_np_resolution', 2, '0611 0001 02'),
  t('dest_addr_np_information', hex('00010203040506070809'), '0612 000a 00010203040506070809'),
  t('dest_addr_np_country', hex('3434000000'), '0613 0005 3434000000'),
  t('display_time', 2, '1201 0001 02'),
  t('sms_signal', 0x0102, '1203 0002 0102'),
  t('ms_validity', { behaviour: 3, period: null }, '1204 0001 03'),
  t('ms_validity', { behaviour: 4, period: { unit: 2, count: 300 } }, '1204 0004 04 02 012c'),
  t('alert_on_message_delivery', null, '130c 0000'),
  t('alert_on_message_delivery', 3, '130c 0001 03'),
  t('its_reply_type', 8, '1380 0001 08'),
  t('its_session_info', { session: 7, sequence: 65, end: true }, '1383 0002 07 83'),
];

describe('the TLVs', () => {
  it('are every tag of 3.4 §5.3.2 and 5.0 §4.8.4, each with a dump and PDUs that exist', () => {
    const names = Object.keys(TLVS) as TlvName[];
    expect(new Set(TLV_DUMPS.map(([name]) => name as string))).toEqual(new Set(names));
    expect(names.filter((name) => TLVS[name].since === '3.4')).toHaveLength(44);
    expect(names).toHaveLength(64);
    for (const name of names) {
      expect(tlvName(TLVS[name].tag)).toBe(name);
      for (const command of TLVS[name].on) expect(Object.keys(PDUS)).toContain(command);
    }
  });

  test.each(TLV_DUMPS)('%s', (name, value, octets) => {
    const bytes = hex(octets);
    const made = tlv(name as TlvName, value as never);
    const wire = Buffer.alloc(4 + made.value.length);
    wire.writeUInt16BE(made.tag, 0);
    wire.writeUInt16BE(made.value.length, 2);
    wire.set(made.value, 4);
    expect(wire.toString('hex')).toBe(bytes.toString('hex'));
    const tlvs = [{ tag: bytes.readUInt16BE(0), value: bytes.subarray(4) }];
    expect(readTlv({ tlvs }, name as TlvName)).toEqual(value);
  });
});
