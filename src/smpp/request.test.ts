// What goes through a session beside submit_sm and deliver_sm, over real TCP. The peer is a plain socket, so that every
// octet and every fault is the test's.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeCold } from './cold.ts';
import { LAST_SEQUENCE } from './commands.ts';
import { FieldError } from './errors.ts';
import type { Answer, CloseReason } from './exchange.ts';
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
import { parseReceipt } from './receipt.ts';
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
  bindFields: Readonly<Record<string, unknown>> = {},
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

const NORTH = { format: 'alias', name: 'north' };
/** The TLVs that a broadcast_sm and a query_broadcast_sm_resp must have (SMPP 5.0 §4.4.1.1, §4.6.1.3). */
const BROADCAST = {
  broadcast_area_identifier: NORTH,
  broadcast_content_type: { network: 1, contentType: 1 },
  broadcast_frequency_interval: { unit: 9, count: 10 },
};
const BROADCAST_STATE = { message_state: 1, broadcast_area_identifier: NORTH, broadcast_area_success: 100 };

describe('a request', () => {
  it.each([
    ['query_sm', 0x03, { message_id: 'x' }, { message_id: 'x', message_state: 2, error_code: 0 }],
    ['replace_sm', 0x07, { message_id: 'x', short_message: Buffer.from('new') }, {}],
    ['cancel_sm', 0x08, { message_id: 'x' }, {}],
    [
      'submit_multi',
      0x21,
      { dest_address: [{ kind: 'distributionList', name: 'STAFF' }] },
      { message_id: 'y', unsuccess_sme: [] },
    ],
    ['data_sm', 0x103, { destination_addr: '1' }, { message_id: 'z' }],
    ['broadcast_sm', 0x111, BROADCAST, { message_id: 'b' }],
    ['query_broadcast_sm', 0x112, { message_id: 'b' }, { ...BROADCAST_STATE, message_id: 'b' }],
    ['cancel_broadcast_sm', 0x113, { message_id: 'b' }, {}],
  ])('%s goes out and comes back with what the peer says', async (command, commandId, fields, said) => {
    const { session, socket, pdus } = await pair();
    const outcome = session.request(command, fields);
    const asked = await pdus.next();
    expect(asked.commandId).toBe(commandId);
    expect(session.unanswered).toBe(1);
    socket.write(encodeCold(`${command}_resp`, asked.sequence, said));
    expect(await outcome).toMatchObject({
      kind: 'answered',
      pdu: { command: `${command}_resp`, status: 0, fields: said },
    });
    expect(session.unanswered).toBe(0);
  });

  it('is settled by a refusal, and by a generic_nack that names it', async () => {
    const { session, socket, pdus } = await pair();
    const refused = session.request('cancel_sm', { message_id: 'x' });
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
    const outcome = session.request('query_sm', { message_id: 'x' });
    // message_id without its end, and nothing after.
    socket.write(pdu(0x80000003, (await pdus.next()).sequence, '7878'));
    expect(await outcome).toMatchObject({ kind: 'answered', pdu: { status: 0 } });
    expect(session.bound).toBe(true);
  });

  it('is in doubt when nobody answers in time or the link ends, and a late answer changes nothing', async () => {
    const { session, socket, pdus } = await pair({ window: 1 });
    const late = session.request('query_sm', { message_id: 'x' }, { timeoutMs: 40 });
    const asked = await pdus.next();
    expect(await late).toEqual({ kind: 'unanswered', reason: 'timeout' });
    expect(session.freeFor(true)).toBe(1);
    socket.write(encodeHeader(0x80000003, 0, asked.sequence));
    const lost = session.request('query_sm', { message_id: 'x' });
    await pdus.next();
    socket.destroy();
    expect(await lost).toEqual({ kind: 'unanswered', reason: 'closed' });
    expect(session.counters.unexpected).toBe(1);
    expect(await session.request('query_sm', { message_id: 'x' })).toEqual({ kind: 'not-sent' });
  });

  it('is not sent over a receiver', async () => {
    const { session } = await pair({}, { mode: 'receiver' });
    expect(await session.request('query_sm', { message_id: 'x' })).toEqual({ kind: 'not-sent' });
  });

  it.each([
    ['submit_sm', 'has a method of its own'],
    ['bind_transmitter', 'the session sends itself'],
    ['enquire_link', 'the session sends itself'],
    ['alert_notification', 'has no response'],
    ['query_sm_resp', 'has no response'],
    ['smpp', 'is not one of SMPP'],
  ])('%s is none: a FieldError, and nothing is sent', async (command, rule) => {
    const { session, pdus } = await pair();
    await expect(session.request(command)).rejects.toThrow(FieldError);
    await expect(session.request(command)).rejects.toThrow(rule);
    await session.request('query_sm', { message_id: 'x' }, { timeoutMs: 1 });
    expect((await pdus.next()).commandId).toBe(0x03);
  });

  it('shares the window with submit_sm, emergency slots included, and unbind waits for it', async () => {
    const { session, socket, pdus, answers } = await pair({ window: 3 });
    const query = session.request('query_sm', { message_id: 'x' });
    expect([session.freeFor(false), session.freeFor(true)]).toEqual([1, 2]);
    expect(session.submit(messageOf(), 'a')).toBe(true);
    expect(session.submit(messageOf(), 'b')).toBe(false);
    const urgent = session.request('cancel_sm', { message_id: 'x' }, { emergency: true });
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
    void session.request('query_sm', { message_id: 'x' });
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
    void session.request('query_sm', { message_id: 'x' }).then(() => order.push('query answered'));
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
    const bad = session.request('query_sm', { message_id: 'x' });
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
    socket.write(encodeCold('query_sm', 5, { message_id: 'x' }));
    const query = await requests.next();
    expect(query.pdu).toMatchObject({ command: 'query_sm', fields: { message_id: 'x' } });
    expect(() => query.respondWith({ message_id: {} })).toThrow(FieldError);
    expect([query.respondWith({ message_id: 'x', message_state: 2 }), query.respond(8)]).toEqual([true, false]);
    expect((await pdus.next()).hex).toBe('000000158000000300000000000000057800' + '000200');
    socket.write(encodeCold('cancel_sm', 6, { message_id: 'x' }));
    (await requests.next()).respond(0x11);
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000008, status: 0x11, sequence: 6 });
    socket.write(encodeCold('cancel_sm', 7, { message_id: 'x' }));
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000008, status: 0x64, sequence: 7 });
  });

  it('alert_notification comes settled: nobody answers it', async () => {
    const { socket, requests, pdus } = await pair();
    socket.write(encodeCold('alert_notification', 9, { source_addr: '447700900123', esme_addr: '1' }));
    const alert = await requests.next();
    expect([alert.pdu.fields.source_addr, alert.settled, alert.respond(0)]).toEqual(['447700900123', true, false]);
    socket.write(encodeHeader(0x15, 0, 10));
    expect((await pdus.next()).sequence).toBe(10);
  });

  it('an SMSC of ours sends alert_notification and data_sm', async () => {
    const { port, sessions, close } = await startSmsc();
    opened.push({ close });
    const { socket, pdus } = await connectRawEsme(port);
    const [session] = sessions;
    expect(session?.notify('alert_notification', { source_addr: '1', esme_addr: '2' })).toBe(true);
    expect((await pdus.next()).commandId).toBe(0x102);
    const outcome = session?.request('data_sm', { destination_addr: '1' });
    socket.write(encodeHeader(0x80000103, 0x64, (await pdus.next()).sequence));
    expect(await outcome).toMatchObject({ kind: 'answered', pdu: { status: 0x64 } });
    expect(() => session?.notify('query_sm')).toThrow(FieldError);
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
        socket.write(encodeCold('deliver_sm', n, {}));
        (await delivers.next()).respond(0);
        await pdus.next();
      }
    }
    expect(session.bound).toBe(true);
  });
});

describe('optional parameters', () => {
  const tlv = { tag: 0x1400, value: Buffer.from('0102', 'hex') };
  const sentTo = async (
    bindFields: Readonly<Record<string, unknown>>,
    options: Partial<SessionOptions<string>>,
    tlvs = [tlv],
  ): Promise<{ hex: string; peerVersion: number | null }> => {
    const { session, pdus } = await pair({}, options, bindFields);
    session.submit(messageOf({ tlvs }), 'a');
    return { hex: (await pdus.next()).hex, peerVersion: session.peerVersion };
  };

  it.each([
    ['an SMSC of version 3.4', { sc_interface_version: 0x34 }, {}, true],
    ['an SMSC of version 5.0', { sc_interface_version: 0x50 }, {}, true],
    ['an SMSC that says nothing', {}, {}, true],
    ['an SMSC of version 3.3', { sc_interface_version: 0x33 }, {}, false],
    ['any, when we bind as 3.3', { sc_interface_version: 0x34 }, { interfaceVersion: 0x33 }, false],
    ['version 3.3, where policy says always', { sc_interface_version: 0x33 }, { optionalParameters: 'always' }, true],
    ['version 3.4, where policy says never', { sc_interface_version: 0x34 }, { optionalParameters: 'never' }, false],
  ] as const)('to %s: %o %o → %s', async (_name, said, options, sent) => {
    const { hex, peerVersion } = await sentTo(said, options);
    expect(peerVersion).toBe('sc_interface_version' in said ? said.sc_interface_version : null);
    expect(hex.endsWith(sent ? '68656c6c6f140000020102' : '68656c6c6f')).toBe(true);
    expect(Number.parseInt(hex.slice(0, 8), 16)).toBe(hex.length / 2);
  });

  it.each([
    ['message_payload', 0x0424],
    ['sar_msg_ref_num', 0x020c],
  ])('with %s they go all the same: no text is cut in silence', async (_name, tag) => {
    const { hex } = await sentTo({ sc_interface_version: 0x33 }, {}, [tlv, { tag, value: Buffer.from('ab', 'hex') }]);
    expect(hex.endsWith('ab')).toBe(true);
  });

  it('an SMSC of ours leaves them out for an ESME of version 3.3, from the answer to its bind on', async () => {
    const { port, sessions, close } = await startSmsc();
    opened.push({ close });
    const { pdus, answer } = await connectRawEsme(port, 'bind_transceiver', { interface_version: 0x33 });
    expect(answer.hex.slice(32)).toBe(Buffer.from('SMSC\0').toString('hex'));
    sessions[0]?.deliver(messageOf({ tlvs: [tlv] }), 'x');
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
