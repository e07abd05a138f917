/** congestion_state (SMPP 5.0 §4.8.4.18): how full an SMSC says that it is, in any of its answers. */
import { findTlv, type Tlv } from './pdu.ts';

export const CONGESTION_STATE = 0x0428;

/** From here on the standard calls it "nearing congestion"; up to it "optimum load" and less. */
export const NEARING_CONGESTION = 90;
/** "Congested": the next thing it says is ESME_RTHROTTLED. */
export const CONGESTED = 100;

/** 0 (idle) to 100 (congested); null when the answer says nothing of it, or a number that is reserved. */
export function readCongestion(tlvs: readonly Tlv[]): number | null {
  if (tlvs.length === 0) return null;
  const value = findTlv(tlvs, CONGESTION_STATE);
  const state = value?.length === 1 ? value[0] : undefined;
  return state === undefined || state > CONGESTED ? null : state;
}
