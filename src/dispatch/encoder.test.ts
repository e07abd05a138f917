/** The octets of a submit_sm under each setting of a carrier, read by offset with nothing of the code that wrote them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readSubmitSm, type SubmitFields } from '../../test/support/plain-smsc.ts';
import { LANES, type LaneName, loadPolicies } from '../policy/index.ts';
import { FieldError, PROTOCOL, userReferenceOf } from '../smpp/index.ts';
import { Encoder } from './encoder.ts';
import type { HeldChunk, Item } from './types.ts';

const NOON = Date.UTC(2026, 10, 24, 12);
const DAY = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'tocsin-encoder-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The encoder of an account whose entry in carriers.yaml ends in these lines. */
function encoderWith(...lines: string[]): Encoder {
  for (const file of ['lanes', 'routing'])
    writeFileSync(join(folder, `${file}.yaml`), readFileSync(`policies/${file}.yaml`));
  const base = [
    'host: 127.0.0.1',
    'port: 1',
    'systemId: a',
    'password: { env: PW }',
    'tps: 1',
    'defaultSender: Tocsin',
  ];
  const carrier = [...base, ...lines].map((line) => `    ${line}\n`).join('');
  writeFileSync(join(folder, 'carriers.yaml'), `carriers:\n  demo-a:\n${carrier}`);
  const { carriers, lanes } = loadPolicies(folder, { PW: 'x' }, PROTOCOL);
  return new Encoder(carriers['demo-a'] as (typeof carriers)[string], lanes, (body) => TEXTS[body]);
}

const TEXTS: Record<number, string> = { 1: 'Hello', 3: 'x'.repeat(400) };

function itemOf(change: Partial<Item> = {}, lane: LaneName = 'transaction'): Item {
  const chunk = { lane, attempt: 2, possibleDuplicate: true } as HeldChunk;
  return {
    ...{ chunk, position: 0, id: 0x0102030405, alert: 'a', counted: false, msisdn: '+447700900123', sender: null },
    ...{ body: 1, secret: false, notBefore: null, expiresAt: NOON + DAY, parts: [], dataCoding: 0, esmClass: 0 },
    ...{ toSend: [], inFlight: 0, worst: 0, worstStatus: null, returned: null, heldBack: false, tlvs: null },
    ...{ reworded: false, partTlvs: [], firstRoute: 1, taken: false, submittedBefore: false, onwards: null },
    ...change,
  };
}

/** Every segment, taken one after another as the sender takes them. */
function framesOf(encoder: Encoder, item: Item, now = NOON): Buffer[] {
  expect(encoder.prepare(item)).toBe(true);
  const frames: Buffer[] = [];
  for (let segment = item.toSend.shift(); segment !== undefined; segment = item.toSend.shift()) {
    const frame = encoder.encode(item, segment, now);
    if (!(frame instanceof Buffer)) throw frame ?? new Error('expired');
    frames.push(frame);
  }
  return frames;
}
const read = (encoder: Encoder, item = itemOf(), now = NOON): SubmitFields =>
  readSubmitSm(framesOf(encoder, item, now)[0] as Buffer);

function refusal(encoder: Encoder, item: Item, now = NOON): unknown {
  encoder.prepare(item);
  return encoder.encode(item, item.toSend.shift() as number, now);
}

test('a message of every setting at once, octet by octet', () => {
  const encoder = encoderWith(
    ...['serviceType: CMT', 'correlationTlv: 0x1400', 'priorityFlags: { transaction: 0 }', 'utcOffset: "+05:30"'],
    ...['longestValidity: PT6H', 'intermediateReceipts: true', 'replaceIfPresent: true', 'userMessageReference: true'],
    'senderRules: [{ form: alphanumeric, ton: 5, npi: 9 }]',
    'tlvs: [{ tag: 0x1401, type: string, value: "1101" }, { tag: 0x1402, type: cstring, from: alert.tlvs.template }]',
  );
  const item = itemOf({ tlvs: { template: '1107', other: 'x' } });
  const reference = userReferenceOf({ delivery: item.id, attempt: 2, segment: 1 }).toString(16).padStart(4, '0');
  const [frame] = framesOf(encoder, item);
  expect(frame?.toString('hex', 16)).toBe(
    [
      '434d5400', // service_type: CMT
      '05', // source_addr_ton
      '09', // source_addr_npi
      '546f6373696e00', // source_addr: Tocsin
      '01', // dest_addr_ton
      '01', // dest_addr_npi
      '34343737303039303031323300', // destination_addr
      '00', // esm_class
      '00', // protocol_id
      '00', // priority_flag: this carrier's for transaction
      '00', // schedule_delivery_time
      '3236313132343233333030303032322b00', // validity_period: 261124233000022+, six hours from now
      '11', // registered_delivery: final and intermediate
      '01', // replace_if_present_flag
      '00', // data_coding
      '00', // sm_default_msg_id
      '05', // sm_length
      '48656c6c6f', // short_message: Hello
      `02040002${reference}`, // user_message_reference
      '1401000431313031', // the carrier's own
      '140200053131303700', // the alert's
      '1400000a00000001020304058201', // correlation: delivery, attempt 2 possibly a duplicate, segment 1
    ].join(''),
  );
});

describe('priority_flag', () => {
  test('is that of the lane', () => {
    const encoder = encoderWith();
    expect(LANES.map((lane) => read(encoder, itemOf({}, lane)).priorityFlag)).toEqual([3, 2, 1, 0]);
  });

  test("is the carrier's own where it maps the lane, up to its fifth level", () => {
    const encoder = encoderWith('priorityFlags: { emergency: 4, bulk: 1 }', 'highestPriorityFlag: 4');
    expect(LANES.map((lane) => read(encoder, itemOf({}, lane)).priorityFlag)).toEqual([4, 2, 1, 1]);
  });
});

describe('the sender', () => {
  const of = (encoder: Encoder, sender: string | null) => {
    const pdu = read(encoder, itemOf({ sender }));
    return [pdu.sourceAddrTon, pdu.sourceAddrNpi, pdu.sourceAddr];
  };

  test('has the type and plan of its form', () => {
    const encoder = encoderWith('sourceTon: 1', 'sourceNpi: 8');
    expect(of(encoder, null)).toEqual([5, 0, 'Tocsin']);
    expect(of(encoder, 'My Bank')).toEqual([5, 0, 'My Bank']);
    expect(of(encoder, '72100')).toEqual([3, 0, '72100']);
    expect(of(encoder, '07700900123')).toEqual([2, 8, '07700900123']);
    expect(of(encoder, '+447700900123')).toEqual([1, 8, '447700900123']);
  });

  test('has what the first rule of the carrier says', () => {
    const encoder = encoderWith(
      'senderRules: [{ prefix: "+91", ton: 2, npi: 1, plus: true }, { form: short-code, ton: 6, npi: 9 }, { ton: 0, npi: 0 }]',
    );
    expect(of(encoder, '+919876543210')).toEqual([2, 1, '+919876543210']);
    expect(of(encoder, '72100')).toEqual([6, 9, '72100']);
    expect(of(encoder, 'My Bank')).toEqual([0, 0, 'My Bank']);
  });

  test('that no SMSC could take ends in a typed error, and no octet', () => {
    for (const sender of ['TwelveCharss', 'Größe', '12', '+44 7700']) {
      expect(refusal(encoderWith(), itemOf({ sender }))).toMatchObject({ name: 'FieldError', field: 'source_addr' });
    }
  });
});

describe('the times', () => {
  test("are in the carrier's local time, in quarters of an hour, on every segment", () => {
    const encoder = encoderWith('utcOffset: "-03:30"', 'scheduleMode: carrier');
    const item = itemOf({ body: 3, notBefore: NOON + 3_600_500, expiresAt: NOON + 7_200_900 });
    const pdus = framesOf(encoder, item).map(readSubmitSm);
    expect(pdus.map((pdu) => [pdu.scheduleDeliveryTime, pdu.validityPeriod])).toEqual(
      Array(3).fill(['261124093001014-', '261124103000014-']),
    );
  });

  test('are what is left when each segment leaves', () => {
    const encoder = encoderWith('validityMode: relative', 'scheduleMode: carrier', 'longestValidity: PT1H');
    const item = itemOf({ body: 3, notBefore: NOON + 10_000 });
    encoder.prepare(item);
    const at = (now: number) => readSubmitSm(encoder.encode(item, 1, now) as Buffer);
    expect(at(NOON)).toMatchObject({ scheduleDeliveryTime: '000000000010000R', validityPeriod: '000000010010000R' });
    expect(at(NOON + 500)).toMatchObject({ scheduleDeliveryTime: '000000000010000R' });
    expect(at(NOON + 9_500)).toMatchObject({ scheduleDeliveryTime: '000000000001000R' });
    // It is due: the longest validity is counted from now.
    expect(at(NOON + 10_000)).toMatchObject({ scheduleDeliveryTime: '', validityPeriod: '000000010000000R' });
  });

  test('may differ in form', () => {
    const encoder = encoderWith('validityMode: omitted', 'scheduleMode: carrier', 'scheduleForm: relative');
    const pdu = read(encoder, itemOf({ notBefore: NOON + 60_000 }));
    expect(pdu).toMatchObject({ scheduleDeliveryTime: '000000000100000R', validityPeriod: '' });
  });

  test('that are over give nothing, and a schedule after the expiry a typed error', () => {
    const encoder = encoderWith('scheduleMode: carrier');
    expect(refusal(encoder, itemOf({ expiresAt: NOON + 999 }))).toBe(null);
    const late = refusal(encoder, itemOf({ notBefore: NOON + 2_000, expiresAt: NOON + 2_000 }));
    expect(late).toBeInstanceOf(FieldError);
    expect(late).toMatchObject({ field: 'schedule_delivery_time', rule: 'is not before the expiry' });
  });
});

test.each([
  [[], 0x01],
  [['intermediateReceipts: true'], 0x11],
  [['receiptsOn: failure'], 0x02],
  [['receiptsOn: failure', 'intermediateReceipts: true'], 0x12],
  [['receipts: none'], 0x00],
])('registered_delivery with %j is %i', (lines, value) => {
  expect(read(encoderWith(...lines)).registeredDelivery).toBe(value);
});

test('replace_if_present is set on a text of one segment only: the second would replace the first', () => {
  const encoder = encoderWith('replaceIfPresent: true');
  expect(framesOf(encoder, itemOf()).map((frame) => readSubmitSm(frame).replaceIfPresentFlag)).toEqual([1]);
  expect(framesOf(encoder, itemOf({ body: 3 })).map((frame) => readSubmitSm(frame).replaceIfPresentFlag)).toEqual([
    0, 0, 0,
  ]);
});

describe('optional parameters', () => {
  const tlvsOf = (frame: Buffer): string[] =>
    [...readSubmitSm(frame).tlvs].map(
      ([tag, value]) => `${tag.toString(16).padStart(4, '0')} ${value.toString('hex')}`,
    );
  const hex = (text: string): string => Buffer.from(text).toString('hex');

  test('say between segments that more follow, where the carrier wants it', () => {
    const encoder = encoderWith('moreMessagesToSend: true');
    expect(framesOf(encoder, itemOf({ body: 3 })).map(tlvsOf)).toEqual([['0426 01'], ['0426 01'], ['0426 00']]);
    expect(framesOf(encoder, itemOf()).map(tlvsOf)).toEqual([[]]);
    // Of an earlier attempt the first and the last were accepted.
    expect(framesOf(encoder, itemOf({ body: 3, toSend: [1, 3] })).map(tlvsOf)).toEqual([['0426 00']]);
  });

  test('have a reference of our own in each segment, where the carrier repeats it', () => {
    const encoder = encoderWith('userMessageReference: true');
    const item = itemOf({ body: 3 });
    const expected = [1, 2, 3].map((segment) => [
      `0204 ${userReferenceOf({ delivery: item.id, attempt: 2, segment }).toString(16).padStart(4, '0')}`,
    ]);
    expect(framesOf(encoder, item).map(tlvsOf)).toEqual(expected);
    expect(new Set(expected.flat()).size).toBe(3);
  });

  test("are the carrier's, a sender's in their place and behind them, and the alert's", () => {
    const encoder = encoderWith(
      'tlvs:',
      '  - { tag: 0x1401, type: string, value: entity }',
      '  - { tag: 0x1402, type: string, from: alert.tlvs.template, value: default }',
      '  - { tag: source_port, type: int16, from: alert.tlvs.port }',
      'senders:',
      '  Bank:',
      '    serviceType: WAP',
      '    tlvs: [{ tag: 0x1401, type: string, value: bank }, { tag: 0x1403, type: int8, value: 7 }]',
    );
    const of = (change: Partial<Item>) => tlvsOf(framesOf(encoder, itemOf(change))[0] as Buffer);
    expect(of({})).toEqual([`1401 ${hex('entity')}`, `1402 ${hex('default')}`]);
    expect(of({ tlvs: { template: 't1', port: '5099' } })).toEqual([
      `1401 ${hex('entity')}`,
      `1402 ${hex('t1')}`,
      '020a 13eb',
    ]);
    expect(of({ sender: 'Bank', tlvs: { template: 't1' } })).toEqual([
      `1401 ${hex('bank')}`,
      `1402 ${hex('t1')}`,
      '1403 07',
    ]);
    expect(read(encoder, itemOf({ sender: 'Bank' })).serviceType).toBe('WAP');
    expect(read(encoder).serviceType).toBe('');
    expect(framesOf(encoder, itemOf({ body: 3, tlvs: { template: 't1' } })).map(tlvsOf)).toEqual(
      Array(3).fill([`1401 ${hex('entity')}`, `1402 ${hex('t1')}`]),
    );
  });

  test('that do not fit what the policy makes of them by now end in a typed error', () => {
    const encoder = encoderWith('tlvs: [{ tag: source_port, type: int16, from: alert.tlvs.port }]');
    expect(refusal(encoder, itemOf({ tlvs: { port: 'http' } }))).toMatchObject({
      name: 'FieldError',
      field: 'source_port',
    });
  });
});
