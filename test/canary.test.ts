/**
 * A secret text, a one-time password above all, is nowhere to be found: not in any file of the database (its WAL and its
 * log included), not below TOCSIN_HOME, not in what the server writes at its most talkative, neither while the carrier
 * has yet to answer nor after the delivery. Nor is a recipient's number in what the server writes.
 *
 * All files of a server with a PostgreSQL of its own lie in one folder. They are read octet by octet for two canaries, a
 * random number and a random word, in every writing that a careless column, job or log line could give them. At the end
 * the same canaries are put there on purpose, and the same search has to find each writing of each.
 */
import { randomInt } from 'node:crypto';
import { appendFile, chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { createKey } from '../src/access/index.ts';
import { openDatabase, Session, startEmbedded } from '../src/platform/index.ts';
import { startPlainSmsc } from './support/plain-smsc.ts';
import { serve } from './support/served.ts';

const ESME_RINVDSTADR = 0x0b;
const digits = Array.from({ length: 12 }, () => randomInt(1, 10)).join('');
const letters = Array.from({ length: 14 }, () => String.fromCharCode(97 + randomInt(26))).join('');
/** Its é is another octet in each encoding. */
const word = `${letters.slice(0, 9)}é${letters.slice(9)}`;
const SECRETS = [digits, word] as const;
/** What all numbers here begin with: where it is not found, none of them is. */
const NUMBERS = '1201555014';
const numberOf = (last: number): string => `+${NUMBERS}${last}`;
const [SINGLE, LONG, FIRST, SECOND, REFUSED] = [numberOf(1), numberOf(2), numberOf(3), numberOf(4), numberOf(5)];

test('a secret text is in no file and no log line, before and after its delivery', { timeout: 60_000 }, async () => {
  await using ends = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-canary-'));
  ends.defer(() => rm(folder, { recursive: true, force: true }));
  // As root, PostgreSQL runs as another user, who must be able to pass through.
  await chmod(folder, 0o711);
  const postgres = await startEmbedded({
    home: join(folder, 'home'),
    log: { info: () => undefined, warn: () => undefined },
    // Pages in the WAL as they are: a compressed one would hide what it holds from this search.
    settings: { fsync: 'off', shared_buffers: '64MB', wal_compression: 'off' },
  });
  ends.defer(() => postgres.destroy());
  expect(relative(folder, postgres.dataDirectory)).toBe('home/postgres/data');
  const smsc = await startPlainSmsc({ verdict: () => 'hold', receipts: true });
  ends.defer(() => smsc.close());
  const server = await serve({
    folder,
    databaseUrl: '',
    logLevel: 'trace',
    carriers: { a: { host: '127.0.0.1', port: smsc.port, tps: 500, responseTimeout: 'PT1M', defaultSender: 'Bank' } },
    routes: [{ name: 'default', prefixes: ['+'], binds: ['a'] }],
  });
  ends.defer(async () => {
    smsc.release();
    await server.stop();
  });
  const database = await openDatabase({ target: postgres.target });
  ends.defer(() => database.close());
  const superuser = await Session.open(postgres.target, { applicationName: 'canary', statementTimeoutMs: 30_000 });
  ends.defer(() => superuser.close());
  const key = await createKey(database, {
    organisation: 'Bank',
    lanes: ['security'],
    scopes: ['alerts:write', 'alerts:read', 'deliveries:read'],
  });

  const authorization = `Bearer ${key}`;
  const get = (path: string): Promise<Response> => fetch(`${server.url}${path}`, { headers: { authorization } });
  const put = (name: string, body: string): Promise<Response> =>
    fetch(`${server.url}/v1/alerts`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', 'idempotency-key': name },
      body,
    });
  const alert = (text: string, ...msisdns: string[]): string =>
    JSON.stringify({
      ...{ lane: 'security', secret: true, content: { text } },
      target: { recipients: msisdns.map((msisdn) => ({ msisdn })) },
    });
  const post = async (name: string, body: string): Promise<string> => {
    const response = await put(name, body);
    expect(response.status).toBe(202);
    return ((await response.json()) as { id: string }).id;
  };
  const progressOf = async (id: string): Promise<object> =>
    ((await (await get(`/v1/alerts/${id}`)).json()) as { progress: object }).progress;
  /** Texts under an hourly key. */
  const bodies = async (): Promise<number> =>
    (await superuser.query(`SELECT FROM body WHERE key_ref LIKE 'epoch:%'`)).rows.length;
  /** Writes all that PostgreSQL holds in memory to its files first. */
  const look = async (): Promise<Found[]> => {
    await superuser.exec('CHECKPOINT');
    return await search(folder, [...SECRETS, NUMBERS]);
  };

  const single = await post('single', alert(`${digits} is your code, ${word}. Tell it to nobody.`, SINGLE));
  const long = await post('long', alert(`${digits} ${word} 🔑 `.repeat(6), LONG));
  const both = await post('both', alert(`To both of you: ${word} ${digits}`, FIRST, SECOND));
  // A repeat, and what is refused at the door, leave as little.
  await post('single', alert(`${digits} is your code, ${word}. Tell it to nobody.`, SINGLE));
  const refusals = [`{"content": "${digits} ${word}`, alert(`${digits} ${word} 4111 1111 1111 1111`, SINGLE)];
  for (const body of refusals) expect((await put('refused', body)).ok).toBe(false);
  expect((await get(`/v1/deliveries?msisdn=${encodeURIComponent(SINGLE)}`)).status).toBe(200);
  const sent = await Promise.all([
    smsc.submitsTo(SINGLE, 1),
    smsc.submitsTo(LONG, 3),
    smsc.submitsTo(FIRST, 1),
    smsc.submitsTo(SECOND, 1),
  ]);
  expect(sent[0][0]?.frame.includes(digits)).toBe(true);

  // The carrier has not answered: the texts are still needed, so they are in the database.
  expect(await bodies()).toBe(3);
  const before = await look();
  expect(before.filter(isSecret)).toEqual([]);
  // Numbers are in the database, as they are, and nowhere else: so a text would have been found.
  expect(new Set(before.map(({ place }) => place))).toEqual(new Set(['relations', 'wal']));

  smsc.release();
  await expect.poll(() => progressOf(single), { timeout: 10_000 }).toMatchObject({ delivered: 1, open: 0 });
  await expect.poll(() => progressOf(long), { timeout: 10_000 }).toMatchObject({ delivered: 1, open: 0 });
  await expect.poll(() => progressOf(both), { timeout: 10_000 }).toMatchObject({ delivered: 2, open: 0 });
  smsc.verdict = () => ESME_RINVDSTADR;
  const refused = await post('not taken', alert(`${word} ${digits}`, REFUSED));
  await expect.poll(() => progressOf(refused), { timeout: 10_000 }).toMatchObject({ failed: 1, open: 0 });
  // A text that several deliveries share stays, sealed, until its hourly key goes.
  expect(await bodies()).toBe(1);
  expect(await server.stop()).toBe(0);
  expect(await readFile(server.logFile, 'utf8')).toContain('"serving"');
  const after = await look();
  expect(after.filter(isSecret)).toEqual([]);
  expect(after.filter(({ place }) => place === 'files')).toEqual([]);

  // The search itself: every writing of every canary is found in a table, in the WAL and in the log.
  await superuser.exec('CREATE TABLE planted (octets bytea, hex text, upper text, a text, b text, c text)');
  for (const octets of SECRETS.flatMap((canary) => Object.values(encodings(canary)))) {
    await superuser.query(
      `INSERT INTO planted VALUES ($1::bytea, encode($1::bytea, 'hex'), upper(encode($1::bytea, 'hex')),
         encode($1::bytea, 'base64'), encode('x'::bytea || $1::bytea, 'base64'), encode('xx'::bytea || $1::bytea, 'base64'))`,
      [octets],
    );
    const hex = octets.toString('hex');
    const base64 = ['', 'x', 'xx'].map((first) => Buffer.concat([Buffer.from(first), octets]).toString('base64'));
    await appendFile(
      server.logFile,
      Buffer.concat([octets, Buffer.from([hex, hex.toUpperCase(), ...base64].join(' '))]),
    );
  }
  const found = (await look()).filter(isSecret);
  const all = new Set(SECRETS.flatMap((canary) => [...writings(canary).values()]));
  for (const place of ['relations', 'wal', 'files'] as const) {
    const here = found.filter((each) => each.place === place);
    expect(new Set(here.map(({ writing }) => writing))).toEqual(all);
  }
});

interface Found {
  /** `relations` and `wal` of PostgreSQL; `files`: everything else, logs included. */
  place: 'relations' | 'wal' | 'files';
  file: string;
  canary: string;
  writing: string;
}

const isSecret = ({ canary }: Found): boolean => canary !== NUMBERS;

/** Where in the files below `folder` one of these stands, in whatever writing. */
async function search(folder: string, canaries: readonly string[]): Promise<Found[]> {
  const needles = canaries.flatMap((canary) =>
    [...writings(canary)].map(([latin1, writing]) => ({ canary, octets: Buffer.from(latin1, 'latin1'), writing })),
  );
  const found: Found[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    // PostgreSQL may have removed it in between.
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    const file = relative(folder, path);
    const inWal = /\/pg_wal\/[0-9A-F]{24}$/.test(file);
    const place = inWal ? 'wal' : /\/(base|global)\//.test(file) ? 'relations' : 'files';
    const octets = inWal ? recordsOf(content) : content;
    for (const needle of needles) {
      if (octets.includes(needle.octets)) found.push({ place, file, canary: needle.canary, writing: needle.writing });
    }
  }
  return found;
}

const WAL_PAGE = 8_192;

/** A WAL segment without its page headers (24 octets, 40 on its first page): they stand in the middle of records. */
function recordsOf(segment: Buffer): Buffer {
  const pages: Buffer[] = [];
  for (let at = 0; at < segment.length; at += WAL_PAGE) {
    pages.push(segment.subarray(at + (at === 0 ? 40 : 24), at + WAL_PAGE));
  }
  return Buffer.concat(pages);
}

/** The octets of a text in each encoding that it takes on its way. */
function encodings(text: string): Record<string, Buffer> {
  return {
    'UTF-8': Buffer.from(text, 'utf8'),
    'UTF-16LE': Buffer.from(text, 'utf16le'),
    'UTF-16BE': Buffer.from(text, 'utf16le').swap16(),
    'GSM 7-bit': Buffer.from(text.replaceAll('é', '\x05'), 'latin1'),
  };
}

/** Each encoding as it is, as hex and as base64 at each of its three alignments, to what it is called; none twice. */
function writings(text: string): Map<string, string> {
  const named = new Map<string, string>();
  for (const [encoding, octets] of Object.entries(encodings(text)).reverse()) {
    named.set(octets.toString('latin1'), `${text} in ${encoding}`);
    named.set(octets.toString('hex'), `${text} in ${encoding}, hex`);
    named.set(octets.toString('hex').toUpperCase(), `${text} in ${encoding}, HEX`);
    for (const before of [0, 1, 2])
      named.set(base64Within(octets, before), `${text} in ${encoding}, base64 after ${before}`);
  }
  return named;
}

/** The characters that are the same whatever stands around the octets, `before` of them in the same group of three. */
function base64Within(octets: Buffer, before: number): string {
  const all = Buffer.concat([Buffer.alloc(before), octets]);
  return all.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((all.length * 8) / 6));
}
