/**
 * Kannel's `drive_smpp` (Debian: kannel-extras), an SMSC that shares no line with us. What it does, as it was seen:
 *
 * - It takes bind_transmitter and bind_receiver, not bind_transceiver, and asks for no password. When any session ends, it
 *   says its counts and ends itself, so nothing may connect just to see whether it listens.
 * - Each submit_sm is answered ESME_ROK without a message_id.
 * - Through the receiver's session it sends as many deliver_sm as `-m` says, with the texts 1, 2, 3 … and each followed by
 *   an enquire_link. It is never more than 500 ahead of the submit_sm that it has taken: then it looks again after 1 s.
 * - Its sequence numbers begin with 0.
 * - It also plays the box behind the gateway, and panics when nobody listens on port 13001 of this machine.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

const PROGRAM = '/usr/lib/kannel/test/drive_smpp';
const BOX_PORT = 13_001;
const LOG_LEVEL_INFO = '1';

/** How far it may be ahead of what it has taken. */
export const DRIVE_SMPP_AHEAD = 500;

/** Why it can't be used here, for the name of a test that is skipped; null when it can. */
export const driveSmppMissing: string | null = existsSync(PROGRAM)
  ? null
  : `skipped: ${PROGRAM} is not on this machine (apt-get install kannel-extras)`;

export interface DriveSmpp {
  readonly port: number;
  /** What it said when it had ended. */
  readonly ended: Promise<DriveSmppReport>;
  /** Ends it and what serves it, whatever state they are in. */
  stop(): Promise<void>;
}

export interface DriveSmppReport {
  exitCode: number | null;
  /** deliver_sm that it sent, submit_sm that it took; null where it said no number. */
  sentToEsme: number | null;
  takenFromEsme: number | null;
  /** Lines of its log that are more than information. */
  complaints: string[];
}

/** Starts it; it listens soon after: connect as one does to a carrier that may be down. */
export async function startDriveSmpp(messages: number): Promise<DriveSmpp> {
  const port = await freePort();
  const box = await listenAsBox();
  const child = spawn(PROGRAM, ['-v', LOG_LEVEL_INFO, '-p', String(port), '-m', String(messages)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = once(child, 'close').then(([code]) => report(code as number | null, log));
  return {
    port,
    ended,
    stop: async () => {
      if (running(child)) child.kill('SIGKILL');
      await ended;
      await box.close();
    },
  };
}

function report(exitCode: number | null, log: string): DriveSmppReport {
  const countOf = (what: string): number | null => {
    const found = log.match(new RegExp(`Number of messages sent to ${what}: (\\d+)`))?.[1];
    return found === undefined ? null : Number(found);
  };
  return {
    exitCode,
    sentToEsme: countOf('ESME'),
    takenFromEsme: countOf('SMSC'),
    complaints: log.split('\n').filter((line) => /WARNING:|ERROR:|PANIC:/.test(line)),
  };
}

function running(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A box that takes the connection and says nothing. Where the port is taken, whoever has it does as well. */
async function listenAsBox(): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).resume();
  });
  const listening = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(BOX_PORT, '127.0.0.1', () => resolve(true));
  });
  return {
    close: async () => {
      for (const socket of sockets) socket.destroy();
      if (listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
