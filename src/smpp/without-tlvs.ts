/**
 * A submit_sm or deliver_sm for a peer that does not know optional parameters: SMPP 3.3, which has none (SMPP 3.4 §2.11).
 */
import { HEADER_LENGTH } from './commands.ts';
import { Tag, writeUint32 } from './pdu.ts';

/** sar_msg_ref_num, sar_total_segments, sar_segment_seqnum (SMPP 3.4 §5.3.2.22–24). */
const SAR: ReadonlySet<number> = new Set([0x020c, 0x020e, 0x020f]);

/**
 * The PDU, well-formed as our encoder made it, without its TLVs: a copy, or the PDU itself where it has none. One whose
 * text lies in its TLVs, or is a part by their word, goes as it is: a refusal is better than a text without its words.
 */
export function withoutTlvs(pdu: Uint8Array): Uint8Array {
  let at = pdu.indexOf(0, HEADER_LENGTH) + 1; // service_type
  at = pdu.indexOf(0, at + 2) + 1; // source_addr
  at = pdu.indexOf(0, at + 2) + 1; // destination_addr
  at = pdu.indexOf(0, at + 3) + 1; // schedule_delivery_time
  at = pdu.indexOf(0, at) + 1; // validity_period
  at += 5 + (pdu[at + 4] as number); // short_message
  if (at >= pdu.length || carriesText(pdu, at)) return pdu;
  const bare = new Uint8Array(pdu.subarray(0, at));
  writeUint32(bare, 0, at);
  return bare;
}

function carriesText(pdu: Uint8Array, at: number): boolean {
  while (at + 4 <= pdu.length) {
    const tag = ((pdu[at] as number) << 8) | (pdu[at + 1] as number);
    if (tag === Tag.messagePayload || SAR.has(tag)) return true;
    at += 4 + (((pdu[at + 2] as number) << 8) | (pdu[at + 3] as number));
  }
  return false;
}
