/**
 * The other end, for measuring: a client that costs as little as it can, so that what is measured is the simulator. It
 * keeps a window of submit_sm that were encoded beforehand, answers every deliver_sm, decodes nothing but headers, and
 * writes once per read.
 */
import net from 'node:net';
import { Command, encodeSubmitSm, readUint32, writeUint32 } from '../smpp/index.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';

export interface LoadResult {
  messages: number;
  receipts: number;
  seconds: number;
}

const text = Buffer.from(
  'Your card ending 4417 was charged 42.10 EUR at GROCER on 24 Nov. Not you? Call the number on your card.',
);
const batch = 50;
const answerBytes = 17;

/** Sends `messages` submit_sm with at most `window` unanswered; resolves when each has its answer and its `receipts`. */
export async function load(
  port: number,
  options: { messages: number; window: number; receipts: number },
): Promise<LoadResult> {
  const { messages, window, receipts } = options;
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.write(TestingEsme.bindPdu(1, 'load', ''));
  await new Promise((resolve) => socket.once('data', resolve));

  const one = encodeSubmitSm(0, submitSm({ shortMessage: text, registeredDelivery: receipts > 0 ? 1 : 0 }));
  const digitsAt = one.indexOf('447700900123', 0, 'latin1') + 6;
  let sent = 0;
  let answered = 0;
  let delivered = 0;
  const started = performance.now();

  /** The next submit_sm, each to a number of its own, in one buffer. */
  const next = (count: number): Buffer => {
    const out = Buffer.allocUnsafe(count * one.length);
    for (let i = 0; i < count; i += 1) {
      const at = i * one.length;
      out.set(one, at);
      sent += 1;
      writeUint32(out, at + 12, sent + 1);
      let number = sent % 1_000_000;
      for (let digit = 5; digit >= 0; digit -= 1) {
        out[at + digitsAt + digit] = 0x30 + (number % 10);
        number = Math.floor(number / 10);
      }
    }
    return out;
  };
  const fill = (): Buffer | null => {
    const room = Math.min(window - (sent - answered), messages - sent);
    return room >= Math.min(batch, messages - sent) && room > 0 ? next(room) : null;
  };

  await new Promise<void>((resolve, reject) => {
    let rest: Buffer | null = null;
    let answers = Buffer.allocUnsafe(0);
    let answersEnd = 0;
    const answer = (sequence: number): void => {
      if (answersEnd + answerBytes > answers.length) {
        if (answersEnd > 0) socket.write(answers.subarray(0, answersEnd));
        answers = Buffer.alloc(answerBytes * 4_096);
        answersEnd = 0;
      }
      writeUint32(answers, answersEnd, answerBytes);
      writeUint32(answers, answersEnd + 4, Command.deliverSmResp);
      writeUint32(answers, answersEnd + 12, sequence);
      answersEnd += answerBytes;
    };
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`ended after ${answered} answers and ${delivered} receipts`)));
    socket.on('data', (chunk: Buffer) => {
      const bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= 16) {
        const length = readUint32(bytes, at);
        if (bytes.length - at < length) break;
        const command = readUint32(bytes, at + 4);
        if (command === Command.submitSmResp) answered += 1;
        else if (command === Command.deliverSm) {
          delivered += 1;
          answer(readUint32(bytes, at + 12));
        }
        at += length;
      }
      rest = at < bytes.length ? bytes.subarray(at) : null;
      const submits = fill();
      if (answersEnd > 0) {
        socket.write(answers.subarray(0, answersEnd));
        answers = answers.subarray(answersEnd);
        answersEnd = 0;
      }
      if (submits !== null) socket.write(submits);
      if (answered === messages && delivered === messages * receipts) resolve();
    });
    socket.write(next(Math.min(window, messages)));
  });
  const seconds = (performance.now() - started) / 1_000;
  socket.removeAllListeners('close');
  socket.end();
  return { messages, receipts: delivered, seconds };
}
