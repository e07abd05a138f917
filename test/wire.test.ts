/**
 * The bytes on the wire: what an alert posted over HTTP is when a carrier receives it. A server in a process of its own
 * takes the alert through PostgreSQL and pg-boss to a plain TCP listener, and each submit_sm is read there by offset
 * (SMPP 3.4 §4.4.1), with nothing of the code that wrote it.
 *
 * One account for each way in which a carrier may want its times; the number decides which of them an alert takes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey } from '../src/access/index.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { type PlainSmsc, readSubmitSm, type SubmitFields, startPlainSmsc } from './support/plain-smsc.ts';
import { type Served, serve } from './support/served.ts';

/** Prefix of the numbers that an account serves, and what is special about it. */
const ACCOUNTS = {
  absolute: { prefix: '+', policy: {} },
  // Two a second: three segments do not leave within the same second.
  relative: { prefix: '+44', policy: { validityMode: 'relative', tps: 2 } },
  omitted: {
    prefix: '+49',
    policy: {
      validityMode: 'omitted',
      receipts: 'none',
      serviceType: 'CMT',
      ...{ sourceTon: 2, sourceNpi: 8, destTon: 4, destNpi: 6 },
    },
  },
  later: { prefix: '+33', policy: { scheduleMode: 'carrier' } },
  // Delhi's time, an entity and a template for each text, and this carrier's own levels of priority.
  delhi: {
    prefix: '+91',
    policy: {
      utcOffset: '+05:30',
      longestValidity: 'PT10M',
      priorityFlags: { transaction: 3 },
      senderRules: [{ form: 'alphanumeric', ton: 5, npi: 9 }],
      intermediateReceipts: true,
      moreMessagesToSend: true,
      tlvs: [
        { tag: 0x1401, type: 'string', value: '1101234567890123456' },
        { tag: 0x1402, type: 'cstring', from: 'alert.tlvs.template' },
        { tag: 'source_port', type: 'int16', from: 'alert.tlvs.port' },
      ],
      senders: { Gazette: { tlvs: [{ tag: 0x1401, type: 'string', value: '1109' }] } },
    },
  },
  'later-relative': { prefix: '+61', policy: { scheduleMode: 'carrier', validityMode: 'relative' } },
} as const;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

let db: TestDatabase;
let folder: string;
let smsc: PlainSmsc;
let server: Served;
let key: string;

beforeAll(async () => {
  db = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'tocsin-wire-'));
  smsc = await startPlainSmsc();
  const common = { host: '127.0.0.1', port: smsc.port, tps: 500, correlationTlv: 0x1400, reconnectFirst: 'PT0.1S' };
  server = await serve({
    folder,
    databaseUrl: db.url,
    carriers: Object.fromEntries(
      Object.entries(ACCOUNTS).map(([name, { policy }]) => [name, { ...common, defaultSender: 'Tocsin', ...policy }]),
    ),
    routes: Object.entries(ACCOUNTS).map(([name, { prefix }]) => ({ name, prefixes: [prefix], binds: [name] })),
  });
  key = await createKey(db.database, {
    organisation: 'O',
    lanes: ['emergency', 'security', 'transaction', 'bulk'],
    scopes: ['alerts:write'],
  });
});

afterAll(async () => {
  await server?.stop();
  await smsc?.close();
  await rm(folder, { recursive: true, force: true });
});

test('a bind_transceiver names system_id, password and version 3.4, and leaves the rest to the carrier', () => {
  const own = smsc.binds.filter((frame) => frame.includes('absolute'));
  expect(own.map((frame) => frame.toString('hex', 0, 12) + frame.toString('hex', 16))).toEqual([
    [
      '00000023', // command_length: 35
      '00000009', // command_id: bind_transceiver
      '00000000', // command_status
      '6162736f6c75746500', // system_id: absolute
      '64656d6f00', // password: demo
      '00', // system_type
      '34', // interface_version
      '00', // addr_ton
      '00', // addr_npi
      '00', // address_range
    ].join(''),
  ]);
});

describe('one segment', () => {
  test.each([
    ['emergency', '03'],
    ['security', '02'],
    ['transaction', '01'],
    ['bulk', '00'],
  ])('of lane %s, octet by octet', async (lane, priorityFlag) => {
    const msisdn = number();
    const expiresAt = ahead(30 * MINUTE);
    const alert = await post({ lane, msisdn, text: 'Flood warning.', expiresAt });
    const [frame] = await framesTo(msisdn, 1);
    expect(frame?.toString('hex')).toBe(
      [
        '0000005e', // command_length: 94
        '00000004', // command_id: submit_sm
        '00000000', // command_status
        frame?.toString('hex', 12, 16), // sequence_number
        '00', // service_type
        '05', // source_addr_ton: alphanumeric
        '00', // source_addr_npi
        '546f6373696e00', // source_addr: Tocsin
        '01', // dest_addr_ton: international
        '01', // dest_addr_npi: E.164
        `${hex(msisdn.slice(1))}00`, // destination_addr
        '00', // esm_class
        '00', // protocol_id
        priorityFlag,
        '00', // schedule_delivery_time
        `${hex(absolute(expiresAt))}00`, // validity_period
        '01', // registered_delivery: a receipt, whatever the end
        '00', // replace_if_present_flag
        '00', // data_coding: the SMSC's default alphabet
        '00', // sm_default_msg_id
        '0e', // sm_length
        '466c6f6f64207761726e696e672e', // short_message: Flood warning.
        '1400', // the carrier's own tag for the correlation
        '000a', // its length
        `${await deliveryOf(alert.id)}0101`, // delivery, attempt, segment
      ].join(''),
    );
    expect(frame?.readUInt32BE(12)).toBeGreaterThan(0);
  });

  test.each([
    ['emergency', 60 * MINUTE],
    ['security', 5 * MINUTE],
    ['transaction', 12 * 60 * MINUTE],
    ['bulk', 24 * 60 * MINUTE],
  ] as const)(
    'of lane %s is valid as long as the lane says when the producer says nothing',
    async (lane, validityMs) => {
      const msisdn = number();
      const before = Date.now();
      const { expiresAt } = await post({ lane, msisdn, text: 'Hello' });
      const [pdu] = await submitsTo(msisdn, 1);
      expect(Math.abs(Date.parse(expiresAt) - before - validityMs)).toBeLessThan(5 * SECOND);
      expect(pdu?.validityPeriod).toBe(absolute(expiresAt));
    },
  );

  test('that ends within a second is valid until the last whole second before it', async () => {
    const msisdn = number();
    const expiresAt = ahead(MINUTE).replace('.000Z', '.999Z');
    await post({ msisdn, text: 'Hello', expiresAt });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu?.validityPeriod).toBe(absolute(expiresAt));
    expect(instant(pdu?.validityPeriod)).toBeLessThanOrEqual(Date.parse(expiresAt));
  });

  test('carries each character of the GSM 7-bit alphabet as an octet, those of the extension table as two', async () => {
    const msisdn = number();
    await post({ msisdn, text: '@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¡ÄÖÑÜ§¿äöñüà\f^{}\\[~]|€' });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu).toMatchObject({ dataCoding: 0x00, esmClass: 0x00, smLength: 63 });
    expect(pdu?.shortMessage.toString('hex')).toBe(
      '000102030405060708090a0b0c0e0f101112131415161718191a1c1d1e1f20405b5c5d5e5f607b7c7d7e7f' +
        '1b0a1b141b281b291b2f1b3c1b3d1b3e1b401b65',
    );
  });

  test('is UCS-2, big-endian, as soon as one character is not in the alphabet', async () => {
    const msisdn = number();
    await post({ msisdn, text: 'Жa🚨' });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu).toMatchObject({ dataCoding: 0x08, esmClass: 0x00, smLength: 8 });
    expect(pdu?.shortMessage.toString('hex')).toBe('04160061d83ddea8');
  });

  test.each([
    ['160 septets', `${'x'.repeat(158)}€`, 0x00, 160],
    ['70 UCS-2 units', 'Ж'.repeat(70), 0x08, 140],
  ])('holds %s', async (_, text, dataCoding, smLength) => {
    const msisdn = number();
    await post({ msisdn, text });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu).toMatchObject({ dataCoding, esmClass: 0x00, smLength });
  });

  test.each([
    ['letters', 'My Bank', '0500', 'My Bank'],
    ['a short code', '72100', '0300', '72100'],
    ['a number', '+12015550188', '0101', '12015550188'],
  ])('comes from %s', async (_, sender, ton, address) => {
    const msisdn = number();
    await post({ msisdn, text: 'Hello', sender });
    const [frame] = await framesTo(msisdn, 1);
    expect(frame?.toString('latin1', 17)).toMatch(new RegExp(`^${latin1(ton)}${address}\0\x01\x01`));
  });
});

describe('three segments', () => {
  // 152 septets fit beside the header of 7 octets. At 151 + 2 and at 151 + 2 again a pair would be cut in two.
  const gsm = `${'a'.repeat(151)}€${'b'.repeat(149)}[${'c'.repeat(20)}]`;
  // The header leaves 133 octets, 66 units: 65 + 2 and 65 + 2.
  const ucs2 = `Ж${'a'.repeat(64)}🚨${'b'.repeat(63)}👩${'c'.repeat(20)}`;

  test('of GSM 7-bit: one reference, no pair of octets torn apart, all fields the same', async () => {
    const msisdn = number();
    const expiresAt = ahead(20 * MINUTE);
    await post({ msisdn, text: gsm, expiresAt });
    const pdus = await submitsTo(msisdn, 3);
    const reference = referenceOf(pdus);
    expect(pdus.map(({ shortMessage }) => shortMessage.toString('hex', 0, 7))).toEqual([
      `060804${reference}0301`,
      `060804${reference}0302`,
      `060804${reference}0303`,
    ]);
    expect(pdus.map(({ smLength }) => smLength)).toEqual([7 + 151, 7 + 151, 7 + 24]);
    expect(pdus.map(({ shortMessage }) => shortMessage.toString('hex', 7, 9))).toEqual(['6161', '1b65', '1b3c']);
    expect(pdus.map(({ shortMessage }) => shortMessage.at(-1))).toEqual([0x61, 0x62, 0x3e]);
    for (const pdu of pdus) {
      expect(pdu).toMatchObject({
        ...{ esmClass: 0x40, dataCoding: 0x00, validityPeriod: absolute(expiresAt), scheduleDeliveryTime: '' },
        ...{ registeredDelivery: 0x01, priorityFlag: 0x01, protocolId: 0, replaceIfPresentFlag: 0 },
      });
    }
    expect(pdus.map((pdu) => fromGsm(pdu.shortMessage.subarray(7))).join('')).toBe(gsm);
  });

  test('of UCS-2: one reference, no surrogate pair torn apart, all fields the same', async () => {
    const msisdn = number();
    const expiresAt = ahead(20 * MINUTE);
    await post({ lane: 'emergency', msisdn, text: ucs2, expiresAt });
    const pdus = await submitsTo(msisdn, 3);
    const reference = referenceOf(pdus);
    expect(pdus.map(({ shortMessage }) => shortMessage.toString('hex', 0, 7))).toEqual([
      `060804${reference}0301`,
      `060804${reference}0302`,
      `060804${reference}0303`,
    ]);
    expect(pdus.map(({ smLength }) => smLength)).toEqual([7 + 130, 7 + 130, 7 + 44]);
    expect(pdus.map(({ shortMessage }) => shortMessage.toString('hex', 7, 11))).toEqual([
      '04160061',
      'd83ddea8',
      'd83ddc69',
    ]);
    for (const pdu of pdus) {
      expect(pdu).toMatchObject({
        ...{ esmClass: 0x40, dataCoding: 0x08, validityPeriod: absolute(expiresAt), scheduleDeliveryTime: '' },
        ...{ registeredDelivery: 0x01, priorityFlag: 0x03 },
      });
    }
    expect(pdus.map((pdu) => fromUtf16(pdu.shortMessage.subarray(7))).join('')).toBe(ucs2);
  });

  test('say in their correlation which delivery, attempt and segment they are', async () => {
    const msisdn = number();
    const alert = await post({ msisdn, text: gsm });
    const pdus = await submitsTo(msisdn, 3);
    const delivery = await deliveryOf(alert.id);
    expect(
      pdus.map(({ tlvs }) => [...tlvs].map(([tag, value]) => `${tag.toString(16)} ${value.toString('hex')}`)),
    ).toEqual(['01', '02', '03'].map((segment) => [`1400 ${delivery}01${segment}`]));
    expect(new Set(pdus.map(({ sequenceNumber }) => sequenceNumber)).size).toBe(3);
  });

  test('of two texts to one number have two references', async () => {
    const msisdn = number();
    await post({ msisdn, text: gsm });
    const first = referenceOf(await submitsTo(msisdn, 3));
    await post({ msisdn, text: gsm });
    expect(referenceOf((await submitsTo(msisdn, 6)).slice(3))).not.toBe(first);
  });

  test('have a relative validity each, of what is left when it leaves', async () => {
    const msisdn = number('+44');
    const expiresAt = ahead(MINUTE);
    await post({ msisdn, text: gsm, expiresAt });
    const arrived = await smsc.submitsTo(msisdn, 3);
    const left = arrived.map(({ frame }) => relativeSeconds(readSubmitSm(frame).validityPeriod));
    for (const [i, { at }] of arrived.entries()) {
      expect(at + (left[i] ?? 0) * SECOND).toBeLessThanOrEqual(Date.parse(expiresAt) + SECOND);
      expect(left[i]).toBeGreaterThan(50);
    }
    // At two a second the third left at least a second after the first.
    expect(left[2]).toBeLessThan(left[0] ?? 0);
  });

  test('have no validity where the carrier delivers nothing with one, and ask for no receipt where it sends none', async () => {
    const msisdn = number('+49');
    await post({ msisdn, text: gsm, validFor: 'PT10M' });
    for (const pdu of await submitsTo(msisdn, 3)) {
      expect(pdu).toMatchObject({
        validityPeriod: '',
        scheduleDeliveryTime: '',
        registeredDelivery: 0x00,
        esmClass: 0x40,
      });
    }
  });
});

test('service_type, and types and plans of numbers, are those of the account', async () => {
  const msisdn = number('+49');
  await post({ msisdn, text: 'Hello', sender: '+12015550188' });
  const [pdu] = await submitsTo(msisdn, 1);
  expect(pdu).toMatchObject({
    ...{ serviceType: 'CMT', sourceAddrTon: 2, sourceAddrNpi: 8, sourceAddr: '12015550188' },
    ...{ destAddrTon: 4, destAddrNpi: 6, destinationAddr: msisdn.slice(1) },
  });
});

describe('a carrier that wants more in each submit_sm', () => {
  const entity = hex('1101234567890123456');
  const tlvsOf = ({ tlvs }: SubmitFields): string[] =>
    [...tlvs].filter(([tag]) => tag !== 0x1400).map(([tag, value]) => `${tag.toString(16)} ${value.toString('hex')}`);

  test("gets its own parameters and the alert's on every segment, and times in its own hours, none too long", async () => {
    const msisdn = number('+91');
    const before = Date.now();
    await post({
      ...{ msisdn, text: 'a'.repeat(400), validFor: 'PT3H' },
      tlvs: { template: '1107161234567890123', port: 5_099 },
    });
    const arrived = await smsc.submitsTo(msisdn, 3);
    for (const [i, { frame, at }] of arrived.entries()) {
      const pdu = readSubmitSm(frame);
      expect(tlvsOf(pdu)).toEqual([
        `426 ${i < 2 ? '01' : '00'}`,
        `1401 ${entity}`,
        `1402 ${hex('1107161234567890123')}00`,
        '20a 13eb',
      ]);
      expect(pdu).toMatchObject({ priorityFlag: 3, registeredDelivery: 0x11, sourceAddrTon: 5, sourceAddrNpi: 9 });
      expect(pdu.validityPeriod).toMatch(/^\d{12}022\+$/);
      // Ten minutes at most, from when it left; five and a half hours ahead of UTC.
      const end = instant(`${pdu.validityPeriod.slice(0, 13)}00+`) - 5.5 * 3_600_000;
      expect(end).toBeLessThanOrEqual(at + 10 * MINUTE);
      expect(end).toBeGreaterThan(before + 9 * MINUTE);
    }
  });

  test("gets a sender's in place of its own, and nothing of the alert's where the alert gives none", async () => {
    const msisdn = number('+91');
    await post({ msisdn, text: 'Hello', sender: 'Gazette' });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu && tlvsOf(pdu)).toEqual([`1401 ${hex('1109')}`]);
  });

  test.each([
    [{ entity: 'x' }, 'tlv-unknown', 'tlvs.entity'],
    [{ 'not a name': 'x' }, 'tlv-unknown', 'tlvs.?'],
    [{ port: 70_000 }, 'tlv-value', 'tlvs.port'],
    [{ port: 'http' }, 'tlv-value', 'tlvs.port'],
    [{ template: 'Ж' }, 'tlv-value', 'tlvs.template'],
  ])('%j is refused as %s before any octet leaves, and the answer names %s', async (tlvs, code, field) => {
    const msisdn = number('+91');
    const response = await send({ msisdn, text: 'Hello', tlvs });
    expect(response.status).toBe(422);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const problem = (await response.json()) as { type: string; errors: { field: string; rule: string }[] };
    expect(problem.type).toBe(`/problems/${code}`);
    expect(problem.errors).toMatchObject([{ field, rule: code }]);
    expect(smsc.arrived.some(({ frame }) => readSubmitSm(frame).destinationAddr === msisdn.slice(1))).toBe(false);
  });
});

describe('an alert for later', () => {
  test('is held here, and then says nothing of it to the carrier', async () => {
    const msisdn = number();
    const notBefore = new Date(Date.now() + 1_500).toISOString();
    await post({ msisdn, text: 'Hello', notBefore });
    const [arrived] = await smsc.submitsTo(msisdn, 1);
    expect(arrived?.at).toBeGreaterThanOrEqual(Date.parse(notBefore));
    expect(arrived && readSubmitSm(arrived.frame).scheduleDeliveryTime).toBe('');
  });

  test('goes to a carrier that holds it at once, with the whole second at or after notBefore', async () => {
    const msisdn = number('+33');
    const notBefore = ahead(10 * MINUTE).replace('.000Z', '.001Z');
    const expiresAt = ahead(20 * MINUTE);
    await post({ msisdn, text: 'Hello', notBefore, expiresAt });
    const [pdu] = await submitsTo(msisdn, 1);
    const second = new Date(Date.parse(notBefore) + 999).toISOString();
    expect(pdu).toMatchObject({ scheduleDeliveryTime: absolute(second), validityPeriod: absolute(expiresAt) });
  });

  test('without notBefore, such a carrier is told no time', async () => {
    const msisdn = number('+33');
    await post({ msisdn, text: 'Hello' });
    const [pdu] = await submitsTo(msisdn, 1);
    expect(pdu?.scheduleDeliveryTime).toBe('');
  });

  test('says how long from now to a carrier that wants relative times, in each segment', async () => {
    const msisdn = number('+61');
    const notBefore = ahead(10 * MINUTE);
    const expiresAt = ahead(20 * MINUTE);
    await post({ msisdn, text: 'a'.repeat(400), notBefore, expiresAt });
    for (const { frame, at } of await smsc.submitsTo(msisdn, 3)) {
      const pdu = readSubmitSm(frame);
      const [from, to] = [relativeSeconds(pdu.scheduleDeliveryTime), relativeSeconds(pdu.validityPeriod)];
      expect(at + from * SECOND).toBeGreaterThanOrEqual(Date.parse(notBefore));
      expect(at + from * SECOND).toBeLessThan(Date.parse(notBefore) + 5 * SECOND);
      expect(at + to * SECOND).toBeLessThanOrEqual(Date.parse(expiresAt) + SECOND);
    }
  });

  // The second attempt is in another chunk of work, which has a time of its own: when to try again.
  test.each([
    ['was refused for a moment', 0x00000008, '02'],
    ['was not answered before the session ended', 'hang-up', '82'],
  ] as const)('is told its time again after it %s', async (_, verdict, attempt) => {
    const msisdn = number('+33');
    const notBefore = ahead(10 * MINUTE);
    let first = true;
    smsc.verdict = (frame) => {
      if (!first || readSubmitSm(frame).destinationAddr !== msisdn.slice(1)) return 0;
      first = false;
      return verdict;
    };
    const alert = await post({ lane: 'emergency', msisdn, text: 'Hello', notBefore, validFor: 'PT10M' });
    const pdus = await submitsTo(msisdn, 2);
    expect(pdus.map(({ scheduleDeliveryTime }) => scheduleDeliveryTime)).toEqual([
      absolute(notBefore),
      absolute(notBefore),
    ]);
    expect(pdus[1]?.tlvs.get(0x1400)?.toString('hex')).toBe(`${await deliveryOf(alert.id)}${attempt}01`);
  });
});

interface Posted {
  lane?: string;
  msisdn: string;
  text: string;
  sender?: string;
  notBefore?: string;
  expiresAt?: string;
  validFor?: string;
  tlvs?: object;
}

function send({ lane = 'transaction', msisdn, text, ...rest }: Posted): Promise<Response> {
  return fetch(`${server.url}/v1/alerts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ lane, content: { text }, target: { recipients: [{ msisdn }] }, ...rest }),
  });
}

async function post(alert: Posted): Promise<{ id: string; expiresAt: string }> {
  const response = await send(alert);
  expect(response.status).toBe(202);
  return (await response.json()) as { id: string; expiresAt: string };
}

async function framesTo(msisdn: string, count: number): Promise<Buffer[]> {
  return (await smsc.submitsTo(msisdn, count)).map(({ frame }) => frame);
}

/** Read by offset; the header is that of a submit_sm as long as it says. */
async function submitsTo(msisdn: string, count: number): Promise<SubmitFields[]> {
  return (await framesTo(msisdn, count)).map((frame) => {
    const pdu = readSubmitSm(frame);
    expect(pdu).toMatchObject({ commandLength: frame.length, commandId: 0x00000004, commandStatus: 0 });
    return pdu;
  });
}

/** The id of the alert's only delivery in 8 octets. */
async function deliveryOf(alert: string): Promise<string> {
  const [row] = await db.database.pools.reader.query<{ id: number }>('SELECT id FROM delivery WHERE alert = $1', [
    alert,
  ]);
  return (row?.id ?? -1).toString(16).padStart(16, '0');
}

const TEMPLATES = {
  '+1': '+1201555',
  '+44': '+44770090',
  '+49': '+493023125',
  '+33': '+3319900',
  '+61': '+6149157',
  '+91': '+9199900',
};
let numbers = 100;

/** A number that no other test has, of those kept for fiction. */
function number(of: keyof typeof TEMPLATES = '+1'): string {
  const lengths = { '+1': 4, '+44': 4, '+49': 3, '+33': 4, '+61': 4, '+91': 5 };
  return TEMPLATES[of] + String(numbers++).padStart(lengths[of], '0');
}

/** A whole second so far from now, as RFC 3339. */
const ahead = (ms: number): string => new Date(Math.ceil((Date.now() + ms) / SECOND) * SECOND).toISOString();

/** SMPP 3.4 §7.1.1.1: `2026-03-29T01:30:00.500Z` → `260329013000000+`, in UTC and without the part of a second. */
const absolute = (rfc3339: string): string => `${rfc3339.replace(/\D/g, '').slice(2, 14)}000+`;

function instant(text = ''): number {
  const [, year, month, day, hour, minute, second] = /^(..)(..)(..)(..)(..)(..)000\+$/.exec(text) ?? [];
  return Date.parse(`20${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** SMPP 3.4 §7.1.1.2: `000000001000000R` is ten minutes. */
function relativeSeconds(text: string): number {
  const [, hours, minutes, seconds] = /^000000(\d\d)([0-5]\d)([0-5]\d)000R$/.exec(text) ?? [];
  return (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
}

/** Octets 3 and 4 of the first segment, as hex. */
const referenceOf = (pdus: readonly SubmitFields[]): string | undefined => pdus[0]?.shortMessage.toString('hex', 3, 5);

/** Letters, and what stands behind the escape. */
function fromGsm(octets: Buffer): string {
  return octets.toString('latin1').replaceAll('\x1b\x65', '€').replaceAll('\x1b\x3c', '[').replaceAll('\x1b\x3e', ']');
}

const fromUtf16 = (octets: Buffer): string => new TextDecoder('utf-16be', { fatal: true }).decode(octets);
const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const latin1 = (digits: string): string => Buffer.from(digits, 'hex').toString('latin1');
