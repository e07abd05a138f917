/** The PDUs of an ESME that are no submit_sm. Bodies are written by hand, field by field, from SMPP 3.4 §4 and 5.0 §4. */
import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Command, MessageState, Status } from '../smpp/index.ts';
import { type BodyPart, writePdu, writeTlv } from './fields.ts';
import type { SimulatorInput } from './options.ts';
import { type Simulator, type SimulatorHooks, startSimulator } from './simulator.ts';
import { type ReceivedPdu, submitSm, TestingEsme } from './testing-esme.ts';

const commands = {
  querySm: 0x03,
  replaceSm: 0x07,
  cancelSm: 0x08,
  submitMulti: 0x21,
  dataSm: 0x103,
  broadcastSm: 0x111,
  queryBroadcastSm: 0x112,
  cancelBroadcastSm: 0x113,
} as const;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function bound(
  account: Partial<SimulatorInput['accounts'][number]> = {},
  hooks: SimulatorHooks = {},
): Promise<[TestingEsme, Simulator]> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank', ...account }] }, hooks);
  const { esme } = await TestingEsme.bind(simulator.port, 'bank');
  undo.push(() => simulator.stop());
  undo.push(async () => esme.close());
  return [esme, simulator];
}

let lastSequence = 1_000;

/** Sends one request and returns its answer. */
async function ask(esme: TestingEsme, command: number, body: BodyPart[]): Promise<ReceivedPdu> {
  lastSequence += 1;
  const sequence = lastSequence;
  esme.write(writePdu(command, 0, sequence, body));
  const [answer] = await esme.pdus((pdu) => pdu.sequence === sequence && pdu.command >= 0x8000_0000);
  if (answer!.command !== Command.genericNack) expect(answer!.command).toBe((command | 0x8000_0000) >>> 0);
  return answer!;
}

/** A clock that stands until it is told to go on. */
function stoppedClock() {
  let nowUs = 10_000_000;
  const clock = { epochMs: () => 1_795_539_600_000 + nowUs / 1_000, monotonicUs: () => nowUs };
  return {
    clock,
    advance: (ms: number) => {
      nowUs += ms * 1_000;
    },
  };
}

/** The message_id of a message just taken. */
async function submitted(esme: TestingEsme): Promise<string> {
  const [answer] = await esme.answers(esme.submit(submitSm()));
  return answer!.messageId!;
}

function body(pdu: ReceivedPdu): string {
  return pdu.bytes.toString('latin1', 16);
}

const source: BodyPart[] = [5, 0, 'BANK'];
const destination: BodyPart[] = [1, 1, '447700900123'];

describe('query_sm', () => {
  test('says the state: on its way, then final with its date and error', async () => {
    const { clock, advance } = stoppedClock();
    const account = {
      receipts: { delayMs: 50 },
      failedReceipts: { share: 1, stat: 'EXPIRED' as const, error: '017' },
    };
    const [esme, simulator] = await bound(account, { clock });
    const messageId = await submitted(esme);
    const early = await ask(esme, commands.querySm, [messageId, ...source]);
    expect(body(early)).toBe(`${messageId}\0\0${String.fromCharCode(MessageState.enroute)}\0`);
    advance(50);
    await esme.delivers();
    const late = await ask(esme, commands.querySm, [messageId, ...source]);
    expect(body(late)).toMatch(
      new RegExp(`^${messageId}\\0\\d{13}00\\+\\0${String.fromCharCode(MessageState.expired)}\\x11$`),
    );
    expect(simulator.stats().accounts[0]!.operations.querySm).toBe(2);
  });

  test('fails for an id that is not there, and for another sender', async () => {
    const [esme] = await bound();
    const messageId = await submitted(esme);
    expect((await ask(esme, commands.querySm, ['nothing', ...source])).status).toBe(0x67);
    expect((await ask(esme, commands.querySm, [messageId, 5, 0, 'OTHER'])).status).toBe(0x67);
  });
});

describe('cancel_sm', () => {
  test('stops a message that is not delivered yet; its receipt says DELETED', async () => {
    const { clock, advance } = stoppedClock();
    const [esme, simulator] = await bound({ receipts: { delayMs: 5_000 } }, { clock });
    const messageId = await submitted(esme);
    expect((await ask(esme, commands.cancelSm, ['', messageId, ...source, ...destination])).status).toBe(Status.ok);
    // Its final date is that of the cancelling, 10 s after 17:00:00, and not the one that was planned.
    expect(body(await ask(esme, commands.querySm, [messageId, ...source]))).toContain(
      `\x00261124170010000+\0${String.fromCharCode(MessageState.deleted)}`,
    );
    advance(5_000);
    // Any change makes the receipts look at the clock.
    simulator.setFaults('bank', {});
    const [receipt] = await esme.delivers();
    expect(receipt).toMatchObject({ messageId, state: MessageState.deleted });
    expect(simulator.stats().accounts[0]!.operations).toMatchObject({ cancelSm: 1, cancelled: 1 });
  });

  test('fails for one that is delivered, and for one that was never there', async () => {
    const [esme] = await bound();
    const messageId = await submitted(esme);
    await esme.delivers();
    for (const id of [messageId, 'nothing']) {
      expect((await ask(esme, commands.cancelSm, ['', id, ...source, ...destination])).status).toBe(0x11);
    }
  });

  test('without an id stops all of that source and destination', async () => {
    const [esme, simulator] = await bound({ receipts: { delayMs: 5_000 } });
    await esme.answers(esme.submit(submitSm(), submitSm(), submitSm({ destAddr: '447700900999' })));
    expect((await ask(esme, commands.cancelSm, ['', '', ...source, ...destination])).status).toBe(Status.ok);
    expect(simulator.stats().accounts[0]!.operations.cancelled).toBe(2);
  });
});

test('replace_sm changes a message that is not delivered yet, and no other', async () => {
  const [esme, simulator] = await bound({ receipts: { delayMs: 5_000 } });
  const messageId = await submitted(esme);
  const rest: BodyPart[] = ['', '', 1, 0, 3, Buffer.from('New')];
  expect((await ask(esme, commands.replaceSm, [messageId, ...source, ...rest])).status).toBe(Status.ok);
  expect((await ask(esme, commands.replaceSm, ['nothing', ...source, ...rest])).status).toBe(0x13);
  expect(simulator.stats().accounts[0]!.operations).toMatchObject({ replaceSm: 2, replaced: 1 });
});

test('data_sm is taken as a message: answer with an id, receipt', async () => {
  const [esme, simulator] = await bound();
  const payload = writeTlv(0x0424, Buffer.from('Hello'));
  const answer = await ask(esme, commands.dataSm, ['', ...source, ...destination, 0, 1, 0, payload]);
  const [receipt] = await esme.delivers();
  expect(body(answer)).toBe(`${receipt!.messageId}\0`);
  expect(simulator.stats().accounts[0]).toMatchObject({ received: 1, accepted: 1, operations: { dataSm: 1 } });
});

test('submit_multi is taken once per number under one id; a list and a refused number are named', async () => {
  const [esme, simulator] = await bound({ faults: { throttleNext: 1 } });
  const answer = await ask(esme, commands.submitMulti, [
    '',
    ...source,
    4,
    ...[1, 1, 1, '447700900001'],
    ...[2, 'everyone'],
    ...[1, 1, 1, '447700900002'],
    ...[1, 1, 1, '447700900003'],
    ...[0, 0, 1, '', '', 1, 0, 0, 0, 2, Buffer.from('Hi')],
  ]);
  const receipts = await esme.delivers(2);
  const [id] = receipts.map(({ messageId }) => messageId);
  expect(receipts.map(({ pdu }) => pdu.sourceAddr)).toEqual(['447700900002', '447700900003']);
  expect(body(answer)).toBe(`${id}\0\x02\0\0\0\0\0\0\x34\x01\x01447700900001\0\0\0\0\x58`);
  expect(simulator.stats().accounts[0]).toMatchObject({ received: 3, accepted: 2, operations: { submitMulti: 1 } });
});

describe('broadcast_sm', () => {
  const area = Buffer.from([0x00, ...Buffer.from('Valley')]);
  const tlvs = [
    writeTlv(0x0606, area),
    writeTlv(0x0606, Buffer.from([0x00, ...Buffer.from('Coast')])),
    writeTlv(0x0601, Buffer.from([0, 0, 2])),
    writeTlv(0x0604, Buffer.from([0, 1])),
    writeTlv(0x0605, Buffer.from([9, 0, 1])),
  ];
  const fields: BodyPart[] = ['CBS', ...source, '', 3, '', '', 0, 0, 0];

  test('is on the air until it is cancelled', async () => {
    const [esme] = await bound();
    const taken = await ask(esme, commands.broadcastSm, [...fields, ...tlvs]);
    const id = body(taken).slice(0, -1);
    expect(id).toMatch(/^\w{14}$/);
    const before = await ask(esme, commands.queryBroadcastSm, [id, ...source]);
    expect(before.bytes.toString('hex')).toContain(
      `0427000101060600 07${area.toString('hex')}06080001 64`.replaceAll(' ', ''),
    );
    const cancel: BodyPart[] = ['CBS', id, ...source];
    expect((await ask(esme, commands.cancelBroadcastSm, cancel)).status).toBe(Status.ok);
    const after = await ask(esme, commands.queryBroadcastSm, [id, ...source]);
    expect(after.bytes.toString('hex')).toContain('0427000104');
    expect((await ask(esme, commands.cancelBroadcastSm, cancel)).status).toBe(0x112);
  });

  test('is refused without a TLV that the standard demands, and unknown ids are not found', async () => {
    const [esme] = await bound();
    expect((await ask(esme, commands.broadcastSm, [...fields, ...tlvs.slice(0, 4)])).status).toBe(0xc3);
    expect((await ask(esme, commands.queryBroadcastSm, ['nothing', ...source])).status).toBe(0x111);
  });
});

test.each(Object.entries(commands))('%s cut short is refused, and the session lives on', async (name, command) => {
  const [esme, simulator] = await bound();
  const answer = await ask(esme, command, [Buffer.from('no end')]);
  expect(answer.status).toBe(Status.invalidCommandLength);
  expect(simulator.stats().accounts[0]).toMatchObject({ malformed: 1, operations: { [name]: 1 } });
  expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
});

test('an SMSC of version 3.3 knows neither data_sm nor broadcasts', async () => {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank', faults: { peerVersion: '3.3' } }] });
  undo.push(() => simulator.stop());
  const { esme } = await TestingEsme.bind(simulator.port, 'bank', '', Command.bindTransmitter);
  undo.push(async () => esme.close());
  const answer = await ask(esme, commands.dataSm, ['', ...source, ...destination, 0, 1, 0]);
  expect(answer).toMatchObject({ command: Command.genericNack, status: 0x03 });
});

describe('what starts with the SMSC', () => {
  test('messages from handsets: short, long, in any script, as octets; kept until a session can take them', async () => {
    const simulator = await startSimulator({ accounts: [{ systemId: 'bank' }] });
    undo.push(() => simulator.stop());
    const message = { from: '447700900777', to: '61000' };
    expect(simulator.originate('bank', { ...message, text: 'STOP' })).toBe(1);
    expect(simulator.originate('bank', { ...message, text: 'x'.repeat(300) })).toBe(3);
    expect(simulator.originate('bank', { ...message, text: 'СТОП' })).toBe(1);
    expect(simulator.originate('bank', { ...message, hex: 'deadbeef', dataCoding: 4 })).toBe(1);
    const { esme } = await TestingEsme.bind(simulator.port, 'bank');
    undo.push(async () => esme.close());
    const pdus = await esme.messages(6);
    expect(pdus[0]).toMatchObject({ sourceAddr: '447700900777', destAddr: '61000', dataCoding: 0, esmClass: 0 });
    expect(pdus[0]!.shortMessage.toString()).toBe('STOP');
    expect(pdus.slice(1, 4).map(({ shortMessage, esmClass }) => [esmClass, ...shortMessage.subarray(0, 6)])).toEqual([
      [0x40, 5, 0, 3, 2, 3, 1],
      [0x40, 5, 0, 3, 2, 3, 2],
      [0x40, 5, 0, 3, 2, 3, 3],
    ]);
    expect(pdus[4]).toMatchObject({ dataCoding: 8, shortMessage: Buffer.from('04210422041e041f', 'hex') });
    expect(pdus[5]).toMatchObject({ dataCoding: 4, shortMessage: Buffer.from('deadbeef', 'hex') });
    expect(simulator.stats().accounts[0]!.originated).toBe(6);
    expect(() => simulator.originate('bank', { ...message, text: 'a', hex: '61' })).toThrow(/^text: /);
    expect(() => simulator.originate('bank', { from: '', to: '1', text: 'a' })).toThrow(/^from: /);
  });

  test('outbind: it dials the ESME, which binds on that connection', async () => {
    const [, simulator] = await bound();
    const arrived = Promise.withResolvers<net.Socket>();
    const listener = net.createServer(arrived.resolve).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    undo.push(async () => void listener.close());
    const { port } = listener.address() as net.AddressInfo;
    await simulator.outbind('127.0.0.1', port, 'carrier', 'secret');
    const esme = TestingEsme.over(await arrived.promise);
    undo.push(async () => esme.close());
    const [outbind] = await esme.pdus(({ command }) => command === 0x0b);
    expect(body(outbind!)).toBe('carrier\0secret\0');
    esme.sendBind('bank');
    await esme.pdus(({ command, status }) => command === Command.bindTransceiverResp && status === Status.ok);
    expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
    esme.close();
    await new Promise((resolve) => listener.close(resolve));
    await expect(simulator.outbind('127.0.0.1', port, 'carrier', '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('alert_notification to the sessions that receive', async () => {
    const [esme, simulator] = await bound();
    expect(simulator.alertNotification('bank', '447700900123', '61000')).toBe(1);
    const [pdu] = await esme.pdus(({ command }) => command === 0x102);
    expect(body(pdu!)).toBe('\x01\x01447700900123\0\0\x0161000\0');
  });
});
