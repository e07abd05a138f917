/**
 * Texts on the wire, as each carrier's `text` policy wants them: a server in a process of its own takes an alert over HTTP,
 * a plain TCP listener gets its submit_sm, and the octets are read by offset, with nothing of the code that wrote them.
 *
 * One account for each policy; the number decides which of them an alert takes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey } from '../src/access/index.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { type PlainSmsc, readSubmitSm, type SubmitFields, startPlainSmsc } from './support/plain-smsc.ts';
import { type Served, serve } from './support/served.ts';

/** Prefix of the numbers that an account serves, and how it takes texts. */
const ACCOUNTS = {
  flash: { prefix: '+', text: { messageClass: { emergency: 0 } } },
  turkish: { prefix: '+44', text: { languages: ['turkish'] } },
  plain: { prefix: '+49', text: { alphabets: ['gsm7'], transliterate: 'gsm7' } },
  sar: { prefix: '+33', text: { concatenation: 'sar', sarOctets: 134 } },
  payload: { prefix: '+61', text: { concatenation: 'payload' } },
  packed: { prefix: '+46', text: { packed: true, concatenation: 'udh-8' } },
} as const;

let db: TestDatabase;
let folder: string;
let smsc: PlainSmsc;
let server: Served;
let key: string;

beforeAll(async () => {
  db = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'tocsin-text-'));
  smsc = await startPlainSmsc();
  const common = { host: '127.0.0.1', port: smsc.port, tps: 500, reconnectFirst: 'PT0.1S', defaultSender: 'Tocsin' };
  server = await serve({
    folder,
    databaseUrl: db.url,
    carriers: Object.fromEntries(Object.entries(ACCOUNTS).map(([name, { text }]) => [name, { ...common, text }])),
    routes: Object.entries(ACCOUNTS).map(([name, { prefix }]) => ({ name, prefixes: [prefix], binds: [name] })),
  });
  key = await createKey(db.database, {
    organisation: 'O',
    lanes: ['emergency', 'transaction'],
    scopes: ['alerts:write', 'alerts:read'],
  });
});

afterAll(async () => {
  await server?.stop();
  await smsc?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a Turkish text', () => {
  test('goes out as septets behind a header that says which tables they are of', async () => {
    await post('+447700900101', 'Yarın yoğun yağış');
    const [pdu] = await submitsTo('+447700900101', 1);
    expect(pdu).toMatchObject({ esmClass: 0x40, dataCoding: 0x00, smLength: 21 });
    expect(pdu?.shortMessage.toString('hex')).toBe(
      [
        '03', // length of the header
        '250101', // locking shift table: Turkish
        '5961720' + '76e', // Yarın: ı is 07 there
        '20',
        '796f0c756e', // yoğun: ğ is 0c
        '20',
        '79610c071d', // yağış: ş is 1d
      ].join(''),
    );
  });

  test('in two segments repeats them behind the reference', async () => {
    await post('+447700900102', 'ğ'.repeat(149));
    await post('+447700900103', `¿${'ğa'.repeat(60)}`);
    expect((await submitsTo('+447700900102', 1))[0]?.smLength).toBe(4 + 149);
    const parts = await submitsTo('+447700900103', 2);
    const reference = parts[0]?.shortMessage.toString('hex', 3, 5);
    // ¿ is in the default alphabet alone, so that ğ is an escape and a letter of the single shift table.
    expect(parts.map(({ shortMessage }) => shortMessage.toString('hex', 0, 13))).toEqual([
      `090804${reference}0201240101601b67`.slice(0, 26),
      `090804${reference}0202240101${parts[1]?.shortMessage.toString('hex', 10, 13)}`,
    ]);
    const text = parts.map(({ shortMessage }) => shortMessage.toString('hex', 10)).join('');
    expect(text).toBe(`60${'1b6761'.repeat(60)}`);
    expect(parts[0]?.smLength).toBeLessThanOrEqual(10 + 148);
  });
});

describe('a text that the carrier can not send as it is', () => {
  const changes = [
    { language: null, character: '“', replacement: '"', count: 1, position: 0, carriers: ['plain'] },
    { language: null, character: 'č', replacement: 'c', count: 2, position: 2, carriers: ['plain'] },
    { language: null, character: '”', replacement: '"', count: 1, position: 4, carriers: ['plain'] },
    { language: null, character: '–', replacement: '-', count: 1, position: 6, carriers: ['plain'] },
  ];

  test('goes out as its policy says, and the 202 and the alert say what was changed', async () => {
    const { status, json } = await post('+4930231251', '“Očč” – 5 €');
    expect(status).toBe(202);
    expect(json.changes).toEqual(changes);
    const [pdu] = await submitsTo('+4930231251', 1);
    expect(pdu?.shortMessage.toString('latin1')).toBe('"Occ" - 5 \x1be');
    const response = await fetch(`${server.url}/v1/alerts/${json.id}`, { headers: { authorization: `Bearer ${key}` } });
    expect(await response.json()).toMatchObject({ changes });
  });

  test('is not stored where the policy has nothing for it', async () => {
    const { status, json } = await post('+4930231252', 'Alarm: Пожар');
    expect(status).toBe(422);
    expect(json).toMatchObject({
      type: '/problems/text-not-in-alphabet',
      errors: [{ field: 'content.text', message: expect.stringContaining('U+041F after the first 7 ') }],
    });
  });

  test('is not changed when it is secret', async () => {
    expect((await post('+4930231253', 'Pässwörd: č', { secret: true })).status).toBe(422);
  });
});

describe('a long text', () => {
  const text = 'a'.repeat(160) + 'b'.repeat(20);

  test('is in parts that SAR TLVs number', async () => {
    await post('+33199001001', text);
    const parts = await submitsTo('+33199001001', 2);
    const reference = parts[0]?.tlvs.get(0x020c)?.toString('hex');
    expect(parts.map(({ esmClass, smLength }) => [esmClass, smLength])).toEqual([
      [0, 153],
      [0, 27],
    ]);
    expect(parts.map(({ tlvs }) => [0x020c, 0x020e, 0x020f].map((tag) => tlvs.get(tag)?.toString('hex')))).toEqual([
      [reference, '02', '01'],
      [reference, '02', '02'],
    ]);
  });

  test('is in message_payload as a whole', async () => {
    await post('+61491571001', text);
    const [pdu] = await submitsTo('+61491571001', 1);
    expect(pdu).toMatchObject({ esmClass: 0, smLength: 0 });
    expect(pdu?.tlvs.get(0x0424)?.toString('latin1')).toBe(text);
  });

  test('is packed behind a header with an 8-bit reference and a bit to fill', async () => {
    await post('+46701740601', text);
    const [first, second] = await submitsTo('+46701740601', 2);
    expect([first?.smLength, second?.smLength]).toEqual([140, 6 + 24]);
    expect(first?.shortMessage.toString('hex', 0, 3)).toBe('050003');
    expect(first?.shortMessage.toString('hex', 4, 6)).toBe('0201');
    expect(septets(first, 6, 1).slice(0, 153)).toBe('a'.repeat(153));
    expect(septets(second, 6, 1).slice(0, 27)).toBe(`aaaaaaa${'b'.repeat(20)}`);
  });
});

test('a lane with a message class is flashed, in either alphabet', async () => {
  await post('+12015550101', 'Flood', { lane: 'emergency' });
  await post('+12015550102', 'Потоп', { lane: 'emergency' });
  await post('+12015550103', 'Flood');
  expect((await submitsTo('+12015550101', 1))[0]?.dataCoding).toBe(0xf0);
  expect((await submitsTo('+12015550102', 1))[0]?.dataCoding).toBe(0x18);
  expect((await submitsTo('+12015550103', 1))[0]?.dataCoding).toBe(0x00);
});

interface Answer {
  status: number;
  json: { id: string; changes: unknown };
}

async function post(msisdn: string, text: string, rest: { lane?: string; secret?: boolean } = {}): Promise<Answer> {
  const response = await fetch(`${server.url}/v1/alerts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ lane: 'transaction', content: { text }, target: { recipients: [{ msisdn }] }, ...rest }),
  });
  return { status: response.status, json: (await response.json()) as Answer['json'] };
}

async function submitsTo(msisdn: string, count: number): Promise<SubmitFields[]> {
  return (await smsc.submitsTo(msisdn, count)).map(({ frame }) => readSubmitSm(frame));
}

/** Seven bits a character, least significant first, after a header and bits to fill: by a string of bits. */
function septets(pdu: SubmitFields | undefined, header: number, fill: number): string {
  const bits = [...(pdu?.shortMessage.subarray(header) ?? [])]
    .map((octet) => [...octet.toString(2).padStart(8, '0')].reverse().join(''))
    .join('')
    .slice(fill);
  const sevens = bits.match(/.{7}/g) ?? [];
  return sevens.map((seven) => String.fromCharCode(Number.parseInt([...seven].reverse().join(''), 2))).join('');
}
