/**
 * The other end, for the simulator's tests: a bare ESME that sends what it is told and keeps what comes, each PDU with
 * the order in which it came. It answers nothing by itself.
 */
import net from 'node:net';
import {
  Command,
  type DeliverSm,
  decodeDeliverSm,
  decodeSubmitSmResp,
  encodeDeliverSmResp,
  encodeHeader,
  encodeSubmitSm,
  Framer,
  parseReceipt,
  type SubmitSm,
  writeUint32,
} from '../smpp/index.ts';

export interface ReceivedPdu {
  command: number;
  status: number;
  sequence: number;
  bytes: Buffer;
  atMs: number;
}

export function submitSm(fields: Partial<SubmitSm> = {}): SubmitSm {
  return {
    serviceType: '',
    sourceTon: 5,
    sourceNpi: 0,
    sourceAddr: 'BANK',
    destTon: 1,
    destNpi: 1,
    destAddr: '447700900123',
    esmClass: 0,
    protocolId: 0,
    priorityFlag: 1,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 1,
    replaceIfPresent: 0,
    dataCoding: 0,
    smDefaultMsgId: 0,
    shortMessage: Buffer.from('Hello'),
    tlvs: [],
    ...fields,
  };
}

export class TestingEsme {
  readonly received: ReceivedPdu[] = [];
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: net.Socket;
  readonly #watchers = new Set<() => void>();
  #sequence = 0;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    const framer = new Framer((buffer, offset, length, command, status, sequence) => {
      const bytes = Buffer.from(buffer.subarray(offset, offset + length));
      this.received.push({ command, status, sequence, bytes, atMs: performance.now() });
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      framer.push(chunk);
      for (const watcher of [...this.#watchers]) watcher();
    });
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static async connect(port: number): Promise<TestingEsme> {
    const socket = net.connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new TestingEsme(socket);
  }

  /** Speaks over a connection that is there already. */
  static over(socket: net.Socket): TestingEsme {
    return new TestingEsme(socket);
  }

  /** Connects and binds. @returns the ESME and the command_status of the bind's answer */
  static async bind(
    port: number,
    systemId: string,
    password = '',
    command: number = Command.bindTransceiver,
  ): Promise<{ esme: TestingEsme; status: number }> {
    const esme = await TestingEsme.connect(port);
    const sequence = esme.sendBind(systemId, password, command);
    const [answer] = await esme.pdus(
      (pdu) => pdu.sequence === sequence && pdu.command === (command | 0x80000000) >>> 0,
    );
    return { esme, status: answer!.status };
  }

  sendBind(systemId: string, password = '', command: number = Command.bindTransceiver): number {
    const sequence = this.#takeSequence();
    this.#socket.write(TestingEsme.bindPdu(sequence, systemId, password, command));
    return sequence;
  }

  static bindPdu(
    sequence: number,
    systemId: string,
    password: string,
    command: number = Command.bindTransceiver,
  ): Buffer {
    const body = Buffer.from(`${systemId}\0${password}\0\0\x34\0\0\0`, 'latin1');
    const pdu = Buffer.concat([encodeHeader(command, 0, sequence), body]);
    writeUint32(pdu, 0, pdu.length);
    return pdu;
  }

  /** Sends one after the other in one write; returns their sequence_numbers. */
  submit(...pdus: SubmitSm[]): number[] {
    const sequences = pdus.map(() => this.#takeSequence());
    this.#socket.write(Buffer.concat(pdus.map((pdu, i) => encodeSubmitSm(sequences[i]!, pdu))));
    return sequences;
  }

  send(command: number, sequence = this.#takeSequence()): number {
    this.#socket.write(encodeHeader(command, 0, sequence));
    return sequence;
  }

  answerDeliver(sequence: number, status = 0): void {
    this.#socket.write(encodeDeliverSmResp(sequence, { status, tlvs: [] }));
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The PDUs that match, once there are at least `count` of them; rejects after 5 s or when the connection ends. */
  async pdus(matches: (pdu: ReceivedPdu) => boolean, count = 1): Promise<ReceivedPdu[]> {
    const found = () => this.received.filter(matches);
    if (found().length >= count) return found();
    return await new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
      };
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`${found().length} of ${count} PDUs came within 5 s`));
      }, 5_000);
      const watcher = () => {
        if (found().length < count) return;
        finish();
        resolve(found());
      };
      this.#watchers.add(watcher);
    });
  }

  /** The answers to these submit_sm, in their order. */
  async answers(sequences: number[]): Promise<{ status: number; messageId: string | null }[]> {
    const wanted = new Set(sequences);
    const pdus = await this.pdus(
      (pdu) => pdu.command === Command.submitSmResp && wanted.has(pdu.sequence),
      wanted.size,
    );
    return sequences.map((sequence) => {
      const { bytes } = pdus.find((pdu) => pdu.sequence === sequence)!;
      const { status, messageId } = decodeSubmitSmResp(bytes, 0, bytes.length);
      return { status, messageId };
    });
  }

  /** The first `count` deliver_sm, decoded. */
  async delivers(count = 1): Promise<(ReceivedPdu & { pdu: DeliverSm; messageId: string; state: number })[]> {
    const pdus = await this.pdus(({ command }) => command === Command.deliverSm, count);
    return pdus.map((received) => {
      const pdu = decodeDeliverSm(received.bytes, 0, received.bytes.length);
      const receipt = parseReceipt(pdu)!;
      return { ...received, pdu, messageId: receipt.messageId ?? '', state: receipt.state ?? -1 };
    });
  }

  /** The first `count` deliver_sm that are no receipts, decoded. */
  async messages(count = 1): Promise<DeliverSm[]> {
    const pdus = await this.pdus(({ command }) => command === Command.deliverSm, count);
    return pdus.map(({ bytes }) => decodeDeliverSm(bytes, 0, bytes.length));
  }

  close(): void {
    this.#socket.destroy();
  }

  #takeSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }
}
