/** Wireshark's SMPP dissector (Debian: tshark), where it is installed: an opinion on our octets that nobody here wrote. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The version in its first line; null when it is not installed. */
export const tsharkVersion: string | null =
  spawnSync('tshark', ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0] ?? null;

/** Whether this user may listen on the loopback interface. */
export const mayCapture: boolean =
  tsharkVersion !== null && spawnSync('dumpcap', ['-i', 'lo', '-L'], { encoding: 'utf8' }).status === 0;

const PORT = 2_775;
const LINKTYPE_RAW_IP = 101;
/** A capture ends by itself after this long, whatever it has seen. */
const CAPTURE_SECONDS_MAX = 20;

/** A capture file of one TCP connection that carries these, each in a segment of its own. */
function pcapOf(payloads: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(0x40000, 16);
  head.writeUInt32LE(LINKTYPE_RAW_IP, 20);
  const parts: Buffer[] = [head];
  let sequence = 1;
  payloads.forEach((payload, i) => {
    const length = 40 + payload.length;
    const record = Buffer.alloc(16);
    record.writeUInt32LE(i, 0);
    record.writeUInt32LE(length, 8);
    record.writeUInt32LE(length, 12);
    const headers = Buffer.alloc(40);
    headers[0] = 0x45; // IPv4, five words
    headers.writeUInt16BE(length, 2);
    headers[8] = 64; // hops
    headers[9] = 6; // TCP
    headers.set([192, 0, 2, 1, 192, 0, 2, 2], 12);
    headers.writeUInt16BE(40_000, 20);
    headers.writeUInt16BE(PORT, 22);
    headers.writeUInt32BE(sequence, 24);
    headers[32] = 0x50; // five words
    headers[33] = 0x18; // PSH, ACK
    headers.writeUInt16BE(0xffff, 34);
    sequence += payload.length;
    parts.push(record, headers, payload);
  });
  return Buffer.concat(parts);
}

/** What the dissector shows of one PDU: its fields by Wireshark's names, TLVs below `smpp.opt_params`. */
export type Dissected = Record<string, unknown>;

export interface Dissection {
  /** One for each PDU, in their order; null where it found none. */
  pdus: (Dissected | null)[];
  /** What Wireshark itself has against them: `frame: text`, frames from 0. */
  complaints: string[];
}

export async function dissect(pdus: readonly Buffer[]): Promise<Dissection> {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-wireshark-'));
  try {
    const file = join(folder, 'pdus.pcap');
    await writeFile(file, pcapOf(pdus));
    const json = read(file, PORT, ['-T', 'json', '--no-duplicate-keys', '-J', 'smpp']);
    const frames = JSON.parse(json) as { _source: { layers: { smpp?: Dissected } } }[];
    return { pdus: frames.map((frame) => frame._source.layers.smpp ?? null), complaints: complaintsOf(file, PORT) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Expert information from `Note` on and malformed packets, in the SMPP of a capture. */
export function complaintsOf(file: string, port: number): string[] {
  const filter = 'smpp && (_ws.malformed || _ws.expert.severity >= 0x00400000)';
  const fields = ['frame.number', '_ws.expert.message', '_ws.malformed'].flatMap((field) => ['-e', field]);
  return read(file, port, ['-Y', filter, '-T', 'fields', ...fields])
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [frame, ...what] = line.split('\t');
      return `${Number(frame) - 1}: ${what.filter((each) => each !== '').join(', ')}`;
    });
}

/** Fields of every frame with SMPP in it; a frame of several PDUs has several values in each, in their order. */
export function fieldsOf(file: string, port: number, names: readonly string[]): string[][][] {
  const fields = names.flatMap((name) => ['-e', name]);
  return read(file, port, ['-Y', 'smpp', '-T', 'fields', '-E', 'aggregator=;', ...fields])
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t').map((values) => (values === '' ? [] : values.split(';'))));
}

function read(file: string, port: number, args: readonly string[]): string {
  const run = spawnSync('tshark', ['-n', '-r', file, '-d', `tcp.port==${port},smpp`, ...args], {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (run.status !== 0) throw new Error(`tshark ended with ${run.status}: ${run.stderr}`);
  return run.stdout;
}

/** Listens on the loopback interface until the PDU with this command_id has gone by. */
export class Capture {
  private readonly child: ChildProcess;
  private readonly seen: Promise<void>;
  private readonly exited: Promise<unknown>;

  private constructor(child: ChildProcess, seen: Promise<void>) {
    this.child = child;
    this.seen = seen;
    this.exited = once(child, 'exit');
  }

  static async start(port: number, file: string, lastCommandId: number): Promise<Capture> {
    const args = ['-n', '-i', 'lo', '-f', `tcp port ${port}`, '-d', `tcp.port==${port},smpp`, '-w', file, '-P', '-l'];
    const limit = ['-a', `duration:${CAPTURE_SECONDS_MAX}`];
    const child = spawn('tshark', [...args, ...limit, '-T', 'fields', '-e', 'smpp.command_id'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const last = `0x${lastCommandId.toString(16).padStart(8, '0')}`;
    const seen = new Promise<void>((resolve) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        if (line.includes(last)) resolve();
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`tshark ended with ${code}`)));
      createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
        if (line.includes('Capture started') || line.includes('File:')) resolve();
      });
    });
    return new Capture(child, seen);
  }

  /** Resolves when the last PDU has been seen and the file is complete. */
  async end(): Promise<void> {
    await Promise.race([this.seen, this.exited]);
    this.stop();
    await this.exited;
  }

  stop(): void {
    this.child.kill('SIGINT');
  }
}
