/** Each fault of the link: that it fired, what the gateway's bind made of it, and that the bind is healthy afterwards. */
import { describe, expect, test } from 'vitest';
import { Status } from '../smpp/index.ts';
import { wrongLengths } from './faults.ts';
import { foreignProtocols } from './foreign.ts';
import { Gateway } from './testing-gateway.ts';

const bindFailed = 0x0d;

describe('a connection that ends', () => {
  test('when the n-th message comes: those before are answered, the n-th is in doubt, the bind comes back', async () => {
    await using gateway = await Gateway.up({ account: { faults: { cutAfter: 3 } } });
    const answers = await gateway.submit(3);
    expect(answers.map(({ kind }) => kind)).toEqual(['answered', 'answered', 'unanswered']);
    expect(gateway.closed).toMatchObject([{ reason: 'socket-error', inFlight: [3], detail: 'ECONNRESET' }]);
    expect(gateway.fired('cut')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('in the middle of an answer: that message is in doubt', async () => {
    await using gateway = await Gateway.up({ account: { faults: { cutMidAnswerNext: 1 } } });
    const [answer] = await gateway.submit();
    expect(answer).toEqual({ kind: 'unanswered', reason: 'closed' });
    expect(gateway.closed).toMatchObject([{ inFlight: [1] }]);
    expect(gateway.fired('cutMidAnswer')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('in the middle of a deliver_sm: the receipt comes again on the next session', async () => {
    await using gateway = await Gateway.up({ account: { faults: { cutMidDeliverNext: 1 } } });
    const [answer] = await gateway.submit();
    await gateway.until(() => gateway.receipts.length > 0, 'the receipt has come');
    expect(gateway.closed).toHaveLength(1);
    expect(gateway.receipts.map(({ messageId }) => messageId)).toEqual(Gateway.ids([answer!]));
    expect(gateway.fired('cutMidDeliver')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('when the SMSC unbinds: the bind answers, and comes back', async () => {
    await using gateway = await Gateway.up({ account: { faults: { unbindAfter: 2 } } });
    expect(Gateway.statuses(await gateway.submit(2))).toEqual([Status.ok, Status.ok]);
    await gateway.until(() => gateway.closed.length > 0, 'the session is gone');
    expect(gateway.closed).toMatchObject([{ reason: 'peer-unbound', inFlight: [] }]);
    expect(gateway.fired('unbind')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('bytes that are not SMPP', () => {
  test('random octets between two PDUs: the session ends, what was in flight is in doubt', async () => {
    await using gateway = await Gateway.up({ account: { faults: { garbageNext: 1 } } });
    const [answer] = await gateway.submit();
    expect(answer).toEqual({ kind: 'unanswered', reason: 'closed' });
    expect(gateway.closed).toMatchObject([{ reason: 'foreign-bytes' }]);
    expect(gateway.fired('garbage')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(wrongLengths)(
    'a wrong command_length (%s): the session ends, and the next one is fine',
    async (wrongLength) => {
      await using gateway = await Gateway.up({
        account: { faults: { wrongLengthNext: 1, wrongLength } },
        bind: { limits: { enquireLinkMs: 60 } },
      });
      const answers = await gateway.submit(2);
      await gateway.until(() => gateway.closed.length > 0, 'the session is gone');
      expect(gateway.fired('wrongLength')).toBe(1);
      if (wrongLength === 'over') {
        // The answer swallows the first octets of the next PDU; what follows reads as a long PDU that never ends.
        expect(answers.map(({ kind }) => kind)).toEqual(['answered', 'unanswered']);
        expect(gateway.closed[0]!.reason).toMatch(/^(peer-silent|foreign-bytes)$/);
      } else {
        expect(answers.map(({ kind }) => kind)).toEqual(['unanswered', 'unanswered']);
        expect(gateway.closed[0]!.reason).toBe('foreign-bytes');
      }
      expect(await gateway.isHealthy()).toBe(true);
    },
  );

  test('a command_id that does not exist: generic_nack, and all goes on', async () => {
    await using gateway = await Gateway.up({ account: { faults: { unknownCommandNext: 1 } } });
    expect(Gateway.statuses(await gateway.submit(2))).toEqual([Status.ok, Status.ok]);
    expect(gateway.bind.stats().counters.unserved).toBe(1);
    expect(gateway.fired('unknownCommand')).toBe(1);
    expect(gateway.closed).toEqual([]);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(foreignProtocols)('%s in answer to the bind', async (foreign) => {
    await using gateway = await Gateway.start({ account: { faults: { foreign } } });
    await gateway.until(() => gateway.dialFailures.length > 1, 'the bind was tried twice');
    expect(gateway.bind.up).toBe(false);
    expect(gateway.dialFailures[0]).toMatchObject({ code: 'closed' });
    expect(gateway.fired('foreign')).toBeGreaterThanOrEqual(2);
    gateway.faults({ foreign: 'none' });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(foreignProtocols)('%s in answer to a message', async (foreign) => {
    await using gateway = await Gateway.up();
    gateway.faults({ foreign });
    expect(await gateway.submit()).toEqual([{ kind: 'unanswered', reason: 'closed' }]);
    expect(gateway.closed).toHaveLength(1);
    expect(gateway.fired('foreign')).toBeGreaterThanOrEqual(1);
    gateway.faults({ foreign: 'none' });
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('binds', () => {
  test('refused with a status: tried again, one attempt per step', async () => {
    await using gateway = await Gateway.start({ account: { faults: { refuseBind: bindFailed } } });
    await gateway.until(() => gateway.dialFailures.length >= 2, 'the bind was refused twice');
    expect(gateway.dialFailures[0]).toMatchObject({ code: 'bind-refused', status: bindFailed });
    expect(gateway.fired('refuseBind')).toBeGreaterThanOrEqual(2);
    gateway.faults({ refuseBind: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('beyond the session limit: ESME_RALYBND, and the sessions that stand go on', async () => {
    await using gateway = await Gateway.up({ account: { faults: { sessionLimit: 1 } }, bind: { sessions: 2 } });
    await gateway.until(() => gateway.dialFailures.length > 0, 'the second session was refused');
    expect(gateway.dialFailures[0]).toMatchObject({ code: 'bind-refused', status: Status.alreadyBound });
    expect(Gateway.statuses(await gateway.submit(2))).toEqual([Status.ok, Status.ok]);
    expect(gateway.fired('sessionLimit')).toBeGreaterThanOrEqual(1);
    gateway.faults({ sessionLimit: null });
    await gateway.until(() => gateway.bind.stats().sessions === 2, 'both sessions are up');
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('enquire_link unanswered: the session is given up and another one opened', async () => {
    await using gateway = await Gateway.up({ bind: { limits: { enquireLinkMs: 50 } } });
    gateway.faults({ enquireUnanswered: true });
    await gateway.until(() => gateway.closed.length > 0, 'the session is given up');
    expect(gateway.closed[0]).toMatchObject({ reason: 'peer-silent' });
    expect(gateway.fired('enquireUnanswered')).toBeGreaterThanOrEqual(1);
    gateway.faults({ enquireUnanswered: false });
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('an SMSC of version 3.3', () => {
  test('knows no transceiver: the bind is nacked', async () => {
    await using gateway = await Gateway.start({ account: { faults: { peerVersion: '3.3' } } });
    await gateway.until(() => gateway.dialFailures.length > 0, 'the bind was refused');
    expect(gateway.dialFailures[0]).toMatchObject({ code: 'bind-refused', status: 0x03 });
    expect(gateway.fired('peer33')).toBeGreaterThanOrEqual(1);
    gateway.faults({ peerVersion: '3.4' });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('knows no TLVs: a message with one is refused, one without is taken, its receipt is text', async () => {
    await using gateway = await Gateway.up({
      account: { faults: { peerVersion: '3.3', idForm: 'hex-8' } },
      bind: { mode: 'transmitter' },
    });
    const tlvs = [{ tag: 0x1400, value: Buffer.from([1]) }];
    expect(Gateway.statuses(await gateway.submit(1, { tlvs }))).toEqual([Status.invalidCommandLength]);
    const taken = await gateway.submit();
    expect(Gateway.ids(taken)[0]).toMatch(/^[0-9a-f]{8}$/);
    expect(gateway.fired('peer33')).toBe(1);
    expect(gateway.closed).toEqual([]);
    expect(Gateway.statuses(await gateway.submit())).toEqual([Status.ok]);
  });
});
