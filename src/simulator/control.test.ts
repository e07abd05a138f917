import { request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { type ControlServer, startControl } from './control.ts';
import { type Simulator, startSimulator } from './simulator.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function controlled(): Promise<{ simulator: Simulator; control: ControlServer }> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank' }, { systemId: 'other' }] });
  undo.push(() => simulator.stop());
  const control = await startControl(simulator, 0);
  undo.push(() => control.close());
  return { simulator, control };
}

interface Answered {
  status: number;
  type: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of whatever shape
  json: any;
}

async function call(
  control: ControlServer,
  method: string,
  path: string,
  body?: unknown,
  type = 'application/json',
): Promise<Answered> {
  const response = await fetch(control.url + path, {
    method,
    ...(body === undefined
      ? {}
      : { body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': type } }),
  });
  const json = await response.json();
  return { status: response.status, type: response.headers.get('content-type'), json };
}

describe('over HTTP', () => {
  test('faults are switched, of one account or of all, and counted', async () => {
    const { simulator, control } = await controlled();
    const { esme } = await TestingEsme.bind(simulator.port, 'bank');
    const one = await call(control, 'PUT', '/faults', { account: 'bank', faults: { throttleNext: 1 } });
    expect(one).toMatchObject({ status: 200, json: { bank: { throttleNext: 1 }, other: { throttleNext: 0 } } });
    expect(await esme.answers(esme.submit(submitSm(), submitSm()))).toMatchObject([{ status: 0x58 }, { status: 0 }]);
    const stats = await call(control, 'GET', '/stats');
    expect(stats.json.accounts[0]).toMatchObject({ systemId: 'bank', received: 2, fired: { throttleNext: 1 } });
    await call(control, 'PUT', '/faults', { faults: { slowMs: 5 } });
    expect((await call(control, 'GET', '/faults')).json).toMatchObject({ bank: { slowMs: 5 }, other: { slowMs: 5 } });
    esme.close();
  });

  test('a fault for a time, or for a count of messages, ends by itself', async () => {
    const { simulator, control } = await controlled();
    const { esme } = await TestingEsme.bind(simulator.port, 'bank');
    const body = { account: 'bank', faults: { throttle: true }, for: '2 submits' };
    expect((await call(control, 'PUT', '/faults', body)).json.bank.throttle).toBe(true);
    const answers = await esme.answers(esme.submit(submitSm(), submitSm(), submitSm()));
    expect(answers.map(({ status }) => status)).toEqual([0x58, 0x58, 0]);
    expect(simulator.faultsOf('bank').throttle).toBe(false);
    esme.close();
  });

  test('a script comes as YAML or JSON', async () => {
    const { control } = await controlled();
    const yaml = 'steps:\n  - at: PT0S\n    fault: { slowMs: 7 }\n';
    const first = await call(control, 'POST', '/script', yaml, 'application/yaml');
    expect(first.json).toEqual({ steps: 1, begun: 1, over: 1 });
    const json = { steps: [{ at: 'PT1H', do: 'disconnect' }] };
    expect((await call(control, 'POST', '/script', json)).json).toEqual({ steps: 1, begun: 0, over: 0 });
  });

  test('messages from handsets, receipts released, sessions ended', async () => {
    const { simulator, control } = await controlled();
    const { esme } = await TestingEsme.bind(simulator.port, 'bank');
    const message = { account: 'bank', from: '447700900777', to: '61000', text: 'STOP' };
    expect((await call(control, 'POST', '/messages', message)).json).toEqual({ pdus: 1 });
    expect((await esme.messages())[0]!.shortMessage.toString()).toBe('STOP');
    simulator.setFaults('bank', { holdReceipts: true });
    await esme.answers(esme.submit(submitSm()));
    expect((await call(control, 'POST', '/release', { account: 'bank' })).json).toEqual({ count: 1 });
    expect((await call(control, 'POST', '/unbind', {})).json).toEqual({ count: 1 });
    await esme.pdus(({ command }) => command === 0x06);
    expect((await call(control, 'POST', '/disconnect', {})).json).toEqual({ count: 1 });
    await esme.closed;
  });
});

describe('what is wrong is a problem that names the field', () => {
  test.each([
    ['PUT', '/faults', { faults: { slowMs: -1 } }, 422, ['faults.slowMs']],
    ['PUT', '/faults', { faults: { slow: 1 } }, 422, ['faults']],
    ['PUT', '/faults', {}, 422, ['faults']],
    ['PUT', '/faults', { account: 'nobody', faults: {} }, 422, ['account']],
    ['PUT', '/faults', { certificate: 'expired', faults: { slowMs: 9 } }, 422, ['certificate']],
    ['PUT', '/faults', { faults: { slowMs: 1 }, for: 'soon' }, 422, ['steps.0.for']],
    ['POST', '/script', { steps: [{ at: 'PT1S' }] }, 422, ['steps.0']],
    ['POST', '/script', '{', 400, ['body']],
    ['POST', '/messages', { account: 'bank', from: '1', to: '2' }, 422, ['text']],
    ['POST', '/messages', { account: 'nobody', from: '1', to: '2', text: 'x' }, 422, ['account']],
    ['POST', '/release', { account: 1 }, 422, ['account']],
    ['GET', '/script', undefined, 405, []],
    ['GET', '/nothing', undefined, 404, []],
  ] as const)('%s %s %j', async (method, path, body, status, fields) => {
    const { simulator, control } = await controlled();
    const before = simulator.faultsOf('bank');
    const answered = await call(control, method, path, body);
    expect(answered).toMatchObject({ status, type: 'application/problem+json', json: { status } });
    expect(answered.json.errors.map(({ field }: { field: string }) => field)).toEqual(fields);
    expect(simulator.faultsOf('bank')).toEqual(before);
  });

  test('another media type, as a page in a browser could send it', async () => {
    const { control } = await controlled();
    expect(await call(control, 'POST', '/disconnect', '{}', 'text/plain')).toMatchObject({ status: 415 });
    expect(await call(control, 'POST', '/script', 'steps: []', 'text/plain')).toMatchObject({ status: 415 });
  });

  test('a body over the limit', async () => {
    const { control } = await controlled();
    expect(await call(control, 'POST', '/script', 'x'.repeat(1_100_000))).toMatchObject({ status: 413 });
  });

  test('another host, to which a foreign name was made to point here', async () => {
    const { control } = await controlled();
    const { port } = new URL(control.url);
    const status = await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/stats', headers: { host: 'evil.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(421);
  });

  test('a port in use is told as such', async () => {
    const { simulator, control } = await controlled();
    const port = Number(new URL(control.url).port);
    await expect(startControl(simulator, port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
