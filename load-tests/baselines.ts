/** What the machine allows in the same minute: the wire alone, the npm package `smpp` on both ends, the ledger alone. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { startEmbedded } from '../src/platform/index.ts';
import { atEnd } from './ends.ts';

/** submit_sm with receipts a second, client and server in a process each, with the package's own sessions. */
export function smppPackageBaseline(messages: number): Promise<number> {
  return perSecondOf('./smpp-package.ts', messages);
}

/** The same flow with nothing but framing on both ends. */
export function rawWireBaseline(messages: number): Promise<number> {
  return perSecondOf('./raw-wire.ts', messages);
}

/** Runs a program that says over IPC how many messages a second it saw. */
async function perSecondOf(program: string, messages: number): Promise<number> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), ['client', String(messages)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${program} did not finish within 60 s`));
    }, 60_000);
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`${program} ended before it was done`));
    });
    child.once('message', (perSecond) => {
      clearTimeout(timer);
      child.kill();
      resolve(perSecond as number);
    });
  });
}

/** Rows of one statement. */
const LEDGER_BATCH = 2_000;
const LEDGER_PAGE = 5_000;

/**
 * The least ledger that says who was sent what, when, and what became of it: a delivery, a submission and a receipt row
 * per message, partitioned, with the indexes that auditors need, durable, and nothing else on the machine. The same
 * tables, statements and settings as the program that set the goal (`ledger-limit`, DESIGN §8), through the same client
 * over TCP; the one after the other, as there.
 *
 * @param connections that write submissions and receipts side by side; that program has one unless told otherwise.
 */
export async function ledgerBaseline(home: string, messages: number, connections: number): Promise<number> {
  const start = startEmbedded({
    home,
    transport: 'tcp',
    log: { info: () => {}, warn: () => {} },
    settings: { shared_buffers: '512MB', max_wal_size: '4GB', wal_compression: 'pglz', wal_init_zero: 'on' },
  });
  const forget = atEnd(async () => (await start).destroy());
  const server = await start;
  const { hosts, database, user, password } = server.target;
  const sql = postgres({
    host: hosts[0]?.host ?? '',
    port: hosts[0]?.port ?? 0,
    database,
    user,
    pass: password ?? '',
    max: connections + 1,
    onnotice: () => {},
  });
  try {
    await sql.unsafe(`
      create table subscriber (id bigint primary key, msisdn bigint not null);
      insert into subscriber select i, 447700900000 + (i::bigint * 7919) % 10000000 from generate_series(1, ${messages}) i;
      create table delivery (id bigint generated always as identity, at bigint not null, alert uuid not null,
        subscriber bigint, msisdn bigint not null, lane smallint not null, route smallint not null, chunk bigint not null)
        partition by range (id);
      create table delivery_1 partition of delivery for values from (0) to (100000000);
      create index on delivery (id);
      create index on delivery (msisdn, id);
      create table submission (delivery bigint not null, segment smallint not null, attempt smallint not null,
        bind smallint not null, status int not null, message_id text collate "C", sent_at bigint not null,
        answered_at bigint not null) partition by range (delivery);
      create table submission_1 partition of submission for values from (0) to (100000000);
      create index on submission (delivery);
      create index on submission (bind, message_id);
      create table receipt (delivery bigint not null, segment smallint not null, state smallint not null, err int,
        received_at bigint not null, bind smallint not null, message_id text collate "C" not null)
        partition by range (delivery);
      create table receipt_1 partition of receipt for values from (0) to (100000000);
      create index on receipt (delivery);`);
    const now = Date.now();
    const from = performance.now();
    for (let first = 0; first < messages; first += LEDGER_PAGE) {
      await sql`insert into delivery (at, alert, subscriber, msisdn, lane, route, chunk)
        select ${now}, '0190b6f0-0000-7000-8000-000000000000', id, msisdn, 3, 1, ${first} from subscriber
        where id > ${first} and id <= ${first + LEDGER_PAGE}`;
    }
    await inBatches(messages, connections, ({ ids, messageIds, sentAt }) => {
      const answeredAt = sentAt.map((at) => at + 9);
      return sql`insert into submission select d, 1, 1, 1, 0, m, s, a
        from unnest(${ids}::bigint[], ${messageIds}::text[], ${sentAt}::bigint[], ${answeredAt}::bigint[]) as u(d, m, s, a)`;
    });
    await inBatches(
      messages,
      connections,
      ({ ids, messageIds, sentAt }) => sql`insert into receipt select d, 1, 2, 0, s, 1, m
        from unnest(${ids}::bigint[], ${messageIds}::text[], ${sentAt}::bigint[]) as u(d, m, s)`,
    );
    return Math.round(messages / ((performance.now() - from) / 1_000));
  } finally {
    forget();
    await sql.end({ timeout: 5 });
    await server.destroy();
  }
}

interface LedgerBatch {
  ids: number[];
  messageIds: string[];
  sentAt: number[];
}

/** Writes 1..`messages` in batches, as many at a time as there are connections. */
async function inBatches(
  messages: number,
  connections: number,
  write: (batch: LedgerBatch) => PromiseLike<unknown>,
): Promise<void> {
  const now = Date.now();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let first = next; first < messages; first = next) {
      next += LEDGER_BATCH;
      const length = Math.min(LEDGER_BATCH, messages - first);
      const ids = Array.from({ length }, (_, index) => first + index + 1);
      const messageIds = ids.map((id) => (id + 0x1000_0000).toString(16));
      await write({ ids, messageIds, sentAt: ids.map((id) => now + id) });
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
}
