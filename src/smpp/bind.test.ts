import { afterEach, describe, expect, it } from 'vitest';
import { CarrierBind, type CarrierBindHandlers, type CarrierBindOptions, type DialFailure } from './bind.ts';
import { FieldError } from './errors.ts';
import { Happenings, listen, messageOf, type Smsc, startSmsc } from './fixtures.ts';
import type { Answer, CloseReason } from './link.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

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
