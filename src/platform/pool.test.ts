import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';

const { database } = await testDatabase();

test('a transaction commits what it did, and a thrown error undoes it', async () => {
  const pool = database.pools.intake;
  await pool.query('create table tried (id bigint primary key)');
  await pool.run((tx) => tx.query('insert into tried select unnest($1::bigint[])', [[1, 2, 3]]));
  await expect(
    pool.run(async (tx) => {
      await tx.query('insert into tried values (4)');
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await pool.query('select id from tried order by id')).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
});
