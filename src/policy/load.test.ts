import { hash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { PROTOCOL } from '../smpp/index.ts';
import { alertTlvs } from './carrier-fields.ts';
import { policyCheck } from './check.ts';
import { PolicyError } from './error.ts';
import { loadPolicies } from './load.ts';
import { policySchemas } from './schemas.ts';

const DEFAULTS = join(import.meta.dirname, '../../policies');
const ENV = { TOCSIN_DEMO_A_PASSWORD: 'secret' };
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe('the policies that come with Tocsin', () => {
  test('are good, and durations, tags and shares are what the files say', () => {
    const { lanes, carriers, routing } = loadPolicies(DEFAULTS, ENV, PROTOCOL);
    expect(lanes.emergency).toEqual({
      priority: 1000,
      priorityFlag: 3,
      weight: 0,
      ceiling: 1,
      floor: 0,
      defaultValidityMs: 3_600_000,
      longestValidityMs: 86_400_000,
      minRemainingMs: 2_000,
      retry: { firstMs: 1_000, factor: 2, maxMs: 30_000, budget: 20 },
      inDoubt: 'resend',
      cannotMeetExpiry: 'accept',
      unknownGraceMs: 3_600_000,
    });
    expect(carriers['demo-a']).toMatchObject({ guardMs: 20, correlationTlv: 0x1400, password: 'secret', port: 2775 });
    const text = {
      ...{ alphabets: ['gsm7', 'ucs2'], languages: [], packed: false, concatenation: 'udh-16', sarOctets: 140 },
      ...{ transliterate: 'none', marking: null },
    };
    expect(carriers['demo-a']?.text.bulk).toEqual({ normal: text, exact: text });
    expect(routing.routes.map((route) => route.name)).toEqual(['default']);
  });

  test('take host and port of the simulated carrier from the environment', () => {
    const env = { ...ENV, TOCSIN_DEMO_A_HOST: 'smsc.example', TOCSIN_DEMO_A_PORT: '40001' };
    expect(loadPolicies(DEFAULTS, env, PROTOCOL).carriers['demo-a']).toMatchObject({
      host: 'smsc.example',
      port: 40001,
    });
  });

  test('have JSON Schemas that are up to date (node scripts/policy-schemas.ts writes them)', () => {
    const schemas = policySchemas();
    expect(Object.keys(schemas)).toEqual(['lanes.json', 'carriers.json', 'routing.json']);
    for (const [file, text] of Object.entries(schemas)) {
      expect(readFileSync(join(DEFAULTS, 'schemas', file), 'utf8')).toBe(text);
    }
  });

  test('are summed up without the password', () => {
    const summary = policyCheck(DEFAULTS, { TOCSIN_DEMO_A_PASSWORD: 'hUnTer2' }, PROTOCOL);
    expect(summary).toContain('demo-a at 127.0.0.1:2775, 700 TPS, 2 × window 200, routes default');
    expect(summary).not.toContain('hUnTer2');
  });
});

test('what a carrier wants in the fields is read as it is written', () => {
  const folder = changed(
    'carriers.yaml',
    'tps: 700',
    `tps: 700
    statuses: { ESME_RSUBMITFAIL: message, 0x0412: throttled, ESME_RINVPARLEN: temporary }
    priorityFlags: { emergency: 4, bulk: 1 }
    highestPriorityFlag: 4
    utcOffset: '-03:30'
    validityMode: relative
    longestValidity: P2D
    senderRules: [{ prefix: '+91', ton: 2, npi: 1, plus: true }, { form: short-code, ton: 6, npi: 0 }]
    tlvs:
      - { tag: 0x1401, type: string, value: '1101234567890' }
      - { tag: source_port, type: int16, from: alert.tlvs.port, value: 5099 }
    senders:
      MyBank: { serviceType: CMT, tlvs: [{ tag: 0x1401, type: string, from: alert.tlvs.template }] }`,
  );
  const file = join(folder, 'carriers.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('    validityMode: absolute\n', ''));
  const { carriers } = loadPolicies(folder, ENV, PROTOCOL);
  expect(carriers['demo-a']).toMatchObject({
    statuses: new Map([
      [0x45, 'message'],
      [0x412, 'throttled'],
      [0xc2, 'temporary'],
    ]),
    priorityFlags: { emergency: 4, bulk: 1 },
    utcOffset: -14,
    scheduleForm: 'relative',
    longestValidityMs: 2 * 86_400_000,
    senderRules: [
      { form: null, prefix: '+91', ton: 2, npi: 1, plus: true },
      { form: 'short-code', prefix: '', ton: 6, npi: 0, plus: false },
    ],
    tlvs: [
      { tag: 0x1401, value: Buffer.from('1101234567890'), alertName: null },
      { tag: 0x020a, value: Buffer.from('13eb', 'hex'), alertName: 'port' },
    ],
  });
  expect(carriers['demo-a']?.senders.get('MyBank')).toEqual({
    serviceType: 'CMT',
    tlvs: [{ tag: 0x1401, type: 'string', value: null, alertName: 'template' }],
  });
  expect([...alertTlvs(carriers)].map(([name, uses]) => [name, uses.map(({ tag }) => tag)])).toEqual([
    ['port', [0x020a]],
    ['template', [0x1401]],
  ]);
});

test('tiers, senders, second routes and portability are read as they are written', () => {
  const folder = changed(
    'routing.yaml',
    '    binds: [demo-a]',
    `    tiers: [[demo-a]]
    onNoRoute: second
    noRouteStatuses: [ESME_RINVDSTADR, '0x0412', 1033]
    noRouteErrors: ['001']
  - { name: second, binds: [demo-a], senders: [MyBank], onNoRoute: default }
portability: { url: 'http://127.0.0.1:1/{msisdn}', timeout: PT0.1S }`,
  );
  const { routing } = loadPolicies(folder, ENV, PROTOCOL);
  expect(routing.routes).toMatchObject([
    {
      tiers: [['demo-a']],
      binds: ['demo-a'],
      noRoute: { route: 'second', statuses: new Set([0x0b, 0x412, 0x409]), errors: new Set(['001']) },
    },
    { prefixes: [], senders: ['MyBank'], noRoute: { route: 'default', statuses: null, errors: new Set() } },
  ]);
  expect(routing.portability).toMatchObject({ timeoutMs: 100, cacheMs: 86_400_000, restMs: 30_000 });
});

describe('the digest of each file', () => {
  const digests = (folder: string, env = ENV): Record<string, string> =>
    Object.fromEntries(
      loadPolicies(folder, env, PROTOCOL).files.map(({ name, digest }) => [name, digest.toString('hex')]),
    );

  test('is that of its bytes, and not of the environment', () => {
    const names = ['carriers.yaml', 'lanes.yaml', 'routing.yaml'];
    const expected = names.map((name) => [name, hash('sha256', readFileSync(join(DEFAULTS, name)))]);
    expect(digests(DEFAULTS)).toEqual(Object.fromEntries(expected));
    expect(digests(DEFAULTS, { TOCSIN_DEMO_A_PASSWORD: 'other' })).toEqual(digests(DEFAULTS));
    const other = digests(changed('lanes.yaml', 'weight: 6', 'weight: 7'));
    expect(names.filter((name) => other[name] !== digests(DEFAULTS)[name])).toEqual(['lanes.yaml']);
  });
});

/** One mistake per row: file, what is replaced by what, the path that is named, the reason, the line's text. */
const MISTAKES: [file: string, from: string | RegExp, to: string, path: string, reason: RegExp, line: string][] = [
  // Shapes
  ['lanes.yaml', '    weight: 6', '    wieght: 6', 'lanes.security.wieght', /unknown key/, 'wieght: 6'],
  ['lanes.yaml', '    weight: 6\n', '', 'lanes.security.weight', /is missing/, '  security:'],
  ['lanes.yaml', '  bulk:', '  marketing:', 'lanes.marketing', /unknown key/, '  marketing:'],
  ['lanes.yaml', 'ceiling: 1', 'ceiling: 1\n    weight: 3', 'lanes.emergency.weight', /unknown key/, 'weight: 3'],
  ['carriers.yaml', 'tps: 700', 'tps: 700\n    speed: 3', 'carriers.demo-a.speed', /unknown key/, 'speed: 3'],
  ['carriers.yaml', '  demo-a:', '  Demo.A:', 'carriers.Demo.A', /name/, '  Demo.A:'],
  ['carriers.yaml', '2775 }', '2775, or: 1 }', 'carriers.demo-a.port.or', /unknown key/, 'port: {'],
  ['routing.yaml', 'binds:', 'bind:', 'routes[0].bind', /unknown key/, 'bind:'],
  // Ranges
  ['lanes.yaml', 'priorityFlag: 3', 'priorityFlag: 4', 'lanes.emergency.priorityFlag', /3/, 'priorityFlag: 4'],
  ['lanes.yaml', 'weight: 6', 'weight: 0', 'lanes.security.weight', />0/, 'weight: 0'],
  ['lanes.yaml', 'ceiling: 1', 'ceiling: 1.5', 'lanes.emergency.ceiling', /<=1/, 'ceiling: 1.5'],
  ['lanes.yaml', 'PT5M', '5m', 'lanes.security.defaultValidity', /ISO 8601/, 'defaultValidity: 5m'],
  ['lanes.yaml', 'PT5M', '300', 'lanes.security.defaultValidity', /ISO 8601/, 'defaultValidity: 300'],
  ['lanes.yaml', 'longestValidity: P3D', 'longestValidity: P90D', 'lanes.bulk.longestValidity', /P30D/, 'P90D'],
  ['lanes.yaml', 'inDoubt: hold', 'inDoubt: drop', 'lanes.bulk.inDoubt', /resend/, 'inDoubt: drop'],
  ['lanes.yaml', 'budget: 20', 'budget: 0', 'lanes.emergency.retry.budget', />=1/, 'budget: 0'],
  ['carriers.yaml', '0x1400', '0x1300', 'carriers.demo-a.correlationTlv', /0x1400–0x3FFF/, '0x1300'],
  ['carriers.yaml', '0x1400', '0x4000', 'carriers.demo-a.correlationTlv', /0x1400–0x3FFF/, '0x4000'],
  ['carriers.yaml', 'claimLimit: 700', 'claimLimit: 0', 'carriers.demo-a.claimLimit', />=1/, 'claimLimit: 0'],
  ['carriers.yaml', 'tps: 700', 'tps: 0', 'carriers.demo-a.tps', />0/, 'tps: 0'],
  ['carriers.yaml', 'systemId: demo-a', 'systemId: 12345', 'carriers.demo-a.systemId', /quotes/, 'systemId: 12345'],
  ['carriers.yaml', 'systemId: demo-a', "systemId: 'sixteencharacter'", 'carriers.demo-a.systemId', /15/, 'sixteen'],
  ['carriers.yaml', /password: .*/, 'password: hunter2', 'carriers.demo-a.password', /no file/, 'password:'],
  ['carriers.yaml', '[gsm7, ucs2]', '[]', 'carriers.demo-a.text.alphabets', /no alphabet/, 'alphabets: []'],
  ['carriers.yaml', '[gsm7, ucs2]', '[gsm7, gsm7]', 'carriers.demo-a.text.alphabets', /twice/, '[gsm7, gsm7]'],
  ['carriers.yaml', '[gsm7, ucs2]', '[gsm8]', 'carriers.demo-a.text.alphabets[0]', /gsm7/, '[gsm8]'],
  ['carriers.yaml', 'udh-16\n', 'udh\n', 'carriers.demo-a.text.concatenation', /udh-8/, 'concatenation: udh'],
  ['routing.yaml', "['+']", "['+', +44]", 'routes[0].prefixes[1]', /quoted/, 'prefixes:'],
  ['routing.yaml', "['+']", '[+]', 'routes[0].prefixes[0]', /quotes/, 'prefixes:'],
  ['routing.yaml', "['+']", "['+', '0044']", 'routes[0].prefixes[1]', /'\+'/, 'prefixes:'],
  // What a carrier wants in the fields
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    statuses: { '0x0045': later }`,
    'carriers.demo-a.statuses.0x0045',
    /temporary/,
    'statuses:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    statuses: { ESME_NONE: bind }',
    'carriers.demo-a.statuses.ESME_NONE',
    /no command_status/,
    'statuses:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    statuses: { '0x0500': bind }`,
    'carriers.demo-a.statuses.0x0500',
    /no command_status/,
    'statuses:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    statuses: { ESME_ROK: bind }',
    'carriers.demo-a.statuses.ESME_ROK',
    /no command_status/,
    'statuses:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    statuses: { ESME_RSUBMITFAIL: bind, '0x45': address }`,
    'carriers.demo-a.statuses.0x45',
    /another name/,
    'statuses:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    priorityFlags: { bulk: 4 }',
    'carriers.demo-a.priorityFlags.bulk',
    /highestPriorityFlag, 3/,
    'priorityFlags:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    priorityFlags: { bulk: 5 }',
    'carriers.demo-a.priorityFlags.bulk',
    /<=4/,
    'priorityFlags:',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    highestPriorityFlag: 5',
    'carriers.demo-a.highestPriorityFlag',
    /3, or 4/,
    'highestPriorityFlag',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    utcOffset: '+05:20'`,
    'carriers.demo-a.utcOffset',
    /quarters/,
    'utcOffset',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    utcOffset: '+12:15'`,
    'carriers.demo-a.utcOffset',
    /quarters/,
    'utcOffset',
  ],
  ['carriers.yaml', 'tps: 700', 'tps: 700\n    utcOffset: 5', 'carriers.demo-a.utcOffset', /quotes/, 'utcOffset'],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    longestValidity: PT0S',
    'carriers.demo-a.longestValidity',
    /between/,
    'longestValidity',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    senderRules: [{ form: local, ton: 1, npi: 1 }]',
    'carriers.demo-a.senderRules[0].form',
    /international/,
    'senderRules',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    senderRules: [{ ton: 7, npi: 1 }]',
    'carriers.demo-a.senderRules[0].ton',
    /<=6/,
    'senderRules',
  ],
  [
    'carriers.yaml',
    'receipts: all',
    'receipts: none\n    intermediateReceipts: true',
    'carriers.demo-a.intermediateReceipts',
    /sends none/,
    'intermediate',
  ],
  [
    'carriers.yaml',
    'receipts: all',
    'receipts: none\n    receiptsOn: failure',
    'carriers.demo-a.receiptsOn',
    /sends none/,
    'receiptsOn',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    doubtWait: PT5S',
    'carriers.demo-a.doubtWait',
    /needs user/,
    'doubtWait',
  ],
  ['carriers.yaml', 'tps: 700', 'tps: 700\n    restFirst: PT2M', 'carriers.demo-a.restFirst', /restMax/, 'restFirst'],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x0700, type: int8, value: 1 }]',
    'carriers.demo-a.tlvs[0].tag',
    /0x1400/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: message_payload, type: string, value: a }]',
    'carriers.demo-a.tlvs[0].tag',
    /submit_sm may carry/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1401, type: int8, value: 256 }]',
    'carriers.demo-a.tlvs[0].value',
    /0..255/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: source_port, type: int8, value: 1 }]',
    'carriers.demo-a.tlvs[0].value',
    /2 octets/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1401, type: int9, value: 1 }]',
    'carriers.demo-a.tlvs[0].type',
    /int8/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1401, type: string }]',
    'carriers.demo-a.tlvs[0]',
    /needs a value/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1401, type: string, from: text }]',
    'carriers.demo-a.tlvs[0].from',
    /alert.tlvs/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1400, type: string, value: a }]',
    'carriers.demo-a.tlvs[0].tag',
    /correlationTlv/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    tlvs: [{ tag: 0x1401, type: string, value: a }, { tag: 5121, type: string, value: b }]',
    'carriers.demo-a.tlvs[1].tag',
    /tlvs\[0\]/,
    'tlvs',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    'tps: 700\n    senders: { TwelveCharss: {} }',
    'carriers.demo-a.senders.TwelveCharss',
    /11 characters/,
    'senders',
  ],
  [
    'carriers.yaml',
    'tps: 700',
    `tps: 700\n    senders: { Bank: { tlvs: [{ tag: 0x1401, type: string, value: 'Ж' }] } }`,
    'carriers.demo-a.senders.Bank.tlvs[0].value',
    /00FF/,
    'senders',
  ],
  [
    'carriers.yaml',
    'defaultSender: Tocsin',
    'defaultSender: Tocsin Alerts',
    'carriers.demo-a.defaultSender',
    /11 characters/,
    'defaultSender',
  ],
  // Between fields and files
  [
    'carriers.yaml',
    '[gsm7, ucs2]\n',
    '[ucs2]\n      languages: [turkish]\n',
    'carriers.demo-a.text.languages',
    /alphabet gsm7/,
    'languages: [turkish]',
  ],
  [
    'carriers.yaml',
    '[gsm7, ucs2]\n',
    '[latin1]\n      messageClass: { emergency: 0 }\n',
    'carriers.demo-a.text.messageClass',
    /gsm7 or ucs2/,
    'messageClass',
  ],
  [
    'carriers.yaml',
    'transliterate: none',
    'transliterate: none\n      messageClass: { urgent: 0 }',
    'carriers.demo-a.text.messageClass.urgent',
    /emergency|unknown key/,
    'messageClass',
  ],
  ['lanes.yaml', 'defaultValidity: P1D', 'defaultValidity: P4D', 'lanes.bulk.defaultValidity', /longest/, 'P4D'],
  ['lanes.yaml', 'PT5M', 'PT2S', 'lanes.security.minRemaining', /shorter than defaultValidity/, 'minRemaining'],
  ['lanes.yaml', 'first: PT1S', 'first: PT1M', 'lanes.emergency.retry.first', /max/, 'first: PT1M'],
  ['lanes.yaml', 'priority: 300', 'priority: 1000', 'lanes.security.priority', /emergency/, 'priority: 1000'],
  ['routing.yaml', '[demo-a]', '[demo-b]', 'routes[0].binds[0]', /no carrier 'demo-b'/, 'binds:'],
  ['routing.yaml', 'binds: [demo-a]', 'tiers: [[demo-a], [x]]', 'routes[0].tiers[1][0]', /no carrier 'x'/, 'tiers:'],
  ['routing.yaml', '[demo-a]', '[demo-a]\n    tiers: [[demo-a]]', 'routes[0].binds', /either/, 'binds:'],
  ['routing.yaml', '    binds: [demo-a]', '', 'routes[0].binds', /either/, 'name: default'],
  ['routing.yaml', '[demo-a]', '[demo-a]\n    onNoRoute: x', 'routes[0].onNoRoute', /no route 'x'/, 'onNoRoute'],
  [
    'routing.yaml',
    '[demo-a]',
    '[demo-a]\n    noRouteStatuses: [ESME_NONE]',
    'routes[0].noRouteStatuses[0]',
    /no command_status/,
    'noRouteStatuses',
  ],
  ['routing.yaml', '[demo-a]', "[demo-a]\n    noRouteErrors: ['001']", 'routes[0].noRouteErrors', /onNoRoute/, '001'],
  ['routing.yaml', '[demo-a]', "[demo-a]\nportability: { url: 'ftp://x/{msisdn}' }", 'portability.url', /http/, 'ftp'],
  ['routing.yaml', '[demo-a]', '[demo-a]\nportability: { url: http://x/ }', 'portability.url', /msisdn/, 'http'],
  ['routing.yaml', "['+']", "['+44']", 'routes', /lane emergency has no route/, 'routes:'],
  ['carriers.yaml', 'Days: 4', 'Days: 2', 'carriers.demo-a.receiptHorizonDays', /lane transaction/, 'Days: 2'],
  // YAML itself
  ['routing.yaml', "['+']", "['+'", '', /./, ''],
  ['routing.yaml', 'name: default', 'name: !secret default', '', /tag/, 'name:'],
  ['lanes.yaml', 'weight: 6', 'weight: 6\n    weight: 7', '', /unique/, 'weight: 7'],
  ['routing.yaml', /.*/s, '# nothing\n', '', /empty/, ''],
];

describe('a mistake stops the start', () => {
  test.each(MISTAKES)('%s: %s → %s is refused at %s', (file, from, to, path, reason, line) => {
    const folder = changed(file, from, to);
    const { issues, message } = mistakes(folder, ENV);
    const issue = issues.find((candidate) => candidate.path === path && reason.test(candidate.reason));
    expect(issue, message).toBeDefined();
    expect(issue?.file).toBe(join(folder, file));
    const text = readFileSync(join(folder, file), 'utf8').split('\n')[(issue?.line ?? 0) - 1];
    expect(text).toContain(line);
    expect(message).toContain(`${join(folder, file)}:${issue?.line}: ${path}`);
  });

  test('an environment variable that is missing or wrong is named, its value is not', () => {
    expect(mistakes(DEFAULTS, {}).message).toMatch(
      /carriers\.yaml:\d+: carriers\.demo-a\.password: the environment variable TOCSIN_DEMO_A_PASSWORD is not set/,
    );
    const { message } = mistakes(DEFAULTS, { TOCSIN_DEMO_A_PASSWORD: 'far-too-long', TOCSIN_DEMO_A_PORT: '99999' });
    expect(message).toMatch(/TOCSIN_DEMO_A_PASSWORD does not hold/);
    expect(message).toMatch(/TOCSIN_DEMO_A_PORT does not hold a port/);
    expect(message).not.toMatch(/far-too-long|99999/);
  });

  test('a missing folder, a file that is not UTF-8 and a bomb of aliases are refused', () => {
    expect(mistakes(join(DEFAULTS, 'nowhere'), ENV).message).toMatch(/lanes\.yaml: no such file/);
    const folder = changed('lanes.yaml', /.*/s, '');
    writeFileSync(join(folder, 'lanes.yaml'), Buffer.from([0x6c, 0xff, 0xfe]));
    expect(mistakes(folder, ENV).message).toMatch(/is not UTF-8/);
    const levels = Array.from(
      { length: 12 },
      (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`,
    );
    writeFileSync(join(folder, 'lanes.yaml'), ['a0: &a0 x', ...levels].join('\n'));
    expect(mistakes(folder, ENV).message).toMatch(/too many aliases/);
  });

  test('mistakes in several files are named together', () => {
    const folder = changed('lanes.yaml', 'weight: 6', 'weight: 0');
    writeFileSync(join(folder, 'routing.yaml'), 'routes: []\n');
    expect(mistakes(folder, ENV).issues.map((issue) => issue.path)).toEqual(['lanes.security.weight', 'routes']);
  });
});

/** A copy of the default policies in which `from` is replaced by `to` once. */
function changed(file: string, from: string | RegExp, to: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'policies-'));
  folders.push(folder);
  cpSync(DEFAULTS, folder, { recursive: true });
  const before = readFileSync(join(folder, file), 'utf8');
  const after = before.replace(from, to);
  if (after === before) throw new Error(`${file} does not hold what the test wants to change`);
  writeFileSync(join(folder, file), after);
  return folder;
}

function mistakes(folder: string, env: Record<string, string>): PolicyError {
  try {
    loadPolicies(folder, env, PROTOCOL);
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new Error('the policies were accepted');
}
