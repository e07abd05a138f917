/**
 * An emergency broadcast to a large list: when its first submit_sm is on the simulator's socket, and how fast fan-out
 * makes deliveries behind it. The bind sends all the while; when all deliveries are made, the rest is cancelled.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProcessFigures, round } from './gauges.ts';
import { openRig, type Rig } from './rig.ts';
import { monotonicUs, until } from './waits.ts';

export interface FanoutFigures extends ProcessFigures {
  scenario: 'fanout';
  correct: boolean;
  seconds: number;
  messages: number;
  /** From the POST to the first submit_sm. */
  firstSubmitMs: number;
  /** Deliveries made a second, from the POST to the last page. */
  rowsPerSecond: number;
}

const TPS = 500;
const WITHIN_MS = 90_000;
/** After a restart a server does its chores; a broadcast comes later. */
const SETTLE_MS = 2_000;

export async function fanout(options: Record<string, string>): Promise<FanoutFigures> {
  const messages = Number(options.messages ?? 1_000_000);
  const rig = await openRig({
    accounts: [{ systemId: 'load' }],
    carriers: { load: { tps: TPS, window: 100 } },
  });
  try {
    const key = await rig.key(['emergency']);
    await rig.list('all', key, messages);
    await sleep(SETTLE_MS);
    const from = performance.now();
    const postedUs = monotonicUs();
    const { id } = (await rig.post('/v1/alerts', key, {
      lane: 'emergency',
      content: { text: 'Flood warning for the river valley: go to higher ground now.' },
      target: { lists: ['all'] },
      validFor: 'PT1H',
    })) as { id: string };
    await until('all deliveries made', WITHIN_MS, async () => (await pagesOf(rig, id)).finished, 200);
    const { deliveries, at, acceptedAt } = await pagesOf(rig, id);
    await rig.post(`/v1/alerts/${id}/cancel`, key, {});
    const seconds = (performance.now() - from) / 1_000;
    const figures = await rig.figures();
    const sent = new Set<number>();
    let first: number | null = null;
    let submits = 0;
    await rig.submits(({ delivery, monotonicUs: arrived }) => {
      first ??= arrived;
      submits++;
      if (delivery !== null) sent.add(delivery);
    });
    return {
      scenario: 'fanout',
      correct: deliveries === messages && submits > 0 && sent.size === submits && (await rig.verified()),
      seconds: round(seconds),
      messages,
      firstSubmitMs: round(((first ?? Number.POSITIVE_INFINITY) - postedUs) / 1_000),
      rowsPerSecond: Math.round(deliveries / ((at - acceptedAt) / 1_000)),
      ...figures,
    };
  } finally {
    await rig.close();
  }
}

interface Pages {
  finished: boolean;
  deliveries: number;
  /** Of the last page, database time. */
  at: number;
  acceptedAt: number;
}

async function pagesOf(rig: Rig, alert: string): Promise<Pages> {
  const [row] = await rig.database.pools.reader.query<Pages>(
    `SELECT coalesce(bool_or(p.last), false) AS finished, coalesce(sum(p.deliveries), 0)::bigint AS deliveries,
            coalesce(max(p.at), 0) AS at, min(a.accepted_at) AS "acceptedAt"
     FROM alert a LEFT JOIN fanout_page p ON p.day = a.day AND p.alert = a.id WHERE a.id = $1::uuid`,
    [alert],
  );
  if (row === undefined) throw new TypeError('an aggregate gave no row');
  return row;
}
