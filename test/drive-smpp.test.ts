/**
 * Goal: the client layer gets on with an SMSC that nobody here wrote. Method: 10,000 messages to Kannel's `drive_smpp`
 * through a transmitter and a receiver over TCP; it answers each, gives one back for each, and at its end says its counts.
 */
import { expect, test } from 'vitest';
import { type Answer, CarrierBind, type CarrierBindHandlers, type SubmitSm } from '../src/smpp/index.ts';
import { DRIVE_SMPP_AHEAD, driveSmppMissing, startDriveSmpp } from './support/kannel.ts';

const MESSAGES = 10_000;
const WINDOW = 100;
const ESME_ROK = 0;

test.skipIf(driveSmppMissing !== null)(
  `Kannel's drive_smpp takes 10,000 messages and every one returns${driveSmppMissing === null ? '' : ` (${driveSmppMissing})`}`,
  { timeout: 60_000 },
  async () => {
    const smsc = await startDriveSmpp(MESSAGES);
    const answers = new Map<number, Answer[]>();
    const returned: number[] = [];
    const ahead: number[] = [];
    let sent = 0;
    const all = Promise.withResolvers<void>();
    const look = (): void => {
      if (answers.size === MESSAGES && returned.length >= MESSAGES) all.resolve();
    };
    const lost = (reason: string): void => all.reject(new Error(`a session was lost: ${reason}`));

    const receiver = bindTo(smsc.port, 'receiver', {
      onAnswer: () => {},
      onDeliver: (incoming) => {
        // The SMSC counts what it took before it answers, so what we sent is the least that bounds it.
        const number = Number(incoming.pdu.shortMessage.toString('latin1'));
        returned.push(number);
        if (number > sent + DRIVE_SMPP_AHEAD) ahead.push(number);
        incoming.respond(ESME_ROK);
        look();
      },
      onSessionClosed: lost,
      onUp: () => transmitter.start(),
    });
    const transmitter = bindTo<number>(smsc.port, 'transmitter', {
      onAnswer: (number, answer) => {
        answers.set(number, [...(answers.get(number) ?? []), answer]);
        look();
      },
      onDeliver: () => lost('a transmitter was sent a deliver_sm'),
      onRoom: () => {
        while (sent < MESSAGES && transmitter.submit(messageTo(sent), sent)) sent++;
      },
      onSessionClosed: lost,
    });
    try {
      receiver.start();
      await all.promise;

      const accepted: Answer = { kind: 'answered', status: ESME_ROK, messageId: null, tlvs: [] };
      expect([...answers.values()].filter((each) => each.length !== 1)).toEqual([]);
      expect([...answers.values()].flat().filter((each) => JSON.stringify(each) !== JSON.stringify(accepted))).toEqual(
        [],
      );
      expect(returned).toEqual(Array.from({ length: MESSAGES }, (_, index) => index + 1));
      expect(ahead).toEqual([]);
      const quiet = { timedOut: 0, unexpected: 0, answeredBusy: 0, malformed: 0, unserved: 0 };
      expect(transmitter.stats().counters).toMatchObject({ ...quiet, sent: MESSAGES, answered: MESSAGES, received: 0 });
      expect(receiver.stats().counters).toMatchObject({ ...quiet, sent: 0, answered: 0, received: MESSAGES });

      await Promise.all([transmitter.unbind(), receiver.unbind()]);
      expect(await smsc.ended).toEqual({
        exitCode: 0,
        sentToEsme: MESSAGES,
        takenFromEsme: MESSAGES,
        complaints: [],
      });
    } finally {
      transmitter.close();
      receiver.close();
      await smsc.stop();
    }
  },
);

function bindTo<C>(port: number, mode: 'transmitter' | 'receiver', handlers: CarrierBindHandlers<C>): CarrierBind<C> {
  return new CarrierBind<C>({
    host: '127.0.0.1',
    port,
    mode,
    systemId: 'tocsin',
    password: 'any',
    sessions: 1,
    limits: { window: WINDOW },
    // It listens a moment after it was started: the first dials may find nobody.
    backoff: { firstMs: 50, factor: 2, maxMs: 1_000, healthyMs: 60_000 },
    random: () => 0.5,
    handlers,
  });
}

function messageTo(number: number): SubmitSm {
  return {
    serviceType: '',
    sourceTon: 5,
    sourceNpi: 0,
    sourceAddr: 'BANK',
    destTon: 1,
    destNpi: 1,
    destAddr: `4477009${String(number).padStart(5, '0')}`,
    esmClass: 0,
    protocolId: 0,
    priorityFlag: 1,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 1,
    replaceIfPresent: 0,
    dataCoding: 0,
    smDefaultMsgId: 0,
    shortMessage: Buffer.from(`Your card was charged, number ${number}.`, 'latin1'),
    tlvs: [],
  };
}
