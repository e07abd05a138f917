import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CarrierBind,
  type CarrierBindHandlers,
  type CarrierBindOptions,
  type CarrierBindStats,
  type DialFailure,
} from './bind.ts';
import { type BindError, FieldError } from './errors.ts';
import type { Answer, CloseReason } from './exchange.ts';
import {
  Happenings,
  listen,
  messageOf,
  pdusOf,
  type RawPeer,
  type RawSmsc,
  type Smsc,
  startRawSmsc,
  startSmsc,
} from './fixtures.ts';
import { encodeDeliverSm, encodeSubmitSmResp } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

async function rawSmsc(...args: Parameters<typeof startRawSmsc>): Promise<RawSmsc> {
  const started = await startRawSmsc(...args);
  opened.push(started);
  return started;
}

/** A port of this machine on which nothing listens. */
async function deadPort(): Promise<number> {
  const { port, close } = await listen(() => {});
  await close();
  return port;
}

const at = (port: number) => ({ host: '127.0.0.1', port });

async function smsc(...args: Parameters<typeof startSmsc>): Promise<Smsc> {
  const started = await startSmsc(...args);
  opened.push(started);
  return started;
}

interface Watched {
  bind: CarrierBind<string>;
  answers: Happenings<[string, Answer]>;
  ups: Happenings<void>;
  downs: Happenings<void>;
  failures: Happenings<DialFailure>;
  closed: Happenings<[CloseReason, string[]]>;
  stats: Happenings<CarrierBindStats>;
}

function carrier(
  port: number,
  options: Partial<CarrierBindOptions<string>> = {},
  handlers: Partial<CarrierBindHandlers<string>> = {},
): Watched {
  const watched = {
    answers: new Happenings<[string, Answer]>(),
    ups: new Happenings<void>(),
    downs: new Happenings<void>(),
    failures: new Happenings<DialFailure>(),
    closed: new Happenings<[CloseReason, string[]]>(),
    stats: new Happenings<CarrierBindStats>(),
  };
  const bind = new CarrierBind<string>({
    hosts: [{ host: '127.0.0.1', port }],
    mode: 'transceiver',
    systemId: 'bank',
    password: 'secret',
    sessions: 1,
    backoff: { firstMs: 8, factor: 2, maxMs: 40, healthyMs: 60_000 },
    random: () => 0.5,
    limits: { window: 4 },
    ...options,
    handlers: {
      onAnswer: (context, answer) => watched.answers.push([context, answer]),
      onDeliver: (incoming) => incoming.respond(0),
      onUp: () => watched.ups.push(),
      onDown: () => watched.downs.push(),
      onDialFailed: watched.failures.push,
      onSessionClosed: (reason, inFlight) => watched.closed.push([reason, inFlight]),
      onStats: watched.stats.push,
      ...handlers,
    },
  });
  opened.push(bind);
  bind.start();
  return { bind, ...watched };
}

/** Waits until `done` holds, looking once per turn of the event loop. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a carrier bind', () => {
  it('keeps its sessions up and sends through the one with most room', async () => {
    const { port, sessions } = await smsc({ onIncoming: () => {} });
    const { bind, ups } = carrier(port, { sessions: 3 });
    await ups.next();
    await until(() => bind.stats().sessions === 3);
    expect([bind.free, bind.freeFor(true)]).toEqual([9, 12]);
    for (let i = 0; i < 6; i++) expect(bind.submit(messageOf(), `m${i}`)).toBe(true);
    await until(() => sessions.every((session) => session.counters.received === 2));
    let more = 0;
    while (bind.submit(messageOf(), 'x', { emergency: true })) more++;
    expect(more).toBe(6);
    expect(bind.stats()).toMatchObject({ sessions: 3, unanswered: 12, binds: 3, counters: { sent: 12 } });
    expect(ups.waiting).toBe(0);
  });

  it('comes back after the carrier was gone, and reports what was in flight', async () => {
    const first = await smsc({ onIncoming: () => {} });
    const { bind, ups, downs, closed, answers, failures } = carrier(first.port);
    await ups.next();
    bind.submit(messageOf(), 'lost');
    await until(() => first.sessions[0]?.counters.received === 1);
    await first.close();
    await downs.next();
    expect(await closed.next()).toEqual([expect.stringMatching(/^(peer-ended|socket-error)$/), ['lost']]);
    expect(await answers.next()).toEqual(['lost', { kind: 'unanswered', reason: 'closed' }]);
    expect([bind.up, bind.free, bind.submit(messageOf(), 'no')]).toEqual([false, 0, false]);
    expect((await failures.next()).error.code).toBe('connect-failed');
    await smsc({}, {}, first.port);
    await ups.next();
    expect(bind.submit(messageOf(), 'again')).toBe(true);
    expect(await answers.next()).toMatchObject(['again', { kind: 'answered', status: 0 }]);
  });

  it('backs off exponentially with jitter, one report per step, however many sessions it wants', async () => {
    let dials = 0;
    const { port } = await smsc({
      onBind: () => {
        dials++;
        return 0x0d;
      },
    });
    const { failures, bind } = carrier(port, { sessions: 5 });
    const seen = await failures.take(6);
    bind.close();
    // random 0.5: three quarters of the step.
    expect(seen.map((failure) => failure.retryInMs)).toEqual([6, 12, 24, 30, 30, 30]);
    expect(seen.map((failure) => failure.failures)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { error } of seen) expect(error).toMatchObject({ code: 'bind-refused', status: 0x0d });
    expect(dials).toBe(6);
  });

  it('jitter spreads a step over its upper half', async () => {
    const draws = [0, 0.999, 0];
    const { port } = await smsc({ onBind: () => 0x0d });
    const { failures } = carrier(port, { random: () => draws.shift() ?? 0 });
    const [low, high] = await failures.take(2);
    expect(low?.retryInMs).toBe(4);
    expect(high?.retryInMs).toBeCloseTo(16, 0);
  });

  it('does not hammer a carrier that accepts and drops; a healthy session starts the backoff anew', async () => {
    const { port } = await smsc({ onBound: (session) => session.close() });
    const bound: number[] = [];
    const { closed } = carrier(port, {}, { onUp: () => bound.push(performance.now()) });
    const start = performance.now();
    await closed.take(5);
    // 6 + 12 + 24 + 30 ms of backoff lie between five binds.
    expect(performance.now() - start).toBeGreaterThanOrEqual(70);

    const healthy = await smsc();
    const { bind, ups } = carrier(healthy.port, { backoff: { firstMs: 8, factor: 2, maxMs: 40, healthyMs: 0 } });
    for (let i = 0; i < 5; i++) {
      await ups.next();
      healthy.sessions.at(-1)?.close();
    }
    await ups.next();
    expect(bind.stats().dialFailures).toBe(0);
  });

  it('a carrier that speaks something else is a failed dial, again and again, and nothing worse', async () => {
    const listening = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    opened.push(listening);
    const { failures, bind } = carrier(listening.port);
    for (const { error } of await failures.take(3)) expect(error.code).toBe('closed');
    expect(bind.up).toBe(false);
  });

  it('unbind drains every session and dials no more', async () => {
    const peer = new Happenings<CloseReason>();
    const { port } = await smsc({ onClosed: peer.push });
    const { bind, answers, closed } = carrier(port, { sessions: 2 });
    await until(() => bind.stats().sessions === 2);
    bind.submit(messageOf(), 'a');
    bind.submit(messageOf(), 'b');
    await bind.unbind();
    expect((await answers.take(2)).map(([context]) => context).sort()).toEqual(['a', 'b']);
    expect((await closed.take(2)).map(([reason]) => reason)).toEqual(['unbound', 'unbound']);
    expect(await peer.take(2)).toEqual(['peer-unbound', 'peer-unbound']);
    expect(bind.stats()).toMatchObject({ sessions: 0, binds: 2 });
  });

  it('can be closed while it dials and while it waits', async () => {
    const silent = await listen(() => {});
    opened.push(silent);
    const dialling = carrier(silent.port);
    await until(() => silent.sockets.length === 1);
    await dialling.bind.unbind();
    expect(dialling.failures.waiting).toBe(0);

    const { port } = await smsc({ onBind: () => 0x0d });
    const waiting = carrier(port, { backoff: { firstMs: 3_600_000, factor: 2, maxMs: 3_600_000, healthyMs: 1 } });
    await waiting.failures.next();
    await waiting.bind.unbind();
  });

  it('refuses an account name that can not be sent, before dialling', () => {
    const options = {
      hosts: [{ host: 'x', port: 1 }],
      mode: 'transceiver' as const,
      sessions: 1,
      random: () => 0,
      password: '',
    };
    const handlers = { onAnswer: () => {}, onDeliver: () => {} };
    expect(() => new CarrierBind({ ...options, handlers, systemId: 'bänk' })).toThrow(FieldError);
  });
});

describe('pairs of transmitter and receiver', () => {
  it('come up as many as are wanted; what is sent leaves by a transmitter, receipts come by a receiver', async () => {
    const raw = await rawSmsc();
    const receipts = new Happenings<number>();
    const { bind, stats } = carrier(
      raw.port,
      { mode: 'pair', sessions: 2 },
      { onDeliver: (incoming) => receipts.push(incoming.sequence) },
    );
    const bound = await raw.bound.take(4);
    expect(bound.map((peer) => peer.bind.commandId).sort()).toEqual([1, 1, 2, 2]);
    await until(() => bind.stats().sessions === 4);
    expect([bind.sendingSessions, bind.free, bind.freeFor(true), bind.stats().state]).toEqual([2, 6, 8, 'up']);
    const before = new Set((await stats.take(2)).map(({ state }) => state));
    expect(before).toEqual(new Set(['degraded', 'up']));
    for (let n = 0; n < 4; n++) bind.submit(messageOf(), `m${n}`);
    const sent = async (peer: RawPeer) => (await peer.pdus.take(2)).map(({ commandId }) => commandId);
    for (const peer of bound.filter(({ bind: { commandId } }) => commandId === 2))
      expect(await sent(peer)).toEqual([4, 4]);
    for (const peer of bound.filter(({ bind: { commandId } }) => commandId === 1)) {
      expect(peer.pdus.waiting).toBe(0);
      peer.socket.write(encodeDeliverSm(9, messageOf({ esmClass: 4 })));
      expect(await receipts.next()).toBe(9);
    }
    // Its mode is kept to by the transmitter.
    bound.find((peer) => peer.bind.commandId === 2)?.socket.write(encodeDeliverSm(9, messageOf()));
    const refused = await bound.find((peer) => peer.bind.commandId === 2)?.pdus.next();
    expect(refused).toMatchObject({ commandId: 0x80000005, status: 0x04 });
  });

  it('a carrier that refuses receivers still takes what is sent, and is asked for them again', async () => {
    const { port } = await smsc({ onBind: ({ mode }) => (mode === 'receiver' ? 0x0d : 0) });
    const { bind, ups, failures, answers } = carrier(port, { mode: 'pair' });
    await ups.next();
    expect(bind.submit(messageOf(), 'a')).toBe(true);
    await answers.next();
    for (const { mode, error } of await failures.take(3)) expect([mode, error.status]).toEqual(['receiver', 0x0d]);
    expect(bind.stats()).toMatchObject({ state: 'degraded', sessions: 1 });
  });

  it('is down when the last transmitter is gone, receivers or not', async () => {
    const { port, sessions } = await smsc();
    const { bind, ups, downs } = carrier(port, { mode: 'pair' });
    await ups.next();
    await until(() => bind.stats().state === 'up');
    sessions.find(({ mode }) => mode === 'receiver')?.close();
    await until(() => bind.stats().state === 'degraded');
    expect([downs.waiting, bind.up]).toEqual([0, true]);
    sessions.find(({ mode }) => mode === 'transmitter')?.close();
    await downs.next();
    await ups.next();
  });
});

describe('ESME_RALYBND', () => {
  it('is retried at its own pace, without a step of the backoff', async () => {
    let refusals = 4;
    const { port } = await smsc({ onBind: () => (refusals-- > 0 ? 0x05 : 0) });
    const { failures, ups } = carrier(port, {
      backoff: { firstMs: 60_000, maxMs: 60_000, alreadyBoundMs: 30 },
    });
    const start = performance.now();
    await ups.next();
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(4 * 30 - 5);
    expect(took).toBeLessThan(2_000);
    expect((await failures.take(4)).map(({ retryInMs, failures: n }) => [n, retryInMs])).toEqual([
      [1, 30],
      [2, 30],
      [3, 30],
      [4, 30],
    ]);
  });

  it('comes each second unless told otherwise', async () => {
    const { port } = await smsc({ onBind: () => 0x05 });
    const { failures } = carrier(port, { backoff: {} });
    expect((await failures.next()).retryInMs).toBe(1_000);
  });
});

describe('several hosts', () => {
  it('the next is dialled at once when one can not be reached, and the backoff counts rounds', async () => {
    const dead = [await deadPort(), await deadPort(), await deadPort()];
    const { failures, bind } = carrier(dead[0] as number, { hosts: dead.map(at) });
    const seen = await failures.take(7);
    bind.close();
    expect(seen.map(({ host }) => dead.indexOf(host.port))).toEqual([0, 1, 2, 0, 1, 2, 0]);
    expect(seen.map(({ retryInMs }) => retryInMs)).toEqual([0, 0, 6, 0, 0, 12, 0]);
  });

  it('serves from the second while the first is down, comes back to the first, and loses nothing on the way', async () => {
    const primaryPort = await deadPort();
    const held: (() => void)[] = [];
    const second = await smsc({ onIncoming: (incoming) => held.push(() => incoming.respond(0, 'm')) });
    const { bind, ups, downs, answers, closed } = carrier(primaryPort, {
      hosts: [at(primaryPort), at(second.port)],
      sessions: 2,
      returnAfterMs: 100,
    });
    await ups.next();
    await until(() => bind.stats().sessions === 2);
    const hosts = () => bind.stats().bySession.map(({ host }) => host?.port);
    expect(hosts()).toEqual([second.port, second.port]);
    bind.submit(messageOf(), 'on the second');
    await until(() => held.length === 1);

    const primary = await smsc({}, {}, primaryPort);
    await until(() => primary.sessions.filter(({ bound }) => bound).length === 2);
    // One has nothing to wait for and is gone; the other waits for its answer.
    await until(() => hosts().filter((port) => port === second.port).length === 1);
    bind.submit(messageOf(), 'on the first');
    expect(await answers.next()).toMatchObject(['on the first', { kind: 'answered' }]);
    held[0]?.();
    expect(await answers.next()).toMatchObject(['on the second', { kind: 'answered', status: 0 }]);
    await until(() => bind.stats().sessions === 2 && hosts().every((port) => port === primaryPort));
    expect((await closed.take(2)).map(([reason]) => reason)).toEqual(['unbound', 'unbound']);
    expect(downs.waiting).toBe(0);
  });

  it('sessions that work stay where they are when the first host refuses one more', async () => {
    const primaryPort = await deadPort();
    const second = await smsc();
    const { bind, ups, failures, closed } = carrier(primaryPort, {
      hosts: [at(primaryPort), at(second.port)],
      returnAfterMs: 50,
      backoff: { firstMs: 8, alreadyBoundMs: 20 },
    });
    await ups.next();
    expect((await failures.next()).error.code).toBe('connect-failed');
    await smsc({ onBind: () => 0x05 }, {}, primaryPort);
    // Some of these may still have found nobody there.
    while ((await failures.next()).error.status !== 0x05);
    await failures.next();
    expect([bind.up, closed.waiting, bind.stats().bySession[0]?.host?.port]).toEqual([true, 0, second.port]);
  });

  it('are not tried one after the other with an account that is refused', async () => {
    const refusing = await smsc({ onBind: () => 0x0e });
    const { failures } = carrier(refusing.port, { hosts: [at(refusing.port), at(await deadPort())] });
    const seen = await failures.take(3);
    expect(seen.map(({ host, error }) => [host.port, error.status])).toEqual(Array(3).fill([refusing.port, 0x0e]));
  });

  it('one that has no place for us now gives way to the next', async () => {
    const full = await smsc({ onBind: () => 0x0d });
    const other = await smsc();
    const { ups, bind } = carrier(full.port, { hosts: [at(full.port), at(other.port)] });
    await ups.next();
    expect(bind.stats().bySession[0]?.host?.port).toBe(other.port);
  });
});

describe('outbind', () => {
  const agreed = { systemId: 'CARRIER', password: 'let-in' };

  it('an SMSC that connects and says who it is gets a receiver on that connection', async () => {
    const { port } = await smsc();
    const listenPort = await deadPort();
    const receipts = new Happenings<number>();
    const { bind, ups, closed } = carrier(
      port,
      { mode: 'transmitter', outbind: { ...agreed, listen: at(listenPort) } },
      {
        onDeliver: (incoming) => {
          receipts.push(incoming.sequence);
          incoming.respond(0);
        },
      },
    );
    await ups.next();
    const { socket, pdus } = await callIn(listenPort, agreed);
    const asked = await pdus.next();
    expect(asked.commandId).toBe(0x01);
    expect(asked.hex).toContain(Buffer.from('bank\0secret\0').toString('hex'));
    socket.write(encodePdu(pduOf('bind_receiver_resp', { sequence: asked.sequence, systemId: 'CARRIER' })));
    socket.write(encodeDeliverSm(5, messageOf({ esmClass: 4 })));
    expect(await receipts.next()).toBe(5);
    expect(await pdus.next()).toMatchObject({ commandId: 0x80000005, status: 0, sequence: 5 });
    await until(() => bind.stats().sessions === 2);
    expect(bind.stats()).toMatchObject({ state: 'up', binds: 2 });
    expect(bind.stats().bySession[1]).toMatchObject({ mode: 'receiver', host: null, peerSystemId: 'CARRIER' });
    expect(bind.sendingSessions).toBe(1);
    socket.end();
    expect((await closed.next())[0]).toBe('peer-ended');
    expect(bind.stats().sessions).toBe(1);
  });

  it.each([
    ['the wrong name', encodePdu(pduOf('outbind', { systemId: 'OTHER', password: 'let-in' }))],
    ['the wrong password', encodePdu(pduOf('outbind', { systemId: 'CARRIER', password: 'let-on' }))],
    ['no outbind but another request', encodeDeliverSm(1, messageOf())],
    ['something that is no SMPP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['nothing', Buffer.alloc(0)],
  ])('with %s there is no session, and the listener lives', async (_name, octets) => {
    const { port } = await smsc();
    const listenPort = await deadPort();
    const refusals = new Happenings<BindError>();
    const { ups } = carrier(
      port,
      { mode: 'transmitter', bindTimeoutMs: 1_000, outbind: { ...agreed, listen: at(listenPort) } },
      { onOutbindRefused: refusals.push },
    );
    await ups.next();
    const socket = await dialIn(listenPort);
    socket.write(octets);
    const refusal = await refusals.next();
    expect(refusal.code).toBe('no-outbind');
    expect(refusal.message).not.toMatch(/let-/);
    const { pdus } = await callIn(listenPort, agreed);
    expect((await pdus.next()).commandId).toBe(0x01);
  });

  it('no more than the account may have, and a port that is taken harms nothing else', async () => {
    const { port } = await smsc();
    const listenPort = await deadPort();
    const outbind = { ...agreed, listen: at(listenPort) };
    const first = carrier(port, { mode: 'transmitter', outbind, limits: { responseTimeoutMs: 50 } });
    await first.ups.next();
    const { socket, pdus } = await callIn(listenPort, agreed);
    socket.write(
      encodePdu(pduOf('bind_receiver_resp', { sequence: (await pdus.next()).sequence, systemId: 'CARRIER' })),
    );
    await until(() => first.bind.stats().sessions === 2);
    const second = await callIn(listenPort, agreed);
    await once(second.socket, 'close');
    const trouble = new Happenings<Error>();
    const { ups } = carrier(port, { mode: 'transmitter', outbind }, { onOutbindTrouble: trouble.push });
    expect(await trouble.next()).toMatchObject({ code: 'EADDRINUSE' });
    await ups.next();
    await first.bind.unbind();
    expect(first.bind.stats()).toMatchObject({ state: 'closed', sessions: 0 });
    await expect(dialIn(listenPort)).rejects.toThrow('ECONNREFUSED');
  });

  async function dialIn(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    opened.push({ close: () => socket.destroy() });
    await once(socket, 'connect');
    socket.on('error', () => {});
    return socket;
  }

  async function callIn(port: number, names: typeof agreed): Promise<RawPeer> {
    const socket = await dialIn(port);
    const pdus = pdusOf(socket);
    socket.write(encodePdu(pduOf('outbind', { systemId: names.systemId, password: names.password })));
    return { socket, pdus };
  }
});

describe('a bind that ends', () => {
  it('by close gives back what was in flight, over all sessions, once', async () => {
    const { port, sessions } = await smsc({ onIncoming: () => {} });
    const { bind, closed, answers } = carrier(port, { sessions: 2 });
    await until(() => bind.stats().sessions === 2);
    for (const context of ['a', 'b', 'c']) bind.submit(messageOf(), context);
    await until(() => sessions.reduce((sum, { counters }) => sum + counters.received, 0) === 3);
    expect(bind.close().sort()).toEqual(['a', 'b', 'c']);
    expect((await closed.take(2)).flatMap(([, inFlight]) => inFlight).sort()).toEqual(['a', 'b', 'c']);
    expect((await answers.take(3)).every(([, { kind }]) => kind === 'unanswered')).toBe(true);
    expect([bind.close(), bind.stats().state]).toEqual([[], 'closed']);
  });

  it('tells by its state how it drains', async () => {
    const held: (() => void)[] = [];
    const { port } = await smsc({ onIncoming: (incoming) => held.push(() => incoming.respond(0, 'm')) });
    const { bind, ups, stats } = carrier(port);
    await ups.next();
    bind.submit(messageOf(), 'a');
    await until(() => held.length === 1);
    const unbound = bind.unbind();
    expect(bind.stats()).toMatchObject({ state: 'draining', unanswered: 1, bySession: [{ state: 'draining' }] });
    held[0]?.();
    await unbound;
    const states = (await stats.take(3)).map(({ state }) => state);
    expect(states).toEqual(['up', 'draining', 'closed']);
  });
});

it('counts over the life of the account, sessions that are gone included, and says so now and then', async () => {
  const { port, sessions } = await smsc({
    onIncoming: (incoming) => incoming.respond(incoming.pdu.destAddr === '0' ? 0x0b : 0, 'm'),
  });
  const { bind, ups, downs, answers, stats } = carrier(port, { statsMs: 20 });
  await ups.next();
  bind.submit(messageOf({ destAddr: '0' }), 'a');
  await answers.next();
  sessions[0]?.close();
  await downs.next();
  await ups.next();
  bind.submit(messageOf(), 'b');
  await answers.next();
  const seen = bind.stats();
  expect(seen.counters).toMatchObject({ sent: 2, answered: 2 });
  expect([...seen.counters.refusals]).toEqual([[0x0b, 1]]);
  expect(seen).toMatchObject({ state: 'up', binds: 2, lastError: expect.stringMatching(/^peer-ended|^socket-error/) });
  expect(seen.bySession).toMatchObject([
    { mode: 'transceiver', host: at(port), peerSystemId: 'SMSC', peerVersion: 0x34 },
  ]);
  expect(seen.roundTripMs?.p50).toBeGreaterThan(0);
  // Without a change of state between them.
  let [before, now] = await stats.take(2);
  while (before?.state !== now?.state) [before, now] = [now, await stats.next()];
});

it('requests and senders that wait go through a session that may send, or are told that there is none', async () => {
  const raw = await rawSmsc();
  const { bind, ups } = carrier(raw.port, { mode: 'pair', limits: { window: 1 } });
  expect(await bind.request('query_sm', { messageId: 'x' })).toEqual({ kind: 'not-sent' });
  expect(await bind.submitWhenRoom(messageOf(), 'a')).toBe(false);
  await ups.next();
  const peers = await raw.bound.take(2);
  const transmitter = peers.find((peer) => peer.bind.commandId === 2) as RawPeer;
  const query = bind.request('query_sm', { messageId: 'x' });
  const waited = bind.submitWhenRoom(messageOf(), 'a');
  const asked = await transmitter.pdus.next();
  transmitter.socket.write(
    encodePdu(pduOf('query_sm_resp', { sequence: asked.sequence, messageId: 'x', messageState: 2 })),
  );
  expect(await query).toMatchObject({ kind: 'answered', pdu: { command: 'query_sm_resp', messageState: 2 } });
  expect(await waited).toBe(true);
  expect((await transmitter.pdus.next()).commandId).toBe(4);
});

it('who waits gets the first room in any session, in the order of asking, and is told when all are gone', async () => {
  const raw = await rawSmsc();
  const { bind } = carrier(raw.port, { sessions: 2, limits: { window: 1 } });
  const [one, other] = [await raw.bound.next(), await raw.bound.next()];
  await until(() => bind.stats().sessions === 2);
  for (const context of ['a', 'b']) expect(bind.submit(messageOf(), context)).toBe(true);
  const order: string[] = [];
  const waits = (name: string, emergency: boolean) =>
    bind.submitWhenRoom(messageOf(), name, { emergency }).then((sent) => order.push(`${name} ${sent}`));
  const all = [waits('first', false), waits('second', false), waits('urgent', true), waits('last', false)];
  expect([bind.stats().waiting, bind.freeFor(true), bind.submit(messageOf(), 'overtaker')]).toEqual([4, 0, false]);
  const answer = async ({ socket, pdus }: RawPeer) => {
    const { sequence } = await pdus.next();
    socket.write(encodeSubmitSmResp(sequence, { status: 0, messageId: 'm', tlvs: [] }));
  };
  // The same session thrice: the other has room for nobody.
  await answer(other);
  await answer(other);
  await answer(other);
  await until(() => order.length === 3);
  expect(order).toEqual(['urgent true', 'first true', 'second true']);
  one.socket.destroy();
  other.socket.destroy();
  await Promise.all(all);
  expect(order[3]).toBe('last false');
});
