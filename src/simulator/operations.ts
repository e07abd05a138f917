/**
 * The PDUs of an ESME that are no submit_sm: what each one asks, and the answer (SMPP 3.4 §4.5 to §4.10, 5.0 §4.3 to §4.5).
 *
 * | command                | what this SMSC does with it                                                               |
 * |------------------------|-------------------------------------------------------------------------------------------|
 * | `data_sm`              | takes it as a submit_sm                                                                   |
 * | `submit_multi`         | takes it once per destination, under one message_id; it knows no distribution lists       |
 * | `query_sm`             | says the state of one of the last messages                                                |
 * | `cancel_sm`            | stops messages that are not final; their receipts then say DELETED                        |
 * | `replace_sm`           | accepts a new text for a message that is not final                                        |
 * | `broadcast_sm`         | takes it where the TLVs that the standard demands are there; it is on the air until       |
 * |                        | cancelled                                                                                 |
 * | `query_broadcast_sm`   | says its state and areas                                                                  |
 * | `cancel_broadcast_sm`  | ends it                                                                                   |
 */
import { encodeHeader, findTlv, RESPONSE_BIT, Status, type SubmitSm, Tag, type Tlv } from '../smpp/index.ts';
import type { AccountSession, Arrival } from './arrivals.ts';
import { messageStates } from './dialects.ts';
import type { Faults, FiredStats } from './faults.ts';
import { BodyError, type BodyPart, BodyReader, writePdu, writeTlv } from './fields.ts';
import type { IdPair } from './message-ids.ts';
import { isFinal, type Message, type MessageSelector, type Messages } from './messages.ts';
import type { OperationStats } from './stats.ts';

const operationStatus = {
  invalidDistributionList: 0x34,
  cancelFailed: 0x11,
  replaceFailed: 0x13,
  invalidDestinations: 0x33,
  invalidMessageId: 0x0c,
  missingTlv: 0xc3,
  queryFailed: 0x67,
  broadcastQueryFailed: 0x111,
  broadcastCancelFailed: 0x112,
} as const;

const broadcastTag = {
  frequencyInterval: 0x0605,
  areaIdentifier: 0x0606,
  repetitions: 0x0604,
  contentType: 0x0601,
  areaSuccess: 0x0608,
} as const;
const demandedTlvs = [
  broadcastTag.areaIdentifier,
  broadcastTag.contentType,
  broadcastTag.repetitions,
  broadcastTag.frequencyInterval,
];
const destinationsMax = 254;
const broadcastsMax = 1_000;

/** What these commands need of their account. */
export interface OperationsHost {
  readonly faults: Faults;
  readonly stats: { readonly operations: OperationStats; readonly fired: FiredStats };
  readonly messages: Messages;
  nextId(): IdPair;
  data(arrival: Arrival, pdu: SubmitSm): void;
  submitOne(arrival: Arrival, pdu: SubmitSm, id: IdPair): number;
  answer(session: AccountSession, answer: Buffer, nowUs: number): boolean;
  refuseMalformed(session: AccountSession, command: number, status: number, sequence: number): void;
}

interface Operation {
  name: keyof OperationStats;
  run(operations: Operations, arrival: Arrival, body: BodyReader, command: number): void;
}

/** By command_id (SMPP 3.4 §5.1.2.1, 5.0 §4.7.5). */
const operations = new Map<number, Operation>([
  [0x03, { name: 'querySm', run: (self, arrival, body, command) => self.query(arrival, body, command) }],
  [0x07, { name: 'replaceSm', run: (self, arrival, body, command) => self.replace(arrival, body, command) }],
  [0x08, { name: 'cancelSm', run: (self, arrival, body, command) => self.cancel(arrival, body, command) }],
  [0x21, { name: 'submitMulti', run: (self, arrival, body, command) => self.submitMulti(arrival, body, command) }],
  [0x103, { name: 'dataSm', run: (self, arrival, body) => self.data(arrival, body) }],
  [0x111, { name: 'broadcastSm', run: (self, arrival, body, command) => self.broadcast(arrival, body, command) }],
  [
    0x112,
    { name: 'queryBroadcastSm', run: (self, arrival, body, command) => self.queryBroadcast(arrival, body, command) },
  ],
  [
    0x113,
    { name: 'cancelBroadcastSm', run: (self, arrival, body, command) => self.cancelBroadcast(arrival, body, command) },
  ],
]);
/** SMPP 3.3 has neither data_sm nor anything of 5.0. */
const lastOf33 = 0x21;

interface Broadcast {
  sourceAddr: string;
  areas: readonly Buffer[];
  cancelled: boolean;
}

export class Operations {
  readonly #account: OperationsHost;
  readonly #broadcasts = new Map<string, Broadcast>();

  constructor(account: OperationsHost) {
    this.#account = account;
  }

  /** @returns false when there is no such command */
  take(arrival: Arrival, buffer: Buffer, offset: number, length: number, command: number): boolean {
    const { faults, stats } = this.#account;
    const operation = operations.get(command);
    if (operation === undefined) return false;
    if (faults.peerVersion.startsWith('3.3') && command > lastOf33) {
      stats.fired.peer33 += 1;
      return false;
    }
    stats.operations[operation.name] += 1;
    try {
      operation.run(this, arrival, new BodyReader(buffer, offset, length), command);
    } catch (error) {
      if (!(error instanceof BodyError)) throw error;
      this.#account.refuseMalformed(arrival.session, responseOf(command), error.status, arrival.sequence);
    }
    return true;
  }

  data(arrival: Arrival, body: BodyReader): void {
    const pdu: SubmitSm = {
      ...noText,
      serviceType: body.string(),
      ...sourceOf(body),
      ...destinationOf(body),
      esmClass: body.octet(),
      registeredDelivery: body.octet(),
      dataCoding: body.octet(),
      tlvs: body.tlvs(),
    };
    this.#account.data(arrival, pdu);
  }

  submitMulti(arrival: Arrival, body: BodyReader, command: number): void {
    const serviceType = body.string();
    const source = sourceOf(body);
    const count = body.octet();
    const destinations: ReturnType<typeof destinationOf>[] = [];
    const failed: BodyPart[][] = [];
    for (let i = 0; i < count; i += 1) {
      if (body.octet() === 1) {
        destinations.push(destinationOf(body));
      } else {
        body.string();
        failed.push([0, 0, '', statusOctets(operationStatus.invalidDistributionList)]);
      }
    }
    if (count === 0 || count > destinationsMax) {
      this.#answer(arrival, command, operationStatus.invalidDestinations);
      return;
    }
    const rest = {
      ...noText,
      serviceType,
      ...source,
      esmClass: body.octet(),
      protocolId: body.octet(),
      priorityFlag: body.octet(),
      scheduleDeliveryTime: body.string(),
      validityPeriod: body.string(),
      registeredDelivery: body.octet(),
      replaceIfPresent: body.octet(),
      dataCoding: body.octet(),
      smDefaultMsgId: body.octet(),
      shortMessage: body.octets(body.octet()),
      tlvs: body.tlvs(),
    };
    const id = this.#account.nextId();
    for (const destination of destinations) {
      const status = this.#account.submitOne(arrival, { ...rest, ...destination }, id);
      if (status === Status.ok) continue;
      failed.push([destination.destTon, destination.destNpi, destination.destAddr, statusOctets(status)]);
    }
    this.#answer(arrival, command, Status.ok, [id.answer, failed.length, ...failed.flat()]);
  }

  query(arrival: Arrival, body: BodyReader, command: number): void {
    const id = body.string();
    const { sourceAddr } = sourceOf(body);
    const message = this.#account.messages.find(id);
    if (message === undefined || message.sourceAddr !== sourceAddr) {
      this.#answer(arrival, command, operationStatus.queryFailed);
      return;
    }
    const final = isFinal(message, arrival.nowUs);
    const state = messageStates[final ? message.stat : 'ENROUTE'];
    this.#answer(arrival, command, Status.ok, [
      id,
      final ? absoluteTime(message.finalMs) : '',
      state,
      final ? Math.min(255, Number.parseInt(message.error, 10) || 0) : 0,
    ]);
  }

  cancel(arrival: Arrival, body: BodyReader, command: number): void {
    const serviceType = body.string();
    const id = body.string();
    const { sourceAddr } = sourceOf(body);
    const { destAddr } = destinationOf(body);
    const selector = { id, sourceAddr, destAddr, serviceType: serviceType === '' ? null : serviceType };
    const pending = this.#pending(selector, arrival);
    for (const message of pending) {
      message.stat = 'DELETED';
      message.finalMs = arrival.nowMs;
      this.#account.stats.operations.cancelled += 1;
    }
    this.#answer(arrival, command, pending.length > 0 ? Status.ok : operationStatus.cancelFailed);
  }

  replace(arrival: Arrival, body: BodyReader, command: number): void {
    const id = body.string();
    const { sourceAddr } = sourceOf(body);
    // Times, registered_delivery, sm_default_msg_id, text: read for their form.
    body.string();
    body.string();
    body.octet();
    body.octet();
    body.octets(body.octet());
    const pending = id === '' ? [] : this.#pending({ id, sourceAddr, destAddr: null, serviceType: null }, arrival);
    this.#account.stats.operations.replaced += pending.length;
    this.#answer(arrival, command, pending.length > 0 ? Status.ok : operationStatus.replaceFailed);
  }

  broadcast(arrival: Arrival, body: BodyReader, command: number): void {
    body.string();
    const { sourceAddr } = sourceOf(body);
    const replaces = body.string();
    body.octet();
    body.string();
    body.string();
    const replaceIfPresent = body.octet();
    body.octet();
    body.octet();
    const tlvs = body.tlvs();
    if (demandedTlvs.some((tag) => findTlv(tlvs, tag) === undefined)) {
      this.#answer(arrival, command, operationStatus.missingTlv);
      return;
    }
    if (replaces !== '' && (replaceIfPresent === 0 || !this.#broadcasts.has(replaces))) {
      this.#answer(arrival, command, operationStatus.invalidMessageId);
      return;
    }
    const id = replaces === '' ? this.#account.nextId().answer : replaces;
    this.#broadcasts.set(id, { sourceAddr, areas: valuesOf(tlvs, broadcastTag.areaIdentifier), cancelled: false });
    for (const oldest of this.#broadcasts.keys()) {
      if (this.#broadcasts.size <= broadcastsMax) break;
      this.#broadcasts.delete(oldest);
    }
    this.#answer(arrival, command, Status.ok, [id]);
  }

  queryBroadcast(arrival: Arrival, body: BodyReader, command: number): void {
    const id = body.string();
    const broadcast = this.#broadcasts.get(id);
    if (broadcast === undefined || broadcast.sourceAddr !== sourceOf(body).sourceAddr) {
      this.#answer(arrival, command, operationStatus.broadcastQueryFailed);
      return;
    }
    const state = messageStates[broadcast.cancelled ? 'DELETED' : 'ENROUTE'];
    this.#answer(arrival, command, Status.ok, [
      id,
      writeTlv(Tag.messageState, Buffer.from([state])),
      // One success, in per cent, for each area (SMPP 5.0 §4.8.4.9).
      ...broadcast.areas.flatMap((area) => [
        writeTlv(broadcastTag.areaIdentifier, area),
        writeTlv(broadcastTag.areaSuccess, Buffer.from([100])),
      ]),
    ]);
  }

  cancelBroadcast(arrival: Arrival, body: BodyReader, command: number): void {
    body.string();
    const id = body.string();
    const { sourceAddr } = sourceOf(body);
    const chosen = [...this.#broadcasts].filter(
      ([each, broadcast]) => (id === '' || each === id) && broadcast.sourceAddr === sourceAddr && !broadcast.cancelled,
    );
    for (const [, broadcast] of chosen) {
      broadcast.cancelled = true;
      this.#account.stats.operations.cancelled += 1;
    }
    this.#answer(arrival, command, chosen.length > 0 ? Status.ok : operationStatus.broadcastCancelFailed);
  }

  #pending(selector: MessageSelector, { nowUs }: Arrival): Message[] {
    return this.#account.messages.select(selector).filter((message) => !isFinal(message, nowUs));
  }

  #answer({ session, sequence, nowUs }: Arrival, command: number, status: number, body: BodyPart[] = []): void {
    const answer =
      status === Status.ok
        ? writePdu(responseOf(command), status, sequence, body)
        : encodeHeader(responseOf(command), status, sequence);
    this.#account.answer(session, answer, nowUs);
  }
}

const noText = {
  protocolId: 0,
  priorityFlag: 0,
  scheduleDeliveryTime: '',
  validityPeriod: '',
  replaceIfPresent: 0,
  smDefaultMsgId: 0,
  shortMessage: Buffer.alloc(0),
};

function responseOf(command: number): number {
  return (command | RESPONSE_BIT) >>> 0;
}

function sourceOf(body: BodyReader) {
  return { sourceTon: body.octet(), sourceNpi: body.octet(), sourceAddr: body.string() };
}

function destinationOf(body: BodyReader) {
  return { destTon: body.octet(), destNpi: body.octet(), destAddr: body.string() };
}

function statusOctets(status: number): Buffer {
  const octets = Buffer.allocUnsafe(4);
  octets.writeUInt32BE(status);
  return octets;
}

function valuesOf(tlvs: readonly Tlv[], tag: number): Buffer[] {
  // Copies: TLVs are views of the bytes that were read.
  return tlvs.filter((tlv) => tlv.tag === tag).map(({ value }) => Buffer.from(value));
}

/** `YYMMDDhhmmsst00+` in UTC (SMPP 3.4 §7.1.1.1). */
function absoluteTime(epochMs: number): string {
  const digits = new Date(epochMs).toISOString().replace(/\D/g, '');
  return `${digits.slice(2, 15)}00+`;
}
