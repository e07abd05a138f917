import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROTOCOL } from '../smpp/index.ts';
import { policyCheck } from './check.ts';
import { PolicyError } from './error.ts';
import { loadPolicies } from './load.ts';

const DEFAULTS = join(import.meta.dirname, '../../policies');
const ENV = { PW: 'secret', OUT: 'let-in', PASS: 'open sesame', HOST_B: 'b.example', PORT_B: '2776' };
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'carrier-link-'));
  for (const file of ['lanes.yaml']) writeFileSync(join(folder, file), readFileSync(join(DEFAULTS, file)));
  writeFileSync(
    join(folder, 'routing.yaml'),
    JSON.stringify({ routes: [{ name: 'all', prefixes: ['+'], binds: ['a'] }] }),
  );
  mkdirSync(join(folder, 'tls'));
  writeFileSync(join(folder, 'tls', 'text.pem'), 'no certificate');
  if (!hasOpenssl) return;
  for (const name of ['one', 'two']) {
    const files = ['-keyout', `tls/${name}-key.pem`, '-out', `tls/${name}.pem`, '-subj', `/CN=${name}`];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...files], { cwd: folder, stdio: 'pipe' });
  }
  const locked = ['ec', '-in', 'tls/one-key.pem', '-aes256', '-passout', 'pass:open sesame', '-out', 'tls/locked.pem'];
  execFileSync('openssl', locked, { cwd: folder, stdio: 'pipe' });
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The account `a` with these fields. */
function write(fields: object): void {
  const common = { host: 'smsc.example', port: 2775, systemId: 'bank', password: { env: 'PW' }, tps: 10 };
  writeFileSync(join(folder, 'carriers.yaml'), JSON.stringify({ carriers: { a: { ...common, ...fields } } }));
}

function load(fields: object, env: Record<string, string> = ENV) {
  write(fields);
  const carrier = loadPolicies(folder, env, PROTOCOL).carriers.a;
  if (carrier === undefined) throw new Error('there is a carrier a');
  return carrier;
}

function mistakes(fields: object, env: Record<string, string> = ENV): Record<string, string> {
  try {
    load(fields, env);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return Object.fromEntries(error.issues.map(({ path, reason }) => [path, reason]));
  }
  throw new Error('the policies were accepted');
}

test('what is left out is plain TCP to one host, version 3.4, back to the first host after five minutes', () => {
  expect(load({})).toMatchObject({
    otherHosts: [],
    returnAfterMs: 300_000,
    reconnectHealthyMs: 60_000,
    alreadyBoundRetryMs: 1_000,
    tls: null,
    interfaceVersion: 0x34,
    optionalParameters: 'by-version',
    addressRange: '',
    outbind: null,
  });
});

test('other hosts and the outbind may come from the environment', () => {
  const hosts = [
    { host: { env: 'HOST_B' }, port: { env: 'PORT_B' } },
    { host: '10.0.0.3', port: 2777 },
  ];
  const carrier = load({
    hosts,
    interfaceVersion: '5.0',
    outbind: { host: '0.0.0.0', port: { env: 'PORT_B' }, systemId: 'CARRIER', password: { env: 'OUT' } },
  });
  expect(carrier.otherHosts).toEqual([
    { host: 'b.example', port: 2776 },
    { host: '10.0.0.3', port: 2777 },
  ]);
  expect(carrier.interfaceVersion).toBe(0x50);
  expect(carrier.outbind).toEqual({ listen: { host: '0.0.0.0', port: 2776 }, systemId: 'CARRIER', password: 'let-in' });
});

test.each<[string, object, string, RegExp]>([
  ['a host without a port', { hosts: [{ host: 'b' }] }, 'carriers.a.hosts[0].port', /expected a port/],
  [
    'a variable that is not set',
    { hosts: [{ host: 'b', port: { env: 'NO' } }] },
    'carriers.a.hosts[0].port',
    /NO is not/,
  ],
  ['a version of the future', { interfaceVersion: 5 }, 'carriers.a.interfaceVersion', /'5\.0', in quotes/],
  [
    'an outbind whose password stands there',
    { outbind: { port: 1, systemId: 'C', password: 'x' } },
    'carriers.a.outbind.password',
    /no file/,
  ],
  [
    'an outbind whose password is not set',
    { outbind: { port: 1, systemId: 'C', password: { env: 'NO' } } },
    'carriers.a.outbind.password',
    /NO is not set/,
  ],
  ['a certificate without a key', { tls: { cert: 'x' } }, 'carriers.a.tls.cert', /go together/],
  ['a passphrase of no key', { tls: { passphrase: { env: 'PASS' } } }, 'carriers.a.tls.passphrase', /no key/],
  ['TLS 1.1', { tls: { minVersion: 'TLSv1.1' } }, 'carriers.a.tls.minVersion', /TLSv1\.2/],
  ['no verification without a reason', { tls: { verify: 'none' } }, 'carriers.a.tls.verify', /the reason why/],
  [
    'no verification with a poor reason',
    { tls: { verify: { none: 'because' } } },
    'carriers.a.tls.verify.none',
    /say why/,
  ],
  ['a file that is not there', { tls: { ca: 'tls/no.pem' } }, 'carriers.a.tls.ca', /tls\/no\.pem: no such file/],
  ['a folder', { tls: { ca: 'tls' } }, 'carriers.a.tls.ca', /can't be read \(EISDIR\)/],
  ['a file of something else', { tls: { ca: 'tls/text.pem' } }, 'carriers.a.tls.ca', /holds no certificate in PEM/],
])('%s is refused', (_name, fields, path, reason) => {
  const found = mistakes(fields);
  expect(found[path]).toMatch(reason);
});

describe.skipIf(!hasOpenssl)('keys and certificates (skipped where there is no openssl to make them with)', () => {
  test('are read at start, from the folder of carriers.yaml, and shown by policy check', () => {
    const tls = { ca: 'tls/two.pem', cert: 'tls/one.pem', key: 'tls/locked.pem', passphrase: { env: 'PASS' } };
    const carrier = load({ tls: { ...tls, serverName: 'smsc.carrier.example' } });
    expect(carrier.tls).toMatchObject({
      passphrase: 'open sesame',
      serverName: 'smsc.carrier.example',
      minVersion: 'TLSv1.2',
      unverifiedBecause: null,
    });
    expect(carrier.tls?.cert).toEqual(readFileSync(join(folder, 'tls/one.pem')));
    expect(policyCheck(folder, ENV, PROTOCOL)).toContain(
      'bank at smsc.example:2775 over TLSv1.2+ with our certificate, 10 TPS',
    );
  });

  test('no verification is shown by policy check with its reason', () => {
    write({ tls: { verify: { none: 'a lab without certificates' } }, hosts: [{ host: 'b', port: 1 }] });
    const line = 'smsc.example:2775, else b:1 over TLSv1.2+ NOT VERIFIED (a lab without certificates)';
    expect(policyCheck(folder, ENV, PROTOCOL)).toContain(line);
  });

  test.each<[string, object, string, RegExp]>([
    [
      'the key of another certificate',
      { cert: 'tls/one.pem', key: 'tls/two-key.pem' },
      'key',
      /is not the key of tls\.cert/,
    ],
    [
      'a key that is locked',
      { cert: 'tls/one.pem', key: 'tls/locked.pem' },
      'key',
      /encrypted, and tls\.passphrase is missing/,
    ],
    [
      'a wrong passphrase',
      { cert: 'tls/one.pem', key: 'tls/locked.pem', passphrase: { env: 'PW' } },
      'key',
      /or wrong/,
    ],
    ['a certificate for a key', { cert: 'tls/one.pem', key: 'tls/one.pem' }, 'key', /holds no private key/],
    ['a key for a certificate', { cert: 'tls/one-key.pem', key: 'tls/one-key.pem' }, 'cert', /holds no certificate/],
  ])('%s is refused, and nothing of it is said', (_name, tls, field, reason) => {
    const found = mistakes({ tls });
    expect(found[`carriers.a.tls.${field}`]).toMatch(reason);
    expect(Object.values(found).join()).not.toMatch(/BEGIN|secret|sesame/);
  });
});
