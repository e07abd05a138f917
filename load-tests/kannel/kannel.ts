/**
 * Kannel beside Tocsin: one after the other in one run, against the same simulated carrier with immediate receipts, loaded
 * by the same client. Kannel keeps nothing and tells of receipts by HTTP; Tocsin's 202 is durable and every message is
 * audited to its final state. Kannel's best is looked for among several ways of sending (ways.ts).
 */
import { sendAll } from '../alerts-over-http.ts';
import { atEnd } from '../ends.ts';
import { goFirst, type ProcessFigures, round } from '../gauges.ts';
import { openRig, type Rig } from '../rig.ts';
import { installKannel } from './boxes.ts';
import { startReceiptSink } from './receipt-sink.ts';
import { runWay, type Way, type WayOptions } from './ways.ts';

export interface KannelFigures extends ProcessFigures {
  scenario: 'kannel';
  correct: boolean;
  seconds: number;
  /** Kannel's. */
  version: string;
  /**
   * Messages a second until the last is final. `way`: how Kannel was fastest, and `connections`: how many Tocsin was fastest
   * with. `stored`: Kannel with its stores on disk, which is what its own crash would not lose; `storedRatio` to that.
   */
  single: {
    kannel: number;
    stored: number;
    tocsin: number;
    ratio: number;
    storedRatio: number;
    messages: number;
    connections: number;
    way: string;
  };
  list: { kannelBest: number; tocsin: number; ratio: number; messages: number; way: string };
  /** What each way gave on fewer messages. */
  ways: Record<string, number>;
}

const TEXT = 'Your card was charged 42.10 EUR.';
const SYSTEM_ID = { tocsin: 'tocsin', kannel: 'kannel' };
/** Accounts of the simulated carrier, in their order. */
const ACCOUNT = { tocsin: 0, kannel: 1 };
const WITHIN_MS = 60_000;
/** HTTP connections that both sides are tried with. */
const CONNECTIONS = [16, 64, 256];
/** The numbers of the list begin here; those before are the single alerts'. */
const LIST_FROM = 10_000_000;

export async function kannel(
  options: Record<string, string>,
): Promise<KannelFigures | { scenario: 'kannel'; correct: false; skipped: string }> {
  const missing = await installKannel();
  if (missing !== null) return { scenario: 'kannel', correct: false, skipped: missing };
  const single = Number(options.single ?? 20_000);
  const messages = Number(options.messages ?? 200_000);
  const connections = options.connections === undefined ? CONNECTIONS : [Number(options.connections)];
  const from = performance.now();
  // Before all that is started from here, so that both sides have it alike.
  const goBack = goFirst();
  const rig = await openRig({
    accounts: [{ systemId: SYSTEM_ID.tocsin }, { systemId: SYSTEM_ID.kannel }],
    carriers: { [SYSTEM_ID.tocsin]: { tps: 200_000, window: 2_000, claimLimit: 8_000 } },
    // Not yet: nothing else runs while Kannel is measured.
    servers: 0,
  });
  try {
    const theirs = await measureKannel(rig, single, connections);
    await rig.addServer();
    const ours = await measureTocsin(rig, single, messages, connections);
    const figures = await rig.figures();
    const ratio = (a: number, b: number): number => round(a / b);
    return {
      scenario: 'kannel',
      correct: theirs.correct && ours.correct && (await agrees(rig, ours.deliveries, theirs.messages)),
      seconds: round((performance.now() - from) / 1_000),
      version: theirs.version,
      single: {
        kannel: theirs.single.perSecond,
        stored: theirs.stored,
        tocsin: ours.single,
        ratio: ratio(ours.single, theirs.single.perSecond),
        storedRatio: ratio(ours.single, theirs.stored),
        messages: single,
        connections: ours.connections,
        way: theirs.single.way,
      },
      list: {
        kannelBest: theirs.best.perSecond,
        tocsin: ours.list,
        ratio: ratio(ours.list, theirs.best.perSecond),
        messages,
        way: theirs.best.way,
      },
      ways: theirs.ways,
      ...figures,
    };
  } finally {
    await rig.close();
    goBack();
  }
}

/** Each way once on a quarter of the messages; the fastest single one and the fastest of all again on all of them. */
async function measureKannel(rig: Rig, messages: number, connections: readonly number[]) {
  const http = (smsboxes: number, over: number, recipients: number): Way => ({
    name: `HTTP, ${over} connections, ${smsboxes} smsbox, ${recipients} recipients each`,
    smsboxes,
    connections: over,
    recipients,
  });
  const singles = connections.flatMap((over) => [http(1, over, 1), http(2, over, 1)]);
  const others = [
    ...[http(1, 16, 10), http(2, 64, 10), http(1, 16, 50)],
    { name: 'mtbatch', smsboxes: 1, connections: 0, recipients: 1 },
  ];
  const sink = await startReceiptSink();
  const forget = atEnd(() => sink.close());
  let correct = true;
  let total = 0;
  let version = '';
  const measure = async (way: Way, count: number): Promise<number> => {
    const setting: WayOptions = {
      folder: rig.folder,
      smscPort: rig.sim.port,
      systemId: SYSTEM_ID.kannel,
      password: 'demo',
      sink,
      text: TEXT,
      messages: count,
      withinMs: WITHIN_MS,
    };
    const run = await runWay(way, setting);
    if (!run.correct) console.error(`Kannel, ${way.name}: not every message was taken and told of once`);
    correct &&= run.correct;
    total += run.messages;
    version = run.version;
    return Math.round(run.messages / run.seconds);
  };
  try {
    const ways: Record<string, number> = {};
    for (const way of [...singles, ...others]) ways[way.name] = await measure(way, Math.ceil(messages / 4));
    const fastest = (of: readonly Way[]): Way =>
      of.reduce((best, way) => ((ways[way.name] as number) > (ways[best.name] as number) ? way : best));
    const again = async (way: Way) => ({
      way: way.name,
      // The better of both: Kannel is not to lose by chance.
      perSecond: Math.max(ways[way.name] as number, await measure(way, messages)),
    });
    const same = fastest(singles);
    const single = await again(same);
    const stored = await measure({ ...same, name: `${same.name}, stored`, stored: true }, messages);
    const all = fastest([...singles, ...others]);
    const best = all.name === single.way ? single : await again(all);
    return {
      single,
      stored,
      best: best.perSecond >= single.perSecond ? best : single,
      ways,
      version,
      correct,
      messages: total,
    };
  } finally {
    forget();
    await sink.close();
  }
}

/** Single alerts with each number of connections on a quarter of them, with the best again on all; then the list. */
async function measureTocsin(rig: Rig, single: number, messages: number, connections: readonly number[]) {
  const key = await rig.key(['transaction', 'bulk']);
  const url = new URL(rig.servers[0]?.url ?? '');
  let final = 0;
  let correct = true;
  const sendSingles = async (count: number, over: number): Promise<number> => {
    const first = final;
    const begin = performance.now();
    const { accepted, seconds } = await sendAll({
      url,
      key,
      lane: 'transaction',
      text: TEXT,
      first,
      count,
      connections: over,
    });
    correct &&= accepted === count;
    final += count;
    // Connections are opened before the clock runs.
    const from = Math.max(begin, performance.now() - seconds * 1_000);
    await rig.untilFinal(final, WITHIN_MS);
    return Math.round((count * 1_000) / (performance.now() - from));
  };
  // Code that is warm, as Kannel's is from its start.
  await sendSingles(Math.min(2_000, single), connections[0] as number);
  let best = { over: connections[0] as number, perSecond: 0 };
  for (const over of connections) {
    const perSecond = await sendSingles(Math.ceil(single / 4), over);
    if (perSecond > best.perSecond) best = { over, perSecond };
  }
  // The better of both, as with Kannel.
  const perSecond = Math.max(best.perSecond, await sendSingles(single, best.over));
  await rig.list('all', key, messages, LIST_FROM);
  const from = performance.now();
  await rig.post('/v1/alerts', key, {
    lane: 'bulk',
    content: { text: TEXT },
    target: { lists: ['all'] },
    validFor: 'PT1H',
  });
  await rig.untilFinal(final + messages, WITHIN_MS);
  const listSeconds = (performance.now() - from) / 1_000;
  return {
    single: perSecond,
    connections: best.over,
    list: Math.round(messages / listSeconds),
    correct,
    deliveries: final + messages,
  };
}

/** Every delivery once at the carrier, every message of Kannel's too, and the chain verifies. */
async function agrees(rig: Rig, deliveries: number, theirs: number): Promise<boolean> {
  const seen = new Set<number>();
  let repeats = 0;
  let ofKannel = 0;
  await rig.submits(({ account, delivery }) => {
    if (account === ACCOUNT.kannel) ofKannel++;
    if (account !== ACCOUNT.tocsin || delivery === null) return;
    if (seen.has(delivery)) repeats++;
    seen.add(delivery);
  });
  return seen.size === deliveries && repeats === 0 && ofKannel === theirs && (await rig.verified());
}
