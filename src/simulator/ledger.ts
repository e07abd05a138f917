/**
 * The ledger: what load tests need of every submit_sm, in records of 32 octets, written at a fraction of the log's cost.
 * Little-endian:
 *
 * | at | type | a submit_sm                                    | the start of a run              |
 * |----|------|------------------------------------------------|---------------------------------|
 * | 0  | f64  | monotonic microseconds of its arrival          | the same, at the start          |
 * | 8  | f64  | delivery id of its correlation TLV; 0 = none   | −1                              |
 * | 16 | u32  | command_status; 0xFFFFFFFF = left unanswered   | 16: f64 epoch milliseconds then |
 * | 20 | u16  | index of the account                           |                                 |
 * | 22 | u8   | attempt, bit 7 = marked possible duplicate     |                                 |
 * | 23 | u8   | segment, counted from 1; 0 = no correlation    |                                 |
 * | 24 | u8   | priority_flag                                  | 24: u32 0x31474C54 (`TLG1`)     |
 * | 25 | u8   | esm_class                                      |                                 |
 * | 26 | u16  | session (modulo 65,536)                        |                                 |
 * | 28 | u32  | number inside its message_id; 0 = not accepted |                                 |
 */
import { createReadStream } from 'node:fs';
import { BatchFile } from './batch-file.ts';

const recordBytes = 32;
const blockRecords = 1_024;
const startOfRun = -1;
const magic = 0x31474c54;
const unanswered = 0xffff_ffff;
const duplicateBit = 0x80;

export interface LedgerRecord {
  /** When its bytes were read, epoch milliseconds, with fractions. */
  timeMs: number;
  /** The same instant on the machine's monotonic clock. */
  monotonicUs: number;
  /** Null when the submit_sm had no correlation TLV; then attempt and segment are 0. */
  delivery: number | null;
  attempt: number;
  possibleDuplicate: boolean;
  segment: number;
  /** Index into the simulator's accounts. */
  account: number;
  session: number;
  priorityFlag: number;
  esmClass: number;
  /** The command_status answered; null when it was left unanswered. */
  status: number | null;
  /** The counting part of its message_id (message-ids.ts); null when it was not accepted. */
  messageNumber: number | null;
}

export class Ledger {
  readonly #file: BatchFile;
  #block = Buffer.allocUnsafe(recordBytes * blockRecords);
  #used = 0;

  private constructor(file: BatchFile) {
    this.#file = file;
  }

  static async open(
    path: string,
    epochMs: number,
    monotonicUs: number,
    onDrain: () => void,
    onError: (error: Error) => void,
  ): Promise<Ledger> {
    const wholeRecords = async (_: unknown, size: number) => size - (size % recordBytes);
    const file = await BatchFile.open(path, wholeRecords, onDrain, onError);
    const start = Buffer.alloc(recordBytes);
    start.writeDoubleLE(monotonicUs, 0);
    start.writeDoubleLE(startOfRun, 8);
    start.writeDoubleLE(epochMs, 16);
    start.writeUInt32LE(magic, 24);
    file.append(start);
    return new Ledger(file);
  }

  get full(): boolean {
    return this.#file.full;
  }

  append(record: Omit<LedgerRecord, 'timeMs'>): void {
    const block = this.#block;
    const at = this.#used;
    block.writeDoubleLE(record.monotonicUs, at);
    block.writeDoubleLE(record.delivery ?? 0, at + 8);
    block.writeUInt32LE(record.status ?? unanswered, at + 16);
    block.writeUInt16LE(record.account, at + 20);
    block[at + 22] = record.possibleDuplicate ? record.attempt | duplicateBit : record.attempt;
    block[at + 23] = record.segment;
    block[at + 24] = record.priorityFlag;
    block[at + 25] = record.esmClass;
    block.writeUInt16LE(record.session & 0xffff, at + 26);
    block.writeUInt32LE((record.messageNumber ?? 0) >>> 0, at + 28);
    this.#used += recordBytes;
    if (this.#used === block.length) this.settle();
  }

  /** Hands what is gathered to the file. To be called at the end of each read, so that nothing lingers. */
  settle(): void {
    if (this.#used === 0) return;
    this.#file.append(this.#block.subarray(0, this.#used));
    // What is left of the block serves on; the part handed over is not touched again.
    const rest = this.#block.subarray(this.#used);
    this.#block = rest.length > 0 ? rest : Buffer.allocUnsafe(recordBytes * blockRecords);
    this.#used = 0;
  }

  /** Resolves when every record so far can be read from the file. */
  flush(): Promise<void> {
    this.settle();
    return this.#file.flush();
  }

  close(): Promise<void> {
    this.settle();
    return this.#file.close();
  }
}

/**
 * Calls `onRecord` for each submit_sm of the file, in order of arrival; returns how many there were. The record is the
 * same object each time: copy what you keep.
 * @throws Error when the file is no ledger
 */
export async function readLedger(path: string, onRecord: (record: Readonly<LedgerRecord>) => void): Promise<number> {
  let count = 0;
  let rest: Buffer = Buffer.alloc(0);
  let offsetMs: number | null = null;
  const record: LedgerRecord = {
    timeMs: 0,
    monotonicUs: 0,
    delivery: null,
    attempt: 0,
    possibleDuplicate: false,
    segment: 0,
    account: 0,
    session: 0,
    priorityFlag: 0,
    esmClass: 0,
    status: null,
    messageNumber: null,
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (; at + recordBytes <= bytes.length; at += recordBytes) {
      const monotonicUs = bytes.readDoubleLE(at);
      const delivery = bytes.readDoubleLE(at + 8);
      if (delivery === startOfRun && bytes.readUInt32LE(at + 24) === magic) {
        offsetMs = bytes.readDoubleLE(at + 16) - monotonicUs / 1000;
        continue;
      }
      if (offsetMs === null) throw new Error('not a ledger of submit_sm: it does not begin with a run');
      const status = bytes.readUInt32LE(at + 16);
      const messageNumber = bytes.readUInt32LE(at + 28);
      record.timeMs = offsetMs + monotonicUs / 1000;
      record.monotonicUs = monotonicUs;
      record.delivery = delivery === 0 ? null : delivery;
      record.account = bytes.readUInt16LE(at + 20);
      record.attempt = bytes[at + 22]! & ~duplicateBit;
      record.possibleDuplicate = (bytes[at + 22]! & duplicateBit) !== 0;
      record.segment = bytes[at + 23]!;
      record.priorityFlag = bytes[at + 24]!;
      record.esmClass = bytes[at + 25]!;
      record.session = bytes.readUInt16LE(at + 26);
      record.status = status === unanswered ? null : status;
      record.messageNumber = messageNumber === 0 ? null : messageNumber;
      onRecord(record);
      count += 1;
    }
    rest = bytes.subarray(at);
  }
  return count;
}
