import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { StartError } from './platform/index.ts';
import { type SimulateOptions, type Simulation, simulate } from './simulate.ts';
import { submitSm, TestingEsme } from './simulator/testing-esme.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tocsin-simulate-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const running: Simulation[] = [];
afterEach(async () => {
  for (const simulation of running.splice(0)) await simulation.stop();
});

async function run(options: Partial<SimulateOptions> = {}): Promise<Simulation> {
  const simulation = await simulate({ host: '127.0.0.1', port: '0', account: ['bank:700'], ...options }, {});
  running.push(simulation);
  return simulation;
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('tocsin simulate', () => {
  test('runs a script and takes commands over HTTP', async () => {
    const script = await file('script.yaml', 'steps:\n  - at: PT0S\n    fault: { throttleNext: 1 }\n');
    const simulation = await run({ script, controlPort: '0' });
    expect(simulation.lines).toHaveLength(3);
    const { esme } = await TestingEsme.bind(simulation.port, 'bank');
    expect(await esme.answers(esme.submit(submitSm(), submitSm()))).toMatchObject([{ status: 0x58 }, { status: 0 }]);
    const stats = await (await fetch(`${simulation.controlUrl}/stats`)).json();
    expect(stats).toMatchObject({ accounts: [{ fired: { throttleNext: 1 } }], script: { steps: 1, over: 1 } });
    esme.close();
  });

  test('takes all options from a file', async () => {
    const config = await file('config.yaml', 'accounts:\n  - systemId: other\n    faults: { refuseBind: 13 }\n');
    const simulation = await run({ config });
    const { status } = await TestingEsme.bind(simulation.port, 'other');
    expect(status).toBe(13);
  });

  test('speaks TLS and writes down whom to trust', async () => {
    const tlsAuthority = join(folder, 'authority.pem');
    const simulation = await run({ tls: 'expired', tlsAuthority });
    expect(simulation.lines[0]).toMatch(/\(TLS\)$/);
    expect(await readFile(tlsAuthority, 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----\n/);
  });

  const wrong: [string, () => Promise<Partial<SimulateOptions>>, RegExp][] = [
    ['a port that is none', async () => ({ port: 'x' }), /^--port is a number/],
    ['a control port that is none', async () => ({ controlPort: '70000' }), /^--control-port is a number/],
    ['a TPS that is none', async () => ({ account: ['bank:fast'] }), /^accounts\.0\.tps: /],
    ['a file that is not there', async () => ({ script: '/nowhere' }), /^can not read \/nowhere: ENOENT$/],
    ['a step that is wrong', async () => ({ script: await file('a.yaml', 'steps: [{ at: 2 }]') }), /a\.yaml: steps\.0/],
    ['a config that is wrong', async () => ({ config: await file('b.yaml', 'accounts: []') }), /^accounts: /],
    [
      'a config that is no YAML',
      async () => ({ config: await file('c.yaml', '[') }),
      /c\.yaml is neither YAML nor JSON$/,
    ],
    ['a certificate that is none', async () => ({ tls: 'old' }), /^--tls: a certificate is one of good, expired/],
    ['a key without its certificate', async () => ({ tlsKey: '/nowhere' }), /^--tls-key and --tls-cert go together$/],
  ];
  test.each(wrong)('%s is told in a line', async (_, options, message) => {
    const failure = run(await options());
    await expect(failure).rejects.toThrow(StartError);
    await expect(failure).rejects.toThrow(message);
  });
});
