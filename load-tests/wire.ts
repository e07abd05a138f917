/**
 * What the client layer alone bears: one bind without a TPS, submit_sm → response → receipt → response, with its window,
 * its timers, a context kept per message, every receipt parsed and matched to its message. No database, no dispatch.
 * Beside it, in the same run: the same flow with nothing but framing, and with the npm package `smpp` on both ends.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { rawWireBaseline, smppPackageBaseline } from './baselines.ts';
import { goFirst, type ProcessFigures, round, watchProcess } from './gauges.ts';
import { MESSAGES_MAX } from './wire-message.ts';
import { WireSender } from './wire-sender.ts';
import type { SmscCounts, SmscSays } from './wire-smsc.ts';

const program = fileURLToPath(new URL('./wire-smsc.ts', import.meta.url));
/** As in both baselines. */
const WINDOW = 500;

export interface WireFigures extends ProcessFigures {
  scenario: 'wire';
  correct: boolean;
  messages: number;
  seconds: number;
  messagesPerSecond: number;
}

export interface WireComparison extends WireFigures {
  baseline: { wirePerSecond: number; smppPackagePerSecond: number };
}

export async function wire(options: Record<string, string>): Promise<WireComparison> {
  const messages = Number(options.messages ?? 600_000);
  if (!(messages >= 1 && messages <= MESSAGES_MAX)) throw new RangeError(`--messages goes from 1 to ${MESSAGES_MAX}`);
  const goBack = goFirst();
  try {
    const baseline = {
      wirePerSecond: await rawWireBaseline(500_000),
      smppPackagePerSecond: await smppPackageBaseline(50_000),
    };
    return { ...(await measureWire(messages)), baseline };
  } finally {
    goBack();
  }
}

/** The flow itself, without what it is compared with. */
export async function measureWire(messages: number): Promise<WireFigures> {
  const smsc = await startSmsc(messages);
  try {
    const watch = watchProcess();
    const sender = new WireSender({ messages, systemId: 'load', port: smsc.port, window: WINDOW });
    const { toReceipts } = await sender.run();
    const figures = watch.stop();
    await sender.unbind();
    return {
      scenario: 'wire',
      correct: sender.correct && agrees(await smsc.counts, messages),
      messages,
      seconds: round(toReceipts),
      messagesPerSecond: Math.round(messages / toReceipts),
      ...figures,
    };
  } finally {
    smsc.stop();
  }
}

function agrees(counts: SmscCounts, messages: number): boolean {
  const { received, distinct, receiptsAccepted, receiptsElse, malformed } = counts;
  return (
    [received, distinct, receiptsAccepted].every((count) => count === messages) && receiptsElse === 0 && malformed === 0
  );
}

async function startSmsc(messages: number): Promise<{ port: number; counts: Promise<SmscCounts>; stop(): void }> {
  const child = fork(program, [String(messages)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exit = once(child, 'exit').then(() => {
    throw new Error('the SMSC has ended');
  });
  exit.catch(() => {});
  const said = async (): Promise<SmscSays> => (await Promise.race([once(child, 'message'), exit]))[0];
  const first = await said();
  if (!('port' in first)) throw new Error('the SMSC did not say its port');
  const counts = said().then((last) => {
    if (!('counts' in last)) throw new Error('the SMSC did not say its counts');
    return last.counts;
  });
  counts.catch(() => {});
  return { port: first.port, counts, stop: () => (child.connected ? child.disconnect() : undefined) };
}
