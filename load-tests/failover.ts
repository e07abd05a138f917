/**
 * Three servers share four accounts under load. The one that holds most is killed with -9, several times; then all are
 * restarted one after the other, as a deployment does. How long each account goes without is measured at the carrier.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ACCOUNTS, Cluster, K, type Unit } from './cluster.ts';
import { type Comparison, compare } from './compare.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { Seeded } from './seeded.ts';

export interface FailoverFigures extends ProcessFigures, Omit<Comparison, 'faults' | 'verified'> {
  scenario: 'failover';
  correct: boolean;
  seconds: number;
  kills: number;
  faults: { killServer: number; restart: number };
  duplicatesAllowed: number;
  /** The longest that an account was without an attempt to bind, over all kills; `firstBindMs` has each. */
  gapMsMax: number;
  firstBindMsMax: number;
  firstBindMs: number[];
  /** In the rolling restart, on any account: the longest from one submit_sm to the next. */
  rollingGapMsMax: number;
  /** From the moment a stopped server let go of its accounts to the first attempt to bind one of them, the longest. */
  rollingBindMsMax: number;
  wrong: string[];
}

const SERVERS = 3;
const GOALS = { gapMs: 5_000, onWireMs: 10_000, emergencyMs: 6_000, rollingBindMs: 1_000 };

export async function failover(options: Record<string, string>): Promise<FailoverFigures> {
  const kills = Number(options.kills ?? 4);
  const from = performance.now();
  const cluster = await Cluster.open(SERVERS, new Seeded(Number(options.seed ?? 1)));
  const wrong: string[] = [];
  try {
    cluster.startLoad();
    await cluster.settled();
    for (let kill = 0; kill < kills; kill++) {
      await cluster.settled();
      await sleep(1_000);
      const { unit, accounts } = await busiest(cluster);
      const { server } = unit;
      await cluster.strike('killServer', accounts, () => {
        server?.child.kill('SIGKILL');
        unit.server = null;
      });
      await server?.exited;
      await cluster.start(unit);
    }
    await cluster.settled();
    // Until the binds are shared out again.
    await sleep(5_000);
    const rollingFrom = performance.timeOrigin + performance.now();
    let rollingBindMsMax = 0;
    for (const unit of cluster.units) {
      const accounts = await cluster.heldBy(unit);
      if (accounts.length === 0) wrong.push(`server ${unit.number} holds nothing when it is restarted`);
      rollingBindMsMax = Math.max(rollingBindMsMax, await stopped(cluster, unit, accounts));
      await cluster.start(unit);
      await cluster.settled();
      await sleep(5_000);
    }
    const rollingTo = performance.timeOrigin + performance.now();
    const figures = await cluster.rig.figures();
    await cluster.stopLoad();
    const { faults, verified, ...compared } = await compare(cluster);
    wrong.push(...faults);
    if (!verified) wrong.push('the chain does not verify');
    const firstBindMs = cluster.recoveries.map(({ bindMs }) => bindMs ?? 0);
    const gapMsMax = Math.max(0, ...firstBindMs);
    const duplicatesAllowed = kills * K * ACCOUNTS.length;
    return {
      scenario: 'failover',
      correct:
        wrong.length === 0 &&
        compared.lost === 0 &&
        compared.unrecordedDuplicates === 0 &&
        compared.expiredSubmitted === 0 &&
        compared.duplicates <= duplicatesAllowed &&
        gapMsMax <= GOALS.gapMs &&
        rollingBindMsMax <= GOALS.rollingBindMs &&
        compared.unsentOnWireMsMax <= GOALS.onWireMs &&
        compared.emergencyMsMax <= GOALS.emergencyMs,
      seconds: round((performance.now() - from) / 1_000),
      kills,
      faults: { killServer: kills, restart: cluster.units.length },
      ...compared,
      duplicatesAllowed,
      gapMsMax,
      firstBindMsMax: gapMsMax,
      firstBindMs,
      rollingGapMsMax: await longestGap(cluster, rollingFrom, rollingTo),
      rollingBindMsMax,
      ...figures,
      wrong,
    };
  } finally {
    await cluster.close();
  }
}

async function busiest(cluster: Cluster): Promise<{ unit: Unit; accounts: number[] }> {
  let most: { unit: Unit; accounts: number[] } | null = null;
  for (const unit of cluster.running) {
    const accounts = await cluster.heldBy(unit);
    if (most === null || accounts.length > most.accounts.length) most = { unit, accounts };
  }
  if (most === null || most.accounts.length === 0) throw new Error('no server holds anything');
  return most;
}

/** Ends a server as a deployment does. @returns from the end of its last session to the first new bind attempt, the longest */
async function stopped(cluster: Cluster, unit: Unit, accounts: readonly number[]): Promise<number> {
  const { sim } = cluster.rig;
  const look = async () => (await sim.stats()).accounts;
  const before = await look();
  const { server } = unit;
  // Nothing is posted to it from here on.
  unit.server = null;
  server?.child.kill('SIGTERM');
  const without = new Map<number, number>();
  const open = new Set(accounts);
  let longest = 0;
  const until = performance.now() + 30_000;
  while (open.size > 0 && performance.now() < until) {
    const now = await look();
    for (const account of [...open]) {
      const [was, is] = [before[account], now[account]];
      if (is === undefined || was === undefined) continue;
      if (is.now.sessions === 0 && !without.has(account)) without.set(account, performance.now());
      if (is.binds + is.bindsRefused <= was.binds + was.bindsRefused) continue;
      open.delete(account);
      longest = Math.max(longest, performance.now() - (without.get(account) ?? performance.now()));
    }
    await sleep(5);
  }
  await server?.exited;
  return open.size > 0 ? Number.POSITIVE_INFINITY : Math.round(longest);
}

async function longestGap(cluster: Cluster, from: number, to: number): Promise<number> {
  const last = new Map<number, number>();
  let longest = 0;
  await cluster.rig.submits(({ account, timeMs }) => {
    if (timeMs < from || timeMs > to) return;
    longest = Math.max(longest, timeMs - (last.get(account) ?? timeMs));
    last.set(account, timeMs);
  });
  return Math.round(longest);
}
