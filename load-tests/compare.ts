/** What came of a cluster under faults: every alert that was accepted, every delivery and every submit_sm, compared. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FINAL } from '../src/records/index.ts';
import type { Cluster } from './cluster.ts';

export interface Comparison {
  alerts: number;
  deliveries: number;
  /** Alerts that were accepted and are not there, or whose deliveries are not as many as their recipients; deliveries that never ended, or ended unsent though no doubt and no expiry says why. */
  lost: number;
  /** Deliveries of which the carrier accepted a segment twice, and those among them that no record marks. */
  duplicates: number;
  unrecordedDuplicates: number;
  /** submit_sm that arrived after their alert had expired. */
  expiredSubmitted: number;
  /** Deliveries in doubt that their lane holds, or that were in doubt twice. */
  unknown: number;
  expired: number;
  /** From the making of an emergency delivery to its submit_sm at the carrier, less what PostgreSQL was away meanwhile. */
  emergencyMsMax: number;
  /** The longest that PostgreSQL was away: from its kill to its first answer. */
  databaseAwayMsMax: number;
  /** By fault and account: from the fault to the first submit_sm on a session that was not there before. */
  unsentOnWireMsMax: number;
  verified: boolean;
  faults: string[];
}

/** Slower ones are told one by one. */
const EMERGENCY_SLOW_MS = 6_000;
const STILL_MS = 30_000;
const FINAL_WITHIN_MS = 300_000;
/** Clocks of the simulator and of PostgreSQL, both of this machine, differ by less. */
const CLOCK_MS = 20;

interface Ended {
  id: number;
  alert: string;
  lane: string;
  expires_at: number;
  created_at: number;
  state: number | null;
  marked: boolean;
}

export async function compare(cluster: Cluster): Promise<Comparison> {
  const { rig } = cluster;
  const { reader } = rig.database.pools;
  const faults: string[] = [];
  const open = async (): Promise<number> => {
    const [row] = await reader.query<{ n: number }>(
      `SELECT (SELECT count(*) FROM delivery) - (SELECT count(*) FROM final_state)
            + (SELECT count(*) FROM alert a WHERE cardinality(a.lists) > 0 AND NOT EXISTS (
                SELECT 1 FROM fanout_page p WHERE p.day = a.day AND p.alert = a.id AND p.last)) AS n`,
      [],
      { retries: 3 },
    );
    return row?.n ?? 0;
  };
  // As long as anything moves, what is left is late and not lost.
  const from = performance.now();
  let left = await open();
  for (
    let since = from;
    left > 0 && performance.now() - since < STILL_MS && performance.now() - from < FINAL_WITHIN_MS;
  ) {
    await sleep(250);
    const now = await open();
    if (now !== left) since = performance.now();
    left = now;
  }

  const deliveries = new Map<number, Ended>();
  const ofAlert = new Map<string, number>();
  for (let after = 0; ; ) {
    const rows = await reader.query<Ended>(
      `SELECT d.id, d.alert, l.name AS lane, d.expires_at, d.created_at, f.state,
              EXISTS (SELECT 1 FROM submission s WHERE s.day = d.day AND s.delivery = d.id AND s.possible_duplicate) AS marked
       FROM delivery d JOIN lane l ON l.id = d.lane
       LEFT JOIN final_state f ON f.day = d.day AND f.delivery = d.id
       WHERE d.id > $1 ORDER BY d.id LIMIT 5000`,
      [after],
      { retries: 3 },
    );
    for (const row of rows) {
      deliveries.set(row.id, row);
      ofAlert.set(row.alert, (ofAlert.get(row.alert) ?? 0) + 1);
      after = row.id;
    }
    if (rows.length === 0) break;
  }

  const copies = new Map<string, { count: number; marked: boolean }>();
  const firstAt = new Map<number, number>();
  const sessions = new Map<number, { account: number; firstAt: number }>();
  let expiredSubmitted = 0;
  let strangers = 0;
  await rig.submits(({ delivery, segment, timeMs, status, possibleDuplicate, account, session }) => {
    if (!sessions.has(session)) sessions.set(session, { account, firstAt: timeMs });
    const known = delivery === null ? undefined : deliveries.get(delivery);
    if (delivery === null || known === undefined) {
      strangers++;
      return;
    }
    if (timeMs > known.expires_at + CLOCK_MS) expiredSubmitted++;
    if (!firstAt.has(delivery)) firstAt.set(delivery, timeMs);
    if (status !== 0) return;
    const copy = copies.get(`${delivery}/${segment}`) ?? { count: 0, marked: false };
    copies.set(`${delivery}/${segment}`, copy);
    copy.count++;
    copy.marked ||= possibleDuplicate;
  });
  if (strangers > 0) faults.push(`${strangers} submit_sm are of no delivery`);

  const twice = new Map<number, boolean>();
  for (const [key, { count, marked }] of copies) {
    const delivery = Number(key.split('/')[0]);
    if (count > 1) twice.set(delivery, (twice.get(delivery) ?? true) && marked);
  }
  const unrecorded = [...twice].filter(([id, marked]) => !marked || deliveries.get(id)?.marked !== true);
  let lost = 0;
  for (const { id, recipients } of cluster.accepted) {
    if (ofAlert.get(id) === recipients) continue;
    lost++;
    faults.push(`alert ${id} has ${ofAlert.get(id) ?? 0} of ${recipients} deliveries`);
  }
  const shortLived = new Set(cluster.accepted.filter((one) => one.shortLived).map(({ id }) => id));
  const acceptedIds = new Set(cluster.accepted.map(({ id }) => id));
  let emergencyMsMax = 0;
  const slow: string[] = [];
  const count = { unknown: 0, expired: 0 };
  for (const { id, alert, lane, state, created_at } of deliveries.values()) {
    const sent = firstAt.get(id);
    if (state === FINAL.unknown) count.unknown++;
    else if (state === FINAL.expired && (shortLived.has(alert) || !acceptedIds.has(alert))) count.expired++;
    else if (state !== FINAL.delivered || sent === undefined) {
      lost++;
      faults.push(`delivery ${id} of ${lane} ended in state ${state}, ${sent === undefined ? 'never sent' : 'sent'}`);
    }
    if (lane !== 'emergency' || sent === undefined) continue;
    const tookMs = sent - created_at - awayMs(cluster, created_at, sent);
    if (tookMs > EMERGENCY_SLOW_MS)
      slow.push(`emergency ${id} took ${Math.round(tookMs)} ms, after ${lastFault(cluster, created_at, sent)}`);
    emergencyMsMax = Math.max(emergencyMsMax, tookMs);
  }
  faults.push(...(await leftOpen(cluster)));
  let unsentOnWireMsMax = 0;
  for (const { account, at, fault } of cluster.recoveries) {
    const firsts = [...sessions.values()].filter((one) => one.account === account && one.firstAt > at);
    const first = Math.min(...firsts.map((one) => one.firstAt));
    if (!Number.isFinite(first)) faults.push(`nothing was sent on account ${account} after ${fault}`);
    else unsentOnWireMsMax = Math.max(unsentOnWireMsMax, first - at);
  }
  return {
    alerts: cluster.accepted.length,
    deliveries: deliveries.size,
    lost,
    duplicates: twice.size,
    unrecordedDuplicates: unrecorded.length,
    expiredSubmitted,
    ...count,
    emergencyMsMax: Math.round(emergencyMsMax),
    databaseAwayMsMax: Math.round(Math.max(0, ...cluster.outages.map(({ from, to }) => to - from))),
    unsentOnWireMsMax: Math.round(unsentOnWireMsMax),
    verified: await rig.verified(),
    faults: [...slow.slice(0, 5), ...faults.slice(-20)],
  };
}

function awayMs({ outages }: Cluster, from: number, to: number): number {
  return outages.reduce((sum, away) => sum + Math.max(0, Math.min(to, away.to) - Math.max(from, away.from)), 0);
}

/** What struck between two instants, or shortly before. */
function lastFault({ recoveries, outages }: Cluster, from: number, to: number): string {
  const near = recoveries.filter(({ at }) => at > from - 10_000 && at < to);
  const away = outages.filter((one) => one.to > from - 10_000 && one.from < to);
  const names = [
    ...near.map(({ fault, account, at }) => `${fault} of account ${account} at ${Math.round(at - from)} ms`),
    ...away.map((one) => `PostgreSQL away from ${Math.round(one.from - from)} to ${Math.round(one.to - from)} ms`),
  ];
  return names.length === 0 ? 'nothing' : names.join(', ');
}

/** Chunks of deliveries that did not end: who holds them, and what became of their jobs. */
async function leftOpen({ rig }: Cluster): Promise<string[]> {
  const rows = await rig.database.pools.reader.query(
    `SELECT DISTINCT c.id, c.deliveries, c.claimed_to, c.holder_process, c.holder_bind, c.holder_fence, c.settled, c.attempt,
            c.possible_duplicate, c.returns, j.state AS job, l.process AS owner, l.fence,
            (SELECT count(*) FROM claim k WHERE k.day = c.day AND k.chunk = c.id) AS claims
     FROM chunk c JOIN delivery d ON d.day = c.day AND (d.chunk = c.id OR d.id = ANY(c.delivery_ids))
     LEFT JOIN pgboss.job j ON j.id = c.job LEFT JOIN bind_lease l ON l.bind = c.holder_bind
     WHERE NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = d.day AND f.delivery = d.id) LIMIT 10`,
  );
  return rows.map((row) => JSON.stringify(row));
}
