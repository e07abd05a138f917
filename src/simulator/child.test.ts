import { spawn } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { Command, Status } from '../smpp/index.ts';
import { forkSimulator, type SimulatorProcess, SimulatorProcessError } from './child.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';
import type { ArrivedMessage } from './view.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function forked(onMessage?: (message: ArrivedMessage) => void): Promise<SimulatorProcess> {
  const simulator = await forkSimulator(
    { accounts: [{ systemId: 'bank' }] },
    onMessage === undefined ? {} : { onMessage },
  );
  undo.push(() => simulator.kill());
  return simulator;
}

function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}

test('a simulator in its own process does over IPC what it does here', async () => {
  const arrived = Promise.withResolvers<ArrivedMessage>();
  const simulator = await forked(arrived.resolve);
  expect(simulator.accounts).toEqual(['bank']);
  const { esme, status } = await TestingEsme.bind(simulator.port, 'bank');
  expect(status).toBe(Status.ok);

  await simulator.setFaults('bank', { holdReceipts: true, throttleNext: 1 });
  const answers = await esme.answers(esme.submit(submitSm(), submitSm()));
  expect(answers.map((answer) => answer.status)).toEqual([Status.throttled, Status.ok]);
  expect(await simulator.waitFor('bank', 'now.held', { atLeast: 1 }, 2_000)).toBe(1);
  expect(await simulator.release()).toBe(1);
  const [receipt] = await esme.delivers();
  esme.answerDeliver(receipt!.sequence);
  await simulator.waitFor('bank', 'receipts.answered', { atLeast: 1 }, 2_000);
  expect((await arrived.promise).text).toBe('Hello');
  expect((await simulator.stats()).accounts[0]).toMatchObject({ received: 2, accepted: 1, throttled: 1 });
  await expect(simulator.disconnect('nobody')).rejects.toThrow('no account nobody');
  await expect(simulator.waitFor('bank', 'received', { atLeast: 9 }, 10)).rejects.toThrow(
    'received of bank stood at 2',
  );

  await simulator.runScript({ steps: [{ after: '1 submit', fault: { throttle: true }, for: '1 submit' }] });
  const scripted = await esme.answers(esme.submit(submitSm(), submitSm(), submitSm()));
  expect(scripted.map((answer) => answer.status)).toEqual([Status.ok, Status.throttled, Status.ok]);
  expect(await simulator.originate('bank', { from: '447700900777', to: '61000', text: 'STOP' })).toBe(1);
  await esme.pdus(({ command, bytes }) => command === Command.deliverSm && bytes.includes('STOP'));
  expect(await simulator.alertNotification('bank', '447700900777', '61000')).toBe(1);
  await expect(simulator.setCertificate('expired')).rejects.toThrow('no certificate is made here');
  await expect(simulator.runScript('steps: []')).rejects.toThrow(/^steps: /);

  expect(await simulator.disconnect('bank')).toBe(1);
  await esme.closed;
  await simulator.stop();
  expect(await simulator.exited).toEqual({ code: 0, signal: null });
  expect(await refused(simulator.port)).toBe(true);
  await expect(simulator.stats()).rejects.toThrow(SimulatorProcessError);
});

test('a process that can not start says why', async () => {
  const simulator = await forked();
  await expect(forkSimulator({ port: simulator.port, accounts: [{ systemId: 'bank' }] })).rejects.toThrow('EADDRINUSE');
  await expect(forkSimulator({ accounts: [] })).rejects.toThrow(/^accounts: /);
});

test('a killed process rejects what was asked of it', async () => {
  const simulator = await forked();
  const waiting = simulator.waitFor('bank', 'received', { atLeast: 1 }, 10_000);
  const rejected = expect(waiting).rejects.toThrow('has ended (SIGKILL)');
  await simulator.kill();
  await rejected;
});

test('the process ends when its parent is killed, and SIGINT alone does not end it', async () => {
  const door = fileURLToPath(new URL('./index.ts', import.meta.url));
  const script = `
    const { forkSimulator } = await import(${JSON.stringify(door)});
    const simulator = await forkSimulator({ accounts: [{ systemId: 'bank' }] });
    console.log(JSON.stringify({ port: simulator.port, pid: simulator.pid }));
    setInterval(() => {}, 1_000);
  `;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  undo.push(async () => parent.kill('SIGKILL'));
  const line = await new Promise<string>((resolve) => parent.stdout.once('data', (data: Buffer) => resolve(`${data}`)));
  const { port, pid } = JSON.parse(line) as { port: number; pid: number };
  const { esme } = await TestingEsme.bind(port, 'bank');
  process.kill(pid, 'SIGINT');
  expect(await esme.answers(esme.submit(submitSm()))).toMatchObject([{ status: Status.ok }]);
  parent.kill('SIGKILL');
  await esme.closed;
  expect(await refused(port)).toBe(true);
});

test('without a parent it takes its options as an argument, prints its port, and ends on SIGTERM', async () => {
  const program = fileURLToPath(new URL('./process.ts', import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify({ accounts: [{ systemId: 'bank' }] })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  undo.push(async () => child.kill('SIGKILL'));
  const line = await new Promise<string>((resolve) => child.stdout.once('data', (data: Buffer) => resolve(`${data}`)));
  const { port } = JSON.parse(line) as { port: number };
  const { esme, status } = await TestingEsme.bind(port, 'bank');
  expect(status).toBe(Status.ok);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
  await esme.closed;
});
