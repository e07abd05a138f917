/**
 * How much of its contract a bind uses, and whether it ever breaks it: accounts from 0.5 to 5,000 TPS at an SMSC that counts
 * any second strictly, once with texts of one segment and once of three. Each bind stands idle, then gets a list at once
 * that keeps it busy to the end: from its first submit_sm to its last, a backlog is there. Besides, `hidden`: an SMSC that
 * secretly allows a fifth less than the contract says.
 *
 * Slow ones run together, and are over when the fast ones have the machine one after the other: what is measured is the
 * throttle, and not how long a submit_sm or its answer waits for a processor that another bind keeps busy.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FINAL } from '../src/records/index.ts';
import { goFirst, type ProcessFigures, round } from './gauges.ts';
import { openRig, type Rig } from './rig.ts';

interface Load {
  name: string;
  tps: number;
  segments: 1 | 3;
  /** What the SMSC allows. */
  allows: number;
  /** Since the first load. */
  startS: number;
  /** Seconds of sending that the list is enough for. */
  lastsS: number;
}

export interface TpsFigures extends ProcessFigures {
  scenario: 'tps';
  correct: boolean;
  seconds: number;
  rates: { tps: number; segments: number; utilisation: number; throttled: number }[];
  /** The lowest of them. */
  utilisation: number;
  /** All of them. */
  throttled: number;
  /** submit_sm per second that the SMSC allows, those it took in the second half, and how many it threw back in all. */
  hidden: { limit: number; settled: number; throttled: number };
  lost: number;
  duplicates: number;
}

const TEXTS = { 1: 'Your statement is ready in the app.', 3: 'Your statement is ready in the app. '.repeat(10) };
const HIDDEN = 'hidden';
/** [TPS, when the text of one segment starts, when that of three, how long each lasts], in seconds. */
const PLAN: readonly (readonly [number, number, number, number])[] = [
  [0.5, 0, 0, 36],
  [1, 0, 0, 36],
  [10, 0, 0, 30],
  [100, 2, 12, 10],
  [1_000, 39, 39, 7],
  [5_000, 48, 57, 7],
];
const WITHIN_MS = 80_000;
/** Numbers of one load: those of its prefix. */
const NUMBERS = 1_000_000;

/** @param options `rates`: only these, such as `0.5,10`; `hidden` runs always. */
export async function tps(options: Record<string, string>): Promise<TpsFigures> {
  const loads = plan(options.rates?.split(',').map(Number));
  const goBack = goFirst();
  const rig = await openRig({
    accounts: loads.map(({ name, allows }) => ({ systemId: name, tps: allows })),
    carriers: Object.fromEntries(
      loads.map(({ name, tps: contract }) => [
        name,
        { tps: contract, window: Math.min(2_000, Math.max(10, Math.ceil(contract))), claimLimit: 8_000 },
      ]),
    ),
    // The last takes all other numbers too: there are none.
    routes: loads.map(({ name }, index) => ({
      name,
      prefixes: index === loads.length - 1 ? [prefixOf(index), '+'] : [prefixOf(index)],
      binds: [name],
    })),
  });
  try {
    const key = await rig.key(['bulk']);
    let messages = 0;
    for (const [index, load] of loads.entries()) {
      const count = messagesOf(load);
      await rig.list(load.name, key, count, index * NUMBERS);
      messages += count;
    }
    const from = performance.now();
    for (const load of loads.toSorted((a, b) => a.startS - b.startS)) {
      await sleep(Math.max(0, from + load.startS * 1_000 - performance.now()));
      await rig.post('/v1/alerts', key, {
        lane: 'bulk',
        content: { text: TEXTS[load.segments] },
        target: { lists: [load.name] },
        validFor: 'PT1H',
      });
    }
    await rig.untilFinal(messages, WITHIN_MS);
    const seconds = (performance.now() - from) / 1_000;
    return { ...(await judge(rig, loads, messages)), seconds: round(seconds), ...(await rig.figures()) };
  } finally {
    await rig.close();
    goBack();
  }
}

function plan(rates: readonly number[] = PLAN.map(([rate]) => rate)): Load[] {
  const chosen = PLAN.filter(([rate]) => rates.includes(rate));
  const first = Math.min(...chosen.map(([, single]) => single));
  const both = (tps: number, startS: readonly [number, number], lastsS: number): Load[] =>
    ([1, 3] as const).map((segments, index) => ({
      name: `r${String(tps).replace('.', '-')}x${segments}`,
      ...{ tps, segments, allows: tps, lastsS, startS: (startS[index as 0 | 1] ?? 0) - first },
    }));
  return [
    ...chosen.flatMap(([rate, single, long, lastsS]) => both(rate, [single, long], lastsS)),
    { name: HIDDEN, tps: 100, segments: 1, allows: 80, startS: 0, lastsS: 28 },
  ];
}

function messagesOf({ tps: contract, segments, lastsS }: Load): number {
  return Math.ceil((contract * lastsS) / segments);
}

function prefixOf(index: number): string {
  return `+4477${String(index).padStart(2, '0')}`;
}

type Judged = Omit<TpsFigures, 'seconds' | keyof ProcessFigures>;

/** Holds what the SMSC wrote down against the records, and counts. */
async function judge(rig: Rig, loads: readonly Load[], messages: number): Promise<Judged> {
  const taken = loads.map((): number[] => []);
  const thrownBack = loads.map(() => 0);
  const segments = new Map<number, Set<number>>();
  let duplicates = 0;
  await rig.submits(({ account, monotonicUs, status, delivery, segment }) => {
    if (status !== 0) {
      thrownBack[account] = (thrownBack[account] ?? 0) + 1;
      return;
    }
    taken[account]?.push(monotonicUs / 1e6);
    if (delivery === null) return;
    const seen = segments.get(delivery) ?? new Set();
    if (seen.has(segment)) duplicates++;
    segments.set(delivery, seen.add(segment));
  });
  const violations = (await rig.sim.stats()).accounts.map((account) => account.violations);
  const submitted = taken.reduce((sum, times) => sum + times.length, 0);
  const wanted = loads.reduce((sum, load) => sum + messagesOf(load) * load.segments, 0);
  const [records] = await rig.database.pools.reader.query<{ delivered: number; submissions: number }>(
    `SELECT (SELECT count(*) FROM final_state WHERE state = ${FINAL.delivered}) AS delivered,
            (SELECT count(*) FROM submission WHERE outcome = 1) AS submissions`,
  );
  const rates = loads.flatMap(({ name, tps: contract, segments: parts }, index) =>
    name === HIDDEN
      ? []
      : [
          {
            tps: contract,
            segments: parts,
            utilisation: ratio(perSecond(taken[index] ?? []) / contract),
            throttled: violations[index] ?? 0,
          },
        ],
  );
  const secret = loads.findIndex(({ name }) => name === HIDDEN);
  const times = taken[secret] ?? [];
  const hidden = {
    limit: loads[secret]?.allows ?? 0,
    settled: round(perSecond(times.slice(Math.floor(times.length / 2)))),
    throttled: thrownBack[secret] ?? 0,
  };
  const lost = messages - segments.size + (wanted - submitted - duplicates);
  const utilisation = Math.min(...rates.map((rate) => rate.utilisation));
  const throttled = rates.reduce((sum, rate) => sum + rate.throttled, 0);
  const settles = Math.abs(hidden.settled / hidden.limit - 1) <= 0.05;
  const whole = records?.delivered === messages && records.submissions === submitted;
  return {
    scenario: 'tps',
    correct: lost === 0 && duplicates === 0 && whole && settles && throttled === 0 && utilisation >= 0.97,
    rates,
    utilisation,
    throttled,
    hidden,
    lost,
    duplicates,
  };
}

/** From one to the last: the time of the first is where the counting begins. */
function perSecond(times: readonly number[]): number {
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  return times.length < 2 ? 0 : (times.length - 1) / (last - first);
}

function ratio(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
