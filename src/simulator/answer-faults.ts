/**
 * What happens to an answer between the decision and the wire. The account decides what it says; here it is delayed,
 * doubled, broken or left out, as the faults say.
 */
import { Command, encodeHeader, HEADER_LENGTH, readUint32, Status, writeUint32 } from '../smpp/index.ts';
import type { AccountSession } from './arrivals.ts';
import type { Faults, FiredStats } from './faults.ts';
import { writePdu, writeTlv } from './fields.ts';
import { foreignBytes } from './foreign.ts';
import type { SeededRandom } from './random.ts';

const congestionStateTag = 0x0428;
/** Of the range that no ESME counts to in a test. */
const wrongSequenceStep = 0x1000_0000;
/** A command_id in the range that is reserved (SMPP 3.4 §5.1.2.1). */
const unknownCommand = 0x0000_7abc;
/** How far apart the answers of a group leave that is to be turned round. */
const reorderStepUs = 2_000;
const garbageBytes = 40;
const wrongLengths = { short: 8, huge: 0x7fff_ffff } as const;
const overBytes = 5;

/** The answers of one account, while any fault is on that concerns them. */
export class AnswerFaults {
  readonly #faults: Faults;
  readonly #fired: FiredStats;
  readonly #random: SeededRandom;
  /** Place within the group that leaves in reverse. */
  #place = 0;

  constructor(faults: Faults, fired: FiredStats, random: SeededRandom) {
    this.#faults = faults;
    this.#fired = fired;
    this.#random = random;
  }

  /** @returns false when it was not sent and never will be */
  write(session: AccountSession, plain: Buffer, nowUs: number): boolean {
    const faults = this.#faults;
    const fired = this.#fired;
    if (faults.silent !== 'none') {
      fired.silent += 1;
      return false;
    }
    if (faults.foreign !== 'none') {
      fired.foreign += 1;
      session.write(foreignBytes[faults.foreign]);
      session.hangUp();
      return false;
    }
    const answer = this.#changed(plain);
    if (this.#spend('cutMidAnswerNext', 'cutMidAnswer')) {
      session.write(answer.subarray(0, Math.ceil(answer.length / 2)));
      session.cut();
      return false;
    }
    if (this.#spend('unknownCommandNext', 'unknownCommand')) {
      session.write(encodeHeader(unknownCommand, Status.ok, 1));
    }
    if (this.#spend('garbageNext', 'garbage')) session.write(this.#random.octets(garbageBytes));
    this.#leave(session, answer, nowUs);
    if (this.#spend('duplicateNext', 'duplicate')) this.#leave(session, answer, nowUs);
    return true;
  }

  /** The answer with what this account's faults do to its octets. */
  #changed(plain: Buffer): Buffer {
    const faults = this.#faults;
    let answer = plain;
    if (this.#spend('nackNext', 'nack')) {
      answer = encodeHeader(Command.genericNack, Status.invalidCommandId, readUint32(plain, 12));
    } else if (this.#spend('oddAnswerNext', 'oddAnswer')) {
      answer = this.#odd(plain);
    }
    if (faults.congestion !== null) {
      this.#fired.congestion += 1;
      answer = withTlv(answer, congestionStateTag, Buffer.from([faults.congestion]));
    }
    if (this.#spend('wrongSequenceNext', 'wrongSequence')) {
      answer = Buffer.from(answer);
      writeUint32(answer, 12, (readUint32(answer, 12) + wrongSequenceStep) % 0x7fff_ffff);
    }
    if (this.#spend('wrongLengthNext', 'wrongLength')) {
      const { wrongLength } = faults;
      answer = Buffer.from(answer);
      writeUint32(answer, 0, wrongLength === 'over' ? answer.length + overBytes : wrongLengths[wrongLength]);
    }
    return answer;
  }

  #odd(plain: Buffer): Buffer {
    const { oddAnswer } = this.#faults;
    const [command, status, sequence] = [readUint32(plain, 4), readUint32(plain, 8), readUint32(plain, 12)];
    const messageId = plain.toString('latin1', HEADER_LENGTH, Math.max(HEADER_LENGTH, plain.indexOf(0, HEADER_LENGTH)));
    switch (oddAnswer) {
      case 'none':
        return plain;
      case 'no-body':
        return encodeHeader(command, status, sequence);
      case 'empty-message-id':
        return writePdu(command, status, sequence, ['']);
      case 'unterminated-message-id':
        return writePdu(command, status, sequence, [Buffer.from(messageId, 'latin1')]);
      case 'long-message-id':
        return writePdu(command, status, sequence, [messageId.padEnd(200, 'x')]);
      case 'bad-tlv-stream':
        return writePdu(command, status, sequence, [messageId, Buffer.from([0x04, 0x28, 0x00, 0x40, 0x01])]);
      case 'unknown-tlvs':
        return writePdu(command, status, sequence, [
          messageId,
          writeTlv(0x3fff, Buffer.from('vendor')),
          writeTlv(0x0001, Buffer.alloc(0)),
        ]);
      case 'message-id-in-error':
        return writePdu(command, status === Status.ok ? Status.systemError : status, sequence, [messageId || 'none']);
      default:
        return oddAnswer satisfies never;
    }
  }

  #leave(session: AccountSession, answer: Buffer, nowUs: number): void {
    const { slowMs, slowJitterMs, reorder } = this.#faults;
    let dueUs = nowUs + slowMs * 1_000;
    if (slowJitterMs > 0) dueUs += Math.floor(this.#random.next() * slowJitterMs * 1_000);
    if (slowMs > 0 || slowJitterMs > 0) this.#fired.slow += 1;
    if (reorder > 1) {
      dueUs += (reorder - 1 - this.#place) * reorderStepUs;
      this.#place = (this.#place + 1) % reorder;
      this.#fired.reorder += 1;
    }
    if (dueUs > nowUs || reorder > 1) session.writeLater(answer, dueUs);
    else session.write(answer);
  }

  /** Whether one of a fault's next n is due now. */
  #spend(name: CountedFault, counter: keyof FiredStats): boolean {
    if (this.#faults[name] === 0) return false;
    this.#faults[name] -= 1;
    this.#fired[counter] += 1;
    return true;
  }
}

type CountedFault = {
  [K in keyof Faults]: K extends `${string}Next` ? K : never;
}[keyof Faults];

/** The same PDU with one more TLV; one without a body gets an empty message_id first. */
function withTlv(pdu: Buffer, tag: number, value: Buffer): Buffer {
  const body = pdu.length === HEADER_LENGTH ? Buffer.alloc(1) : pdu.subarray(HEADER_LENGTH);
  return writePdu(readUint32(pdu, 4), readUint32(pdu, 8), readUint32(pdu, 12), [body, writeTlv(tag, value)]);
}
