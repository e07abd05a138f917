/** The fields of a carrier account that say how its SMSC is reached: hosts, TLS, what the bind says, who calls whom. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { z } from 'zod';
import type { DocumentPath } from './document.ts';
import {
  ascii,
  duration,
  type Environment,
  fromEnvironment,
  host,
  parseHost,
  parsePort,
  port,
  resolveFromEnvironment,
  secretFromEnvironment,
} from './fields.ts';

export interface CarrierHost {
  readonly host: string;
  readonly port: number;
}

export interface CarrierTls {
  /** PEM. Null: the authorities that Node.js trusts. */
  readonly ca: Buffer | null;
  /** Our certificate and its key, PEM; both or none. Never logged, never part of the digest. */
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
  readonly passphrase: string | null;
  /** The name that the certificate must be for; null for the host. */
  readonly serverName: string | null;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Why whoever answers is taken for the carrier; null: the certificate is verified. */
  readonly unverifiedBecause: string | null;
}

export interface CarrierOutbind {
  readonly listen: CarrierHost;
  readonly systemId: string;
  /** From the environment. Never logged, never part of the digest. */
  readonly password: string;
}

export interface CarrierLink {
  /** Where to go when `host` can't be reached, in the order of preference. */
  readonly otherHosts: readonly CarrierHost[];
  /** For how long `host` is left alone after it failed while another host serves. */
  readonly returnAfterMs: number;
  /** A session that stood for this long starts the waits between attempts anew. */
  readonly reconnectHealthyMs: number;
  /** Between attempts that are answered ESME_RALYBND. */
  readonly alreadyBoundRetryMs: number;
  /** Null for plain TCP. */
  readonly tls: CarrierTls | null;
  /** interface_version of the bind: 0x33, 0x34 or 0x50. */
  readonly interfaceVersion: number;
  /** `by-version`: none to an SMSC, or in a version, older than 3.4. A text that lies in them goes with them always. */
  readonly optionalParameters: 'by-version' | 'always' | 'never';
  /** Of the bind: which addresses the receiver serves; empty for what the carrier has on file. */
  readonly addressTon: number;
  readonly addressNpi: number;
  readonly addressRange: string;
  /** Where the carrier connects to us; null when it never does. */
  readonly outbind: CarrierOutbind | null;
}

const address = {
  host: fromEnvironment(host, 'a host name or address'),
  port: fromEnvironment(port, 'a port (1–65535)'),
};

const file = z.string({ error: 'expected the path of a PEM file' }).min(1, 'must not be empty').max(4_096);

const tls = z
  .strictObject({
    ca: file.optional().describe('PEM file of the authorities that may sign; those of Node.js when left out.'),
    cert: file.optional().describe('PEM file of our certificate and its chain, where the carrier asks for one.'),
    key: file.optional().describe('PEM file of its private key.'),
    passphrase: secretFromEnvironment.optional().describe('The environment variable that holds the passphrase of key.'),
    serverName: host.optional().describe('The name that the certificate is for, where it is not that of the host.'),
    minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
    verify: z
      .union(
        [
          z.literal('full'),
          z.strictObject({ none: z.string().min(10, 'say why, in ten characters or more').max(200) }),
        ],
        { error: 'expected full, or { none: the reason why any certificate is good enough }' },
      )
      .default('full'),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    error: 'cert and key go together',
    path: ['cert'],
  })
  .refine(({ key, passphrase }) => key !== undefined || passphrase === undefined, {
    error: 'there is no key that it could be of',
    path: ['passphrase'],
  });

const VERSIONS = { '3.3': 0x33, '3.4': 0x34, '5.0': 0x50 } as const;

/** Paths are taken from the folder of carriers.yaml. */
export const carrierLinkFields = {
  hosts: z
    .array(z.strictObject(address))
    .max(8)
    .default([])
    .describe('Where to go when host can not be reached, in the order of preference.'),
  returnAfter: duration(1_000, 86_400_000)
    .prefault('PT5M')
    .describe('For how long host is left alone after it failed while another host serves.'),
  reconnectHealthy: duration(1_000, 3_600_000)
    .prefault('PT1M')
    .describe('A session that stood for this long starts the waits between attempts anew.'),
  alreadyBoundRetry: duration(100, 60_000)
    .prefault('PT1S')
    .describe('Between attempts that are answered ESME_RALYBND.'),
  tls: tls.optional(),
  interfaceVersion: z
    .enum(['3.3', '3.4', '5.0'], { error: "expected '3.3', '3.4' or '5.0', in quotes" })
    .default('3.4')
    .describe('What the bind says that we speak.'),
  optionalParameters: z
    .enum(['by-version', 'always', 'never'])
    .default('by-version')
    .describe('Whether TLVs go with a message; by-version: not to an SMSC older than 3.4.'),
  addressTon: z.int().min(0).max(6).default(0),
  addressNpi: z.int().min(0).max(18).default(0),
  addressRange: ascii(40).default(''),
  outbind: z
    .strictObject({
      host: fromEnvironment(host, 'a host name or address').default('127.0.0.1'),
      port: fromEnvironment(port, 'a port (1–65535)'),
      systemId: ascii(15).min(1, 'must not be empty'),
      password: secretFromEnvironment.describe('The environment variable that holds what the carrier must say.'),
    })
    .optional()
    .describe('Where the carrier connects to us, and how it must name itself.'),
};

type Fields = z.output<z.ZodObject<typeof carrierLinkFields>>;
type Mistake = (path: DocumentPath, reason: string) => void;

/** SMPP 3.4 §5.2.1 as for the account's own password. */
const OUTBIND_PASSWORD = /^[\x21-\x7e]{1,8}$/;
const PASSPHRASE = /^[\x20-\x7e]{1,1024}$/;

/** Fills in what comes from the environment and from files. Each mistake names the variable or the file, never what it holds. */
export function resolveCarrierLink(fields: Fields, env: Environment, folder: string, mistake: Mistake): CarrierLink {
  const at = (
    path: DocumentPath,
    from: { host: Fields['hosts'][number]['host']; port: Fields['hosts'][number]['port'] },
  ) => ({
    host: resolveFromEnvironment(from.host, env, parseHost, 'a host', (reason) => mistake([...path, 'host'], reason)),
    port: resolveFromEnvironment(from.port, env, parsePort, 'a port (1–65535)', (reason) =>
      mistake([...path, 'port'], reason),
    ),
  });
  const { outbind } = fields;
  return {
    otherHosts: fields.hosts.map((from, index) => at(['hosts', index], from)),
    returnAfterMs: fields.returnAfter,
    reconnectHealthyMs: fields.reconnectHealthy,
    alreadyBoundRetryMs: fields.alreadyBoundRetry,
    tls: fields.tls === undefined ? null : resolveTls(fields.tls, env, folder, mistake),
    interfaceVersion: VERSIONS[fields.interfaceVersion],
    optionalParameters: fields.optionalParameters,
    addressTon: fields.addressTon,
    addressNpi: fields.addressNpi,
    addressRange: fields.addressRange,
    outbind:
      outbind === undefined
        ? null
        : {
            listen: at(['outbind'], outbind),
            systemId: outbind.systemId,
            password: resolveFromEnvironment<string>(
              outbind.password,
              env,
              (text) => (OUTBIND_PASSWORD.test(text) ? text : null),
              '1–8 printable ASCII characters',
              (reason) => mistake(['outbind', 'password'], reason),
            ),
          },
  };
}

function resolveTls(fields: z.output<typeof tls>, env: Environment, folder: string, mistake: Mistake): CarrierTls {
  const read = (field: 'ca' | 'cert' | 'key'): Buffer | null => {
    const path = fields[field];
    if (path === undefined) return null;
    const file = resolvePath(folder, path);
    try {
      return readFileSync(file);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      mistake(
        ['tls', field],
        `${file}: ${code === 'ENOENT' ? 'no such file' : `can't be read (${code ?? 'unknown error'})`}`,
      );
      return null;
    }
  };
  const ca = read('ca');
  const cert = read('cert');
  const key = read('key');
  const passphrase =
    fields.passphrase === undefined
      ? null
      : resolveFromEnvironment<string>(
          fields.passphrase,
          env,
          (text) => (PASSPHRASE.test(text) ? text : null),
          'printable ASCII characters',
          (reason) => mistake(['tls', 'passphrase'], reason),
        );
  checkCertificates('ca', ca);
  const own = checkCertificates('cert', cert);
  if (key !== null) checkKey(key);
  return {
    ca,
    cert,
    key,
    passphrase,
    serverName: fields.serverName ?? null,
    minVersion: fields.minVersion,
    unverifiedBecause: fields.verify === 'full' ? null : fields.verify.none,
  };

  function checkCertificates(field: 'ca' | 'cert', pem: Buffer | null): X509Certificate | null {
    if (pem === null) return null;
    const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    try {
      const certificates = blocks.map((block) => new X509Certificate(block));
      if (certificates[0] !== undefined) return certificates[0];
    } catch {
      // Said below.
    }
    mistake(['tls', field], `${resolvePath(folder, fields[field] ?? '')}: holds no certificate in PEM`);
    return null;
  }

  function checkKey(pem: Buffer): void {
    const file = resolvePath(folder, fields.key ?? '');
    try {
      const opened = createPrivateKey({ key: pem, format: 'pem', ...(passphrase === null ? {} : { passphrase }) });
      if (own !== null && !own.checkPrivateKey(opened)) mistake(['tls', 'key'], `${file}: is not the key of tls.cert`);
    } catch {
      const reason = /ENCRYPTED/.test(pem.toString('latin1'))
        ? 'can not be opened: it is encrypted, and tls.passphrase is missing or wrong'
        : 'holds no private key in PEM';
      mistake(['tls', 'key'], `${file}: ${reason}`);
    }
  }
}
