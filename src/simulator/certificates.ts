/**
 * Certificates for the TLS listener, good and bad, made at the start: nothing that is secret lies in a file, and "expired"
 * stays true. X.509 v3 in DER (RFC 5280 §4.1), as little of it as TLS needs: ECDSA over P-256, one authority, one name.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** What a certificate can be like. `unknown-authority`: fine in itself, signed by somebody else. */
export const certificateKinds = [
  'good',
  'expired',
  'not-yet',
  'wrong-name',
  'self-signed',
  'unknown-authority',
] as const;
export type CertificateKind = (typeof certificateKinds)[number];

export interface KeyAndCertificate {
  /** PEM. */
  key: string;
  cert: string;
}

const yearMs = 365 * 86_400_000;
const wrongName = 'wrong.example';

/** One authority and what it signs. */
export class Authority {
  /** The authority's own certificate, PEM: what a client is told to trust. */
  readonly cert: string;
  readonly #key: KeyObject;
  readonly #name: string;
  readonly #nowMs: number;

  /** @param nowMs epoch milliseconds: certificates are valid from a day before to ten years after */
  constructor(nowMs: number, name = 'Simulated authority') {
    this.#nowMs = nowMs;
    this.#name = name;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.cert = this.#certify({
      subject: name,
      issuer: name,
      key: privateKey,
      by: privateKey,
    });
  }

  /** @param names what a certificate that has the right name is for: names or addresses */
  issue(kind: CertificateKind, names: readonly string[]): KeyAndCertificate {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const name = names[0] ?? 'localhost';
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const base = { subject: name, issuer: this.#name, key, by: this.#key, names };
    switch (kind) {
      case 'good':
        return { key: pem, cert: this.#certify(base) };
      case 'expired':
        return {
          key: pem,
          cert: this.#certify({ ...base, fromMs: this.#nowMs - 2 * yearMs, toMs: this.#nowMs - yearMs }),
        };
      case 'not-yet':
        return {
          key: pem,
          cert: this.#certify({ ...base, fromMs: this.#nowMs + yearMs, toMs: this.#nowMs + 2 * yearMs }),
        };
      case 'wrong-name':
        return { key: pem, cert: this.#certify({ ...base, subject: wrongName, names: [wrongName] }) };
      case 'self-signed':
        return { key: pem, cert: this.#certify({ ...base, issuer: name, by: key }) };
      case 'unknown-authority':
        return new Authority(this.#nowMs, 'Another authority').issue('good', names);
      default:
        return kind satisfies never;
    }
  }

  #certify(what: {
    subject: string;
    issuer: string;
    key: KeyObject;
    by: KeyObject;
    names?: readonly string[];
    fromMs?: number;
    toMs?: number;
  }): string {
    const { subject, issuer, key, by, names } = what;
    const fromMs = what.fromMs ?? this.#nowMs - 86_400_000;
    const toMs = what.toMs ?? this.#nowMs + 10 * yearMs;
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    // The serial number is bound to the key, so that no two of one issuer are alike.
    const serial = Buffer.concat([Buffer.from([0x01]), publicKey.subarray(-15)]);
    const extensions =
      names === undefined
        ? [extension(basicConstraints, sequence(element(0x01, Buffer.from([0xff]))), true)]
        : [extension(subjectAltName, sequence(...names.map(altName)), false)];
    const body = sequence(
      element(0xa0, element(0x02, Buffer.from([2]))),
      element(0x02, serial),
      ecdsaWithSha256,
      nameOf(issuer),
      sequence(time(fromMs), time(toMs)),
      nameOf(subject),
      publicKey,
      element(0xa3, sequence(...extensions)),
    );
    const signature = sign('sha256', body, by);
    const whole = sequence(body, ecdsaWithSha256, bitString(signature));
    const lines = whole.toString('base64').replace(/.{1,64}/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
  }
}

// DER --------------------------------------------------------------------------------------------------------------

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const commonName = oid('550403');
const basicConstraints = oid('551d13');
const subjectAltName = oid('551d11');

function element(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const head = length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...contents: Buffer[]): Buffer {
  return element(0x30, ...contents);
}

function oid(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, 'hex'));
}

function bitString(content: Buffer): Buffer {
  return element(0x03, Buffer.from([0]), content);
}

function nameOf(name: string): Buffer {
  return sequence(element(0x31, sequence(commonName, element(0x0c, Buffer.from(name, 'utf8')))));
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
function time(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replace(/\D/g, '').slice(0, 14);
  if (digits < '2050') return element(0x17, Buffer.from(`${digits.slice(2)}Z`, 'latin1'));
  return element(0x18, Buffer.from(`${digits}Z`, 'latin1'));
}

function extension(id: Buffer, value: Buffer, critical: boolean): Buffer {
  const flag = critical ? [element(0x01, Buffer.from([0xff]))] : [];
  return sequence(id, ...flag, element(0x04, value));
}

/** dNSName, or iPAddress for an IPv4 address (RFC 5280 §4.2.1.6). */
function altName(name: string): Buffer {
  if (isIP(name) === 4) return element(0x87, Buffer.from(name.split('.').map(Number)));
  return element(0x82, Buffer.from(name, 'latin1'));
}
