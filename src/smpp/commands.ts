/** The command_ids that the session itself acts on (SMPP 3.4 §5.1.2.1). The whole table is `pdus/table.ts`. */
export const Command = {
  genericNack: 0x80000000,
  bindReceiver: 0x00000001,
  bindTransmitter: 0x00000002,
  submitSm: 0x00000004,
  submitSmResp: 0x80000004,
  deliverSm: 0x00000005,
  deliverSmResp: 0x80000005,
  unbind: 0x00000006,
  unbindResp: 0x80000006,
  bindTransceiver: 0x00000009,
  bindTransceiverResp: 0x80000009,
  enquireLink: 0x00000015,
  enquireLinkResp: 0x80000015,
  dataSm: 0x00000103,
  dataSmResp: 0x80000103,
} as const;

/** Bit 31 of command_id: set in every response, generic_nack included. */
export const RESPONSE_BIT = 0x80000000;

/** Octets of the PDU header: command_length, command_id, command_status, sequence_number. */
export const HEADER_LENGTH = 16;

/**
 * Longest PDU taken or written, in octets: the largest message_payload (65,535), 254 destinations of a submit_multi
 * (6,096) and all other fields and TLVs fit.
 */
export const PDU_LENGTH_MAX = 80 * 1_024;

/** Where the sequence_number stands in a PDU. */
export const SEQUENCE_OFFSET = 12;

/** sequence_number runs from 1 to this and wraps to 1 (SMPP 3.4 §5.1.4). */
export const LAST_SEQUENCE = 0x7fffffff;

export function nextSequence(sequence: number): number {
  return sequence >= LAST_SEQUENCE ? 1 : sequence + 1;
}
