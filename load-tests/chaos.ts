/**
 * Several servers under load, and every few seconds something goes wrong, chosen by a seed: kill -9 of a server or of
 * PostgreSQL, a server frozen for longer than its lease (anywhere, or with a claim or the journal's transaction open), a
 * COMMIT that was carried out and its answer lost, a link to the database that is open and dead, NOTIFYs lost, a carrier
 * that drops its sessions. Afterwards the carrier's ledger is compared with the records, message by message.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ACCOUNTS, Cluster, K, type Unit } from './cluster.ts';
import { type Comparison, compare } from './compare.ts';
import { type ProcessFigures, round } from './gauges.ts';
import { Seeded } from './seeded.ts';

const FAULTS = [
  'killServer',
  'killPostgres',
  'freeze',
  'freezeInClaim',
  'freezeInJournal',
  'lostAnswer',
  'halfOpen',
  'lostNotify',
  'cutCarrier',
] as const;
type Fault = (typeof FAULTS)[number];
type Other = Exclude<Fault, 'killServer' | 'killPostgres'>;

export interface ChaosFigures extends ProcessFigures, Omit<Comparison, 'faults' | 'verified'> {
  scenario: 'chaos';
  correct: boolean;
  seed: number;
  seconds: number;
  kills: number;
  faults: Record<Fault, number>;
  /** K per bind and fault that leaves something in doubt. */
  duplicatesAllowed: number;
  /** From a kill or a freeze to the first attempt to bind what its server held. */
  gapMsMax: number;
  wrong: string[];
}

const SERVERS = 3;
/** No strike begins later than this after the start, on however slow a machine. */
const STRIKES_FOR_MS = 600_000;
const GAP_MS = 5_000;
const ON_WIRE_MS = 10_000;
const EMERGENCY_MS = 6_000;
const FROZEN_MS = 6_500;
const HALF_OPEN_MS = 6_000;
const NOTIFY_LOST_MS = 2_000;
/** An armed fault that strikes nothing within this is tried again with another server. */
const STRIKES_WITHIN_MS = 4_000;
const STRIKE_TRIES = 10;

export async function chaos(options: Record<string, string>): Promise<ChaosFigures> {
  const seed = Number(options.seed ?? 1);
  const kills = Number(options.kills ?? 8);
  const strikesForMs = options.seconds === undefined ? STRIKES_FOR_MS : Number(options.seconds) * 1_000;
  const random = new Seeded(seed);
  const from = performance.now();
  const cluster = await Cluster.open(SERVERS, random);
  const fired = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
  const wrong: string[] = [];
  try {
    cluster.startLoad();
    await cluster.settled();
    await sleep(2_000);
    const planned = plan(kills, random);
    for (const [index, fault] of planned.entries()) {
      if (performance.now() - from > strikesForMs) {
        wrong.push(`the time was up after ${index} of ${planned.length} strikes`);
        break;
      }
      try {
        await cluster.settled();
        await sleep(random.between(200, 1_500));
        await strike(cluster, fault, fired, random);
        if (options.verbose !== undefined) console.error(`${round((performance.now() - from) / 1_000)} s: ${fault}`);
      } catch (error) {
        wrong.push(`${fault}: ${(error as Error).message}`);
      }
    }
    await cluster.settled();
    const figures = await cluster.rig.figures();
    await cluster.stopLoad();
    const { faults, verified, ...compared } = await compare(cluster);
    wrong.push(...faults);
    if (!verified) wrong.push('the chain does not verify');
    for (const fault of FAULTS) if (fired[fault] === 0 && kills > 1) wrong.push(`${fault} never fired`);
    const gaps = cluster.recoveries.filter(({ fault }) => fault !== 'halfOpen' && fault !== 'killPostgres');
    const gapMsMax = Math.max(0, ...gaps.map(({ bindMs }) => bindMs ?? 0));
    const inDoubt = FAULTS.filter((fault) => fault !== 'lostNotify').reduce((sum, fault) => sum + fired[fault], 0);
    const duplicatesAllowed = inDoubt * K * ACCOUNTS.length;
    const within =
      gapMsMax <= GAP_MS && compared.unsentOnWireMsMax <= ON_WIRE_MS && compared.emergencyMsMax <= EMERGENCY_MS;
    if (!within) {
      const slow = [...cluster.recoveries].sort((a, b) => (b.bindMs ?? 0) - (a.bindMs ?? 0)).slice(0, 3);
      wrong.push(`slow: ${slow.map(({ fault, bindMs }) => `${fault} ${bindMs} ms to a bind`).join(', ')}`);
    }
    return {
      scenario: 'chaos',
      correct:
        wrong.length === 0 &&
        compared.lost === 0 &&
        compared.unrecordedDuplicates === 0 &&
        compared.expiredSubmitted === 0 &&
        compared.duplicates <= duplicatesAllowed,
      seed,
      seconds: round((performance.now() - from) / 1_000),
      kills: fired.killServer + fired.killPostgres,
      faults: fired,
      ...compared,
      duplicatesAllowed,
      gapMsMax,
      ...figures,
      wrong,
    };
  } finally {
    await cluster.close();
  }
}

/** As many kills, a sixth of them of PostgreSQL, and of every other fault a tenth of that, at least one. */
function plan(kills: number, random: Seeded): Fault[] {
  const postgres = Math.max(kills > 1 ? 1 : 0, Math.round(kills / 6));
  const others: readonly Other[] = FAULTS.filter(
    (fault): fault is Other => fault !== 'killServer' && fault !== 'killPostgres',
  );
  return random.shuffled<Fault>([
    ...Array.from({ length: kills - postgres }, (): Fault => 'killServer'),
    ...Array.from({ length: postgres }, (): Fault => 'killPostgres'),
    ...others.flatMap((fault) => Array.from({ length: Math.max(1, Math.round(kills / 15)) }, (): Fault => fault)),
  ]);
}

async function strike(cluster: Cluster, fault: Fault, fired: Record<Fault, number>, random: Seeded): Promise<void> {
  const { rig } = cluster;
  switch (fault) {
    case 'killServer': {
      const { unit, accounts } = await victim(cluster, random);
      const { server } = unit;
      await cluster.strike(fault, accounts, () => {
        server?.child.kill('SIGKILL');
        unit.server = null;
      });
      await server?.exited;
      fired.killServer++;
      await cluster.start(unit);
      return;
    }
    case 'killPostgres': {
      const file = join(rig.postgres.dataDirectory, 'postmaster.pid');
      const pid = Number((await readFile(file, 'utf8')).split('\n')[0]);
      // What holds the embedded server sees its end, and starts it again on the same socket.
      const at = performance.timeOrigin + performance.now();
      process.kill(pid, 'SIGKILL');
      const answers = (): Promise<boolean> =>
        rig.database.pools.reader.query('SELECT 1').then(
          () => true,
          () => false,
        );
      await sleep(100);
      while (!(await answers())) await sleep(50);
      cluster.outages.push({ from: at, to: performance.timeOrigin + performance.now() });
      fired.killPostgres++;
      return;
    }
    case 'freeze': {
      const { unit, accounts } = await victim(cluster, random);
      await cluster.strike(fault, accounts, () => freeze(unit));
      await thaw(unit);
      fired.freeze++;
      return;
    }
    case 'freezeInClaim':
    case 'freezeInJournal': {
      for (let tries = 0; tries < STRIKE_TRIES; tries++) {
        const { unit, accounts } = await victim(cluster, random);
        const { promise, resolve } = Promise.withResolvers<boolean>();
        unit.link.onCommit(fault === 'freezeInClaim' ? 'urgent' : 'journal', () => {
          freeze(unit);
          resolve(true);
        });
        const timer = setTimeout(resolve, STRIKES_WITHIN_MS, false);
        const struck = await promise;
        clearTimeout(timer);
        unit.link.disarm();
        if (!struck) continue;
        await cluster.strike(fault, accounts, () => {});
        await thaw(unit);
        fired[fault]++;
        return;
      }
      throw new Error('no transaction came to strike in');
    }
    case 'lostAnswer': {
      for (let tries = 0; tries < STRIKE_TRIES; tries++) {
        const { unit } = await victim(cluster, random);
        const before = unit.link.fired.lostAnswer;
        unit.link.loseAnswer(random.pick(['dispatch', 'urgent', 'journal', 'intake']));
        const until = performance.now() + STRIKES_WITHIN_MS;
        while (unit.link.fired.lostAnswer === before && performance.now() < until) await sleep(20);
        unit.link.disarm();
        if (unit.link.fired.lostAnswer === before) continue;
        fired.lostAnswer++;
        return;
      }
      throw new Error('no COMMIT came whose answer could be lost');
    }
    case 'halfOpen': {
      const { unit, accounts } = await victim(cluster, random);
      const before = unit.link.fired.halfOpen;
      unit.frozen = true;
      const over = unit.link.halfOpen(HALF_OPEN_MS);
      await cluster.strike(fault, accounts, () => {});
      await over;
      unit.frozen = false;
      fired.halfOpen += unit.link.fired.halfOpen - before;
      return;
    }
    case 'lostNotify': {
      const { unit } = await victim(cluster, random);
      const before = unit.link.fired.lostNotify;
      unit.link.loseNotifies(NOTIFY_LOST_MS);
      await sleep(NOTIFY_LOST_MS + 100);
      if (unit.link.fired.lostNotify > before) fired.lostNotify++;
      return;
    }
    case 'cutCarrier': {
      const account = random.pick(ACCOUNTS);
      await cluster.strike(fault, [ACCOUNTS.indexOf(account)], async () => {
        fired.cutCarrier += Number((await rig.sim.disconnect(account)) > 0);
      });
      return;
    }
    default:
      fault satisfies never;
  }
}

function freeze(unit: Unit): void {
  unit.frozen = true;
  unit.server?.child.kill('SIGSTOP');
}

/** After longer than its lease, counted from the freeze or, when that took longer, from the takeover. */
async function thaw(unit: Unit): Promise<void> {
  await sleep(FROZEN_MS - 4_000);
  unit.server?.child.kill('SIGCONT');
  unit.frozen = false;
}

/** A server that holds something, while another one runs. */
async function victim(cluster: Cluster, random: Seeded): Promise<{ unit: Unit; accounts: number[] }> {
  for (let tries = 0; tries < 100; tries++) {
    const unit = random.pick(cluster.running);
    const accounts = await cluster.heldBy(unit);
    if (accounts.length > 0 && cluster.running.length > 1) return { unit, accounts };
    await sleep(100);
  }
  throw new Error('no server holds anything');
}
