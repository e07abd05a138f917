import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameError } from './errors.ts';
import { Framer, PDU_LENGTH_MAX } from './framing.ts';

function pduOf(body: Uint8Array, commandId: number, sequence: number): Buffer {
  const pdu = Buffer.alloc(16 + body.length);
  pdu.writeUInt32BE(pdu.length, 0);
  pdu.writeUInt32BE(commandId, 4);
  pdu.writeUInt32BE(sequence, 12);
  pdu.set(body, 16);
  return pdu;
}

function collect(): { framer: Framer; pdus: Buffer[]; heads: number[][] } {
  const pdus: Buffer[] = [];
  const heads: number[][] = [];
  const framer = new Framer((buffer, offset, length, commandId, status, sequence) => {
    // Views, not copies: they must stay good while later chunks come in.
    pdus.push(buffer.subarray(offset, offset + length));
    heads.push([commandId, status, sequence]);
  });
  return { framer, pdus, heads };
}

describe('framing', () => {
  it('gives the same PDUs however the stream is cut', () => {
    const stream = fc.array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 0, max: 0xffffffff })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(stream, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (bodies, sizes) => {
        const sent = bodies.map(([body, id], i) => pduOf(body, id, i + 1));
        const octets = Buffer.concat(sent);
        const { framer, pdus, heads } = collect();
        for (let at = 0, i = 0; at < octets.length; i++) {
          const size = sizes[i % sizes.length] as number;
          framer.push(Buffer.from(octets.subarray(at, at + size)));
          at += size;
        }
        expect(pdus).toEqual(sent);
        expect(heads).toEqual(bodies.map(([, id], i) => [id, 0, i + 1]));
        expect(framer.midPdu).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('takes a PDU of the greatest length in single octets', () => {
    const pdu = pduOf(Buffer.alloc(PDU_LENGTH_MAX - 16, 7), 5, 1);
    const { framer, pdus } = collect();
    for (const value of pdu) framer.push(Buffer.from([value]));
    expect(pdus).toEqual([pdu]);
  });

  it('refuses lengths below 16 and above the limit as soon as four octets are there', () => {
    for (const length of [0, 15, PDU_LENGTH_MAX + 1, 0x7fffffff, 0xffffffff]) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(length);
      const { framer } = collect();
      framer.push(head.subarray(0, 3));
      expect(() => framer.push(head.subarray(3))).toThrow(FrameError);
      // What follows is noise.
      framer.push(pduOf(Buffer.alloc(0), 1, 1));
    }
  });

  it('hands on the PDUs before the bad length', () => {
    const { framer, pdus } = collect();
    const good = pduOf(Buffer.from('ok'), 4, 9);
    expect(() => framer.push(Buffer.concat([good, Buffer.from('HTTP/1.1 400 Bad Request\r\n')]))).toThrow(FrameError);
    expect(pdus).toEqual([good]);
  });

  it('tells the greetings of other protocols from SMPP by their first four octets (node-smpp #168, #101, #230)', () => {
    const greetings = {
      http: Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      httpAnswer: Buffer.from('HTTP/1.0 400 Bad Request\r\n\r\n'),
      amqp: Buffer.from('AMQP\0\0\x09\x01', 'latin1'),
      rdp: Buffer.from('0300002f2ae00000000000436f6f6b69653a', 'hex'),
      tls: Buffer.from('16030100f4010000f00303', 'hex'),
      ssh: Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
    };
    for (const greeting of Object.values(greetings)) {
      const { framer, pdus } = collect();
      expect(() => framer.push(greeting)).toThrow(FrameError);
      expect(pdus).toEqual([]);
    }
  });

  it('stops inside a chunk when told to', () => {
    const seen: number[] = [];
    const framer = new Framer((_buffer, _offset, _length, _commandId, _status, sequence) => {
      seen.push(sequence);
      if (sequence === 2) framer.stop();
    });
    framer.push(Buffer.concat([1, 2, 3].map((sequence) => pduOf(Buffer.alloc(3), 4, sequence))));
    expect(seen).toEqual([1, 2]);
  });

  it('never throws anything but its own error on random octets', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 10 }), (chunks) => {
        const { framer } = collect();
        for (const chunk of chunks) {
          try {
            framer.push(Buffer.from(chunk));
          } catch (error) {
            expect(error).toBeInstanceOf(FrameError);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
