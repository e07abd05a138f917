/**
 * An SMSC of SMPP 3.4 on a plain TCP listener, its bytes made and read by hand. It shares no code with the system that
 * talks to it, nor with the package `smpp`: a mistake made on both sides would cancel out, and no test would see it.
 *
 * It takes any bind, keeps each submit_sm as it came, and answers it as the test says. A transceiver session only.
 */
import { createServer, type Socket } from 'node:net';

/**
 * What becomes of a submit_sm: the command_status that answers it, no answer until `release`, the end of the session, or
 * `mute`: it is taken and reported as delivered, but its answer is lost.
 */
export type Verdict = number | 'hold' | 'hang-up' | 'mute';

export interface Arrived {
  /** The PDU as it came, header included. */
  frame: Buffer;
  /** When it came, epoch milliseconds. */
  at: number;
}

export interface PlainSmscOptions {
  /** Default: any free one. */
  port?: number;
  /** Default: 0, for each. */
  verdict?: (frame: Buffer) => Verdict;
  /** Whether what was accepted is reported as delivered, with the beginning of the text, as SMSCs do. */
  receipts?: boolean;
  /** The `err:` of a receipt that says UNDELIV; null, the default: it says DELIVRD. */
  undelivered?: (submit: SubmitFields) => string | null;
  /** How often each receipt is sent; default 1. */
  repeats?: number;
  /** What stands behind the message_id in the answer to what was accepted: optional parameters, as octets. */
  answerTlvs?: () => Buffer;
  /** What stands behind the text of a receipt. */
  receiptTlvs?: (submit: SubmitFields) => Buffer;
}

export interface PlainSmsc {
  readonly port: number;
  /** The bind PDUs, in the order in which they came. */
  readonly binds: readonly Buffer[];
  /** Connections that stand. */
  readonly sessions: number;
  /** Every submit_sm, in the order in which they came. */
  readonly arrived: readonly Arrived[];
  verdict: (frame: Buffer) => Verdict;
  /** The message_id of the n-th message that it takes. */
  idOf: (n: number) => string;
  /** The first `count` submit_sm to this number, as soon as they are here. @throws Error when they are not within 10 s. */
  submitsTo(msisdn: string, count: number): Promise<Arrived[]>;
  /** Accepts what was held. */
  release(): void;
  close(): Promise<void>;
}

const PATIENCE_MS = 10_000;
const [BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK] = [0x09, 0x04, 0x05, 0x06, 0x15];
const RESPONSE = 0x80000000;
const ESME_RINVCMDID = 0x03;
const GENERIC_NACK = 0x80000000;

export async function startPlainSmsc(options: PlainSmscOptions = {}): Promise<PlainSmsc> {
  const sockets = new Set<Socket>();
  const binds: Buffer[] = [];
  const arrived: Arrived[] = [];
  const held: (() => void)[] = [];
  const watchers = new Set<() => void>();
  let messages = 0;

  const onSubmit = (socket: Socket, frame: Buffer): void => {
    arrived.push({ frame, at: Date.now() });
    const accept = (): void => {
      const id = smsc.idOf(++messages);
      const tlvs = options.answerTlvs?.() ?? Buffer.alloc(0);
      socket.write(pdu(RESPONSE + SUBMIT_SM, 0, sequenceOf(frame), Buffer.concat([cString(id), tlvs])));
      if (options.receipts === true) for (let n = 0; n < (options.repeats ?? 1); n++) report(id);
    };
    const report = (id: string): void => {
      const submit = readSubmitSm(frame);
      const tlvs = options.receiptTlvs?.(submit) ?? Buffer.alloc(0);
      socket.write(
        pdu(DELIVER_SM, 0, messages, Buffer.concat([receipt(id, submit, options.undelivered?.(submit) ?? null), tlvs])),
      );
    };
    const verdict = smsc.verdict(frame);
    if (verdict === 'hang-up') socket.destroy();
    else if (verdict === 'hold') held.push(accept);
    else if (verdict === 'mute') report(smsc.idOf(++messages));
    else if (verdict === 0) accept();
    else socket.write(pdu(RESPONSE + SUBMIT_SM, verdict, sequenceOf(frame)));
    for (const watcher of watchers) watcher();
  };
  const onFrame = (socket: Socket, frame: Buffer): void => {
    const command = frame.readUInt32BE(4);
    if (command === SUBMIT_SM) {
      onSubmit(socket, frame);
    } else if (command === BIND_TRANSCEIVER) {
      binds.push(frame);
      socket.write(pdu(RESPONSE + BIND_TRANSCEIVER, 0, sequenceOf(frame), cString('plain')));
    } else if (command === ENQUIRE_LINK || command === UNBIND) {
      socket.write(pdu(RESPONSE + command, 0, sequenceOf(frame)));
      if (command === UNBIND) socket.end();
    } else if (command < RESPONSE) {
      socket.write(pdu(GENERIC_NACK, ESME_RINVCMDID, sequenceOf(frame)));
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 16 && rest.length >= rest.readUInt32BE(0)) {
        const length = rest.readUInt32BE(0);
        const frame = rest.subarray(0, length);
        rest = rest.subarray(length);
        onFrame(socket, frame);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('the SMSC has no port');

  const smsc: PlainSmsc = {
    port: address.port,
    binds,
    get sessions() {
      return sockets.size;
    },
    arrived,
    verdict: options.verdict ?? (() => 0),
    idOf: (n) => `m${n}`,
    submitsTo: (msisdn, count) =>
      new Promise((resolve, reject) => {
        const digits = msisdn.replace('+', '');
        const look = (): void => {
          const found = arrived.filter(({ frame }) => readSubmitSm(frame).destinationAddr === digits);
          if (found.length < count) return;
          done();
          resolve(found.slice(0, count));
        };
        const timer = setTimeout(() => {
          done();
          reject(new Error(`fewer than ${count} submit_sm to ${msisdn} came within ${PATIENCE_MS} ms`));
        }, PATIENCE_MS);
        const done = (): void => {
          clearTimeout(timer);
          watchers.delete(look);
        };
        watchers.add(look);
        look();
      }),
    release: () => {
      smsc.verdict = () => 0;
      for (const accept of held.splice(0)) accept();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return smsc;
}

/** The fields of a submit_sm in the order of SMPP 3.4 §4.4.1, each read where the one before it ends. */
export interface SubmitFields {
  commandLength: number;
  commandId: number;
  commandStatus: number;
  sequenceNumber: number;
  serviceType: string;
  sourceAddrTon: number;
  sourceAddrNpi: number;
  sourceAddr: string;
  destAddrTon: number;
  destAddrNpi: number;
  destinationAddr: string;
  esmClass: number;
  protocolId: number;
  priorityFlag: number;
  scheduleDeliveryTime: string;
  validityPeriod: string;
  registeredDelivery: number;
  replaceIfPresentFlag: number;
  dataCoding: number;
  smDefaultMsgId: number;
  smLength: number;
  shortMessage: Buffer;
  /** Value by tag. */
  tlvs: Map<number, Buffer>;
}

/** @throws RangeError when the PDU ends before its fields do. */
export function readSubmitSm(frame: Buffer): SubmitFields {
  let at = 16;
  const octet = (): number => frame.readUInt8(at++);
  const string = (): string => {
    const end = frame.indexOf(0, at);
    if (end < 0) throw new RangeError('a C-octet string without its end');
    const text = frame.toString('latin1', at, end);
    at = end + 1;
    return text;
  };
  const octets = (length: number): Buffer => {
    if (at + length > frame.length) throw new RangeError('fewer octets than were announced');
    at += length;
    return frame.subarray(at - length, at);
  };
  const fields = {
    commandLength: frame.readUInt32BE(0),
    commandId: frame.readUInt32BE(4),
    commandStatus: frame.readUInt32BE(8),
    sequenceNumber: frame.readUInt32BE(12),
    serviceType: string(),
    sourceAddrTon: octet(),
    sourceAddrNpi: octet(),
    sourceAddr: string(),
    destAddrTon: octet(),
    destAddrNpi: octet(),
    destinationAddr: string(),
    esmClass: octet(),
    protocolId: octet(),
    priorityFlag: octet(),
    scheduleDeliveryTime: string(),
    validityPeriod: string(),
    registeredDelivery: octet(),
    replaceIfPresentFlag: octet(),
    dataCoding: octet(),
    smDefaultMsgId: octet(),
  };
  const smLength = octet();
  const shortMessage = octets(smLength);
  const tlvs = new Map<number, Buffer>();
  while (at < frame.length) {
    const tag = frame.readUInt16BE(at);
    const length = frame.readUInt16BE(at + 2);
    at += 4;
    tlvs.set(tag, octets(length));
  }
  return { ...fields, smLength, shortMessage, tlvs };
}

const sequenceOf = (frame: Buffer): number => frame.readUInt32BE(12);
const cString = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');

function pdu(command: number, status: number, sequence: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(16 + body.length, 0);
  header.writeUInt32BE(command, 4);
  header.writeUInt32BE(status, 8);
  header.writeUInt32BE(sequence, 12);
  return Buffer.concat([header, body]);
}

/** The body of a deliver_sm that says how it ended in the words of SMPP 3.4 appendix B, with the first 20 octets of the text. */
function receipt(id: string, submit: SubmitFields, error: string | null): Buffer {
  const end = error === null ? 'dlvrd:001' : 'dlvrd:000';
  const stat = error === null ? 'DELIVRD err:000' : `UNDELIV err:${error}`;
  const words = `id:${id} sub:001 ${end} submit date:2601010000 done date:2601010000 stat:${stat} text:`;
  const text = Buffer.concat([Buffer.from(words, 'latin1'), submit.shortMessage.subarray(0, 20)]);
  return Buffer.concat([
    Buffer.from([0x00, 0x01, 0x01]),
    cString(submit.destinationAddr),
    Buffer.from([submit.sourceAddrTon, submit.sourceAddrNpi]),
    cString(submit.sourceAddr),
    // esm_class 0x04: a receipt. No protocol, priority, schedule, validity, registered delivery, replacement, coding, text id.
    Buffer.from([0x04, 0, 0, 0, 0, 0, 0, 0, 0, text.length]),
    text,
  ]);
}
