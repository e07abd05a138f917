import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { createLog } from './log.ts';

const { database } = await testDatabase();

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  let text = '';
  write(createLog('trace', { write: (line: string) => (text += line) }));
  return text;
}

test('an error is logged by class, code and frames, its message and values are not', async () => {
  const canary = '+447700900123';
  await database.pools.control.query('create table person (msisdn text primary key)');
  await database.pools.control.query('insert into person values ($1)', [canary]);
  const duplicate: unknown = await database.pools.control
    .run((tx) => tx.drizzle.execute(`insert into person values ('${canary}')`))
    .catch((error: unknown) => error);
  const foreign = Object.assign(new Error(`Key (msisdn)=(${canary})`, { cause: new TypeError(canary) }), {
    detail: canary,
    code: '23505',
    parameters: [canary],
  });
  const text = logged((log) => {
    log.error({ err: duplicate }, 'failed');
    log.error({ err: foreign, msisdn: canary, alert: { text: canary, deep: { password: canary } } }, 'failed');
    log.error({ err: canary }, 'failed');
  });
  expect(text.split('\n')).toHaveLength(4);
  expect(text).toContain('23505');
  expect(text).toContain('at ');
  expect(text).not.toContain('7700900123');
});
