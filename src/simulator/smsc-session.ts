/**
 * One connection to the SMSC: bytes in, PDUs out.
 *
 * | state    | meaning                              | leaves for                                                   |
 * |----------|--------------------------------------|--------------------------------------------------------------|
 * | `open`   | connected, not bound                 | `bound`; `closed` (bind refused, none in time, not SMPP)     |
 * | `bound`  | takes submit_sm, brings deliver_sm   | `closed` (unbind, cut, silence, not SMPP, the peer is gone)  |
 * | `closed` | the socket is destroyed or ending    | –                                                            |
 *
 * What one read brings is answered with one write. All PDUs of a read bear the time at which it was read.
 *
 * It stands on the codec and the framer of `../smpp` and not on its sessions: the other company's machine must not share
 * the mistakes of ours, and faults want a hand on every PDU.
 */
import type { Socket } from 'node:net';
import {
  Command,
  encodeDeliverSm,
  encodeHeader,
  FrameError,
  Framer,
  HEADER_LENGTH,
  nextSequence,
  RESPONSE_BIT,
  Status,
} from '../smpp/index.ts';
import type { SmscAccount } from './account.ts';
import type { AccountSession } from './arrivals.ts';
import { DueQueue } from './due-queue.ts';
import { writePdu, writeTlv } from './fields.ts';
import { foreignBytes } from './foreign.ts';
import { encodeReceipt, spoilDeliver } from './receipt-pdu.ts';
import type { Receipt } from './receipts.ts';
import type { SmscClock } from './time.ts';

export interface SessionHost {
  readonly clock: SmscClock;
  readonly bindTimeoutMs: number;
  readonly enquireLinkMs: number;
  /** Whether log or ledger can't keep up: sessions stop reading until `resume`. */
  readonly congested: boolean;
  account(systemId: string): SmscAccount | undefined;
  /** At the end of each read: time for log and timers to look. */
  settled(session: SmscSession): void;
  ended(session: SmscSession, reason: EndReason): void;
}

export type EndReason =
  | 'unbind'
  | 'refused'
  | 'cut'
  | 'closed'
  | 'foreign'
  | 'no-bind'
  | 'silent'
  | 'hung-up'
  | 'stopped';

/** deliver_sm wait while this much is unsent; submit_sm are not read while four times as much is. */
const backlogBytes = 1024 * 1024;
/** Answers that the fault `slowMs` holds up: beyond that, the session is not read. */
const laterMax = 100_000;
/** How long an ended connection may take to hand over its last bytes. */
const lingerMs = 500;
const smscSystemId = 'tocsin-smsc';
const interfaceVersionTag = 0x0210;
/** What sc_interface_version says (SMPP 3.4 §5.3.2.25); null = it is not there. */
const interfaceVersions = { '3.3': null, '3.3-named': 0x33, '3.4': 0x34, '5.0': 0x50 } as const;
const dataSmResp = 0x8000_0103;
const outbind = 0x0000_000b;

export class SmscSession implements AccountSession {
  readonly number: number;
  readonly unanswered = new Map<number, Receipt>();
  account: SmscAccount | null = null;
  /** Bound as transceiver or receiver. */
  receives = false;
  readonly #host: SessionHost;
  readonly #socket: Socket;
  readonly #framer: Framer;
  readonly #openedUs: number;
  #state: 'open' | 'bound' | 'closed' = 'open';
  #submits = false;
  #sequence = 0;
  #nowUs = 0;
  #nowMs = 0;
  #out: Buffer[] = [];
  #flushing = false;
  readonly #later = new DueQueue<{ dueUs: number; arrivedUs: number; pdu: Buffer }>();
  #heardUs: number;
  #enquiredUs = 0;

  constructor(number: number, socket: Socket, host: SessionHost) {
    this.number = number;
    this.#socket = socket;
    this.#host = host;
    this.#openedUs = host.clock.monotonicUs();
    this.#heardUs = this.#openedUs;
    this.#framer = new Framer((buffer, offset, length, command, status, sequence) =>
      this.#onPdu(buffer, offset, length, command, status, sequence),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    // 'close' follows; what went wrong with a peer's connection is the peer's affair.
    socket.on('error', () => {});
    socket.on('end', () => this.end('closed'));
    socket.on('close', () => this.end('closed'));
    if (host.congested) socket.pause();
  }

  get open(): boolean {
    return this.#state !== 'closed';
  }

  get deliverable(): boolean {
    return (
      this.#state === 'bound' &&
      this.receives &&
      this.account?.faults.silent !== 'all' &&
      this.#socket.writableLength < backlogBytes
    );
  }

  /** When `tick` has something to do next because of an answer held up, monotonic microseconds. */
  get nextUs(): number {
    return this.#later.peek()?.dueUs ?? Number.POSITIVE_INFINITY;
  }

  deliver(receipt: Receipt): number {
    const sequence = this.#takeSequence();
    const { account } = this;
    let pdu = this.#encode(sequence, receipt);
    if (account !== null && account.faults.oddDeliverNext > 0) {
      account.faults.oddDeliverNext -= 1;
      account.stats.fired.oddDeliver += 1;
      pdu = spoilDeliver(account.faults.oddDeliver, pdu, sequence);
    }
    if (account !== null && account.faults.cutMidDeliverNext > 0) {
      account.faults.cutMidDeliverNext -= 1;
      account.stats.fired.cutMidDeliver += 1;
      this.write(pdu.subarray(0, Math.ceil(pdu.length / 2)));
      // Not now: the store is about to note that it was sent here.
      setImmediate(() => this.cut());
      return sequence;
    }
    this.write(pdu);
    return sequence;
  }

  #encode(sequence: number, { content }: Receipt): Buffer {
    const { account } = this;
    if (!('message' in content)) return encodeDeliverSm(sequence, content);
    if (account === null) throw new Error('a receipt for a session that is not bound');
    const { faults, options, stats } = account;
    if (faults.receiptDialect !== null) stats.fired.receiptDialect += 1;
    if (faults.receiptsOnDataSm) stats.fired.receiptsOnDataSm += 1;
    const knowsNoTlvs = faults.peerVersion.startsWith('3.3');
    const manner = {
      form: knowsNoTlvs ? ('text' as const) : options.receipts.form,
      dialect: faults.receiptDialect,
      onDataSm: faults.receiptsOnDataSm,
    };
    return encodeReceipt(sequence, content, manner, this.#host.clock.epochMs());
  }

  /** Queues a PDU; all that is queued within one turn leaves in one write. */
  write(pdu: Buffer): void {
    if (this.#state === 'closed') return;
    this.#out.push(pdu);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.flush());
  }

  /** Writes the answer to what is being read at `dueUs`, after those that are due at the same time. */
  writeLater(pdu: Buffer, dueUs: number): void {
    this.#later.push({ arrivedUs: this.#nowUs, dueUs, pdu });
    if (this.#later.length >= laterMax) this.#socket.pause();
  }

  flush(): void {
    this.#flushing = false;
    const out = this.#out;
    if (out.length === 0 || !this.#socket.writable) return;
    this.#out = [];
    this.#socket.write(out.length === 1 ? out[0]! : Buffer.concat(out));
    if (this.#socket.writableLength > 4 * backlogBytes) this.#socket.pause();
  }

  /** Sends the answers whose time has come, ahead of whatever else this turn brings. */
  tick(nowUs: number): void {
    let count = 0;
    let arrivedUs = 0;
    for (let head = this.#later.peek(); head !== undefined && head.dueUs <= nowUs; head = this.#later.peek()) {
      this.#later.shift();
      if (this.account?.faults.silent === 'all') continue;
      count += 1;
      arrivedUs += head.arrivedUs;
      this.write(head.pdu);
    }
    if (count > 0) this.#written(count, arrivedUs);
    this.resume();
  }

  #written(count: number, arrivedUs: number): void {
    this.flush();
    const stats = this.account?.stats;
    if (stats === undefined) return;
    stats.heldAnswers += count;
    stats.heldAnswersUs += count * this.#host.clock.monotonicUs() - arrivedUs;
  }

  /** Once a second or so: binds that don't come, links that went quiet. */
  supervise(nowUs: number): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') {
      if (nowUs - this.#openedUs > this.#host.bindTimeoutMs * 1000) this.end('no-bind');
      return;
    }
    const { enquireLinkMs, congested } = this.#host;
    // While we don't read, silence is ours and not the peer's.
    if (congested) this.#heardUs = nowUs;
    const heardOrAskedUs = Math.max(this.#heardUs, this.#enquiredUs);
    if (nowUs - heardOrAskedUs <= enquireLinkMs * 1000 || this.account?.faults.silent === 'all') return;
    if (this.#enquiredUs > this.#heardUs) {
      this.end('silent');
    } else {
      this.#enquiredUs = nowUs;
      this.write(encodeHeader(Command.enquireLink, Status.ok, this.#takeSequence()));
    }
  }

  /** Reads on, when nothing stands against it. */
  resume(): void {
    if (!this.#socket.isPaused() || this.#state === 'closed') return;
    if (this.#host.congested || this.#later.length >= laterMax || this.#socket.writableLength > backlogBytes) return;
    this.#socket.resume();
  }

  pause(): void {
    this.#socket.pause();
  }

  /** Ends the connection as a failing network does, with a reset; what was answered before is written first. */
  cut(): void {
    this.flush();
    this.end('cut');
  }

  /** Ends the connection in order, after what is queued. */
  hangUp(): void {
    this.end('hung-up');
  }

  /** Asks the peer to go (SMPP 3.4 §4.2); it ends the connection with its answer. */
  unbind(): void {
    if (this.account !== null) this.account.stats.fired.unbind += 1;
    this.write(encodeHeader(Command.unbind, Status.ok, this.#takeSequence()));
  }

  /** Asks an ESME that was dialled to bind (SMPP 3.4 §4.1.7). */
  outbind(systemId: string, password: string): void {
    this.write(writePdu(outbind, Status.ok, this.#takeSequence(), [systemId, password]));
  }

  end(reason: EndReason): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#framer.stop();
    this.#later.clear();
    if (reason === 'cut') {
      this.#socket.resetAndDestroy();
    } else {
      this.flush();
      this.#socket.destroySoon();
    }
    // A peer that does not read must not keep the socket for ever.
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
    this.account?.detach(this, this.#host.clock.monotonicUs());
    this.#host.ended(this, reason);
  }

  #onData(chunk: Buffer): void {
    // First of all, the time: whatever comes after must not make these bytes look later than they were.
    this.#nowUs = this.#host.clock.monotonicUs();
    this.#nowMs = this.#host.clock.epochMs();
    this.#heardUs = this.#nowUs;
    this.#flushing = true;
    try {
      this.#framer.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.end('foreign');
    }
    this.flush();
    this.#host.settled(this);
  }

  #onDrain(): void {
    this.account?.receipts.pump(this.#host.clock.monotonicUs());
    this.resume();
  }

  #onPdu(buffer: Buffer, offset: number, length: number, command: number, status: number, sequence: number): void {
    const account = this.account;
    switch (command) {
      case Command.submitSm:
        if (account === null || !this.#submits) this.#answer(command, Status.invalidBindStatus, sequence);
        else account.submit(this, buffer, offset, length, sequence, this.#nowMs, this.#nowUs);
        return;
      case Command.deliverSmResp:
      case dataSmResp:
        account?.receipts.answered(this, sequence, status, this.#nowUs);
        return;
      case Command.enquireLink:
        if (account?.faults.enquireUnanswered) account.stats.fired.enquireUnanswered += 1;
        else this.#answer(command, Status.ok, sequence);
        return;
      case Command.enquireLinkResp:
        return;
      case Command.bindReceiver:
      case Command.bindTransmitter:
      case Command.bindTransceiver:
        this.#bind(buffer, offset, length, command, sequence);
        return;
      case Command.unbind:
        this.#answer(command, Status.ok, sequence);
        if (account?.faults.silent !== 'all') this.end('unbind');
        return;
      case Command.unbindResp:
        this.end('unbind');
        return;
      case Command.genericNack:
        // The peer could not read a deliver_sm: as good as refused for good.
        account?.receipts.answered(this, sequence, Status.receiverPermanent, this.#nowUs);
        return;
      default:
        if (command < RESPONSE_BIT) this.#onOperation(buffer, offset, length, command, sequence);
    }
  }

  #onOperation(buffer: Buffer, offset: number, length: number, command: number, sequence: number): void {
    const { account } = this;
    if (account !== null && this.#submits) {
      const arrival = { session: this, sequence, nowMs: this.#nowMs, nowUs: this.#nowUs };
      if (account.operations.take(arrival, buffer, offset, length, command)) return;
    }
    this.#answer(Command.genericNack, Status.invalidCommandId, sequence);
  }

  #answer(command: number, status: number, sequence: number): void {
    if (this.account?.faults.silent === 'all') {
      this.account.stats.fired.silent += 1;
      return;
    }
    this.write(encodeHeader((command | RESPONSE_BIT) >>> 0, status, sequence));
  }

  #bind(buffer: Buffer, offset: number, length: number, command: number, sequence: number): void {
    if (this.#state === 'bound') {
      this.#answer(command, Status.alreadyBound, sequence);
      return;
    }
    const strings = readStrings(buffer, offset + HEADER_LENGTH, offset + length, 2);
    if (strings === null) {
      this.#refuse(command, Status.invalidCommandLength, sequence);
      return;
    }
    const account = this.#host.account(strings[0]!);
    if (account === undefined) {
      this.#refuse(command, Status.invalidSystemId, sequence);
      return;
    }
    if (account.faults.silent === 'all') {
      // A frozen SMSC: its kernel takes the connection, and nobody speaks.
      account.stats.fired.silent += 1;
      return;
    }
    const { foreign, peerVersion } = account.faults;
    if (foreign !== 'none') {
      account.stats.fired.foreign += 1;
      this.write(foreignBytes[foreign]);
      this.end('hung-up');
      return;
    }
    if (command === Command.bindTransceiver && peerVersion.startsWith('3.3')) {
      account.stats.fired.peer33 += 1;
      this.#refuse(Command.genericNack, Status.invalidCommandId, sequence);
      return;
    }
    const status = account.bindStatus(strings[1]!);
    if (status !== Status.ok) {
      this.#refuse(command, status, sequence);
      return;
    }
    const version = interfaceVersions[peerVersion];
    this.write(
      writePdu((command | RESPONSE_BIT) >>> 0, Status.ok, sequence, [
        smscSystemId,
        ...(version === null ? [] : [writeTlv(interfaceVersionTag, Buffer.from([version]))]),
      ]),
    );
    this.#state = 'bound';
    this.account = account;
    this.#submits = command !== Command.bindReceiver;
    this.receives = command !== Command.bindTransmitter;
    account.attach(this, this.#nowUs);
  }

  #refuse(command: number, status: number, sequence: number): void {
    this.#answer(command, status, sequence);
    this.end('refused');
  }

  #takeSequence(): number {
    this.#sequence = nextSequence(this.#sequence);
    return this.#sequence;
  }
}

/** The first C-octet strings of a body; null when one of them does not end. */
function readStrings(buffer: Buffer, start: number, end: number, count: number): string[] | null {
  const strings: string[] = [];
  for (let at = start; strings.length < count; ) {
    const nul = buffer.indexOf(0, at);
    if (nul < 0 || nul >= end) return null;
    strings.push(buffer.toString('latin1', at, nul));
    at = nul + 1;
  }
  return strings;
}
