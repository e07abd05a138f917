/**
 * The other side of `wire.ts`, as a program: takes each submit_sm, answers it, sends its receipt, counts. It has no
 * account, no fault and no delay (`src/simulator` has), so that the client and not the SMSC is what is measured.
 *
 * Argument: how many messages will come. Over IPC it says its port and, when its session has ended, its counts.
 */
import { type AddressInfo, createServer } from 'node:net';
import { type DeliverSm, type IncomingSubmit, ServerSession, Status } from '../src/smpp/index.ts';
import { destinationOf, numberOf } from './wire-message.ts';

export type SmscSays = { port: number } | { counts: SmscCounts };

/** After a run that is right: `distinct`, `receiptsAccepted` and `received` are all messages, the others 0. */
export interface SmscCounts {
  received: number;
  /** Of the destinations, of which each message has its own. */
  distinct: number;
  receiptsAccepted: number;
  /** Refused, unanswered, or answered a second time. */
  receiptsElse: number;
  malformed: number;
}

const WINDOW = 5_000;
const ESM_CLASS_RECEIPT = 0x04;
const RECEIPT_TEXT =
  'id:00000000 sub:001 dlvrd:001 submit date:2611241200 done date:2611241200 stat:DELIVRD err:000 text:';
const ID_AT = 'id:'.length;

const counts: SmscCounts = { received: 0, distinct: 0, receiptsAccepted: 0, receiptsElse: 0, malformed: 0 };
const seen = new Uint8Array(Number(process.argv[2]));
const receiptAnswered = new Uint8Array(seen.length);
/** Message numbers whose receipts the window has no room for. */
const waiting: number[] = [];
const receipt: DeliverSm = {
  serviceType: '',
  sourceTon: 1,
  sourceNpi: 1,
  sourceAddr: '',
  destTon: 5,
  destNpi: 0,
  destAddr: 'BANK',
  esmClass: ESM_CLASS_RECEIPT,
  protocolId: 0,
  priorityFlag: 0,
  scheduleDeliveryTime: '',
  validityPeriod: '',
  registeredDelivery: 0,
  replaceIfPresent: 0,
  dataCoding: 0,
  smDefaultMsgId: 0,
  shortMessage: Buffer.from(RECEIPT_TEXT, 'latin1'),
  tlvs: [],
};

const server = createServer((socket) => {
  const session = new ServerSession<number>(socket, {
    systemId: 'load',
    limits: { window: WINDOW },
    handlers: {
      onBind: () => Status.ok,
      onIncoming: (incoming) => take(session, incoming),
      onAnswer: (number, answer) => {
        const accepted = answer.kind === 'answered' && answer.status === Status.ok && receiptAnswered[number] === 0;
        receiptAnswered[number] = 1;
        if (accepted) counts.receiptsAccepted++;
        else counts.receiptsElse++;
      },
      onRoom: () => {
        while (waiting.length > 0 && session.free > 0) sendReceipt(session, waiting.shift() as number);
      },
      onClosed: () => {
        counts.malformed = session.counters.malformed;
        server.close();
        say({ counts });
      },
    },
  });
});
server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit(0));

function take(session: ServerSession<number>, incoming: IncomingSubmit): void {
  counts.received++;
  const number = numberOf(incoming.pdu.destAddr);
  if (seen[number] === 0) counts.distinct++;
  seen[number] = 1;
  incoming.respond(Status.ok, idOf(number));
  if (waiting.length > 0 || session.free === 0) waiting.push(number);
  else sendReceipt(session, number);
}

/** `receipt` is encoded before `deliver` returns, so one object serves all. */
function sendReceipt(session: ServerSession<number>, number: number): void {
  receipt.sourceAddr = destinationOf(number);
  receipt.shortMessage.write(idOf(number), ID_AT, 'latin1');
  session.deliver(receipt, number);
}

function idOf(number: number): string {
  return number.toString(16).padStart(8, '0');
}

function say(what: SmscSays): void {
  process.send?.(what);
}
