// TLS with certificates made here and now by openssl, against a TLS server of Node.js that is no session of ours.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TlsOptions as ServerTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CarrierBind, type DialFailure } from './bind.ts';
import type { TlsOptions } from './connect.ts';
import type { Answer } from './exchange.ts';
import { Happenings, listen, messageOf, pdusOf } from './fixtures.ts';
import { encodeSubmitSmResp } from './pdu.ts';
import { encodePdu, pduOf } from './pdus/codec.ts';
import { Session, type SessionOptions } from './session.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

let folder: string;
const pem = (name: string) => readFileSync(join(folder, `${name}.pem`));

/** Runs openssl in the folder of this test. */
function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}

/** `<name>.pem` and `<name>-key.pem`, signed by `ca`, or by itself. */
function certificate(name: string, extensions: string, signer: string | null, days = 2): void {
  const subject = ['-subj', `/CN=${name}`, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  writeFileSync(join(folder, `${name}.ext`), extensions);
  openssl('req', '-new', ...subject, '-keyout', `${name}-key.pem`, '-out', `${name}.csr`);
  const by =
    signer === null
      ? ['-signkey', `${name}-key.pem`]
      : ['-CA', `${signer}.pem`, '-CAkey', `${signer}-key.pem`, '-CAcreateserial'];
  // openssl 3.0 has no -not_before for x509: a term of −1 days has ended before it began.
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...by,
    '-days',
    String(days),
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  );
}

beforeAll(() => {
  if (!hasOpenssl) return;
  folder = mkdtempSync(join(tmpdir(), 'tocsin-tls-'));
  const authority = 'basicConstraints=critical,CA:TRUE\n';
  certificate('carrier-ca', authority, null);
  certificate('our-ca', authority, null);
  certificate('smsc', 'subjectAltName=DNS:smsc.example,IP:127.0.0.1\n', 'carrier-ca');
  certificate('other', 'subjectAltName=DNS:other.example\n', 'carrier-ca');
  certificate('expired', 'subjectAltName=IP:127.0.0.1\n', 'carrier-ca', -1);
  certificate('stranger', 'subjectAltName=IP:127.0.0.1\n', null);
  certificate('bank', 'extendedKeyUsage=clientAuth\n', 'our-ca');
  openssl('ec', '-in', 'bank-key.pem', '-aes256', '-passout', 'pass:open sesame', '-out', 'bank-locked-key.pem');
});

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0)) await thing.close();
});

interface TlsSmsc {
  port: number;
  /** Each TLS connection that came to be. */
  sockets: Happenings<TLSSocket>;
}

/** Takes each bind and answers each submit_sm, over TLS. */
async function tlsSmsc(name: string, options: ServerTls = {}): Promise<TlsSmsc> {
  const sockets: TlsSmsc['sockets'] = new Happenings();
  const all = new Set<TLSSocket>();
  const server = createServer({ cert: pem(name), key: pem(`${name}-key`), ...options }, async (socket) => {
    all.add(socket);
    socket.on('error', () => {});
    sockets.push(socket);
    const pdus = pdusOf(socket);
    const bind = await pdus.next();
    socket.write(encodePdu(pduOf('bind_transceiver_resp', { sequence: bind.sequence, systemId: 'TLS' })));
    for (;;) {
      const { sequence } = await pdus.next();
      socket.write(encodeSubmitSmResp(sequence, { status: 0, messageId: `m${sequence}`, tlvs: [] }));
    }
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push({
    close: async () => {
      for (const socket of all) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

async function esme(port: number, tls: TlsOptions, options: Partial<SessionOptions<string>> = {}) {
  const answers = new Happenings<[string, Answer]>();
  const session = await Session.connect<string>({
    host: '127.0.0.1',
    port,
    tls,
    mode: 'transceiver',
    systemId: 'bank',
    password: 'secret',
    handlers: {
      onAnswer: (context, answer) => answers.push([context, answer]),
      onIncoming: () => {},
      onClosed: () => {},
    },
    ...options,
  });
  opened.push(session);
  return { session, answers };
}

describe.skipIf(!hasOpenssl)('over TLS (skipped where there is no openssl to make certificates with)', () => {
  it('binds and sends, verified by the name and an authority of our choice, with SNI', async () => {
    const { port, sockets } = await tlsSmsc('smsc');
    const { session, answers } = await esme(port, { ca: pem('carrier-ca'), serverName: 'smsc.example' });
    const socket = await sockets.next();
    // @types/node does not know it.
    expect((socket as unknown as { servername: string }).servername).toBe('smsc.example');
    expect(socket.getProtocol()).toBe('TLSv1.3');
    expect(session.peerSystemId).toBe('TLS');
    for (const context of ['a', 'b', 'c']) session.submit(messageOf(), context);
    expect((await answers.take(3)).map(([context, { kind }]) => `${context} ${kind}`)).toEqual([
      'a answered',
      'b answered',
      'c answered',
    ]);
  });

  it('sends no SNI for an address, which is held against the addresses of the certificate', async () => {
    const { port, sockets } = await tlsSmsc('smsc');
    await esme(port, { ca: pem('carrier-ca') });
    expect(((await sockets.next()) as unknown as { servername: string | false }).servername).toBe(false);
  });

  it('carries megabytes both ways', async () => {
    const { port } = await tlsSmsc('smsc');
    const { session, answers } = await esme(port, { ca: pem('carrier-ca') }, { limits: { window: 1_000 } });
    const large = messageOf({ tlvs: [{ tag: 0x0424, value: Buffer.alloc(40_000, 7) }] });
    for (let n = 0; n < 200; n++) expect(await session.submitWhenRoom(large, `m${n}`)).toBe(true);
    const all = await answers.take(200);
    expect(all.every(([, answer]) => answer.kind === 'answered' && answer.status === 0)).toBe(true);
  });

  it.each([
    ['for another name', 'other', 'ERR_TLS_CERT_ALTNAME_INVALID', /is for another name: set tls\.serverName/],
    ['that has expired', 'expired', 'CERT_HAS_EXPIRED', /has expired: the carrier must renew it/],
    ['signed by nobody known', 'stranger', 'DEPTH_ZERO_SELF_SIGNED_CERT', /is trusted here: put the CA certificate/],
  ])('refuses a certificate %s, and says what to do', async (_name, name, code, advice) => {
    const { port } = await tlsSmsc(name);
    const attempt = esme(port, { ca: pem('carrier-ca') });
    await expect(attempt).rejects.toMatchObject({ code: 'tls-failed', message: expect.stringMatching(advice) });
    await expect(attempt).rejects.toThrow(`(${code})`);
  });

  it('refuses a good certificate of an authority that Node.js does not know, unless told of it', async () => {
    const { port } = await tlsSmsc('smsc');
    await expect(esme(port, {})).rejects.toMatchObject({
      code: 'tls-failed',
      message: expect.stringMatching(/put the CA certificate that the carrier gives into tls\.ca/),
    });
  });

  it('takes any certificate only when told not to verify', async () => {
    const { port } = await tlsSmsc('stranger');
    const { session } = await esme(port, { verify: false });
    expect(session.bound).toBe(true);
  });

  it.each(['TLSv1.3', 'TLSv1.2'] as const)(
    'gives its certificate to an SMSC that asks, over %s; without one it is refused with advice',
    async (version) => {
      const asks: ServerTls = { requestCert: true, rejectUnauthorized: true, ca: pem('our-ca'), maxVersion: version };
      const { port, sockets } = await tlsSmsc('smsc', asks);
      const ca = pem('carrier-ca');
      await esme(port, { ca, cert: pem('bank'), key: pem('bank-key') });
      const subject = (await sockets.next()).getPeerCertificate().subject;
      expect(subject.CN).toBe('bank');
      await esme(port, { ca, cert: pem('bank'), key: pem('bank-locked-key'), passphrase: 'open sesame' });
      const advice = expect.stringMatching(/set tls\.cert and tls\.key to those that the carrier knows/);
      await expect(esme(port, { ca })).rejects.toMatchObject({ code: 'tls-failed', message: advice });
      const unknown = { ca, cert: pem('stranger'), key: pem('stranger-key') };
      // An SMSC may hang up without an alert, and does so after the handshake in TLS 1.3.
      await expect(esme(port, unknown)).rejects.toMatchObject({ message: advice });
    },
  );

  it('refuses TLS 1.1, and 1.2 where policy asks for 1.3', async () => {
    const old = await tlsSmsc('smsc', {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const advice = { code: 'tls-failed', message: expect.stringMatching(/only TLS versions below tls\.minVersion/) };
    await expect(esme(old.port, { ca: pem('carrier-ca') })).rejects.toMatchObject(advice);
    const { port } = await tlsSmsc('smsc', { maxVersion: 'TLSv1.2' });
    await esme(port, { ca: pem('carrier-ca') });
    await expect(esme(port, { ca: pem('carrier-ca'), minVersion: 'TLSv1.3' })).rejects.toMatchObject(advice);
  });

  it('says so when the port does not speak TLS, when it says nothing, and when it hangs up', async () => {
    const foreign = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const silent = await listen(() => {});
    const curt = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
    opened.push(foreign, silent, curt);
    await expect(esme(foreign.port, {})).rejects.toMatchObject({
      code: 'tls-failed',
      message: expect.stringMatching(/does not speak TLS: take the port/),
    });
    await expect(esme(silent.port, {}, { connectTimeoutMs: 60 })).rejects.toMatchObject({
      code: 'connect-timeout',
      message: 'the TLS handshake did not end in time',
    });
    await expect(esme(curt.port, {})).rejects.toMatchObject({
      code: 'tls-failed',
      message: expect.stringMatching(/ended the connection during the TLS handshake; .*\(ECONNRESET\)/),
    });
  });

  it('a plain session with a TLS port ends as with any foreign bytes', async () => {
    const { port } = await tlsSmsc('smsc');
    const attempt = esme(port, {}, { tls: undefined as never, bindTimeoutMs: 2_000 });
    await expect(attempt).rejects.toMatchObject({ code: expect.stringMatching(/^closed$/) });
  });

  it('keys that do not fit are refused before anything is sent', async () => {
    const { port } = await tlsSmsc('smsc');
    const mixed = { ca: pem('carrier-ca'), cert: pem('bank'), key: pem('smsc-key') };
    await expect(esme(port, mixed)).rejects.toMatchObject({ code: 'tls-failed', message: /tls\.key is not the key/ });
    const locked = { cert: pem('bank'), key: pem('bank-locked-key'), passphrase: 'wrong' };
    await expect(esme(port, locked)).rejects.toMatchObject({ code: 'tls-failed', message: /with this passphrase/ });
    const garbage = { ca: 'no PEM' };
    await expect(esme(port, garbage)).rejects.toMatchObject({ code: 'tls-failed' });
  });

  it('a bind goes on to the next host when the certificate of one is wrong, and reports why', async () => {
    const wrong = await tlsSmsc('other');
    const right = await tlsSmsc('smsc');
    const failures = new Happenings<DialFailure>();
    const up = new Happenings<void>();
    const bind = new CarrierBind<string>({
      hosts: [wrong, right].map(({ port }) => ({ host: '127.0.0.1', port })),
      tls: { ca: pem('carrier-ca') },
      mode: 'transceiver',
      systemId: 'bank',
      password: 'secret',
      sessions: 1,
      random: () => 0.5,
      handlers: { onAnswer: () => {}, onDeliver: () => {}, onUp: () => up.push(), onDialFailed: failures.push },
    });
    opened.push(bind);
    bind.start();
    await up.next();
    expect(await failures.next()).toMatchObject({ error: { code: 'tls-failed' }, host: { port: wrong.port } });
    expect(bind.stats().bySession[0]?.host?.port).toBe(right.port);
  });
});

it.skipIf(!hasOpenssl)(
  'a client that hangs up in the handshake leaves the server of these tests standing',
  async () => {
    const { port, sockets } = await tlsSmsc('smsc');
    const socket = connectSocket({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.destroy();
    await esme(port, { ca: pem('carrier-ca') });
    expect((await sockets.next()).authorized).toBe(false);
  },
);
