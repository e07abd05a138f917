/** What the machine allows in the same minute: the npm package `smpp` on both ends, and the ledger alone. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Session, startEmbedded } from '../src/platform/index.ts';

const program = fileURLToPath(new URL('./smpp-package.ts', import.meta.url));

/** submit_sm with receipts a second, client and server in a process each, with the package's own sessions. */
export async function smppPackageBaseline(messages: number): Promise<number> {
  const child = fork(program, ['client', String(messages)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error('the smpp package did not finish within 60 s'));
    }, 60_000);
    child.once('message', (perSecond) => {
      clearTimeout(timer);
      child.kill();
      resolve(perSecond as number);
    });
  });
}

/** One delivery, submission and receipt row per message with the indexes that auditors need, durable, two connections. */
export async function ledgerBaseline(home: string, messages: number): Promise<number> {
  const server = await startEmbedded({ home, log: { info: () => {}, warn: () => {} } });
  try {
    const open = () =>
      Session.open(server.target, {
        applicationName: 'ledger baseline',
        statementTimeoutMs: 60_000,
        searchPath: 'public',
      });
    const [one, two] = await Promise.all([open(), open()]);
    await one.exec(`
      create table subscriber (id bigint primary key, msisdn bigint not null);
      insert into subscriber select i, 447700900000 + i from generate_series(1, ${messages}) i;
      create table delivery (id bigint not null, at bigint not null, alert uuid not null, msisdn bigint not null, lane smallint not null, chunk bigint not null);
      create index on delivery (id); create index on delivery (msisdn, id);
      create table submission (delivery bigint not null, segment smallint not null, status int not null, message_id text collate "C", sent_at bigint not null);
      create index on submission (delivery); create index on submission (message_id);
      create table receipt (delivery bigint not null, segment smallint not null, state smallint not null, received_at bigint not null);
      create index on receipt (delivery);`);
    const batch = 2_000;
    const from = performance.now();
    let next = 0;
    const work = async (session: Session): Promise<void> => {
      while (next < messages) {
        const first = next;
        next += batch;
        const ids = Array.from({ length: batch }, (_, index) => first + index + 1);
        await session.query(
          `insert into delivery select id, 1, '0190b6f0-0000-7000-8000-000000000000', msisdn, 3, $1 from subscriber where id > $1 and id <= $1 + ${batch}`,
          [first],
        );
        await session.query(
          `insert into submission select d, 1, 0, m, 1 from unnest($1::bigint[], $2::text[]) as u(d, m)`,
          [ids, ids.map((id) => (id + 0x1000_0000).toString(16))],
        );
        await session.query(`insert into receipt select d, 1, 2, 1 from unnest($1::bigint[]) as u(d)`, [ids]);
      }
    };
    await Promise.all([work(one), work(two)]);
    const perSecond = Math.round(messages / ((performance.now() - from) / 1_000));
    await Promise.all([one.close(), two.close()]);
    return perSecond;
  } finally {
    await server.destroy();
  }
}
