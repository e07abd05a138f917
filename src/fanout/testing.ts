/** For tests and benchmarks of fan-out: a database with policies, lists and alerts planted straight into it. */
import type { PgBoss } from 'pg-boss';
import { Recipients } from '../audience/index.ts';
import { ChainWriter } from '../audit/index.ts';
import { createDispatchQueues, DispatchNews } from '../dispatch/index.ts';
import {
  type Clock,
  type Database,
  DatabaseClock,
  IdAllocator,
  openBoss,
  readDatabaseTime,
  utcDay,
} from '../platform/index.ts';
import {
  type CarrierPolicy,
  compileRouting,
  LANES,
  type LaneName,
  loadPolicies,
  Names,
  type Policies,
  type Route,
} from '../policy/index.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { createFanoutQueue, insertFanoutJobs, notifyFanout } from './job.ts';

export interface World {
  database: Database;
  boss: PgBoss;
  clock: Clock;
  policies: Policies;
  names: Names;
  ids: IdAllocator;
  process: number;
  recipients: Recipients;
  news: DispatchNews;
  close(): Promise<void>;
}

/** Route name → its TPS and the prefixes it serves. Each has one bind of its own. */
export type TestRoutes = Record<string, { tps: number; prefixes: string[]; lanes?: LaneName[] }>;

export const ONE_ROUTE: TestRoutes = { main: { tps: 700, prefixes: ['+'] } };

export async function openWorld(database: Database, routes: TestRoutes = ONE_ROUTE): Promise<World> {
  const boss = await openBoss({ target: database.target, onError: () => undefined });
  const clock = await DatabaseClock.open(() => readDatabaseTime(database.pools.control));
  const policies = testPolicies(routes);
  const names = await Names.register(database.pools.control, policies);
  const ids = new IdAllocator(database.pools.control);
  await createDispatchQueues(boss, Object.keys(routes), [...LANES]);
  await createFanoutQueue(boss);
  const process = await openProcess(database, clock);
  const writer = await ChainWriter.open(database.pools.control, clock, process, 'recipients');
  const recipients = new Recipients({ pool: database.pools.reader, writer, ids });
  return {
    database,
    boss,
    clock,
    policies,
    names,
    ids,
    process,
    recipients,
    news: new DispatchNews(database),
    close: async () => {
      await boss.stop({ graceful: false });
      clock.close();
    },
  };
}

export function testPolicies(routes: TestRoutes): Policies {
  const folder = new URL('../../policies', import.meta.url).pathname;
  const policies = loadPolicies(folder, { TOCSIN_DEMO_A_PASSWORD: 'x', TOCSIN_DEMO_B_PASSWORD: 'x' }, PROTOCOL);
  const list = Object.entries(routes).map(
    ([name, { prefixes, lanes }]): Route => ({
      ...{ name, prefixes, lanes: lanes ?? null, senders: null, noRoute: null },
      ...{ tiers: [[`${name}-bind`]], binds: [`${name}-bind`] },
    }),
  );
  const model = Object.values(policies.carriers)[0] as CarrierPolicy;
  const carriers = Object.fromEntries(
    Object.entries(routes).map(([name, { tps }]) => [`${name}-bind`, { ...model, tps }]),
  );
  return { ...policies, carriers, routing: compileRouting(list) };
}

async function openProcess(database: Database, clock: Clock): Promise<number> {
  const [row] = await database.pools.control.query<{ id: number }>(
    `insert into process (host, pid, started_at) values ('test', 1, $1) returning id`,
    [clock.now()],
  );
  return row?.id ?? 0;
}

/** Numbers of a range kept for fiction by nobody, all different. */
export const numbers = (count: number, prefix = '+4477009', from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(from + i).padStart(6, '0')}`);

export interface Member {
  msisdn: string;
  language?: string;
}

/** A list with these members. Gives its id and the recipients' ids in the order of the members. */
export async function plantList(
  { database, ids, recipients }: World,
  name: string,
  members: readonly (string | Member)[],
): Promise<{ list: number; recipients: number[] }> {
  const list = await ids.take(1);
  const plain = members.map((member) => (typeof member === 'string' ? { msisdn: member } : member));
  const resolved = await recipients.resolve(
    1,
    plain.map(({ msisdn }) => msisdn as never),
  );
  const spoken = plain.flatMap(({ language }, i) => (language === undefined ? [] : [{ id: resolved[i]!, language }]));
  await database.pools.control.run(async (tx) => {
    await tx.query('insert into list (id, organisation, name, members, created_at) values ($1, 1, $2, $3, 0)', [
      list,
      name,
      members.length,
    ]);
    await tx.query('insert into list_member (list, recipient) select $1, unnest($2::bigint[])', [list, resolved]);
    await tx.query(
      `insert into subscriber (recipient, language) select * from unnest($1::bigint[], $2::text[])
       on conflict (recipient) do update set language = excluded.language`,
      [spoken.map(({ id }) => id), spoken.map(({ language }) => language)],
    );
  });
  return { list, recipients: resolved };
}

export interface PlantedAlert {
  day: string;
  id: string;
  body: number;
  /** Language → body of the further texts. */
  texts: Record<string, number>;
}

export interface AlertPlan {
  lane?: LaneName;
  lists?: number[];
  named?: { recipient: number; reference: string | null }[];
  languages?: string[];
  notBefore?: number | null;
  validForMs?: number;
}

let planted = 0;

/** An alert as intake leaves it, with its job. The rows are no facts: no chain covers them. */
export async function plantAlert(world: World, plan: AlertPlan): Promise<PlantedAlert> {
  const { database, clock, names, ids, boss, policies } = world;
  const now = clock.now();
  const day = utcDay(now);
  const lane = plan.lane ?? 'bulk';
  const id = `${(now * 65_536 + 0x7000)
    .toString(16)
    .padStart(16, '0')
    .replace(/^(.{8})(.{4})(.{4})$/, '$1-$2-$3')}-8000-${String(++planted).padStart(12, '0')}`;
  const body = await ids.take(1 + (plan.languages?.length ?? 0));
  const texts = Object.fromEntries((plan.languages ?? []).map((language, i) => [language, body + 1 + i]));
  const named = plan.named ?? [];
  await database.pools.control.run(async (tx) => {
    await tx.query(
      `insert into alert (day, id, organisation, producer, lane, status, secret, body, commitment, lists, recipients,
                          not_before, expires_at, accepted_at, predicted_submit_at, entry)
       values ($1::date, $2::uuid, 1, 1, $3, 'Actual', false, $4, ''::bytea, $5::bigint[], $6, $7, $8, $9, $9, 0)`,
      [
        day,
        id,
        names.laneId(lane),
        body,
        plan.lists ?? [],
        named.length,
        plan.notBefore ?? null,
        now + (plan.validForMs ?? 3_600_000),
        now,
      ],
    );
    await tx.query(
      `insert into alert_recipient (day, alert, recipient, reference, entry)
       select $1::date, $2::uuid, r, ref, 0 from unnest($3::bigint[], $4::text[]) as n(r, ref)`,
      [day, id, named.map(({ recipient }) => recipient), named.map(({ reference }) => reference)],
    );
    await tx.query(
      `insert into alert_text (day, alert, language, body, commitment, entry)
       select $1::date, $2::uuid, l, b, ''::bytea, 0 from unnest($3::text[], $4::bigint[]) as t(l, b)`,
      [day, id, Object.keys(texts), Object.values(texts)],
    );
    await insertFanoutJobs(tx, boss, [{ day, alert: id, priority: policies.lanes[lane].priority }]);
    await notifyFanout(tx);
  });
  return { day, id, body, texts };
}
