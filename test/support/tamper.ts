import { type AnyFactTable, type Disagreement, describe, verify } from '../../src/audit/index.ts';
import type { TestDatabase } from './database.ts';

/** One thing that a tamperer did, and what verify said to it. */
export interface Tampering {
  what: string;
  found: readonly Disagreement[];
}

/** A covered column set to something else, whatever it was. */
export const changed: Record<AnyFactTable['columns'][number]['type'], (column: string) => string> = {
  int: (column) => `coalesce(case when ${column} < 20000 then ${column} + 9973 else ${column} - 9973 end, 1)`,
  text: (column) => `coalesce(${column} || '~', '~')`,
  uuid: () => 'gen_random_uuid()',
  bytes: (column) => `coalesce(${column} || '\\x00'::bytea, '\\x00'::bytea)`,
  date: (column) => `coalesce(${column} + 1, date '2026-01-01')`,
  bool: (column) => `${column} is not true`,
  ints: (column) => `coalesce(${column}, '{}') || 1::bigint`,
  texts: (column) => `coalesce(${column}, '{}') || '~'::text`,
};

/**
 * Tampers with facts of `table` as superuser, each way once: changes every covered column, deletes a row, swaps the
 * entries and the contents of two rows, slips in a row, moves a row to an entry that doesn't exist. After each it asks
 * verify, and puts everything back.
 *
 * The table needs two facts of different entries that verify agrees with; a few dozen rows are enough, and quick.
 * @throws Error when verify does not name the table, or finds something before or after.
 */
export async function tamper(
  test: Pick<TestDatabase, 'database' | 'asSuperuser'>,
  table: AnyFactTable,
): Promise<Tampering[]> {
  const tampered: Tampering[] = [];
  const look = async (): Promise<readonly Disagreement[]> => (await verify(test.database, [table])).disagreements;
  const mustAgree = async (when: string): Promise<void> => {
    const found = await look();
    if (found.length > 0) throw new Error(`${table.table} disagrees ${when}: ${found.map(describe).join('; ')}`);
  };
  await mustAgree('before anything was done');
  await test.asSuperuser(async (session) => {
    await session.exec(`create temp table kept as select * from ${table.table};
      create temp table picked as
        (select * from ${table.table} order by entry limit 1) union all (select * from ${table.table} order by entry desc limit 1)`);
    const { rows } = await session.query<{ entries: number }>('select count(distinct entry) as entries from picked');
    if (rows[0]?.entries !== 2) throw new Error(`${table.table} has no two facts of different entries`);
    for (const { what, sql, kind, onlyIf } of tamperings(table)) {
      if (onlyIf !== undefined && (await session.query(onlyIf)).rows.length === 0) continue;
      await session.exec(sql);
      const found = await look();
      if (!found.some((each) => each.table === table.table && (kind === undefined || each.kind === kind))) {
        throw new Error(`verify did not name ${table.table}: ${what}`);
      }
      tampered.push({ what, found });
      await session.exec(`delete from ${table.table}; insert into ${table.table} select * from kept`);
    }
    await session.exec('drop table kept; drop table picked');
  });
  await mustAgree('after everything was put back');
  return tampered;
}

interface Way {
  what: string;
  sql: string;
  kind?: Disagreement['kind'];
  /** A query; without rows this way would change nothing. */
  onlyIf?: string;
}

function tamperings({ table, columns, covered, key, commitment, partitioned }: AnyFactTable): Way[] {
  const is = (alias: string): string => key.map(({ name }) => `${table}.${name} = ${alias}.${name}`).join(' and ');
  const first = `(select * from picked order by entry limit 1) as first`;
  const others = covered.filter((column) => !key.includes(column)).map(({ name }) => name);
  const ways: Way[] = covered.map(({ name, type }) => ({
    what: `changed ${name}`,
    sql: `${partitioned && type === 'date' ? 'select make_day(day + 1) from picked;' : ''}
      update ${table} set ${name} = ${changed[type](`${table}.${name}`)} from ${first} where ${is('first')}`,
  }));
  // Both rows leave before they come back: a second unique key would not have them trade in place.
  const swap = (names: readonly string[]): string => {
    const all = [...columns.map(({ name }) => name), 'entry'];
    const cells = all.map((name) => `${names.includes(name) ? 'other' : 'picked'}.${name}`);
    return `create temp table swapped as select ${cells.join(', ')} from picked, picked as other where other.entry <> picked.entry;
      delete from ${table} using picked where ${is('picked')};
      insert into ${table} (${all.join(', ')}) select * from swapped; drop table swapped`;
  };
  ways.push(
    { what: 'deleted a row', sql: `delete from ${table} using ${first} where ${is('first')}` },
    { what: 'deleted all rows', sql: `delete from ${table}` },
    { what: 'swapped the entries of two rows', sql: swap(['entry']) },
    {
      what: 'moved a row to an entry that does not exist',
      sql: `update ${table} set entry = ${2 ** 52} from ${first} where ${is('first')}`,
      kind: 'facts-unknown',
    },
    {
      what: 'moved a row to an entry beyond what a chain may have',
      sql: `update ${table} set entry = 9223372036854775807 from ${first} where ${is('first')}`,
      kind: 'facts-unknown',
    },
    {
      what: 'slipped in a row',
      sql: `${partitioned ? 'select make_day(day + 1) from picked;' : ''}
        create temp table slipped as select * from picked order by entry limit 1;
        update slipped set ${key.map(({ name, type }) => `${name} = ${changed[type](name)}`).join(', ')}${unique(columns, key)};
        insert into ${table} select * from slipped; drop table slipped`,
    },
  );
  if (commitment !== undefined) {
    const { value, salt } = commitment;
    ways.push(
      {
        what: `changed ${value.name}, which is only committed to`,
        sql: `update ${table} set ${value.name} = ${table}.${value.name} || '0' from ${first} where ${is('first')}`,
        kind: 'commitment',
      },
      {
        what: `erased ${salt.name} alone`,
        sql: `update ${table} set ${salt.name} = null from ${first} where ${is('first')}`,
        kind: 'commitment',
      },
    );
  }
  if (others.length > 0) {
    const contents = (alias: string): string => `row(${others.map((name) => `${alias}.${name}`).join(', ')})`;
    ways.push({
      what: 'swapped the contents of two rows',
      sql: swap(others),
      onlyIf: `select from picked, picked as other where ${contents('picked')} is distinct from ${contents('other')}`,
    });
  }
  return ways;
}

/** Texts and bytes outside the key made different too, where a second unique key may watch them. */
function unique(columns: AnyFactTable['columns'], key: AnyFactTable['key']): string {
  return columns
    .filter((column) => !key.includes(column) && ['text', 'uuid'].includes(column.type))
    .map(({ name, type }) => `, ${name} = ${changed[type](name)}`)
    .join('');
}
