// An SMSC that does everything wrong, by chance from a seed, under a bind that must not lose count of anything.
import type { Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { CarrierBind } from './bind.ts';
import type { Answer } from './exchange.ts';
import { listen, messageOf } from './fixtures.ts';
import { Framer } from './framing.ts';
import { decodeSubmitSm, encodeDeliverSm, encodeHeader, encodeSubmitSmResp } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
function chanceFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Asked {
  sequence: number;
  number: string;
}

const answer = ({ sequence, number }: Asked) =>
  encodeSubmitSmResp(sequence, { status: 0, messageId: `id-${number}`, tlvs: [] });

/** What goes wrong. */
const FAULTS: Record<string, (socket: Socket, asked: Asked) => void> = {
  'cut in the middle of an answer': (socket, asked) => {
    socket.write(answer(asked).subarray(0, 13));
    setImmediate(() => socket.resetAndDestroy());
  },
  'cut at once': (socket) => socket.destroy(),
  'half closed': (socket) => socket.end(),
  garbage: (socket) => socket.write('HTTP/1.1 503 Service Unavailable\r\n\r\n'),
  'a length that can not be': (socket) => socket.write(Buffer.from('00000005', 'hex')),
  generic_nack: (socket, asked) => socket.write(encodeHeader(0x80000000, 0x08, asked.sequence)),
  'generic_nack for nothing': (socket) => socket.write(encodeHeader(0x80000000, 0x02, 0)),
  'an answer to another sequence_number': (socket, asked) =>
    socket.write(answer({ ...asked, sequence: (asked.sequence ^ 0x40000000) >>> 0 })),
  'two answers': (socket, asked) => socket.write(Buffer.concat([answer(asked), answer(asked)])),
  'no answer': () => {},
  unbind: (socket) => socket.write(encodeHeader(0x06, 0, 1)),
  'a malformed deliver_sm': (socket, asked) => {
    const cut = encodeDeliverSm(1, messageOf()).subarray(0, 25);
    cut.writeUInt32BE(25, 0);
    socket.write(Buffer.concat([cut, answer(asked)]));
  },
  'requests that nobody knows': (socket, asked) =>
    socket.write(Buffer.concat([encodeHeader(0x4711, 0, 1), encodeHeader(0x80004711, 0, 2), answer(asked)])),
};

it.each([1, 2, 3])(
  'every submit_sm ends once, with the answer that was its own, whatever the SMSC does (seed %i)',
  async (seed) => {
    const chance = chanceFrom(seed);
    const fired = new Map<string, number>();
    const answeredBySmsc = new Set<string>();
    let healthy = false;
    const names = Object.keys(FAULTS);
    let faults = 0;
    const { port, close } = await listen((socket) => {
      const waiting: Asked[] = [];
      let left = Math.floor(chance() * 20);
      const framer = new Framer((buffer, offset, length, commandId, _status, sequence) => {
        if (commandId === 0x09) {
          socket.write(encodePdu(pduOf('bind_transceiver_resp', { sequence, systemId: 'CHAOS' })));
        }
        if (commandId === 0x15) socket.write(encodeHeader(0x80000015, 0, sequence));
        if (commandId === 0x06) socket.write(encodeHeader(0x80000006, 0, sequence));
        if (commandId !== 0x04) return;
        const asked = { sequence, number: decodeSubmitSm(buffer, offset, length).destAddr };
        if (!healthy && left-- === 0) {
          // Each in its turn, so that none is left out by chance.
          const fault = names[faults++ % names.length] as string;
          left = Math.floor(chance() * 20);
          fired.set(fault, (fired.get(fault) ?? 0) + 1);
          if (!/^(no answer|an answer|half|cut|garbage|a length|generic_nack|unbind)/.test(fault)) {
            answeredBySmsc.add(asked.number);
          }
          FAULTS[fault]?.(socket, asked);
        } else waiting.push(asked);
      });
      socket.on('data', (chunk: Buffer) => {
        framer.push(chunk);
        // Out of order.
        while (waiting.length > 0 && socket.writable) {
          const [asked] = waiting.splice(Math.floor(chance() * waiting.length), 1) as [Asked];
          answeredBySmsc.add(asked.number);
          socket.write(answer(asked));
        }
      });
    });
    opened.push({ close });

    const ends = new Map<string, Answer[]>();
    let inDoubtAtClose = 0;
    const bind = new CarrierBind<string>({
      hosts: [{ host: '127.0.0.1', port }],
      mode: 'transceiver',
      systemId: 'bank',
      password: 'secret',
      sessions: 3,
      backoff: { firstMs: 1, maxMs: 4, healthyMs: 20 },
      random: chance,
      limits: { window: 8, responseTimeoutMs: 80, enquireLinkMs: 40 },
      handlers: {
        onAnswer: (context, end) => {
          const all = ends.get(context);
          if (all === undefined) ends.set(context, [end]);
          else all.push(end);
        },
        onDeliver: (incoming) => incoming.respond(0),
        onSessionClosed: (_reason, inFlight) => {
          inDoubtAtClose += inFlight.length;
        },
      },
    });
    opened.push(bind);
    bind.start();

    const sent: string[] = [];
    const send = async (count: number): Promise<void> => {
      for (const until = sent.length + count; sent.length < until; ) {
        const number = `4477${String(sent.length).padStart(8, '0')}`;
        if (await bind.submitWhenRoom(messageOf({ destAddr: number }), number, { emergency: chance() < 0.1 })) {
          sent.push(number);
        } else await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const allEnded = async () => {
      while (ends.size < sent.length) await new Promise((resolve) => setImmediate(resolve));
    };
    while (names.some((name) => (fired.get(name) ?? 0) < 3)) await send(20);
    await allEnded();

    expect([...ends.keys()].sort()).toEqual(sent);
    let lost = 0;
    for (const [number, [end, ...more]] of ends) {
      expect(more).toEqual([]);
      if (end?.kind === 'answered' && end.status === 0) {
        expect(end.messageId).toBe(`id-${number}`);
        expect(answeredBySmsc.has(number)).toBe(true);
      }
      if (end?.kind === 'unanswered' && end.reason === 'closed') lost++;
    }
    expect(lost).toBe(inDoubtAtClose);
    const { counters, unanswered } = bind.stats();
    expect(unanswered).toBe(0);
    expect(counters.answered + counters.timedOut + lost).toBe(sent.length);

    healthy = true;
    const before = sent.length;
    await send(200);
    await allEnded();
    // What a fault did to a session may still come out; after that, nothing but good answers.
    const good = sent.slice(before).filter((number) => ends.get(number)?.[0]?.kind === 'answered');
    expect(good.length).toBeGreaterThan(150);
    while (bind.stats().state !== 'up') await new Promise((resolve) => setImmediate(resolve));
    const last = sent.length;
    await send(100);
    await allEnded();
    for (const number of sent.slice(last)) expect(ends.get(number)).toMatchObject([{ kind: 'answered', status: 0 }]);
  },
);
