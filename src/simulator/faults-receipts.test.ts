/** Each fault of receipts: that it fired, what came to the gateway, and that the bind is healthy afterwards. */
import { describe, expect, test } from 'vitest';
import { Command, MessageState, Status } from '../smpp/index.ts';
import { dialectNames } from './dialects.ts';
import { oddDelivers } from './faults.ts';
import { idFormNames } from './message-ids.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';
import { Gateway } from './testing-gateway.ts';

describe('time and number', () => {
  test('early: before the answer, however late that is', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsEarly: true, slowMs: 60 } } });
    const [context] = await gateway.send();
    await gateway.until(() => gateway.receipts.length === 1, 'the receipt has come');
    expect(gateway.answers.size).toBe(0);
    const [answer] = await gateway.answersOf([context!]);
    expect(Gateway.ids([answer!])).toEqual([gateway.receipts[0]!.messageId]);
    expect(gateway.fired('receiptsEarly')).toBe(1);
    gateway.faults({ receiptsEarly: false, slowMs: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('late', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsLateMs: 100 } } });
    const before = performance.now();
    const answers = await gateway.submit();
    await gateway.until(() => gateway.receipts.length === 1, 'the receipt has come');
    expect(performance.now() - before).toBeGreaterThanOrEqual(99);
    expect(gateway.receipts[0]!.messageId).toBe(Gateway.ids(answers)[0]);
    expect(gateway.fired('receiptsLate')).toBe(1);
    // A later one may overtake it: the next is due at once.
    gateway.faults({ receiptsLateMs: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('twice', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsTwice: true } } });
    const [id] = Gateway.ids(await gateway.submit());
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    expect(gateway.receipts.map(({ messageId }) => messageId)).toEqual([id, id]);
    expect(gateway.fired('receiptsTwice')).toBe(1);
    gateway.faults({ receiptsTwice: false });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('never', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsNever: true } } });
    expect(Gateway.statuses(await gateway.submit(3))).toEqual([0, 0, 0]);
    expect(gateway.fired('receiptsNever')).toBe(3);
    gateway.faults({ receiptsNever: false });
    expect(await gateway.isHealthy()).toBe(true);
    expect(gateway.receipts).toHaveLength(1);
  });

  test('for an id that nobody was given, beside the real one', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsUnknown: true } } });
    const [id] = Gateway.ids(await gateway.submit());
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    expect(gateway.receipts.map(({ messageId }) => messageId)).toEqual([expect.stringMatching(/\?$/), id]);
    expect(gateway.fired('receiptsUnknown')).toBe(1);
    gateway.faults({ receiptsUnknown: false });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('contradicting: DELIVRD, then UNDELIV', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsContradict: true } } });
    const [id] = Gateway.ids(await gateway.submit());
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    expect(gateway.receipts).toMatchObject([
      { messageId: id, state: MessageState.delivered },
      { messageId: id, state: MessageState.undeliverable },
    ]);
    expect(gateway.fired('receiptsContradict')).toBe(1);
    gateway.faults({ receiptsContradict: false });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('an intermediate notification first', async () => {
    await using gateway = await Gateway.up({ account: { faults: { receiptsIntermediate: true } } });
    const [id] = Gateway.ids(await gateway.submit());
    await gateway.until(() => gateway.receipts.length === 2, 'both have come');
    expect(gateway.receipts).toMatchObject([
      { messageId: id, state: MessageState.enroute, intermediate: true },
      { messageId: id, state: MessageState.delivered, intermediate: false },
    ]);
    expect(gateway.fired('receiptsIntermediate')).toBe(1);
    gateway.faults({ receiptsIntermediate: false });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('held back until released', async () => {
    await using gateway = await Gateway.up({ account: { faults: { holdReceipts: true } } });
    await gateway.submit(2);
    expect(gateway.receipts).toEqual([]);
    expect(gateway.fired('holdReceipts')).toBe(2);
    expect(gateway.simulator.release('bank')).toBe(2);
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(['first', 'last'] as const)('for the %s part of a text only', async (receiptSegments) => {
    await using gateway = await Gateway.up({ account: { faults: { receiptSegments } } });
    const ids: (string | null)[] = [];
    for (const part of [1, 2, 3]) {
      const shortMessage = Buffer.concat([Buffer.from([5, 0, 3, 7, 3, part]), Buffer.from('part')]);
      ids.push(...Gateway.ids(await gateway.submit(1, { esmClass: 0x40, shortMessage })));
    }
    const sar = (part: number) => [
      { tag: 0x020c, value: Buffer.from([0, 9]) },
      { tag: 0x020e, value: Buffer.from([2]) },
      { tag: 0x020f, value: Buffer.from([part]) },
    ];
    for (const part of [1, 2]) ids.push(...Gateway.ids(await gateway.submit(1, { tlvs: sar(part) })));
    await gateway.until(() => gateway.receipts.length === 2, 'one receipt for each text has come');
    const chosen = receiptSegments === 'first' ? [ids[0], ids[3]] : [ids[2], ids[4]];
    expect(gateway.receipts.map(({ messageId }) => messageId)).toEqual(chosen);
    expect(gateway.fired('receiptSegments')).toBe(3);
    // A text in one part is its own first and last.
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('the form', () => {
  test.each(dialectNames)('dialect %s', async (receiptDialect) => {
    await using gateway = await Gateway.up({
      account: { faults: { receiptDialect }, failedReceipts: { share: 1, stat: 'UNDELIV', error: '042' } },
    });
    const [id] = Gateway.ids(await gateway.submit());
    await gateway.until(() => gateway.receipts.length + gateway.messages.length === 1, 'it has come');
    expect(gateway.receipts).toMatchObject([{ messageId: id, state: MessageState.undeliverable, intermediate: false }]);
    expect(gateway.fired('receiptDialect')).toBe(1);
    gateway.faults({ receiptDialect: null });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(idFormNames)('ids in the form %s', async (idForm) => {
    await using gateway = await Gateway.up({ account: { faults: { idForm } } });
    const answered = Gateway.ids(await gateway.submit(2));
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    const received = gateway.receipts.map(({ messageId }) => messageId);
    expect(new Set(received).size).toBe(2);
    // What both spell is the same number; how they spell it is the form.
    expect(received.map(plain)).toEqual(answered.map((id) => plain(id!)));
    if (['same', 'decimal', 'hex', 'hex-8'].includes(idForm)) expect(received).toEqual(answered);
    else expect(received).not.toEqual(answered);
    expect(gateway.fired('idForm')).toBe(idForm === 'same' ? 0 : 2);
    gateway.faults({ idForm: 'same' });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('on data_sm: each is answered, and the session goes on', async () => {
    await using gateway = await Gateway.up({
      account: { faults: { receiptsOnDataSm: true }, receipts: { redeliveries: 0 } },
    });
    const answers = await gateway.submit(2);
    expect(Gateway.statuses(answers)).toEqual([Status.ok, Status.ok]);
    await gateway.until(() => gateway.receipts.length === 2, 'both receipts have come');
    expect(gateway.receipts.map(({ messageId }) => messageId)).toEqual(Gateway.ids(answers));
    await gateway.simulator.waitFor('bank', 'receipts.answered', { atLeast: 2 }, 2_000);
    expect(gateway.fired('receiptsOnDataSm')).toBe(2);
    expect(gateway.closed).toEqual([]);
    gateway.faults({ receiptsOnDataSm: false });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test.each(oddDelivers)('a malformed deliver_sm (%s): refused, and taken when it comes whole', async (oddDeliver) => {
    await using gateway = await Gateway.up({
      account: { faults: { oddDeliverNext: 1, oddDeliver }, receipts: { redeliverAfterMs: 50 } },
    });
    await gateway.submit();
    await gateway.simulator.waitFor('bank', 'now.unanswered', { atMost: 0 }, 2_000);
    expect(gateway.fired('oddDeliver')).toBe(1);
    expect(gateway.bind.stats().counters.malformed).toBe(1);
    expect(gateway.closed).toEqual([]);
    expect(await gateway.isHealthy()).toBe(true);
  });
});

test('messages from handsets come as such, in parts and in any script, between receipts', async () => {
  await using gateway = await Gateway.up();
  const handset = { from: '447700900777', to: '61000' };
  gateway.simulator.originate('bank', { ...handset, text: 'STOP' });
  await gateway.submit();
  gateway.simulator.originate('bank', { ...handset, text: 'Ž'.repeat(80) });
  await gateway.until(() => gateway.messages.length === 3 && gateway.receipts.length === 1, 'all have come');
  expect(gateway.messages.map(({ dataCoding, esmClass }) => [dataCoding, esmClass])).toEqual([
    [0, 0],
    [8, 0x40],
    [8, 0x40],
  ]);
  expect(gateway.messages[0]).toMatchObject({ sourceAddr: handset.from, destAddr: handset.to });
  expect(await gateway.isHealthy()).toBe(true);
});

test('a data_sm that carries a receipt holds it in message_payload and TLVs', async () => {
  await using gateway = await Gateway.start({
    account: { faults: { receiptsOnDataSm: true } },
    bind: { systemId: 'x' },
  });
  const { esme } = await TestingEsme.bind(gateway.simulator.port, 'bank');
  const [answer] = await esme.answers(esme.submit(submitSm()));
  const [data] = await esme.pdus(({ command }) => command === 0x103);
  const text = data!.bytes.toString('latin1');
  expect(text).toContain(`id:${answer!.messageId} sub:001`);
  // service_type, source and destination, then esm_class: a receipt.
  expect(data!.bytes.subarray(16, 20).toString('hex')).toBe('00010134');
  esme.send(0x80000103, data!.sequence);
  await gateway.simulator.waitFor('bank', 'receipts.answered', { atLeast: 1 }, 2_000);
  expect(esme.received.some(({ command }) => command === Command.deliverSm)).toBe(false);
  esme.close();
});

/** The number behind an id, in whatever form. */
function plain(id: string): string {
  const bare = id
    .toLowerCase()
    .replace(/^(smsc1-|0x)/, '')
    .replaceAll('-', '');
  // Decimal ids of this form begin with 7 and have sixteen digits; what else is digits only is hexadecimal.
  const digits = bare.replace(/^0+/, '');
  if (/^7\d{15}$/.test(digits)) return Number(digits).toString(16);
  return digits;
}
