/** Opens the connection to an SMSC, over TCP or TLS, or says in words why not and what to do. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { BindError } from './errors.ts';

export interface TlsOptions {
  /** Certificates (PEM) of those who may have signed the SMSC's; those that Node.js trusts when left out. */
  ca?: string | Buffer;
  /** Our certificate with its chain, and its private key (PEM), for an SMSC that asks for one. */
  cert?: string | Buffer;
  key?: string | Buffer;
  /** Of the private key, when it is encrypted. */
  passphrase?: string;
  /** The name that the certificate must be for, and that is sent as SNI. The host unless told otherwise. */
  serverName?: string;
  /** TLS 1.2 unless told otherwise. */
  minVersion?: Extract<SecureVersion, 'TLSv1.2' | 'TLSv1.3'>;
  /** False takes any certificate of anybody: then TLS hides what is said, and does not say to whom. True unless told. */
  verify?: boolean;
}

export interface ConnectOptions {
  host: string;
  port: number;
  /** Plain TCP when left out. */
  tls?: TlsOptions;
  /** Up to the end of the TLS handshake. 10 s unless told otherwise. */
  connectTimeoutMs?: number;
  signal?: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** @throws BindError */
export function openSocket(options: ConnectOptions): Promise<Socket> {
  const { signal, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    let socket: Socket;
    try {
      socket = connect(options);
    } catch (error) {
      // Keys and certificates that do not fit are refused before anything is sent.
      if (options.tls === undefined) throw error;
      reject(new BindError('tls-failed', tlsReason(error as NodeJS.ErrnoException)));
      return;
    }
    const connected = options.tls === undefined ? 'connect' : 'secureConnect';
    const fail = (error: BindError) => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onError = (error: NodeJS.ErrnoException) => {
      if (options.tls !== undefined && (isTlsError(error) || opened)) {
        fail(new BindError('tls-failed', tlsReason(error)));
      } else {
        fail(new BindError('connect-failed', `can not connect: ${error.code ?? error.name}`));
      }
    };
    const onAbort = () => fail(new BindError('closed', 'the attempt to connect was given up'));
    let opened = false;
    const onOpened = () => {
      opened = true;
    };
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const onLate = () => {
      if (opened) fail(new BindError('connect-timeout', 'the TLS handshake did not end in time'));
      else fail(new BindError('connect-timeout', 'no connection in time'));
    };
    const timer = setTimeout(onLate, connectTimeoutMs);
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('connect', onOpened);
      socket.off(connected, onConnect);
    };
    socket.on('error', onError);
    socket.on('connect', onOpened);
    socket.on(connected, onConnect);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}

function connect({ host, port, tls }: ConnectOptions): Socket {
  if (tls === undefined) return connectTcp({ host, port, noDelay: true });
  const name = tls.serverName ?? host;
  return connectTls({
    host,
    port,
    // SNI carries names only (RFC 6066 §3); an address is held against the certificate's addresses all the same.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    rejectUnauthorized: tls.verify !== false,
    minVersion: tls.minVersion ?? 'TLSv1.2',
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
  });
}

/** What to think of when an SMSC that spoke TLS goes without a word. */
export const CLIENT_CERTIFICATE =
  'it may ask for a client certificate: set tls.cert and tls.key to those that the carrier knows';

/** What a code of Node.js or OpenSSL means here, and what to do. The first that matches counts. */
const TLS_REASONS: readonly [code: RegExp, reason: string][] = [
  [
    /^CERT_HAS_EXPIRED$/,
    "the SMSC's certificate, or one above it, has expired: the carrier must renew it (and this machine's clock be right)",
  ],
  [
    /^CERT_NOT_YET_VALID$/,
    "the SMSC's certificate is not valid yet: look at this machine's clock, then ask the carrier",
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    "the SMSC's certificate is for another name: set tls.serverName to the name that the carrier says it is for",
  ],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE))$/,
    "the SMSC's certificate is signed by nobody who is trusted here: put the CA certificate that the carrier gives into tls.ca",
  ],
  [/^CERT_REVOKED$/, "the SMSC's certificate is revoked: ask the carrier"],
  [
    /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LAYER_FAILURE)$/,
    'what listens there does not speak TLS: take the port that the carrier gives for TLS, or leave tls out',
  ],
  [
    /^ERR_SSL_(UNSUPPORTED_PROTOCOL|TLSV1_ALERT_PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW)$/,
    'the SMSC offers only TLS versions below tls.minVersion: the carrier must offer TLS 1.2 or later',
  ],
  [
    /^ERR_SSL_(TLSV13_ALERT_CERTIFICATE_REQUIRED|.*ALERT_(HANDSHAKE_FAILURE|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED))$/,
    `the SMSC refuses us; ${CLIENT_CERTIFICATE}`,
  ],
  [
    /^ERR_SSL_.*UNRECOGNIZED_NAME$/,
    'the SMSC knows no such name: set tls.serverName to the one that the carrier gives',
  ],
  [/^ERR_OSSL_X509_KEY_VALUES_MISMATCH$/, 'tls.key is not the key of tls.cert'],
  [
    /^ERR_OSSL_(BAD_DECRYPT|EVP_.*|.*BAD_PASSWORD_READ|.*MISSING_PASSPHRASE.*|CRYPTO_INTERRUPTED.*)$/,
    'tls.key can not be read with this passphrase',
  ],
  [/^ERR_OSSL_PEM_|^ERR_OSSL_ASN1_|^ERR_OSSL_.*UNSUPPORTED$/, 'tls.ca, tls.cert or tls.key is not PEM'],
  [/^(ECONNRESET|EPIPE)$/, `the SMSC ended the connection during the TLS handshake; ${CLIENT_CERTIFICATE}`],
];

/** Whether the error is TLS's and not the network's. */
export function isTlsError({ code = '' }: { code?: string | undefined }): boolean {
  return (
    code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code.startsWith('ERR_OSSL_') || /CERT/.test(code)
  );
}

/** `the SMSC's certificate … has expired: … (CERT_HAS_EXPIRED)`. */
export function tlsReason({ code, name }: { code?: string | undefined; name?: string }): string {
  const known = TLS_REASONS.find(([pattern]) => code !== undefined && pattern.test(code));
  return `${known?.[1] ?? 'TLS failed'} (${code ?? name ?? 'unknown'})`;
}
