/**
 * Whoever holds the database can change what he likes; verify must name it. Over facts of every table as the real rooms
 * write them, and through `tocsin audit verify` as an auditor runs it.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { AnyFactTable } from '../src/audit/index.ts';
import { FACT_TABLES } from '../src/facts.ts';
import type { Session } from '../src/platform/index.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { type Installation, install, runFlow } from './support/flow.ts';
import { changed, tamper } from './support/tamper.ts';

let db: TestDatabase;
let installation: Installation;

beforeAll(async () => {
  db = await testDatabase();
  installation = await install(db);
  await runFlow(db, installation);
  return () => installation.remove();
});

test.each(FACT_TABLES.map((table) => [table.table, table] as const))(
  'each way to tamper with %s is named',
  async (_, table) => {
    const tampered = await tamper(db, table);
    expect(tampered.length).toBeGreaterThanOrEqual(table.covered.length + 6);
  },
);

describe('tocsin audit verify', { timeout: 120_000 }, () => {
  const verify = (env: Record<string, string> = {}) => installation.tocsin(['audit', 'verify'], env);
  const expectAgreement = async () => {
    expect(await verify()).toEqual({ code: 0, out: expect.stringMatching(/^\d+ chains, .*: all agree\n$/), err: '' });
  };

  test('names every table of which one row was changed, and agrees again when all is put back', async () => {
    await expectAgreement();
    await db.asSuperuser(async (session) => {
      for (const table of FACT_TABLES) {
        await session.exec(`create temp table kept_${table.table} as select * from ${table.table}`);
        await changeOneRow(session, table);
      }
      const { code, out } = await verify();
      const named = new Set(out.split('\n').map((line) => line.split(':')[0]));
      expect(FACT_TABLES.map(({ table }) => table).filter((table) => !named.has(table))).toEqual([]);
      expect(out).toContain('NOT verified');
      expect(code).toBe(1);
      for (const { table } of FACT_TABLES) {
        await session.exec(`delete from ${table}; insert into ${table} select * from kept_${table}`);
      }
    });
    await expectAgreement();
  });

  test('names each text that was changed, deleted or exchanged', async () => {
    await db.asSuperuser(async (session) => {
      await session.exec('create temp table kept as select * from body');
      const { rows } = await session.query<{ table: string; name: string; body: number }>(
        `select 'alert' as table, 'the text of ' || day || '/' || id as name, body from alert
           where not secret and id not in (select alert from alert_text)
         union all select 'alert_text', 'the text of ' || day || '/' || alert || '/' || language, body from alert_text order by 1, 3`,
      );
      const [forged, deleted, one, other, further] = [...rows.slice(0, 4), rows.find((row) => row.table !== 'alert')];
      const ids = (...of: (typeof forged)[]) => `(${of.map((row) => row!.body).join(', ')})`;
      await session.exec(
        `update body set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where id in ${ids(forged, further)};
         delete from body where id in ${ids(deleted)};
         update body set key_ref = o.key_ref, sealed = o.sealed from kept o
           where body.id in ${ids(one, other)} and o.id in ${ids(one, other)} and o.id <> body.id`,
      );
      const { code, out } = await verify();
      expect(out.trim().split('\n').slice(0, -1).sort()).toEqual(
        [
          [forged, 'was changed'],
          [deleted, 'is gone'],
          [one, 'is another one'],
          [other, 'is another one'],
          [further, 'was changed'],
        ]
          .map(([row, fault]) => expect.stringMatching(lineOf(row as (typeof rows)[0], fault as string)))
          .sort(),
      );
      expect(code).toBe(1);
      await session.exec('delete from body; insert into body select * from kept');
    });
    await expectAgreement();
  });

  test('says what it could not look at, and what to type, when it has not the master key of the server', async () => {
    for (const NODE_ENV of ['test', 'production']) {
      const none = await verify({ TOCSIN_MASTER_KEY: '', NODE_ENV });
      expect(none).toMatchObject({ code: 1, err: '' });
      expect(none.out).toMatch(/texts were NOT checked: there is no master key/);
      expect(none.out).toContain('TOCSIN_MASTER_KEY=');
      expect(none.out).toMatch(/facts: all agree, but the texts were not checked\n$/);
    }
    const wrong = await verify({ TOCSIN_MASTER_KEY: Buffer.alloc(32, 1).toString('base64') });
    expect(wrong).toMatchObject({ code: 1, err: '' });
    expect(wrong.out).toMatch(/texts were NOT checked: the master key is not the one/);
  });
});

const lineOf = ({ table, name }: { table: string; name: string }, fault: string): RegExp =>
  new RegExp(`^${table}: commitment, entry \\d+, ${name}: ${fault}$`);

/** Another value in the last column of one fact that its line covers. */
async function changeOneRow(session: Session, { table, covered, key }: AnyFactTable): Promise<void> {
  const { name, type } = covered.findLast((column) => !key.includes(column)) ?? covered.at(-1)!;
  const names = key.map((column) => column.name).join(', ');
  await session.exec(
    `update ${table} set ${name} = ${changed[type](name)} where (${names}) in (select ${names} from ${table} limit 1)`,
  );
}
