/**
 * submit_sm → response → receipt → response with nothing but framing: no session, no timer, no state but a window and
 * the message ids. What is left is what the machine's TCP and Node allow. A program of two processes, as `smpp-package.ts`.
 */
import { fork } from 'node:child_process';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const WINDOW = 500;
const HEADER = 16;
/** A day, as the standard writes it. */
const VALID_FOR = '000001000000000R';
const [SUBMIT_SM, DELIVER_SM, RESPONSE] = [0x04, 0x05, 0x80000000];
const [role, count] = process.argv.slice(2);

type OnPdu = (octets: Buffer, at: number, length: number, command: number, sequence: number) => void;

/** Hands on the PDUs of each read where they lie, then tells that the read is over. */
function read(socket: Socket, onPdu: OnPdu, onRead: () => void = () => {}): void {
  let left: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    const octets = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    let at = 0;
    while (octets.length - at >= HEADER) {
      const length = octets.readUInt32BE(at);
      if (octets.length - at < length) break;
      onPdu(octets, at, length, octets.readUInt32BE(at + 4), octets.readUInt32BE(at + 12));
      at += length;
    }
    left = octets.subarray(at);
    onRead();
  });
}

/** Returns a function that puts PDUs into one write per turn of the event loop. */
function gather(socket: Socket): (pdu: Buffer) => void {
  let pdus: Buffer[] = [];
  return (pdu) => {
    if (pdus.push(pdu) > 1) return;
    setImmediate(() => {
      socket.write(Buffer.concat(pdus));
      pdus = [];
    });
  };
}

function pdu(command: number, sequence: number, body: string): Buffer {
  const octets = Buffer.allocUnsafe(HEADER + body.length);
  octets.writeUInt32BE(octets.length, 0);
  octets.writeUInt32BE(command, 4);
  octets.writeUInt32BE(0, 8);
  octets.writeUInt32BE(sequence, 12);
  octets.write(body, HEADER, 'latin1');
  return octets;
}

function serve(socket: Socket): void {
  socket.setNoDelay(true).on('error', () => {});
  const put = gather(socket);
  let taken = 0;
  const addresses = '\0\x01\x01447700900123\0\x05\0BANK\0';
  read(socket, (_octets, _at, _length, command, sequence) => {
    if (command !== SUBMIT_SM) return;
    const id = (++taken).toString(16).padStart(8, '0');
    put(pdu(RESPONSE + SUBMIT_SM, sequence, `${id}\0`));
    const text = `id:${id} sub:001 dlvrd:001 submit date:2611241200 done date:2611241200 stat:DELIVRD err:000 text:`;
    const body = `${addresses}\x04\0\0\0\0\0\0\0\0${String.fromCharCode(text.length)}${text}`;
    put(pdu(DELIVER_SM, taken, body));
  });
}

function send(port: number, messages: number): void {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const put = gather(socket);
  const awaited = new Map<string, number>();
  const text =
    'Your card ending 4417 was charged 42.10 EUR at GROCER on 24 Nov. Not you? Call the number on your card.';
  const tail = `\0\0\0\x01\0${VALID_FOR}\0\x01\0\0\0${String.fromCharCode(text.length)}${text}`;
  let sent = 0;
  let answered = 0;
  let receipts = 0;
  let from = 0;
  const fill = (): void => {
    while (sent - answered < WINDOW && sent < messages) {
      const destination = `4477009${String(sent % 100_000).padStart(5, '0')}`;
      put(pdu(SUBMIT_SM, ++sent, `\0\x05\0BANK\0\x01\x01${destination}${tail}`));
    }
  };
  read(
    socket,
    (octets, at, length, command, sequence) => {
      if (command === RESPONSE + SUBMIT_SM) {
        answered++;
        awaited.set(octets.toString('latin1', at + HEADER, at + length - 1), sequence);
        return;
      }
      const id = octets.indexOf('id:', at + HEADER, 'latin1') + 3;
      const stat = octets.indexOf('stat:', id, 'latin1') + 5;
      if (
        octets.toString('latin1', stat, stat + 7) !== 'DELIVRD' ||
        !awaited.delete(octets.toString('latin1', id, id + 8))
      )
        throw new Error('a receipt that belongs to no message');
      receipts++;
      put(pdu(RESPONSE + DELIVER_SM, sequence, '\0'));
    },
    () => {
      fill();
      if (receipts === messages) process.send?.(Math.round(messages / ((performance.now() - from) / 1_000)));
    },
  );
  socket.once('connect', () => {
    from = performance.now();
    fill();
  });
}

if (role === 'server') {
  const server = createServer(serve).listen(0, '127.0.0.1', () =>
    process.send?.((server.address() as AddressInfo).port),
  );
} else {
  const child = fork(fileURLToPath(import.meta.url), ['server'], { execArgv: [] });
  child.once('message', (port) => send(Number(port), Number(count)));
}
process.on('disconnect', () => process.exit(0));
