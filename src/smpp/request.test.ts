// What goes through a session beside submit_sm and deliver_sm, over real TCP. The peer is a plain socket, so that every
// octet and every fault is the test's.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, expectTypeOf, it } from 'vitest';
import type { CarrierBind } from './bind.ts';
import type { BindCommand } from './bind-request.ts';
import { LAST_SEQUENCE } from './commands.ts';
import { FieldError } from './errors.ts';
import type { Answer, CloseReason, RequestOutcome } from './exchange.ts';
import {
  connectRawEsme,
  Happenings,
  messageOf,
  type RawPdu,
  type RawPeer,
  startRawSmsc,
  startSmsc,
} from './fixtures.ts';
import type { IncomingRequest } from './incoming.ts';
import type { LinkLimits } from './limits.ts';
import { encodeHeader, encodeSubmitSmResp } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';
import type { Destination, Unsuccess } from './pdus/fields.ts';
import type { Pdu, PduOf } from './pdus/table.ts';
import { tlv } from './pdus/tlvs.ts';
import { parseReceipt } from './receipt.ts';
import type { PduFields, RequestCommand } from './requests.ts';
import type { ServerSession } from './server-session.ts';
import { type IncomingDeliver, Session, type SessionOptions } from './session.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

interface Pair extends RawPeer {
  session: Session<string>;
  answers: Happenings<[string, Answer]>;
  delivers: Happenings<IncomingDeliver>;
  requests: Happenings<IncomingRequest>;
  closed: Happenings<CloseReason>;
}

/** A session of ours, and the plain socket that it is bound to. */
async function pair(
  limits: Partial<LinkLimits> = {},
  options: Partial<SessionOptions<string>> = {},
  bindFields: PduFields<`${BindCommand}_resp`> = {},
): Promise<Pair> {
  const smsc = await startRawSmsc(bindFields);
  opened.push(smsc);
  const answers: Pair['answers'] = new Happenings();
  const delivers: Pair['delivers'] = new Happenings();
  const requests: Pair['requests'] = new Happenings();
  const closed: Pair['closed'] = new Happenings();
  const session = await Session.connect<string>({
    host: '127.0.0.1',
    port: smsc.port,
    mode: 'transceiver',
    systemId: 'bank',
    password: 'secret',
    limits,
    ...options,
    handlers: {
      onAnswer: (context, answer) => answers.push([context, answer]),
      onIncoming: delivers.push,
      onRequest: requests.push,
      onClosed: closed.push,
    },
  });
  opened.push(session);
  const { socket, pdus } = await smsc.bound.next();
  return { session, socket, pdus, answers, delivers, requests, closed };
}

const submitResp = (pdu: RawPdu, messageId = 'm') =>
  encodeSubmitSmResp(pdu.sequence, { status: 0, messageId, tlvs: [] });

/** By their octets, with the length put right. */
function pdu(commandId: number, sequence: number, body: string): Buffer {
  const octets = Buffer.concat([encodeHeader(commandId, 0, sequence), Buffer.from(body, 'hex')]);
  octets.writeUInt32BE(octets.length, 0);
  return octets;
}

const NORTH = tlv('broadcast_area_identifier', { format: 'alias', name: 'north' });
/** The TLVs that a broadcast_sm and a query_broadcast_sm_resp must have (SMPP 5.0 §4.4.1.1, §4.6.1.3). */
const BROADCAST = {
  tlvs: [
    NORTH,
    tlv('broadcast_content_type', { network: 1, contentType: 1 }),
    tlv('broadcast_frequency_interval', { unit: 9, count: 10 }),
  ],
};
const BROADCAST_STATE = { tlvs: [tlv('message_state', 1), NORTH, tlv('broadcast_area_success', 100)] };
const STAFF: Destination[] = [{ kind: 'distributionList', name: 'STAFF' }];
const UNSUCCESSES: Unsuccess[] = [{ ton: 1, npi: 1, addr: '447700900123', status: 0x0b }];

type Ask = (session: Session<string>) => Promise<RequestOutcome>;

describe('a request', () => {
  it.each<[RequestCommand, number, Ask, Pdu]>([
    [
      'query_sm',
      0x03,
      (session) => session.request('query_sm', { messageId: 'x' }),
      pduOf('query_sm_resp', { messageId: 'x', messageState: 2 }),
    ],
    [
      'replace_sm',
      0x07,
      (session) => session.request('replace_sm', { messageId: 'x', shortMessage: Buffer.from('new') }),
      pduOf('replace_sm_resp'),
    ],
    ['cancel_sm', 0x08, (session) => session.request('cancel_sm', { messageId: 'x' }), pduOf('cancel_sm_resp')],
    [
      'submit_multi',
      0x21,
      (session) => session.request('submit_multi', { destinations: STAFF }),
      pduOf('submit_multi_resp', { messageId: 'y', unsuccesses: UNSUCCESSES }),
    ],
    [
      'data_sm',
      0x103,
      (session) => session.request('data_sm', { destAddr: '1' }),
      pduOf('data_sm_resp', { messageId: 'z' }),
    ],
    [
      'broadcast_sm',
      0x111,
      (session) => session.request('broadcast_sm', BROADCAST),
      pduOf('broadcast_sm_resp', { messageId: 'b' }),
    ],
    [
      'query_broadcast_sm',
      0x112,
      (session) => session.request('query_broadcast_sm', { messageId: 'b' }),
      pduOf('query_broadcast_sm_resp', { ...BROADCAST_STATE, messageId: 'b' }),
    ],
    [
      'cancel_broadcast_sm',
      0x113,
      (session) => session.request('cancel_broadcast_sm', { messageId: 'b' }),
      pduOf('cancel_broadcast_sm_resp'),
    ],
  ])('%s goes out and comes back with what the peer says', async (_command, commandId, ask, said) => {
    const { session, socket, pdus } = await pair();
    const outcome = ask(session);
    const { sequence, ...asked } = await pdus.next();
    expect(asked.commandId).toBe(commandId);
    expect(session.unanswered).toBe(1);
    const answer = { ...said, sequence };
    socket.write(encodePdu(answer));
    expect(await outcome).toEqual({ kind: 'answered', pdu: answer });
    expect(session.unanswered).toBe(0);
  });

  it('and its answer are held to their command by the compiler', () => {
    type Asks = (session: Session<string>, bind: CarrierBind<string>, smsc: ServerSession<string>) => unknown;
    const asks: Asks = (session, bind, smsc) => {
      expectTypeOf(session.request('query_sm', { messageId: 'x' })).resolves.toEqualTypeOf<
        RequestOutcome<'query_sm'>
      >();
      expectTypeOf(bind.request('data_sm', { destAddr: '1' })).resolves.toEqualTypeOf<RequestOutcome<'data_sm'>>();
      // @ts-expect-error: a query_sm has no text
      session.request('query_sm', { shortMessage: Buffer.alloc(0) });
      // @ts-expect-error: the name in the standard is not the name here
      bind.request('query_sm', { message_id: 'x' });
      // @ts-expect-error: a text, not a number
      session.request('query_sm', { messageId: 7 });
      // @ts-expect-error: the session gives the sequence_number
      session.request('query_sm', { messageId: 'x', sequence: 7 });
      // @ts-expect-error: it has a method of its own
      session.request('submit_sm');
      // @ts-expect-error: and so has this one, on the other side
      smsc.request('deliver_sm');
      // @ts-expect-error: the session sends it itself
      session.request('bind_transmitter');
      // @ts-expect-error: the session sends it itself
      bind.request('enquire_link');
      // @ts-expect-error: it has no response
      session.request('alert_notification');
      // @ts-expect-error: it is a response
      session.request('query_sm_resp');
      // @ts-expect-error: it is none of SMPP
      bind.request('query');
      // @ts-expect-error: it has a response
      smsc.notify('query_sm');
      // @ts-expect-error: no field of it
      smsc.notify('alert_notification', { destAddr: '1' });
    };
    expect(asks).toBeTypeOf('function');

    const read = (outcome: RequestOutcome<'query_sm'>): string => {
      if (outcome.kind !== 'answered') return outcome.kind;
      const { pdu } = outcome;
      expectTypeOf(pdu).toEqualTypeOf<PduOf<'query_sm_resp' | 'generic_nack'>>();
      return pdu.command === 'generic_nack' ? 'generic_nack' : `${pdu.messageId} ${pdu.messageState}`;
    };
    expect(read({ kind: 'answered', pdu: pduOf('query_sm_resp', { messageId: 'a', messageState: 2 }) })).toBe('a 2');

    const serve = (incoming: IncomingRequest): boolean => {
      if (incoming.command !== 'query_sm') return incoming.respond(3);
      expectTypeOf(incoming.pdu).toEqualTypeOf<PduOf<'query_sm'>>();
      // @ts-expect-error: a query_sm_resp has no list
      if (incoming.settled) incoming.respondWith({ unsuccesses: [] });
      return incoming.respondWith({ messageId: incoming.pdu.messageId, messageState: 2 });
    };
    expect(serve).toBeTypeOf('function');
  });

  it('is settled by a refusal, and by a generic_nack that names it', async () => {
    const { session, socket, pdus } = await pair();
    const refused = session.request('cancel_sm', { messageId: 'x' });
    socket.write(encodeHeader(0x80000008, 0x11, (await pdus.next()).sequence));
    expect(await refused).toMatchObject({ kind: 'answered', pdu: { command: 'cancel_sm_resp', status: 0x11 } });
    const unknown = session.request('broadcast_sm', BROADCAST);
    socket.write(encodeHeader(0x80000000, 0x03, (await pdus.next()).sequence));
    expect(await unknown).toMatchObject({ kind: 'answered', pdu: { command: 'generic_nack', status: 0x03 } });
    expect(session.stats().lastError).toBe('the peer answered generic_nack ESME_RINVCMDID');
    expect(session.bound).toBe(true);
  });

  it('is answered by what can be read of an answer, and the link lives', async () => {
    const { session, socket, pdus } = await pair();
    const outcome = session.request('query_sm', { messageId: 'x' });
    // message_id without its end, and nothing after.
    socket.write(pdu(0x80000003, (await pdus.next()).sequence, '7878'));
    expect(await outcome).toMatchObject({ kind: 'answered', pdu: { status: 0 } });
    expect(session.bound).toBe(true);
  });

  it('is in doubt when nobody answers in time or the link ends, and a late answer changes nothing', async () => {
    const { session, socket, pdus } = await pair({ window: 1 });
    const late = session.request('query_sm', { messageId: 'x' }, { timeoutMs: 40 });
    const asked = await pdus.next();
    expect(await late).toEqual({ kind: 'unanswered', reason: 'timeout' });
    expect(session.freeFor(true)).toBe(1);
    socket.write(encodeHeader(0x80000003, 0, asked.sequence));
    const lost = session.request('query_sm', { messageId: 'x' });
    await pdus.next();
    socket.destroy();
    expect(await lost).toEqual({ kind: 'unanswered', reason: 'closed' });
    expect(session.counters.unexpected).toBe(1);
    expect(await session.request('query_sm', { messageId: 'x' })).toEqual({ kind: 'not-sent' });
  });

  it('is not sent over a receiver', async () => {
    const { session } = await pair({}, { mode: 'receiver' });
    expect(await session.request('query_sm', { messageId: 'x' })).toEqual({ kind: 'not-sent' });
  });

  it('with a field that can not be carried is a FieldError, and nothing is sent', async () => {
    const { session, pdus } = await pair();
    await expect(session.request('query_sm', { messageId: 'x'.repeat(65) })).rejects.toThrow(FieldError);
    await expect(session.request('broadcast_sm', { tlvs: [NORTH] })).rejects.toThrow('is required');
    await session.request('cancel_sm', { messageId: 'x' }, { timeoutMs: 1 });
    expect((await pdus.next()).commandId).toBe(0x08);
    expect(session.counters.asked).toBe(2);
  });

  it('shares the window with submit_sm, emergency slots included, and unbind waits for it', async () => {
    const { session, socket, pdus, answers } = await pair({ window: 3 });
    const query = session.request('query_sm', { messageId: 'x' });
    expect([session.freeFor(false), session.freeFor(true)]).toEqual([1, 2]);
    expect(session.submit(messageOf(), 'a')).toBe(true);
    expect(session.submit(messageOf(), 'b')).toBe(false);
    const urgent = session.request('cancel_sm', { messageId: 'x' }, { emergency: true });
    expect(session.freeFor(true)).toBe(0);
    const unbound = session.unbind();
    const [queried, submitted, cancelled] = await pdus.take(3);
    socket.write(submitResp(submitted as RawPdu));
    await answers.next();
    socket.write(encodeHeader(0x80000008, 0, cancelled?.sequence as number));
    await urgent;
    expect(pdus.waiting).toBe(0);
    socket.write(encodeHeader(0x80000003, 0, queried?.sequence as number));
    await query;
    const unbind = await pdus.next();
    expect(unbind.commandId).toBe(0x06);
    socket.write(encodeHeader(0x80000006, 0, unbind.sequence));
    await unbound;
  });

  it('gets no sequence_number that is still asked about, after the wrap', async () => {
    const { session, pdus } = await pair({ enquireLinkMs: 20, responseTimeoutMs: 5_000 });
    const counter = session as unknown as { sequence: number };
    // The enquire_link takes 2, the query 3, the submit_sm 4; none is answered.
    expect(await pdus.next()).toMatchObject({ commandId: 0x15, sequence: 2 });
    void session.request('query_sm', { messageId: 'x' });
    session.submit(messageOf(), 'a');
    counter.sequence = LAST_SEQUENCE - 1;
    for (const context of ['last', 'first', 'next']) session.submit(messageOf(), context);
    const sequences = (await pdus.take(5)).map(({ sequence }) => sequence);
    expect(sequences).toEqual([3, 4, LAST_SEQUENCE, 1, 5]);
  });
});

describe('who waits for room', () => {
  it('gets it in the order of asking, emergency first, and nobody overtakes', async () => {
    const { session, socket, pdus, answers } = await pair({ window: 1 });
    const order: string[] = [];
    session.submit(messageOf(), 'first');
    const told = (name: string) => (sent: boolean) => void (sent && order.push(name));
    void session.submitWhenRoom(messageOf(), 'a').then(told('a'));
    void session.request('query_sm', { messageId: 'x' }).then(() => order.push('query answered'));
    void session.submitWhenRoom(messageOf(), 'b').then(told('b'));
    void session.submitWhenRoom(messageOf(), 'urgent', { emergency: true }).then(told('urgent'));
    expect(session.waiting).toBe(4);
    const onTheWire: number[] = [];
    for (let n = 0; n < 5; n++) {
      const asked = await pdus.next();
      onTheWire.push(asked.commandId);
      // Sent now, it would come before those who wait.
      expect(session.submit(messageOf(), 'overtaker', { emergency: n > 1 })).toBe(false);
      if (asked.commandId === 0x03) socket.write(encodeHeader(0x80000003, 0, asked.sequence));
      else {
        socket.write(submitResp(asked));
        await answers.next();
      }
    }
    expect(onTheWire).toEqual([4, 4, 4, 3, 4]);
    expect(order).toEqual(['urgent', 'a', 'query answered', 'b']);
    expect(session.submit(messageOf(), 'now')).toBe(true);
  });

  it('is served before onAnswer and onRoom of the same read can send', async () => {
    const smsc = await startRawSmsc();
    opened.push(smsc);
    const taken: boolean[] = [];
    const session: Session<string> = await Session.connect<string>({
      host: '127.0.0.1',
      port: smsc.port,
      mode: 'transceiver',
      systemId: 'bank',
      password: 'secret',
      limits: { window: 1 },
      handlers: {
        onAnswer: () => taken.push(session.submit(messageOf(), 'greedy', { emergency: true })),
        onIncoming: () => {},
        onRoom: () => taken.push(session.submit(messageOf(), 'greedy')),
        onClosed: () => {},
      },
    });
    opened.push(session);
    const { socket, pdus } = await smsc.bound.next();
    session.submit(messageOf(), 'first');
    const waited = session.submitWhenRoom(messageOf(), 'patient', { emergency: true });
    socket.write(submitResp(await pdus.next()));
    expect(await waited).toBe(true);
    expect(taken).toEqual([false, false]);
  });

  it('may give up, is sent away when the line is full, and when the session drains or ends', async () => {
    const { session, socket, pdus } = await pair({ window: 1, waitingMax: 2 });
    session.submit(messageOf(), 'first');
    const stop = new AbortController();
    const aborted = session.submitWhenRoom(messageOf(), 'a', { signal: stop.signal });
    const drained = session.submitWhenRoom(messageOf(), 'b');
    expect(await session.submitWhenRoom(messageOf(), 'c')).toBe(false);
    stop.abort();
    expect([await aborted, session.waiting]).toEqual([false, 1]);
    const unbound = session.unbind();
    expect(await drained).toBe(false);
    socket.write(submitResp(await pdus.next()));
    expect((await pdus.next()).commandId).toBe(0x06);
    socket.end();
    await unbound;
    expect(await session.submitWhenRoom(messageOf(), 'd')).toBe(false);
  });

  it('hears of its own bad field alone', async () => {
    const { session, socket, pdus } = await pair({ window: 1 });
    session.submit(messageOf(), 'first');
    const bad = session.request('query_sm', { messageId: 'x' });
    await expect(session.submitWhenRoom(messageOf({ serviceType: 'too long' }), 'x')).rejects.toThrow(FieldError);
    socket.write(submitResp(await pdus.next()));
    socket.write(encodeHeader(0x80000003, 0, (await pdus.next()).sequence));
    expect(await bad).toMatchObject({ kind: 'answered' });
  });
});

describe('a request of the peer', () => {
  // service_type '', from 1/1 '447700900123', to 5/0 'BANK', esm_class 4, registered_delivery 0, data_coding 0
  const dataSm = '00 0101 34343737303039303031323300 0500 42414e4b00 04 00 00'.replaceAll(' ', '');
  // receipted_message_id 'm1', message_state DELIVERED
  const receipt = '001e 0003 6d3100 0427 0001 02'.replaceAll(' ', '');

  it('data_sm brings a receipt as deliver_sm does, and is answered with data_sm_resp', async () => {
    const { socket, pdus, delivers } = await pair();
    socket.write(pdu(0x103, 7, dataSm + receipt));
    const incoming = await delivers.next();
    expect(incoming.pdu).toMatchObject({ sourceAddr: '447700900123', destAddr: 'BANK', esmClass: 4 });
    expect(parseReceipt(incoming.pdu)).toMatchObject({ messageId: 'm1', state: 2 });
    incoming.respond(0, 'd7');
    const answer = await pdus.next();
    expect(answer.hex).toBe(`00000013 80000103 00000000 00000007 643700`.replaceAll(' ', ''));
  });

  it.each([
    ['cut in a field', dataSm.slice(0, 20), 0x02],
    ['cut in a TLV', `${dataSm}0427000502`, 0xc0],
  ])('data_sm %s is answered with its error, and the session lives', async (_name, body, status) => {
    const { socket, pdus, session } = await pair();
    socket.write(pdu(0x103, 7, body));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000103, status, sequence: 7 });
    expect([session.bound, session.counters.malformed]).toEqual([true, 1]);
  });

  it('data_sm is answered busy by the receiver timeout as deliver_sm is', async () => {
    const { socket, pdus } = await pair({ receiverTimeoutMs: 30 });
    socket.write(pdu(0x103, 7, dataSm));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000103, status: 0x64, sequence: 7 });
  });

  it('goes to whoever asked for it, is answered with fields or a status, and busy when nobody does', async () => {
    const { socket, pdus, requests } = await pair({ receiverTimeoutMs: 60 });
    socket.write(encodePdu(pduOf('query_sm', { sequence: 5, messageId: 'x' })));
    const query = await requests.next();
    if (query.command !== 'query_sm') throw new Error(query.command);
    expect(query.pdu.messageId).toBe('x');
    expect(() => query.respondWith({ messageId: 'x'.repeat(65) })).toThrow(FieldError);
    expect([query.respondWith({ messageId: 'x', messageState: 2 }), query.respond(8)]).toEqual([true, false]);
    expect((await pdus.next()).hex).toBe('000000158000000300000000000000057800' + '000200');
    socket.write(encodePdu(pduOf('cancel_sm', { sequence: 6, messageId: 'x' })));
    (await requests.next()).respond(0x11);
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000008, status: 0x11, sequence: 6 });
    socket.write(encodePdu(pduOf('cancel_sm', { sequence: 7, messageId: 'x' })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000008, status: 0x64, sequence: 7 });
  });

  it('that only the other side serves goes to nobody: ESME_RINVCMDID', async () => {
    const { socket, pdus, requests, session } = await pair();
    socket.write(encodePdu(pduOf('submit_sm', { sequence: 5 })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000004, status: 0x03, sequence: 5 });
    socket.write(encodePdu(pduOf('bind_receiver', { sequence: 6 })));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000001, status: 0x03, sequence: 6 });
    expect([requests.waiting, session.counters.unserved, session.bound]).toEqual([0, 2, true]);
  });

  it('alert_notification comes settled: nobody answers it', async () => {
    const { socket, requests, pdus } = await pair();
    socket.write(encodePdu(pduOf('alert_notification', { sequence: 9, sourceAddr: '447700900123', esmeAddr: '1' })));
    const alert = await requests.next();
    expect(alert.pdu).toMatchObject({ command: 'alert_notification', sourceAddr: '447700900123' });
    expect([alert.settled, alert.respond(0)]).toEqual([true, false]);
    socket.write(encodeHeader(0x15, 0, 10));
    expect((await pdus.next()).sequence).toBe(10);
  });

  it('an SMSC of ours sends alert_notification and data_sm', async () => {
    const { port, sessions, close } = await startSmsc();
    opened.push({ close });
    const { socket, pdus } = await connectRawEsme(port);
    const [session] = sessions;
    expect(session?.notify('alert_notification', { sourceAddr: '1', esmeAddr: '2' })).toBe(true);
    expect((await pdus.next()).commandId).toBe(0x102);
    const outcome = session?.request('data_sm', { destAddr: '1' });
    socket.write(encodeHeader(0x80000103, 0x64, (await pdus.next()).sequence));
    expect(await outcome).toMatchObject({ kind: 'answered', pdu: { status: 0x64 } });
  });
});

describe('what a peer sends amiss', () => {
  it.each([
    ['below 16', '0000000f 80000004 00000000'],
    ['beyond all PDUs', '7fffffff 80000004 00000000'],
  ])('a command_length %s: generic_nack ESME_RINVCMDLEN, and the link ends', async (_name, hex) => {
    const { session, socket, pdus, closed, answers } = await pair();
    session.submit(messageOf(), 'a');
    await pdus.next();
    socket.write(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    expect((await pdus.next()).hex).toBe('00000010800000000000000200000000');
    expect(await closed.next()).toBe('foreign-bytes');
    expect(await answers.next()).toEqual(['a', { kind: 'unanswered', reason: 'closed' }]);
    expect(session.stats()).toMatchObject({ state: 'closed', lastError: expect.stringContaining('command_length') });
  });

  it('an enquire_link_resp with an odd sequence_number still is a sign of life', async () => {
    const { session, socket, pdus } = await pair({ enquireLinkMs: 20, responseTimeoutMs: 60 });
    for (let n = 0; n < 4; n++) {
      expect((await pdus.next()).commandId).toBe(0x15);
      socket.write(encodeHeader(0x80000015, 0, 0));
    }
    await pdus.next();
    expect([session.bound, session.counters.unexpected]).toEqual([true, 4]);
  });

  it('a generic_nack that names nothing is counted, and that is all', async () => {
    const { session, socket, pdus } = await pair();
    socket.write(encodeHeader(0x80000000, 0x02, 0));
    socket.write(encodeHeader(0x15, 0, 9));
    await pdus.next();
    expect([session.bound, session.counters.unexpected]).toEqual([true, 1]);
  });
});

describe('time', () => {
  it('a session without requests unbinds after the inactivity timer, enquire_link or not', async () => {
    const { session, socket, pdus, closed } = await pair({ inactivityMs: 120, enquireLinkMs: 30 });
    const start = performance.now();
    const kinds = new Set<number>();
    for (let asked = await pdus.next(); ; asked = await pdus.next()) {
      kinds.add(asked.commandId);
      socket.write(encodeHeader((asked.commandId | 0x80000000) >>> 0, 0, asked.sequence));
      if (asked.commandId === 0x06) break;
    }
    expect(await closed.next()).toBe('inactive');
    expect(performance.now() - start).toBeGreaterThanOrEqual(100);
    expect([...kinds]).toEqual([0x15, 0x06]);
    expect(session.closed).toBe(true);
  });

  it('requests of either side keep it up', async () => {
    const { session, socket, pdus, delivers } = await pair({ inactivityMs: 100 });
    for (let n = 0; n < 4; n++) {
      await sleep(40);
      if (n % 2 === 0) {
        session.submit(messageOf(), 'x');
        socket.write(submitResp(await pdus.next()));
      } else {
        socket.write(encodePdu(pduOf('deliver_sm', { sequence: n })));
        (await delivers.next()).respond(0);
        await pdus.next();
      }
    }
    expect(session.bound).toBe(true);
  });
});

describe('optional parameters', () => {
  const vendors = { tag: 0x1400, value: Buffer.from('0102', 'hex') };
  const sentTo = async (
    said: number | null,
    options: Partial<SessionOptions<string>>,
    tlvs = [vendors],
  ): Promise<{ hex: string; peerVersion: number | null }> => {
    const version = said === null ? {} : { tlvs: [tlv('sc_interface_version', said)] };
    const { session, pdus } = await pair({}, options, version);
    session.submit(messageOf({ tlvs }), 'a');
    return { hex: (await pdus.next()).hex, peerVersion: session.peerVersion };
  };

  it.each([
    ['an SMSC of version 3.4', 0x34, {}, true],
    ['an SMSC of version 5.0', 0x50, {}, true],
    ['an SMSC that says nothing', null, {}, true],
    ['an SMSC of version 3.3', 0x33, {}, false],
    ['any, when we bind as 3.3', 0x34, { interfaceVersion: 0x33 }, false],
    ['version 3.3, where policy says always', 0x33, { optionalParameters: 'always' }, true],
    ['version 3.4, where policy says never', 0x34, { optionalParameters: 'never' }, false],
  ] as const)('to %s: %i %o → %s', async (_name, said, options, sent) => {
    const { hex, peerVersion } = await sentTo(said, options);
    expect(peerVersion).toBe(said);
    expect(hex.endsWith(sent ? '68656c6c6f140000020102' : '68656c6c6f')).toBe(true);
    expect(Number.parseInt(hex.slice(0, 8), 16)).toBe(hex.length / 2);
  });

  it.each([
    ['message_payload', 0x0424],
    ['sar_msg_ref_num', 0x020c],
  ])('with %s they go all the same: no text is cut in silence', async (_name, tag) => {
    const { hex } = await sentTo(0x33, {}, [vendors, { tag, value: Buffer.from('ab', 'hex') }]);
    expect(hex.endsWith('ab')).toBe(true);
  });

  it('an SMSC of ours leaves them out for an ESME of version 3.3, from the answer to its bind on', async () => {
    const { port, sessions, close } = await startSmsc();
    opened.push({ close });
    const { pdus, answer } = await connectRawEsme(port, 'bind_transceiver', { interfaceVersion: 0x33 });
    expect(answer.hex.slice(32)).toBe(Buffer.from('SMSC\0').toString('hex'));
    sessions[0]?.deliver(messageOf({ tlvs: [vendors] }), 'x');
    expect((await pdus.next()).hex.endsWith('68656c6c6f')).toBe(true);
  });
});

it('tells what it does: state, window, answers by status, round trips, the last error', async () => {
  const { session, socket, pdus, answers } = await pair({ window: 4 });
  session.submit(messageOf(), 'a');
  session.submit(messageOf(), 'b');
  session.submit(messageOf(), 'c');
  const [a, b] = await pdus.take(3);
  await sleep(20);
  socket.write(submitResp(a as RawPdu));
  socket.write(encodeHeader(0x80000004, 0x58, b?.sequence as number));
  await answers.take(2);
  const stats = session.stats();
  expect(stats).toMatchObject({ state: 'bound', window: 4, unanswered: 1, waiting: 0 });
  expect(stats.counters).toMatchObject({ sent: 3, answered: 2, timedOut: 0 });
  expect([...stats.counters.refusals]).toEqual([[0x58, 1]]);
  expect(stats.roundTripMs?.p50).toBeGreaterThan(15);
  expect(stats.roundTripMs?.p99).toBeLessThan(500);
  session.close();
  expect(session.stats()).toMatchObject({ state: 'closed', lastError: 'closed' });
});
