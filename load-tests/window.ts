/**
 * How much of one bind's window is in use: the SMSC (`src/simulator`, in a process of its own) takes 20 ms for each answer,
 * so `window` ÷ mean answer time is all that a client can do. The mean is the simulator's own, from the read that brought
 * a submit_sm until its answer was written: what goes by on the way and in the client counts against the client.
 */
import { type AccountStats, forkSimulator } from '../src/simulator/index.ts';
import { goFirst, type ProcessFigures, round, watchProcess } from './gauges.ts';
import { MESSAGES_MAX } from './wire-message.ts';
import { WireSender } from './wire-sender.ts';

const WINDOW = 100;
const ANSWER_MS = 20;
/** From the arrival of the message: receipts come when nobody waits for an answer, as they do in life. */
const RECEIPT_MS = 30;
const WAIT_MS = 10_000;
/** On an account of its own, so that what is measured is the code as it runs for the rest of the day. */
const WARM_UP = 'warm-up';
const WARM_UP_MESSAGES = 5_000;
const MEASURED = 'measured';

export interface WindowFigures extends ProcessFigures {
  scenario: 'window';
  correct: boolean;
  messages: number;
  seconds: number;
  window: number;
  meanAnswerMs: number;
  messagesPerSecond: number;
  /** Share of `window` ÷ `meanAnswerMs` that was reached. */
  utilisation: number;
}

export async function windowUse(options: Record<string, string>): Promise<WindowFigures> {
  const messages = Number(options.messages ?? 25_000);
  if (!(messages >= WINDOW && messages <= MESSAGES_MAX))
    throw new RangeError(`--messages goes from ${WINDOW} to ${MESSAGES_MAX}`);
  const goBack = goFirst();
  const behaviour = { faults: { slowMs: ANSWER_MS }, receipts: { delayMs: RECEIPT_MS } };
  const smsc = await forkSimulator({ accounts: [WARM_UP, MEASURED].map((systemId) => ({ systemId, ...behaviour })) });
  const senderOf = (systemId: string, count: number) =>
    new WireSender({ messages: count, systemId, port: smsc.port, window: WINDOW });
  try {
    const warmUp = senderOf(WARM_UP, WARM_UP_MESSAGES);
    await warmUp.run();
    await warmUp.unbind();
    const watch = watchProcess();
    const sender = senderOf(MEASURED, messages);
    const { toAnswers, toReceipts } = await sender.run();
    const figures = watch.stop();
    await smsc.waitFor(MEASURED, 'receipts.answered', { atLeast: messages }, WAIT_MS);
    const account = (await smsc.stats()).accounts[1] as AccountStats;
    await sender.unbind();
    const { received, accepted, heldAnswers, heldAnswersUs, fired, receipts } = account;
    const counts = [received, accepted, heldAnswers, fired.slow, receipts.created, receipts.sent, receipts.answered];
    const meanAnswerMs = heldAnswersUs / heldAnswers / 1_000;
    const perSecond = messages / toAnswers;
    return {
      scenario: 'window',
      correct: sender.correct && counts.every((count) => count === messages),
      messages,
      seconds: round(toReceipts),
      window: WINDOW,
      meanAnswerMs: round(meanAnswerMs),
      messagesPerSecond: Math.round(perSecond),
      utilisation: Math.round((perSecond / ((WINDOW / meanAnswerMs) * 1_000)) * 1e4) / 1e4,
      ...figures,
    };
  } finally {
    await smsc.stop();
    goBack();
  }
}
