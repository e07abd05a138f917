/**
 * Emergencies through a system that is full: bulk waits, as much again is being fanned out, single alerts come in, and the
 * bind is saturated. Then two emergency broadcasts beside each other, and when they are over, the shares of the lanes.
 *
 *   list ─► bulk waits ─► second bulk fans out + POSTs ─► 200 emergencies ─► broadcast of 50,000 ─► one of 1,000 ─► shares
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LaneName } from '../src/policy/index.ts';
import { createRandom } from './chance.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { msisdn } from './numbers.ts';
import type { PosterFigures } from './poster.ts';
import { openRig, type Rig, rssOf } from './rig.ts';
import { deliveriesOf, monotonicUs, type Percentiles, percentilesOf, until } from './waits.ts';

export interface PriorityFigures extends ProcessFigures {
  scenario: 'priority';
  correct: boolean;
  seconds: number;
  /** Of each of the two bulk alerts. */
  messages: number;
  /** PostgreSQL's files went to the disk each second. */
  writeBack: boolean;
  /** From POST to submit_sm. */
  emergencyMs: Percentiles;
  /** Of the 200, how many were posted while the second bulk alert was being fanned out. */
  duringFanout: number;
  /** From the POST of the second broadcast to its last submit_sm; null when it was not out in time. */
  secondBroadcastSeconds: number | null;
  /** PDUs of other lanes between the first of the first broadcast and the last of the second. */
  interleaved: number;
  /** The largest difference of a lane's share of the bind from its weight's, 0–1. */
  shareErrorMax: number;
  /** Single alerts posted beside it. */
  posts: { perSecond: number; acceptMs: Percentiles };
  /** Memory of the server while bulk waits, at the beginning and at the end. */
  rssMbWaiting: { first: number; last: number };
}

const TPS = 500;
const EMERGENCIES = 200;
/** Mean time between two of them; the times are random. */
const EVERY_MS = 75;
/** At most; and half of what intake bears beside the waiting bulk. */
const POSTS_PER_SECOND = 3_000;
const INTAKE_MS = 3_000;
const BROADCAST = 50_000;
const SECOND = 1_000;
/** The first broadcast has the bind for so long before the second comes. */
const AHEAD_MS = 2_000;
const SECOND_WITHIN_MS = 12_000;
const SHARES_MS = 8_000;
/** What was claimed before the broadcasts ended goes out first. */
const CALM_MS = 2_000;
const SECURITY = 8_000;
const WITHIN_MS = 120_000;
/** policies/lanes.yaml. */
const FLAGS: Readonly<Record<LaneName, number>> = { emergency: 3, security: 2, transaction: 1, bulk: 0 };
const WEIGHTS = { security: 6, transaction: 3, bulk: 1 } as const;

export async function priority(options: Record<string, string>): Promise<PriorityFigures> {
  const messages = Number(options.messages ?? 1_000_000);
  const random = createRandom(Number(options.seed ?? 1));
  const writeBack = options['write-back'] !== 'off';
  const rig = await openRig({
    accounts: [{ systemId: 'load' }],
    carriers: { load: { tps: TPS, window: 100 } },
    // 1.3 GB are written.
    recycledWal: 100,
    writeBack,
    // OTPs are refused when they would come too late; here they are to wait like the rest.
    lanes: (lanes) => Object.assign(lanes.security ?? {}, { cannotMeetExpiry: 'accept' }),
  });
  try {
    const key = await rig.key(['emergency', 'security', 'transaction', 'bulk']);
    await rig.list('all', key, messages);
    await rig.list('region', key, Math.min(BROADCAST, messages));
    await rig.list('quarter', key, Math.min(SECOND, messages));
    await rig.list('customers', key, Math.min(SECURITY, messages));
    const started = performance.now();
    const broadcast = async (lane: LaneName, list: string): Promise<string> => {
      const content = { text: `A message of the ${lane} lane to the list ${list}.` };
      const { id } = (await rig.post('/v1/alerts', key, {
        lane,
        content,
        target: { lists: [list] },
        validFor: 'PT1H',
      })) as {
        id: string;
      };
      return id;
    };
    const first = await broadcast('bulk', 'all');
    await until('the first bulk alert fanned out', WITHIN_MS, () => fannedOut(rig, first));
    const rssFirst = await rssOf(rig.servers[0]?.pid ?? 0);

    const full = startPoster(rig, key, messages, 100 * POSTS_PER_SECOND);
    await sleep(INTAKE_MS);
    const borne = await full.stop();
    const rate = Math.min(POSTS_PER_SECOND, borne.accepted / borne.seconds / 2);
    const poster = startPoster(rig, key, messages + borne.posted, rate);
    const second = await broadcast('bulk', 'all');
    const sent: { alert: string; at: number }[] = [];
    let duringFanout = 0;
    let fanningOut = true;
    const watch = until('the second bulk alert fanned out', WITHIN_MS, () => fannedOut(rig, second)).then(() => {
      fanningOut = false;
    });
    const pending: Promise<void>[] = [];
    for (let n = 0; n < EMERGENCIES; n++) {
      await sleep(-Math.log(1 - random()) * EVERY_MS);
      if (fanningOut) duringFanout++;
      pending.push(
        (async () => {
          const at = monotonicUs();
          const { id } = (await rig.post('/v1/alerts', key, {
            lane: 'emergency',
            content: { text: 'Flood warning for the river valley: go to higher ground now.' },
            target: { recipients: [{ msisdn: msisdn(n) }] },
          })) as { id: string };
          sent.push({ alert: id, at });
        })(),
      );
    }
    await Promise.all(pending);
    await watch;
    const posts = await poster.stop();
    const rssLast = await rssOf(rig.servers[0]?.pid ?? 0);

    await broadcast('security', 'customers');
    const firstWide = await broadcast('emergency', 'region');
    await sleep(AHEAD_MS);
    const secondAt = monotonicUs();
    const secondWide = await broadcast('emergency', 'quarter');
    const out = async (): Promise<boolean> => (await submittedOf(rig, secondWide)) >= Math.min(SECOND, messages);
    await until('the second broadcast submitted', SECOND_WITHIN_MS, out).catch(() => {});
    const endedUs = monotonicUs();
    for (const id of [firstWide, secondWide]) await rig.post(`/v1/alerts/${id}/cancel`, key, {}).catch(() => {});
    await sleep(CALM_MS);
    const sharesFrom = monotonicUs();
    await sleep(SHARES_MS);
    const sharesTo = monotonicUs();
    const seconds = (performance.now() - started) / 1_000;
    const figures = await rig.figures();

    const deliveries = await deliveriesOf(
      rig,
      sent.map(({ alert }) => alert),
    );
    const [wide, narrow] = [await deliverySet(rig, firstWide), await deliverySet(rig, secondWide)];
    const submits = new Map<number, number>();
    const perLane = [0, 0, 0, 0];
    const others: number[] = [];
    let repeats = 0;
    let wideFrom = Number.POSITIVE_INFINITY;
    let narrowTo = 0;
    await rig.submits(({ delivery, monotonicUs: at, priorityFlag }) => {
      if (delivery === null || submits.has(delivery)) repeats++;
      else submits.set(delivery, at);
      if (at >= sharesFrom && at < sharesTo) (perLane[priorityFlag] as number)++;
      if (priorityFlag !== FLAGS.emergency) others.push(at);
      else if (delivery !== null && wide.has(delivery)) wideFrom = Math.min(wideFrom, at);
      else if (delivery !== null && narrow.has(delivery)) narrowTo = Math.max(narrowTo, at);
    });
    const narrowOut = [...narrow].every((delivery) => submits.has(delivery));
    const waits = sent.flatMap(({ alert, at }) => {
      const submit = submits.get(deliveries.get(alert) ?? 0);
      return submit === undefined ? [] : [(submit - at) / 1_000];
    });
    const broadcastsTo = narrowOut ? narrowTo : endedUs;
    return {
      scenario: 'priority',
      correct: waits.length === EMERGENCIES && repeats === 0 && narrow.size > 0 && (await rig.verified()),
      seconds: round(seconds),
      messages,
      writeBack,
      emergencyMs: percentilesOf(waits),
      duringFanout,
      secondBroadcastSeconds: narrowOut ? round((narrowTo - secondAt) / 1e6) : null,
      interleaved: others.filter((at) => at > wideFrom && at < broadcastsTo).length,
      shareErrorMax: shareError(perLane),
      posts: { perSecond: Math.round(posts.accepted / posts.seconds), acceptMs: percentilesOf(posts.acceptMs) },
      rssMbWaiting: { first: Math.round(rssFirst), last: Math.round(rssLast) },
      ...figures,
    };
  } finally {
    await rig.close();
  }
}

/** @param sent PDUs by priority_flag */
function shareError(sent: readonly number[]): number {
  const lanes = Object.entries(WEIGHTS) as [keyof typeof WEIGHTS, number][];
  const all = sent.reduce((sum, count) => sum + count, 0);
  const weights = lanes.reduce((sum, [, weight]) => sum + weight, 0);
  const errors = lanes.map(([lane, weight]) => Math.abs((sent[FLAGS[lane]] ?? 0) / all - weight / weights));
  return Math.round(Math.max(...errors) * 1e4) / 1e4;
}

function startPoster({ servers }: Rig, key: string, first: number, rate: number): { stop(): Promise<PosterFigures> } {
  const program = fileURLToPath(new URL('./poster.ts', import.meta.url));
  const child = fork(program, [servers[0]?.url ?? '', key, String(rate), String(first)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return {
    stop: async () => {
      const told = once(child, 'message', { signal: AbortSignal.timeout(10_000) });
      child.kill('SIGTERM');
      const [figures] = (await told) as [PosterFigures];
      return figures;
    },
  };
}

async function fannedOut(rig: Rig, alert: string): Promise<boolean> {
  const rows = await rig.database.pools.reader.query('SELECT FROM fanout_page WHERE alert = $1::uuid AND last', [
    alert,
  ]);
  return rows.length > 0;
}

async function deliverySet(rig: Rig, alert: string): Promise<Set<number>> {
  const rows = await rig.database.pools.reader.query<{ id: number }>('SELECT id FROM delivery WHERE alert = $1::uuid', [
    alert,
  ]);
  return new Set(rows.map(({ id }) => id));
}

async function submittedOf(rig: Rig, alert: string): Promise<number> {
  const [row] = await rig.database.pools.reader.query<{ n: number }>(
    'SELECT coalesce(sum(submitted), 0)::bigint AS n FROM alert_progress WHERE alert = $1::uuid',
    [alert],
  );
  return row?.n ?? 0;
}
