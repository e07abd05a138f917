/**
 * data_sm (SMPP 3.4 §4.7.1) in the shape of the message that it carries: some SMSCs bring receipts by it. What a data_sm
 * has no field for stands at its default; its text is the TLV message_payload, as in a submit_sm that uses it.
 */
import { HEADER_LENGTH } from './commands.ts';
import { PduError } from './errors.ts';
import type { DeliverSm, Tlv } from './pdu.ts';
import { Status } from './status.ts';

/** @throws PduError with the command_status to answer. */
export function decodeDataSm(buffer: Buffer, offset: number, length: number): DeliverSm {
  const end = offset + length;
  let at = offset + HEADER_LENGTH;
  const octet = (field: string): number => {
    if (at >= end) throw new PduError('truncated', field, Status.invalidCommandLength);
    return buffer[at++] as number;
  };
  const string = (field: string): string => {
    const nul = buffer.indexOf(0, at);
    if (nul < 0 || nul >= end) throw new PduError('unterminated-string', field, Status.invalidCommandLength);
    const value = buffer.toString('latin1', at, nul);
    at = nul + 1;
    return value;
  };
  const message = {
    serviceType: string('service_type'),
    sourceTon: octet('source_addr_ton'),
    sourceNpi: octet('source_addr_npi'),
    sourceAddr: string('source_addr'),
    destTon: octet('dest_addr_ton'),
    destNpi: octet('dest_addr_npi'),
    destAddr: string('destination_addr'),
    esmClass: octet('esm_class'),
    protocolId: 0,
    priorityFlag: 0,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: octet('registered_delivery'),
    replaceIfPresent: 0,
    dataCoding: octet('data_coding'),
    smDefaultMsgId: 0,
  };
  const tlvs: Tlv[] = [];
  while (at < end) {
    const start = at + 4;
    const size = start <= end ? buffer.readUInt16BE(at + 2) : 0;
    if (start + size > end) throw new PduError('tlv-stream', 'tlv', Status.invalidTlvStream);
    tlvs.push({ tag: buffer.readUInt16BE(at), value: buffer.subarray(start, start + size) });
    at = start + size;
  }
  return { ...message, shortMessage: Buffer.alloc(0), tlvs };
}
