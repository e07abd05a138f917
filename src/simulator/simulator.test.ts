import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Command, encodeCorrelation, MessageState, parseReceipt, Session, Status, segment } from '../smpp/index.ts';
import { type LedgerRecord, readLedger } from './ledger.ts';
import { type LoggedSubmit, readSubmitLog } from './log.ts';
import { type SimulatorInput, SimulatorOptionsError } from './options.ts';
import { type Simulator, type SimulatorHooks, startSimulator, UnknownAccount } from './simulator.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';
import type { ArrivedMessage } from './view.ts';
import { WaitTimeout } from './waiters.ts';

type AccountInput = SimulatorInput['accounts'][number];

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function simulate(
  account: Partial<AccountInput> = {},
  options: Partial<SimulatorInput> = {},
  hooks: SimulatorHooks = {},
): Promise<Simulator> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank', ...account }], ...options }, hooks);
  undo.push(() => simulator.stop());
  return simulator;
}

async function bound(simulator: Simulator, command: number = Command.bindTransceiver): Promise<TestingEsme> {
  const { esme, status } = await TestingEsme.bind(simulator.port, 'bank', '', command);
  expect(status).toBe(Status.ok);
  undo.push(async () => esme.close());
  return esme;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'simulator-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function logged(file: string): Promise<LoggedSubmit[]> {
  const lines: LoggedSubmit[] = [];
  for await (const line of readSubmitLog(file)) lines.push(line);
  return lines;
}

function accountStats(simulator: Simulator) {
  return simulator.stats().accounts[0]!;
}

describe('binding', () => {
  test('needs a known system_id and its password, and a place among the sessions', async () => {
    const simulator = await simulate({ password: 'secret', sessions: 1 });
    expect((await TestingEsme.bind(simulator.port, 'nobody', 'secret')).status).toBe(Status.invalidSystemId);
    expect((await TestingEsme.bind(simulator.port, 'bank', 'guess')).status).toBe(Status.invalidPassword);
    const first = await TestingEsme.bind(simulator.port, 'bank', 'secret');
    expect(first.status).toBe(Status.ok);
    const second = await TestingEsme.bind(simulator.port, 'bank', 'secret');
    expect(second.status).toBe(Status.alreadyBound);
    await second.esme.closed;
    first.esme.close();
    await simulator.waitFor('bank', 'now.sessions', { atMost: 0 }, 2_000);
    expect((await TestingEsme.bind(simulator.port, 'bank', 'secret')).status).toBe(Status.ok);
    expect(accountStats(simulator)).toMatchObject({ binds: 2, bindsRefused: 2 });
    expect(simulator.stats().unknownBinds).toBe(1);
  });

  test('comes before anything else, and only once', async () => {
    const simulator = await simulate();
    const esme = await TestingEsme.connect(simulator.port);
    const early = esme.submit(submitSm());
    expect(await esme.answers(early)).toEqual([{ status: Status.invalidBindStatus, messageId: null }]);
    esme.sendBind('bank');
    await esme.pdus((pdu) => pdu.command === Command.bindTransceiverResp && pdu.status === Status.ok);
    esme.sendBind('bank');
    await esme.pdus((pdu) => pdu.command === Command.bindTransceiverResp && pdu.status === Status.alreadyBound);
    esme.close();
  });

  test('as receiver brings no submit_sm, as transmitter no receipts', async () => {
    const simulator = await simulate();
    const transmitter = await bound(simulator, Command.bindTransmitter);
    const receiver = await bound(simulator, Command.bindReceiver);
    const refused = receiver.submit(submitSm());
    expect(await receiver.answers(refused)).toEqual([{ status: Status.invalidBindStatus, messageId: null }]);
    const taken = await transmitter.answers(transmitter.submit(submitSm()));
    const [receipt] = await receiver.delivers();
    expect(receipt!.messageId).toBe(taken[0]!.messageId);
    expect(transmitter.received.some(({ command }) => command === Command.deliverSm)).toBe(false);
  });

  test('that never comes ends the connection', async () => {
    const simulator = await simulate({}, { bindTimeoutMs: 40 });
    const esme = await TestingEsme.connect(simulator.port);
    await esme.closed;
    expect(simulator.stats().foreignConnections).toBe(1);
  });
});

describe('the link', () => {
  test('answers enquire_link and unbind, and refuses commands it does not know', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const enquiry = esme.send(Command.enquireLink);
    await esme.pdus((pdu) => pdu.command === Command.enquireLinkResp && pdu.sequence === enquiry);
    const unknown = esme.send(0x00000abc);
    const [nack] = await esme.pdus((pdu) => pdu.command === Command.genericNack && pdu.sequence === unknown);
    expect(nack!.status).toBe(Status.invalidCommandId);
    const unbind = esme.send(Command.unbind);
    await esme.pdus((pdu) => pdu.command === Command.unbindResp && pdu.sequence === unbind);
    await esme.closed;
  });

  test('asks a quiet peer whether it lives, and ends the session of one that does not answer', async () => {
    const simulator = await simulate({}, { enquireLinkMs: 120 });
    const esme = await bound(simulator);
    const [first] = await esme.pdus((pdu) => pdu.command === Command.enquireLink);
    esme.send(Command.enquireLinkResp, first!.sequence);
    await esme.pdus((pdu) => pdu.command === Command.enquireLink, 2);
    await esme.closed;
    expect(accountStats(simulator).now.sessions).toBe(0);
  });

  test('asks to unbind on command', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    expect(simulator.unbind('bank')).toBe(1);
    const [unbind] = await esme.pdus((pdu) => pdu.command === Command.unbind);
    esme.send(Command.unbindResp, unbind!.sequence);
    await esme.closed;
  });

  test('a malformed submit_sm is refused and the session lives on', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const pdu = Buffer.concat([Buffer.from('0000001400000004000000000000004d', 'hex'), Buffer.from('abcd')]);
    esme.write(pdu);
    const [answer] = await esme.pdus((each) => each.sequence === 0x4d);
    expect(answer).toMatchObject({ command: Command.submitSmResp, status: Status.invalidCommandLength });
    expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
    expect(accountStats(simulator).malformed).toBe(1);
  });

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['AMQP', Buffer.from('AMQP\x00\x00\x09\x01')],
    ['RDP', Buffer.from('030000130ee000000000000100080003000000', 'hex')],
    ['TLS', Buffer.from('16030100f8010000f40303', 'hex')],
    ['a length below the header', Buffer.from('0000000f000000150000000000000001', 'hex')],
  ])('%s bytes end that connection and no other', async (_, bytes) => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const socket = net.connect(simulator.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.resume();
    socket.write(bytes);
    await closed;
    expect(simulator.stats().foreignConnections).toBe(1);
    expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
  });
});

describe('the TPS limit', () => {
  test('counts every submit_sm of all sessions, segments too, in any one second', async () => {
    let nowUs = 10_000_000;
    const clock = { epochMs: () => 1_795_539_600_000 + Math.floor(nowUs / 1_000), monotonicUs: () => nowUs };
    const simulator = await simulate({ tps: 5, receipts: { send: 'none' } }, {}, { clock });
    const [first, second] = [await bound(simulator), await bound(simulator)];
    const { parts, esmClass } = segment('x'.repeat(400), 1);
    expect(parts).toHaveLength(3);
    const sequences = first.submit(...parts.map((shortMessage) => submitSm({ shortMessage, esmClass })));
    expect((await first.answers(sequences)).map(({ status }) => status)).toEqual([0, 0, 0]);
    nowUs += 900_000;
    const mixed = await second.answers(second.submit(submitSm(), submitSm(), submitSm()));
    expect(mixed.map(({ status }) => status)).toEqual([0, 0, Status.throttled]);
    expect(mixed[2]!.messageId).toBeNull();
    // The throttled one fills the window too: of five places the three oldest are free again, not more.
    nowUs += 100_000;
    const later = await first.answers(first.submit(...Array.from({ length: 4 }, () => submitSm())));
    expect(later.map(({ status }) => status)).toEqual([0, 0, Status.throttled, Status.throttled]);
    expect(accountStats(simulator)).toMatchObject({
      received: 10,
      accepted: 7,
      violations: 3,
      throttled: 3,
      rateMax: 7,
    });
  });
});

test.each([
  // Cleared at the full second: two at its end and two at the next one's beginning are all within.
  ['calendar', { atUs: [10_900_000, 11_000_000], statuses: [0, 0, 0, 0] }],
  // Cleared each half second: of two at once, the second is over.
  ['slot', { atUs: [10_000_000, 10_500_000], statuses: [0, Status.throttled, 0, Status.throttled] }],
] as const)('a TPS limit counted by %s is cleared at fixed instants', async (tpsWindow, { atUs, statuses }) => {
  let nowUs = 10_000_000;
  const clock = { epochMs: () => 1_795_539_600_000, monotonicUs: () => nowUs };
  const simulator = await simulate({ tps: 2, tpsWindow, receipts: { send: 'none' } }, {}, { clock });
  const esme = await bound(simulator);
  const received: number[] = [];
  for (nowUs of atUs) {
    const answers = await esme.answers(esme.submit(submitSm(), submitSm()));
    received.push(...answers.map(({ status }) => status));
  }
  expect(received).toEqual(statuses);
});

describe('receipts', () => {
  test('come after the answer, name the message, and go the other way', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const [answer] = await esme.answers(esme.submit(submitSm({ destAddr: '447700900456', sourceAddr: 'TOCSIN' })));
    const [receipt] = await esme.delivers();
    expect(receipt).toMatchObject({ messageId: answer!.messageId, state: MessageState.delivered });
    expect(receipt!.pdu).toMatchObject({ sourceAddr: '447700900456', destAddr: 'TOCSIN', esmClass: 4 });
    expect(receipt!.pdu.shortMessage.toString()).toMatch(
      /^id:\w+ sub:001 dlvrd:001 submit date:\d{10} done date:\d{10} stat:DELIVRD err:000 text:$/,
    );
    expect(esme.received.findIndex(({ command }) => command === Command.submitSmResp)).toBeLessThan(
      esme.received.findIndex(({ command }) => command === Command.deliverSm),
    );
  });

  test('come before the answer where the carrier does so', async () => {
    const simulator = await simulate({ receipts: { beforeAnswer: true } });
    const esme = await bound(simulator);
    const [answer] = await esme.answers(esme.submit(submitSm()));
    expect(esme.received.map(({ command }) => command).slice(1)).toEqual([Command.deliverSm, Command.submitSmResp]);
    expect((await esme.delivers())[0]!.messageId).toBe(answer!.messageId);
  });

  test('come when the chosen delay is over', async () => {
    const simulator = await simulate({ receipts: { delayMs: 120 } });
    const esme = await bound(simulator);
    const before = performance.now();
    esme.submit(submitSm());
    const [receipt] = await esme.delivers();
    expect(receipt!.atMs - before).toBeGreaterThanOrEqual(119);
  });

  test('come only when asked for, and none where the carrier gives none', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const asked = await esme.answers(
      esme.submit(
        submitSm({ registeredDelivery: 0 }),
        submitSm({ registeredDelivery: 2 }),
        submitSm({ registeredDelivery: 1 }),
      ),
    );
    expect((await esme.delivers())[0]!.messageId).toBe(asked[2]!.messageId);
    expect(accountStats(simulator).receipts.created).toBe(1);

    const without = await simulate({ receipts: { send: 'none' } });
    const other = await bound(without);
    await other.answers(other.submit(submitSm()));
    expect(accountStats(without).receipts.created).toBe(0);
  });

  test.each(['text', 'tlv', 'both'] as const)('say the same in the form %s', async (form) => {
    const simulator = await simulate({ receipts: { form }, failedReceipts: { share: 1, stat: 'EXPIRED' } });
    const esme = await bound(simulator);
    const [answer] = await esme.answers(esme.submit(submitSm()));
    const [receipt] = await esme.delivers();
    expect(receipt).toMatchObject({ messageId: answer!.messageId, state: MessageState.expired });
    expect(receipt!.pdu.tlvs).toHaveLength({ text: 0, tlv: 3, both: 2 }[form]);
    expect(receipt!.pdu.shortMessage.length > 0).toBe(form !== 'tlv');
    expect(accountStats(simulator).fired.failedReceipts).toBe(1);
  });

  test('are held back until released', async () => {
    const simulator = await simulate({ faults: { holdReceipts: true } });
    const esme = await bound(simulator);
    await esme.answers(esme.submit(submitSm(), submitSm()));
    expect(accountStats(simulator).now.held).toBe(2);
    expect(esme.received.some(({ command }) => command === Command.deliverSm)).toBe(false);
    expect(simulator.release('bank')).toBe(2);
    await esme.delivers(2);
    expect(accountStats(simulator).fired.holdReceipts).toBe(2);
  });

  test('without an answer, or refused for now, are delivered again; answered ones are not', async () => {
    const simulator = await simulate({ receipts: { redeliverAfterMs: 60 } });
    const esme = await bound(simulator);
    const answers = await esme.answers(esme.submit(submitSm(), submitSm(), submitSm()));
    const first = await esme.delivers(3);
    esme.answerDeliver(first[0]!.sequence);
    esme.answerDeliver(first[1]!.sequence, Status.receiverTemporary);
    const all = await esme.delivers(5);
    const again = all.slice(3);
    expect(again.map(({ messageId }) => messageId).sort()).toEqual([answers[1]!.messageId, answers[2]!.messageId]);
    expect(again.every(({ atMs }) => atMs - first[0]!.atMs >= 50)).toBe(true);
    for (const { sequence } of again) esme.answerDeliver(sequence);
    await simulator.waitFor('bank', 'receipts.answered', { atLeast: 3 }, 2_000);
    expect(accountStats(simulator).receipts).toMatchObject({ redelivered: 2, refusedTemporary: 1, sent: 5 });
  });

  test('that a lost session left unanswered are delivered on the next one, before any timeout', async () => {
    const simulator = await simulate();
    const lost = await bound(simulator);
    const [answer] = await lost.answers(lost.submit(submitSm()));
    await lost.delivers();
    lost.close();
    await simulator.waitFor('bank', 'now.sessions', { atMost: 0 }, 2_000);
    expect(accountStats(simulator).now.waiting).toBe(1);
    const next = await bound(simulator);
    const [receipt] = await next.delivers();
    expect(receipt!.messageId).toBe(answer!.messageId);
    expect(accountStats(simulator).receipts.redelivered).toBe(1);
  });
});

describe('choices', () => {
  const messages = Array.from({ length: 400 }, (_, i) => submitSm({ destAddr: String(447_700_900_000 + i) }));

  test('refuse a share of messages, the same ones for the same seed', async () => {
    const statuses = async (seed: number) => {
      const simulator = await simulate(
        { permanent: { share: 0.25, status: 0x0b }, receipts: { send: 'none' } },
        { seed },
      );
      const esme = await bound(simulator);
      const answers = await esme.answers(esme.submit(...messages));
      expect(accountStats(simulator).fired.permanent).toBe(answers.filter(({ status }) => status !== 0).length);
      return answers.map(({ status }) => status);
    };
    const first = await statuses(1);
    expect(new Set(first)).toEqual(new Set([0, 0x0b]));
    const share = first.filter((status) => status !== 0).length / messages.length;
    expect(share).toBeGreaterThan(0.18);
    expect(share).toBeLessThan(0.32);
    expect(await statuses(1)).toEqual(first);
    expect(await statuses(2)).not.toEqual(first);
  });

  test('refuse a message for now as often as told, whatever its attempt, and then take it', async () => {
    const correlationTlv = 0x1401;
    const simulator = await simulate({ temporary: { share: 1, status: 0x45, tries: 2 } }, { correlationTlv });
    const esme = await bound(simulator);
    const statuses: number[] = [];
    for (const attempt of [1, 2, 3]) {
      const value = encodeCorrelation({ delivery: 4711, attempt, segment: 1, possibleDuplicate: false });
      const [answer] = await esme.answers(esme.submit(submitSm({ tlvs: [{ tag: correlationTlv, value }] })));
      statuses.push(answer!.status);
    }
    expect(statuses).toEqual([0x45, 0x45, 0]);
    expect(accountStats(simulator).fired.temporary).toBe(2);
  });
});

describe('faults on demand', () => {
  test('silent about submit_sm: taken, never answered, the link lives, the receipt comes', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    simulator.setFaults('bank', { silent: 'submit' });
    const [sequence] = esme.submit(submitSm());
    esme.send(Command.enquireLink);
    await esme.pdus(({ command }) => command === Command.enquireLinkResp);
    await esme.delivers();
    expect(esme.received.some((pdu) => pdu.sequence === sequence && pdu.command === Command.submitSmResp)).toBe(false);
    simulator.setFaults('bank', { silent: 'none' });
    expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
    expect(accountStats(simulator).fired.silent).toBe(1);
  });

  test('silent about everything: not even enquire_link and binds are answered, and receipts wait', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    const quiet = esme.received.length;
    simulator.setFaults('bank', { silent: 'all' });
    esme.submit(submitSm());
    esme.send(Command.enquireLink);
    const late = await TestingEsme.connect(simulator.port);
    late.sendBind('bank');
    await simulator.waitFor('bank', 'fired.silent', { atLeast: 3 }, 2_000);
    expect(esme.received).toHaveLength(quiet);
    expect(late.received).toHaveLength(0);
    late.close();
    simulator.setFaults('bank', { silent: 'none' });
    await esme.delivers();
  });

  test('cut after n submit_sm: those before are answered, the n-th is in doubt', async () => {
    const simulator = await simulate({ receipts: { send: 'none' } });
    const esme = await bound(simulator);
    simulator.setFaults('bank', { cutAfter: 3 });
    const sequences = esme.submit(...Array.from({ length: 5 }, () => submitSm()));
    expect(await esme.answers(sequences.slice(0, 2))).toMatchObject([{ status: 0 }, { status: 0 }]);
    await esme.closed;
    expect(accountStats(simulator)).toMatchObject({ received: 3, accepted: 2, fired: { cut: 1 } });
    const next = await bound(simulator);
    expect(await next.answers(next.submit(...Array.from({ length: 5 }, () => submitSm())))).toHaveLength(5);
  });

  test('disconnect cuts at once', async () => {
    const simulator = await simulate();
    const [one, two] = [await bound(simulator), await bound(simulator)];
    expect(simulator.disconnect('bank')).toBe(2);
    await Promise.all([one.closed, two.closed]);
  });

  test('refuse binds with a chosen status', async () => {
    const simulator = await simulate({ faults: { refuseBind: 0x0d } });
    expect((await TestingEsme.bind(simulator.port, 'bank')).status).toBe(0x0d);
    simulator.setFaults('bank', { refuseBind: 0 });
    await bound(simulator);
    expect(accountStats(simulator).fired.refuseBind).toBe(1);
  });

  test('slow answers wait, and their receipts do not overtake them', async () => {
    const simulator = await simulate({ faults: { slowMs: 80 } });
    const esme = await bound(simulator);
    const before = performance.now();
    await esme.answers(esme.submit(submitSm(), submitSm()));
    expect(performance.now() - before).toBeGreaterThanOrEqual(79);
    await esme.delivers(2);
    expect(esme.received.map(({ command }) => command).slice(1)).toEqual([
      Command.submitSmResp,
      Command.submitSmResp,
      Command.deliverSm,
      Command.deliverSm,
    ]);
    const { fired, heldAnswers, heldAnswersUs } = accountStats(simulator);
    expect([fired.slow, heldAnswers]).toEqual([2, 2]);
    expect(heldAnswersUs).toBeGreaterThanOrEqual(2 * 80_000);
  });

  test('throttle the next n whatever the TPS', async () => {
    const simulator = await simulate({ faults: { throttleNext: 2 } });
    const esme = await bound(simulator);
    const answers = await esme.answers(esme.submit(submitSm(), submitSm(), submitSm()));
    expect(answers.map(({ status }) => status)).toEqual([Status.throttled, Status.throttled, 0]);
    expect(accountStats(simulator)).toMatchObject({ throttled: 2, violations: 0, fired: { throttleNext: 2 } });
  });

  test('receipts twice: one message, two deliver_sm', async () => {
    const simulator = await simulate({ faults: { receiptsTwice: true } });
    const esme = await bound(simulator);
    await esme.answers(esme.submit(submitSm()));
    const [first, second] = await esme.delivers(2);
    expect(first!.messageId).toBe(second!.messageId);
    expect(first!.sequence).not.toBe(second!.sequence);
    expect(accountStats(simulator).fired.receiptsTwice).toBe(1);
  });

  test('an unknown fault or account is refused', async () => {
    const simulator = await simulate();
    expect(() => simulator.setFaults('bank', { silence: true } as object)).toThrow(SimulatorOptionsError);
    expect(() => simulator.setFaults('nobody', {})).toThrow(UnknownAccount);
    await expect(simulator.waitFor('nobody', 'received', { atLeast: 1 }, 10)).rejects.toThrow(UnknownAccount);
    await expect(simulator.waitFor('bank', 'received', { atLeast: 1 }, 10)).rejects.toThrow(WaitTimeout);
  });
});

describe('log and ledger', () => {
  const correlationTlv = 0x1401;

  test('hold every field of every submit_sm, refused and unanswered ones included', async () => {
    const folder = await temporaryFolder();
    const files = { log: path.join(folder, 'log'), ledger: path.join(folder, 'ledger') };
    const simulator = await simulate({ faults: { throttleNext: 1 } }, { ...files, correlationTlv });
    const esme = await bound(simulator);
    const value = encodeCorrelation({ delivery: 2 ** 40 + 7, attempt: 2, segment: 3, possibleDuplicate: true });
    const odd = submitSm({
      serviceType: 'ABC',
      sourceAddr: 'A"\\\x01é',
      destAddr: '+447700900123',
      esmClass: 0x40,
      protocolId: 1,
      priorityFlag: 3,
      scheduleDeliveryTime: '261124120000000+',
      validityPeriod: '000000010000000R',
      replaceIfPresent: 1,
      dataCoding: 8,
      smDefaultMsgId: 2,
      shortMessage: Buffer.from('0608040001030200e9', 'hex'),
      tlvs: [
        { tag: correlationTlv, value },
        { tag: 0x0204, value: Buffer.from('0102', 'hex') },
      ],
    });
    const before = Date.now();
    const sequences = esme.submit(submitSm(), odd);
    const answers = await esme.answers(sequences);
    simulator.setFaults('bank', { silent: 'submit' });
    esme.submit(submitSm());
    await simulator.waitFor('bank', 'received', { atLeast: 3 }, 2_000);
    await simulator.flush();

    const lines = await logged(files.log);
    expect(lines.map(({ status }) => status)).toEqual([Status.throttled, 0, null]);
    expect(lines[0]!.message_id).toBeNull();
    expect(lines[2]!.message_id).toMatch(/^\w{14}$/);
    const { time, monotonic_us, ...fields } = lines[1]!;
    expect(Math.abs(time - before)).toBeLessThan(1_000);
    expect(Math.abs(monotonic_us - Number(process.hrtime.bigint() / 1000n))).toBeLessThan(5_000_000);
    expect(fields).toEqual({
      account: 'bank',
      session: 1,
      sequence_number: sequences[1],
      service_type: 'ABC',
      source_addr_ton: 5,
      source_addr_npi: 0,
      source_addr: 'A"\\\x01é',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      destination_addr: '+447700900123',
      esm_class: 0x40,
      protocol_id: 1,
      priority_flag: 3,
      schedule_delivery_time: '261124120000000+',
      validity_period: '000000010000000R',
      registered_delivery: 1,
      replace_if_present_flag: 1,
      data_coding: 8,
      sm_default_msg_id: 2,
      short_message: '0608040001030200e9',
      tlvs: [
        { tag: correlationTlv, hex: value.toString('hex') },
        { tag: 0x0204, hex: '0102' },
      ],
      message_id: answers[1]!.messageId,
      status: 0,
    });

    const records: LedgerRecord[] = [];
    await readLedger(files.ledger, (record) => records.push({ ...record }));
    expect(records.map(({ status }) => status)).toEqual([Status.throttled, 0, null]);
    expect(records.map(({ delivery }) => delivery)).toEqual([null, 2 ** 40 + 7, null]);
    expect(records[1]).toMatchObject({
      attempt: 2,
      segment: 3,
      possibleDuplicate: true,
      account: 0,
      session: 1,
      priorityFlag: 3,
      esmClass: 0x40,
      messageNumber: 1,
      monotonicUs: monotonic_us,
    });
    expect(Math.abs(records[1]!.timeMs - time)).toBeLessThan(2);
  });

  test('go on in the same files after a restart, past a record that a kill cut in half', async () => {
    const folder = await temporaryFolder();
    const files = { log: path.join(folder, 'log'), ledger: path.join(folder, 'ledger') };
    const ids = new Set<string>();
    for (let run = 0; run < 3; run += 1) {
      const simulator = await startSimulator({ accounts: [{ systemId: 'bank' }], ...files });
      const { esme } = await TestingEsme.bind(simulator.port, 'bank');
      const [answer] = await esme.answers(esme.submit(submitSm()));
      ids.add(answer!.messageId!);
      esme.close();
      await simulator.stop();
      await appendFile(files.log, '{"time":179553');
      await appendFile(files.ledger, Buffer.alloc(13));
    }
    expect(ids.size).toBe(3);
    expect((await logged(files.log)).map(({ message_id }) => message_id)).toEqual([...ids]);
    const numbers: (number | null)[] = [];
    await readLedger(files.ledger, ({ messageNumber }) => numbers.push(messageNumber));
    expect(numbers).toEqual([1, 1, 1]);
  });

  test.skipIf(process.platform !== 'linux')('a log that can not be written ends the sessions and is told', async () => {
    const failed = Promise.withResolvers<Error>();
    const simulator = await startSimulator(
      { accounts: [{ systemId: 'bank' }], log: '/dev/full' },
      { onFailure: failed.resolve },
    );
    const { esme } = await TestingEsme.bind(simulator.port, 'bank');
    esme.submit(submitSm());
    expect(await failed.promise).toMatchObject({ code: 'ENOSPC' });
    await esme.closed;
    await expect(simulator.stop()).rejects.toMatchObject({ code: 'ENOSPC' });
  });

  test('a file that is no ledger is refused by its reader', async () => {
    const file = path.join(await temporaryFolder(), 'not-a-ledger');
    await writeFile(file, 'x'.repeat(64));
    await expect(readLedger(file, () => {})).rejects.toThrow('not a ledger');
  });
});

test('the view shows whole texts: parts in any order, alphabets, an emoji cut in two', async () => {
  const messages: ArrivedMessage[] = [];
  const simulator = await simulate({}, {}, { onMessage: (message) => messages.push(message) });
  const esme = await bound(simulator);
  const long = `Flood warning for the lower valley. ${'Move to higher ground now. '.repeat(12)}{end}`;
  const emoji = '🌊 Überschwemmung: '.repeat(4);
  const halves = Buffer.from(emoji, 'utf16le').swap16();
  const gsm = segment(long, 77);
  const parts = gsm.parts.map((shortMessage) => submitSm({ shortMessage, esmClass: gsm.esmClass, priorityFlag: 3 }));
  const ucs2 = [halves.subarray(0, 2), halves.subarray(2)].map((half, i) =>
    submitSm({
      esmClass: 0x40,
      dataCoding: 8,
      shortMessage: Buffer.concat([Buffer.from([5, 0, 3, 9, 2, i + 1]), half]),
    }),
  );
  const payload = submitSm({ shortMessage: Buffer.alloc(0), tlvs: [{ tag: 0x0424, value: Buffer.from('Hi') }] });
  await esme.answers(esme.submit(...parts.toReversed(), ucs2[1]!, payload, ucs2[0]!));
  expect(messages.map(({ text, segments, to }) => ({ text, segments, to }))).toEqual([
    { text: long, segments: 3, to: '447700900123' },
    { text: 'Hi', segments: 1, to: '447700900123' },
    { text: emoji, segments: 2, to: '447700900123' },
  ]);
});

test('the gateway’s own session submits through it and gets its receipts', async () => {
  const simulator = await simulate({ password: 'secret', tps: 1_000 });
  const total = 300;
  const answered: string[] = [];
  const receipts: string[] = [];
  const done = Promise.withResolvers<void>();
  let sent = 0;
  const fill = () => {
    while (sent < total && session.submit(submitSm({ destAddr: String(447_700_900_000 + sent) }), sent)) sent += 1;
  };
  const session = await Session.connect<number>({
    host: '127.0.0.1',
    port: simulator.port,
    mode: 'transceiver',
    systemId: 'bank',
    password: 'secret',
    limits: { window: 20 },
    handlers: {
      onAnswer: (_, answer) => answered.push(answer.kind === 'answered' ? (answer.messageId ?? '') : answer.reason),
      onIncoming: (incoming) => {
        receipts.push(parseReceipt(incoming.pdu)?.messageId ?? '');
        incoming.respond(Status.ok);
        if (receipts.length === total) done.resolve();
      },
      onRoom: () => fill(),
      onClosed: () => done.resolve(),
    },
  });
  fill();
  await done.promise;
  expect(new Set(answered).size).toBe(total);
  expect(receipts.toSorted()).toEqual(answered.toSorted());
  await simulator.waitFor('bank', 'receipts.answered', { atLeast: total }, 2_000);
  await session.unbind();
  await simulator.waitFor('bank', 'now.sessions', { atMost: 0 }, 2_000);
  expect(accountStats(simulator)).toMatchObject({ received: total, accepted: total, violations: 0 });
});

test('wrong options are refused with the field and the reason', async () => {
  const wrong: [SimulatorInput, RegExp][] = [
    [{ accounts: [] }, /^accounts: /],
    [{ accounts: [{ systemId: 'a' }, { systemId: 'a' }] }, /^accounts: two accounts share a systemId$/],
    [{ accounts: [{ systemId: 'a', tps: 0 }] }, /^accounts\.0\.tps: /],
    [{ accounts: [{ systemId: 'a', receipts: { delay: 1 } as object }] }, /^accounts\.0\.receipts: /],
  ];
  for (const [options, message] of wrong) await expect(startSimulator(options)).rejects.toThrow(message);
});

test('a port in use is told as such, and nothing is left open', async () => {
  const simulator = await simulate();
  await expect(startSimulator({ port: simulator.port, accounts: [{ systemId: 'bank' }] })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
});
