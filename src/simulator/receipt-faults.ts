/** Which receipts a message gets, and when, while any fault is on that concerns them. */
import { findTlv, readUserData, type SubmitSm } from '../smpp/index.ts';
import type { Faults, FiredStats } from './faults.ts';
import type { Receipt, ReceiptContent } from './receipts.ts';

const sarTotalSegments = 0x020e;
const sarSegmentSeqnum = 0x020f;
/** Follows the receipt that it contradicts, after a moment in which that one may be answered. */
const contradictsAfterUs = 20_000;

/** @param receipt the one that the message would have had, with `content` */
export function planReceipts(
  faults: Faults,
  fired: FiredStats,
  receipt: Receipt,
  content: ReceiptContent,
  pdu: SubmitSm,
  nowUs: number,
): Receipt[] {
  if (faults.receiptsNever) {
    fired.receiptsNever += 1;
    return [];
  }
  if (!hasReceipt(faults.receiptSegments, pdu)) {
    fired.receiptSegments += 1;
    return [];
  }
  if (faults.receiptsEarly) {
    fired.receiptsEarly += 1;
    receipt.dueUs = nowUs;
  }
  if (faults.receiptsLateMs > 0) {
    fired.receiptsLate += 1;
    receipt.dueUs += faults.receiptsLateMs * 1_000;
  }
  const like = (change: Partial<ReceiptContent>): Receipt => ({ ...receipt, content: { ...content, ...change } });
  const receipts: Receipt[] = [];
  if (faults.receiptsUnknown) {
    fired.receiptsUnknown += 1;
    // Of the same length, and ending as no id does.
    receipts.push(like({ messageId: `${content.messageId.slice(0, -1)}?` }));
  }
  if (faults.receiptsIntermediate) {
    fired.receiptsIntermediate += 1;
    receipts.push(like({ stat: 'ENROUTE', intermediate: true }));
  }
  receipts.push(receipt);
  if (faults.receiptsTwice) {
    fired.receiptsTwice += 1;
    receipts.push({ ...receipt });
  }
  if (faults.receiptsContradict) {
    fired.receiptsContradict += 1;
    const opposite = like({ stat: content.message.stat === 'DELIVRD' ? 'UNDELIV' : 'DELIVRD' });
    receipts.push({ ...opposite, dueUs: receipt.dueUs + contradictsAfterUs });
  }
  return receipts;
}

function hasReceipt(segments: Faults['receiptSegments'], pdu: SubmitSm): boolean {
  if (segments === 'all') return true;
  const { number, total } = placeOf(pdu);
  return number === (segments === 'first' ? 1 : total);
}

/** Which part of how many a message is, by its user data header or its SAR TLVs. */
function placeOf(pdu: SubmitSm): { number: number; total: number } {
  const { concatenation } = readUserData(pdu.esmClass, pdu.shortMessage);
  if (concatenation !== null) return concatenation;
  const total = findTlv(pdu.tlvs, sarTotalSegments)?.[0];
  const number = findTlv(pdu.tlvs, sarSegmentSeqnum)?.[0];
  return total === undefined || number === undefined ? { number: 1, total: 1 } : { number, total };
}
