/** `tocsin route explain`: by which rule a number leaves, and which bind would take it now. The number itself is not shown. */
import { existsSync } from 'node:fs';
import Table from 'cli-table3';
import { parseMsisdn } from './audience/index.ts';
import { type BindStateRow, nextTaker, pullsNow, readBindStates, STATE_AGE_MAX_MS } from './dispatch/index.ts';
import {
  type Config,
  type EpochMs,
  type Log,
  openDatabase,
  readDatabaseTime,
  StartError,
  TransactionFailed,
} from './platform/index.ts';
import {
  explainRoute,
  isLaneName,
  LANES,
  type LaneName,
  type Policies,
  type RouteExplanation,
} from './policy/index.ts';
import { databaseTarget } from './server.ts';

export interface RouteQuestion {
  readonly msisdn: string;
  readonly lane: string;
  readonly sender: string | null;
}

/** What the database knows of the binds. */
export interface KnownBinds {
  readonly now: EpochMs;
  /** By the name of the bind. */
  readonly rows: ReadonlyMap<string, BindStateRow>;
  /** Host and pid by process. */
  readonly nodes: ReadonlyMap<number, string>;
}

/** @throws StartError when the question can't be answered; it does not repeat the number. */
export async function routeExplain(
  question: RouteQuestion,
  policies: Policies,
  config: Config,
  log: Log,
): Promise<string[]> {
  const { lane } = question;
  if (!isLaneName(lane)) throw new StartError(`--lane: expected one of ${LANES.join(', ')}`);
  const msisdn = parseMsisdn(question.msisdn);
  if (msisdn === null) throw new StartError('expected a number such as +447700900123: + and 7 to 15 digits');
  const lines = ruleLines(explainRoute(policies.routing, msisdn, lane, question.sender), policies, lane);
  let known: KnownBinds | string;
  try {
    known = await readKnown(config, log);
  } catch (error) {
    if (!(error instanceof TransactionFailed)) throw error;
    known = `the database does not say (${error.code ?? error.outcome})`;
  }
  const { route } = explainRoute(policies.routing, msisdn, lane, question.sender);
  return [...lines, '', ...bindLines(route, known)];
}

export function ruleLines({ route, won, lost }: RouteExplanation, { routing }: Policies, lane: LaneName): string[] {
  const named = `${won.namesSender ? 'that names the sender' : 'for every sender'}`;
  const lanes = won.namesLane ? `that names lane ${lane}` : 'for every lane';
  const lines = [`Route ${route.name}, by its rule for ${won.prefix}, ${named}, ${lanes}.`];
  for (const rule of lost) lines.push(`  before ${rule.route}: ${rule.because}`);
  if (route.noRoute !== null) {
    lines.push(`Where a carrier has no way to the number: route ${route.noRoute.route}, once.`);
  }
  if (routing.portability !== null) {
    lines.push('Portability was not asked: an alert to this number alone may leave by what its network gives.');
  }
  return lines;
}

export function bindLines(route: RouteExplanation['route'], known: KnownBinds | string): string[] {
  if (typeof known === 'string') {
    const tiers = route.tiers.map((tier, index) => `  tier ${index + 1}: ${tier.join(', ')}`);
    return [...tiers, `Which bind would take it now is not known: ${known}.`];
  }
  const { now, rows, nodes } = known;
  const binds = pullsNow(route, rows, now);
  const head = ['tier', 'bind', 'state', 'for', 'health', 'tokens', 'held by', 'takes'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { bind, tier, weak, pull } of binds) {
    const row = rows.get(bind);
    if (row === undefined) {
      table.push([tier, bind, 'unknown', '', '', '', 'nobody', takes(pull)]);
      continue;
    }
    const old = now - row.at > STATE_AGE_MAX_MS;
    const held = old ? 'nobody' : (nodes.get(row.process) ?? `process ${row.process}`);
    const since = seconds(now - (old ? row.at : row.since));
    const state = old ? 'silent' : row.state;
    table.push([tier, bind, state, since, health(row.excess, weak), row.tokens, held, takes(pull)]);
  }
  const next = nextTaker(binds, rows);
  const last = next === null ? 'No bind would take it now: it waits in its queue.' : `${next} would take it now.`;
  return [table.toString(), last];
}

const takes = (pull: 'all' | 'probe' | 'none'): string => ({ all: 'work', probe: 'a chunk in 5 s', none: '' })[pull];

const seconds = (ms: number): string => `${Math.max(0, Math.round(ms / 1_000))} s`;

function health(excess: number | null, weak: boolean): string {
  if (excess === null) return 'too little known';
  const share = `${excess < 0 ? '−' : '+'}${Math.round(Math.abs(excess) * 100)} %`;
  return weak ? `failing: ${share}` : `usual: ${share}`;
}

/** Changes nothing: another version's database is read as far as it fits. */
async function readKnown(config: Config, log: Log): Promise<KnownBinds | string> {
  if (config.database === null && !existsSync(config.home)) return 'no server has run here yet';
  const { target, stop } = await databaseTarget(config, log);
  try {
    const database = await openDatabase({ target }, log);
    try {
      const { reader } = database.pools;
      const now = await readDatabaseTime(reader);
      const names = await reader.query<{ id: number; name: string }>('SELECT id, name FROM bind');
      const nameOf = new Map(names.map(({ id, name }) => [id, name]));
      const states = await readBindStates(reader);
      const processes = await reader.query<{ id: number; host: string; pid: number }>(
        'SELECT id, host, pid FROM process WHERE id = ANY($1::bigint[])',
        [states.map((row) => row.process)],
      );
      return {
        now,
        rows: new Map(states.map((row) => [nameOf.get(row.bind) ?? String(row.bind), row])),
        nodes: new Map(processes.map(({ id, host, pid }) => [id, `${host}, pid ${pid}`])),
      };
    } finally {
      await database.close();
    }
  } finally {
    await stop();
  }
}
