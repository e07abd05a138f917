/**
 * A simulator as a process of its own. Options come as JSON in the first argument or, over IPC, in a `StartMessage`; the
 * port is reported over IPC, or on standard output as a line of JSON where there is none.
 *
 * With IPC it lives exactly as long as its parent wants it: it ends when the channel closes, however the parent went,
 * and lets SIGINT pass: Ctrl-C reaches the whole group, and a parent that drains still needs its carrier.
 */
import os from 'node:os';
import type { ChildMessage, CommandMessage, StartMessage } from './protocol.ts';
import { type Simulator, startSimulator } from './simulator.ts';

const hasParent = process.send !== undefined;
/** An orphan that can't write its log out in this time goes without. */
const endWithinMs = 5_000;

let simulator: Simulator | null = null;
let ending = false;

try {
  // An SMSC of its own machine would not wait for our other work: late reading looks like a burst to the TPS window.
  os.setPriority(-10);
} catch {
  // Needs a privilege; without it the guard of the sender has to cover the lateness.
}

process.on('SIGTERM', () => void end(0));
if (hasParent) {
  process.on('SIGINT', () => {});
  process.on('disconnect', () => void end(0));
  process.on('message', (message: StartMessage | CommandMessage) => {
    if ('start' in message) void start(message);
    else void obey(message);
  });
} else {
  process.on('SIGINT', () => void end(0));
}

const argument = process.argv[2];
if (argument !== undefined) await start({ start: JSON.parse(argument), messages: false });

async function start({ start: input, messages }: StartMessage): Promise<void> {
  try {
    simulator = await startSimulator(input, {
      ...(messages ? { onMessage: (message) => say({ event: 'message', message }) } : {}),
      onFailure: (error) => fail(error),
    });
  } catch (error) {
    fail(error);
    return;
  }
  const { port, accounts, authority } = simulator;
  const listening: ChildMessage = { event: 'listening', port, accounts, authority };
  if (hasParent) say(listening);
  else process.stdout.write(`${JSON.stringify(listening)}\n`);
}

async function obey(message: CommandMessage): Promise<void> {
  try {
    if (simulator === null) throw new Error('the simulator has not started');
    say({ event: 'answer', id: message.id, value: await run(simulator, message) });
  } catch (error) {
    say({ event: 'refused', id: message.id, message: (error as Error).message });
  }
  if (message.command === 'stop') await end(0);
}

async function run(smsc: Simulator, message: CommandMessage) {
  switch (message.command) {
    case 'stats':
      return smsc.stats();
    case 'setFaults':
      smsc.setFaults(...message.arguments);
      return null;
    case 'setCertificate':
      smsc.setCertificate(...message.arguments);
      return null;
    case 'runScript':
      smsc.runScript(...message.arguments);
      return null;
    case 'originate':
      return smsc.originate(...message.arguments);
    case 'alertNotification':
      return smsc.alertNotification(...message.arguments);
    case 'outbind':
      await smsc.outbind(...message.arguments);
      return null;
    case 'release':
      return smsc.release(message.arguments[0] ?? undefined);
    case 'disconnect':
      return smsc.disconnect(message.arguments[0] ?? undefined);
    case 'unbind':
      return smsc.unbind(message.arguments[0] ?? undefined);
    case 'waitFor':
      return await smsc.waitFor(...message.arguments);
    case 'flush':
      await smsc.flush();
      return null;
    case 'stop':
      await smsc.stop();
      return null;
    default:
      return message satisfies never;
  }
}

function say(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

function fail(error: unknown): void {
  const { message } = error as Error;
  if (hasParent) say({ event: 'failed', message });
  else process.stderr.write(`${message}\n`);
  void end(1);
}

async function end(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  process.exitCode = code;
  setTimeout(() => process.exit(code), endWithinMs).unref();
  try {
    await simulator?.stop();
  } catch {
    process.exitCode = 1;
  }
  // The channel would keep the process alive; what was said is on its way before it closes.
  if (process.connected) process.disconnect();
}
