/**
 * The simulator's log: every submit_sm that arrived, one JSON object a line, in the order of arrival, under the field
 * names of SMPP 3.4 §4.4.1. It holds MSISDNs and texts by intent: it is the other side's truth, to compare records with.
 */
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { SubmitSm } from '../smpp/index.ts';
import { BatchFile } from './batch-file.ts';

/** One line of the log. */
export interface LoggedSubmit {
  /** When its bytes were read, epoch milliseconds. */
  time: number;
  /** The same instant on the machine's monotonic clock, microseconds: comparable between processes until a reboot. */
  monotonic_us: number;
  account: string;
  /** Number of the session, counted from 1 over all accounts since the simulator started. */
  session: number;
  sequence_number: number;
  service_type: string;
  source_addr_ton: number;
  source_addr_npi: number;
  source_addr: string;
  dest_addr_ton: number;
  dest_addr_npi: number;
  destination_addr: string;
  esm_class: number;
  protocol_id: number;
  priority_flag: number;
  schedule_delivery_time: string;
  validity_period: string;
  registered_delivery: number;
  replace_if_present_flag: number;
  data_coding: number;
  sm_default_msg_id: number;
  /** Hex; with its user data header, if any. */
  short_message: string;
  tlvs: { tag: number; hex: string }[];
  /** Null when the message was not accepted. */
  message_id: string | null;
  /** The command_status answered; null when it was left unanswered. */
  status: number | null;
}

export class SubmitLog {
  readonly #file: BatchFile;

  private constructor(file: BatchFile) {
    this.#file = file;
  }

  static async open(path: string, onDrain: () => void, onError: (error: Error) => void): Promise<SubmitLog> {
    const file = await BatchFile.open(path, endOfLastLine, onDrain, onError);
    return new SubmitLog(file);
  }

  get full(): boolean {
    return this.#file.full;
  }

  append(
    time: number,
    monotonicUs: number,
    account: string,
    session: number,
    sequence: number,
    pdu: SubmitSm,
    messageId: string | null,
    status: number | null,
  ): void {
    let tlvs = '';
    for (let i = 0; i < pdu.tlvs.length; i += 1) {
      const tlv = pdu.tlvs[i]!;
      tlvs += `${i === 0 ? '' : ','}{"tag":${tlv.tag},"hex":"${tlv.value.toString('hex')}"}`;
    }
    // Written out rather than JSON.stringify: 30,000 lines a second must leave room for the session's own work.
    this.#file.append(
      `{"time":${time},"monotonic_us":${monotonicUs},"account":${quote(account)},"session":${session}` +
        `,"sequence_number":${sequence},"service_type":${quote(pdu.serviceType)}` +
        `,"source_addr_ton":${pdu.sourceTon},"source_addr_npi":${pdu.sourceNpi},"source_addr":${quote(pdu.sourceAddr)}` +
        `,"dest_addr_ton":${pdu.destTon},"dest_addr_npi":${pdu.destNpi},"destination_addr":${quote(pdu.destAddr)}` +
        `,"esm_class":${pdu.esmClass},"protocol_id":${pdu.protocolId},"priority_flag":${pdu.priorityFlag}` +
        `,"schedule_delivery_time":${quote(pdu.scheduleDeliveryTime)},"validity_period":${quote(pdu.validityPeriod)}` +
        `,"registered_delivery":${pdu.registeredDelivery},"replace_if_present_flag":${pdu.replaceIfPresent}` +
        `,"data_coding":${pdu.dataCoding},"sm_default_msg_id":${pdu.smDefaultMsgId}` +
        `,"short_message":"${pdu.shortMessage.toString('hex')}","tlvs":[${tlvs}]` +
        `,"message_id":${messageId === null ? 'null' : `"${messageId}"`},"status":${status}}\n`,
    );
  }

  /** Resolves when every line so far can be read from the file. */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Reads a log line by line; a last line that a killed simulator left half-written is passed over. */
export async function* readSubmitLog(path: string): AsyncGenerator<LoggedSubmit, void, void> {
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    if (line.endsWith('}')) yield JSON.parse(line) as LoggedSubmit;
  }
}

const plain = /^[\w+ .@:/-]*$/;

function quote(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

async function endOfLastLine(file: FileHandle, size: number): Promise<number> {
  const window = Buffer.alloc(Math.min(size, 256 * 1024));
  if (window.length === 0) return 0;
  await file.read(window, 0, window.length, size - window.length);
  return size - window.length + window.lastIndexOf('\n') + 1;
}
