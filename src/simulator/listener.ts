/** The socket that the SMSC listens on: plain TCP, or TLS with a certificate that can be changed while it runs. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { Authority, type CertificateKind, type KeyAndCertificate } from './certificates.ts';
import type { SimulatorOptions } from './options.ts';

export interface ListenerStats {
  badCertificates: number;
  tlsFailures: number;
}

/** There is no certificate to change: the listener speaks plain TCP, or was given its key and certificate. */
export class NoCertificate extends Error {
  constructor() {
    super('no certificate is made here');
    this.name = 'NoCertificate';
  }
}

/** A connection in the handshake when the listener closes may take this long to go. */
const lingerMs = 500;
const oldVersions = new Set(['TLSv1', 'TLSv1.1']);

export class Listener {
  readonly stats: ListenerStats = { badCertificates: 0, tlsFailures: 0 };
  /** The certificate (PEM) of the authority that signs good ones; null without TLS or where a key was given. */
  readonly authority: string | null;
  readonly #server: Server;
  readonly #tls: { server: TlsServer; authority: Authority; names: readonly string[] } | null;
  readonly #raw = new Set<Socket>();
  #certificate: CertificateKind | null = null;

  /** @param nowMs epoch milliseconds, for the certificates */
  constructor(options: SimulatorOptions, nowMs: number, onConnection: (socket: Socket) => void) {
    const { tls, connections, bindTimeoutMs } = options;
    if (tls === null) {
      this.authority = null;
      this.#tls = null;
      this.#server = createServer(onConnection);
    } else {
      const authority = new Authority(nowMs);
      const given: KeyAndCertificate | null = tls.key === null ? null : { key: tls.key, cert: tls.cert ?? '' };
      const server = createTlsServer(
        {
          ...(given ?? authority.issue(tls.certificate, tls.names)),
          minVersion: tls.minVersion,
          maxVersion: tls.maxVersion,
          // OpenSSL 3 refuses the signatures of TLS 1.1 and older unless told to be as lax as those were.
          ...(oldVersions.has(tls.minVersion) ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
          ...(tls.clientAuthority === null
            ? {}
            : { ca: tls.clientAuthority, requestCert: true, rejectUnauthorized: true }),
          handshakeTimeout: bindTimeoutMs,
        },
        onConnection,
      );
      server.on('tlsClientError', () => {
        this.stats.tlsFailures += 1;
      });
      this.authority = given === null ? authority.cert : null;
      if (given === null) this.#certificate = tls.certificate;
      this.#tls = { server, authority, names: tls.names };
      this.#server = server;
      server.on('connection', (raw: Socket) => this.#onRaw(raw));
    }
    this.#server.maxConnections = connections;
  }

  /** What the certificate shown is like; null without TLS or where a key was given. */
  get certificate(): CertificateKind | null {
    return this.#certificate;
  }

  /** Connections from now on are shown this one. @throws NoCertificate */
  setCertificate(kind: CertificateKind): void {
    if (this.#tls === null || this.#certificate === null) throw new NoCertificate();
    const { server, authority, names } = this.#tls;
    server.setSecureContext(authority.issue(kind, names));
    this.#certificate = kind;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the simulator is not listening');
    return address.port;
  }

  /** @throws a Node.js system error when it can't listen */
  async open(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, exclusive: true }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Stops listening; resolves when the last connection is gone. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => {
      for (const raw of this.#raw) raw.destroy();
    }, lingerMs);
    await closed;
    clearTimeout(timer);
  }

  #onRaw(raw: Socket): void {
    this.#raw.add(raw);
    raw.once('close', () => this.#raw.delete(raw));
    if (this.#certificate !== null && this.#certificate !== 'good') this.stats.badCertificates += 1;
  }
}
