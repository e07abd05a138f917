// Sessions over real TCP on loopback. The peer is our own SMSC side where it behaves, and a plain socket where it does
// not, so that no fault is filtered by code under test.
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import smpp from 'smpp';
import { afterEach, describe, expect, it } from 'vitest';
import { LAST_SEQUENCE, nextSequence } from './commands.ts';
import type { BindError } from './errors.ts';
import type { Answer, CloseReason } from './exchange.ts';
import {
  connectRawEsme,
  Happenings,
  type Listening,
  listen,
  messageOf,
  pdusOf,
  type RawPdu,
  type RawPeer,
  type RawSmsc,
  type Smsc,
  startRawSmsc,
  startSmsc,
} from './fixtures.ts';
import type { LinkLimits } from './limits.ts';
import { encodeDeliverSm, encodeHeader, encodeSubmitSm, encodeSubmitSmResp } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';
import type { IncomingSubmit } from './server-session.ts';
import { type IncomingDeliver, Session, type SessionOptions } from './session.ts';

interface Esme {
  session: Session<string>;
  answers: Happenings<{ context: string; answer: Answer }>;
  delivers: Happenings<IncomingDeliver>;
  closed: Happenings<{ reason: CloseReason; inFlight: string[]; detail: string | null }>;
}

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

async function smsc(...args: Parameters<typeof startSmsc>): Promise<Smsc> {
  const started = await startSmsc(...args);
  opened.push(started);
  return started;
}

async function listener(onSocket: (socket: Socket) => void): Promise<Listening> {
  const started = await listen(onSocket);
  opened.push(started);
  return started;
}

async function rawSmsc(...args: Parameters<typeof startRawSmsc>): Promise<RawSmsc> {
  const started = await startRawSmsc(...args);
  opened.push(started);
  return started;
}

async function rawEsme(...args: Parameters<typeof connectRawEsme>): Promise<RawPeer> {
  const peer = await connectRawEsme(...args);
  opened.push({ close: () => peer.socket.destroy() });
  return peer;
}

async function esme(
  port: number,
  limits: Partial<LinkLimits> = {},
  options: Partial<SessionOptions<string>> = {},
): Promise<Esme> {
  const answers: Esme['answers'] = new Happenings();
  const delivers: Esme['delivers'] = new Happenings();
  const closed: Esme['closed'] = new Happenings();
  const session = await Session.connect<string>({
    host: '127.0.0.1',
    port,
    mode: 'transceiver',
    systemId: 'bank',
    password: 'secret',
    limits,
    ...options,
    handlers: {
      onAnswer: (context, answer) => answers.push({ context, answer }),
      onIncoming: delivers.push,
      onClosed: (reason, inFlight, detail) => closed.push({ reason, inFlight, detail }),
      ...options.handlers,
    },
  });
  opened.push(session);
  return { session, answers, delivers, closed };
}

describe('binding', () => {
  it('binds in each mode, learns the name of the SMSC, and keeps to the mode', async () => {
    const binds: string[] = [];
    const { port, sessions } = await smsc({
      onBind: (request) => {
        binds.push(`${request.mode} ${request.systemId} ${request.password} ${request.interfaceVersion}`);
        return 0;
      },
    });
    const transceiver = await esme(port);
    const transmitter = await esme(port, {}, { mode: 'transmitter' });
    const receiver = await esme(port, {}, { mode: 'receiver' });
    expect(binds).toEqual(['transceiver bank secret 52', 'transmitter bank secret 52', 'receiver bank secret 52']);
    expect(transceiver.session.peerSystemId).toBe('SMSC');
    expect(transmitter.session.submit(messageOf(), 'a')).toBe(true);
    expect(receiver.session.submit(messageOf(), 'b')).toBe(false);
    expect(receiver.session.freeFor(true)).toBe(0);
    expect(sessions.map((session) => session.deliver(messageOf(), 'c'))).toEqual([true, false, true]);
  });

  it('reports a refused bind with its status, and no closed session', async () => {
    const { port } = await smsc({ onBind: async () => 0x0e });
    const closed: unknown[] = [];
    const handlers = { onAnswer: () => {}, onIncoming: () => {}, onClosed: () => closed.push(1) };
    await expect(esme(port, {}, { handlers })).rejects.toMatchObject({ code: 'bind-refused', status: 0x0e });
    expect(closed).toEqual([]);
  });

  it('gives up when nobody answers the bind', async () => {
    const { port } = await listener(() => {});
    await expect(esme(port, {}, { bindTimeoutMs: 50 })).rejects.toMatchObject({ code: 'bind-timeout', status: null });
  });

  it('takes a generic_nack for a refusal, even one with status 0', async () => {
    const { port } = await listener(async (socket) => {
      const bind = await pdusOf(socket).next();
      socket.write(encodeHeader(0x80000000, 0, bind.sequence));
    });
    await expect(esme(port)).rejects.toMatchObject({ code: 'bind-refused' });
  });

  it('says when nothing listens, and when connecting takes too long', async () => {
    const { port, close } = await listen(() => {});
    await close();
    await expect(esme(port)).rejects.toMatchObject({ code: 'connect-failed' });
    // A reserved address (RFC 5737) that either does not answer or has no route.
    const unreachable = esme(port, {}, { host: '192.0.2.1', connectTimeoutMs: 50 });
    await expect(unreachable).rejects.toMatchObject({ code: expect.stringMatching(/^connect-(timeout|failed)$/) });
  });

  it('can be given up from outside, while connecting and while binding', async () => {
    const gone = AbortSignal.abort();
    await expect(esme(1, {}, { signal: gone })).rejects.toMatchObject({ code: 'closed' });
    const stop = new AbortController();
    const { port } = await listener((socket) => socket.on('data', () => stop.abort()));
    await expect(esme(port, {}, { signal: stop.signal })).rejects.toMatchObject({ code: 'closed' });
  });

  it.each([
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['AMQP', 'AMQP\0\0\x09\x01'],
    ['RDP', '\x03\0\0\x13\x0e\xd0\0\0\x124\0\x02\x1f\x08\0\x02\0\0\0'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('%s as the answer of a carrier ends the attempt, not the process', async (_name, greeting) => {
    const { port } = await listener((socket) => socket.write(greeting, 'latin1'));
    const attempt = esme(port);
    await expect(attempt).rejects.toMatchObject({
      code: 'closed',
      message: expect.stringContaining('command_length 0x'),
    });
  });

  it('hands on a deliver_sm that comes in the same read as the answer to the bind', async () => {
    const { port } = await listener(async (socket) => {
      const bind = await pdusOf(socket).next();
      const answer = encodePdu(pduOf('bind_transceiver_resp', { sequence: bind.sequence, systemId: 'RAW' }));
      socket.write(Buffer.concat([answer, encodeDeliverSm(7, messageOf())]));
    });
    const { delivers } = await esme(port);
    expect((await delivers.next()).sequence).toBe(7);
  });
});

describe('a request that came in', () => {
  it('is responded to after its PDU was released, and says so to one who asks for the PDU', async () => {
    const held = new Happenings<IncomingSubmit>();
    const { port } = await smsc({ onIncoming: held.push });
    const { session, answers } = await esme(port);
    session.submit(messageOf(), 'a');
    const [incoming] = await held.take(1);
    expect(incoming?.pdu.destAddr).toBe(messageOf().destAddr);
    incoming?.release();
    expect(() => incoming?.pdu).toThrow('the PDU was released');
    incoming?.respond(0, 'id-1');
    expect(await answers.next()).toMatchObject({ context: 'a', answer: { status: 0, messageId: 'id-1' } });
  });
});

describe('the window', () => {
  it('allows so many unanswered submit_sm and no more, and each answer makes room', async () => {
    const held = new Happenings<IncomingSubmit>();
    const { port } = await smsc({ onIncoming: held.push });
    const { session, answers } = await esme(port, { window: 3 });
    const sent = ['a', 'b', 'c', 'd'].map((context) => session.submit(messageOf(), context, { emergency: true }));
    expect(sent).toEqual([true, true, true, false]);
    const [first, second] = await held.take(2);
    // Out of order: the sequence_number tells which one is meant.
    second?.respond(0, 'id-2');
    expect(await answers.next()).toMatchObject({ context: 'b', answer: { status: 0, messageId: 'id-2' } });
    expect(session.freeFor(true)).toBe(1);
    first?.respond(0x58);
    expect(await answers.next()).toMatchObject({
      context: 'a',
      answer: { kind: 'answered', status: 0x58, messageId: null },
    });
    expect(session.unanswered).toBe(1);
  });

  it.each([
    [1, 1],
    [5, 4],
    [10, 9],
    [40, 36],
  ])('of %i slots leaves %i to work that is no emergency', async (window, forAll) => {
    const { port } = await smsc({ onIncoming: () => {} });
    const { session } = await esme(port, { window });
    expect(session.freeFor(false)).toBe(forAll);
    let normal = 0;
    while (session.submit(messageOf(), 'normal')) normal++;
    expect(normal).toBe(forAll);
    let emergency = 0;
    while (session.submit(messageOf(), 'emergency', { emergency: true })) emergency++;
    expect(normal + emergency).toBe(window);
  });

  it('emergency in flight does not eat the share of the others below the window', async () => {
    const { port } = await smsc({ onIncoming: () => {} });
    const { session } = await esme(port, { window: 10 });
    session.submit(messageOf(), 'e', { emergency: true });
    expect([session.freeFor(false), session.freeFor(true)]).toEqual([9, 9]);
    session.submit(messageOf(), 'e', { emergency: true });
    expect([session.freeFor(false), session.freeFor(true)]).toEqual([8, 8]);
  });

  it('says when there is room again', async () => {
    const room = new Happenings<void>();
    const { port } = await smsc();
    const handlers = { onAnswer: () => {}, onIncoming: () => {}, onClosed: () => {}, onRoom: () => room.push() };
    const { session } = await esme(port, { window: 1 }, { handlers });
    session.submit(messageOf(), 'a');
    expect(session.free).toBe(0);
    await room.next();
    expect(session.free).toBe(1);
  });

  it('sends an encoded submit_sm with its own sequence_number and leaves the buffer to the caller', async () => {
    const { port, bound } = await rawSmsc();
    const { session } = await esme(port);
    const encoded = encodeSubmitSm(0xdead, messageOf());
    const before = encoded.toString('hex');
    session.submitEncoded(encoded, 'a');
    session.submitEncoded(encoded, 'b');
    expect(encoded.toString('hex')).toBe(before);
    encoded.fill(0);
    const { pdus } = await bound.next();
    const [a, b] = await pdus.take(2);
    expect([a?.sequence, b?.sequence]).toEqual([2, 3]);
    expect(a?.hex).toBe(before.replace('0000dead', '00000002'));
  });

  it('what is sent within one turn of the event loop leaves in one write, and flush does not wait for its end', async () => {
    const chunks = new Happenings<number>();
    const { port, bound } = await rawSmsc();
    const { session } = await esme(port, { window: 200 });
    const { socket } = await bound.next();
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => chunks.push(chunk.length));
    const { length } = encodeSubmitSm(0, messageOf());
    for (let n = 0; n < 150; n++) session.submit(messageOf(), 'x');
    expect(await chunks.next()).toBe(150 * length);
    session.submit(messageOf(), 'x');
    session.flush();
    session.submit(messageOf(), 'x');
    session.flush();
    session.submit(messageOf(), 'x');
    let received = 0;
    while (received < 3 * length) received += await chunks.next();
    expect(received).toBe(3 * length);
  });

  it('numbers from 1 to 0x7FFFFFFF and then from 1 again', () => {
    expect(nextSequence(0)).toBe(1);
    expect(nextSequence(LAST_SEQUENCE - 1)).toBe(0x7fffffff);
    expect(nextSequence(LAST_SEQUENCE)).toBe(1);
  });

  it('goes on over the wrap, past numbers that are still unanswered', async () => {
    const { port, bound } = await rawSmsc();
    const { session, answers } = await esme(port);
    const { socket, pdus } = await bound.next();
    // Four octets of a counter that would take days of traffic to get there.
    const counter = session as unknown as { sequence: number };
    counter.sequence = 0;
    session.submit(messageOf(), 'old');
    counter.sequence = LAST_SEQUENCE - 1;
    for (const context of ['last', 'first']) session.submit(messageOf(), context);
    expect((await pdus.take(3)).map((pdu) => pdu.sequence)).toEqual([1, LAST_SEQUENCE, 2]);
    socket.write(encodeSubmitSmResp(LAST_SEQUENCE, { status: 0, messageId: 'm', tlvs: [] }));
    expect((await answers.next()).context).toBe('last');
  });
});

describe('time', () => {
  it('calls a submit_sm unanswered after the response timeout, not before, and gives its slot back', async () => {
    const { port } = await smsc({ onIncoming: () => {} });
    const { session, answers } = await esme(port, { window: 2, responseTimeoutMs: 80 });
    const start = performance.now();
    session.submit(messageOf(), 'a', { emergency: true });
    await sleep(30);
    session.submit(messageOf(), 'b', { emergency: true });
    expect(session.freeFor(true)).toBe(0);
    expect(await answers.next()).toEqual({ context: 'a', answer: { kind: 'unanswered', reason: 'timeout' } });
    const first = performance.now() - start;
    expect(await answers.next()).toEqual({ context: 'b', answer: { kind: 'unanswered', reason: 'timeout' } });
    const second = performance.now() - start;
    expect(first).toBeGreaterThanOrEqual(79);
    expect(second).toBeGreaterThanOrEqual(109);
    expect(second).toBeLessThan(600);
    expect(session.freeFor(true)).toBe(2);
    expect(session.bound).toBe(true);
  });

  it('passes over an answer that comes too late or to nothing', async () => {
    const held = new Happenings<IncomingSubmit>();
    const { port } = await smsc({ onIncoming: held.push });
    const { session, answers } = await esme(port, { responseTimeoutMs: 40 });
    session.submit(messageOf(), 'late');
    expect(await answers.next()).toMatchObject({ context: 'late', answer: { reason: 'timeout' } });
    (await held.next()).respond(0, 'too late');
    session.submit(messageOf(), 'next');
    (await held.next()).respond(0, 'in time');
    expect(await answers.next()).toMatchObject({ context: 'next', answer: { messageId: 'in time' } });
    expect(session.counters).toMatchObject({ sent: 2, answered: 1, timedOut: 1, unexpected: 1 });
  });

  it('a peer that answers nothing is dead within enquire_link and timeout, though it still takes octets', async () => {
    const { port, bound } = await rawSmsc();
    const start = performance.now();
    const { session, closed, answers } = await esme(port, { enquireLinkMs: 60, responseTimeoutMs: 120 });
    const { pdus } = await bound.next();
    await sleep(70);
    session.submit(messageOf(), 'doubt');
    expect(await closed.next()).toEqual({ reason: 'peer-silent', inFlight: ['doubt'], detail: null });
    expect(performance.now() - start).toBeLessThan(600);
    expect(await answers.next()).toEqual({ context: 'doubt', answer: { kind: 'unanswered', reason: 'closed' } });
    expect((await pdus.take(2)).map((pdu) => pdu.commandId)).toEqual([0x15, 4]);
  });

  it('a peer that only talks and never answers is dead too', async () => {
    const { port, bound } = await rawSmsc();
    const { closed } = await esme(port, { enquireLinkMs: 60, responseTimeoutMs: 80 });
    const { socket } = await bound.next();
    const chatter = setInterval(() => socket.write(encodeHeader(0x15, 0, 1)), 10);
    expect(await closed.next()).toMatchObject({ reason: 'peer-silent' });
    clearInterval(chatter);
  });

  it('asks enquire_link when idle, stays while it is answered, and answers it itself', async () => {
    const { port, bound } = await rawSmsc();
    const { session } = await esme(port, { enquireLinkMs: 30, responseTimeoutMs: 1_000 });
    const { socket, pdus } = await bound.next();
    for (let i = 0; i < 3; i++) {
      const asked = await pdus.next();
      expect(asked.commandId).toBe(0x15);
      // The second kind of answer: a peer that does not know enquire_link lives all the same.
      socket.write(encodeHeader(i === 1 ? 0x80000000 : 0x80000015, i === 1 ? 3 : 0, asked.sequence));
    }
    expect(session.bound).toBe(true);
    socket.write(encodeHeader(0x15, 0, 4711));
    let answer = await pdus.next();
    if (answer.commandId === 0x15) answer = await pdus.next();
    expect(answer).toMatchObject({ commandId: 0x80000015, status: 0, sequence: 4711 });
  });

  it('both sides of ours keep an idle session alive', async () => {
    const { port, sessions } = await smsc({}, { limits: { enquireLinkMs: 20, responseTimeoutMs: 200 } });
    const { session } = await esme(port, { enquireLinkMs: 20, responseTimeoutMs: 200, idleTimeoutMs: 150 });
    await sleep(300);
    expect([session.bound, sessions[0]?.bound]).toEqual([true, true]);
  });

  it('an SMSC that asks nothing cuts an idle peer off by the idle timeout', async () => {
    const closed = new Happenings<CloseReason>();
    const { port } = await smsc({ onClosed: closed.push }, { limits: { enquireLinkMs: 0, idleTimeoutMs: 60 } });
    await rawEsme(port);
    expect(await closed.next()).toBe('peer-silent');
  });

  it('answers that lie in the socket while this process stood still are not called late', async () => {
    const { port } = await smsc();
    const { session, answers } = await esme(port, { responseTimeoutMs: 100 });
    for (let i = 0; i < 5; i++) session.submit(messageOf(), `m${i}`);
    // Both ends live in this process: let the SMSC's answers reach the socket, then stand still past the timeout.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 150;
    while (performance.now() < until);
    for (const { answer } of await answers.take(5)) expect(answer.kind).toBe('answered');
  });
});

describe('deliver_sm', () => {
  it('is answered when its owner says so, with the status it says, once', async () => {
    const answers = new Happenings<[string, Answer]>();
    const { port, sessions } = await smsc({ onAnswer: (context, answer) => answers.push([context, answer]) });
    const { delivers } = await esme(port);
    sessions[0]?.deliver(messageOf({ sourceAddr: '447700900001', shortMessage: Buffer.from('STOP') }), 'mo');
    const incoming = await delivers.next();
    expect(incoming.pdu).toMatchObject({ sourceAddr: '447700900001', shortMessage: Buffer.from('STOP') });
    expect(incoming.settled).toBe(false);
    expect([incoming.respond(0), incoming.respond(8)]).toEqual([true, false]);
    expect(await answers.next()).toEqual(['mo', { kind: 'answered', status: 0, messageId: null, tlvs: [] }]);
  });

  it('is answered busy when its owner takes too long; its word afterwards is not sent', async () => {
    const answers = new Happenings<Answer>();
    const { port, sessions } = await smsc({ onAnswer: (_context, answer) => answers.push(answer) });
    const { delivers, session } = await esme(port, { receiverTimeoutMs: 40, receiverBusyStatus: 0x64 });
    sessions[0]?.deliver(messageOf(), 'slow');
    const slow = await delivers.next();
    expect(await answers.next()).toMatchObject({ kind: 'answered', status: 0x64 });
    expect([slow.settled, slow.respond(0)]).toEqual([true, false]);
    sessions[0]?.deliver(messageOf(), 'next');
    (await delivers.next()).respond(0);
    expect(await answers.next()).toMatchObject({ status: 0 });
    expect(session.counters.answeredBusy).toBe(1);
  });

  it('beyond the receiver window is answered busy and never reaches the owner', async () => {
    const answers = new Happenings<[string, Answer]>();
    const { port, sessions } = await smsc({ onAnswer: (context, answer) => answers.push([context, answer]) });
    const { delivers } = await esme(port, { receiverWindow: 2, receiverBusyStatus: 0x14 });
    for (const context of ['a', 'b', 'c']) sessions[0]?.deliver(messageOf(), context);
    expect(await answers.next()).toMatchObject(['c', { status: 0x14 }]);
    const held = await delivers.take(2);
    expect(delivers.waiting).toBe(0);
    for (const incoming of held) incoming.respond(0);
    expect((await answers.take(2)).map(([context]) => context)).toEqual(['a', 'b']);
  });

  it('can not be answered on a session that is gone', async () => {
    const { port, sessions } = await smsc();
    const { delivers, session, closed } = await esme(port);
    sessions[0]?.deliver(messageOf(), 'x');
    const incoming = await delivers.next();
    session.close();
    expect((await closed.next()).reason).toBe('closed');
    expect([incoming.settled, incoming.respond(0)]).toEqual([true, false]);
  });

  it('that is malformed is answered as the standard says, and the session lives', async () => {
    const { port, bound } = await rawSmsc();
    const { delivers, session } = await esme(port);
    const { socket, pdus } = await bound.next();
    const cut = encodeDeliverSm(9, messageOf()).subarray(0, 30);
    cut.writeUInt32BE(30, 0);
    socket.write(Buffer.concat([cut, encodeDeliverSm(10, messageOf())]));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000005, status: 0x02, sequence: 9 });
    expect((await delivers.next()).sequence).toBe(10);
    expect(session.counters.malformed).toBe(1);
  });
});

describe('odd peers', () => {
  it('a generic_nack answers the submit_sm that it names, never as success', async () => {
    const { port, bound } = await rawSmsc();
    const { session, answers } = await esme(port);
    const { socket, pdus } = await bound.next();
    for (const [status, expected] of [
      [0x02, 0x02],
      [0x00, 0x08],
    ] as const) {
      session.submit(messageOf(), 'x');
      socket.write(encodeHeader(0x80000000, status, (await pdus.next()).sequence));
      expect(await answers.next()).toMatchObject({ answer: { kind: 'answered', status: expected, messageId: null } });
    }
    expect(session.bound).toBe(true);
  });

  it('a request that nobody serves gets its own response, an unknown one a generic_nack', async () => {
    const { port, bound } = await rawSmsc();
    const { session } = await esme(port);
    const { socket, pdus } = await bound.next();
    socket.write(encodePdu(pduOf('replace_sm', { sequence: 5, messageId: 'x' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000007, status: 0x03, sequence: 5 });
    socket.write(encodeHeader(0x00004711, 0, 6));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000000, status: 0x03, sequence: 6 });
    // Neither has a response, and an unknown response is none either: silence, until something that has one.
    socket.write(encodePdu(pduOf('alert_notification', { sequence: 7 })));
    socket.write(encodeHeader(0x80004711, 0, 8));
    socket.write(encodePdu(pduOf('query_sm', { sequence: 9, messageId: 'x' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000003, status: 0x03, sequence: 9 });
    expect(session.bound).toBe(true);
  });

  it('a cold request with a broken body is answered with an error, and the session lives', async () => {
    const { port, bound } = await rawSmsc();
    await esme(port);
    const { socket, pdus } = await bound.next();
    const broken = Buffer.concat([encodeHeader(0x21, 0, 5), Buffer.from('00000000ff01', 'hex')]);
    broken.writeUInt32BE(broken.length, 0);
    socket.write(broken);
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000021, status: 0x02, sequence: 5 });
    socket.write(encodeHeader(0x15, 0, 6));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000015 });
  });

  it('an odd submit_sm_resp settles its message and keeps the link (jasmin #1124)', async () => {
    const { port, bound } = await rawSmsc();
    const { session, answers } = await esme(port);
    const { socket, pdus } = await bound.next();
    session.submit(messageOf(), 'bare');
    socket.write(encodeHeader(0x80000004, 0, (await pdus.next()).sequence));
    expect(await answers.next()).toMatchObject({ context: 'bare', answer: { status: 0, messageId: null } });
    session.submit(messageOf(), 'tail');
    const odd = Buffer.concat([
      encodeSubmitSmResp((await pdus.next()).sequence, { status: 0, messageId: 'm', tlvs: [] }),
      Buffer.from('04270', 'latin1'),
    ]);
    odd.writeUInt32BE(odd.length, 0);
    socket.write(odd);
    expect(await answers.next()).toMatchObject({ context: 'tail', answer: { status: 0, messageId: 'm' } });
    expect(session.bound).toBe(true);
  });

  it('garbage in the middle ends the session with what was in flight in doubt', async () => {
    const { port, bound } = await rawSmsc();
    const { session, closed, answers } = await esme(port);
    const { socket, pdus } = await bound.next();
    for (const context of ['a', 'b', 'c']) session.submit(messageOf(), context);
    const sent = await pdus.take(3);
    const good = encodeSubmitSmResp(sent[1]?.sequence as number, { status: 0, messageId: 'm', tlvs: [] });
    socket.write(Buffer.concat([good, Buffer.from('<html>')]));
    expect(await answers.next()).toMatchObject({ context: 'b', answer: { messageId: 'm' } });
    expect(await closed.next()).toMatchObject({ reason: 'foreign-bytes', inFlight: ['a', 'c'] });
    expect((await answers.take(2)).map(({ answer }) => answer)).toEqual(
      Array(2).fill({ kind: 'unanswered', reason: 'closed' }),
    );
    expect(session.submit(messageOf(), 'd')).toBe(false);
  });

  it('a socket closed by half is a closed session, also when its other half takes nothing', async () => {
    const { port, bound } = await rawSmsc();
    const { session, closed } = await esme(port, { window: 1_000_000 });
    const { socket } = await bound.next();
    socket.pause();
    const large = messageOf({ tlvs: [{ tag: 0x0424, value: Buffer.alloc(60_000) }] });
    let sent = 0;
    while (session.free > 0) {
      for (let i = 0; i < 50; i++) if (session.submit(large, 'x')) sent++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The listener is half-open: it ends its direction and keeps the other.
    socket.end();
    const end = await closed.next();
    expect([end.reason, end.inFlight.length]).toEqual(['peer-ended', sent]);
  });

  it('a reset is a closed session', async () => {
    const { port, bound } = await rawSmsc();
    const { closed } = await esme(port);
    (await bound.next()).socket.resetAndDestroy();
    expect(await closed.next()).toEqual({ reason: 'socket-error', inFlight: [], detail: 'ECONNRESET' });
  });

  it('a peer that reads nothing stops the submits, and is given up when megabytes wait', async () => {
    const { port, bound } = await rawSmsc();
    const { session, closed } = await esme(port, { window: 1_000_000 });
    const { socket } = await bound.next();
    socket.pause();
    const large = messageOf({ tlvs: [{ tag: 0x0424, value: Buffer.alloc(60_000) }] });
    let refused = 0;
    while (refused === 0) {
      for (let i = 0; i < 50 && refused === 0; i++) if (!session.submit(large, 'x')) refused++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([session.free, session.bound]).toEqual([0, true]);
    // Answers are never held back, so a flood of questions from a peer that reads no answers must end somewhere.
    const questions = Buffer.concat(Array(20_000).fill(encodeHeader(0x15, 0, 1)));
    for (let i = 0; i < 40 && !session.closed; i++) {
      socket.write(questions);
      await sleep(5);
    }
    expect(await closed.next()).toMatchObject({ reason: 'write-stalled' });
  });
});

describe('ending', () => {
  it('unbind waits for the window, then unbinds, and both sides know', async () => {
    const held = new Happenings<IncomingSubmit>();
    const peerClosed = new Happenings<CloseReason>();
    const { port } = await smsc({ onIncoming: held.push, onClosed: peerClosed.push });
    const { session, answers, closed } = await esme(port);
    session.submit(messageOf(), 'last');
    const unbound = session.unbind();
    expect(session.unbind()).toBe(unbound);
    expect(session.submit(messageOf(), 'no more')).toBe(false);
    (await held.next()).respond(0, 'm1');
    expect(await answers.next()).toMatchObject({ context: 'last', answer: { messageId: 'm1' } });
    await unbound;
    expect(await closed.next()).toEqual({ reason: 'unbound', inFlight: [], detail: null });
    expect(await peerClosed.next()).toBe('peer-unbound');
  });

  it('receipts still come in while the window drains', async () => {
    const held = new Happenings<IncomingSubmit>();
    const { port, sessions } = await smsc({ onIncoming: held.push });
    const { session, delivers } = await esme(port);
    session.submit(messageOf(), 'last');
    const unbound = session.unbind();
    const last = await held.next();
    sessions[0]?.deliver(messageOf({ esmClass: 4 }), 'receipt');
    (await delivers.next()).respond(0);
    last.respond(0, 'm1');
    await unbound;
  });

  it('unbind ends though nothing is answered any more', async () => {
    const { port, bound } = await rawSmsc();
    const { session, answers, closed } = await esme(port, { responseTimeoutMs: 50 });
    await bound.next();
    session.submit(messageOf(), 'a');
    await session.unbind();
    expect(await answers.next()).toMatchObject({ answer: { kind: 'unanswered', reason: 'timeout' } });
    expect((await closed.next()).reason).toBe('unbound');
  });

  it('an unbind of the peer is answered before the connection ends', async () => {
    const { port, bound } = await rawSmsc();
    const { session, closed } = await esme(port);
    const { socket, pdus } = await bound.next();
    session.submit(messageOf(), 'a');
    await pdus.next();
    socket.write(encodeHeader(0x06, 0, 77));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000006, status: 0, sequence: 77 });
    expect(await closed.next()).toMatchObject({ reason: 'peer-unbound', inFlight: ['a'] });
    socket.end();
    await once(socket, 'close');
  });

  it('an SMSC of ours unbinds too', async () => {
    const { port, sessions } = await smsc();
    const { closed } = await esme(port);
    await sessions[0]?.unbind();
    expect((await closed.next()).reason).toBe('peer-unbound');
  });

  it('close reports what is in flight before it returns', async () => {
    const { port } = await smsc({ onIncoming: () => {} });
    const { session, answers, closed } = await esme(port);
    session.submit(messageOf(), 'a');
    session.submit(messageOf(), 'b');
    session.close();
    session.close();
    expect([answers.waiting, closed.waiting]).toEqual([2, 1]);
    expect((await closed.next()).inFlight).toEqual(['a', 'b']);
  });
});

describe('the SMSC side', () => {
  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['AMQP', 'AMQP\0\0\x09\x01'],
    ['RDP', '\x03\0\0\x2f\x2a\xe0\0\0\0\0\0Cookie: mstshash=x\r\n'],
    ['TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['an empty line', '\r\n\r\n'],
  ])('%s from a scanner ends its session; the server goes on (node-smpp #168, #101, #230)', async (_name, greeting) => {
    const closed = new Happenings<CloseReason>();
    const { port } = await smsc({ onClosed: closed.push });
    const socket = connectSocket({ port, host: '127.0.0.1' });
    opened.push({ close: () => socket.destroy() });
    const pdus = pdusOf(socket);
    socket.write(greeting, 'latin1');
    expect(await closed.next()).toBe('foreign-bytes');
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000000, status: 0x02, sequence: 0 });
    await once(socket, 'close');
    expect((await esme(port)).session.bound).toBe(true);
  });

  it('cuts off a peer that does not bind in time', async () => {
    const closed = new Happenings<CloseReason>();
    const { port } = await smsc({ onClosed: closed.push }, { bindTimeoutMs: 40 });
    const socket = connectSocket({ port, host: '127.0.0.1' });
    opened.push({ close: () => socket.destroy() });
    expect(await closed.next()).toBe('bind-timeout');
  });

  it('takes nothing before the bind, and no second bind', async () => {
    const { port } = await smsc();
    const socket = connectSocket({ port, host: '127.0.0.1' });
    opened.push({ close: () => socket.destroy() });
    const pdus = pdusOf(socket);
    socket.write(encodeSubmitSm(1, messageOf()));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000004, status: 0x04, sequence: 1 });
    socket.write(encodePdu(pduOf('query_sm', { sequence: 2, messageId: 'x' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000003, status: 0x04 });
    socket.write(encodePdu(pduOf('bind_transceiver', { sequence: 3, systemId: 'a', password: 'b' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000009, status: 0 });
    socket.write(encodePdu(pduOf('bind_transmitter', { sequence: 4, systemId: 'a', password: 'b' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000002, status: 0x05 });
  });

  it('takes no submit_sm from a receiver', async () => {
    const { port } = await smsc();
    const { socket, pdus } = await rawEsme(port, 'bind_receiver');
    socket.write(encodeSubmitSm(5, messageOf()));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000004, status: 0x04, sequence: 5 });
  });

  it('answers a malformed submit_sm with its error', async () => {
    const { port } = await smsc();
    const { socket, pdus } = await rawEsme(port);
    const bad = encodeSubmitSm(5, messageOf({ shortMessage: Buffer.alloc(20) }));
    bad[bad.length - 21] = 200;
    socket.write(bad);
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000004, status: 0x01, sequence: 5 });
  });
});

it('random PDUs of every kind end neither side, and are followed by an answer to enquire_link', async () => {
  const { port } = await smsc();
  const raw = await rawSmsc();
  const { session } = await esme(raw.port, { responseTimeoutMs: 60_000 });
  const asSmsc = await raw.bound.next();
  const unbound = connectSocket({ port, host: '127.0.0.1' });
  opened.push({ close: () => unbound.destroy() });
  const sides: [Socket, Happenings<RawPdu>][] = [
    [asSmsc.socket, asSmsc.pdus],
    [unbound, pdusOf(unbound)],
  ];
  const bound = await rawEsme(port);
  sides.push([bound.socket, bound.pdus]);
  const binds = new Set([0x01, 0x02, 0x09]);
  const ids = Object.keys(smpp.commandsById)
    .map(Number)
    .filter((id) => id !== 0x06);
  for (const [socket, pdus] of sides) {
    const bodies = fc.sample(
      fc.tuple(fc.constantFrom(...ids, 0x4711, 0x80004711), fc.uint8Array({ maxLength: 120 })),
      1_500,
    );
    for (const [id, body] of bodies) {
      // A bind would do what it says on the socket that is to stay unbound.
      if (socket === unbound && binds.has(id)) continue;
      const pdu = Buffer.concat([encodeHeader(id, 0, 3), body]);
      pdu.writeUInt32BE(pdu.length, 0);
      socket.write(pdu);
    }
    socket.write(encodeHeader(0x15, 0, 0x0e0d));
    let answer = await pdus.next();
    while (answer.sequence !== 0x0e0d) answer = await pdus.next();
    expect(answer.commandId).toBe(0x80000015);
  }
  expect(session.bound).toBe(true);
});

it('errors of this room name no password and no address', async () => {
  const { port } = await smsc({ onBind: () => 0x0e });
  const error = (await esme(port).catch((reason: unknown) => reason)) as BindError;
  expect(`${error.stack}`).not.toMatch(/secret|127\.0\.0\.1/);
});
