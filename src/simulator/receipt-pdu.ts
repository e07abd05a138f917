/** A receipt as the deliver_sm or data_sm that carries it (SMPP 3.4 §4.6, §4.7, appendix B, §5.3.2.12, §5.3.2.35). */
import { type DeliverSm, encodeDeliverSm, Tag, type Tlv } from '../smpp/index.ts';
import {
  type DialectName,
  messageStates,
  networkErrorTlv,
  type ReceiptFacts,
  type WrittenReceipt,
  writeReceipt,
} from './dialects.ts';
import type { OddDeliver } from './faults.ts';
import { type BodyPart, writePdu, writeTlv } from './fields.ts';
import type { Account } from './options.ts';
import type { ReceiptContent } from './receipts.ts';

/** esm_class (SMPP 3.4 §5.2.12): an SMSC delivery receipt; an intermediate notification. */
const receiptClass = 0x04;
const intermediateClass = 0x20;
const dataSm = 0x0000_0103;
const nothing = Buffer.alloc(0);
const noTlvs: readonly Tlv[] = [];
const stateTlvs = new Map(
  Object.entries(messageStates).map(([stat, state]) => [stat, { tag: Tag.messageState, value: Buffer.from([state]) }]),
);

/** How this account writes its receipts. */
export interface ReceiptManner {
  form: Account['receipts']['form'];
  dialect: DialectName | null;
  onDataSm: boolean;
}

/** @param nowMs the `done date` of the text, epoch milliseconds */
export function encodeReceipt(
  sequence: number,
  { message, messageId, stat: fixed, intermediate }: ReceiptContent,
  { form, dialect, onDataSm }: ReceiptManner,
  nowMs: number,
): Buffer {
  const stat = fixed ?? message.stat;
  const error = stat === message.stat ? message.error : '000';
  const facts: ReceiptFacts = { id: messageId, stat, error, submittedAtMs: message.submittedAtMs, doneAtMs: nowMs };
  const written = dialect === null ? inForm(form, facts) : writeReceipt(dialect, facts);
  const pdu: DeliverSm = {
    serviceType: '',
    sourceTon: message.destTon,
    sourceNpi: message.destNpi,
    sourceAddr: message.destAddr,
    destTon: message.sourceTon,
    destNpi: message.sourceNpi,
    destAddr: message.sourceAddr,
    esmClass: written.esmClass ?? (intermediate ? intermediateClass : receiptClass),
    protocolId: 0,
    priorityFlag: 0,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 0,
    replaceIfPresent: 0,
    dataCoding: written.dataCoding ?? 0,
    smDefaultMsgId: 0,
    shortMessage: written.text,
    tlvs: written.tlvs,
  };
  return onDataSm ? encodeDataSm(sequence, pdu) : encodeDeliverSm(sequence, pdu);
}

/** data_sm has no short_message: the text goes into message_payload (SMPP 3.4 §4.7.1). */
export function encodeDataSm(sequence: number, pdu: DeliverSm): Buffer {
  const parts: BodyPart[] = [
    pdu.serviceType,
    pdu.sourceTon,
    pdu.sourceNpi,
    pdu.sourceAddr,
    pdu.destTon,
    pdu.destNpi,
    pdu.destAddr,
    pdu.esmClass,
    pdu.registeredDelivery,
    pdu.dataCoding,
    ...pdu.tlvs.map(({ tag, value }) => writeTlv(tag, value)),
  ];
  if (pdu.shortMessage.length > 0) parts.push(writeTlv(Tag.messagePayload, pdu.shortMessage));
  return writePdu(dataSm, 0, sequence, parts);
}

/** The PDU made malformed. */
export function spoilDeliver(odd: OddDeliver, pdu: Buffer, sequence: number): Buffer {
  const body = pdu.subarray(16);
  const command = pdu.readUInt32BE(4);
  switch (odd) {
    case 'bad-tlv-stream':
      return writePdu(command, 0, sequence, [body, Buffer.from([0x00, 0x1e, 0x01, 0x00, 0x41])]);
    case 'unterminated-string':
      return writePdu(command, 0, sequence, [Buffer.from('no end', 'latin1')]);
    case 'short-message-length':
      // Up to sm_length, and then less text than it says.
      return writePdu(command, 0, sequence, [
        ...['', 0, 0, '1', 0, 0, '2', 0, 0, 0, '', '', 0, 0, 0, 0],
        200,
        Buffer.from('short'),
      ]);
    case 'truncated':
      return writePdu(command, 0, sequence, [body.subarray(0, 5)]);
    default:
      return odd satisfies never;
  }
}

function inForm(form: ReceiptManner['form'], facts: ReceiptFacts): WrittenReceipt {
  const { id, stat, error } = facts;
  const delivered = stat === 'DELIVRD';
  return {
    text:
      form === 'tlv'
        ? nothing
        : Buffer.from(
            `id:${id} sub:001 dlvrd:00${delivered ? 1 : 0} submit date:${minute(facts.submittedAtMs)} ` +
              `done date:${minute(facts.doneAtMs)} stat:${stat} err:${error} text:`,
            'latin1',
          ),
    tlvs:
      form === 'text'
        ? noTlvs
        : [
            { tag: Tag.receiptedMessageId, value: Buffer.from(`${id}\0`, 'latin1') },
            stateTlvs.get(stat)!,
            // Where there is a text, the error stands in its `err:`.
            ...(form === 'tlv' && !delivered ? [networkErrorTlv(error)] : []),
          ],
  };
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
