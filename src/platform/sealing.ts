/**
 * Texts at rest (DESIGN §5).
 *
 * A body is sealed with AES-256-GCM. `normal` bodies are under a data key of their organisation and month, wrapped by the
 * master key outside the database. `secret` bodies (OTPs) are under an hourly key that lives only as a file in the
 * keyring and is shredded within the hour after its last validity: an hourly key wrapped by a lasting one could be opened
 * from archived WAL.
 *
 * sealed = version (1) ‖ nonce (12) ‖ AES-256-GCM(salt (32) ‖ text) ‖ tag (16), with the key's name as additional data.
 * The salt of the commitment is inside, so that a six-digit code can't be guessed from its commitment once the key is gone.
 *
 * Keys are held as KeyObjects: with a Buffer in its place each cipher takes 10 µs longer (Node 24).
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomFillSync,
} from 'node:crypto';
import { link, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { EpochMs } from './clock.ts';
import { ConfigError, StartError } from './errors.ts';
import { hmacSha256 } from './hmac.ts';
import { type Known, whenKnown } from './known.ts';
import type { Pool } from './pool.ts';

export type BodyClass = 'normal' | 'secret';

export interface Sealed {
  keyRef: string;
  sealed: Buffer;
  /** HMAC-SHA-256(salt, text). */
  commitment: Buffer;
}

export interface SealRequest {
  organisation: number;
  class: BodyClass;
  text: string | Buffer;
  /** When the text is no longer needed; decides the hour of a secret text's key. */
  expiresAt: EpochMs;
}

/** The key that a body was sealed under is gone: the text can't be read any more, by anyone. */
export class KeyGone extends Error {
  override readonly name = 'KeyGone';
}

const version = 1;
const nonceLength = 12;
const saltLength = 32;
const tagLength = 16;
const hourMs = 3_600_000;
/** Left to a text's last deliveries after its hour, before the key goes. */
const shredGraceMs = 300_000;

export class Vault {
  readonly #pool: Pool;
  readonly #master: KeyObject;
  readonly #keyring: string;
  readonly #dataKeys = new LRUCache<string, Known<{ keyRef: string; key: KeyObject }>>({ max: 10_000 });
  readonly #byRef = new LRUCache<string, Promise<KeyObject>>({ max: 10_000 });
  readonly #epochKeys = new Map<string, Known<KeyObject>>();
  readonly #fingerprintKeys = new LRUCache<string, { base: KeyObject; key: Buffer }>({ max: 100 });

  constructor(options: { pool: Pool; masterKey: Buffer; keyring: string }) {
    if (options.masterKey.length !== 32) throw new ConfigError('TOCSIN_MASTER_KEY', 'must be 32 octets in base64');
    this.#pool = options.pool;
    this.#master = createSecretKey(options.masterKey);
    this.#keyring = options.keyring;
  }

  /** At once when its key is in memory. */
  seal({ organisation, class: kind, text, expiresAt }: SealRequest): Known<Sealed> {
    const octets = typeof text === 'string' ? Buffer.from(text, 'utf8') : text;
    if (kind === 'normal') {
      return whenKnown(this.#dataKey(organisation, monthOf(expiresAt)), ({ keyRef, key }) =>
        sealUnder(key, keyRef, octets),
      );
    }
    const hour = hourOf(expiresAt);
    return whenKnown(this.#epochKey(hour, true), (key) => sealUnder(key, `epoch:${hour}`, octets));
  }

  /** @throws KeyGone when the key was shredded; Error when the blob was changed. */
  async open(keyRef: string, sealed: Buffer): Promise<{ text: string; salt: Buffer }> {
    const plain = decrypt(await this.#keyByRef(keyRef), sealed, keyRef);
    return { salt: plain.subarray(0, saltLength), text: plain.toString('utf8', saltLength) };
  }

  /**
   * HMAC of a request, to recognise a repeat. For a request with a secret text it is keyed by that text's hourly key, so
   * that nobody can guess the text from it later. At once where it is not secret. @returns null when that key is gone.
   */
  fingerprint(data: string, keyRef: string | null): Known<{ key: string; digest: Buffer } | null> {
    if (keyRef === null) return this.#fingerprintUnder(this.#master, 'master', data);
    return this.#keyByRef(keyRef).then(
      (key) => this.#fingerprintUnder(key, keyRef, data),
      (error: unknown) => {
        if (error instanceof KeyGone) return null;
        throw error;
      },
    );
  }

  #fingerprintUnder(base: KeyObject, name: string, data: string): { key: string; digest: Buffer } {
    // Deriving costs more than all else of a fingerprint: kept for as long as the same key answers to the name.
    let derived = this.#fingerprintKeys.get(name);
    if (derived === undefined || derived.base !== base) {
      const key = hkdfSync('sha256', base, '', 'tocsin request fingerprint', 32);
      derived = { base, key: Buffer.from(key) };
      this.#fingerprintKeys.set(name, derived);
    }
    return { key: name, digest: hmacSha256(derived.key, Buffer.from(data, 'utf8')) };
  }

  /** The key reference that a secret text of this expiry is under; the key is made if it is missing. */
  async secretKeyRef(expiresAt: EpochMs): Promise<string> {
    await this.#epochKey(hourOf(expiresAt), true);
    return `epoch:${hourOf(expiresAt)}`;
  }

  /**
   * Overwrites and removes hourly keys whose hour has ended: every text under them has expired. Some minutes are left for
   * what is being settled; with a call each minute a key is gone well within the hour after its last validity. Each node
   * calls it, to forget its own copy too. Returns the hours of the files that it removed.
   */
  async shred(now: EpochMs): Promise<string[]> {
    const gone: string[] = [];
    for (const file of await readdir(this.#keyring).catch(() => [] as string[])) {
      const match = /^(\d{4}-\d\d-\d\dT\d\d)\.key$/.exec(file);
      const hour = match?.[1];
      if (hour === undefined || now < shredAt(hour)) continue;
      const path = join(this.#keyring, file);
      const handle = await open(path, 'r+').catch(() => null);
      if (handle !== null) {
        try {
          await handle.write(randomBytes(32), 0, 32, 0);
          await handle.sync();
        } finally {
          await handle.close();
        }
      }
      await unlink(path).catch(() => undefined);
      this.#epochKeys.delete(hour);
      this.#fingerprintKeys.delete(`epoch:${hour}`);
      gone.push(hour);
    }
    for (const hour of this.#epochKeys.keys()) {
      if (now >= shredAt(hour)) this.#epochKeys.delete(hour);
    }
    return gone;
  }

  /** False when the master key opens none of the data keys that there are: it is another installation's. */
  async fits(): Promise<boolean> {
    const rows = await this.#pool.query<{ wrapped: Buffer }>('SELECT wrapped FROM data_key ORDER BY id LIMIT 100', [], {
      retries: 3,
    });
    return rows.length === 0 || rows.some(({ wrapped }) => opens(this.#master, wrapped));
  }

  async #keyByRef(keyRef: string): Promise<KeyObject> {
    const hour = /^epoch:(.+)$/.exec(keyRef)?.[1];
    if (hour !== undefined) return await this.#epochKey(hour, false);
    const kept = this.#byRef.get(keyRef);
    if (kept !== undefined) return await kept;
    const read = this.#readDataKey(keyRef);
    this.#byRef.set(keyRef, read);
    read.catch(() => this.#byRef.delete(keyRef));
    return await read;
  }

  async #readDataKey(keyRef: string): Promise<KeyObject> {
    const id = Number(/^dk:(\d+)$/.exec(keyRef)?.[1] ?? Number.NaN);
    const rows = Number.isSafeInteger(id)
      ? await this.#pool.query<{ wrapped: Buffer }>('SELECT wrapped FROM data_key WHERE id = $1', [id], { retries: 3 })
      : [];
    const row = rows[0];
    if (row === undefined) throw new KeyGone(`no key ${keyRef}`);
    return createSecretKey(decrypt(this.#master, row.wrapped, 'data key'));
  }

  #dataKey(organisation: number, period: string): Known<{ keyRef: string; key: KeyObject }> {
    const name = `${organisation}/${period}`;
    const kept = this.#dataKeys.get(name);
    if (kept !== undefined) return kept;
    const made = this.#makeDataKey(organisation, period);
    this.#dataKeys.set(name, made);
    made.then(
      (key) => this.#dataKeys.set(name, key),
      () => this.#dataKeys.delete(name),
    );
    return made;
  }

  async #makeDataKey(organisation: number, period: string): Promise<{ keyRef: string; key: KeyObject }> {
    const find = 'SELECT id, wrapped FROM data_key WHERE organisation = $1 AND class = $2 AND period = $3';
    const which = [organisation, 'normal', period];
    let [row] = await this.#pool.query<{ id: number; wrapped: Buffer }>(find, which, { retries: 3 });
    if (row === undefined) {
      await this.#pool.query(
        'INSERT INTO data_key (organisation, class, period, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        [...which, encrypt(this.#master, randomBytes(32), 'data key')],
        { retries: 3 },
      );
      [row] = await this.#pool.query<{ id: number; wrapped: Buffer }>(find, which, { retries: 3 });
    }
    if (row === undefined) throw new TypeError('a data key was inserted and is not there');
    return { keyRef: `dk:${row.id}`, key: createSecretKey(decrypt(this.#master, row.wrapped, 'data key')) };
  }

  #epochKey(hour: string, make: boolean): Known<KeyObject> {
    const kept = this.#epochKeys.get(hour);
    if (kept !== undefined) return kept;
    const made = this.#readEpochKey(hour, make);
    this.#epochKeys.set(hour, made);
    made.then(
      // It may have been shredded meanwhile.
      (key) => this.#epochKeys.get(hour) === made && this.#epochKeys.set(hour, key),
      () => this.#epochKeys.delete(hour),
    );
    return made;
  }

  async #readEpochKey(hour: string, make: boolean): Promise<KeyObject> {
    const path = join(this.#keyring, `${hour}.key`);
    const read = async (): Promise<Buffer | null> => {
      const key = await readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      });
      return key !== null && key.length === 32 ? key : null;
    };
    const there = await read();
    if (there !== null) return createSecretKey(there);
    if (!make) throw new KeyGone(`no key epoch:${hour}`);
    await mkdir(this.#keyring, { recursive: true, mode: 0o700 });
    await makeKeyFile(path);
    const key = await read();
    if (key === null) throw new TypeError('an hourly key was made and is not there');
    return createSecretKey(key);
  }
}

/** The master key: from the environment, else kept in `master.key` below TOCSIN_HOME, made at the first start. */
export async function masterKey(fromEnvironment: Buffer | null, home: string): Promise<Buffer> {
  const known = await knownMasterKey(fromEnvironment, home);
  if (known !== null) return known;
  // As root the embedded PostgreSQL runs as another user, who must be able to pass through.
  await mkdir(home, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  await makeKeyFile(masterKeyPath(home));
  return await masterKey(null, home);
}

/** The same, but null where none was made yet: for who only reads. */
export async function knownMasterKey(fromEnvironment: Buffer | null, home: string): Promise<Buffer | null> {
  if (fromEnvironment !== null) return fromEnvironment;
  const path = masterKeyPath(home);
  const file = await stat(path).catch(() => null);
  if (file === null) return null;
  const key = await readFile(path);
  if (key.length !== 32) throw new StartError(`${path} is not a key of 32 octets: restore it from your backup`);
  if ((file.mode & 0o077) !== 0 && process.platform !== 'win32') {
    throw new StartError(`${path} can be read by others; type: chmod 600 ${path}`);
  }
  return key;
}

/** Where the master key is kept that no environment gives. */
export const masterKeyPath = (home: string): string => join(home, 'master.key');

/**
 * Makes a file with a fresh key of 32 octets, unless it is there. It appears whole or not at all: written aside, then
 * linked under its name, which fails where another process was first.
 */
async function makeKeyFile(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}.new`;
  const handle = await open(aside, 'wx', 0o600);
  try {
    await handle.write(randomBytes(32));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await link(aside, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await unlink(aside);
  // The name must outlive a power cut as surely as the rows that were sealed under the key. Windows opens no folders.
  const folder = await open(dirname(path), 'r').catch(() => null);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** Refilled at once for many: asking the system for a few octets takes longer than sealing a text. */
const randomPool = Buffer.alloc(8_192);
let randomUsed = randomPool.length;

/** Only until the next turn of the event loop: its place is filled anew. */
function randomOctets(length: number): Buffer {
  if (randomUsed + length > randomPool.length) {
    randomFillSync(randomPool);
    randomUsed = 0;
  }
  randomUsed += length;
  return randomPool.subarray(randomUsed - length, randomUsed);
}

function sealUnder(key: KeyObject, keyRef: string, text: Buffer): Sealed {
  const salt = randomOctets(saltLength);
  return {
    keyRef,
    sealed: encrypt(key, Buffer.concat([salt, text]), keyRef),
    commitment: hmacSha256(salt, text),
  };
}

function encrypt(key: KeyObject, plain: Buffer, name: string): Buffer {
  const nonce = randomOctets(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(name));
  // GCM is a stream: all of the text comes out at once, and nothing at its end.
  const text = cipher.update(plain);
  cipher.final();
  const sealed = Buffer.allocUnsafe(1 + nonceLength + text.length + tagLength);
  sealed[0] = version;
  nonce.copy(sealed, 1);
  text.copy(sealed, 1 + nonceLength);
  cipher.getAuthTag().copy(sealed, 1 + nonceLength + text.length);
  return sealed;
}

function decrypt(key: KeyObject, sealed: Buffer, name: string): Buffer {
  if (sealed.length < 1 + nonceLength + tagLength || sealed[0] !== version) throw new TypeError('not a sealed blob');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceLength));
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(sealed.subarray(-tagLength));
  return Buffer.concat([decipher.update(sealed.subarray(1 + nonceLength, -tagLength)), decipher.final()]);
}

function opens(master: KeyObject, wrapped: Buffer): boolean {
  try {
    decrypt(master, wrapped, 'data key');
    return true;
  } catch {
    return false;
  }
}

/** The hourly key of a secret text: its name, and from when on it is shredded. */
export function hourlyKeyOf(expiresAt: EpochMs): { keyRef: string; shreddedFrom: EpochMs } {
  const hour = hourOf(expiresAt);
  return { keyRef: `epoch:${hour}`, shreddedFrom: shredAt(hour) };
}

/** The name of the newest hourly key that is shredded by now; those of earlier hours come before it. */
export const lastShredded = (now: EpochMs): string => `epoch:${hourOf(now - hourMs - shredGraceMs)}`;

const shredAt = (hour: string): EpochMs => Date.parse(`${hour}:00:00Z`) + hourMs + shredGraceMs;
const hourOf = (ms: EpochMs): string => new Date(ms).toISOString().slice(0, 13);
let lastMonth = { day: Number.NaN, month: '' };
function monthOf(ms: EpochMs): string {
  const day = Math.floor(ms / 86_400_000);
  if (day !== lastMonth.day) lastMonth = { day, month: new Date(ms).toISOString().slice(0, 7) };
  return lastMonth.month;
}
