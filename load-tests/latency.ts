/**
 * An idle system, one alert at a time: from the moment a POST is sent until its submit_sm is read from the simulator's
 * socket. Most are of the transaction lane, some are emergencies; each goes to a number that the system has not seen.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createRandom } from './chance.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { msisdn } from './numbers.ts';
import { openRig } from './rig.ts';
import { deliveriesOf, firstSubmits, monotonicUs, type Percentiles, percentilesOf } from './waits.ts';

export interface LatencyFigures extends ProcessFigures {
  scenario: 'latency';
  correct: boolean;
  seconds: number;
  messages: number;
  postToSubmitMs: Percentiles;
  /** Of these: from POST to its 202. */
  acceptMs: Percentiles;
  emergencyMs: Percentiles;
}

/** Not measured: code and statements are prepared by the first alerts of a day. */
const WARM_UP = 30;
/** An emergency each so many alerts. */
const EMERGENCY_EACH = 5;
/** Between an answer and the next POST, at random: nothing may fall in step with a timer of the server. */
const PAUSE_MS = { min: 10, max: 110 };
const FINAL_WITHIN_MS = 10_000;

export async function latency(options: Record<string, string>): Promise<LatencyFigures> {
  const messages = Number(options.messages ?? 400);
  const random = createRandom(Number(options.seed ?? 1));
  const rig = await openRig({
    accounts: [{ systemId: 'load' }],
    carriers: { load: { tps: 500, window: 10 } },
  });
  try {
    const key = await rig.key(['emergency', 'transaction']);
    const posted: { alert: string; lane: string; at: number; acceptedMs: number }[] = [];
    const started = performance.now();
    for (let n = 0; n < WARM_UP + messages; n++) {
      const lane = n % EMERGENCY_EACH === 0 ? 'emergency' : 'transaction';
      const at = monotonicUs();
      const { id } = (await rig.post('/v1/alerts', key, {
        lane,
        content: { text: 'Your card ending 4417 was charged 42.10 EUR.' },
        target: { recipients: [{ msisdn: msisdn(n) }] },
      })) as { id: string };
      if (n >= WARM_UP) posted.push({ alert: id, lane, at, acceptedMs: (monotonicUs() - at) / 1_000 });
      await sleep(PAUSE_MS.min + random() * (PAUSE_MS.max - PAUSE_MS.min));
    }
    await rig.untilFinal(WARM_UP + messages, FINAL_WITHIN_MS);
    const seconds = (performance.now() - started) / 1_000;
    const figures = await rig.figures();
    const deliveries = await deliveriesOf(
      rig,
      posted.map(({ alert }) => alert),
    );
    const submits = await firstSubmits(rig);
    const waits = posted.flatMap(({ alert, lane, at }) => {
      const submit = submits.get(deliveries.get(alert) ?? 0);
      return submit === undefined ? [] : [{ lane, ms: (submit - at) / 1_000 }];
    });
    const wait = (lane?: string): number[] =>
      waits.filter((each) => lane === undefined || each.lane === lane).map(({ ms }) => ms);
    return {
      scenario: 'latency',
      correct: waits.length === messages && submits.size === WARM_UP + messages && (await rig.verified()),
      seconds: round(seconds),
      messages,
      postToSubmitMs: percentilesOf(wait()),
      acceptMs: percentilesOf(posted.map(({ acceptedMs }) => acceptedMs)),
      emergencyMs: percentilesOf(wait('emergency')),
      ...figures,
    };
  } finally {
    await rig.close();
  }
}
