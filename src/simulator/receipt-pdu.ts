/** A receipt as the deliver_sm that carries it (SMPP 3.4 §4.6, appendix B, §5.3.2.12, §5.3.2.35). */
import { encodeDeliverSm, MessageState, Tag, type Tlv } from '../smpp/index.ts';
import type { Account, ReceiptStat } from './options.ts';
import type { Receipt } from './receipts.ts';

/** message_state (SMPP 3.4 §5.2.28) of each stat of appendix B. */
const messageStates: Readonly<Record<ReceiptStat, number>> = {
  DELIVRD: MessageState.delivered,
  EXPIRED: MessageState.expired,
  DELETED: MessageState.deleted,
  UNDELIV: MessageState.undeliverable,
  UNKNOWN: MessageState.unknown,
  REJECTD: MessageState.rejected,
};

/** esm_class: this deliver_sm is an SMSC delivery receipt (SMPP 3.4 §5.2.12). */
const receiptClass = 0x04;
const nothing = Buffer.alloc(0);
const noTlvs: readonly Tlv[] = [];
const stateTlvs = new Map(
  Object.entries(messageStates).map(([stat, state]) => [stat, { tag: Tag.messageState, value: Buffer.from([state]) }]),
);

/** @param nowMs the `done date` of the text, epoch milliseconds */
export function encodeReceipt(
  sequence: number,
  receipt: Receipt,
  form: Account['receipts']['form'],
  nowMs: number,
): Buffer {
  const delivered = receipt.stat === 'DELIVRD';
  return encodeDeliverSm(sequence, {
    serviceType: '',
    sourceTon: receipt.destTon,
    sourceNpi: receipt.destNpi,
    sourceAddr: receipt.destAddr,
    destTon: receipt.sourceTon,
    destNpi: receipt.sourceNpi,
    destAddr: receipt.sourceAddr,
    esmClass: receiptClass,
    protocolId: 0,
    priorityFlag: 0,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 0,
    replaceIfPresent: 0,
    dataCoding: 0,
    smDefaultMsgId: 0,
    shortMessage:
      form === 'tlv'
        ? nothing
        : Buffer.from(
            `id:${receipt.messageId} sub:001 dlvrd:00${delivered ? 1 : 0} submit date:${minute(receipt.submittedAtMs)} ` +
              `done date:${minute(nowMs)} stat:${receipt.stat} err:${receipt.error} text:`,
            'latin1',
          ),
    tlvs:
      form === 'text'
        ? noTlvs
        : [
            { tag: Tag.receiptedMessageId, value: Buffer.from(`${receipt.messageId}\0`, 'latin1') },
            stateTlvs.get(receipt.stat)!,
            // Where there is a text, the error stands in its `err:`.
            ...(form === 'tlv' && !delivered ? [networkError(receipt.error)] : []),
          ],
  });
}

/** network_error_code (SMPP 3.4 §5.3.2.31): network type 3 = GSM, then the error. */
function networkError(error: string): Tlv {
  const value = Buffer.from([3, 0, 0]);
  value.writeUInt16BE(Number.parseInt(error, 10) || 0, 1);
  return { tag: Tag.networkErrorCode, value };
}

let lastMinute = -1;
let lastText = '';

/** `YYMMDDhhmm` in UTC. */
function minute(epochMs: number): string {
  const number = Math.floor(epochMs / 60_000);
  if (number !== lastMinute) {
    const iso = new Date(number * 60_000).toISOString();
    lastText = iso.slice(2, 4) + iso.slice(5, 7) + iso.slice(8, 10) + iso.slice(11, 13) + iso.slice(14, 16);
    lastMinute = number;
  }
  return lastText;
}
