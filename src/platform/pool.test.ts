import { afterAll, expect, test } from 'vitest';
import { commitProxy } from '../../test/support/commit-proxy.ts';
import { testDatabase } from '../../test/support/database.ts';
import { TransactionFailed } from './errors.ts';
import { Pool } from './pool.ts';
import type { ConnectionTarget } from './target.ts';

const { database, target, asSuperuser, terminateBackends } = await testDatabase();
const proxy = await commitProxy(target);
const pools: Pool[] = [];
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
});
await database.pools.control.query('create table thing (id bigint primary key, note text)');
await database.pools.control.query('create table other (id bigint primary key)');
await database.pools.control.query('insert into thing values (-1), (-2)');

let next = 1;
const newId = (): number => next++;

function openPool(
  options: { size?: number; target?: ConnectionTarget; statementTimeoutMs?: number; acquireTimeoutMs?: number } = {},
): Pool {
  const name = `p${pools.length}`;
  const pool = new Pool({ name, size: 1, target, statementTimeoutMs: 10_000, applicationName: 'test', ...options });
  pools.push(pool);
  return pool;
}

async function isThere(id: number): Promise<boolean> {
  return (await database.pools.reader.query('select 1 from thing where id = $1', [id])).length > 0;
}

async function failure(promise: Promise<unknown>): Promise<TransactionFailed> {
  const error: unknown = await promise.then(
    () => 'it succeeded',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TransactionFailed);
  return error as TransactionFailed;
}

test('a transaction keeps what it did, and a thrown error undoes it and keeps the session', async () => {
  const pool = openPool();
  const [kept, undone] = [newId(), newId()];
  let pid = 0;
  await pool.run(async (tx) => {
    pid = tx.backendPid;
    await tx.query('insert into thing values ($1)', [kept]);
  });
  const refusal = new Error('the list is empty');
  await expect(
    pool.run(async (tx) => {
      await tx.query('insert into thing values ($1)', [undone]);
      throw refusal;
    }),
  ).rejects.toBe(refusal);
  expect([await isThere(kept), await isThere(undone)]).toEqual([true, false]);
  expect(await pool.run(async (tx) => tx.backendPid)).toBe(pid);
});

test('values come back as they went: ids, arrays with nulls and quotes, bytes, days, JSON', async () => {
  const params = [
    2 ** 53 - 1,
    [1, null, -5],
    ['a"b\\c', null, 'NULL', '', 'é{},'],
    [Buffer.from([0, 92, 34]), null],
    [true, false],
    Buffer.alloc(0),
    '2026-02-28',
    { a: [1, 'x'] },
    '{4,5}',
    [1.5],
  ];
  const [row] = await database.pools.reader.query(
    `select $1::bigint a, $2::bigint[] b, $3::text[] c, $4::bytea[] d, $5::boolean[] e, $6::bytea f, $7::date g, $8::jsonb h, $9::int[] i, $10::float8[] j`,
    params,
  );
  expect(Object.values(row ?? {})).toEqual([...params.slice(0, 8), [4, 5], [1.5]]);
});

test('an id beyond 2^53 is an error, not another id', async () => {
  const error = await failure(openPool().query('select 9007199254740992::bigint + 1 as id'));
  expect(error.message).not.toContain('9007199254740993');
});

test('undefined is refused as a parameter', async () => {
  await expect(database.pools.reader.query('select $1::bigint', [undefined])).rejects.toThrow(TypeError);
});

test('a failed statement ends the transaction even when the work hides the error', async () => {
  const id = newId();
  const error = await failure(
    openPool().run(async (tx) => {
      await tx.query('insert into thing values ($1)', [id]);
      await tx.query('insert into thing values ($1)', [-1]).catch(() => undefined);
    }),
  );
  expect(error).toMatchObject({ outcome: 'rolled-back', code: '23505', constraint: 'thing_pkey', table: 'thing' });
  expect(await isThere(id)).toBe(false);
});

test('an error names the constraint and never a value', async () => {
  const values = await failure(
    openPool().query('insert into thing values ($1, $2), (-1, $2)', [newId(), '+447700900123']),
  );
  expect(values.message).toContain('thing_pkey');
  const invalid = await failure(openPool().query(`select '+447700900123'::text::date`));
  for (const error of [values, invalid]) expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('7700900123');
});

test('a failure inside drizzle is the same error, and is retried the same', async () => {
  const pool = openPool();
  const error = await failure(pool.run((tx) => tx.drizzle.execute('insert into thing values (-1)')));
  expect(error).toMatchObject({ outcome: 'rolled-back', code: '23505', constraint: 'thing_pkey' });
  let runs = 0;
  await pool.run(async (tx) => {
    if (++runs === 1)
      await asSuperuser((session) => session.query('select pg_terminate_backend($1::int, 5000)', [tx.backendPid]));
    await tx.drizzle.execute('select 1');
  });
  expect(runs).toBe(2);
});

test('statements sent at once inside one transaction go one after another, all or none', async () => {
  const ids = Array.from({ length: 50 }, newId);
  await openPool().run(async (tx) => {
    await Promise.all(ids.map((id) => tx.query('insert into thing values ($1)', [id])));
  });
  const more = Array.from({ length: 50 }, newId);
  await failure(
    openPool().run(async (tx) => {
      await Promise.allSettled([...more, -1].map((id) => tx.query('insert into thing values ($1)', [id])));
    }),
  );
  expect([await isThere(ids[49] ?? 0), await isThere(more[0] ?? 0)]).toEqual([true, false]);
});

test('of statements sent at once each fails with what the first failure was, whichever is heard first', async () => {
  const pool = openPool();
  const id = newId();
  const heard: unknown[] = [];
  const failed = await failure(
    pool.run(async (tx) => {
      const first = async (): Promise<void> => {
        // Deeper in promises: the one behind it is heard before.
        const deep = async (): Promise<unknown> => await tx.query('insert into thing values ($1), ($1)', [id]);
        await deep();
      };
      const second = tx.query('insert into other values ($1)', [id]);
      second.catch((error: unknown) => heard.push(error));
      await Promise.all([second, first(), tx.query('insert into other values ($1)', [newId()])]);
    }),
  );
  expect([failed.code, failed.constraint, heard]).toEqual(['23505', 'thing_pkey', []]);
});

test('a statement that nobody waited for still belongs to the transaction', async () => {
  const id = newId();
  const error = await failure(
    openPool().run(async (tx) => {
      await tx.query('insert into thing values ($1)', [id]);
      void tx.query('insert into thing values (-1)').catch(() => undefined);
    }),
  );
  expect(error.code).toBe('23505');
  expect(await isThere(id)).toBe(false);
});

test('a transaction that is over takes no statement', async () => {
  let query: (() => Promise<unknown>) | undefined;
  await openPool().run(async (tx) => {
    query = () => tx.query('insert into thing values (-7)');
  });
  expect((await failure(query?.() ?? Promise.resolve())).code).toBe('25000');
  expect(await isThere(-7)).toBe(false);
});

test('a deadlock is run again and both succeed', async () => {
  const pool = openPool({ size: 2 });
  const bothHold = Promise.withResolvers<void>();
  let holding = 0;
  let runs = 0;
  const lock = (first: number, second: number): Promise<void> =>
    pool.run(async (tx) => {
      runs++;
      await tx.query('select id from thing where id = $1 for update', [first]);
      if (++holding === 2) bothHold.resolve();
      await bothHold.promise;
      await tx.query('select id from thing where id = $1 for update', [second]);
    });
  await Promise.all([lock(-1, -2), lock(-2, -1)]);
  expect(runs).toBe(3);
});

test('work whose backend died before COMMIT is run again, and happens once', async () => {
  const pool = openPool();
  const id = newId();
  let runs = 0;
  await pool.run(async (tx) => {
    await tx.query('insert into thing values ($1)', [id]);
    if (++runs === 1)
      await asSuperuser((session) => session.query('select pg_terminate_backend($1::int, 5000)', [tx.backendPid]));
  });
  expect(runs).toBe(2);
  expect(await isThere(id)).toBe(true);
});

test('after its session died, nothing of the work reaches the database any more', async () => {
  const pool = openPool();
  const ids = [newId(), newId()];
  const error = await failure(
    pool.run(
      async (tx) => {
        await asSuperuser((session) => session.query('select pg_terminate_backend($1::int, 5000)', [tx.backendPid]));
        for (const id of ids) await tx.query('insert into thing values ($1)', [id]).catch(() => undefined);
      },
      { retries: 0 },
    ),
  );
  expect(error).toMatchObject({ outcome: 'rolled-back', code: '08006' });
  expect(await isThere(ids[0] ?? 0)).toBe(false);
  expect(await isThere(ids[1] ?? 0)).toBe(false);
});

test('when the answer to COMMIT is lost the outcome is uncertain, whether it committed or not', async () => {
  const pool = openPool({ target: proxy.target });
  const outcomes: unknown[] = [];
  for (const kind of ['lose-answer', 'lose-commit'] as const) {
    const id = newId();
    const fired = proxy.fired;
    proxy.faults.push({ kind });
    const error = await failure(pool.run((tx) => tx.query('insert into thing values ($1)', [id])));
    expect(proxy.fired).toBe(fired + 1);
    outcomes.push([kind, error.outcome, error.code]);
    await expect.poll(() => isThere(id)).toBe(kind === 'lose-answer');
  }
  expect(outcomes).toEqual([
    ['lose-answer', 'uncertain', '08007'],
    ['lose-commit', 'uncertain', '08007'],
  ]);
  expect(await pool.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('a constraint checked at COMMIT rolls back for certain', async () => {
  await database.pools.control.query(
    'create table later (id bigint, constraint later_other foreign key (id) references other deferrable initially deferred)',
  );
  const error = await failure(openPool().run((tx) => tx.query('insert into later values (1)')));
  expect(error).toMatchObject({ outcome: 'rolled-back', code: '23503', constraint: 'later_other' });
});

test('a statement that takes too long fails, its session goes, and the server stops working on it', async () => {
  const pool = openPool({ statementTimeoutMs: 100 });
  const error = await failure(pool.run((tx) => tx.query(`select pg_sleep(20), 'slow-one'`), { retries: 0 }));
  expect(error).toMatchObject({ outcome: 'rolled-back', code: '57014' });
  expect(await pool.query('select 1 as one')).toEqual([{ one: 1 }]);
  const running = async (): Promise<number> => {
    const [row] = await database.pools.reader.query<{ n: number }>(
      `select count(*) as n from pg_stat_activity where query like '%slow-one%' and pid <> pg_backend_pid() and state = 'active'`,
    );
    return row?.n ?? -1;
  };
  await expect.poll(running, { timeout: 8_000, interval: 200 }).toBe(0);
});

test('who gets no session in time is told so, and the queue has an end', async () => {
  const pool = new Pool({
    name: 'tight',
    size: 1,
    target,
    statementTimeoutMs: 1_000,
    applicationName: 'test',
    // The first must open its session within it, on a busy machine too.
    acquireTimeoutMs: 1_000,
    queueLimit: 1,
  });
  pools.push(pool);
  const busy = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = pool.run(async () => {
    started.resolve();
    await busy.promise;
  });
  await started.promise;
  const second = failure(pool.query('select 1'));
  const third = failure(pool.query('select 1'));
  expect([(await second).code, (await third).code]).toEqual(['53300', '53300']);
  busy.resolve();
  await first;
});

test('a pool without a database fails its callers in time and recovers by itself', async () => {
  const nowhere: ConnectionTarget = { ...target, hosts: [{ host: '/nonexistent', port: 5432 }] };
  const pool = openPool({ target: nowhere, acquireTimeoutMs: 120 });
  expect((await failure(pool.query('select 1'))).outcome).toBe('rolled-back');
  const later = openPool();
  await later.query('select 1');
  await terminateBackends('test');
  await expect.poll(() => later.query('select 1 as one').catch(() => []), { interval: 5 }).toEqual([{ one: 1 }]);
});

test('closing lets what runs come to its end and refuses the rest', async () => {
  const pool = openPool({ size: 2 });
  const id = newId();
  const started = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const running = pool.run(async (tx) => {
    started.resolve();
    await goOn.promise;
    await tx.query('insert into thing values ($1)', [id]);
  });
  await started.promise;
  const closed = pool.close();
  expect((await failure(pool.query('select 1'))).code).toBe('57P03');
  goOn.resolve();
  await running;
  await closed;
  expect(await isThere(id)).toBe(true);
  expect(pool.stats.sessions).toBe(0);
});

test('a notification arrives, and a reconnect is told as an empty one', async () => {
  const heard: string[] = [];
  const listening = await database.listen('pool_test', (payload) => heard.push(payload));
  await database.pools.control.query(`select pg_notify('pool_test', 'one')`);
  await expect.poll(() => heard).toEqual(['one']);
  // By the session that listens, without waiting for the disk.
  await database.notify('pool_test', 'told');
  await expect.poll(() => heard).toEqual(['one', 'told']);
  expect(await terminateBackends('tocsin listen')).toBe(1);
  await expect.poll(() => heard).toEqual(['one', 'told', '']);
  await database.pools.control.query(`select pg_notify('pool_test', 'two')`);
  await expect.poll(() => heard).toEqual(['one', 'told', '', 'two']);
  await listening.close();
});
