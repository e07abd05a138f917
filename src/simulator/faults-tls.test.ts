/**
 * TLS with good and bad certificates. The client here verifies as the gateway's sessions do: chain, dates and name.
 */
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { Command, Status } from '../smpp/index.ts';
import { Authority, type CertificateKind } from './certificates.ts';
import { NoCertificate } from './listener.ts';
import type { SimulatorInput } from './options.ts';
import { type Simulator, startSimulator } from './simulator.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';
import { Gateway } from './testing-gateway.ts';

type TlsInput = NonNullable<SimulatorInput['tls']>;

async function simulate(options: TlsInput = {}): Promise<Simulator & AsyncDisposable> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank' }], tls: options });
  return Object.assign(simulator, { [Symbol.asyncDispose]: () => simulator.stop() });
}

/** The socket of a client that trusts this authority; or the code of what went wrong. */
function dial(
  simulator: Simulator,
  options: tls.ConnectionOptions = {},
): Promise<{ socket: tls.TLSSocket } | { code: string }> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: simulator.port,
      servername: 'localhost',
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(simulator.authority === null ? {} : { ca: simulator.authority }),
      ...options,
    });
    socket.once('secureConnect', () => resolve({ socket }));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve({ code: error.code ?? error.message }));
  });
}

/** Binds over TLS, sends a message, gets its answer and its receipt. */
async function isHealthy(simulator: Simulator, options: tls.ConnectionOptions = {}): Promise<boolean> {
  const dialled = await dial(simulator, options);
  if ('code' in dialled) throw new Error(dialled.code);
  const esme = TestingEsme.over(dialled.socket);
  esme.sendBind('bank');
  await esme.pdus(({ command, status }) => command === Command.bindTransceiverResp && status === Status.ok);
  const [answer] = await esme.answers(esme.submit(submitSm()));
  await esme.pdus(({ command, bytes }) => command === Command.deliverSm && bytes.includes(answer!.messageId!));
  esme.close();
  return answer!.status === Status.ok;
}

test('a good certificate: the session works, over TLS 1.3, under its name and its address', async () => {
  await using simulator = await simulate();
  const dialled = await dial(simulator);
  if ('code' in dialled) throw new Error(dialled.code);
  expect(dialled.socket.getProtocol()).toBe('TLSv1.3');
  expect(dialled.socket.getPeerCertificate().subject.CN).toBe('localhost');
  dialled.socket.destroy();
  expect(await isHealthy(simulator)).toBe(true);
  expect(await isHealthy(simulator, { servername: '', host: '127.0.0.1' })).toBe(true);
  expect(simulator.stats()).toMatchObject({ badCertificates: 0 });
});

const bad: [Exclude<CertificateKind, 'good'>, string][] = [
  ['expired', 'CERT_HAS_EXPIRED'],
  ['not-yet', 'CERT_NOT_YET_VALID'],
  ['wrong-name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['unknown-authority', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
];

test.each(bad)('%s: the client refuses with %s, and is well again with a good one', async (certificate, code) => {
  await using simulator = await simulate();
  simulator.setCertificate(certificate);
  expect(await dial(simulator)).toEqual({ code });
  expect(simulator.stats().badCertificates).toBe(1);
  simulator.setCertificate('good');
  expect(await isHealthy(simulator)).toBe(true);
});

test('a script shows a bad certificate for a time', async () => {
  await using simulator = await simulate();
  simulator.runScript({ steps: [{ at: 'PT0S', certificate: 'expired', for: 'PT0.5S' }] });
  expect(await dial(simulator)).toEqual({ code: 'CERT_HAS_EXPIRED' });
  await expect.poll(() => simulator.stats().script!.over, { timeout: 5_000 }).toBe(1);
  expect(await isHealthy(simulator)).toBe(true);
});

test('a client that does not verify is let in all the same', async () => {
  await using simulator = await simulate({ certificate: 'expired' });
  expect(await isHealthy(simulator, { rejectUnauthorized: false })).toBe(true);
});

test('plain TCP to a TLS listener: counted, and the next client is served', async () => {
  await using simulator = await simulate();
  const esme = await TestingEsme.connect(simulator.port);
  esme.sendBind('bank');
  await esme.closed;
  expect(simulator.stats().tlsFailures).toBe(1);
  expect(await isHealthy(simulator)).toBe(true);
});

test('a version below the least: refused; above: served', async () => {
  await using simulator = await simulate({ minVersion: 'TLSv1.3' });
  expect(await dial(simulator, { maxVersion: 'TLSv1.2' })).toEqual({
    code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  });
  expect(simulator.stats().tlsFailures).toBe(1);
  expect(await isHealthy(simulator)).toBe(true);
});

test('a client certificate that is asked for must be there', async () => {
  const clients = new Authority(Date.now());
  await using simulator = await simulate({ clientAuthority: clients.cert });
  const dialled = await dial(simulator, { maxVersion: 'TLSv1.2' });
  expect(dialled).toMatchObject({ code: expect.stringContaining('ERR_SSL') });
  expect(await isHealthy(simulator, clients.issue('good', ['gateway']))).toBe(true);
});

test('a key and certificate from files are used as they are', async () => {
  const own = new Authority(Date.now());
  await using simulator = await simulate(own.issue('good', ['smsc.example']));
  expect(simulator.authority).toBeNull();
  expect(() => simulator.setCertificate('expired')).toThrow(NoCertificate);
  expect(await isHealthy(simulator, { ca: own.cert, servername: 'smsc.example' })).toBe(true);
});

test.each(bad)(
  '%s: the gateway does not bind, says why, and binds when the certificate is good again',
  async (certificate, code) => {
    await using gateway = await Gateway.start({
      simulator: { tls: { certificate } },
      bind: (simulator) => ({ tls: { ca: simulator.authority!, serverName: 'localhost' } }),
    });
    await gateway.until(() => gateway.dialFailures.length > 0, 'the dial failed');
    expect(gateway.dialFailures[0]).toMatchObject({ code: 'tls-failed', message: expect.stringContaining(code) });
    expect(gateway.bind.up).toBe(false);
    expect(gateway.simulator.stats().badCertificates).toBeGreaterThanOrEqual(1);
    gateway.simulator.setCertificate('good');
    expect(await gateway.isHealthy()).toBe(true);
  },
);
